//! Actions as they are stored; how PUT makes and changes them is the controller's.

use serde::{Deserialize, Serialize};

use super::exec::Exec;
use super::limits::ActionLimits;
use super::name::{EntityName, EntityPath, Fqn};
use super::parameters::Parameters;
use super::version::SemVer;
use crate::clock::Millis;

/// The annotation that says whether the API key goes to the container; absent counts as true.
pub const PROVIDE_API_KEY: &str = "provide-api-key";

/// The annotation that shows the kind.
pub const EXEC_ANNOTATION: &str = "exec";

/// The annotation under which defined parameters cannot be overridden.
pub const FINAL: &str = "final";

/// The annotation of an action that says what comes next: the conductor of a composition.
pub const CONDUCTOR: &str = "conductor";

/// An action, without its code.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Action {
    /// Namespace, or namespace and package.
    pub namespace: EntityPath,
    /// Its name.
    pub name: EntityName,
    /// What it runs.
    pub exec: Exec,
    /// Stored parameters.
    pub parameters: Parameters,
    /// Stored annotations.
    pub annotations: Parameters,
    /// Its limits, all of them set.
    pub limits: ActionLimits,
    /// Grows with every change.
    pub version: SemVer,
    /// Kept and shown; without effect on actions.
    pub publish: bool,
    /// When it was last written.
    pub updated: Millis,
}

impl Action {
    /// Its fully qualified name.
    pub fn fqn(&self) -> Fqn {
        Fqn::new(self.namespace.clone(), self.name.clone())
    }

    /// Whether the invoker's API key goes to its containers.
    pub fn provides_api_key(&self) -> bool {
        self.annotations.is_truthy(PROVIDE_API_KEY, true)
    }
}
