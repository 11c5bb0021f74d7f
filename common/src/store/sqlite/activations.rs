//! Activation records in SQLite.
//!
//! Writing is the hot path: a batch is a few statements of many rows each, since what a row costs is
//! mostly the way to the thread that owns the connection. How many records there are is kept by
//! triggers, so that counting all of a namespace or a name does not depend on how many they are.

use std::sync::{Arc, LazyLock};

use async_trait::async_trait;
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{Arguments, AssertSqlSafe, Connection, FromRow, SqliteConnection};

use super::super::rows::{self, signed};
use super::super::{ActivationQuery, ActivationStore, Certainty, Page, StoreError, Unstorable};
use super::database::{Database, failed};
use crate::clock::Millis;
use crate::entity::activation::{Activation, ActivationHead, Response, Status};
use crate::entity::id::ActivationId;
use crate::entity::name::EntityName;

/// Rows of one statement; a batch is cut into these, largest first.
const ROWS: [usize; 4] = [64, 16, 4, 1];

/// Values of one row.
const VALUES: usize = 9;

/// An inserting statement for each of [`ROWS`].
type Insert = LazyLock<[Arc<str>; ROWS.len()]>;

static REPLACE: Insert = LazyLock::new(|| {
    insert(
        "UPDATE SET namespace = excluded.namespace, filter_name = excluded.filter_name, \
         start = excluded.start, status = excluded.status, size = excluded.size, head = excluded.head, \
         result = excluded.result, logs = excluded.logs",
    )
});

static PRESUME: Insert = LazyLock::new(|| insert("NOTHING"));

/// The statements that do so where there is a record of an id.
fn insert(on_conflict: &str) -> [Arc<str>; ROWS.len()] {
    ROWS.map(|rows| {
        let values = vec!["(?, ?, ?, ?, ?, ?, ?, ?, ?)"; rows].join(", ");
        let statement = format!(
            "INSERT INTO activations \
             (id, namespace, filter_name, start, status, size, head, result, logs) VALUES {values} \
             ON CONFLICT (id) DO {on_conflict}"
        );
        statement.into()
    })
}

const GET: &str =
    "SELECT id, status, size, head, result, logs FROM activations WHERE id = ? AND namespace = ?";
const ALL: &str =
    "SELECT id, status, size, head, result, logs FROM activations WHERE id > ? ORDER BY id LIMIT ?";
const HEAD: &str = "SELECT head FROM activations WHERE id = ?";
const COUNT_ALL: &str = "SELECT COALESCE(SUM(number), 0) FROM totals WHERE namespace = ?";
const COUNT_NAME: &str =
    "SELECT COALESCE(SUM(number), 0) FROM totals WHERE namespace = ? AND filter_name = ?";

macro_rules! listing {
    ($columns:literal, $which:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM activations WHERE namespace = ?1 AND ",
            $which,
            "start >= ?3 AND start <= ?4 ORDER BY start DESC, id DESC LIMIT ?5 OFFSET ?6"
        )
    };
}

/// The statements that list and count records between two times.
struct Listing {
    heads: &'static str,
    records: &'static str,
    count: &'static str,
}

static NAMESPACE: Listing = Listing {
    heads: listing!("id, status, head", ""),
    records: listing!("id, status, size, head, result, logs", ""),
    count: "SELECT COUNT(*) FROM activations WHERE namespace = ?1 AND start >= ?3 AND start <= ?4",
};

static NAME: Listing = Listing {
    heads: listing!("id, status, head", "filter_name = ?2 AND "),
    records: listing!("id, status, size, head, result, logs", "filter_name = ?2 AND "),
    count: "SELECT COUNT(*) FROM activations \
            WHERE namespace = ?1 AND filter_name = ?2 AND start >= ?3 AND start <= ?4",
};

/// Records in `activations.db`.
pub(super) struct SqliteActivations {
    database: Arc<Database>,
}

