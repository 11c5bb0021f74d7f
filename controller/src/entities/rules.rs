//! What GET, PUT, POST and DELETE of a rule mean.
//!
//! Upstream: `core/controller/src/main/scala/org/apache/openwhisk/core/controller/Rules.scala`.
//! A rule is two things: a document of its own, and a link in its trigger's document, which says what runs
//! and whether it does. Whoever changes a rule writes both in one transaction, in which also what is only
//! relied on must be as it was read: so there is no link without its rule, whatever else happens at once. Who
//! finds a trigger changed meanwhile, by another of its rules perhaps, tries again; who replaces or deletes a
//! rule and finds that changed does not, as upstream.

use std::sync::Arc;

use common::clock::{Clock, Millis};
use common::entity::json;
use common::entity::name::{EntityPath, Fqn};
use common::entity::rule::Rule;
use common::entity::trigger::{RuleStatus, Trigger};
use common::entity::version::SemVer;
use common::store::cache::EntityCache;
use common::store::{ArtifactStore, Document, EntityKind, Revision, StoreError, Write};

use super::actions::Overwrite;
use super::rule_put::RulePut;
use super::stored::{self, Found};
use super::triggers;
use crate::invoke::resolve::{ResolveError, Resolver};

/// So often something is tried while others change the same trigger. One of them gets on each time.
const ATTEMPTS: u32 = 16;

