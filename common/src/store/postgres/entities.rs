//! Entities and their code in PostgreSQL.
//!
//! A write locks its document's row. Who brings, keeps or drops code also holds a lock on its digest
//! until the end of the transaction, so that code is never swept while somebody begins to refer to it.
//! Who writes several documents locks all rows before all code, each in order, so that no two writers
//! wait for each other.

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use sqlx::PgConnection;
use tokio::sync::broadcast;

use super::super::rows::{EntityRow, code_is_missing, code_of, revision, signed, tag};
use super::super::{ArtifactStore, Change, Document, EntityQuery, Revision, StoreError, Stored, Write};
use super::database::{Database, failed};

/// What is told of a write that fails.
const WRITE: &str = "write an entity";
const DROP: &str = "delete an entity";

const GET: &str = "SELECT id, kind, revision, tag, doc FROM entities WHERE id = $1";
const FIND: &str = "SELECT revision, tag, code_digest FROM entities WHERE id = $1 FOR UPDATE";
const INSERT: &str = "INSERT INTO entities \
    (id, revision, tag, kind, updated, publish, code_digest, doc, root, path, name) \
    VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (id) DO NOTHING";
const REPLACE: &str = "UPDATE entities SET revision = $2, tag = $3, kind = $4, updated = $5, publish = $6, \
    code_digest = $7, doc = $8, root = $9, path = $10, name = $11 WHERE id = $1";
const DELETE: &str = "DELETE FROM entities WHERE id = $1";

const DOCUMENTS: &str =
    "SELECT id, kind, revision, tag, doc FROM entities WHERE id > $1 ORDER BY id LIMIT $2";

const CODE: &str = "SELECT bytes FROM codes WHERE digest = $1";
const LOCK_CODE: &str = "SELECT pg_advisory_xact_lock(hashtextextended($1, 0))";
const HAS_CODE: &str = "SELECT EXISTS (SELECT 1 FROM codes WHERE digest = $1)";
const INSERT_CODE: &str = "INSERT INTO codes (digest, bytes) VALUES ($1, $2) ON CONFLICT (digest) DO NOTHING";
const SWEEP_CODE: &str = "DELETE FROM codes WHERE digest = $1 \
    AND NOT EXISTS (SELECT 1 FROM entities WHERE code_digest = $1)";

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
                " ORDER BY updated DESC, id LIMIT $3 OFFSET $4"
            ),
            count: concat!("SELECT COUNT(*) FROM entities WHERE ", $which),
        }
    };
}

static NAMESPACE: Listing = listing!("root = $1 AND kind = $2");
static PACKAGE: Listing = listing!("path = $1 AND kind = $2");
static PUBLIC_NAMESPACE: Listing = listing!("root = $1 AND kind = $2 AND publish");
static PUBLIC_PACKAGE: Listing = listing!("path = $1 AND kind = $2 AND publish");

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

/// Entities in the tables `entities` and `codes`.
pub(super) struct PostgresEntities {
    database: Arc<Database>,
}

impl PostgresEntities {
    pub(super) fn new(database: Arc<Database>) -> Self {
        Self { database }
    }
}

#[async_trait]
impl ArtifactStore for PostgresEntities {
    async fn get(&self, id: &str) -> Result<Option<Stored>, StoreError> {
        let query = sqlx::query_as(GET).bind(id).fetch_optional(self.database.pool());
        let row: Option<EntityRow> = self.database.read("read an entity", query).await?;
        row.map(EntityRow::into_stored).transpose()
    }

    async fn put(&self, document: &Document, expected: Option<&Revision>) -> Result<Revision, StoreError> {
        let (database, document, expected) = (self.database.clone(), document.clone(), expected.cloned());
        let id = document.id();
        let changes = vec![Change::Entity(id.clone())];
        let work = async move { put(&database, &id, document, expected).await };
        self.database.finish(WRITE, changes, work).await
    }

