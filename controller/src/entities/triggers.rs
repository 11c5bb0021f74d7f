//! What GET, PUT and DELETE of a trigger mean.
//!
//! Upstream: `core/controller/src/main/scala/org/apache/openwhisk/core/controller/Triggers.scala`.
//! The rules that are linked to a trigger are changed by `rules` only: a PUT keeps them, and with a trigger
//! that is deleted they go.

use std::sync::Arc;

use common::clock::{Clock, Millis};
use common::entity::json;
use common::entity::name::{EntityPath, Fqn};
use common::entity::parameters::Parameters;
use common::entity::trigger::{FEED_ANNOTATION, Trigger};
use common::entity::version::SemVer;
use common::store::cache::{Cached, EntityCache, Lookup};
use common::store::{ArtifactStore, Document, EntityKind, Revision, StoreError};

use super::actions::Overwrite;
use super::draft::Draft;
use super::members::Malformed;
use super::stored::{self, Found};

/// Why a trigger cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum TriggerError {
    /// There is none.
    #[error("there is no such trigger")]
    Missing,
    /// The name is that of something else.
    #[error("it is no trigger")]
    OtherKind,
    /// It is there, and is not to be overwritten.
    #[error("the trigger exists")]
    Exists,
    /// What is to be its feed has no name that a feed could have.
    #[error("the feed has no legal name")]
    Feed,
    /// The store.
    #[error("the store failed with a trigger")]
    Store(#[from] StoreError),
}

/// What a PUT says about a trigger; what it leaves out is absent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TriggerPut {
    /// All of them: they replace what is stored.
    pub parameters: Option<Parameters>,
    /// All of them: they replace what is stored.
    pub annotations: Option<Parameters>,
    /// In place of the next one.
    pub version: Option<SemVer>,
    /// Kept and shown.
    pub publish: Option<bool>,
}

impl TriggerPut {
    /// Binds what is left of a body. A trigger has no limits, but what says otherwise must be an object.
    pub fn bind(draft: Draft<'_>) -> Result<Self, Malformed> {
        let Draft { members, parameters, annotations } = draft;
        if members.get("limits").is_some_and(|limits| !limits.get().starts_with('{')) {
            return Err(Malformed::new("Object expected"));
        }
        Ok(Self { parameters, annotations, version: members.version()?, publish: members.flag("publish")? })
    }
}

/// All triggers.
pub struct Triggers {
    store: Arc<dyn ArtifactStore>,
    cache: Arc<EntityCache<Trigger>>,
    clock: Arc<dyn Clock>,
}

impl Triggers {
    /// In that store; whatever is written is forgotten by that cache.
    pub fn new(
        store: Arc<dyn ArtifactStore>,
        cache: Arc<EntityCache<Trigger>>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { store, cache, clock }
    }

    /// One page of a namespace's triggers, newest change first.
    pub async fn list(&self, path: EntityPath, skip: u64, limit: u64) -> Result<Vec<Trigger>, TriggerError> {
        Ok(stored::list(&*self.store, EntityKind::Trigger, path, skip, limit).await?)
    }

    /// How many triggers a namespace has.
    pub async fn count(&self, path: EntityPath) -> Result<u64, TriggerError> {
        Ok(stored::count(&*self.store, EntityKind::Trigger, path).await?)
    }

    /// A trigger.
    pub async fn get(&self, fqn: &Fqn) -> Result<Trigger, TriggerError> {
        self.find(fqn).await?.map(|(trigger, _)| trigger).ok_or(TriggerError::Missing)
    }

    /// A trigger that is to be fired, as it is remembered.
    pub async fn recall(&self, fqn: &Fqn) -> Result<Arc<Cached<Trigger>>, TriggerError> {
        match self.cache.get(&fqn.id()).await? {
            Lookup::Found(trigger) => Ok(trigger),
            Lookup::Missing => Err(TriggerError::Missing),
            Lookup::OtherKind => Err(TriggerError::OtherKind),
        }
    }

    /// Creates or changes a trigger.
    pub async fn put(
        &self,
        fqn: &Fqn,
        put: TriggerPut,
        overwrite: Overwrite,
    ) -> Result<Trigger, TriggerError> {
        let found = self.find(fqn).await?;
        if found.is_some() && overwrite == Overwrite::No {
            return Err(TriggerError::Exists);
        }
        let now = self.clock.now();
        let (trigger, expected) = match found {
            None => (created(fqn, put, now)?, None),
            Some((trigger, revision)) => (changed(trigger, put, now), Some(revision)),
        };
        let document = document(&trigger);
        self.store.put(&document, expected.as_ref()).await?;
        self.cache.invalidate(&document.id());
        Ok(trigger)
    }

