//! Entities and their code.

use bytes::Bytes;
use common::clock::Millis;
use common::entity::exec::CodeRef;
use common::entity::name::{EntityName, EntityPath};
use common::store::{
    ArtifactStore, Change, Document, EntityKind, EntityQuery, Revision, StoreError, Stored, Write,
};
use serde_json::json;

use super::{Place, Process, noticed, quiet};

pub(super) fn document(kind: EntityKind, id: &str, updated: u64) -> Document {
    let (path, name) = id.rsplit_once('/').unwrap();
    Document {
        kind,
        path: EntityPath::parse(path).unwrap(),
        name: EntityName::parse(name).unwrap(),
        updated: Millis(updated),
        publish: false,
        json: json!({ "id": id, "updated": updated }).to_string(),
        code: None,
    }
}

/// An action with that code; `brings` says whether the code comes along.
fn action(id: &str, updated: u64, code: &str, brings: bool) -> Document {
    let reference = CodeRef::of(code);
    let json = json!({ "updated": updated, "exec": { "kind": "nodejs:20", "code": reference } }).to_string();
    let code = brings.then(|| (reference, Bytes::copy_from_slice(code.as_bytes())));
    Document { json, code, ..document(EntityKind::Action, id, updated) }
}

pub(super) fn query(kind: EntityKind, path: &str) -> EntityQuery {
    EntityQuery { kind, path: EntityPath::parse(path).unwrap(), only_public: false, skip: 0, limit: 200 }
}

fn ids(list: Vec<Stored>) -> Vec<String> {
    list.into_iter().map(|stored| stored.id).collect()
}

fn number(revision: &Revision) -> u64 {
    let (number, tag) = revision.0.split_once('-').expect("a revision is <n>-<tag>");
    assert!(tag.len() == 8 && tag.bytes().all(|byte| byte.is_ascii_hexdigit()), "{revision:?}");
    number.parse().unwrap()
}

fn is_conflict<T>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(StoreError::Conflict(_)))
}

async fn put(store: &dyn ArtifactStore, document: &Document) -> Revision {
    store.put(document, None).await.unwrap()
}

pub(super) async fn a_document_is_created_replaced_and_deleted_at_its_revision(_: impl Place, one: Process) {
    let store = one.artifacts.as_ref();
    assert!(store.get("ns/a").await.unwrap().is_none());
    let first = put(store, &document(EntityKind::Action, "ns/a", 1)).await;
    assert_eq!(number(&first), 1);
    assert!(is_conflict(store.put(&document(EntityKind::Action, "ns/a", 2), None).await), "it exists");
    let second = store.put(&document(EntityKind::Action, "ns/a", 2), Some(&first)).await.unwrap();
    assert_eq!(number(&second), 2);
    assert!(is_conflict(store.put(&document(EntityKind::Action, "ns/a", 3), Some(&first)).await), "stale");
    assert!(is_conflict(store.delete("ns/a", &first).await), "stale");
    let stored = store.get("ns/a").await.unwrap().unwrap();
    assert_eq!((stored.id.as_str(), &stored.revision), ("ns/a", &second));
    assert_eq!(stored.read::<serde_json::Value>().unwrap()["updated"], 2);
    store.delete("ns/a", &second).await.unwrap();
    assert!(store.get("ns/a").await.unwrap().is_none());
    assert!(is_conflict(store.delete("ns/a", &second).await), "gone");
    assert!(is_conflict(store.put(&document(EntityKind::Action, "ns/a", 4), Some(&second)).await), "gone");
    one.stop().await;
}

pub(super) async fn kinds_share_their_ids(_: impl Place, one: Process) {
    let store = one.artifacts.as_ref();
    let revision = put(store, &document(EntityKind::Package, "ns/a", 1)).await;
    assert!(is_conflict(store.put(&document(EntityKind::Trigger, "ns/a", 2), None).await));
    assert_eq!(store.get("ns/a").await.unwrap().unwrap().kind, EntityKind::Package);
    store.put(&document(EntityKind::Rule, "ns/a", 3), Some(&revision)).await.unwrap();
    assert_eq!(store.get("ns/a").await.unwrap().unwrap().kind, EntityKind::Rule);
    assert_eq!(store.count(&query(EntityKind::Package, "ns")).await.unwrap(), 0);
    one.stop().await;
}

