//! Subjects, keys, limits and marks.

use common::entity::limits::{ByteSize, UserLimits};
use common::entity::name::EntityName;
use common::store::{Change, KeyRecord, StoreError, SubjectRecord};

use super::{Place, Process, noticed, quiet};

fn key(namespace: &str, uuid: &str) -> KeyRecord {
    KeyRecord {
        namespace: EntityName::parse(namespace).unwrap(),
        uuid: uuid.to_owned(),
        digest: [7; 32],
        sealed: vec![0, 1, 255],
    }
}

fn subject(name: &str, keys: &[KeyRecord]) -> SubjectRecord {
    SubjectRecord { subject: name.to_owned(), blocked: false, keys: keys.to_vec() }
}

pub(super) async fn a_subject_is_written_read_and_deleted_with_its_keys(_: impl Place, one: Process) {
    let store = one.subjects.as_ref();
    assert_eq!(store.subject("alice").await.unwrap(), None);
    let alice = subject("alice", &[key("alice", "u1"), key("other", "u2")]);
    store.put_subject(&alice).await.unwrap();
    assert_eq!(store.subject("alice").await.unwrap(), Some(alice.clone()));
    let fewer = SubjectRecord { blocked: true, ..subject("alice", &[key("other", "u3")]) };
    store.put_subject(&fewer).await.unwrap();
    assert_eq!(store.subject("alice").await.unwrap(), Some(fewer));
    assert!(store.by_uuid("u1").await.unwrap().is_none(), "a key that was taken away is gone");
    store.put_subject(&subject("alice", &[])).await.unwrap();
    assert_eq!(store.subject("alice").await.unwrap(), Some(subject("alice", &[])));
    store.put_subject(&alice).await.unwrap();
    assert!(store.delete_subject("alice").await.unwrap());
    assert!(!store.delete_subject("alice").await.unwrap());
    assert!(store.by_uuid("u2").await.unwrap().is_none());
    one.stop().await;
}

pub(super) async fn identities_are_found_by_uuid_and_by_namespace(_: impl Place, one: Process) {
    let store = one.subjects.as_ref();
    store.put_subject(&subject("zebra", &[key("shared", "u2")])).await.unwrap();
    store.put_subject(&subject("alice", &[key("alice", "u0"), key("shared", "u1")])).await.unwrap();
    let limits = UserLimits { invocations_per_minute: Some(3), ..UserLimits::default() };
    store.put_limits("shared", &limits).await.unwrap();
    let found = store.by_uuid("u2").await.unwrap().unwrap();
    assert_eq!((found.subject.as_str(), found.blocked), ("zebra", false));
    assert_eq!((&found.key, &found.limits), (&key("shared", "u2"), &limits));
    assert_eq!(store.by_uuid("u0").await.unwrap().unwrap().limits, UserLimits::default());
    assert!(store.by_uuid("u9").await.unwrap().is_none());
    let all = store.by_namespace("shared").await.unwrap();
    assert_eq!(all.iter().map(|found| found.key.uuid.as_str()).collect::<Vec<_>>(), ["u1", "u2"]);
    assert!(store.by_namespace("none").await.unwrap().is_empty());
    let blocked = SubjectRecord { blocked: true, ..subject("zebra", &[key("shared", "u2")]) };
    store.put_subject(&blocked).await.unwrap();
    assert!(store.by_uuid("u2").await.unwrap().unwrap().blocked);
    assert_eq!(store.blocked().await.unwrap(), ["zebra"]);
    store.put_subject(&subject("zebra", &[])).await.unwrap();
    assert!(store.blocked().await.unwrap().is_empty());
    one.stop().await;
}

