//! The connections to one database: a pool with bounded waits, and how a write is announced.
//!
//! A write tells every process in its own transaction (`NOTIFY`), and this one as soon as it has
//! returned. Notices carry their sender's mark, so that a process does not hear its own writes twice.
//! When a write ends in doubt the sender takes another mark: should it have been committed after all,
//! its notice counts as somebody else's.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPool, PgPoolOptions};
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::sync::{broadcast, watch};

use super::super::{Change, StoreError};
use super::changes::{CHANNEL, NOTICES, Notice};
use crate::config::postgres::PostgresConfig;
use crate::shutdown::Shutdown;

pub(super) static MIGRATOR: Migrator = sqlx::migrate!("src/store/postgres/migrations");

const NOTIFY: &str = "SELECT pg_notify($1, $2)";

/// How long closing waits for writes under way.
const CLOSING: Duration = Duration::from_secs(10);

/// A failure of that operation, whatever the cause.
pub(super) fn failed<E: Into<anyhow::Error>>(operation: &'static str) -> impl FnOnce(E) -> StoreError {
    move |error| StoreError::Unavailable { operation, source: error.into() }
}

/// One database.
pub(super) struct Database {
    pool: PgPool,
    options: PgConnectOptions,
    acquire_timeout: Duration,
    patience: Duration,
    changes: broadcast::Sender<Change>,
    away: watch::Sender<bool>,
    mark: AtomicU64,
    writes: Shutdown,
}

impl Database {
    /// Connects and brings the tables up to date, under the lock that sqlx's migrations take.
    pub(super) async fn open(config: &PostgresConfig) -> Result<Self, StoreError> {
        const OPERATION: &str = "connect to PostgreSQL";
        let options = options(config)?;
        let connecting = tokio::time::timeout(config.acquire_timeout, options.connect());
        let mut connection =
            connecting.await.map_err(failed(OPERATION))?.map_err(failed::<sqlx::Error>(OPERATION))?;
        // Another process may be busy with the tables, or there may be much to change.
        MIGRATOR.run_direct(None, &mut connection, false).await.map_err(failed("make the tables"))?;
        connection.close().await.map_err(failed(OPERATION))?;
        let timeout = config.statement_timeout.as_millis().to_string();
        // Every list is planned over all partitions, which takes longer than the list; and PostgreSQL does so
        // each time, since it does not know that a page is short. No plan of ours depends on the values.
        let plans = "force_generic_plan".to_owned();
        let options = options.options([("statement_timeout", timeout), ("plan_cache_mode", plans)]);
        let pool = PgPoolOptions::new()
            .max_connections(config.max_connections)
            .acquire_timeout(config.acquire_timeout)
            .connect_lazy_with(options.clone());
        Ok(Self {
            pool,
            options,
            acquire_timeout: config.acquire_timeout,
            patience: config.acquire_timeout + config.statement_timeout,
            changes: broadcast::Sender::new(NOTICES),
            away: watch::channel(false).0,
            mark: AtomicU64::new(rand::random()),
            writes: Shutdown::new(),
        })
    }

    pub(super) fn pool(&self) -> &PgPool {
        &self.pool
    }

    pub(super) fn changes(&self) -> &broadcast::Sender<Change> {
        &self.changes
    }

    /// Whether it is away, as the connection finds that listens.
    pub(super) fn away(&self) -> &watch::Sender<bool> {
        &self.away
    }

    /// What this process's notices carry now.
    pub(super) fn mark(&self) -> u64 {
        self.mark.load(Ordering::SeqCst)
    }

