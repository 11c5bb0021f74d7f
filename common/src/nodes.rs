//! The nodes of an installation: which controllers and invokers there are, and the numbers they have.
//!
//! A number is held by a lease that its holder prolongs; the store says how. Here is only what everybody
//! understands by it.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NodeKind {
    /// It serves the API.
    Controller,
    /// It runs actions.
    Invoker,
}

impl NodeKind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Controller => "controller",
            Self::Invoker => "invoker",
        }
    }
}

/// Who held a number: kept in the journal of the process, so that whoever takes that over gets the number.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeMark {
    /// What it did.
    pub kind: NodeKind,
    /// Its number.
    pub id: u32,
    /// A word that no other process had.
    pub holder: String,
}

/// One live node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// What it does.
    pub kind: NodeKind,
    /// Its number among those that do the same.
    pub id: u32,
    /// The name that it keeps over restarts, if it has one.
    pub name: Option<String>,
    /// Where it answers HTTP: `host:port`.
    pub address: String,
}

/// All live nodes.
pub type Members = Arc<[Member]>;

/// How many controllers there are, at least the one that asks.
pub fn controllers(members: &[Member]) -> u32 {
    let count = members.iter().filter(|member| member.kind == NodeKind::Controller).count();
    u32::try_from(count).unwrap_or(u32::MAX).max(1)
}
