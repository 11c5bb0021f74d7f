//! The caches over the real store, behind a gate at which a read can be held.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::Semaphore;

use super::super::sqlite::SqliteStores;
use super::super::{Document, EntityQuery, KeyRecord, Stored, SubjectRecord, Write};
use super::*;
use crate::clock::Millis;
use crate::entity::name::{EntityName, EntityPath};
use crate::metrics::shared::CacheMetrics;

/// A store that counts reads and, while it has no permits, holds what was read at the gate.
struct Gated {
    inner: Arc<dyn ArtifactStore>,
    reads: AtomicUsize,
    gate: Semaphore,
}

#[async_trait]
impl ArtifactStore for Gated {
    async fn get(&self, id: &str) -> Result<Option<Stored>, StoreError> {
        let stored = self.inner.get(id).await;
        self.reads.fetch_add(1, Ordering::SeqCst);
        let _pass = self.gate.acquire().await.expect("the gate is never closed");
        stored
    }
    async fn put(&self, document: &Document, expected: Option<&Revision>) -> Result<Revision, StoreError> {
        self.inner.put(document, expected).await
    }
    async fn delete(&self, id: &str, expected: &Revision) -> Result<(), StoreError> {
        self.inner.delete(id, expected).await
    }
    async fn write_all(&self, writes: &[Write]) -> Result<(), StoreError> {
        self.inner.write_all(writes).await
    }
    async fn list(&self, query: &EntityQuery) -> Result<Vec<Stored>, StoreError> {
        self.inner.list(query).await
    }
    async fn count(&self, query: &EntityQuery) -> Result<u64, StoreError> {
        self.inner.count(query).await
    }
    async fn documents(&self, after: &str, limit: u64) -> Result<Vec<Stored>, StoreError> {
        self.inner.documents(after, limit).await
    }
    async fn code(&self, digest: &str) -> Result<Option<Bytes>, StoreError> {
        self.inner.code(digest).await
    }
    fn changes(&self) -> broadcast::Receiver<Change> {
        self.inner.changes()
    }
}

struct Fixture {
    stores: SqliteStores,
    gated: Arc<Gated>,
    cache: Arc<EntityCache<serde_json::Value>>,
    _folder: tempfile::TempDir,
}

impl Fixture {
    async fn new(max_entries: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stores = SqliteStores::open(folder.path()).await.unwrap();
        let gated = Arc::new(Gated {
            inner: stores.artifacts.clone(),
            reads: AtomicUsize::new(0),
            gate: Semaphore::new(1_000),
        });
        let cache = EntityCache::new(gated.clone(), EntityKind::Action, max_entries, CacheMetrics::default());
        Self { stores, gated, cache, _folder: folder }
    }

    fn folder(&self) -> &Path {
        self._folder.path()
    }

    fn reads(&self) -> usize {
        self.gated.reads.load(Ordering::SeqCst)
    }

    async fn put(&self, id: &str, value: u64, expected: Option<&Revision>) -> Revision {
        put(&self.stores, EntityKind::Action, id, value, expected).await
    }

    async fn value(&self, id: &str) -> Option<u64> {
        value(self.cache.get(id).await.unwrap())
    }
}

async fn put(
    stores: &SqliteStores,
    kind: EntityKind,
    id: &str,
    value: u64,
    expected: Option<&Revision>,
) -> Revision {
    let (path, name) = id.rsplit_once('/').unwrap();
    let document = Document {
        kind,
        path: EntityPath::parse(path).unwrap(),
        name: EntityName::parse(name).unwrap(),
        updated: Millis(value),
        publish: false,
        json: format!("{{\"value\":{value}}}"),
        code: None,
    };
    stores.artifacts.put(&document, expected).await.unwrap()
}

fn value(lookup: Lookup<serde_json::Value>) -> Option<u64> {
    match lookup {
        Lookup::Found(cached) => cached.entity["value"].as_u64(),
        Lookup::Missing | Lookup::OtherKind => None,
    }
}

#[tokio::test]
async fn hits_and_misses_are_counted() {
    let fixture = Fixture::new(10).await;
    let revision = fixture.put("ns/a", 1, None).await;
    let counted = || (fixture.cache.metrics.hit.get(), fixture.cache.metrics.miss.get());
    fixture.value("ns/a").await;
    assert_eq!(counted(), (0, 1));
    fixture.value("ns/a").await;
    fixture.cache.get_at("ns/a", Some(&revision)).await.unwrap();
    assert_eq!(counted(), (2, 1));
}

#[tokio::test]
async fn a_hit_reads_nothing_and_misses_of_one_id_read_once() {
    let fixture = Fixture::new(10).await;
    fixture.put("ns/a", 1, None).await;
    let misses = (0..50).map(|_| fixture.value("ns/a"));
    assert!(futures::future::join_all(misses).await.iter().all(|value| *value == Some(1)));
    assert_eq!(fixture.reads(), 1);
    assert!(matches!(fixture.cache.get("ns/b").await.unwrap(), Lookup::Missing));
    put(&fixture.stores, EntityKind::Trigger, "ns/t", 1, None).await;
    assert!(matches!(fixture.cache.get("ns/t").await.unwrap(), Lookup::OtherKind));
}