    /// A connection of the caller's own, who bounds the wait for it.
    pub(super) async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        self.options.connect().await
    }

    /// A pool of one connection that no other call takes.
    pub(super) fn dedicated(&self) -> PgPool {
        PgPoolOptions::new()
            .max_connections(1)
            .acquire_timeout(self.acquire_timeout)
            .idle_timeout(None)
            .max_lifetime(None)
            .connect_lazy_with(self.options.clone())
    }

    /// A call, with a bound even if the server has gone silent.
    pub(super) async fn bounded<T>(
        &self,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, sqlx::Error> {
        let late = |_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
        tokio::time::timeout(self.patience, work).await.map_err(late)?
    }

    /// A call that reads.
    pub(super) async fn read<T>(
        &self,
        operation: &'static str,
        work: impl Future<Output = Result<T, sqlx::Error>>,
    ) -> Result<T, StoreError> {
        self.bounded(work).await.map_err(failed(operation))
    }

    /// Has the transaction tell every process of the change when it is committed.
    pub(super) async fn notify(&self, write: &mut PgConnection, change: Change) -> Result<(), sqlx::Error> {
        let notice = Notice { mark: self.mark(), change };
        sqlx::query(NOTIFY).bind(CHANNEL).bind(notice.to_string()).execute(write).await.map(drop)
    }

    /// Runs a write to its end even if the caller goes away half-way, and announces the changes here
    /// unless they are known not to have happened.
    pub(super) async fn finish<T: Send + 'static>(
        self: &Arc<Self>,
        operation: &'static str,
        changes: Vec<Change>,
        work: impl Future<Output = Result<T, StoreError>> + Send + 'static,
    ) -> Result<T, StoreError> {
        let database = self.clone();
        let work = async move {
            let done = tokio::time::timeout(database.patience, work).await;
            let done = done.unwrap_or_else(|late| Err(failed(operation)(late)));
            match &done {
                Ok(_) => {}
                Err(StoreError::Conflict(_) | StoreError::Corrupt { .. }) => return done,
                Err(StoreError::Unavailable { .. }) => {
                    database.mark.fetch_add(1, Ordering::SeqCst);
                }
            }
            for change in changes {
                let _ = database.changes.send(change);
            }
            done
        };
        self.writes.spawn("store-write", work).await.map_err(failed(operation))?
    }

    pub(super) async fn close(&self) {
        if !self.writes.finish(CLOSING).await {
            tracing::warn!("a write to the store did not end in {} s", CLOSING.as_secs());
        }
        if tokio::time::timeout(CLOSING, self.pool.close()).await.is_err() {
            tracing::warn!("the connections to PostgreSQL did not close in {} s", CLOSING.as_secs());
        }
    }
}

/// The address, the password from its file, and a name by which the server's own views show us. What
/// is wrong with an address is said without the address.
pub(super) fn options(config: &PostgresConfig) -> Result<PgConnectOptions, StoreError> {
    let options: PgConnectOptions =
        config.url.0.parse().map_err(failed::<sqlx::Error>("read the address of PostgreSQL"))?;
    let options = encrypted(options, config)?.application_name("oxwhisk").disable_statement_logging();
    let Some(file) = &config.password_file else { return Ok(options) };
    let password = std::fs::read_to_string(file).map_err(failed("read the password file of PostgreSQL"))?;
    Ok(options.password(password.trim_end_matches(['\r', '\n'])))
}

/// With what the settings say of TLS. A file that cannot be read is named, which the driver would not do.
fn encrypted(mut options: PgConnectOptions, config: &PostgresConfig) -> Result<PgConnectOptions, StoreError> {
    const OPERATION: &str = "use whisk.postgres.ssl-mode";
    if let Some(mode) = &config.ssl_mode {
        options = options.ssl_mode(mode.parse().map_err(failed::<sqlx::Error>(OPERATION))?);
    }
    let readable = |path: &Path| {
        std::fs::File::open(path).map_err(|error| {
            let text = format!("the file {} cannot be read: {error}", path.display());
            failed::<anyhow::Error>("use TLS to PostgreSQL")(anyhow::anyhow!(text))
        })
    };
    for path in [&config.ssl_root_cert, &config.ssl_cert, &config.ssl_key].into_iter().flatten() {
        readable(path)?;
    }
    if let Some(path) = &config.ssl_root_cert {
        options = options.ssl_root_cert(path);
    }
    if let Some(path) = &config.ssl_cert {
        options = options.ssl_client_cert(path);
    }
    if let Some(path) = &config.ssl_key {
        options = options.ssl_client_key(path);
    }
    Ok(options)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::postgres::PostgresUrl;

    #[tokio::test]
    async fn what_is_wrong_with_an_address_is_said_without_it() {
        for url in ["postgres://u:s3cret@host:port/x", "s3cret"] {
            let url = PostgresUrl(url.to_owned());
            let refused = Database::open(&PostgresConfig { url, ..PostgresConfig::default() }).await;
            let error = anyhow::Error::from(refused.err().unwrap());
            assert!(!format!("{error:#} {error:?}").contains("s3cret"), "{error:#}");
        }
    }

    #[test]
    fn the_password_comes_from_its_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(&file, "s3cret\n").unwrap();
        let config = PostgresConfig { password_file: Some(file.path().into()), ..PostgresConfig::default() };
        assert!(options(&config).is_ok());
        let gone = PostgresConfig { password_file: Some("/nowhere".into()), ..config };
        assert!(matches!(options(&gone), Err(StoreError::Unavailable { .. })));
    }

    #[test]
    fn what_is_wrong_with_the_settings_of_tls_is_named() {
        let told = |config| format!("{:#}", anyhow::Error::from(options(&config).unwrap_err()));
        let gone =
            PostgresConfig { ssl_root_cert: Some("/nowhere/ca.pem".into()), ..PostgresConfig::default() };
        assert!(told(gone).contains("/nowhere/ca.pem"));
        let odd = PostgresConfig { ssl_mode: Some("sometimes".into()), ..PostgresConfig::default() };
        assert!(told(odd).contains("sometimes"));
    }
}
