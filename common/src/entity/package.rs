//! Packages as they are stored: what actions have in common, or another name for a package of somebody's.
//!
//! Upstream: `common/scala/src/main/scala/org/apache/openwhisk/core/entity/WhiskPackage.scala`.

use serde::{Deserialize, Serialize};

use super::name::{EntityName, EntityPath};
use super::parameters::Parameters;
use super::version::SemVer;
use crate::clock::Millis;

/// The package that has no document: where actions without a package are.
pub const DEFAULT: &str = "default";

/// The annotation that shows what a binding is bound to.
pub const BINDING_ANNOTATION: &str = "binding";

/// A package, or a binding to one.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Package {
    /// Its namespace, alone.
    pub namespace: EntityPath,
    /// Its name.
    pub name: EntityName,
    /// What it is bound to, if it is a binding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub binding: Option<Binding>,
    /// Those of every action in it, under the action's own.
    pub parameters: Parameters,
    /// Stored annotations.
    pub annotations: Parameters,
    /// Grows with every change.
    pub version: SemVer,
    /// Whether strangers may read it, run what is in it, and bind it.
    pub publish: bool,
    /// When it was last written.
    pub updated: Millis,
}

/// The package that a binding is bound to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Binding {
    /// Whose.
    pub namespace: EntityName,
    /// Its name.
    pub name: EntityName,
}

impl Binding {
    /// The document id of the package.
    pub fn id(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// The path of what is in the package.
    pub fn path(&self) -> EntityPath {
        EntityPath::of(&self.namespace).join(&self.name)
    }
}

impl Package {
    /// The path of what is in it.
    pub fn path(&self) -> EntityPath {
        self.namespace.join(&self.name)
    }
}
