//! Subjects, keys and limits in SQLite, in the file of the entities.

use std::sync::Arc;

use async_trait::async_trait;
use sqlx::Connection;
use tokio::sync::broadcast;

use super::super::rows::{IdentityRow, KeyRow, read_limits, signed};
use super::super::{Change, IdentityRecord, StoreError, SubjectRecord, SubjectStore};
use super::database::{Database, failed};
use crate::entity::limits::UserLimits;

macro_rules! identities {
    ($which:literal) => {
        concat!(
            "SELECT s.subject, s.blocked, k.namespace, k.uuid, k.digest, k.sealed, l.doc AS limits \
             FROM keys AS k CROSS JOIN subjects AS s ON s.subject = k.subject \
             LEFT JOIN limits AS l ON l.namespace = k.namespace WHERE ",
            $which
        )
    };
}

const BY_UUID: &str = identities!("k.uuid = ?");
const BY_NAMESPACE: &str = identities!("k.namespace = ? ORDER BY k.subject");
const BLOCKED: &str = "SELECT blocked FROM subjects WHERE subject = ?";
const KEYS: &str = "SELECT namespace, uuid, digest, sealed FROM keys WHERE subject = ? ORDER BY namespace";
const SUBJECTS: &str = "SELECT subject FROM subjects WHERE subject > ? ORDER BY subject LIMIT ?";
const LOCKED_OUT: &str = "SELECT subject FROM subjects WHERE blocked ORDER BY subject";
const PUT_SUBJECT: &str = "INSERT INTO subjects (subject, blocked) VALUES (?, ?) \
    ON CONFLICT (subject) DO UPDATE SET blocked = excluded.blocked";
const DELETE_KEYS: &str = "DELETE FROM keys WHERE subject = ?";
const PUT_KEY: &str = "INSERT INTO keys (uuid, subject, namespace, digest, sealed) VALUES (?, ?, ?, ?, ?)";
const DELETE_SUBJECT: &str = "DELETE FROM subjects WHERE subject = ?";
const LIMITS: &str = "SELECT doc FROM limits WHERE namespace = ?";
const LIMITED: &str = "SELECT namespace FROM limits WHERE namespace > ? ORDER BY namespace LIMIT ?";
const PUT_LIMITS: &str = "INSERT INTO limits (namespace, doc) VALUES (?, ?) \
    ON CONFLICT (namespace) DO UPDATE SET doc = excluded.doc";
const DELETE_LIMITS: &str = "DELETE FROM limits WHERE namespace = ?";
const MARK: &str = "INSERT INTO marks (what) VALUES (?) ON CONFLICT DO NOTHING";

/// Subjects in `entities.db`.
pub(super) struct SqliteSubjects {
    database: Arc<Database>,
    changes: broadcast::Sender<Change>,
}

impl SqliteSubjects {
    pub(super) fn new(database: Arc<Database>, changes: broadcast::Sender<Change>) -> Self {
        Self { database, changes }
    }

    /// One statement that changes something, to its end; returns how many rows it changed.
    async fn write(
        &self,
        operation: &'static str,
        statement: &'static str,
        values: Vec<String>,
    ) -> Result<u64, StoreError> {
        let (database, changes) = (self.database.clone(), self.changes.clone());
        let work = async move {
            let mut writer = database.writer().await?;
            let query = values.into_iter().fold(sqlx::query(statement), |query, value| query.bind(value));
            let done = query.execute(&mut *writer).await.map_err(failed(operation))?;
            let _ = changes.send(Change::Subjects);
            Ok(done.rows_affected())
        };
        self.database.finish(operation, work).await
    }

    /// One column of texts, from the one behind `after` on.
    async fn names(
        &self,
        statement: &'static str,
        after: &str,
        limit: u64,
    ) -> Result<Vec<String>, StoreError> {
        sqlx::query_scalar(statement)
            .bind(after)
            .bind(signed(limit))
            .fetch_all(self.database.readers())
            .await
            .map_err(failed("read names"))
    }
}

#[async_trait]
impl SubjectStore for SqliteSubjects {
    async fn by_uuid(&self, uuid: &str) -> Result<Option<IdentityRecord>, StoreError> {
        let row: Option<IdentityRow> = sqlx::query_as(BY_UUID)
            .bind(uuid)
            .fetch_optional(self.database.readers())
            .await
            .map_err(failed("read an identity"))?;
        row.map(IdentityRow::into_record).transpose()
    }