    async fn delete(&self, id: &str, expected: &Revision) -> Result<(), StoreError> {
        let (database, id, expected) = (self.database.clone(), id.to_owned(), expected.clone());
        let changes = vec![Change::Entity(id.clone())];
        let work = async move { delete(&database, &id, &expected).await };
        self.database.finish(DROP, changes, work).await
    }

    async fn write_all(&self, writes: &[Write]) -> Result<(), StoreError> {
        let (database, writes) = (self.database.clone(), writes.to_vec());
        let changes = writes.iter().filter_map(Write::changes).map(Change::Entity).collect();
        let work = async move { write_all(&database, writes).await };
        self.database.finish(WRITE, changes, work).await
    }

    async fn list(&self, query: &EntityQuery) -> Result<Vec<Stored>, StoreError> {
        let rows = sqlx::query_as(Listing::of(query).page)
            .bind(query.path.as_str())
            .bind(query.kind.as_str())
            .bind(signed(query.limit))
            .bind(signed(query.skip))
            .fetch_all(self.database.pool());
        let rows: Vec<EntityRow> = self.database.read("list entities", rows).await?;
        rows.into_iter().map(EntityRow::into_stored).collect()
    }

    async fn count(&self, query: &EntityQuery) -> Result<u64, StoreError> {
        let number = sqlx::query_scalar(Listing::of(query).count)
            .bind(query.path.as_str())
            .bind(query.kind.as_str())
            .fetch_one(self.database.pool());
        let number: i64 = self.database.read("count entities", number).await?;
        Ok(number.unsigned_abs())
    }

    async fn documents(&self, after: &str, limit: u64) -> Result<Vec<Stored>, StoreError> {
        let rows = sqlx::query_as(DOCUMENTS).bind(after).bind(signed(limit)).fetch_all(self.database.pool());
        let rows: Vec<EntityRow> = self.database.read("read entities", rows).await?;
        rows.into_iter().map(EntityRow::into_stored).collect()
    }

    async fn code(&self, digest: &str) -> Result<Option<Bytes>, StoreError> {
        let bytes = sqlx::query_scalar(CODE).bind(digest).fetch_optional(self.database.pool());
        let bytes: Option<Vec<u8>> = self.database.read("read code", bytes).await?;
        Ok(bytes.map(Bytes::from))
    }