impl SqliteActivations {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self { database }
    }

    async fn write(&self, insert: &'static Insert, batch: &[Activation]) -> Result<(), StoreError> {
        const OPERATION: &str = "store activations";
        let mut statements = Vec::with_capacity(ROWS.len());
        let mut rest = batch;
        for (size, statement) in ROWS.into_iter().zip(insert.iter()) {
            while rest.len() >= size {
                let (rows, others) = rest.split_at(size);
                let arguments = bind(rows).map_err(failed(OPERATION))?;
                statements.push((statement.clone(), arguments));
                rest = others;
            }
        }
        let mut writer = self.database.writer().await?;
        match statements.len() {
            0 => return Ok(()),
            // One statement is a transaction by itself.
            1 => run(&mut writer, statements).await,
            _ => {
                let mut write = writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed(OPERATION))?;
                run(&mut write, statements).await.map_err(failed(OPERATION))?;
                write.commit().await
            }
        }
        .map_err(failed(OPERATION))
    }

    async fn rows<T>(
        &self,
        query: &ActivationQuery,
        statement: impl Fn(&'static Listing) -> &'static str,
    ) -> Result<Vec<T>, StoreError>
    where
        T: for<'r> FromRow<'r, SqliteRow> + Send + Unpin,
    {
        sqlx::query_as(statement(if query.name.is_some() { &NAME } else { &NAMESPACE }))
            .bind(query.namespace.as_str())
            .bind(query.name.as_deref())
            .bind(query.since.map_or(0, |since| signed(since.0)))
            .bind(query.upto.map_or(i64::MAX, |upto| signed(upto.0)))
            .bind(signed(query.limit))
            .bind(signed(query.skip))
            .fetch_all(self.database.readers())
            .await
            .map_err(failed("list activations"))
    }
}

#[async_trait]
impl ActivationStore for SqliteActivations {
    async fn store(&self, batch: &[Activation]) -> Result<Vec<Unstorable>, StoreError> {
        self.write(&REPLACE, batch).await.map(|()| Vec::new())
    }

    async fn presume(&self, batch: &[Activation]) -> Result<Vec<Unstorable>, StoreError> {
        self.write(&PRESUME, batch).await.map(|()| Vec::new())
    }

    async fn get(&self, namespace: &EntityName, id: ActivationId) -> Result<Option<Activation>, StoreError> {
        let row: Option<RecordRow> = sqlx::query_as(GET)
            .bind(&id.as_bytes()[..])
            .bind(namespace.as_str())
            .fetch_optional(self.database.readers())
            .await
            .map_err(failed("read an activation"))?;
        row.map(RecordRow::into_record).transpose()
    }

    async fn all(&self, after: Option<ActivationId>, limit: u64) -> Result<Page, StoreError> {
        let after = after.map_or([0; 16], |id| *id.as_bytes());
        let rows: Vec<RecordRow> = sqlx::query_as(ALL)
            .bind(&after[..])
            .bind(signed(limit))
            .fetch_all(self.database.readers())
            .await
            .map_err(failed("read activations"))?;
        rows.into_iter().map(|row| Ok((row.head.id()?, row.into_record()))).collect()
    }

    async fn certainty(&self, id: ActivationId) -> Result<Option<Certainty>, StoreError> {
        let head: Option<String> = sqlx::query_scalar(HEAD)
            .bind(&id.as_bytes()[..])
            .fetch_optional(self.database.readers())
            .await
            .map_err(failed("look for an activation"))?;
        head.map(|text| rows::certainty(id, &text)).transpose()
    }

    async fn heads(&self, query: &ActivationQuery) -> Result<Vec<(ActivationHead, Status)>, StoreError> {
        let rows: Vec<HeadRow> = self.rows(query, |listing| listing.heads).await?;
        Ok(rows::readable(rows, HeadRow::into_head))
    }

    async fn records(&self, query: &ActivationQuery) -> Result<Vec<Activation>, StoreError> {
        let rows: Vec<RecordRow> = self.rows(query, |listing| listing.records).await?;
        Ok(rows::readable(rows, RecordRow::into_record))
    }

    async fn count(&self, query: &ActivationQuery) -> Result<u64, StoreError> {
        let number = match (&query.name, query.since, query.upto) {
            (None, None, None) => sqlx::query_scalar(COUNT_ALL).bind(query.namespace.as_str()),
            (Some(name), None, None) => {
                sqlx::query_scalar(COUNT_NAME).bind(query.namespace.as_str()).bind(name.as_str())
            }
            (name, since, upto) => {
                sqlx::query_scalar(if name.is_some() { NAME.count } else { NAMESPACE.count })
                    .bind(query.namespace.as_str())
                    .bind(name.as_deref())
                    .bind(since.map_or(0, |since| signed(since.0)))
                    .bind(upto.map_or(i64::MAX, |Millis(upto)| signed(upto)))
            }
        };
        let number: i64 =
            number.fetch_one(self.database.readers()).await.map_err(failed("count activations"))?;
        Ok(number.unsigned_abs())
    }
}