pub(super) async fn a_uuid_belongs_to_one_key(_: impl Place, one: Process) {
    let store = one.subjects.as_ref();
    store.put_subject(&subject("alice", &[key("alice", "u1")])).await.unwrap();
    let taken = store.put_subject(&subject("intruder", &[key("own", "u5"), key("alice", "u1")])).await;
    assert!(matches!(taken, Err(StoreError::Conflict(uuid)) if uuid == "u1"));
    assert_eq!(store.subject("intruder").await.unwrap(), None, "nothing of it is kept");
    assert!(store.by_uuid("u5").await.unwrap().is_none());
    assert_eq!(store.by_uuid("u1").await.unwrap().unwrap().subject, "alice");
    one.stop().await;
}

pub(super) async fn limits_go_with_the_namespace(_: impl Place, one: Process) {
    let store = one.subjects.as_ref();
    assert_eq!(store.limits("ns").await.unwrap(), None);
    let first = UserLimits { concurrent_invocations: Some(0), ..UserLimits::default() };
    store.put_limits("ns", &first).await.unwrap();
    assert_eq!(store.limits("ns").await.unwrap(), Some(first));
    let second = UserLimits {
        allowed_kinds: Some(vec!["nodejs:20".into()]),
        store_activations: Some(false),
        max_payload_size: Some(ByteSize::from_mb(1)),
        warmed_container_keeping_timeout: Some("10 minutes".into()),
        ..UserLimits::default()
    };
    store.put_limits("ns", &second).await.unwrap();
    assert_eq!(store.limits("ns").await.unwrap(), Some(second));
    assert!(store.delete_limits("ns").await.unwrap());
    assert!(!store.delete_limits("ns").await.unwrap());
    assert_eq!(store.limits("ns").await.unwrap(), None);
    one.stop().await;
}

pub(super) async fn an_operator_reads_all_names_in_pages(_: impl Place, one: Process) {
    let store = one.subjects.as_ref();
    for name in ["carol", "alice", "Bobby"] {
        store.put_subject(&subject(name, &[])).await.unwrap();
        store.put_limits(&format!("ns-{name}"), &UserLimits::default()).await.unwrap();
    }
    assert_eq!(store.subjects("", 2).await.unwrap(), ["Bobby", "alice"]);
    assert_eq!(store.subjects("alice", 2).await.unwrap(), ["carol"]);
    assert_eq!(store.limited("", 2).await.unwrap(), ["ns-Bobby", "ns-alice"]);
    assert_eq!(store.limited("ns-alice", 2).await.unwrap(), ["ns-carol"]);
    one.stop().await;
}

pub(super) async fn a_mark_is_new_once(place: impl Place, one: Process) {
    assert!(one.subjects.mark_once("guest").await.unwrap());
    assert!(!one.subjects.mark_once("guest").await.unwrap());
    assert!(one.subjects.mark_once("other").await.unwrap());
    let two = place.open().await;
    assert!(!two.subjects.mark_once("guest").await.unwrap(), "nor for another process");
    one.stop().await;
    two.stop().await;
}

pub(super) async fn changes_are_announced_here_and_to_other_processes(place: impl Place, one: Process) {
    let two = place.open().await;
    let (mut here, mut there) = (one.subjects.changes(), two.subjects.changes());
    quiet(&mut there).await;
    quiet(&mut here).await;
    one.subjects.put_subject(&subject("alice", &[key("alice", "u1")])).await.unwrap();
    assert_eq!(here.try_recv().unwrap(), Change::Subjects);
    noticed(&mut there, &Change::Subjects).await;
    assert!(two.subjects.by_uuid("u1").await.unwrap().is_some());
    one.subjects.put_limits("alice", &UserLimits::default()).await.unwrap();
    assert_eq!(here.try_recv().unwrap(), Change::Subjects);
    noticed(&mut there, &Change::Subjects).await;
    one.subjects.delete_subject("alice").await.unwrap();
    assert_eq!(here.try_recv().unwrap(), Change::Subjects);
    noticed(&mut there, &Change::Subjects).await;
    assert!(two.subjects.by_uuid("u1").await.unwrap().is_none());
    one.stop().await;
    two.stop().await;
}
