//! Activation records.

use common::clock::Millis;
use common::entity::activation::{Activation, ActivationHead, Response, Status};
use common::entity::id::ActivationId;
use common::entity::name::EntityName;
use common::entity::parameters::Parameters;
use common::entity::version::SemVer;
use common::store::{ActivationQuery, ActivationStore, Certainty, Page, StoreError};
use serde_json::value::RawValue;

use super::{Place, Process};

pub(super) fn raw(text: &str) -> Option<Box<RawValue>> {
    Some(RawValue::from_string(text.to_owned()).unwrap())
}

/// The record whose id ends in `id`, of `ns/name` or `ns/pkg/name`.
pub(super) fn record(id: u32, path: &str, start: u64) -> Activation {
    let (root, name) = (path.split('/').next().unwrap(), path.rsplit('/').next().unwrap());
    let mut bytes = [0; 16];
    bytes[12..].copy_from_slice(&id.to_be_bytes());
    Activation {
        head: ActivationHead {
            namespace: EntityName::parse(root).unwrap(),
            name: EntityName::parse(name).unwrap(),
            version: SemVer::FIRST,
            publish: false,
            subject: "somebody".into(),
            activation_id: ActivationId::from_bytes(bytes),
            cause: None,
            start: Millis(start),
            end: Some(Millis(start + 5)),
            duration: Some(5),
            annotations: Parameters::new().with("path", path).with("waitTime", &7),
        },
        response: Response { status: Status::Success, result: raw("{\"ok\":true}"), size: Some(11) },
        logs: Vec::new(),
    }
}

/// A record whose id was made at that time.
pub(super) fn made(time: Millis, id: u32, path: &str) -> Activation {
    let mut record = record(id, path, time.0);
    let mut bytes = *record.head.activation_id.as_bytes();
    bytes[..6].copy_from_slice(&time.0.to_be_bytes()[2..]);
    record.head.activation_id = ActivationId::from_bytes(bytes);
    record
}

pub(super) fn query(namespace: &str) -> ActivationQuery {
    ActivationQuery {
        namespace: EntityName::parse(namespace).unwrap(),
        name: None,
        since: None,
        upto: None,
        skip: 0,
        limit: 200,
    }
}

pub(super) fn text(activation: &Activation) -> String {
    serde_json::to_string(activation).unwrap()
}

/// The last bytes of the ids of a page, which its whole records must repeat.
async fn page(store: &dyn ActivationStore, query: &ActivationQuery) -> Vec<u8> {
    let heads = store.heads(query).await.unwrap();
    let last = |head: &ActivationHead| head.activation_id.as_bytes()[15];
    let ids: Vec<u8> = heads.iter().map(|(head, _)| last(head)).collect();
    let records = store.records(query).await.unwrap();
    assert_eq!(records.iter().map(|record| last(&record.head)).collect::<Vec<_>>(), ids);
    ids
}

