//! PostgreSQL as a place for the stores, and what only it promises: rows it refuses, partitions, plans,
//! notices between connections, and a server that goes away.

mod loss;
mod nodes;
mod plans;
mod records;
mod retention;

use async_trait::async_trait;
use common::config::postgres::PostgresConfig;
use common::entity::id::ActivationId;
use common::shutdown::Shutdown;
use common::store::Change;
use common::store::postgres::PostgresStores;
use sqlx::{Connection, PgConnection};
use tests::services::postgres::{Postgres, settings};
use uuid::Uuid;

use super::{Place, Process};

/// A database of the shared server.
pub(super) struct Database {
    url: String,
}

impl Database {
    /// A connection of the test's own.
    async fn sql(&self) -> PgConnection {
        PgConnection::connect(&self.url).await.unwrap()
    }
}

#[async_trait]
impl Place for Database {
    async fn new() -> Self {
        Self { url: Postgres::shared().await.database().await }
    }

    async fn open(&self) -> Process {
        process(&settings(&self.url)).await
    }

    async fn spoil(&self, id: ActivationId) {
        let spoil = sqlx::query("UPDATE activations SET logs = '[torn' WHERE id = $1");
        let id = Uuid::from_bytes(*id.as_bytes());
        let done = spoil.bind(id).execute(&mut self.sql().await).await.unwrap();
        assert_eq!(done.rows_affected(), 1);
    }
}

/// The stores as one process has them, once it listens.
async fn process(config: &PostgresConfig) -> Process {
    let stores = PostgresStores::connect(config).await.unwrap();
    let mut changes = stores.artifacts.changes();
    let shutdown = Shutdown::new();
    stores.watch(&shutdown);
    assert_eq!(changes.recv().await.unwrap(), Change::Anything, "what came before is not known");
    let process = Process {
        artifacts: stores.artifacts.clone(),
        subjects: stores.subjects.clone(),
        activations: stores.activations.clone(),
        shutdown: shutdown.clone(),
    };
    shutdown.clone().spawn("close", async move {
        shutdown.requested().await;
        stores.close().await;
    });
    process
}
