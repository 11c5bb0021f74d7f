//! Rules as they are stored. Whether one is active stands in its trigger.
//!
//! Upstream: `common/scala/src/main/scala/org/apache/openwhisk/core/entity/WhiskRule.scala`.

use serde::{Deserialize, Serialize};

use super::name::{EntityName, EntityPath, Fqn};
use super::parameters::Parameters;
use super::version::SemVer;
use crate::clock::Millis;

/// A rule: when that trigger fires, that action runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// Its namespace, alone.
    pub namespace: EntityPath,
    /// Its name.
    pub name: EntityName,
    /// What is fired.
    pub trigger: Fqn,
    /// What runs.
    pub action: Fqn,
    /// Stored annotations.
    pub annotations: Parameters,
    /// Grows with every change.
    pub version: SemVer,
    /// Kept and shown; without effect.
    pub publish: bool,
    /// When it was last written.
    pub updated: Millis,
}

impl Rule {
    /// As its trigger names it: `ns/name`.
    pub fn id(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }
}
