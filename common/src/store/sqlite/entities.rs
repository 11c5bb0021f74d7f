//! Entities and their code in SQLite.
//!
//! Every query names an index that answers it whole; the test below asks SQLite for its plan.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sqlx::{Connection, SqliteConnection};
use tokio::sync::broadcast;

use super::super::rows::{EntityRow, code_is_missing, code_of, revision, signed, tag};
use super::super::{ArtifactStore, Change, Document, EntityQuery, Revision, StoreError, Stored, Write};
use super::database::{Database, failed};

/// What is told of a write that fails.
const WRITE: &str = "write an entity";
const DROP: &str = "delete an entity";

const GET: &str = "SELECT id, kind, revision, tag, doc FROM entities WHERE id = ?";
const FIND: &str = "SELECT revision, tag, code_digest FROM entities WHERE id = ?";
const INSERT: &str = "INSERT INTO entities \
    (revision, tag, kind, updated, publish, code_digest, doc, root, path, name, id) \
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)";
const REPLACE: &str = "UPDATE entities SET revision = ?, tag = ?, kind = ?, updated = ?, publish = ?, \
    code_digest = ?, doc = ?, root = ?, path = ?, name = ? WHERE id = ?";
const DELETE: &str = "DELETE FROM entities WHERE id = ?";

const DOCUMENTS: &str = "SELECT id, kind, revision, tag, doc FROM entities WHERE id > ? ORDER BY id LIMIT ?";

const CODE: &str = "SELECT bytes FROM codes WHERE digest = ?";
const HAS_CODE: &str = "SELECT 1 FROM codes WHERE digest = ?";
const INSERT_CODE: &str = "INSERT INTO codes (digest, bytes) VALUES (?, ?) ON CONFLICT DO NOTHING";
const SWEEP_CODE: &str = "DELETE FROM codes WHERE digest = ?1 \
    AND NOT EXISTS (SELECT 1 FROM entities WHERE code_digest = ?1)";

/// The statements of one way to list.
struct Listing {
    page: &'static str,
    count: &'static str,
}

macro_rules! listing {
    ($which:literal) => {
        Listing {
            page: concat!(
                "SELECT id, kind, revision, tag, doc FROM entities WHERE ",
                $which,
                " ORDER BY updated DESC, id LIMIT ? OFFSET ?"
            ),
            count: concat!("SELECT COUNT(*) FROM entities WHERE ", $which),
        }
    };
}

static NAMESPACE: Listing = listing!("root = ? AND kind = ?");
static PACKAGE: Listing = listing!("path = ? AND kind = ?");
static PUBLIC_NAMESPACE: Listing = listing!("root = ? AND kind = ? AND publish = 1");
static PUBLIC_PACKAGE: Listing = listing!("path = ? AND kind = ? AND publish = 1");

impl Listing {
    fn of(query: &EntityQuery) -> &'static Self {
        match (query.path.package(), query.only_public) {
            (None, false) => &NAMESPACE,
            (None, true) => &PUBLIC_NAMESPACE,
            (Some(_), false) => &PACKAGE,
            (Some(_), true) => &PUBLIC_PACKAGE,
        }
    }
}

/// Entities in `entities.db`.
pub(super) struct SqliteEntities {
    database: Arc<Database>,
    changes: broadcast::Sender<Change>,
}

impl SqliteEntities {
    pub(super) fn new(database: Arc<Database>, changes: broadcast::Sender<Change>) -> Self {
        Self { database, changes }
    }
}

#[async_trait]
impl ArtifactStore for SqliteEntities {
    async fn get(&self, id: &str) -> Result<Option<Stored>, StoreError> {
        let row: Option<EntityRow> = sqlx::query_as(GET)
            .bind(id)
            .fetch_optional(self.database.readers())
            .await
            .map_err(failed("read an entity"))?;
        row.map(EntityRow::into_stored).transpose()
    }

    async fn put(&self, document: &Document, expected: Option<&Revision>) -> Result<Revision, StoreError> {
        let (database, changes) = (self.database.clone(), self.changes.clone());
        let (document, expected) = (document.clone(), expected.cloned());
        let work = async move {
            let id = document.id();
            let revision = put(&database, &id, document, expected).await?;
            let _ = changes.send(Change::Entity(id));
            Ok(revision)
        };
        self.database.finish(WRITE, work).await
    }