fn bind(rows: &[Activation]) -> Result<SqliteArguments, anyhow::Error> {
    let mut arguments = SqliteArguments::default();
    arguments.reserve(rows.len() * VALUES, 0);
    let add = |added: Result<(), sqlx::error::BoxDynError>| added.map_err(|error| anyhow::anyhow!(error));
    for Activation { head, response, logs } in rows {
        add(arguments.add(head.activation_id.as_bytes().to_vec()))?;
        add(arguments.add(head.namespace.as_str()))?;
        add(arguments.add(head.filter_name()))?;
        add(arguments.add(signed(head.start.0)))?;
        add(arguments.add(response.status.code()))?;
        add(arguments.add(response.size.map(signed)))?;
        add(arguments.add(json(head)?))?;
        add(arguments.add(response.result.as_deref().map(|result| result.get().to_owned())))?;
        add(arguments.add(json(logs)?))?;
    }
    Ok(arguments)
}

/// Most heads and logs fit the first allocation.
fn json<T: serde::Serialize>(value: &T) -> Result<String, anyhow::Error> {
    let mut text = Vec::with_capacity(512);
    serde_json::to_writer(&mut text, value)?;
    Ok(String::from_utf8(text)?)
}

async fn run(
    connection: &mut SqliteConnection,
    statements: Vec<(Arc<str>, SqliteArguments)>,
) -> Result<(), sqlx::Error> {
    for (statement, arguments) in statements {
        sqlx::query_with(AssertSqlSafe(statement), arguments).execute(&mut *connection).await?;
    }
    Ok(())
}

fn corrupt(id: &[u8], error: impl Into<anyhow::Error>) -> StoreError {
    let id = match id.try_into() {
        Ok(id) => ActivationId::from_bytes(id).to_string(),
        Err(_) => format!("{id:?}"),
    };
    StoreError::Corrupt { id, source: error.into() }
}

#[derive(sqlx::FromRow)]
struct HeadRow {
    id: Vec<u8>,
    status: u8,
    head: String,
}

impl HeadRow {
    fn id(&self) -> Result<ActivationId, StoreError> {
        let bytes = <[u8; 16]>::try_from(self.id.as_slice());
        bytes.map(ActivationId::from_bytes).map_err(|error| corrupt(&self.id, error))
    }

    fn into_head(self) -> Result<(ActivationHead, Status), StoreError> {
        let head = serde_json::from_str(&self.head).map_err(|error| corrupt(&self.id, error))?;
        Ok((head, Status::from_code(self.status)))
    }
}

#[derive(sqlx::FromRow)]
struct RecordRow {
    #[sqlx(flatten)]
    head: HeadRow,
    size: Option<i64>,
    result: Option<String>,
    logs: String,
}

impl RecordRow {
    fn into_record(self) -> Result<Activation, StoreError> {
        let unreadable = |error| corrupt(&self.head.id, error);
        let result = self.result.map(serde_json::value::RawValue::from_string).transpose();
        let result = result.map_err(unreadable)?;
        let logs = serde_json::from_str(&self.logs).map_err(unreadable)?;
        let (head, status) = self.head.into_head()?;
        let response = Response { status, result, size: self.size.map(i64::unsigned_abs) };
        Ok(Activation { head, response, logs })
    }
}

#[cfg(test)]
mod tests {
    use super::super::SqliteStores;
    use super::*;

    #[tokio::test]
    async fn every_statement_is_on_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let stores = SqliteStores::open(folder.path()).await.unwrap();
        let mut statements = vec![GET, ALL, HEAD, COUNT_ALL, COUNT_NAME, &REPLACE[ROWS.len() - 1]];
        statements.push(&PRESUME[ROWS.len() - 1]);
        for listing in [&NAMESPACE, &NAME] {
            statements.extend([listing.heads, listing.records, listing.count]);
        }
        stores.records.assert_planned(&statements).await;
        stores.close().await;
    }
}
