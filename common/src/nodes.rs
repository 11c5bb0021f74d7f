//! Controllers and invokers as members of one installation: each has a number that no other live one of
//! its kind has.
//!
//! Topics, slots and metrics are named by these numbers, so they are small and dense. Who gives them out
//! is the business of a store; this is what the rest speaks of.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What a node does. Each kind counts from 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeKind {
    /// Serves the API.
    Controller,
    /// Runs actions.
    Invoker,
}

impl NodeKind {
    /// As stored and shown.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Controller => "controller",
            Self::Invoker => "invoker",
        }
    }

    /// The kind of a stored word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Controller, Self::Invoker].into_iter().find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for NodeKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Who holds an id. A process keeps it beside its journal: whoever takes over the journal of a dead
/// process can show that the id is free.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeMark {
    /// What the node does.
    pub kind: NodeKind,
    /// Its number.
    pub id: u32,
    /// A word that was made up when the id was taken.
    pub holder: String,
}

/// A live node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// What it does.
    pub kind: NodeKind,
    /// Its number.
    pub id: u32,
    /// The name it was given, if any.
    pub name: Option<String>,
    /// `host:port` where its metrics are.
    pub address: String,
}

/// All live nodes.
pub type Members = Arc<[Member]>;

/// How many controllers share the invokers. Who asks is one, even while nobody sees it.
pub fn controllers(members: &[Member]) -> u32 {
    let number = members.iter().filter(|member| member.kind == NodeKind::Controller).count();
    u32::try_from(number).unwrap_or(u32::MAX).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_is_kept_as_text() {
        let mark = NodeMark { kind: NodeKind::Invoker, id: 3, holder: "f00".into() };
        let text = r#"{"kind":"invoker","id":3,"holder":"f00"}"#;
        assert_eq!(serde_json::to_string(&mark).unwrap(), text);
        assert_eq!(serde_json::from_str::<NodeMark>(text).unwrap(), mark);
        for kind in [NodeKind::Controller, NodeKind::Invoker] {
            assert_eq!(NodeKind::parse(kind.as_str()), Some(kind));
        }
        assert_eq!(NodeKind::parse("scheduler"), None);
    }

    #[test]
    fn there_is_always_a_controller() {
        let member = |kind, id| Member { kind, id, name: None, address: String::new() };
        let invoker = member(NodeKind::Invoker, 0);
        assert_eq!(controllers(&[]), 1);
        assert_eq!(controllers(std::slice::from_ref(&invoker)), 1);
        let two = [member(NodeKind::Controller, 0), member(NodeKind::Controller, 4), invoker];
        assert_eq!(controllers(&two), 2);
    }
}
