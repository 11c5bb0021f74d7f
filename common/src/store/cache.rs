//! Entities by id, so that an invocation resolves its action without I/O.
//!
//! What is remembered may be behind the store by the time a change notice takes, at most a second;
//! whoever must see the newest asks the store, or names the revision it wants. A read that was under
//! way when its entry was invalidated is answered but not remembered. Misses of one id read the store
//! once. Once nothing announces changes any more, nothing is remembered.

mod bounded;
mod identity;

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::de::DeserializeOwned;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;

use self::bounded::Bounded;
pub use self::identity::IdentityCache;
use super::{ArtifactStore, Change, EntityKind, Revision, StoreError};
use crate::metrics::shared::CacheMetrics;
use crate::shutdown::Shutdown;

/// Ids share so many counters and locks.
const STRIPES: usize = 64;

/// An entity with the revision it was read at.
#[derive(Debug)]
pub struct Cached<T> {
    /// Of the document.
    pub revision: Revision,
    /// The entity.
    pub entity: T,
}

/// What is found under an id.
#[derive(Debug)]
pub enum Lookup<T> {
    /// The entity.
    Found(Arc<Cached<T>>),
    /// Nothing.
    Missing,
    /// An entity of another kind.
    OtherKind,
}

struct State<T> {
    entries: Bounded<Arc<Cached<T>>>,
    /// How often an id of the stripe was invalidated.
    generations: [u64; STRIPES],
    is_closed: bool,
}

impl<T> State<T> {
    fn recall(&mut self, id: &str, revision: Option<&Revision>) -> Option<Arc<Cached<T>>> {
        self.entries.get(id).filter(|cached| revision.is_none_or(|wanted| cached.revision == *wanted))
    }

    fn forget(&mut self) {
        for generation in &mut self.generations {
            *generation += 1;
        }
        self.entries.clear();
    }
}

/// Entities of one kind; obeys the store's change notices.
pub struct EntityCache<T> {
    store: Arc<dyn ArtifactStore>,
    kind: EntityKind,
    flights: Flights,
    state: Mutex<State<T>>,
    metrics: CacheMetrics,
}

impl<T: DeserializeOwned + Send + Sync + 'static> EntityCache<T> {
    /// A cache of so many entities of that kind.
    pub fn new(
        store: Arc<dyn ArtifactStore>,
        kind: EntityKind,
        max_entries: usize,
        metrics: CacheMetrics,
    ) -> Arc<Self> {
        let entries = Bounded::new(max_entries);
        let state = State { entries, generations: [0; STRIPES], is_closed: false };
        Arc::new(Self { store, kind, flights: Flights::default(), state: Mutex::new(state), metrics })
    }

    /// The entity of that id. No I/O if it is remembered.
    pub async fn get(&self, id: &str) -> Result<Lookup<T>, StoreError> {
        if let Some(cached) = self.lock().recall(id, None) {
            self.metrics.hit.inc();
            return Ok(Lookup::Found(cached));
        }
        self.metrics.miss.inc();
        self.read_once(id, None).await
    }

    /// The entity of that id at that revision or a newer one. Without a revision the store is asked.
    /// If the store has another revision than the one wanted, the store's is the answer.
    pub async fn get_at(&self, id: &str, revision: Option<&Revision>) -> Result<Lookup<T>, StoreError> {
        let Some(revision) = revision else { return self.read(id).await };
        if let Some(cached) = self.lock().recall(id, Some(revision)) {
            self.metrics.hit.inc();
            return Ok(Lookup::Found(cached));
        }
        self.metrics.miss.inc();
        self.read_once(id, Some(revision)).await
    }

    /// Forgets that id, reads in progress included.
    pub fn invalidate(&self, id: &str) {
        let stripe = self.flights.stripe(id);
        let mut state = self.lock();
        state.generations[stripe] += 1;
        state.entries.remove(id);
    }

    /// Forgets what the store says has changed, until the shutdown.
    pub async fn follow(self: Arc<Self>, shutdown: Shutdown) {
        let changes = self.store.changes();
        self.lock().forget();
        obey(changes, shutdown, |change| match change {
            Change::Entity(id) => self.invalidate(&id),
            Change::Anything => self.lock().forget(),
            Change::Subjects => {}
        })
        .await;
        let mut state = self.lock();
        state.is_closed = true;
        state.forget();
    }

    async fn read_once(&self, id: &str, revision: Option<&Revision>) -> Result<Lookup<T>, StoreError> {
        let _flight = self.flights.of(id).lock().await;
        if let Some(cached) = self.lock().recall(id, revision) {
            return Ok(Lookup::Found(cached));
        }
        self.read(id).await
    }

    async fn read(&self, id: &str) -> Result<Lookup<T>, StoreError> {
        let stripe = self.flights.stripe(id);
        let generation = self.lock().generations[stripe];
        let Some(stored) = self.store.get(id).await? else { return Ok(Lookup::Missing) };
        if stored.kind != self.kind {
            return Ok(Lookup::OtherKind);
        }
        let entity = stored.read()?;
        let cached = Arc::new(Cached { revision: stored.revision, entity });
        let mut state = self.lock();
        if state.generations[stripe] == generation && !state.is_closed {
            state.entries.insert(id, cached.clone());
        }
        Ok(Lookup::Found(cached))
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Lets one reader at a time to the store for each stripe of ids.
struct Flights {
    hasher: RandomState,
    locks: [tokio::sync::Mutex<()>; STRIPES],
}

impl Default for Flights {
    fn default() -> Self {
        Self { hasher: RandomState::new(), locks: [const { tokio::sync::Mutex::const_new(()) }; STRIPES] }
    }
}

impl Flights {
    fn stripe(&self, id: &str) -> usize {
        self.hasher.hash_one(id) as usize % STRIPES
    }

    fn of(&self, id: &str) -> &tokio::sync::Mutex<()> {
        &self.locks[self.stripe(id)]
    }
}

/// Hands on every change until the shutdown or the end of the notices. Whoever missed some is told
/// that anything may have changed.
async fn obey(mut changes: broadcast::Receiver<Change>, shutdown: Shutdown, mut on: impl FnMut(Change)) {
    loop {
        let change = tokio::select! {
            () = shutdown.requested() => return,
            change = changes.recv() => change,
        };
        match change {
            Ok(change) => on(change),
            Err(RecvError::Lagged(_)) => on(Change::Anything),
            Err(RecvError::Closed) => return,
        }
    }
}

#[cfg(test)]
mod tests;
