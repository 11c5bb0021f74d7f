//! One SQLite file: a connection that writes, and a few that read.
//!
//! SQLite has one writer at a time, so one connection behind a lock is all the queue there need be.
//! It lives as long as the store, which makes its `data_version` tell the writes of other processes
//! from our own. Readers are opened when they are first needed.

use std::fs;
use std::io;
use std::ops::{Deref, DerefMut};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use sqlx::migrate::{MigrateError, Migrator};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePool, SqlitePoolOptions,
    SqliteSynchronous,
};
use sqlx::{ConnectOptions, Connection};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use super::super::StoreError;
use crate::shutdown::Shutdown;

/// Connections that read.
const READERS: u32 = 4;

/// How long a write waits for another process's.
const BUSY: Duration = Duration::from_secs(10);

/// How long a read waits for a free connection.
const READER_WAIT: Duration = Duration::from_secs(10);

/// How long opening waits for another process that opens the same new file.
const OPENING: Duration = Duration::from_secs(10);

/// How long closing waits for writes under way.
const CLOSING: Duration = Duration::from_secs(10);

/// A failure of that operation, whatever the cause.
pub(super) fn failed<E: Into<anyhow::Error>>(operation: &'static str) -> impl FnOnce(E) -> StoreError {
    move |error| StoreError::Unavailable { operation, source: error.into() }
}

/// How a file is kept.
pub(super) struct Settings {
    pub(super) path: PathBuf,
    pub(super) synchronous: SqliteSynchronous,
    pub(super) checkpoint_pages: u32,
    pub(super) migrator: &'static Migrator,
}

/// An open file.
pub(super) struct Database {
    options: SqliteConnectOptions,
    writer: Mutex<Option<SqliteConnection>>,
    readers: SqlitePool,
    writes: Shutdown,
}

/// The connection that writes, held by one.
pub(super) struct Writer<'a> {
    connection: MutexGuard<'a, Option<SqliteConnection>>,
}

impl Deref for Writer<'_> {
    type Target = SqliteConnection;
    fn deref(&self) -> &SqliteConnection {
        self.connection.as_ref().expect("a writer is handed out only while it is open")
    }
}

impl DerefMut for Writer<'_> {
    fn deref_mut(&mut self) -> &mut SqliteConnection {
        self.connection.as_mut().expect("a writer is handed out only while it is open")
    }
}

impl Database {
    pub(super) async fn open(settings: Settings) -> Result<Self, StoreError> {
        create_private(&settings.path).map_err(failed("create the database"))?;
        let options = SqliteConnectOptions::new()
            .filename(&settings.path)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(settings.synchronous)
            .busy_timeout(BUSY)
            .pragma("wal_autocheckpoint", settings.checkpoint_pages.to_string())
            .disable_statement_logging();
        let writer = open_writer(&options, settings.migrator).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS)
            .min_connections(0)
            .acquire_timeout(READER_WAIT)
            .idle_timeout(None)
            .max_lifetime(None)
            .test_before_acquire(false)
            .connect_lazy_with(options.clone().pragma("query_only", "ON"));
        Ok(Self { options, writer: Mutex::new(Some(writer)), readers, writes: Shutdown::new() })
    }

    /// Writes all that is committed into a new file, for its owner alone, while others read and write on.
    pub(super) async fn copy_to(&self, path: &Path) -> Result<(), StoreError> {
        const OPERATION: &str = "copy the database";
        fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)
            .map_err(failed(OPERATION))?;
        let mut connection = self.options.connect().await.map_err(failed(OPERATION))?;
        let name = path.to_string_lossy().into_owned();
        let copied = sqlx::query("VACUUM INTO ?").bind(name).execute(&mut connection).await;
        copied.map_err(failed(OPERATION))?;
        connection.close().await.map_err(failed(OPERATION))?;
        fs::File::open(path).and_then(|file| file.sync_all()).map_err(failed(OPERATION))
    }

    pub(super) fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    pub(super) async fn writer(&self) -> Result<Writer<'_>, StoreError> {
        let connection = self.writer.lock().await;
        if connection.is_none() {
            return Err(failed("write")(anyhow::anyhow!("the store is closed")));
        }
        Ok(Writer { connection })
    }

    /// Runs a write to its end even if the caller goes away half-way: what was committed is also
    /// announced.
    pub(super) async fn finish<T: Send + 'static>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.writes.spawn("store-write", work).await.map_err(failed(operation))?
    }

    pub(super) async fn close(&self) {
        if !self.writes.finish(CLOSING).await {
            tracing::warn!("a write to the store did not end in {} s", CLOSING.as_secs());
        }
        self.readers.close().await;
        if let Some(writer) = self.writer.lock().await.take()
            && let Err(error) = writer.close().await
        {
            tracing::warn!(%error, "the store did not close well; its next opening repairs that");
        }
    }
}

/// Makes an empty file that only its owner reads; SQLite's files beside it inherit that. A file that
/// is there is not even opened: closing it would release the locks this process holds on it.
fn create_private(path: &Path) -> io::Result<()> {
    match fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => Ok(()),
    }
}

/// Opens the writing connection and brings the tables up to date. Two processes may do this to a new
/// file at once; who comes second fails somewhere on the way, and finds all done when it tries again.
async fn open_writer(
    options: &SqliteConnectOptions,
    migrator: &Migrator,
) -> Result<SqliteConnection, StoreError> {
    let deadline = Instant::now() + OPENING;
    loop {
        let error = match try_open(options, migrator).await {
            Ok(writer) => return Ok(writer),
            Err(error) => error,
        };
        if !is_race(&error) || Instant::now() > deadline {
            return Err(failed("open the database")(error));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn try_open(
    options: &SqliteConnectOptions,
    migrator: &Migrator,
) -> Result<SqliteConnection, MigrateError> {
    let mut writer = options.connect().await?;
    migrator.run_direct(None, &mut writer, false).await?;
    Ok(writer)
}

fn is_race(error: &MigrateError) -> bool {
    let (MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _)) = error else {
        return false;
    };
    let Some(error) = error.as_database_error() else { return false };
    let message = error.message();
    message.contains("locked") || message.contains("already exists") || error.is_unique_violation()
}

#[cfg(test)]
impl Database {
    /// Fails unless every statement goes straight to what it wants: no scan, no sorting.
    pub(super) async fn assert_planned(&self, statements: &[&str]) {
        for statement in statements {
            let explain = sqlx::AssertSqlSafe(format!("EXPLAIN QUERY PLAN {statement}"));
            let steps: Vec<(i64, i64, i64, String)> =
                sqlx::query_as(explain).fetch_all(&mut *self.writer().await.unwrap()).await.unwrap();
            for (_, _, _, step) in &steps {
                assert!(!step.starts_with("SCAN") && !step.contains("TEMP B-TREE"), "{statement}: {steps:?}");
            }
        }
    }
}
