//! Subjects that are locked out: what they were let in with and has not begun is not begun any more.
//!
//! Controllers let nothing more of theirs in. Upstream's invokers ask the database every five minutes
//! (`core/invoker/.../invoker/NamespaceBlacklist.scala`) and go by namespaces, which several subjects may share; here the
//! store tells of changes.

use std::collections::HashSet;
use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use common::store::{Change, StoreError, SubjectStore};
use tokio::sync::broadcast::error::RecvError;
use tracing::warn;

/// Between two questions to a store that is away.
const RETRY: Duration = Duration::from_secs(1);

/// Who is locked out, as far as it is known.
#[derive(Debug, Default)]
pub struct Blocked(RwLock<HashSet<String>>);

impl Blocked {
    /// Whether that subject is.
    pub fn contains(&self, subject: &str) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).contains(subject)
    }

    async fn read(&self, subjects: &dyn SubjectStore) -> Result<(), StoreError> {
        let names = subjects.blocked().await?.into_iter().collect();
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = names;
        Ok(())
    }

    /// Reads who is, again whenever that may have changed, and tells of it. Cancel safe.
    pub async fn follow(&self, subjects: &dyn SubjectStore, read: impl Fn()) {
        let mut changes = subjects.changes();
        let mut told = false;
        loop {
            match self.read(subjects).await {
                Ok(()) => {
                    told = false;
                    read();
                }
                Err(error) => {
                    if !std::mem::replace(&mut told, true) {
                        let error = anyhow::Error::from(error);
                        warn!("who is blocked cannot be read, and stays as it was: {error:#}");
                    }
                    tokio::time::sleep(RETRY).await;
                    continue;
                }
            }
            loop {
                match changes.recv().await {
                    Ok(Change::Entity(_)) => {}
                    Ok(Change::Subjects | Change::Anything) | Err(RecvError::Lagged(_)) => break,
                    Err(RecvError::Closed) => return,
                }
            }
        }
    }
}