pub(super) async fn text_is_kept_to_the_byte(_: impl Place, one: Process) {
    let store = one.artifacts.as_ref();
    let json =
        "{ \"nul\": \"a\\u0000b\",\n \"n\": 12345678901234567890.10, \"ü\": \"\u{1f980}\" }".to_owned();
    put(store, &Document { json: json.clone(), ..document(EntityKind::Trigger, "ns/a b@c.d-e_1", 1) }).await;
    assert_eq!(store.get("ns/a b@c.d-e_1").await.unwrap().unwrap().json, json);
    let code = "\0code \u{1f980}";
    put(store, &action("ns/nul", 1, code, true)).await;
    let stored = store.code(&CodeRef::of(code).digest).await.unwrap().unwrap();
    assert_eq!(&stored[..], code.as_bytes());
    one.stop().await;
}

pub(super) async fn code_lives_as_long_as_a_document_refers_to_it(_: impl Place, one: Process) {
    let store = one.artifacts.as_ref();
    let digest = |code: &str| CodeRef::of(code).digest;
    let first = put(store, &action("ns/a", 1, "x", true)).await;
    let other = put(store, &action("ns/p/b", 1, "x", true)).await;
    assert_eq!(store.code(&digest("x")).await.unwrap().as_deref(), Some(&b"x"[..]));
    let second = store.put(&action("ns/a", 2, "y", true), Some(&first)).await.unwrap();
    assert!(store.code(&digest("x")).await.unwrap().is_some(), "another refers to it");
    store.delete("ns/p/b", &other).await.unwrap();
    assert!(store.code(&digest("x")).await.unwrap().is_none(), "nobody does any more");
    assert!(is_conflict(store.put(&action("ns/a", 3, "z", true), Some(&first)).await));
    assert!(store.code(&digest("z")).await.unwrap().is_none(), "a write that failed leaves no code");
    let sequence = document(EntityKind::Action, "ns/a", 3);
    let third = store.put(&sequence, Some(&second)).await.unwrap();
    assert!(store.code(&digest("y")).await.unwrap().is_none(), "replaced by an entity without code");
    store.delete("ns/a", &third).await.unwrap();
    one.stop().await;
}

pub(super) async fn code_stays_when_a_change_leaves_it_alone(_: impl Place, one: Process) {
    let store = one.artifacts.as_ref();
    let digest = CodeRef::of("x").digest;
    let first = put(store, &action("ns/a", 1, "x", true)).await;
    let second = store.put(&action("ns/a", 2, "x", false), Some(&first)).await.unwrap();
    assert!(store.code(&digest).await.unwrap().is_some());
    store.delete("ns/a", &second).await.unwrap();
    assert!(store.code(&digest).await.unwrap().is_none());
    let lost = store.put(&action("ns/b", 1, "never stored", false), None).await;
    assert!(matches!(lost, Err(StoreError::Corrupt { .. })), "it would have no code");
    assert!(store.get("ns/b").await.unwrap().is_none());
    one.stop().await;
}

pub(super) async fn lists_are_newest_first_and_paged(_: impl Place, one: Process) {
    let store = one.artifacts.as_ref();
    for (id, updated) in [("ns/c", 10), ("ns/a", 30), ("ns/d", 20), ("ns/b", 20)] {
        put(store, &document(EntityKind::Rule, id, updated)).await;
    }
    let rules = query(EntityKind::Rule, "ns");
    assert_eq!(ids(store.list(&rules).await.unwrap()), ["ns/a", "ns/b", "ns/d", "ns/c"]);
    let page = EntityQuery { skip: 1, limit: 2, ..rules.clone() };
    assert_eq!(ids(store.list(&page).await.unwrap()), ["ns/b", "ns/d"]);
    assert_eq!(store.count(&page).await.unwrap(), 4, "skip and limit are left aside");
    let beyond = EntityQuery { skip: 9, limit: u64::MAX, ..rules.clone() };
    assert!(store.list(&beyond).await.unwrap().is_empty());
    let oldest = store.get("ns/c").await.unwrap().unwrap().revision;
    store.put(&document(EntityKind::Rule, "ns/c", 40), Some(&oldest)).await.unwrap();
    assert_eq!(ids(store.list(&rules).await.unwrap())[0], "ns/c", "a change moves it to the front");
    one.stop().await;
}

