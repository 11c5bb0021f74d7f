//! Activation records in PostgreSQL.
//!
//! A batch is one statement, whose columns travel as arrays; a statement is a transaction. If the
//! database refuses a row, the batch is halved until that row is alone, and an error takes its place:
//! one bad record must not keep all others from being stored, for ever.

mod rows;

use std::collections::HashMap;
use std::sync::Arc;

use async_trait::async_trait;
use sqlx::FromRow;
use sqlx::postgres::PgRow;
use uuid::Uuid;

use self::rows::{HeadRow, RecordRow, Row};
use super::super::rows::{certainty, readable, signed};
use super::super::{ActivationQuery, ActivationStore, Certainty, Page, StoreError, Unstorable};
use super::database::{Database, failed};
use crate::clock::Millis;
use crate::entity::activation::{Activation, ActivationHead, Status};
use crate::entity::id::ActivationId;
use crate::entity::name::EntityName;

/// The most rows and bytes of one statement; a message to PostgreSQL has less than a gigabyte.
const ROWS: usize = 1_024;
const BYTES: usize = 32 << 20;

macro_rules! insert {
    ($on_conflict:literal) => {
        concat!(
            "INSERT INTO activations (id, namespace, filter_name, start, status, size, head, result, logs) \
             SELECT * FROM UNNEST($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::smallint[], \
             $6::bigint[], $7::text[], $8::text[], $9::text[]) ON CONFLICT (id) DO ",
            $on_conflict
        )
    };
}

const REPLACE: &str = insert!(
    "UPDATE SET namespace = excluded.namespace, filter_name = excluded.filter_name, \
     start = excluded.start, status = excluded.status, size = excluded.size, head = excluded.head, \
     result = excluded.result, logs = excluded.logs"
);
const PRESUME: &str = insert!("NOTHING");
const GET: &str =
    "SELECT id, status, size, head, result, logs FROM activations WHERE id = $1 AND namespace = $2";
const ALL: &str =
    "SELECT id, status, size, head, result, logs FROM activations WHERE id > $1 ORDER BY id LIMIT $2";
const HEAD: &str = "SELECT head FROM activations WHERE id = $1";
const COUNT_ALL: &str = "SELECT COALESCE(SUM(number), 0)::bigint FROM totals WHERE namespace = $1";
const COUNT_NAME: &str =
    "SELECT COALESCE(SUM(number), 0)::bigint FROM totals WHERE namespace = $1 AND filter_name = $2";