    fn changes(&self) -> broadcast::Receiver<Change> {
        self.database.changes().subscribe()
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

/// Reads and locks.
async fn current(write: &mut PgConnection, id: &str) -> Result<Option<Current>, sqlx::Error> {
    let row: Option<(i64, String, Option<String>)> =
        sqlx::query_as(FIND).bind(id).fetch_optional(write).await?;
    Ok(row.map(|(number, tag, code)| Current { number, tag, code }))
}

/// Locks code until the end of the transaction, always in the same order.
async fn lock_codes<'a>(
    write: &mut PgConnection,
    digests: impl IntoIterator<Item = &'a String>,
) -> Result<(), sqlx::Error> {
    for digest in digests.into_iter().collect::<BTreeSet<_>>() {
        sqlx::query(LOCK_CODE).bind(digest).execute(&mut *write).await?;
    }
    Ok(())
}

async fn put(
    database: &Database,
    id: &str,
    document: Document,
    expected: Option<Revision>,
) -> Result<Revision, StoreError> {
    let mut write = database.pool().begin().await.map_err(failed(WRITE))?;
    let revision = put_in(database, &mut write, id, document, expected).await?;
    write.commit().await.map_err(failed(WRITE))?;
    Ok(revision)
}

async fn delete(database: &Database, id: &str, expected: &Revision) -> Result<(), StoreError> {
    let mut write = database.pool().begin().await.map_err(failed(DROP))?;
    delete_in(database, &mut write, id, expected).await?;
    write.commit().await.map_err(failed(DROP))
}

async fn write_all(database: &Database, mut writes: Vec<Write>) -> Result<(), StoreError> {
    writes.sort_by_key(Write::id);
    let mut write = database.pool().begin().await.map_err(failed(WRITE))?;
    let mut codes = BTreeSet::new();
    for one in &writes {
        let before = current(&mut write, &one.id()).await.map_err(failed(WRITE))?;
        if one.changes().is_some() {
            codes.extend(before.and_then(|before| before.code));
        }
        if let Write::Put(document, _) = one {
            codes.extend(code_after(document));
        }
    }
    lock_codes(&mut write, &codes).await.map_err(failed(WRITE))?;
    for one in writes {
        let id = one.id();
        match one {
            Write::Put(document, expected) => {
                put_in(database, &mut write, &id, document, expected).await?;
            }
            Write::Delete(_, expected) => delete_in(database, &mut write, &id, &expected).await?,
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

/// The digest of the code that a document refers to once it is written.
fn code_after(document: &Document) -> Option<String> {
    let brought = document.code.as_ref().map(|(code, _)| code.digest.clone());
    brought.or_else(|| code_of(&document.json).map(|code| code.digest))
}

async fn put_in(
    database: &Database,
    write: &mut PgConnection,
    id: &str,
    document: Document,
    expected: Option<Revision>,
) -> Result<Revision, StoreError> {
    let before = current(write, id).await.map_err(failed(WRITE))?;
    if before.as_ref().map(Current::revision) != expected {
        return Err(StoreError::Conflict(id.to_owned()));
    }
    let code = code_after(&document);
    let dropped =
        before.as_ref().and_then(|before| before.code.clone()).filter(|old| Some(old) != code.as_ref());
    lock_codes(write, code.iter().chain(&dropped)).await.map_err(failed(WRITE))?;
    match (&document.code, &code) {
        (Some((code, bytes)), _) => {
            let insert = sqlx::query(INSERT_CODE).bind(&code.digest).bind(&bytes[..]).execute(&mut *write);
            insert.await.map_err(failed(WRITE))?;
        }
        // A change that leaves the code alone does not bring it along.
        (None, Some(digest)) => {
            let found = sqlx::query_scalar(HAS_CODE).bind(digest).fetch_one(&mut *write);
            if !found.await.map_err(failed(WRITE))? {
                return Err(code_is_missing(id, digest));
            }
        }
        (None, None) => {}
    }
    let number = before.as_ref().map_or(0, |before| before.number) + 1;
    let tag = tag(&document.json);
    let written = sqlx::query(if before.is_some() { REPLACE } else { INSERT })
        .bind(id)
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
        .execute(&mut *write)
        .await
        .map_err(failed(WRITE))?;
    if written.rows_affected() == 0 {
        // Somebody else created it since we looked.
        return Err(StoreError::Conflict(id.to_owned()));
    }
    if let Some(old) = dropped {
        sweep(write, &old).await.map_err(failed(WRITE))?;
    }
    database.notify(write, Change::Entity(id.to_owned())).await.map_err(failed(WRITE))?;
    Ok(revision(number, &tag))
}

async fn delete_in(
    database: &Database,
    write: &mut PgConnection,
    id: &str,
    expected: &Revision,
) -> Result<(), StoreError> {
    let before = current(write, id).await.map_err(failed(DROP))?;
    let Some(before) = before.filter(|before| before.revision() == *expected) else {
        return Err(StoreError::Conflict(id.to_owned()));
    };
    lock_codes(write, &before.code).await.map_err(failed(DROP))?;
    sqlx::query(DELETE).bind(id).execute(&mut *write).await.map_err(failed(DROP))?;
    if let Some(code) = before.code {
        sweep(write, &code).await.map_err(failed(DROP))?;
    }
    database.notify(write, Change::Entity(id.to_owned())).await.map_err(failed(DROP))
}

async fn sweep(write: &mut PgConnection, digest: &str) -> Result<(), sqlx::Error> {
    sqlx::query(SWEEP_CODE).bind(digest).execute(write).await.map(drop)
}