pub(super) async fn lists_know_namespaces_packages_and_the_public(_: impl Place, one: Process) {
    let store = one.artifacts.as_ref();
    for (id, updated) in [("ns/a", 1), ("ns/p/b", 2), ("ns/q/c", 3), ("ns2/d", 4), ("ns/p/e", 5)] {
        let publish = id.ends_with(['a', 'b']);
        put(store, &Document { publish, ..document(EntityKind::Action, id, updated) }).await;
    }
    put(store, &document(EntityKind::Package, "ns/p", 6)).await;
    let check = async |path: &str, only_public, expected: &[&str]| {
        let query = EntityQuery { only_public, ..query(EntityKind::Action, path) };
        assert_eq!(ids(store.list(&query).await.unwrap()), expected, "{path} {only_public}");
        assert_eq!(store.count(&query).await.unwrap(), expected.len() as u64, "{path} {only_public}");
    };
    check("ns", false, &["ns/p/e", "ns/q/c", "ns/p/b", "ns/a"]).await;
    check("ns/p", false, &["ns/p/e", "ns/p/b"]).await;
    check("ns", true, &["ns/p/b", "ns/a"]).await;
    check("ns/p", true, &["ns/p/b"]).await;
    check("none", false, &[]).await;
    one.stop().await;
}

pub(super) async fn an_operator_reads_all_documents_in_pages(_: impl Place, one: Process) {
    let store = one.artifacts.as_ref();
    for (kind, id) in [
        (EntityKind::Rule, "b/r"),
        (EntityKind::Package, "a/p"),
        (EntityKind::Action, "a/p/x"),
        (EntityKind::Trigger, "a/Z"),
    ] {
        put(store, &document(kind, id, 1)).await;
    }
    assert_eq!(ids(store.documents("", 3).await.unwrap()), ["a/Z", "a/p", "a/p/x"]);
    assert_eq!(ids(store.documents("a/p/x", 3).await.unwrap()), ["b/r"]);
    assert!(store.documents("b/r", 3).await.unwrap().is_empty());
    one.stop().await;
}

pub(super) async fn a_corrupt_document_fails_only_when_read_as_its_type(_: impl Place, one: Process) {
    let store = one.artifacts.as_ref();
    let broken = Document { json: "{\"broken".into(), ..document(EntityKind::Action, "ns/a", 1) };
    let revision = put(store, &broken).await;
    let stored = store.get("ns/a").await.unwrap().unwrap();
    assert!(
        matches!(stored.read::<serde_json::Value>(), Err(StoreError::Corrupt { id, .. }) if id == "ns/a")
    );
    assert_eq!(store.list(&query(EntityKind::Action, "ns")).await.unwrap().len(), 1);
    store.delete("ns/a", &revision).await.unwrap();
    one.stop().await;
}

pub(super) async fn of_many_writers_of_one_revision_one_wins(place: impl Place, one: Process) {
    let two = place.open().await;
    let first = put(one.artifacts.as_ref(), &document(EntityKind::Trigger, "ns/a", 1)).await;
    let writes = (0..20).map(|writer| {
        let store = if writer % 2 == 0 { &one.artifacts } else { &two.artifacts };
        let (store, first) = (store.clone(), first.clone());
        async move { store.put(&document(EntityKind::Trigger, "ns/a", 100 + writer), Some(&first)).await }
    });
    let results = futures::future::join_all(writes).await;
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
    assert!(results.into_iter().filter(Result::is_err).all(is_conflict));
    one.stop().await;
    two.stop().await;
}