    /// Deletes a trigger, and returns what it was.
    pub async fn delete(&self, fqn: &Fqn) -> Result<Trigger, TriggerError> {
        let (trigger, revision) = self.find(fqn).await?.ok_or(TriggerError::Missing)?;
        let id = fqn.id();
        self.store.delete(&id, &revision).await?;
        self.cache.invalidate(&id);
        Ok(trigger)
    }

    async fn find(&self, fqn: &Fqn) -> Result<Option<(Trigger, Revision)>, TriggerError> {
        match stored::find(&*self.store, EntityKind::Trigger, &fqn.id()).await? {
            Found::Nothing => Ok(None),
            Found::OtherKind => Err(TriggerError::OtherKind),
            Found::Entity(trigger, revision) => Ok(Some((trigger, revision))),
        }
    }
}

/// A trigger as the store takes it.
pub fn document(trigger: &Trigger) -> Document {
    Document {
        kind: EntityKind::Trigger,
        path: trigger.namespace.clone(),
        name: trigger.name.clone(),
        updated: trigger.updated,
        publish: trigger.publish,
        json: json::raw(trigger).get().to_owned(),
        code: None,
    }
}

fn created(fqn: &Fqn, put: TriggerPut, now: Millis) -> Result<Trigger, TriggerError> {
    let annotations = put.annotations.unwrap_or_default();
    if let Some(feed) = annotations.get(FEED_ANNOTATION) {
        // A feed is an action that clients invoke. Whether there is one is seen when they do.
        serde_json::from_str::<EntityPath>(feed.get()).map_err(|_| TriggerError::Feed)?;
    }
    Ok(Trigger {
        namespace: fqn.path.clone(),
        name: fqn.name.clone(),
        parameters: put.parameters.unwrap_or_default(),
        annotations,
        version: put.version.unwrap_or(SemVer::FIRST),
        publish: put.publish.unwrap_or(false),
        updated: now,
        rules: None,
    })
}

fn changed(old: Trigger, put: TriggerPut, now: Millis) -> Trigger {
    Trigger {
        parameters: put.parameters.unwrap_or(old.parameters),
        annotations: put.annotations.unwrap_or(old.annotations),
        version: put.version.unwrap_or_else(|| old.version.next()),
        publish: put.publish.unwrap_or(old.publish),
        updated: now.max(Millis(old.updated.0 + 1)),
        ..old
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn put(body: &str) -> Result<TriggerPut, Malformed> {
        Draft::read(body.as_bytes()).and_then(TriggerPut::bind)
    }

    #[test]
    fn feeds_are_judged_by_their_names_when_a_trigger_is_created() {
        let fqn = Fqn::parse("ns/t").unwrap();
        let create = |feed: &str| {
            let body = format!(r#"{{"annotations":[{{"key":"feed","value":{feed}}}]}}"#);
            created(&fqn, put(&body).unwrap(), Millis(1))
        };
        for feed in [r#""xyz""#, r#""pkg/xyz""#, r#""/whisk.system/alarms/alarm""#] {
            assert!(create(feed).is_ok(), "{feed}");
        }
        for feed in [r#""""#, r#""a,b""#, "null", "7", r#"["a"]"#] {
            assert!(matches!(create(feed), Err(TriggerError::Feed)), "{feed}");
        }
    }

    #[test]
    fn what_a_change_leaves_out_stays() {
        let body = r#"{"parameters":[{"key":"a","value":1}],"annotations":[{"key":"b","value":2}],
            "limits":{},"publish":true,"version":"1.2.3","rules":{"x":1}}"#;
        let first = created(&Fqn::parse("ns/t").unwrap(), put(body).unwrap(), Millis(5)).unwrap();
        assert_eq!(first.rules, None);
        let second = changed(first.clone(), TriggerPut::default(), Millis(5));
        let expected = Trigger { version: SemVer::parse("1.2.4").unwrap(), updated: Millis(6), ..first };
        assert_eq!(second, expected);
        let parameters = Some(Parameters::new());
        let third = changed(second, TriggerPut { parameters, ..TriggerPut::default() }, Millis(9));
        assert!(third.parameters.is_empty() && !third.annotations.is_empty());
        assert_eq!(put(r#"{"limits":7}"#), Err(Malformed::new("Object expected")));
    }
}