macro_rules! listing {
    ($columns:literal, $which:literal) => {
        concat!(
            "SELECT ",
            $columns,
            " FROM activations WHERE namespace = $1 AND start >= $2 AND start <= $3",
            $which,
            " ORDER BY start DESC, id DESC LIMIT $4 OFFSET $5"
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
    count: "SELECT COUNT(*) FROM activations WHERE namespace = $1 AND start >= $2 AND start <= $3",
};

static NAME: Listing = Listing {
    heads: listing!("id, status, head", " AND filter_name = $6"),
    records: listing!("id, status, size, head, result, logs", " AND filter_name = $6"),
    count: "SELECT COUNT(*) FROM activations \
            WHERE namespace = $1 AND start >= $2 AND start <= $3 AND filter_name = $4",
};

/// Records in the table `activations`.
pub(super) struct PostgresActivations {
    database: Arc<Database>,
}

/// Why rows were not inserted.
enum Refusal {
    /// One of them cannot be stored.
    Row(sqlx::Error),
    /// The database does not do its work now.
    Away(sqlx::Error),
}

impl From<sqlx::Error> for Refusal {
    /// By PostgreSQL's classes: 22 is wrong data, 23 a broken constraint, 54 more than the server can.
    fn from(error: sqlx::Error) -> Self {
        let code = match &error {
            sqlx::Error::Encode(_) => return Self::Row(error),
            sqlx::Error::Database(cause) => cause.code().unwrap_or_default(),
            _ => return Self::Away(error),
        };
        if ["22", "23", "54"].iter().any(|class| code.starts_with(class)) {
            Self::Row(error)
        } else {
            Self::Away(error)
        }
    }
}

impl PostgresActivations {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self { database }
    }

    async fn insert(&self, statement: &'static str, rows: &[Row]) -> Result<(), Refusal> {
        fn column<'a, T>(rows: &'a [Row], value: impl Fn(&'a Row) -> T) -> Vec<T> {
            rows.iter().map(value).collect()
        }
        let insert = sqlx::query(statement)
            .bind(column(rows, |row| row.id))
            .bind(column(rows, |row| row.namespace.as_str()))
            .bind(column(rows, |row| row.filter_name.as_str()))
            .bind(column(rows, |row| row.start))
            .bind(column(rows, |row| row.status))
            .bind(column(rows, |row| row.size))
            .bind(column(rows, |row| row.head.as_str()))
            .bind(column(rows, |row| row.result.as_deref()))
            .bind(column(rows, |row| row.logs.as_str()))
            .execute(self.database.pool());
        self.database.bounded(insert).await.map(drop).map_err(Refusal::from)
    }

    /// Stores the error that takes the place of a row. If even that is refused the record is lost; to try it
    /// for ever would lose all that come after it.
    async fn insert_error(
        &self,
        statement: &'static str,
        row: &Row,
        cause: &sqlx::Error,
    ) -> Result<Unstorable, Refusal> {
        let id = ActivationId::from_bytes(*row.id.as_bytes());
        match self.insert(statement, &[row.with_error(cause)]).await {
            Ok(()) => Ok(Unstorable { id, cause: cause.to_string(), replaced: true }),
            Err(Refusal::Row(again)) => {
                Ok(Unstorable { id, cause: format!("{cause}; nor can the error: {again}"), replaced: false })
            }
            Err(away) => Err(away),
        }
    }

    /// Runs one of the inserting statements over all rows.
    async fn write(&self, statement: &'static str, rows: &[Row]) -> Result<Vec<Unstorable>, StoreError> {
        let mut unstorable = Vec::new();
        let mut left = statements(rows);
        left.reverse();
        while let Some(rows) = left.pop() {
            let done = match (self.insert(statement, rows).await, rows) {
                (Err(Refusal::Row(cause)), [row]) => {
                    self.insert_error(statement, row, &cause).await.map(|refused| unstorable.push(refused))
                }
                (Err(Refusal::Row(_)), _) => {
                    let (first, second) = rows.split_at(rows.len() / 2);
                    left.extend([second, first]);
                    Ok(())
                }
                (done, _) => done,
            };
            done.map_err(|(Refusal::Row(error) | Refusal::Away(error))| failed("store activations")(error))?;
        }
        Ok(unstorable)
    }

    async fn rows<T>(
        &self,
        query: &ActivationQuery,
        statement: impl Fn(&'static Listing) -> &'static str,
    ) -> Result<Vec<T>, StoreError>
    where
        T: for<'r> FromRow<'r, PgRow> + Send + Unpin,
    {
        let listing = sqlx::query_as(statement(if query.name.is_some() { &NAME } else { &NAMESPACE }))
            .bind(query.namespace.as_str())
            .bind(query.since.map_or(0, |since| signed(since.0)))
            .bind(query.upto.map_or(i64::MAX, |upto| signed(upto.0)))
            .bind(signed(query.limit))
            .bind(signed(query.skip));
        let listing = match &query.name {
            Some(name) => listing.bind(name.as_str()),
            None => listing,
        };
        self.database.read("list activations", listing.fetch_all(self.database.pool())).await
    }
}

#[async_trait]
impl ActivationStore for PostgresActivations {
    async fn store(&self, batch: &[Activation]) -> Result<Vec<Unstorable>, StoreError> {
        // One statement cannot write a row twice; the last of an id counts.
        let last: HashMap<ActivationId, usize> =
            batch.iter().enumerate().map(|(place, record)| (record.head.activation_id, place)).collect();
        let records = batch.iter().enumerate();
        let records = records.filter(|(place, record)| last[&record.head.activation_id] == *place);
        let rows: Vec<Row> = records.map(|(_, record)| Row::of(record)).collect();
        self.write(REPLACE, &rows).await
    }

    async fn presume(&self, batch: &[Activation]) -> Result<Vec<Unstorable>, StoreError> {
        let rows: Vec<Row> = batch.iter().map(Row::of).collect();
        self.write(PRESUME, &rows).await
    }

    async fn get(&self, namespace: &EntityName, id: ActivationId) -> Result<Option<Activation>, StoreError> {
        let id = Uuid::from_bytes(*id.as_bytes());
        let row = sqlx::query_as(GET).bind(id).bind(namespace.as_str()).fetch_optional(self.database.pool());
        let row: Option<RecordRow> = self.database.read("read an activation", row).await?;
        row.map(RecordRow::into_record).transpose()
    }

    async fn all(&self, after: Option<ActivationId>, limit: u64) -> Result<Page, StoreError> {
        let after = after.map_or(Uuid::nil(), |id| Uuid::from_bytes(*id.as_bytes()));
        let rows = sqlx::query_as(ALL).bind(after).bind(signed(limit)).fetch_all(self.database.pool());
        let rows: Vec<RecordRow> = self.database.read("read activations", rows).await?;
        Ok(rows.into_iter().map(|row| (row.id(), row.into_record())).collect())
    }

    async fn certainty(&self, id: ActivationId) -> Result<Option<Certainty>, StoreError> {
        let uuid = Uuid::from_bytes(*id.as_bytes());
        let found = sqlx::query_scalar(HEAD).bind(uuid).fetch_optional(self.database.pool());
        let head: Option<String> = self.database.read("look for an activation", found).await?;
        head.map(|text| certainty(id, &text)).transpose()
    }

    async fn heads(&self, query: &ActivationQuery) -> Result<Vec<(ActivationHead, Status)>, StoreError> {
        let rows: Vec<HeadRow> = self.rows(query, |listing| listing.heads).await?;
        Ok(readable(rows, HeadRow::into_head))
    }

    async fn records(&self, query: &ActivationQuery) -> Result<Vec<Activation>, StoreError> {
        let rows: Vec<RecordRow> = self.rows(query, |listing| listing.records).await?;
        Ok(readable(rows, RecordRow::into_record))
    }

    async fn count(&self, query: &ActivationQuery) -> Result<u64, StoreError> {
        let namespace = query.namespace.as_str();
        let number = match (&query.name, query.since, query.upto) {
            (None, None, None) => sqlx::query_scalar(COUNT_ALL).bind(namespace),
            (Some(name), None, None) => sqlx::query_scalar(COUNT_NAME).bind(namespace).bind(name.as_str()),
            (name, since, upto) => {
                let count = sqlx::query_scalar(if name.is_some() { NAME.count } else { NAMESPACE.count })
                    .bind(namespace)
                    .bind(since.map_or(0, |since| signed(since.0)))
                    .bind(upto.map_or(i64::MAX, |Millis(upto)| signed(upto)));
                match name {
                    Some(name) => count.bind(name.as_str()),
                    None => count,
                }
            }
        };
        let number = number.fetch_one(self.database.pool());
        let number: i64 = self.database.read("count activations", number).await?;
        Ok(u64::try_from(number).unwrap_or(0))
    }
}

/// Cuts rows into what one statement takes.
fn statements(rows: &[Row]) -> Vec<&[Row]> {
    let mut statements = Vec::new();
    let (mut from, mut bytes) = (0, 0);
    for (place, row) in rows.iter().enumerate() {
        if place > from && (place - from == ROWS || bytes + row.bytes() > BYTES) {
            statements.push(&rows[from..place]);
            (from, bytes) = (place, 0);
        }
        bytes += row.bytes();
    }
    if from < rows.len() {
        statements.push(&rows[from..]);
    }
    statements
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_statement_has_a_bounded_size() {
        let row = |bytes| Row { logs: "x".repeat(bytes), ..Row::empty() };
        let cut = |sizes: &[usize]| {
            let rows: Vec<Row> = sizes.iter().map(|size| row(*size)).collect();
            statements(&rows).iter().map(|rows| rows.len()).collect::<Vec<_>>()
        };
        assert_eq!(cut(&[]), [0; 0]);
        assert_eq!(cut(&[0; ROWS + 1]), [ROWS, 1]);
        assert_eq!(cut(&[BYTES + 1, 1, 1, BYTES]), [1, 2, 1]);
    }
}
