//! The stores of the distributed form: one PostgreSQL database that every process shares.
//!
//! Tables are made and changed at the start of whichever process comes first; the others wait for it.
//! Documents are text, kept to the byte; `jsonb` would refuse `\u0000`. What is lost with the connection
//! is an error that may be retried: nothing here waits longer than the settings allow.

mod activations;
mod changes;
mod database;
pub mod doctor;
mod entities;
pub mod nodes;
mod partitions;
mod subjects;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tracing::warn;

use self::activations::PostgresActivations;
use self::database::Database;
use self::entities::PostgresEntities;
use self::subjects::PostgresSubjects;
use super::{ActivationStore, ArtifactStore, StoreError, SubjectStore, measured};
use crate::clock::{Clock, Millis, SystemClock};
use crate::config::postgres::PostgresConfig;
use crate::metrics::shared::StoreMetrics;
use crate::shutdown::Shutdown;

/// How often partitions are made ahead and old ones dropped.
const UPKEEP: Duration = Duration::from_secs(3_600);

/// How soon an upkeep that failed is tried again.
const UPKEEP_RETRY: Duration = Duration::from_secs(60);

/// The three stores of one database.
pub struct PostgresStores {
    /// Entities and their code.
    pub artifacts: Arc<dyn ArtifactStore>,
    /// Subjects, keys and limits.
    pub subjects: Arc<dyn SubjectStore>,
    /// Activation records.
    pub activations: Arc<dyn ActivationStore>,
    database: Arc<Database>,
    retention: Duration,
}

impl PostgresStores {
    /// Connects, brings the tables up to date and makes the partitions of the time to come.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if the address or the password file cannot be used, or the server
    /// cannot be reached now.
    pub async fn connect(config: &PostgresConfig) -> Result<Self, StoreError> {
        let database = Arc::new(Database::open(config).await?);
        partitions::make_ahead(&database, SystemClock.now()).await?;
        Ok(Self {
            artifacts: Arc::new(PostgresEntities::new(database.clone())),
            subjects: Arc::new(PostgresSubjects::new(database.clone())),
            activations: Arc::new(PostgresActivations::new(database.clone())),
            database,
            retention: config.retention,
        })
    }

    /// The same, with every call counted and timed.
    pub fn measured(mut self, metrics: &StoreMetrics) -> Self {
        self.artifacts = measured::artifacts(self.artifacts, metrics);
        self.subjects = measured::subjects(self.subjects, metrics);
        self.activations = measured::activations(self.activations, metrics);
        self
    }

    /// Starts to listen to what other processes write, and to look after the partitions.
    pub fn watch(&self, shutdown: &Shutdown) {
        let listening = changes::watch(self.database.clone(), shutdown.clone());
        shutdown.spawn("store-watch", listening);
        let upkeep = keep_up(self.database.clone(), self.retention, shutdown.clone());
        shutdown.spawn("store-upkeep", upkeep);
    }

    /// Whether the database is away, as far as the connection knows that listens for changes.
    pub fn away(&self) -> watch::Receiver<bool> {
        self.database.away().subscribe()
    }

    /// Makes the partitions of the time around `now` and drops what is older than the retention. The
    /// watch does so by itself, every hour.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`]; what was done until then stands, and the rest is done by the next call.
    pub async fn upkeep(&self, now: Millis) -> Result<(), StoreError> {
        upkeep(&self.database, self.retention, now).await
    }

    /// Finishes writes under way and closes the connections. What is asked of the stores later is refused.
    pub async fn close(&self) {
        self.database.close().await;
    }
}

async fn upkeep(database: &Database, retention: Duration, now: Millis) -> Result<(), StoreError> {
    partitions::make_ahead(database, now).await?;
    if retention.is_zero() {
        return Ok(());
    }
    let retention = u64::try_from(retention.as_millis()).unwrap_or(u64::MAX);
    partitions::drop_before(database, Millis(now.0.saturating_sub(retention))).await
}

async fn keep_up(database: Arc<Database>, retention: Duration, shutdown: Shutdown) {
    loop {
        let work = upkeep(&database, retention, SystemClock.now());
        let done = tokio::select! {
            () = shutdown.requested() => return,
            done = work => done, // cut short, it is rolled back and done by the next
        };
        let pause = match done {
            Ok(()) => UPKEEP,
            Err(error) => {
                let cause = anyhow::Error::from(error);
                warn!("the partitions of the activation records are not looked after: {cause:#}");
                UPKEEP_RETRY
            }
        };
        tokio::select! {
            () = shutdown.requested() => return,
            () = tokio::time::sleep(pause) => {}
        }
    }
}
