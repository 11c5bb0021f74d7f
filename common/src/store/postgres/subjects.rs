//! Subjects, keys and limits in PostgreSQL.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::sync::broadcast;

use super::super::rows::{IdentityRow, KeyRow, read_limits, signed};
use super::super::{Change, IdentityRecord, StoreError, SubjectRecord, SubjectStore};
use super::database::{Database, failed};
use crate::entity::limits::UserLimits;

macro_rules! identities {
    ($which:literal) => {
        concat!(
            "SELECT s.subject, s.blocked, k.namespace, k.uuid, k.digest, k.sealed, l.doc AS limits \
             FROM keys AS k JOIN subjects AS s ON s.subject = k.subject \
             LEFT JOIN limits AS l ON l.namespace = k.namespace WHERE ",
            $which
        )
    };
}

const BY_UUID: &str = identities!("k.uuid = $1");
const BY_NAMESPACE: &str = identities!("k.namespace = $1 ORDER BY k.subject");
const BLOCKED: &str = "SELECT blocked FROM subjects WHERE subject = $1";
const KEYS: &str = "SELECT namespace, uuid, digest, sealed FROM keys WHERE subject = $1 ORDER BY namespace";
const SUBJECTS: &str = "SELECT subject FROM subjects WHERE subject > $1 ORDER BY subject LIMIT $2";
const LOCKED_OUT: &str = "SELECT subject FROM subjects WHERE blocked ORDER BY subject";
const PUT_SUBJECT: &str = "INSERT INTO subjects (subject, blocked) VALUES ($1, $2) \
    ON CONFLICT (subject) DO UPDATE SET blocked = excluded.blocked";
const DELETE_KEYS: &str = "DELETE FROM keys WHERE subject = $1";
const PUT_KEY: &str =
    "INSERT INTO keys (uuid, subject, namespace, digest, sealed) VALUES ($1, $2, $3, $4, $5)";
const DELETE_SUBJECT: &str = "DELETE FROM subjects WHERE subject = $1";
const LIMITS: &str = "SELECT doc FROM limits WHERE namespace = $1";
const LIMITED: &str = "SELECT namespace FROM limits WHERE namespace > $1 ORDER BY namespace LIMIT $2";
const PUT_LIMITS: &str = "INSERT INTO limits (namespace, doc) VALUES ($1, $2) \
    ON CONFLICT (namespace) DO UPDATE SET doc = excluded.doc";
const DELETE_LIMITS: &str = "DELETE FROM limits WHERE namespace = $1";
const MARK: &str = "INSERT INTO marks (what) VALUES ($1) ON CONFLICT (what) DO NOTHING";

/// Two statements of a reading see the same state.
const READ: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY";

/// Subjects in the tables `subjects`, `keys` and `limits`.
pub(super) struct PostgresSubjects {
    database: Arc<Database>,
}

impl PostgresSubjects {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self { database }
    }

    /// One statement that changes something, to its end; returns how many rows it changed.
    async fn write(
        &self,
        operation: &'static str,
        statement: &'static str,
        values: Vec<String>,
    ) -> Result<u64, StoreError> {
        let database = self.database.clone();
        let work = async move {
            let mut write = database.pool().begin().await.map_err(failed(operation))?;
            let query = values.into_iter().fold(sqlx::query(statement), |query, value| query.bind(value));
            let done = query.execute(&mut *write).await.map_err(failed(operation))?;
            database.notify(&mut write, Change::Subjects).await.map_err(failed(operation))?;
            write.commit().await.map_err(failed(operation))?;
            Ok(done.rows_affected())
        };
        self.database.finish(operation, vec![Change::Subjects], work).await
    }

    /// One column of texts, from the one behind `after` on.
    async fn names(
        &self,
        statement: &'static str,
        after: &str,
        limit: u64,
    ) -> Result<Vec<String>, StoreError> {
        let names = sqlx::query_scalar(statement).bind(after).bind(signed(limit));
        self.database.read("read names", names.fetch_all(self.database.pool())).await
    }
}

#[async_trait]
impl SubjectStore for PostgresSubjects {
    async fn by_uuid(&self, uuid: &str) -> Result<Option<IdentityRecord>, StoreError> {
        let query = sqlx::query_as(BY_UUID).bind(uuid).fetch_optional(self.database.pool());
        let row: Option<IdentityRow> = self.database.read("read an identity", query).await?;
        row.map(IdentityRow::into_record).transpose()
    }

