//! What GET, PUT and DELETE of a package or a binding mean, and where actions are that a path names.
//!
//! Upstream: `core/controller/src/main/scala/org/apache/openwhisk/core/controller/Packages.scala`. A binding
//! shows the actions and the parameters of the package that it is bound to, its own parameters over those.

use std::sync::Arc;

use common::clock::{Clock, Millis};
use common::entity::action::Action;
use common::entity::encryption::Ciphers;
use common::entity::json;
use common::entity::name::{EntityPath, Fqn};
use common::entity::package::{BINDING_ANNOTATION, Binding, DEFAULT, Package};
use common::entity::parameters::Parameters;
use common::entity::version::SemVer;
use common::store::cache::{Cached, EntityCache, Lookup};
use common::store::{ArtifactStore, Document, EntityKind, EntityQuery, Revision, StoreError};

use super::actions::Overwrite;
use super::package_put::PackagePut;
use super::stored::readable;

/// So many actions of a package are read at once while they are deleted.
const AT_ONCE: u64 = 100;

/// Why a package cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum PackageError {
    /// There is none.
    #[error("there is no such package")]
    Missing,
    /// The name is that of something else.
    #[error("it is no package")]
    OtherKind,
    /// It is there, and is not to be overwritten.
    #[error("the package exists")]
    Exists,
    /// No package may have that name.
    #[error("the name '{0}' is reserved")]
    Reserved(String),
    /// A package cannot become a binding.
    #[error("it is a package, not a binding")]
    Unbindable,
    /// What it is to be bound to is not there.
    #[error("there is no package to bind to")]
    NoProvider,
    /// What it is to be bound to is a binding itself.
    #[error("a binding cannot be bound to")]
    ProviderIsBinding,
    /// What it is to be bound to is something else.
    #[error("only packages can be bound to")]
    ProviderIsOther,
    /// So many actions are in it.
    #[error("{0} actions are in it")]
    NotEmpty(u64),
    /// The store.
    #[error("the store failed with a package")]
    Store(#[from] StoreError),
}

/// What becomes of the actions of a package that is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contents {
    /// They keep it from being deleted.
    Kept,
    /// They are deleted, too.
    Deleted,
}

/// A package with the actions in it; of a binding, those that it shows.
#[derive(Clone, Debug)]
pub struct Filled {
    /// The package or binding.
    pub package: Package,
    /// Actions and feeds, newest change first.
    pub actions: Vec<Action>,
}

/// Where an action that a path names is.
#[derive(Clone, Debug)]
pub struct Whereabouts {
    /// Its real name, and the binding that it is named by.
    pub fqn: Fqn,
    /// The parameters of its package, those of the binding over them.
    pub inherited: Parameters,
}

/// All packages.
pub struct Packages {
    store: Arc<dyn ArtifactStore>,
    cache: Arc<EntityCache<Package>>,
    actions: Arc<EntityCache<Action>>,
    clock: Arc<dyn Clock>,
    ciphers: Ciphers,
}

impl Packages {
    /// In that store; whatever is written is forgotten by those caches.
    pub fn new(
        store: Arc<dyn ArtifactStore>,
        cache: Arc<EntityCache<Package>>,
        actions: Arc<EntityCache<Action>>,
        clock: Arc<dyn Clock>,
        ciphers: Ciphers,
    ) -> Self {
        Self { store, cache, actions, clock, ciphers }
    }

    /// One page of a namespace's packages, newest change first.
    pub async fn list(&self, query: &EntityQuery) -> Result<Vec<Package>, PackageError> {
        Ok(readable(&self.store.list(query).await?))
    }

    /// How many packages a namespace has.
    pub async fn count(&self, query: &EntityQuery) -> Result<u64, PackageError> {
        Ok(self.store.count(query).await?)
    }

    /// A package or binding as it is stored.
    pub async fn get(&self, fqn: &Fqn) -> Result<Package, PackageError> {
        Ok(self.current(&fqn.id()).await?.entity.clone())
    }

