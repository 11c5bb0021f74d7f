//! The partitions of the activation records: a week each, made ahead and dropped as a whole. A list looks into
//! every one of them, so that days would be too many.
//!
//! A record whose week has no partition goes to the default one, and moves when its partition is made.
//! Dropping takes two steps, so that nobody waits for the counting: the partition is detached, which
//! hides its records at once; then its numbers are taken off the totals with the table itself. A crash
//! in between leaves a detached table, which the next upkeep finds by its name.

use sqlx::{AssertSqlSafe, PgConnection, Postgres, Transaction};
use uuid::Uuid;

use super::super::StoreError;
use super::super::rows;
use super::database::{Database, failed};
use crate::clock::Millis;

/// One day, ms.
const DAY: u64 = 86_400_000;

/// What a partition holds, ms. Weeks begin on Thursday, as 1970 did.
const WEEK: u64 = 7 * DAY;

/// Clocks of other processes may be so late, ms.
const LATE: u64 = DAY;

/// Partitions are made so long before they are needed, ms.
const AHEAD: u64 = 3 * DAY;

/// The names of partitions and of detached ones, before the date.
const ATTACHED: &str = "activations_2";
const DETACHED: &str = "expired_activations_2";

/// One process at a time looks after the partitions ("oxwhisk" in ASCII).
const LOCK: &str = "SELECT pg_advisory_xact_lock(31369521068897131)";

/// Who waits for a lock on the table holds up everybody behind, so not for long.
const LOCK_TIMEOUT: &str = "SET LOCAL lock_timeout = '3s'";

/// Counting a week of records may take longer than a call may.
const COUNT_TIMEOUT: &str = "SET LOCAL statement_timeout = '15min'";

const NAMES: &str = "SELECT relname::text FROM pg_class \
    WHERE relkind = 'r' AND starts_with(relname::text, $1) AND pg_table_is_visible(oid) ORDER BY relname";

const DELETE_BEFORE: &str = "DELETE FROM activations WHERE id < $1";

/// The partition of a week, by its first day.
fn name(week: u64) -> String {
    format!("activations_{}", Millis(week * WEEK).date().replace('-', ""))
}

/// The least id of a time.
fn least_id(time: u64) -> Uuid {
    rows::least_id(Millis(time))
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

/// Makes the partitions from yesterday's to that of some days ahead that are not there yet.
pub(super) async fn make_ahead(database: &Database, now: Millis) -> Result<(), StoreError> {
    let work = async {
        let mut write = begin(database).await?;
        let there = names(&mut write, ATTACHED).await?;
        let weeks = now.0.saturating_sub(LATE) / WEEK..=now.0.saturating_add(AHEAD) / WEEK;
        let missing: Vec<u64> = weeks.filter(|week| !there.contains(&name(*week))).collect();
        if missing.is_empty() {
            return write.commit().await;
        }
        // Nothing may come to the default partition while its records move.
        run(&mut write, "LOCK TABLE activations_default IN ACCESS EXCLUSIVE MODE".to_owned()).await?;
        for week in missing {
            make(&mut write, week).await?;
        }
        write.commit().await
    };
    database.bounded(work).await.map_err(failed("make partitions"))
}

async fn make(write: &mut PgConnection, week: u64) -> Result<(), sqlx::Error> {
    let (name, from, to) = (name(week), least_id(week * WEEK), least_id((week + 1) * WEEK));
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
    let first_kept = name(oldest.0 / WEEK);
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
        sqlx::query(DELETE_BEFORE).bind(least_id(oldest.0 / WEEK * WEEK)).execute(&mut *write).await?;
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
    fn a_partition_is_a_week_of_ids() {
        let week = 2_926;
        assert_eq!(name(week), "activations_20260129");
        let id = Uuid::new_v7(uuid::Timestamp::from_unix(uuid::NoContext, week * 7 * 86_400 + 7, 0));
        assert!(least_id(week * WEEK) < id && id < least_id((week + 1) * WEEK));
        let first = 1_566;
        assert!(name(week) < name(week + 1) && name(first) < name(first + 1));
        assert!(name(first).starts_with(ATTACHED));
    }
}
