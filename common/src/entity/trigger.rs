//! Triggers as they are stored, with the rules that are linked to them.
//!
//! Upstream: `common/scala/src/main/scala/org/apache/openwhisk/core/entity/WhiskTrigger.scala`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::name::{EntityName, EntityPath, Fqn};
use super::parameters::Parameters;
use super::rule::Rule;
use super::version::SemVer;
use crate::clock::Millis;

/// The annotation that names the feed that fires a trigger.
pub const FEED_ANNOTATION: &str = "feed";

/// A trigger.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Trigger {
    /// Its namespace, alone.
    pub namespace: EntityPath,
    /// Its name.
    pub name: EntityName,
    /// Under what it is fired with.
    pub parameters: Parameters,
    /// Stored annotations.
    pub annotations: Parameters,
    /// Grows with every change.
    pub version: SemVer,
    /// Kept and shown; without effect.
    pub publish: bool,
    /// When it was last written.
    pub updated: Millis,
    /// By `ns/rule`; absent until there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rules: Option<BTreeMap<String, Link>>,
}

/// A rule as its trigger knows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Link {
    /// What it runs.
    pub action: Fqn,
    /// Whether it runs it.
    pub status: RuleStatus,
}

/// Whether a rule runs its action.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleStatus {
    /// It does.
    Active,
    /// It does not.
    Inactive,
}

impl RuleStatus {
    /// As the API writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Inactive => "inactive",
        }
    }
}

impl Trigger {
    /// Whether a rule runs its action when this is fired; without a link it does not.
    pub fn status_of(&self, rule: &Rule) -> RuleStatus {
        let link = self.rules.as_ref().and_then(|rules| rules.get(&rule.id()));
        link.map_or(RuleStatus::Inactive, |link| link.status)
    }

    /// Links a rule, or changes its link.
    pub fn link(&mut self, rule: &Rule, status: RuleStatus) {
        let link = Link { action: rule.action.clone(), status };
        self.rules.get_or_insert_default().insert(rule.id(), link);
    }

    /// Removes the link of a rule. Returns whether there was one.
    pub fn unlink(&mut self, rule: &Rule) -> bool {
        self.rules.as_mut().is_some_and(|rules| rules.remove(&rule.id()).is_some())
    }

    /// Whether firing it runs anything.
    pub fn is_armed(&self) -> bool {
        self.rules.iter().flat_map(BTreeMap::values).any(|link| link.status == RuleStatus::Active)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_come_and_go_and_leave_an_empty_map() {
        let rule: Rule = serde_json::from_str(
            r#"{"namespace":"ns","name":"r","trigger":{"path":"ns","name":"t"},
                "action":{"path":"ns/p","name":"a"},"annotations":[],"version":"0.0.1","publish":false,"updated":1}"#,
        )
        .unwrap();
        let mut trigger: Trigger = serde_json::from_str(
            r#"{"namespace":"ns","name":"t","parameters":[],"annotations":[],"version":"0.0.1",
                "publish":false,"updated":1}"#,
        )
        .unwrap();
        assert!(!trigger.is_armed() && !trigger.unlink(&rule) && trigger.rules.is_none());
        trigger.link(&rule, RuleStatus::Active);
        assert!(trigger.is_armed());
        let shown = serde_json::to_value(&trigger.rules).unwrap();
        let link = serde_json::json!({"action":{"path":"ns/p","name":"a"},"status":"active"});
        assert_eq!(shown, serde_json::json!({ "ns/r": link }));
        trigger.link(&rule, RuleStatus::Inactive);
        assert_eq!((trigger.status_of(&rule), trigger.is_armed()), (RuleStatus::Inactive, false));
        assert!(trigger.unlink(&rule) && trigger.rules.as_ref().unwrap().is_empty());
    }
}