pub(super) async fn several_documents_are_written_together_or_not_at_all(_: impl Place, one: Process) {
    let store = one.artifacts.as_ref();
    let mut changes = store.changes();
    quiet(&mut changes).await;
    let trigger = put(store, &document(EntityKind::Trigger, "ns/t", 1)).await;
    let rule = |updated| document(EntityKind::Rule, "ns/r", updated);
    let linked = document(EntityKind::Trigger, "ns/t", 2);
    let both = [Write::Put(rule(2), None), Write::Put(linked.clone(), Some(trigger.clone()))];
    store.write_all(&both).await.unwrap();
    let (rule_at, linked_at) = (revision_of(store, "ns/r").await, revision_of(store, "ns/t").await);
    assert_eq!((number(&rule_at), number(&linked_at)), (1, 2));
    for id in ["ns/t", "ns/r", "ns/t"] {
        assert_eq!(changes.recv().await.unwrap(), Change::Entity(id.into()));
    }
    // Whichever of them is in the way, nothing is written.
    let unlinked = document(EntityKind::Trigger, "ns/t", 3);
    for (writes, id) in [
        ([Write::Put(rule(3), None), Write::Put(unlinked.clone(), Some(linked_at.clone()))], "ns/r"),
        (
            [Write::Delete("ns/r".into(), rule_at.clone()), Write::Put(unlinked.clone(), Some(trigger))],
            "ns/t",
        ),
    ] {
        let refused = store.write_all(&writes).await;
        assert!(matches!(&refused, Err(StoreError::Conflict(at)) if at == id), "{refused:?}");
    }
    assert_eq!(revision_of(store, "ns/t").await, linked_at);
    assert_eq!(revision_of(store, "ns/r").await, rule_at);
    // What is only relied on counts as well, and is left alone.
    for (id, relied_on) in
        [("ns/t", Some(rule_at.clone())), ("ns/t", None), ("ns/none", Some(rule_at.clone()))]
    {
        let drop = Write::Delete("ns/r".into(), rule_at.clone());
        let refused = store.write_all(&[drop, Write::Unchanged(id.into(), relied_on)]).await;
        assert!(matches!(&refused, Err(StoreError::Conflict(at)) if at == id), "{refused:?}");
    }
    let absent = Write::Unchanged("ns/none".into(), None);
    let still = Write::Unchanged("ns/t".into(), Some(linked_at.clone()));
    store.write_all(&[Write::Delete("ns/r".into(), rule_at), still, absent]).await.unwrap();
    assert!(store.get("ns/r").await.unwrap().is_none());
    assert_eq!(revision_of(store, "ns/t").await, linked_at);
    assert_eq!(changes.recv().await.unwrap(), Change::Entity("ns/r".into()));
    assert!(changes.try_recv().is_err());
    // Code comes and goes with them as with a single write.
    let digest = CodeRef::of("x").digest;
    store.write_all(&[Write::Put(action("ns/a", 1, "x", true), None)]).await.unwrap();
    assert!(store.code(&digest).await.unwrap().is_some());
    let at = revision_of(store, "ns/a").await;
    store.write_all(&[Write::Delete("ns/a".into(), at)]).await.unwrap();
    assert!(store.code(&digest).await.unwrap().is_none());
    one.stop().await;
}

async fn revision_of(store: &dyn ArtifactStore, id: &str) -> Revision {
    store.get(id).await.unwrap().unwrap().revision
}

pub(super) async fn writers_of_several_documents_do_not_wait_for_each_other(place: impl Place, one: Process) {
    let two = place.open().await;
    for id in ["ns/a", "ns/b"] {
        put(one.artifacts.as_ref(), &action(id, 1, id, true)).await;
    }
    let writers = (0..8).map(|writer| {
        let store = if writer % 2 == 0 { &one.artifacts } else { &two.artifacts };
        let store = store.clone();
        async move {
            for round in 0..10 {
                let mut writes = Vec::new();
                for (id, code) in [("ns/a", "x"), ("ns/b", "y")] {
                    let revision = store.get(id).await.unwrap().map(|stored| stored.revision);
                    writes.push(Write::Put(action(id, 100 * writer + round, code, true), revision));
                }
                if writer % 4 > 1 {
                    writes.reverse();
                }
                let done = store.write_all(&writes).await;
                assert!(done.is_ok() || is_conflict(done));
            }
        }
    });
    futures::future::join_all(writers).await;
    one.stop().await;
    two.stop().await;
}

pub(super) async fn changes_are_announced_here_and_to_other_processes(place: impl Place, one: Process) {
    let two = place.open().await;
    let (mut here, mut there) = (one.artifacts.changes(), two.artifacts.changes());
    quiet(&mut there).await;
    quiet(&mut here).await;
    let change = Change::Entity("ns/a".into());
    let revision = put(one.artifacts.as_ref(), &document(EntityKind::Trigger, "ns/a", 1)).await;
    assert_eq!(here.try_recv().unwrap(), change, "its own write is announced before it returns");
    noticed(&mut there, &change).await;
    assert_eq!(two.artifacts.get("ns/a").await.unwrap().unwrap().revision, revision);
    one.artifacts.delete("ns/a", &revision).await.unwrap();
    assert_eq!(here.try_recv().unwrap(), change);
    noticed(&mut there, &change).await;
    assert!(two.artifacts.get("ns/a").await.unwrap().is_none());
    quiet(&mut there).await;
    assert!(here.try_recv().is_err(), "one's own writes are not taken for those of others");
    one.stop().await;
    two.stop().await;
}

pub(super) async fn what_was_written_is_there_after_a_new_start(place: impl Place, one: Process) {
    let revision = put(one.artifacts.as_ref(), &action("ns/a", 1, "x", true)).await;
    one.stop().await;
    assert!(one.artifacts.get("ns/a").await.is_err(), "what is closed answers nothing");
    let two = place.open().await;
    assert_eq!(two.artifacts.get("ns/a").await.unwrap().unwrap().revision, revision);
    assert!(two.artifacts.code(&CodeRef::of("x").digest).await.unwrap().is_some());
    two.stop().await;
}
