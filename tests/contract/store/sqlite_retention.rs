//! What only the files of a data directory promise: a retention that drops a few records at a time.

use std::time::Duration;

use common::clock::{Clock, Millis, SystemClock};
use common::shutdown::Shutdown;
use common::store::sqlite::SqliteStores;
use tests::wait;

use super::activations::{made, query};

const DAY: u64 = 86_400_000;

/// More than are dropped at once.
const OLD: u32 = 600;

/// How long dropping them may take.
const PATIENCE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn old_records_go_and_their_counts_with_them() {
    let folder = tempfile::tempdir().unwrap();
    let stores = SqliteStores::open(folder.path()).await.unwrap();
    let store = stores.activations.as_ref();
    let now = SystemClock.now();
    let ago = |days: u64| Millis(now.0 - days * DAY);
    let old: Vec<_> = (0..OLD).map(|id| made(ago(8), id, "ns/old")).collect();
    store.store(&old).await.unwrap();
    store.store(&[made(ago(8), OLD, "other/old"), made(ago(6), OLD + 1, "ns/new")]).await.unwrap();
    let count = async || store.count(&query("ns")).await.unwrap();
    assert_eq!(count().await, u64::from(OLD) + 1);

    let shutdown = Shutdown::new();
    stores.keep(Duration::ZERO, &shutdown);
    stores.keep(Duration::from_millis(7 * DAY), &shutdown);
    wait::until("old records are gone", PATIENCE, || async { (count().await == 1).then_some(()) }).await;
    assert_eq!(store.heads(&query("ns")).await.unwrap().len(), 1);
    wait::until("of every namespace", PATIENCE, || async {
        (store.count(&query("other")).await.unwrap() == 0).then_some(())
    })
    .await;
    assert!(shutdown.finish(PATIENCE).await);
    stores.close().await;
}
