//! Partitions are made ahead, take over what came before them, and go with their records.

use std::time::Duration;

use common::clock::{Clock, Millis, SystemClock};
use common::config::postgres::PostgresConfig;
use common::store::postgres::PostgresStores;
use sqlx::PgConnection;
use tests::services::postgres::settings;

use super::super::Place;
use super::super::activations::{made, query};
use super::Database;

const DAY: u64 = 86_400_000;
const WEEK: u64 = 7 * DAY;

async fn number(sql: &mut PgConnection, statement: &'static str) -> i64 {
    sqlx::query_scalar(statement).fetch_one(sql).await.unwrap()
}

const IN_DEFAULT: &str = "SELECT count(*) FROM activations_default";
const PARTITIONS: &str = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'activations'::regclass";
/// How many partitions a new table has: from yesterday's to that of in three days, and the default.
fn expected(now: Millis) -> i64 {
    i64::try_from((now.0 + 3 * DAY) / WEEK - (now.0 - DAY) / WEEK + 2).unwrap()
}

const EXPIRED: &str = "SELECT count(*) FROM pg_class WHERE relname LIKE 'expired%'";

#[tokio::test]
async fn records_go_with_the_partition_of_their_week() {
    let place = Database::new().await;
    let retention = Duration::from_millis(30 * DAY);
    let config = PostgresConfig { retention, ..settings(&place.url) };
    let stores = PostgresStores::connect(&config).await.unwrap();
    let (store, mut sql) = (stores.activations.as_ref(), place.sql().await);
    let now = SystemClock.now();
    assert_eq!(number(&mut sql, PARTITIONS).await, expected(now));
    let later = |days: u64| Millis(now.0 + days * DAY);
    let batch = [
        made(now, 1, "ns/a"),
        made(now, 2, "ns/a"),
        made(now, 3, "ns/b"),
        made(later(10), 4, "ns/a"),
        made(Millis(5), 5, "ns/old"),
    ];
    store.store(&batch).await.unwrap();
    assert_eq!(number(&mut sql, IN_DEFAULT).await, 2);

    stores.upkeep(now).await.unwrap();
    assert_eq!(store.count(&query("ns")).await.unwrap(), 4, "the oldest is gone");
    assert_eq!(number(&mut sql, IN_DEFAULT).await, 1);

    stores.upkeep(later(10)).await.unwrap();
    assert_eq!(number(&mut sql, IN_DEFAULT).await, 0, "it moved to its week");
    let moved = &batch[3].head;
    assert!(store.get(&moved.namespace, moved.activation_id).await.unwrap().is_some());
    assert_eq!(store.count(&query("ns")).await.unwrap(), 4);

    stores.upkeep(later(38)).await.unwrap();
    assert_eq!(store.count(&query("ns")).await.unwrap(), 1);
    assert_eq!(store.heads(&query("ns")).await.unwrap().len(), 1);
    assert!(store.certainty(batch[0].head.activation_id).await.unwrap().is_none());
    assert!(store.certainty(moved.activation_id).await.unwrap().is_some());
    assert_eq!(number(&mut sql, EXPIRED).await, 0);

    // A record that comes after its partition is gone is stored, and goes at the next upkeep.
    store.store(&batch[..1]).await.unwrap();
    assert!(store.certainty(batch[0].head.activation_id).await.unwrap().is_some());
    stores.upkeep(later(48)).await.unwrap();
    assert_eq!(store.count(&query("ns")).await.unwrap(), 0);
    stores.close().await;
}

#[tokio::test]
async fn a_crash_between_detaching_and_dropping_is_made_good() {
    let place = Database::new().await;
    let retention = Duration::from_millis(30 * DAY);
    let config = PostgresConfig { retention, ..settings(&place.url) };
    let stores = PostgresStores::connect(&config).await.unwrap();
    let now = SystemClock.now();
    stores.activations.store(&[made(now, 1, "ns/a"), made(now, 2, "ns/b")]).await.unwrap();
    let mut sql = place.sql().await;
    let partition = format!("activations_{}", Millis(now.0 / WEEK * WEEK).date().replace('-', ""));
    let statements = [
        format!("ALTER TABLE activations DETACH PARTITION {partition}"),
        format!("ALTER TABLE {partition} RENAME TO expired_{partition}"),
    ];
    for statement in statements {
        sqlx::query(sqlx::AssertSqlSafe(statement)).execute(&mut sql).await.unwrap();
    }
    assert_eq!(stores.activations.count(&query("ns")).await.unwrap(), 2, "not yet counted");
    stores.upkeep(Millis(now.0 + 40 * DAY)).await.unwrap();
    assert_eq!(stores.activations.count(&query("ns")).await.unwrap(), 0);
    assert_eq!(number(&mut sql, EXPIRED).await, 0);
    stores.close().await;
}

#[tokio::test]
async fn without_a_retention_all_is_kept() {
    let place = Database::new().await;
    let stores = PostgresStores::connect(&settings(&place.url)).await.unwrap();
    let now = SystemClock.now();
    stores.activations.store(&[made(now, 1, "ns/a"), made(Millis(5), 2, "ns/a")]).await.unwrap();
    stores.upkeep(Millis(now.0 + 10_000 * DAY)).await.unwrap();
    assert_eq!(stores.activations.count(&query("ns")).await.unwrap(), 2);
    stores.close().await;
}

#[tokio::test]
async fn processes_that_start_together_make_the_tables_once() {
    let place = Database::new().await;
    let config = settings(&place.url);
    let starts = (0..6).map(|_| PostgresStores::connect(&config));
    for started in futures::future::join_all(starts).await {
        started.unwrap().close().await;
    }
    assert_eq!(number(&mut place.sql().await, PARTITIONS).await, expected(SystemClock.now()));
}