    async fn by_namespace(&self, namespace: &str) -> Result<Vec<IdentityRecord>, StoreError> {
        let query = sqlx::query_as(BY_NAMESPACE).bind(namespace).fetch_all(self.database.pool());
        let rows: Vec<IdentityRow> = self.database.read("read identities", query).await?;
        rows.into_iter().map(IdentityRow::into_record).collect()
    }

    async fn subject(&self, subject: &str) -> Result<Option<SubjectRecord>, StoreError> {
        let query = async {
            let mut read = self.database.pool().begin_with(READ).await?;
            let blocked: Option<bool> =
                sqlx::query_scalar(BLOCKED).bind(subject).fetch_optional(&mut *read).await?;
            let keys: Vec<KeyRow> = sqlx::query_as(KEYS).bind(subject).fetch_all(&mut *read).await?;
            read.commit().await?;
            Ok(blocked.map(|blocked| (blocked, keys)))
        };
        let Some((blocked, keys)) = self.database.read("read a subject", query).await? else {
            return Ok(None);
        };
        let keys = keys.into_iter().map(KeyRow::into_record).collect::<Result<_, _>>()?;
        Ok(Some(SubjectRecord { subject: subject.to_owned(), blocked, keys }))
    }

    async fn subjects(&self, after: &str, limit: u64) -> Result<Vec<String>, StoreError> {
        self.names(SUBJECTS, after, limit).await
    }

    async fn blocked(&self) -> Result<Vec<String>, StoreError> {
        let names = sqlx::query_scalar(LOCKED_OUT).fetch_all(self.database.pool());
        self.database.read("read names", names).await
    }

    async fn limited(&self, after: &str, limit: u64) -> Result<Vec<String>, StoreError> {
        self.names(LIMITED, after, limit).await
    }

    async fn put_subject(&self, record: &SubjectRecord) -> Result<(), StoreError> {
        let (database, record) = (self.database.clone(), record.clone());
        let work = async move { put_subject(&database, record).await };
        self.database.finish("write a subject", vec![Change::Subjects], work).await
    }

    async fn delete_subject(&self, subject: &str) -> Result<bool, StoreError> {
        let deleted = self.write("delete a subject", DELETE_SUBJECT, vec![subject.to_owned()]).await?;
        Ok(deleted > 0)
    }

    async fn limits(&self, namespace: &str) -> Result<Option<UserLimits>, StoreError> {
        let query = sqlx::query_scalar(LIMITS).bind(namespace).fetch_optional(self.database.pool());
        let json: Option<String> = self.database.read("read limits", query).await?;
        Ok(json.and_then(|json| read_limits(namespace, &json)))
    }

    async fn put_limits(&self, namespace: &str, limits: &UserLimits) -> Result<(), StoreError> {
        let json = serde_json::to_string(limits).map_err(failed("write limits"))?;
        self.write("write limits", PUT_LIMITS, vec![namespace.to_owned(), json]).await.map(drop)
    }

    async fn delete_limits(&self, namespace: &str) -> Result<bool, StoreError> {
        let deleted = self.write("delete limits", DELETE_LIMITS, vec![namespace.to_owned()]).await?;
        Ok(deleted > 0)
    }

    async fn mark_once(&self, what: &str) -> Result<bool, StoreError> {
        Ok(self.write("set a mark", MARK, vec![what.to_owned()]).await? > 0)
    }

    fn changes(&self) -> broadcast::Receiver<Change> {
        self.database.changes().subscribe()
    }
}

async fn put_subject(database: &Database, record: SubjectRecord) -> Result<(), StoreError> {
    const OPERATION: &str = "write a subject";
    let mut write = database.pool().begin().await.map_err(failed(OPERATION))?;
    sqlx::query(PUT_SUBJECT)
        .bind(&record.subject)
        .bind(record.blocked)
        .execute(&mut *write)
        .await
        .map_err(failed(OPERATION))?;
    sqlx::query(DELETE_KEYS).bind(&record.subject).execute(&mut *write).await.map_err(failed(OPERATION))?;
    for key in record.keys {
        let inserted = sqlx::query(PUT_KEY)
            .bind(&key.uuid)
            .bind(&record.subject)
            .bind(key.namespace.as_str())
            .bind(&key.digest[..])
            .bind(key.sealed)
            .execute(&mut *write)
            .await;
        inserted.map_err(|error| match &error {
            sqlx::Error::Database(cause) if cause.is_unique_violation() => StoreError::Conflict(key.uuid),
            _ => failed(OPERATION)(error),
        })?;
    }
    database.notify(&mut write, Change::Subjects).await.map_err(failed(OPERATION))?;
    write.commit().await.map_err(failed(OPERATION))
}
