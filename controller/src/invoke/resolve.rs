//! From a name to an action that can be run: through its package, and through a binding to a package.
//!
//! What is stored is merged here: the package's parameters, over them the binding's, over them the action's
//! (`core/controller/src/main/scala/org/apache/openwhisk/core/controller/Actions.scala`, and `mergedParameters` of
//! `common/.../core/entity/WhiskAction.scala`). All of it comes from caches; rights are somebody else's.

use std::borrow::Cow;
use std::sync::Arc;

use common::entity::action::Action;
use common::entity::name::{EntityPath, Fqn};
use common::entity::package::Package;
use common::entity::parameters::Parameters;
use common::store::StoreError;
use common::store::cache::{Cached, EntityCache, Lookup};

/// An action that can be run.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// Where it really is, with its version, and with the binding it was reached by.
    pub fqn: Fqn,
    /// The action, and the revision it was read at.
    pub action: Arc<Cached<Action>>,
    /// Those of its packages; none if it is in none.
    inherited: Option<Arc<Parameters>>,
}

/// Why there is no action to run.
#[derive(Debug, thiserror::Error)]
pub enum ResolveError {
    /// The action, its package, or what the package is bound to is not there.
    #[error("there is no such action")]
    Missing,
    /// The name is that of something else.
    #[error("it is no action")]
    OtherKind,
    /// The store.
    #[error("the store failed while an action was looked for")]
    Store(#[from] StoreError),
}

impl Resolved {
    /// All stored parameters.
    pub fn parameters(&self) -> Cow<'_, Parameters> {
        let own = &self.action.entity.parameters;
        match &self.inherited {
            None => Cow::Borrowed(own),
            Some(inherited) => Cow::Owned(inherited.merged(own)),
        }
    }
}

/// Finds actions.
pub struct Resolver {
    /// Actions by id.
    pub actions: Arc<EntityCache<Action>>,
    /// Packages by id.
    pub packages: Arc<EntityCache<Package>>,
}

impl Resolver {
    /// The action of that name, in no package, in a package, or in what a binding is bound to.
    pub async fn resolve(&self, name: &Fqn) -> Result<Resolved, ResolveError> {
        if name.path.package().is_none() {
            return self.action(name.clone(), None).await;
        }
        let package = self.package(name.path.as_str()).await?;
        let Some(binding) = &package.entity.binding else {
            let inherited = inherited(&package.entity.parameters);
            return self.action(name.clone(), inherited).await;
        };
        let provider = self.package(&binding.id()).await?;
        let parameters = provider.entity.parameters.merged(&package.entity.parameters);
        let mut fqn = Fqn::new(binding.path(), name.name.clone());
        fqn.binding = Some(EntityPath::clone(&name.path));
        self.action(fqn, inherited(&parameters)).await
    }

    async fn action(
        &self,
        mut fqn: Fqn,
        inherited: Option<Arc<Parameters>>,
    ) -> Result<Resolved, ResolveError> {
        match self.actions.get(&fqn.id()).await? {
            Lookup::Found(action) => {
                fqn.version = Some(action.entity.version);
                Ok(Resolved { fqn, action, inherited })
            }
            Lookup::Missing => Err(ResolveError::Missing),
            Lookup::OtherKind => Err(ResolveError::OtherKind),
        }
    }

    async fn package(&self, id: &str) -> Result<Arc<Cached<Package>>, ResolveError> {
        match self.packages.get(id).await? {
            Lookup::Found(package) => Ok(package),
            Lookup::Missing => Err(ResolveError::Missing),
            Lookup::OtherKind => Err(ResolveError::OtherKind),
        }
    }
}

fn inherited(parameters: &Parameters) -> Option<Arc<Parameters>> {
    (!parameters.is_empty()).then(|| Arc::new(parameters.clone()))
}