    async fn delete(&self, id: &str, expected: &Revision) -> Result<(), StoreError> {
        let (database, changes) = (self.database.clone(), self.changes.clone());
        let (id, expected) = (id.to_owned(), expected.clone());
        let work = async move {
            delete(&database, &id, &expected).await?;
            let _ = changes.send(Change::Entity(id));
            Ok(())
        };
        self.database.finish(DROP, work).await
    }

    async fn write_all(&self, writes: &[Write]) -> Result<(), StoreError> {
        let (database, changes, writes) = (self.database.clone(), self.changes.clone(), writes.to_vec());
        let work = async move {
            let ids: Vec<String> = writes.iter().filter_map(Write::changes).collect();
            write_all(&database, writes).await?;
            for id in ids {
                let _ = changes.send(Change::Entity(id));
            }
            Ok(())
        };
        self.database.finish(WRITE, work).await
    }

    async fn list(&self, query: &EntityQuery) -> Result<Vec<Stored>, StoreError> {
        let rows: Vec<EntityRow> = sqlx::query_as(Listing::of(query).page)
            .bind(query.path.as_str())
            .bind(query.kind.as_str())
            .bind(signed(query.limit))
            .bind(signed(query.skip))
            .fetch_all(self.database.readers())
            .await
            .map_err(failed("list entities"))?;
        rows.into_iter().map(EntityRow::into_stored).collect()
    }

    async fn count(&self, query: &EntityQuery) -> Result<u64, StoreError> {
        let number: i64 = sqlx::query_scalar(Listing::of(query).count)
            .bind(query.path.as_str())
            .bind(query.kind.as_str())
            .fetch_one(self.database.readers())
            .await
            .map_err(failed("count entities"))?;
        Ok(number.unsigned_abs())
    }

    async fn documents(&self, after: &str, limit: u64) -> Result<Vec<Stored>, StoreError> {
        let rows: Vec<EntityRow> = sqlx::query_as(DOCUMENTS)
            .bind(after)
            .bind(signed(limit))
            .fetch_all(self.database.readers())
            .await
            .map_err(failed("read entities"))?;
        rows.into_iter().map(EntityRow::into_stored).collect()
    }

    async fn code(&self, digest: &str) -> Result<Option<Bytes>, StoreError> {
        let bytes: Option<Vec<u8>> = sqlx::query_scalar(CODE)
            .bind(digest)
            .fetch_optional(self.database.readers())
            .await
            .map_err(failed("read code"))?;
        Ok(bytes.map(Bytes::from))
    }

    fn changes(&self) -> broadcast::Receiver<Change> {
        self.changes.subscribe()
    }
}

/// What is stored under an id, as a write needs to know it.
struct Current {
    number: i64,
    tag: String,
    code: Option<String>,
}

impl Current {
    fn revision(&self) -> Revision {
        revision(self.number, &self.tag)
    }
}

async fn current(connection: &mut SqliteConnection, id: &str) -> Result<Option<Current>, sqlx::Error> {
    let row: Option<(i64, String, Option<String>)> =
        sqlx::query_as(FIND).bind(id).fetch_optional(connection).await?;
    Ok(row.map(|(number, tag, code)| Current { number, tag, code }))
}

async fn put(
    database: &Database,
    id: &str,
    document: Document,
    expected: Option<Revision>,
) -> Result<Revision, StoreError> {
    let mut writer = database.writer().await?;
    let mut write = writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed(WRITE))?;
    let revision = put_in(&mut write, id, document, expected).await?;
    write.commit().await.map_err(failed(WRITE))?;
    Ok(revision)
}

async fn write_all(database: &Database, writes: Vec<Write>) -> Result<(), StoreError> {
    let mut writer = database.writer().await?;
    let mut write = writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed(WRITE))?;
    for one in writes {
        let id = one.id();
        match one {
            Write::Put(document, expected) => {
                put_in(&mut write, &id, document, expected).await?;
            }
            Write::Delete(_, expected) => delete_in(&mut write, &id, &expected).await?,
            Write::Unchanged(_, expected) => {
                let current = current(&mut write, &id).await.map_err(failed(WRITE))?;
                if current.map(|current| current.revision()) != expected {
                    return Err(StoreError::Conflict(id));
                }
            }
        }
    }
    write.commit().await.map_err(failed(WRITE))
}