#[tokio::test]
async fn a_read_that_was_under_way_when_its_entry_was_invalidated_is_not_remembered() {
    let fixture = Fixture::new(10).await;
    let first = fixture.put("ns/a", 1, None).await;
    let held = fixture.gated.gate.acquire_many(1_000).await.unwrap();
    let reading = fixture.value("ns/a");
    let changing = async {
        while fixture.reads() == 0 {
            tokio::task::yield_now().await;
        }
        fixture.put("ns/a", 2, Some(&first)).await;
        fixture.cache.invalidate("ns/a");
        drop(held);
    };
    let (read, ()) = tokio::join!(reading, changing);
    assert_eq!(read, Some(1), "it is answered");
    assert_eq!(fixture.value("ns/a").await, Some(2), "and not remembered");
    assert_eq!(fixture.reads(), 2);
}

#[tokio::test]
async fn a_revision_is_found_even_if_no_notice_came_yet() {
    let fixture = Fixture::new(10).await;
    let first = fixture.put("ns/a", 1, None).await;
    let at = async |revision: Option<&Revision>| value(fixture.cache.get_at("ns/a", revision).await.unwrap());
    assert_eq!(at(Some(&first)).await, Some(1));
    let second = fixture.put("ns/a", 2, Some(&first)).await;
    assert_eq!(at(Some(&first)).await, Some(1), "what is wanted is remembered");
    assert_eq!(at(Some(&second)).await, Some(2), "what is wanted is newer than what is remembered");
    assert_eq!(fixture.reads(), 2);
    assert_eq!(at(Some(&first)).await, Some(2), "the store has nothing older");
    assert_eq!(at(None).await, Some(2));
    assert_eq!(fixture.reads(), 4, "no revision means: ask the store");
}

#[tokio::test]
async fn it_holds_no_more_than_it_may() {
    let fixture = Fixture::new(2).await;
    for id in ["ns/a", "ns/b", "ns/c"] {
        fixture.put(id, 1, None).await;
        fixture.value(id).await;
    }
    assert_eq!(fixture.reads(), 3);
    for id in ["ns/a", "ns/b", "ns/c"] {
        fixture.value(id).await;
    }
    assert!(fixture.reads() > 3, "one of them had to go");
}

#[tokio::test]
async fn it_obeys_changes_of_this_process_and_of_others() {
    let fixture = Fixture::new(10).await;
    let shutdown = Shutdown::new();
    fixture.stores.watch(&shutdown);
    shutdown.spawn("follow", fixture.cache.clone().follow(shutdown.clone()));
    let first = fixture.put("ns/a", 1, None).await;
    until(async || fixture.value("ns/a").await == Some(1)).await;
    let second = fixture.put("ns/a", 2, Some(&first)).await;
    until(async || fixture.value("ns/a").await == Some(2)).await;
    let other = SqliteStores::open(fixture.folder()).await.unwrap();
    put(&other, EntityKind::Action, "ns/a", 3, Some(&second)).await;
    until(async || fixture.value("ns/a").await == Some(3)).await;
    other.close().await;
    assert!(shutdown.finish(Duration::from_secs(5)).await);
    let before = fixture.reads();
    fixture.value("ns/a").await;
    fixture.value("ns/a").await;
    assert_eq!(fixture.reads(), before + 2, "nobody announces changes: nothing is remembered");
}

#[tokio::test]
async fn identities_known_and_unknown_are_remembered_until_a_change() {
    let fixture = Fixture::new(10).await;
    let subjects = fixture.stores.subjects.clone();
    let cache = IdentityCache::new(subjects.clone(), 10, CacheMetrics::default());
    let shutdown = Shutdown::new();
    shutdown.spawn("follow", cache.clone().follow(shutdown.clone()));
    tokio::task::yield_now().await;
    assert!(cache.by_uuid("u").await.unwrap().is_none());
    assert!(cache.by_namespace("guest").await.unwrap().is_none());
    let key = KeyRecord {
        namespace: EntityName::parse("guest").unwrap(),
        uuid: "u".into(),
        digest: [0; 32],
        sealed: Vec::new(),
    };
    let record = SubjectRecord { subject: "guest".into(), blocked: false, keys: vec![key] };
    subjects.put_subject(&record).await.unwrap();
    until(async || cache.by_uuid("u").await.unwrap().is_some()).await;
    let found = cache.by_uuid("u").await.unwrap().unwrap();
    let again = cache.by_uuid("u").await.unwrap().unwrap();
    assert!(Arc::ptr_eq(&found, &again), "a hit is the same record");
    until(async || cache.by_namespace("guest").await.unwrap().is_some()).await;
    let found = cache.by_namespace("guest").await.unwrap().unwrap();
    let again = cache.by_namespace("guest").await.unwrap().unwrap();
    assert!(Arc::ptr_eq(&found, &again) && cache.by_namespace("u").await.unwrap().is_none());
    subjects.put_subject(&SubjectRecord { blocked: true, ..record }).await.unwrap();
    until(async || cache.by_uuid("u").await.unwrap().is_some_and(|record| record.blocked)).await;
    until(async || cache.by_namespace("guest").await.unwrap().is_none()).await;
    cache.invalidate_all();
    assert!(cache.by_uuid("u").await.unwrap().is_some());
    assert!(shutdown.finish(Duration::from_secs(5)).await);
}

/// Waits until it holds, at most as long as a change may take to be noticed.
async fn until(condition: impl AsyncFn() -> bool) {
    let wait = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(2), wait).await.expect("it is noticed in time");
}
