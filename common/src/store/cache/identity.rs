//! Identities by the uuid of their credentials, so that a request authenticates without I/O, and by the
//! namespace that a web action runs for.
//!
//! What nobody has is remembered too, apart from what somebody has: guessing cannot push that out.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::bounded::Bounded;
use super::{Flights, obey};
use crate::metrics::shared::CacheMetrics;
use crate::shutdown::Shutdown;
use crate::store::{Change, IdentityRecord, StoreError, SubjectStore};

/// The longest uuid or name of which it is remembered that nobody has it.
const LONGEST_UNKNOWN: usize = 64;

/// Identities under one kind of key.
struct Side {
    known: Bounded<Arc<IdentityRecord>>,
    unknown: Bounded<()>,
}

impl Side {
    fn new(max_entries: usize) -> Self {
        Self { known: Bounded::new(max_entries), unknown: Bounded::new(max_entries) }
    }

    fn recall(&mut self, key: &str) -> Option<Option<Arc<IdentityRecord>>> {
        if let Some(record) = self.known.get(key) {
            return Some(Some(record));
        }
        self.unknown.get(key).map(|()| None)
    }

    fn remember(&mut self, key: &str, record: Option<&Arc<IdentityRecord>>) {
        match record {
            Some(record) => self.known.insert(key, record.clone()),
            None if key.len() <= LONGEST_UNKNOWN => self.unknown.insert(key, ()),
            None => {}
        }
    }

    fn forget(&mut self) {
        self.known.clear();
        self.unknown.clear();
    }
}

struct State {
    by_uuid: Side,
    by_namespace: Side,
    generation: u64,
    is_closed: bool,
}

impl State {
    fn side(&mut self, key: Key<'_>) -> &mut Side {
        match key {
            Key::Uuid(_) => &mut self.by_uuid,
            Key::Namespace(_) => &mut self.by_namespace,
        }
    }

    fn forget(&mut self) {
        self.generation += 1;
        self.by_uuid.forget();
        self.by_namespace.forget();
    }
}

/// What an identity is looked for by.
#[derive(Clone, Copy)]
enum Key<'a> {
    Uuid(&'a str),
    Namespace(&'a str),
}

impl<'a> Key<'a> {
    fn text(self) -> &'a str {
        match self {
            Self::Uuid(text) | Self::Namespace(text) => text,
        }
    }
}

/// Identities by uuid and by namespace; obeys the store's change notices.
pub struct IdentityCache {
    subjects: Arc<dyn SubjectStore>,
    flights: Flights,
    state: Mutex<State>,
    metrics: CacheMetrics,
}

impl IdentityCache {
    /// A cache of so many identities, and of as many unknown ones, for uuids and for namespaces each.
    pub fn new(subjects: Arc<dyn SubjectStore>, max_entries: usize, metrics: CacheMetrics) -> Arc<Self> {
        let state = State {
            by_uuid: Side::new(max_entries),
            by_namespace: Side::new(max_entries),
            generation: 0,
            is_closed: false,
        };
        Arc::new(Self { subjects, flights: Flights::default(), state: Mutex::new(state), metrics })
    }

    /// The identity that credentials name by their uuid. No I/O if it is remembered.
    pub async fn by_uuid(&self, uuid: &str) -> Result<Option<Arc<IdentityRecord>>, StoreError> {
        self.find(Key::Uuid(uuid)).await
    }

    /// An identity of a namespace that is not locked out; the first, if several subjects have it. No I/O if
    /// it is remembered.
    pub async fn by_namespace(&self, namespace: &str) -> Result<Option<Arc<IdentityRecord>>, StoreError> {
        self.find(Key::Namespace(namespace)).await
    }

    async fn find(&self, key: Key<'_>) -> Result<Option<Arc<IdentityRecord>>, StoreError> {
        let text = key.text();
        if let Some(remembered) = self.lock().side(key).recall(text) {
            self.metrics.hit.inc();
            return Ok(remembered);
        }
        self.metrics.miss.inc();
        let _flight = self.flights.of(text).lock().await;
        let generation = {
            let mut state = self.lock();
            if let Some(remembered) = state.side(key).recall(text) {
                return Ok(remembered);
            }
            state.generation
        };
        let record = self.read(key).await?.map(Arc::new);
        let mut state = self.lock();
        if state.generation == generation && !state.is_closed {
            state.side(key).remember(text, record.as_ref());
        }
        Ok(record)
    }

    async fn read(&self, key: Key<'_>) -> Result<Option<IdentityRecord>, StoreError> {
        match key {
            Key::Uuid(uuid) => self.subjects.by_uuid(uuid).await,
            Key::Namespace(namespace) => {
                let all = self.subjects.by_namespace(namespace).await?;
                Ok(all.into_iter().find(|record| !record.blocked))
            }
        }
    }

    /// Forgets all, reads in progress included.
    pub fn invalidate_all(&self) {
        self.lock().forget();
    }

    /// Forgets what the store says has changed, until the shutdown.
    pub async fn follow(self: Arc<Self>, shutdown: Shutdown) {
        let changes = self.subjects.changes();
        self.invalidate_all();
        obey(changes, shutdown, |change| match change {
            Change::Subjects | Change::Anything => self.invalidate_all(),
            Change::Entity(_) => {}
        })
        .await;
        let mut state = self.lock();
        state.is_closed = true;
        state.forget();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