async fn put_in(
    write: &mut SqliteConnection,
    id: &str,
    document: Document,
    expected: Option<Revision>,
) -> Result<Revision, StoreError> {
    let before = current(write, id).await.map_err(failed(WRITE))?;
    if before.as_ref().map(Current::revision) != expected {
        return Err(StoreError::Conflict(id.to_owned()));
    }
    let code = match &document.code {
        Some((code, bytes)) => {
            sqlx::query(INSERT_CODE)
                .bind(&code.digest)
                .bind(&bytes[..])
                .execute(&mut *write)
                .await
                .map_err(failed(WRITE))?;
            Some(code.digest.clone())
        }
        None => kept_code(write, id, &document.json).await?,
    };
    let number = before.as_ref().map_or(0, |before| before.number) + 1;
    let tag = tag(&document.json);
    sqlx::query(if before.is_some() { REPLACE } else { INSERT })
        .bind(number)
        .bind(&tag)
        .bind(document.kind.as_str())
        .bind(signed(document.updated.0))
        .bind(document.publish)
        .bind(&code)
        .bind(document.json)
        .bind(document.path.root().as_str())
        .bind(document.path.as_str())
        .bind(document.name.as_str())
        .bind(id)
        .execute(&mut *write)
        .await
        .map_err(failed(WRITE))?;
    if let Some(old) = before.and_then(|before| before.code).filter(|old| Some(old) != code.as_ref()) {
        sweep(write, &old).await.map_err(failed(WRITE))?;
    }
    Ok(revision(number, &tag))
}

/// The digest of code that a document refers to without bringing it along, as a change that leaves
/// the code alone does. It must be stored already.
async fn kept_code(write: &mut SqliteConnection, id: &str, json: &str) -> Result<Option<String>, StoreError> {
    let Some(code) = code_of(json) else { return Ok(None) };
    let found: Option<i64> = sqlx::query_scalar(HAS_CODE)
        .bind(&code.digest)
        .fetch_optional(write)
        .await
        .map_err(failed("look for code"))?;
    if found.is_none() {
        return Err(code_is_missing(id, &code.digest));
    }
    Ok(Some(code.digest))
}

async fn delete(database: &Database, id: &str, expected: &Revision) -> Result<(), StoreError> {
    let mut writer = database.writer().await?;
    let mut write = writer.begin_with("BEGIN IMMEDIATE").await.map_err(failed(DROP))?;
    delete_in(&mut write, id, expected).await?;
    write.commit().await.map_err(failed(DROP))
}

async fn delete_in(write: &mut SqliteConnection, id: &str, expected: &Revision) -> Result<(), StoreError> {
    let before = current(write, id).await.map_err(failed(DROP))?;
    let Some(before) = before.filter(|before| before.revision() == *expected) else {
        return Err(StoreError::Conflict(id.to_owned()));
    };
    sqlx::query(DELETE).bind(id).execute(&mut *write).await.map_err(failed(DROP))?;
    if let Some(code) = before.code {
        sweep(write, &code).await.map_err(failed(DROP))?;
    }
    Ok(())
}

async fn sweep(write: &mut SqliteConnection, digest: &str) -> Result<(), sqlx::Error> {
    sqlx::query(SWEEP_CODE).bind(digest).execute(write).await.map(drop)
}

#[cfg(test)]
mod tests {
    use super::super::SqliteStores;
    use super::*;

    #[tokio::test]
    async fn every_statement_is_on_an_index() {
        let folder = tempfile::tempdir().unwrap();
        let stores = SqliteStores::open(folder.path()).await.unwrap();
        let listings = [&NAMESPACE, &PACKAGE, &PUBLIC_NAMESPACE, &PUBLIC_PACKAGE];
        let mut statements =
            vec![GET, FIND, INSERT, REPLACE, DELETE, DOCUMENTS, CODE, HAS_CODE, INSERT_CODE, SWEEP_CODE];
        statements.extend(listings.iter().flat_map(|listing| [listing.page, listing.count]));
        stores.entities.assert_planned(&statements).await;
        stores.close().await;
    }
}
