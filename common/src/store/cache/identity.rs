//! Identities by the uuid of their credentials, so that a request authenticates without I/O.
//!
//! Unknown uuids are remembered too, apart from the known ones: guessing cannot push those out.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::bounded::Bounded;
use super::{Flights, obey};
use crate::shutdown::Shutdown;
use crate::store::{Change, IdentityRecord, StoreError, SubjectStore};

/// The longest uuid of which it is remembered that nobody has it.
const LONGEST_UNKNOWN: usize = 64;

struct State {
    known: Bounded<Arc<IdentityRecord>>,
    unknown: Bounded<()>,
    generation: u64,
    is_closed: bool,
}

impl State {
    fn recall(&mut self, uuid: &str) -> Option<Option<Arc<IdentityRecord>>> {
        if let Some(record) = self.known.get(uuid) {
            return Some(Some(record));
        }
        self.unknown.get(uuid).map(|()| None)
    }

    fn forget(&mut self) {
        self.generation += 1;
        self.known.clear();
        self.unknown.clear();
    }
}

/// Identities by uuid; obeys the store's change notices.
pub struct IdentityCache {
    subjects: Arc<dyn SubjectStore>,
    flights: Flights,
    state: Mutex<State>,
}

impl IdentityCache {
    /// A cache of so many identities, and of as many unknown uuids.
    pub fn new(subjects: Arc<dyn SubjectStore>, max_entries: usize) -> Arc<Self> {
        let state = State {
            known: Bounded::new(max_entries),
            unknown: Bounded::new(max_entries),
            generation: 0,
            is_closed: false,
        };
        Arc::new(Self { subjects, flights: Flights::default(), state: Mutex::new(state) })
    }

    /// The identity that credentials name by their uuid. No I/O if it is remembered.
    pub async fn by_uuid(&self, uuid: &str) -> Result<Option<Arc<IdentityRecord>>, StoreError> {
        if let Some(remembered) = self.lock().recall(uuid) {
            return Ok(remembered);
        }
        let _flight = self.flights.of(uuid).lock().await;
        let generation = {
            let mut state = self.lock();
            if let Some(remembered) = state.recall(uuid) {
                return Ok(remembered);
            }
            state.generation
        };
        let record = self.subjects.by_uuid(uuid).await?.map(Arc::new);
        let mut state = self.lock();
        if state.generation == generation && !state.is_closed {
            match &record {
                Some(record) => state.known.insert(uuid, record.clone()),
                None if uuid.len() <= LONGEST_UNKNOWN => state.unknown.insert(uuid, ()),
                None => {}
            }
        }
        Ok(record)
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
