//! Triggers as they are stored, with the rules that are linked to them.
//!
//! Upstream: `common/scala/src/main/scala/org/apache/openwhisk/core/entity/WhiskTrigger.scala`.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::name::{EntityName, EntityPath, Fqn};
use super::parameters::Parameters;
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
