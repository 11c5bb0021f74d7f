//! The server goes away and comes back.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use common::config::postgres::PostgresConfig;
use common::store::{Change, EntityKind, StoreError};
use tests::services::postgres::{Postgres, settings};
use tests::wait;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::TryRecvError;

use super::super::activations::{query, record};
use super::super::entities::document;
use super::process;

/// Bounds every wait for the server.
const PATIENCE: Duration = Duration::from_secs(30);

/// The changes that were announced until now.
fn announced(changes: &mut Receiver<Change>) -> Vec<Change> {
    let mut all = Vec::new();
    loop {
        match changes.try_recv() {
            Ok(change) => all.push(change),
            Err(TryRecvError::Lagged(_)) => {}
            Err(TryRecvError::Empty | TryRecvError::Closed) => return all,
        }
    }
}

fn is_away<T>(result: Result<T, StoreError>) -> bool {
    matches!(result, Err(error @ StoreError::Unavailable { .. }) if error.is_retryable())
}

#[tokio::test]
async fn nothing_is_lost_with_the_server_and_nothing_stale_is_trusted() {
    let mut server = Postgres::start().await;
    let config = settings(&server.database().await);
    let config = PostgresConfig { acquire_timeout: Duration::from_secs(1), ..config };
    let (one, two) = (process(&config).await, process(&config).await);
    let mut there = two.artifacts.changes();
    one.activations.store(&[record(1, "ns/a", 1)]).await.unwrap();
    one.artifacts.put(&document(EntityKind::Trigger, "ns/before", 1), None).await.unwrap();
    assert_eq!(there.recv().await.unwrap(), Change::Entity("ns/before".into()));

    for crash in [false, true] {
        if crash {
            server.kill().await
        } else {
            server.stop().await
        }
        let lost = tokio::time::timeout(PATIENCE, there.recv()).await;
        assert_eq!(lost.unwrap().unwrap(), Change::Anything, "the loss is announced");
        assert!(is_away(one.activations.store(&[record(2, "ns/a", 2)]).await));
        assert!(is_away(one.artifacts.get("ns/before").await));
        assert!(is_away(one.artifacts.put(&document(EntityKind::Trigger, "ns/lost", 1), None).await));
        announced(&mut there);
        let still = tokio::time::timeout(PATIENCE, there.recv()).await;
        assert_eq!(still.unwrap().unwrap(), Change::Anything, "and again while nobody listens");

        server.start_again().await;
        wait::until("the records are stored again", PATIENCE, async || {
            one.activations.store(&[record(2, "ns/a", 2), record(3, "ns/b", 3)]).await.ok()
        })
        .await;
        assert_eq!(one.activations.count(&query("ns")).await.unwrap(), 3);
        assert!(one.artifacts.get("ns/lost").await.unwrap().is_none());

        let (seen, tries) = (Mutex::new(&mut there), AtomicU32::new(0));
        wait::until("changes are announced by their name again", PATIENCE, async || {
            let id = format!("ns/after-{crash}-{}", tries.fetch_add(1, Ordering::Relaxed));
            one.artifacts.put(&document(EntityKind::Trigger, &id, 2), None).await.unwrap();
            announced(&mut seen.lock().unwrap()).contains(&Change::Entity(id)).then_some(())
        })
        .await;
    }
    one.stop().await;
    two.stop().await;
    server.stop().await;
}

#[tokio::test]
async fn a_server_that_is_not_there_is_said_in_time() {
    let config = settings("postgres://nobody:s3cret@127.0.0.1:1/nothing");
    let config = PostgresConfig { acquire_timeout: Duration::from_secs(1), ..config };
    let refused = common::store::postgres::PostgresStores::connect(&config).await.err().unwrap();
    assert!(refused.is_retryable());
    let text = format!("{:#} {config:?}", anyhow::Error::from(refused));
    assert!(!text.contains("s3cret"), "{text}");
}