/// Why a rule cannot be read or changed.
#[derive(Debug, thiserror::Error)]
pub enum RuleError {
    /// There is none.
    #[error("there is no such rule")]
    Missing,
    /// The name is that of something else.
    #[error("it is no rule")]
    OtherKind,
    /// It is there, and is not to be overwritten.
    #[error("the rule exists")]
    Exists,
    /// A new rule without a trigger or an action.
    #[error("a new rule needs a trigger and an action")]
    Incomplete,
    /// Its trigger is not there.
    #[error("there is no trigger '{0}'")]
    NoTrigger(String),
    /// Its action is not there.
    #[error("there is no action '{0}'")]
    NoAction(String),
    /// Its trigger or action cannot be read.
    #[error("what the rule refers to cannot be read")]
    CorruptReference(#[source] StoreError),
    /// It is to be active, and its trigger is gone.
    #[error("the rule has lost its trigger")]
    TriggerGone,
    /// The store.
    #[error("the store failed with a rule")]
    Store(#[from] StoreError),
}

/// All rules.
pub struct Rules {
    store: Arc<dyn ArtifactStore>,
    triggers: Arc<EntityCache<Trigger>>,
    resolver: Resolver,
    clock: Arc<dyn Clock>,
}

impl Rules {
    /// In that store; triggers that are written are forgotten by that cache.
    pub fn new(
        store: Arc<dyn ArtifactStore>,
        triggers: Arc<EntityCache<Trigger>>,
        resolver: Resolver,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { store, triggers, resolver, clock }
    }

    /// One page of a namespace's rules, newest change first.
    pub async fn list(&self, path: EntityPath, skip: u64, limit: u64) -> Result<Vec<Rule>, RuleError> {
        Ok(stored::list(&*self.store, EntityKind::Rule, path, skip, limit).await?)
    }

    /// How many rules a namespace has.
    pub async fn count(&self, path: EntityPath) -> Result<u64, RuleError> {
        Ok(stored::count(&*self.store, EntityKind::Rule, path).await?)
    }

    /// A rule, and whether it is active.
    pub async fn get(&self, fqn: &Fqn) -> Result<(Rule, RuleStatus), RuleError> {
        let (rule, _) = self.find(fqn).await?.ok_or(RuleError::Missing)?;
        let status = self.see(&rule.trigger).await?.status(&rule);
        Ok((rule, status))
    }

    /// Creates or changes a rule. A new one is active, a changed one is what it was.
    pub async fn put(
        &self,
        fqn: &Fqn,
        put: &RulePut,
        overwrite: Overwrite,
    ) -> Result<(Rule, RuleStatus), RuleError> {
        again(Some(fqn), async || match self.find(fqn).await? {
            Some(_) if overwrite == Overwrite::No => Err(RuleError::Exists),
            Some((rule, revision)) => self.change(rule, revision, put.clone()).await,
            None => self.create(fqn, put.clone()).await,
        })
        .await
    }

    /// Makes a rule active or inactive.
    pub async fn set_status(&self, fqn: &Fqn, status: RuleStatus) -> Result<(), RuleError> {
        again(None, async || {
            let (rule, revision) = self.find(fqn).await?.ok_or(RuleError::Missing)?;
            let seen = self.see(&rule.trigger).await?;
            if seen.status(&rule) == status {
                return Ok(());
            }
            let mut trigger = seen.trigger?.ok_or(RuleError::TriggerGone)?;
            trigger.link(&rule, status);
            let linked = Write::Put(triggers::document(&trigger), seen.revision);
            self.write(&[Write::Unchanged(rule.id(), Some(revision)), linked]).await
        })
        .await
    }

    /// Deletes a rule, active or not, and returns what it was.
    pub async fn delete(&self, fqn: &Fqn) -> Result<Rule, RuleError> {
        again(Some(fqn), async || {
            let (rule, revision) = self.find(fqn).await?.ok_or(RuleError::Missing)?;
            let unlinked = self.see(&rule.trigger).await?.without(&rule);
            self.write(&[Write::Delete(rule.id(), revision), unlinked]).await?;
            Ok(rule)
        })
        .await
    }

    async fn create(&self, fqn: &Fqn, put: RulePut) -> Result<(Rule, RuleStatus), RuleError> {
        let (Some(trigger), Some(action)) = (put.trigger, put.action) else {
            return Err(RuleError::Incomplete);
        };
        let rule = Rule {
            namespace: fqn.path.clone(),
            name: fqn.name.clone(),
            trigger,
            action,
            annotations: put.annotations.unwrap_or_default(),
            version: put.version.unwrap_or(SemVer::FIRST),
            publish: put.publish.unwrap_or(false),
            updated: self.clock.now(),
        };
        let status = RuleStatus::Active;
        let linked = self.linked(&rule, status).await?;
        self.write(&[Write::Put(document(&rule), None), linked]).await?;
        Ok((rule, status))
    }

    async fn change(
        &self,
        old: Rule,
        revision: Revision,
        put: RulePut,
    ) -> Result<(Rule, RuleStatus), RuleError> {
        let before = self.see(&old.trigger).await?;
        let status = before.status(&old);
        let rule = Rule {
            trigger: put.trigger.unwrap_or_else(|| old.trigger.clone()),
            action: put.action.unwrap_or_else(|| old.action.clone()),
            annotations: put.annotations.unwrap_or_else(|| old.annotations.clone()),
            version: put.version.unwrap_or_else(|| old.version.next()),
            publish: put.publish.unwrap_or(old.publish),
            updated: self.clock.now().max(Millis(old.updated.0 + 1)),
            namespace: old.namespace.clone(),
            name: old.name.clone(),
        };
        let linked = self.linked(&rule, status).await?;
        let mut writes = vec![Write::Put(document(&rule), Some(revision)), linked];
        if before.id != rule.trigger.id() {
            writes.push(before.without(&old));
        }
        self.write(&writes).await?;
        Ok((rule, status))
    }

    /// The rule's trigger with a link to it. Trigger and action must be there, the trigger first.
    async fn linked(&self, rule: &Rule, status: RuleStatus) -> Result<Write, RuleError> {
        let named = |fqn: &Fqn| format!("/{}", fqn.id());
        let found = stored::find::<Trigger>(&*self.store, EntityKind::Trigger, &rule.trigger.id()).await;
        let (mut trigger, revision) = match found.map_err(reference)? {
            Found::Entity(trigger, revision) => (trigger, revision),
            Found::Nothing | Found::OtherKind => return Err(RuleError::NoTrigger(named(&rule.trigger))),
        };
        match self.resolver.resolve(&rule.action).await {
            Ok(_) => {}
            Err(ResolveError::Missing | ResolveError::OtherKind) => {
                return Err(RuleError::NoAction(named(&rule.action)));
            }
            Err(ResolveError::Store(error)) => return Err(reference(error)),
        }
        trigger.link(rule, status);
        Ok(Write::Put(triggers::document(&trigger), Some(revision)))
    }

    async fn find(&self, fqn: &Fqn) -> Result<Option<(Rule, Revision)>, RuleError> {
        match stored::find(&*self.store, EntityKind::Rule, &fqn.id()).await? {
            Found::Nothing => Ok(None),
            Found::OtherKind => Err(RuleError::OtherKind),
            Found::Entity(rule, revision) => Ok(Some((rule, revision))),
        }
    }

    /// Looks at a trigger, which may be anything by now.
    async fn see(&self, fqn: &Fqn) -> Result<Seen, RuleError> {
        let id = fqn.id();
        let stored = self.store.get(&id).await?;
        let revision = stored.as_ref().map(|stored| stored.revision.clone());
        let trigger = stored.filter(|stored| stored.kind == EntityKind::Trigger).map(|stored| stored.read());
        Ok(Seen { id, revision, trigger: trigger.transpose() })
    }

    async fn write(&self, writes: &[Write]) -> Result<(), RuleError> {
        self.store.write_all(writes).await?;
        for write in writes {
            self.triggers.invalidate(&write.id());
        }
        Ok(())
    }
}

/// The trigger of a rule, or what is in its place.
struct Seen {
    id: String,
    revision: Option<Revision>,
    trigger: Result<Option<Trigger>, StoreError>,
}

impl Seen {
    /// Without a trigger, or without a link in it, a rule is inactive.
    fn status(&self, rule: &Rule) -> RuleStatus {
        let trigger = self.trigger.as_ref().ok().and_then(Option::as_ref);
        trigger.map_or(RuleStatus::Inactive, |trigger| trigger.status_of(rule))
    }

    /// What takes away the link to a rule, or sees to it that there is none.
    fn without(self, rule: &Rule) -> Write {
        let trigger = self.trigger.ok().flatten();
        match trigger.and_then(|mut trigger| trigger.unlink(rule).then_some(trigger)) {
            Some(trigger) => Write::Put(triggers::document(&trigger), self.revision),
            None => Write::Unchanged(self.id, self.revision),
        }
    }
}

/// Does something with a rule, and does it again where somebody else has changed a document in between, unless
/// it is that of `rule`.
async fn again<T>(
    rule: Option<&Fqn>,
    mut attempt: impl AsyncFnMut() -> Result<T, RuleError>,
) -> Result<T, RuleError> {
    let rule = rule.map(Fqn::id);
    for _ in 1..ATTEMPTS {
        match attempt().await {
            Err(RuleError::Store(StoreError::Conflict(id))) if rule.as_ref() != Some(&id) => {}
            done => return done,
        }
    }
    attempt().await
}

/// Why what a rule refers to cannot be had.
fn reference(error: StoreError) -> RuleError {
    match error {
        StoreError::Corrupt { .. } => RuleError::CorruptReference(error),
        StoreError::Conflict(_) | StoreError::Unavailable { .. } => RuleError::Store(error),
    }
}

fn document(rule: &Rule) -> Document {
    Document {
        kind: EntityKind::Rule,
        path: rule.namespace.clone(),
        name: rule.name.clone(),
        updated: rule.updated,
        publish: rule.publish,
        json: json::raw(rule).get().to_owned(),
        code: None,
    }
}