    /// A package with what is in it. A binding shows what is in the package that it is bound to.
    pub async fn filled(&self, mut package: Package) -> Result<Filled, PackageError> {
        let path = match &package.binding {
            None => package.path(),
            Some(binding) => {
                let provider = self.current(&binding.id()).await?;
                package.parameters = provider.entity.parameters.merged(&package.parameters);
                binding.path()
            }
        };
        let actions = readable(&self.store.list(&all_actions(path)).await?);
        Ok(Filled { package, actions })
    }

    /// Where an action is that may be named by its package or by a binding.
    pub async fn locate(&self, fqn: &Fqn) -> Result<Whereabouts, PackageError> {
        if fqn.path.package().is_none() {
            return Ok(Whereabouts { fqn: fqn.clone(), inherited: Parameters::new() });
        }
        let package = self.current(fqn.path.as_str()).await?;
        let own = &package.entity.parameters;
        let Some(binding) = &package.entity.binding else {
            return Ok(Whereabouts { fqn: fqn.clone(), inherited: own.clone() });
        };
        let provider = self.current(&binding.id()).await?;
        let mut real = Fqn::new(binding.path(), fqn.name.clone());
        real.binding = Some(fqn.path.clone());
        Ok(Whereabouts { fqn: real, inherited: provider.entity.parameters.merged(own) })
    }

    /// Refuses a name that no package may have.
    pub fn check_name(fqn: &Fqn) -> Result<(), PackageError> {
        match fqn.name.as_str() {
            DEFAULT => Err(PackageError::Reserved(DEFAULT.to_owned())),
            _ => Ok(()),
        }
    }

    /// Creates or changes a package or binding. Whether the caller may read what it is to be bound to was
    /// asked before.
    pub async fn put(
        &self,
        fqn: &Fqn,
        put: PackagePut,
        overwrite: Overwrite,
    ) -> Result<Package, PackageError> {
        let found = self.find(&fqn.id()).await?;
        if found.is_some() && overwrite == Overwrite::No {
            return Err(PackageError::Exists);
        }
        if let Some(binding) = &put.binding {
            if found.as_ref().is_some_and(|found| found.entity.binding.is_none()) {
                return Err(PackageError::Unbindable);
            }
            self.check_provider(binding).await?;
        }
        let now = self.clock.now();
        let (package, expected) = match found {
            None => (created(fqn, put, now), None),
            Some(found) => (changed(found.entity.clone(), put, now), Some(&found.revision).cloned()),
        };
        self.write(&package, expected.as_ref()).await?;
        Ok(package)
    }

    /// Deletes a package or binding, and returns what it was. What is bound to it stays, and shows nothing.
    pub async fn delete(&self, fqn: &Fqn, contents: Contents) -> Result<Package, PackageError> {
        let id = fqn.id();
        let found = self.current(&id).await?;
        if found.entity.binding.is_none() {
            let query = all_actions(found.entity.path());
            match contents {
                Contents::Deleted => self.empty(&query).await?,
                Contents::Kept => match self.store.count(&query).await? {
                    0 => {}
                    count => return Err(PackageError::NotEmpty(count)),
                },
            }
        }
        self.store.delete(&id, &found.revision).await?;
        self.cache.invalidate(&id);
        Ok(found.entity.clone())
    }

    /// Deletes all that a query finds, also what is added meanwhile.
    async fn empty(&self, query: &EntityQuery) -> Result<(), StoreError> {
        let query = EntityQuery { limit: AT_ONCE, ..query.clone() };
        loop {
            let actions = self.store.list(&query).await?;
            if actions.is_empty() {
                return Ok(());
            }
            for action in actions {
                self.store.delete(&action.id, &action.revision).await?;
                self.actions.invalidate(&action.id);
            }
        }
    }

    async fn check_provider(&self, binding: &Binding) -> Result<(), PackageError> {
        match self.find(&binding.id()).await {
            Ok(Some(provider)) if provider.entity.binding.is_some() => Err(PackageError::ProviderIsBinding),
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(PackageError::NoProvider),
            Err(PackageError::OtherKind) => Err(PackageError::ProviderIsOther),
            Err(error) => Err(error),
        }
    }

    async fn current(&self, id: &str) -> Result<Arc<Cached<Package>>, PackageError> {
        self.find(id).await?.ok_or(PackageError::Missing)
    }

