//! The partitions of the activation records: a day each, made ahead and dropped as a whole.
//!
//! A record whose day has no partition goes to the default one, and moves when its partition is made.
//! Dropping takes two steps, so that nobody waits for the counting: the partition is detached, which
//! hides its records at once; then its numbers are taken off the totals with the table itself. A crash
//! in between leaves a detached table, which the next upkeep finds by its name.

use sqlx::{AssertSqlSafe, PgConnection, Postgres, Transaction};
use uuid::Uuid;

use super::super::StoreError;
use super::database::{Database, failed};
use crate::clock::Millis;

/// Partitions are made for so many days after today.
const AHEAD: u64 = 3;

/// One day, ms.
const DAY: u64 = 86_400_000;

/// The names of partitions and of detached ones, before the date.
const ATTACHED: &str = "activations_2";
const DETACHED: &str = "expired_activations_2";

/// One process at a time looks after the partitions ("oxwhisk" in ASCII).
const LOCK: &str = "SELECT pg_advisory_xact_lock(31369521068897131)";

/// Who waits for a lock on the table holds up everybody behind, so not for long.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '3s'";

/// Counting a day of records may take longer than a call may.
const COUNT_TIMEOUT: &str = "SET LOCAL statement_timeout = '15min'";

const NAMES: &str = "SELECT relname::text FROM pg_class \
    WHERE relkind = 'r' AND starts_with(relname::text, $1) AND pg_table_is_visible(oid) ORDER BY relname";

const DELETE_BEFORE: &str = "DELETE FROM activations WHERE id < $1";

/// The partition of a day.
fn name(day: u64) -> String {
    format!("activations_{}", Millis(day * DAY).date().replace('-', ""))
}

/// The least id of a time.
fn least_id(time: u64) -> Uuid {
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&time.to_be_bytes()[2..]);
    Uuid::from_bytes(bytes)
}

async fn begin(database: &Database) -> Result<Transaction<'static, Postgres>, sqlx::Error> {
    let mut write = database.pool().begin().await?;
    sqlx::query(LOCK).execute(&mut *write).await?;
    sqlx::query(LOCK_TIMEOUT).execute(&mut *write).await?;
    Ok(write)
}

async fn names(connection: &mut PgConnection, beginning: &str) -> Result<Vec<String>, sqlx::Error> {
    sqlx::query_scalar(NAMES).bind(beginning).fetch_all(connection).await
}

async fn run(connection: &mut PgConnection, statement: String) -> Result<(), sqlx::Error> {
    sqlx::query(AssertSqlSafe(statement)).execute(connection).await.map(drop)
}

/// Makes the partitions from yesterday to a few days ahead that are not there yet.
pub(super) async fn make_ahead(database: &Database, now: Millis) -> Result<(), StoreError> {
    let today = now.0 / DAY;
    let work = async {
        let mut write = begin(database).await?;
        let there = names(&mut write, ATTACHED).await?;
        let days = today.saturating_sub(1)..=today + AHEAD;
        let missing: Vec<u64> = days.filter(|day| !there.contains(&name(*day))).collect();
        if missing.is_empty() {
            return write.commit().await;
        }
        // Nothing may come to the default partition while its records move.
        run(&mut write, "LOCK TABLE activations_default IN ACCESS EXCLUSIVE MODE".to_owned()).await?;
        for day in missing {
            make(&mut write, day).await?;
        }
        write.commit().await
    };
    database.bounded(work).await.map_err(failed("make partitions"))
}

async fn make(write: &mut PgConnection, day: u64) -> Result<(), sqlx::Error> {
    let (name, from, to) = (name(day), least_id(day * DAY), least_id((day + 1) * DAY));
    run(write, format!("CREATE TABLE {name} (LIKE activations INCLUDING DEFAULTS)")).await?;
    let statement = format!(
        "WITH moved AS (DELETE FROM activations_default WHERE id >= '{from}' AND id < '{to}' RETURNING *) \
         INSERT INTO {name} SELECT * FROM moved"
    );
    run(write, statement).await?;
    let statement =
        format!("ALTER TABLE activations ATTACH PARTITION {name} FOR VALUES FROM ('{from}') TO ('{to}')");
    run(write, statement).await
}

/// Drops the partitions of which every record is older, and what is older in the default one.
pub(super) async fn drop_before(database: &Database, oldest: Millis) -> Result<(), StoreError> {
    let first_kept = name(oldest.0 / DAY);
    let work = async {
        let mut write = begin(database).await?;
        for partition in names(&mut write, ATTACHED).await? {
            if partition < first_kept {
                run(&mut write, format!("ALTER TABLE activations DETACH PARTITION {partition}")).await?;
                run(&mut write, format!("ALTER TABLE {partition} RENAME TO expired_{partition}")).await?;
            }
        }
        write.commit().await?;
        let mut write = begin(database).await?;
        sqlx::query(COUNT_TIMEOUT).execute(&mut *write).await?;
        for table in names(&mut write, DETACHED).await? {
            discard(&mut write, &table).await?;
        }
        write.commit().await?;
        let mut write = begin(database).await?;
        sqlx::query(COUNT_TIMEOUT).execute(&mut *write).await?;
        sqlx::query(DELETE_BEFORE).bind(least_id(oldest.0 / DAY * DAY)).execute(&mut *write).await?;
        write.commit().await
    };
    work.await.map_err(failed("drop partitions"))
}

/// Takes the records of a detached table off the totals, and drops it.
async fn discard(write: &mut PgConnection, table: &str) -> Result<(), sqlx::Error> {
    let statement = format!(
        "INSERT INTO totals (namespace, filter_name, slot, number) \
         SELECT namespace, filter_name, 0, -count(*) FROM {table} \
         GROUP BY namespace, filter_name ORDER BY namespace, filter_name \
         ON CONFLICT (namespace, filter_name, slot) DO UPDATE SET number = totals.number + excluded.number"
    );
    run(write, statement).await?;
    run(write, format!("DROP TABLE {table}")).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_a_day_of_ids() {
        let day = 20_484;
        assert_eq!(name(day), "activations_20260131");
        let id = Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, day * 86_400 + 7, 0));
        assert!(least_id(day * DAY) < id && id < least_id((day + 1) * DAY));
        assert!(
            name(day) < name(day + 1) && name(10_957) < name(10_958) && name(10_957).starts_with(ATTACHED)
        );
    }
}