pub(super) async fn a_record_is_kept_whole(_: impl Place, one: Process) {
    let store = one.activations.as_ref();
    let mut full = record(1, "ns/p/hello", 1_700_000_000_000);
    full.head.cause = Some(record(9, "ns/x", 0).head.activation_id);
    full.response = Response {
        status: Status::ApplicationError,
        result: raw(r#"{"error":"a\u0000b","n":1.0,"big":12345678901234567890,"é":"🦀"}"#),
        size: Some(3),
    };
    full.logs = vec!["2026-01-01T00:00:00Z stdout: nul \0 and \"quotes\"".into(), String::new(), "🦀".into()];
    let mut bare = record(2, "ns/fired", 5);
    bare.head.end = None;
    bare.head.duration = None;
    bare.response = Response { status: Status::WhiskError, result: None, size: None };
    let batch = [full, bare];
    store.store(&batch).await.unwrap();
    for activation in &batch {
        let id = activation.head.activation_id;
        let stored = store.get(&activation.head.namespace, id).await.unwrap().unwrap();
        assert_eq!(text(&stored), text(activation));
    }
    let heads = store.heads(&query("ns")).await.unwrap();
    assert_eq!(heads[0].1, Status::ApplicationError);
    assert_eq!(serde_json::to_string(&heads[0].0).unwrap(), serde_json::to_string(&batch[0].head).unwrap());
    one.stop().await;
}

pub(super) async fn a_batch_may_be_repeated_and_replaces(place: impl Place, one: Process) {
    let store = one.activations.as_ref();
    let batch: Vec<_> = (0..10).map(|id| record(id, "ns/a", 100)).collect();
    store.store(&batch).await.unwrap();
    store.store(&batch).await.unwrap();
    assert_eq!(store.count(&query("ns")).await.unwrap(), 10);
    let mut later = record(3, "ns/b", 200);
    later.logs = vec!["real".into()];
    store.store(&[later.clone(), record(10, "ns/a", 50), later.clone()]).await.unwrap();
    let named = |name: &str| ActivationQuery { name: Some(name.into()), ..query("ns") };
    assert_eq!(store.count(&query("ns")).await.unwrap(), 11);
    assert_eq!(store.count(&named("a")).await.unwrap(), 10);
    assert_eq!(store.count(&named("b")).await.unwrap(), 1);
    assert_eq!(page(store, &query("ns")).await[0], 3, "its start moved");
    one.stop().await;
    let two = place.open().await;
    let id = later.head.activation_id;
    let stored = two.activations.get(&later.head.namespace, id).await.unwrap().unwrap();
    assert_eq!(text(&stored), text(&later), "also after a new start");
    two.stop().await;
}

pub(super) async fn what_is_presumed_never_replaces_what_is_known(_: impl Place, one: Process) {
    let store = one.activations.as_ref();
    let named = |name: &str| ActivationQuery { name: Some(name.into()), ..query("ns") };
    let counts = async || {
        let counted = futures::future::join_all([query("ns"), named("a"), named("b")].map(async |query| {
            let (count, listed) = (store.count(&query).await.unwrap(), store.heads(&query).await.unwrap());
            assert_eq!(count, listed.len() as u64, "{query:?}");
            count
        }));
        counted.await
    };
    let is = async |wanted: &Activation| {
        let id = wanted.head.activation_id;
        let stored = store.get(&wanted.head.namespace, id).await.unwrap().unwrap();
        assert_eq!(text(&stored), text(wanted));
    };
    let presumed = |id: u32| {
        let mut record = record(id, "ns/a", u64::from(id));
        record.response = Response::error(Status::WhiskError, "presumed");
        record
    };
    let real = |id: u32| record(id, "ns/b", 1_000 + u64::from(id));

    // The real outcome comes second.
    store.presume(&[presumed(1)]).await.unwrap();
    is(&presumed(1)).await;
    assert_eq!(counts().await, [1, 1, 0]);
    store.store(&[real(1)]).await.unwrap();
    is(&real(1)).await;
    assert_eq!(counts().await, [1, 0, 1]);

    // It comes first, also beside records that are new and one that is presumed already.
    store.store(&[real(2)]).await.unwrap();
    store.presume(&[presumed(3)]).await.unwrap();
    let mut again = presumed(3);
    again.logs = vec!["later".into()];
    let mut batch = vec![presumed(1), presumed(4), presumed(2), again, presumed(5)];
    batch.push(real(5));
    for _ in 0..2 {
        store.presume(&batch).await.unwrap();
        for wanted in [real(1), real(2), presumed(3), presumed(4), presumed(5)] {
            is(&wanted).await;
        }
        assert_eq!(counts().await, [5, 3, 2]);
    }

    // Batches of more than one statement, a third of it known.
    store.store(&(10..40).map(real).collect::<Vec<_>>()).await.unwrap();
    store.presume(&(10..100).map(presumed).collect::<Vec<_>>()).await.unwrap();
    store.presume(&[]).await.unwrap();
    assert_eq!(counts().await, [95, 63, 32]);
    store.store(&(10..100).map(real).collect::<Vec<_>>()).await.unwrap();
    assert_eq!(counts().await, [95, 3, 92]);
    one.stop().await;
}

pub(super) async fn lists_are_newest_first_paged_and_filtered(_: impl Place, one: Process) {
    let store = one.activations.as_ref();
    let batch = [
        record(1, "ns/a", 100),
        record(2, "ns/a", 300),
        record(3, "ns/p/a", 200),
        record(4, "ns/b", 200),
        record(5, "other/a", 250),
        record(6, "ns/a", 300),
    ];
    store.store(&batch).await.unwrap();
    assert_eq!(page(store, &query("ns")).await, [6, 2, 4, 3, 1], "start, then id, both descending");
    assert_eq!(page(store, &ActivationQuery { skip: 1, limit: 2, ..query("ns") }).await, [2, 4]);
    assert_eq!(page(store, &ActivationQuery { skip: 7, ..query("ns") }).await, [0; 0]);
    assert_eq!(page(store, &ActivationQuery { limit: u64::MAX, ..query("other") }).await, [5]);
    let named = |name: &str| ActivationQuery { name: Some(name.into()), ..query("ns") };
    assert_eq!(page(store, &named("a")).await, [6, 2, 1], "the simple name is not the packaged one's");
    assert_eq!(page(store, &named("p/a")).await, [3]);
    let between = |since, upto| ActivationQuery { since, upto, ..query("ns") };
    assert_eq!(page(store, &between(Some(Millis(200)), None)).await, [6, 2, 4, 3], "inclusive");
    assert_eq!(page(store, &between(None, Some(Millis(200)))).await, [4, 3, 1], "inclusive");
    assert_eq!(page(store, &between(Some(Millis(101)), Some(Millis(299)))).await, [4, 3]);
    let both = ActivationQuery { since: Some(Millis(300)), skip: 1, ..named("a") };
    assert_eq!(page(store, &both).await, [2]);
    one.stop().await;
}

pub(super) async fn counts_follow_the_filters(_: impl Place, one: Process) {
    let store = one.activations.as_ref();
    assert_eq!(store.count(&query("ns")).await.unwrap(), 0);
    let batch: Vec<_> =
        (0..30).map(|id| record(id, ["ns/a", "ns/p/a", "other/a"][id as usize % 3], u64::from(id))).collect();
    store.store(&batch).await.unwrap();
    let count = async |query: ActivationQuery| store.count(&query).await.unwrap();
    assert_eq!(count(query("ns")).await, 20);
    assert_eq!(count(ActivationQuery { skip: 15, limit: 1, ..query("ns") }).await, 20);
    let named = |name: &str| ActivationQuery { name: Some(name.into()), ..query("ns") };
    assert_eq!(count(named("a")).await, 10);
    assert_eq!(count(named("p/a")).await, 10);
    assert_eq!(count(named("none")).await, 0);
    assert_eq!(count(ActivationQuery { since: Some(Millis(15)), ..query("ns") }).await, 10);
    assert_eq!(count(ActivationQuery { upto: Some(Millis(3)), ..named("a") }).await, 2);
    assert_eq!(count(ActivationQuery { upto: Some(Millis(u64::MAX)), ..query("other") }).await, 10);
    one.stop().await;
}

pub(super) async fn an_operator_reads_all_records_in_pages(_: impl Place, one: Process) {
    let store = one.activations.as_ref();
    let records = [record(3, "b/x", 30), record(1, "a/x", 10), record(2, "b/p/y", 20)];
    store.store(&records).await.unwrap();
    let texts =
        |page: &Page| page.iter().map(|(_, record)| text(record.as_ref().unwrap())).collect::<Vec<_>>();
    let first = store.all(None, 2).await.unwrap();
    assert_eq!(texts(&first), [text(&records[1]), text(&records[2])]);
    let rest = store.all(Some(first[1].0), 2).await.unwrap();
    assert_eq!(texts(&rest), [text(&records[0])]);
    one.stop().await;
}

pub(super) async fn a_record_that_cannot_be_read_hides_no_other(place: impl Place, one: Process) {
    let store = one.activations.as_ref();
    let records: Vec<_> = (1..=4).map(|id| record(id, "ns/a", u64::from(id))).collect();
    store.store(&records).await.unwrap();
    let id = |place: usize| records[place].head.activation_id;
    place.spoil(id(1)).await;
    let whole = |page: &[Activation]| page.iter().map(|record| record.head.activation_id).collect::<Vec<_>>();
    assert_eq!(whole(&store.records(&query("ns")).await.unwrap()), [id(3), id(2), id(0)]);
    let rest = ActivationQuery { skip: 2, limit: 2, ..query("ns") };
    assert_eq!(whole(&store.records(&rest).await.unwrap()), [id(0)]);
    let is_corrupt = |error: &StoreError| matches!(error, StoreError::Corrupt { id: told, .. } if *told == id(1).to_string());
    let alone = store.get(&records[1].head.namespace, id(1)).await.unwrap_err();
    assert!(is_corrupt(&alone), "{alone:?}");
    let first = store.all(None, 2).await.unwrap();
    assert_eq!(first.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [id(0), id(1)]);
    assert!(first[0].1.is_ok() && first[1].1.as_ref().is_err_and(is_corrupt), "{first:?}");
    let rest = store.all(Some(id(1)), 200).await.unwrap();
    assert_eq!(rest.iter().map(|(id, _)| *id).collect::<Vec<_>>(), [id(2), id(3)]);
    // One that is written anew is whole again.
    store.store(&records[1..2]).await.unwrap();
    assert_eq!(page(store, &query("ns")).await, [4, 3, 2, 1]);
    one.stop().await;
}

pub(super) async fn large_batches_and_odd_sizes_are_stored_whole(_: impl Place, one: Process) {
    let store = one.activations.as_ref();
    let mut next = 0;
    for size in [0, 1, 3, 17, 64, 65, 127, 500] {
        let batch: Vec<_> = (next..next + size).map(|id| record(id, "ns/a", u64::from(id))).collect();
        store.store(&batch).await.unwrap();
        next += size;
        assert_eq!(store.count(&query("ns")).await.unwrap(), u64::from(next));
    }
    let all = store.records(&ActivationQuery { limit: u64::MAX, ..query("ns") }).await.unwrap();
    let starts: Vec<u64> = all.iter().map(|record| record.head.start.0).collect();
    assert_eq!(starts, (0..u64::from(next)).rev().collect::<Vec<_>>());
    let mut huge = record(next, "ns/huge", 1);
    huge.logs = vec!["x".repeat(1 << 20); 10];
    huge.response.result = raw(&format!("{{\"r\":\"{}\"}}", "y".repeat(1 << 20)));
    store.store(std::slice::from_ref(&huge)).await.unwrap();
    let stored = store.get(&huge.head.namespace, huge.head.activation_id).await.unwrap().unwrap();
    assert!(text(&stored) == text(&huge), "a record with the largest logs comes back");
    one.stop().await;
}

pub(super) async fn an_id_is_found_in_its_namespace_only(_: impl Place, one: Process) {
    let store = one.activations.as_ref();
    let activation = record(1, "ns/a", 1);
    let (id, absent) = (activation.head.activation_id, record(2, "ns/a", 1).head.activation_id);
    store.store(&[activation]).await.unwrap();
    let (mine, other) = (EntityName::parse("ns").unwrap(), EntityName::parse("other").unwrap());
    assert!(store.get(&mine, id).await.unwrap().is_some());
    assert!(store.get(&other, id).await.unwrap().is_none());
    assert!(store.get(&mine, absent).await.unwrap().is_none());
    assert_eq!(store.certainty(id).await.unwrap(), Some(Certainty::Known));
    assert_eq!(store.certainty(absent).await.unwrap(), None);
    one.stop().await;
}
