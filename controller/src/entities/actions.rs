//! What GET, PUT and DELETE of an action mean.
//!
//! Upstream: `core/controller/src/main/scala/org/apache/openwhisk/core/controller/{Actions,ApiUtils}.scala`.
//! Code lies apart from the action and is brought together with it here, since every answer shows it.

use std::sync::Arc;

use bytes::Bytes;
use common::clock::{Clock, Millis};
use common::config::Config;
use common::entity::action::{Action, EXEC_ANNOTATION, PROVIDE_API_KEY};
use common::entity::encryption::Ciphers;
use common::entity::exec::Exec;
use common::entity::json;
use common::entity::limits::{ActionLimits, ActionLimitsPut, LimitOutOfRange, UserLimits};
use common::entity::name::{EntityPath, Fqn};
use common::entity::parameters::Parameters;
use common::entity::version::SemVer;
use common::manifest::Manifest;
use common::store::cache::EntityCache;
use common::store::{ArtifactStore, Document, EntityKind, Revision, StoreError};

use super::action_put::ActionPut;
use super::exec_put::ExecPut;
use super::sequences::{self, SequenceError};
use super::stored::{self, Found};
use crate::entitlement::concurrent_invocations;

/// Why an action cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum ActionError {
    /// There is none.
    #[error("there is no such action")]
    Missing,
    /// The name is that of something else.
    #[error("it is no action")]
    OtherKind,
    /// It is there, and is not to be overwritten.
    #[error("the action exists")]
    Exists,
    /// A new action without `exec`.
    #[error("a new action needs exec")]
    ExecUndefined,
    /// The kind may be read and deleted only.
    #[error("kind '{0}' is deprecated")]
    Deprecated(String),
    /// The namespace may not have actions of that kind.
    #[error("kind '{0}' is not allowed")]
    KindNotAllowed(String),
    /// A limit is not what the namespace may have.
    #[error(transparent)]
    Limit(#[from] LimitOutOfRange),
    /// More containers than the namespace may have activations.
    #[error("more instances than {0}")]
    Instances(u64),
    /// The components are not what they should be.
    #[error(transparent)]
    Sequence(#[from] SequenceError),
    /// The store.
    #[error("the store failed with an action")]
    Store(#[from] StoreError),
}

/// An action and its code.
#[derive(Clone, Debug)]
pub struct Coded {
    /// The action.
    pub action: Action,
    /// The text, where it has any.
    pub code: Option<Bytes>,
}

/// Whether a PUT may replace what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overwrite {
    /// It may.
    Yes,
    /// It may only create.
    No,
}

impl Overwrite {
    /// As the query says.
    pub fn of(flag: bool) -> Self {
        if flag { Self::Yes } else { Self::No }
    }
}

/// All actions.
pub struct Actions {
    store: Arc<dyn ArtifactStore>,
    cache: Arc<EntityCache<Action>>,
    clock: Arc<dyn Clock>,
    config: Arc<Config>,
    manifest: Arc<Manifest>,
    ciphers: Ciphers,
}

impl Actions {
    /// In that store; whatever is written is forgotten by that cache.
    pub fn new(
        store: Arc<dyn ArtifactStore>,
        cache: Arc<EntityCache<Action>>,
        clock: Arc<dyn Clock>,
        config: Arc<Config>,
        manifest: Arc<Manifest>,
    ) -> Self {
        let ciphers = config.parameter_storage.ciphers();
        Self { store, cache, clock, config, manifest, ciphers }
    }

    /// One page of the actions of a namespace, those in packages included, or of a package; newest change first.
    pub async fn list(&self, path: EntityPath, skip: u64, limit: u64) -> Result<Vec<Action>, ActionError> {
        Ok(stored::list(&*self.store, EntityKind::Action, path, skip, limit).await?)
    }

    /// How many actions a namespace or a package has.
    pub async fn count(&self, path: EntityPath) -> Result<u64, ActionError> {
        Ok(stored::count(&*self.store, EntityKind::Action, path).await?)
    }

    /// An action without its code.
    pub async fn get(&self, fqn: &Fqn) -> Result<Action, ActionError> {
        self.find(fqn).await?.map(|(action, _)| action).ok_or(ActionError::Missing)
    }

    /// An action with its code.
    pub async fn get_coded(&self, fqn: &Fqn) -> Result<Coded, ActionError> {
        let action = self.get(fqn).await?;
        let code = self.code(&action).await?;
        Ok(Coded { action, code })
    }

    /// Creates or changes an action.
    pub async fn put(
        &self,
        fqn: &Fqn,
        put: ActionPut,
        overwrite: Overwrite,
        own: &UserLimits,
    ) -> Result<Coded, ActionError> {
        if let Some(kind) = put.kind() {
            self.check_allowed(kind, own)?;
        }
        self.config.action_limits().for_namespace(own).check(&put.limits)?;
        let found = self.find(fqn).await?;
        if found.is_some() && overwrite == Overwrite::No {
            return Err(ActionError::Exists);
        }
        let concurrent = concurrent_invocations(own, &self.config.limits);
        if put.limits.instances.is_some_and(|instances| instances > concurrent) {
            return Err(ActionError::Instances(concurrent));
        }
        if let Some(ExecPut { exec: Exec::Sequence { components, .. }, .. }) = &put.exec {
            sequences::check(&*self.store, fqn, components, self.config.limits.sequence_length).await?;
        }
        let now = self.clock.now();
        let (coded, expected) = match found {
            None => (self.created(fqn, put, now)?, None),
            Some((action, revision)) => (self.changed(action, put, now).await?, Some(revision)),
        };
        self.check_supported(&coded.action)?;
        self.write(&coded, expected.as_ref()).await?;
        Ok(coded)
    }

    /// Deletes an action, and returns what it was.
    pub async fn delete(&self, fqn: &Fqn) -> Result<Coded, ActionError> {
        let (action, revision) = self.find(fqn).await?.ok_or(ActionError::Missing)?;
        let code = self.code(&action).await?;
        let id = fqn.id();
        self.store.delete(&id, &revision).await?;
        self.cache.invalidate(&id);
        Ok(Coded { action, code })
    }

    async fn find(&self, fqn: &Fqn) -> Result<Option<(Action, Revision)>, ActionError> {
        match stored::find(&*self.store, EntityKind::Action, &fqn.id()).await? {
            Found::Nothing => Ok(None),
            Found::OtherKind => Err(ActionError::OtherKind),
            Found::Entity(action, revision) => Ok(Some((action, revision))),
        }
    }

    async fn code(&self, action: &Action) -> Result<Option<Bytes>, ActionError> {
        let Some(reference) = action.exec.code() else { return Ok(None) };
        match self.store.code(&reference.digest).await? {
            Some(code) => Ok(Some(code)),
            None => {
                let source = anyhow::anyhow!("its code {} is missing", reference.digest);
                Err(StoreError::Corrupt { id: action.fqn().id(), source }.into())
            }
        }
    }

    fn created(&self, fqn: &Fqn, put: ActionPut, now: Millis) -> Result<Coded, ActionError> {
        let ExecPut { exec, code, .. } = put.exec.ok_or(ActionError::ExecUndefined)?;
        let mut annotations = put.annotations.unwrap_or_default();
        if self.config.feature_flags.require_api_key_annotation && annotations.get(PROVIDE_API_KEY).is_none()
        {
            annotations.set(PROVIDE_API_KEY, json::raw(&false));
        }
        annotations.set(EXEC_ANNOTATION, json::raw(exec.kind()));
        let action = Action {
            namespace: fqn.path.clone(),
            name: fqn.name.clone(),
            parameters: match &exec {
                Exec::Sequence { components, .. } => sequences::parameters(components),
                Exec::Blackbox { .. } | Exec::Code { .. } => put.parameters.unwrap_or_default(),
            },
            exec,
            annotations,
            limits: limits_over(self.config.action_limits().standard(), &put.limits),
            version: put.version.unwrap_or(SemVer::FIRST),
            publish: put.publish.unwrap_or(false),
            updated: now,
        };
        Ok(Coded { action, code: code.map(Bytes::from) })
    }

    async fn changed(&self, old: Action, put: ActionPut, now: Millis) -> Result<Coded, ActionError> {
        let parameters = parameters_over(&old, put.exec.as_ref().map(|put| &put.exec), put.parameters);
        // To make a sequence deletes no annotations.
        let delete = match &put.exec {
            Some(ExecPut { exec: Exec::Sequence { .. }, .. }) => Vec::new(),
            _ => put.del_annotations,
        };
        let (exec, code) = match put.exec {
            Some(put) => (put.exec, put.code.map(Bytes::from)),
            None => (old.exec.clone(), self.code(&old).await?),
        };
        let annotations = annotations_over(&old.annotations, &delete, put.annotations, &exec);
        let action = Action {
            exec,
            parameters,
            annotations,
            limits: limits_over(old.limits, &put.limits),
            version: put.version.unwrap_or(old.version.next()),
            publish: put.publish.unwrap_or(old.publish),
            updated: now.max(Millis(old.updated.0 + 1)),
            namespace: old.namespace,
            name: old.name,
        };
        Ok(Coded { action, code })
    }

    async fn write(&self, coded: &Coded, expected: Option<&Revision>) -> Result<(), ActionError> {
        let Coded { action, code } = coded;
        let stored = Action { parameters: self.ciphers.sealed(&action.parameters), ..action.clone() };
        let document = Document {
            kind: EntityKind::Action,
            path: action.namespace.clone(),
            name: action.name.clone(),
            updated: action.updated,
            publish: action.publish,
            json: json::raw(&stored).get().to_owned(),
            code: action.exec.code().cloned().zip(code.clone()),
        };
        self.store.put(&document, expected).await?;
        self.cache.invalidate(&document.id());
        Ok(())
    }

    /// The namespace's own kinds and the deployment's together; if neither names any, all are allowed.
    fn check_allowed(&self, kind: &str, own: &UserLimits) -> Result<(), ActionError> {
        let named = [own.allowed_kinds.as_deref(), self.config.runtimes.whitelist.as_deref()];
        let mut allowed = named.into_iter().flatten().flatten().peekable();
        if allowed.peek().is_none() || allowed.any(|allowed| allowed == kind) {
            Ok(())
        } else {
            Err(ActionError::KindNotAllowed(kind.to_owned()))
        }
    }

    fn check_supported(&self, action: &Action) -> Result<(), ActionError> {
        let kind = action.exec.kind();
        match self.manifest.resolve(kind) {
            Some(runtime) if runtime.deprecated => Err(ActionError::Deprecated(kind.to_owned())),
            _ => Ok(()),
        }
    }
}

/// What an action has as parameters after a PUT. Those of a sequence are its components' names, which are
/// nobody's to change and which no other kind of action keeps.
fn parameters_over(old: &Action, exec: Option<&Exec>, given: Option<Parameters>) -> Parameters {
    let was_sequence = matches!(old.exec, Exec::Sequence { .. });
    match exec {
        Some(Exec::Sequence { components, .. }) => sequences::parameters(components),
        None if was_sequence => old.parameters.clone(),
        Some(_) if was_sequence => given.unwrap_or_default(),
        _ => given.unwrap_or_else(|| old.parameters.clone()),
    }
}

/// Stored limits, with those that a PUT names over them. All were checked to be in range.
fn limits_over(old: ActionLimits, put: &ActionLimitsPut) -> ActionLimits {
    let narrow = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
    ActionLimits {
        timeout: put.timeout.unwrap_or(old.timeout),
        memory: put.memory.unwrap_or(old.memory),
        logs: put.logs.unwrap_or(old.logs),
        concurrency: put.concurrency.map_or(old.concurrency, narrow),
        instances: put.instances.map(narrow).or(old.instances),
    }
}

/// Stored annotations less those to be deleted, with the given ones over them, and the kind over all.
fn annotations_over(
    old: &Parameters,
    delete: &[String],
    given: Option<Parameters>,
    exec: &Exec,
) -> Parameters {
    let mut annotations = old.clone();
    for key in delete {
        annotations.remove(key);
    }
    let mut annotations = annotations.merged(&given.unwrap_or_default());
    annotations.set(EXEC_ANNOTATION, json::raw(exec.kind()));
    annotations
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_are_deleted_then_merged_and_the_kind_is_ours() {
        let old = Parameters::new().with("k1", &1).with("k2", &2).with("exec", "nodejs:18");
        let exec = Exec::Blackbox {
            kind: common::entity::exec::BlackboxKind::Blackbox,
            image: "a/b".into(),
            code: None,
            binary: false,
            main: None,
        };
        let given = Parameters::new().with("k2", &3).with("exec", "foo");
        let merged = annotations_over(&old, &["k1".to_owned()], Some(given), &exec);
        assert_eq!(merged, Parameters::new().with("k2", &3).with("exec", "blackbox"));
        let kept = annotations_over(&old, &[], None, &exec);
        assert_eq!(kept, Parameters::new().with("k1", &1).with("k2", &2).with("exec", "blackbox"));
    }

    #[test]
    fn limits_are_merged_one_by_one() {
        let old = Config::default().action_limits().standard();
        let put = ActionLimitsPut { memory: Some(128), instances: Some(2), ..ActionLimitsPut::default() };
        let merged = limits_over(old.clone(), &put);
        assert_eq!((merged.memory, merged.instances, merged.timeout), (128, Some(2), old.timeout));
        let again = limits_over(merged, &ActionLimitsPut::default());
        assert_eq!((again.memory, again.instances), (128, Some(2)));
    }
}
