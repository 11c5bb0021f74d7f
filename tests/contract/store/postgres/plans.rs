//! Lists and counts with many rows go by an index. PostgreSQL itself counts what it read in sequence,
//! for the very statements that ran: also for the plans it makes once it knows a statement. Those it is to
//! keep: to plan a list over all partitions takes longer than the list.

use std::time::Duration;

use common::clock::Millis;
use common::config::postgres::PostgresConfig;
use common::entity::id::ActivationId;
use common::entity::name::EntityName;
use common::store::{ActivationQuery, EntityKind, EntityQuery};
use sqlx::PgConnection;
use tests::services::postgres::{Postgres, settings};
use tests::wait;

use super::super::activations::query as activations;
use super::super::entities::query as entities;
use super::super::{Place, Process, on};
use super::{Database, process};

/// From the fifth time on, PostgreSQL considers a plan for all values of a statement.
const TIMES: usize = 8;

const ACTIVATIONS: &str = "INSERT INTO activations \
    SELECT (lpad(to_hex(time), 12, '0') || substr(md5(n::text), 1, 20))::uuid, 'ns' || n % 50, 'a' || n % 7, \
        time, 0, 11, \
        '{\"namespace\":\"ns' || n % 50 || '\",\"name\":\"a' || n % 7 || '\",\"version\":\"0.0.1\",\
        \"subject\":\"somebody\",\"activationId\":\"' || lpad(to_hex(time), 12, '0') || substr(md5(n::text), 1, 20) \
        || '\",\"start\":' || time || ',\"annotations\":[]}', '{}', '[]' \
    FROM (SELECT n, (extract(epoch FROM now()) * 1000)::bigint - n * 1000 AS time \
        FROM generate_series(1, 120000) AS n) AS times";

const ENTITIES: &str = "INSERT INTO entities \
    SELECT 'ns' || n % 50 || '/p' || n % 3 || '/e' || n, 'action', 'ns' || n % 50, 'ns' || n % 50 || '/p' || n % 3, \
        'e' || n, 1, '00000000', n, n % 10 = 0, NULL, '{}' \
    FROM generate_series(1, 120000) AS n";

/// Rows that were read in sequence, and by index scans, of the large tables.
const READ: &str = "SELECT sum(seq_tup_read)::bigint, sum(idx_scan)::bigint FROM pg_stat_user_tables \
    WHERE relname = 'entities' OR relname LIKE 'activations%'";

const SAY_SO: &str = "DO $$ BEGIN \
    EXECUTE format('ALTER DATABASE %I SET log_planner_stats = on', current_database()); END $$";

const OTHERS: &str = "SELECT count(*) FROM pg_stat_activity \
    WHERE datname = current_database() AND backend_type = 'client backend' AND pid <> pg_backend_pid()";

#[tokio::test]
async fn no_list_or_count_reads_a_table_from_end_to_end() {
    on(async |place: Database, loading: Process| {
        let mut sql = place.sql().await;
        fill(&mut sql).await;
        loading.stop().await;
        let before = read(&mut sql).await;
        let one = place.open().await;
        for _ in 0..TIMES {
            list_activations(&one).await;
            list_entities(&one).await;
        }
        one.stop().await;
        let after = read(&mut sql).await;
        assert_eq!(after.0 - before.0, 0, "rows were read in sequence");
        assert!(after.1 > before.1, "and the others are counted");
    })
    .await;
}

#[tokio::test]
async fn a_list_is_planned_once() {
    on(async |place: Database, loading: Process| {
        let mut sql = place.sql().await;
        fill(&mut sql).await;
        loading.stop().await;
        // From now on, connections to this database say so whenever they plan.
        sqlx::query(SAY_SO).execute(&mut sql).await.unwrap();
        let one = process(&PostgresConfig { max_connections: 1, ..settings(&place.url) }).await;
        list_activations(&one).await;
        list_entities(&one).await;
        let before = planned().await;
        assert!(before > 0, "plans are counted");
        for _ in 0..TIMES {
            list_activations(&one).await;
            list_entities(&one).await;
        }
        one.stop().await;
        // What listens for changes may have asked for something.
        let again = planned().await - before;
        assert!(again < TIMES, "{before} plans at first, and {again} afterwards");
    })
    .await;
}

async fn fill(sql: &mut PgConnection) {
    for statement in [ACTIVATIONS, ENTITIES, "VACUUM ANALYZE activations", "VACUUM ANALYZE entities"] {
        sqlx::query(statement).execute(&mut *sql).await.unwrap();
    }
}

/// How many plans were made in a database that says so.
async fn planned() -> usize {
    Postgres::shared().await.output().matches("PLANNER STATISTICS").count()
}

/// The numbers, once every other connection has reported its own and gone.
async fn read(sql: &mut PgConnection) -> (i64, i64) {
    let sql = tokio::sync::Mutex::new(sql);
    wait::until("the connections close", Duration::from_secs(10), async || {
        let others: i64 = sqlx::query_scalar(OTHERS).fetch_one(&mut **sql.lock().await).await.unwrap();
        (others == 0).then_some(())
    })
    .await;
    // What this connection did counts once it says so.
    let mut sql = sql.lock().await;
    sqlx::query("SELECT pg_stat_force_next_flush()").execute(&mut **sql).await.unwrap();
    sqlx::query_as(READ).fetch_one(&mut **sql).await.unwrap()
}

async fn list_activations(one: &Process) {
    let store = one.activations.as_ref();
    let newest = store.heads(&activations("ns7")).await.unwrap();
    assert_eq!(newest.len(), 200);
    let since = newest[150].0.start;
    let id = newest[3].0.activation_id;
    assert!(store.get(&EntityName::parse("ns7").unwrap(), id).await.unwrap().is_some());
    assert_eq!(store.certainty(ActivationId::from_bytes([9; 16])).await.unwrap(), None);
    for name in [None, Some("a3".to_owned())] {
        let all = ActivationQuery { name: name.clone(), skip: 100, limit: 30, ..activations("ns7") };
        assert_eq!(store.heads(&all).await.unwrap().len(), 30);
        assert_eq!(store.records(&all).await.unwrap().len(), 30);
        assert_eq!(store.count(&all).await.unwrap(), if name.is_some() { 343 } else { 2_400 });
        let late = ActivationQuery { since: Some(since), skip: 0, limit: 10, ..all.clone() };
        assert_eq!(store.heads(&late).await.unwrap().len(), 10);
        assert!(store.count(&late).await.unwrap() < 200);
        let early = ActivationQuery { upto: Some(Millis(since.0 - 1)), ..all };
        assert_eq!(store.heads(&early).await.unwrap().len(), 30);
        assert!(store.count(&early).await.unwrap() > 300);
    }
}

async fn list_entities(one: &Process) {
    let store = one.artifacts.as_ref();
    for (path, only_public, number) in
        [("ns7", false, 2_400), ("ns7/p1", false, 800), ("ns10", true, 2_400), ("ns10/p1", true, 800)]
    {
        let query = EntityQuery { only_public, limit: 30, ..entities(EntityKind::Action, path) };
        assert_eq!(store.list(&query).await.unwrap().len(), 30);
        assert_eq!(store.count(&query).await.unwrap(), number, "{path}");
    }
    assert!(store.get("ns7/p1/e7").await.unwrap().is_some());
}