    /// As the store has it now.
    async fn find(&self, id: &str) -> Result<Option<Arc<Cached<Package>>>, PackageError> {
        match self.cache.get_at(id, None).await? {
            Lookup::Found(found) => Ok(Some(found)),
            Lookup::Missing => Ok(None),
            Lookup::OtherKind => Err(PackageError::OtherKind),
        }
    }

    async fn write(&self, package: &Package, expected: Option<&Revision>) -> Result<(), PackageError> {
        let stored = Package { parameters: self.ciphers.sealed(&package.parameters), ..package.clone() };
        let document = Document {
            kind: EntityKind::Package,
            path: package.namespace.clone(),
            name: package.name.clone(),
            updated: package.updated,
            // Strangers are shown packages alone: a binding is its owner's, whatever it says of itself.
            publish: package.publish && package.binding.is_none(),
            json: json::raw(&stored).get().to_owned(),
            code: None,
        };
        self.store.put(&document, expected).await?;
        self.cache.invalidate(&document.id());
        Ok(())
    }
}

fn all_actions(path: EntityPath) -> EntityQuery {
    EntityQuery { kind: EntityKind::Action, path, only_public: false, skip: 0, limit: u64::MAX }
}

fn created(fqn: &Fqn, put: PackagePut, now: Millis) -> Package {
    Package {
        namespace: fqn.path.clone(),
        name: fqn.name.clone(),
        annotations: annotations(put.annotations.unwrap_or_default(), put.binding.as_ref()),
        binding: put.binding,
        parameters: put.parameters.unwrap_or_default(),
        version: put.version.unwrap_or(SemVer::FIRST),
        publish: put.publish.unwrap_or(false),
        updated: now,
    }
}

fn changed(old: Package, put: PackagePut, now: Millis) -> Package {
    let binding = put.binding.or(old.binding);
    Package {
        annotations: annotations(put.annotations.unwrap_or(old.annotations), binding.as_ref()),
        binding,
        parameters: put.parameters.unwrap_or(old.parameters),
        version: put.version.unwrap_or(old.version.next()),
        publish: put.publish.unwrap_or(old.publish),
        updated: now.max(Millis(old.updated.0 + 1)),
        namespace: old.namespace,
        name: old.name,
    }
}

/// Annotations in which `binding` is ours: lists show it.
fn annotations(mut given: Parameters, binding: Option<&Binding>) -> Parameters {
    given.remove(BINDING_ANNOTATION);
    if let Some(binding) = binding {
        given.set(BINDING_ANNOTATION, json::raw(binding));
    }
    given
}

#[cfg(test)]
mod tests {
    use super::*;

    fn binding(name: &str) -> Option<Binding> {
        serde_json::from_value(serde_json::json!({ "namespace": "other", "name": name })).unwrap()
    }

    #[test]
    fn the_annotation_of_a_binding_follows_the_binding() {
        let fqn = Fqn::parse("guest/b").unwrap();
        let claimed = Parameters::new().with("a", &1).with("binding", "mine");
        let plain = created(
            &fqn,
            PackagePut { annotations: Some(claimed.clone()), ..PackagePut::default() },
            Millis(5),
        );
        assert_eq!(plain.annotations, Parameters::new().with("a", &1));
        let put = PackagePut { annotations: Some(claimed), binding: binding("p"), ..PackagePut::default() };
        let bound = created(&fqn, put, Millis(5));
        assert_eq!(bound.annotations, Parameters::new().with("a", &1).with("binding", &binding("p")));
        let kept = changed(bound.clone(), PackagePut::default(), Millis(3));
        assert_eq!((&kept.annotations, kept.binding.clone()), (&bound.annotations, binding("p")));
        assert_eq!((kept.version.to_string(), kept.updated), ("0.0.2".to_owned(), Millis(6)));
        let put = PackagePut {
            annotations: Some(Parameters::new()),
            binding: binding("q"),
            ..PackagePut::default()
        };
        let moved = changed(kept, put, Millis(9));
        assert_eq!(moved.annotations, Parameters::new().with("binding", &binding("q")));
    }
}