    async fn by_namespace(&self, namespace: &str) -> Result<Vec<IdentityRecord>, StoreError> {
        let rows: Vec<IdentityRow> = sqlx::query_as(BY_NAMESPACE)
            .bind(namespace)
            .fetch_all(self.database.readers())
            .await
            .map_err(failed("read identities"))?;
        rows.into_iter().map(IdentityRow::into_record).collect()
    }

    async fn subject(&self, subject: &str) -> Result<Option<SubjectRecord>, StoreError> {
        const OPERATION: &str = "read a subject";
        let mut read = self.database.readers().begin().await.map_err(failed(OPERATION))?;
        let blocked: Option<bool> = sqlx::query_scalar(BLOCKED)
            .bind(subject)
            .fetch_optional(&mut *read)
            .await
            .map_err(failed(OPERATION))?;
        let Some(blocked) = blocked else { return Ok(None) };
        let keys: Vec<KeyRow> =
            sqlx::query_as(KEYS).bind(subject).fetch_all(&mut *read).await.map_err(failed(OPERATION))?;
        let keys = keys.into_iter().map(KeyRow::into_record).collect::<Result<_, _>>()?;
        Ok(Some(SubjectRecord { subject: subject.to_owned(), blocked, keys }))
    }

    async fn subjects(&self, after: &str, limit: u64) -> Result<Vec<String>, StoreError> {
        self.names(SUBJECTS, after, limit).await
    }

    async fn blocked(&self) -> Result<Vec<String>, StoreError> {
        let names = sqlx::query_scalar(LOCKED_OUT).fetch_all(self.database.readers()).await;
        names.map_err(failed("read names"))
    }

    async fn limited(&self, after: &str, limit: u64) -> Result<Vec<String>, StoreError> {
        self.names(LIMITED, after, limit).await
    }

    async fn put_subject(&self, record: &SubjectRecord) -> Result<(), StoreError> {
        let (database, changes, record) = (self.database.clone(), self.changes.clone(), record.clone());
        let work = async move {
            put_subject(&database, record).await?;
            let _ = changes.send(Change::Subjects);
            Ok(())
        };
        self.database.finish("write a subject", work).await
    }

    async fn delete_subject(&self, subject: &str) -> Result<bool, StoreError> {
        let deleted = self.write("delete a subject", DELETE_SUBJECT, vec![subject.to_owned()]).await?;
        Ok(deleted > 0)
    }

    async fn limits(&self, namespace: &str) -> Result<Option<UserLimits>, StoreError> {
        let json: Option<String> = sqlx::query_scalar(LIMITS)
            .bind(namespace)
            .fetch_optional(self.database.readers())
            .await
            .map_err(failed("read limits"))?;
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
        self.changes.subscribe()
    }
}

async fn put_subject(database: &Database, record: SubjectRecord) -> Result<(), StoreError> {
    const OPERATION: &str = "write a subject";
    let mut writer = database.writer().await?;
    let mut write = writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed(OPERATION))?;
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
    write.commit().await.map_err(failed(OPERATION))
}

#[cfg(test)]
mod tests {
    use super::super::SqliteStores;
    use super::*;

    #[tokio::test]
    async fn every_statement_is_on_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let stores = SqliteStores::open(folder.path()).await.unwrap();
        let reads = [BY_UUID, BY_NAMESPACE, BLOCKED, KEYS, SUBJECTS, LIMITS, LIMITED];
        let writes = [PUT_SUBJECT, DELETE_KEYS, PUT_KEY, DELETE_SUBJECT, PUT_LIMITS, DELETE_LIMITS, MARK];
        stores.entities.assert_planned(&reads).await;
        stores.entities.assert_planned(&writes).await;
        stores.close().await;
    }

    #[tokio::test]
    async fn limits_that_cannot_be_read_are_as_if_there_were_none() {
        let folder = tempfile::tempdir().unwrap();
        let stores = SqliteStores::open(folder.path()).await.unwrap();
        sqlx::query(PUT_LIMITS)
            .bind("guest")
            .bind("{\"invocationsPerMinute\":\"many\"}")
            .execute(&mut *stores.entities.writer().await.unwrap())
            .await
            .unwrap();
        assert_eq!(stores.subjects.limits("guest").await.unwrap(), None);
        stores.close().await;
    }
}
