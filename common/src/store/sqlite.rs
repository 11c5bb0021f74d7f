//! The stores of the embedded form: two SQLite files in the data directory.
//!
//! `entities.db` holds entities, code, subjects, keys and limits, and a write that has returned is on
//! the disk. `activations.db` holds records; a crash of the machine may cost its last moments, a crash
//! of the process costs nothing. Several processes may have them open: `wskadmin` beside the server.

mod activations;
mod changes;
mod database;
pub mod doctor;
mod entities;
mod retention;
mod subjects;

use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::sqlite::SqliteSynchronous;
use tokio::sync::broadcast;

use self::activations::SqliteActivations;
use self::changes::{NOTICES, watch};
use self::database::{Database, Settings, failed};
use self::entities::SqliteEntities;
use self::subjects::SqliteSubjects;
use super::{ActivationStore, ArtifactStore, Change, StoreError, SubjectStore, measured};
use crate::metrics::shared::StoreMetrics;
use crate::paths;
use crate::shutdown::Shutdown;

static ENTITIES: Migrator = sqlx::migrate!("src/store/sqlite/migrations/entities");
static ACTIVATIONS: Migrator = sqlx::migrate!("src/store/sqlite/migrations/activations");

/// The three stores of one data directory.
pub struct SqliteStores {
    /// Entities and their code.
    pub artifacts: Arc<dyn ArtifactStore>,
    /// Subjects, keys and limits.
    pub subjects: Arc<dyn SubjectStore>,
    /// Activation records.
    pub activations: Arc<dyn ActivationStore>,
    entities: Arc<Database>,
    records: Arc<Database>,
    changes: broadcast::Sender<Change>,
}

impl SqliteStores {
    /// Opens the files of a data directory; makes them, and the directory, if they are not there.
    pub async fn open(data_dir: &Path) -> Result<Self, StoreError> {
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(data_dir);
        made.map_err(failed("create the data directory"))?;
        let entities = Settings {
            path: data_dir.join(paths::ENTITIES),
            synchronous: SqliteSynchronous::Full,
            checkpoint_pages: 1_000,
            migrator: &ENTITIES,
        };
        let records = Settings {
            path: data_dir.join(paths::ACTIVATIONS),
            synchronous: SqliteSynchronous::Normal,
            checkpoint_pages: 4_000,
            migrator: &ACTIVATIONS,
        };
        let (entities, records) = tokio::try_join!(Database::open(entities), Database::open(records))?;
        let (entities, records) = (Arc::new(entities), Arc::new(records));
        let changes = broadcast::Sender::new(NOTICES);
        Ok(Self {
            artifacts: Arc::new(SqliteEntities::new(entities.clone(), changes.clone())),
            subjects: Arc::new(SqliteSubjects::new(entities.clone(), changes.clone())),
            activations: Arc::new(SqliteActivations::new(records.clone())),
            entities,
            records,
            changes,
        })
    }

    /// The same, with every call counted and timed.
    pub fn measured(mut self, metrics: &StoreMetrics) -> Self {
        self.artifacts = measured::artifacts(self.artifacts, metrics);
        self.subjects = measured::subjects(self.subjects, metrics);
        self.activations = measured::activations(self.activations, metrics);
        self
    }

    /// Starts to notice what other processes write.
    pub fn watch(&self, shutdown: &Shutdown) {
        let work = watch(self.entities.clone(), self.changes.clone(), shutdown.clone());
        shutdown.spawn("store-watch", work);
    }

    /// Drops records that are older than that, now and every hour; 0 keeps them for ever.
    pub fn keep(&self, retention: Duration, shutdown: &Shutdown) {
        if !retention.is_zero() {
            let work = retention::keep(self.records.clone(), retention, shutdown.clone());
            shutdown.spawn("store-upkeep", work);
        }
    }

    /// Writes all that is stored into files of the same names in a folder, which is there and holds none. The
    /// server may go on meanwhile: each file is as its database was at one moment.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`] if a file cannot be written.
    pub async fn copy_to(&self, folder: &Path) -> Result<(), StoreError> {
        self.entities.copy_to(&folder.join(paths::ENTITIES)).await?;
        self.records.copy_to(&folder.join(paths::ACTIVATIONS)).await
    }

    /// Finishes writes under way and closes the files. What is asked of the stores later is refused.
    pub async fn close(&self) {
        tokio::join!(self.entities.close(), self.records.close());
    }
}
