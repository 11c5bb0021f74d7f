//! Drops old activation records, a few at a time: what is written meanwhile waits for one batch at most.
//!
//! A record's id tells when it was made. The file does not shrink, but its room is used again.

use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::super::StoreError;
use super::super::rows::least_id;
use super::database::{Database, failed};
use crate::clock::{Clock, Millis, SystemClock};
use crate::shutdown::Shutdown;

/// Records of one transaction.
const BATCH: i64 = 256;

/// Between two batches, for those who wait to write.
const PAUSE: Duration = Duration::from_millis(20);

/// Between two looks for what is old.
const EVERY: Duration = Duration::from_secs(3_600);

const DROP: &str = "DELETE FROM activations WHERE id IN \
    (SELECT id FROM activations WHERE id < ? ORDER BY id LIMIT ?)";

/// A name without records needs no count.
const FORGET: &str = "DELETE FROM totals WHERE number = 0";

/// Drops what is too old, again and again until the shutdown.
pub(super) async fn keep(database: Arc<Database>, retention: Duration, shutdown: Shutdown) {
    let retention = u64::try_from(retention.as_millis()).unwrap_or(u64::MAX);
    loop {
        let oldest = Millis(SystemClock.now().0.saturating_sub(retention));
        let dropped = tokio::select! {
            () = shutdown.requested() => return,
            dropped = drop_before(&database, oldest) => dropped,
        };
        match dropped {
            Ok(0) => {}
            Ok(count) => info!("dropped {count} activation records that were older than the retention"),
            Err(error) => warn!("old activation records are not dropped: {:#}", anyhow::Error::from(error)),
        }
        tokio::select! {
            () = shutdown.requested() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

/// Drops the records that were made before; returns how many there were.
pub(super) async fn drop_before(database: &Database, oldest: Millis) -> Result<u64, StoreError> {
    const OPERATION: &str = "drop old records";
    let least = least_id(oldest);
    let mut count = 0;
    loop {
        let dropped = {
            let mut writer = database.writer().await?;
            let drop = sqlx::query(DROP).bind(&least.as_bytes()[..]).bind(BATCH);
            drop.execute(&mut *writer).await.map_err(failed(OPERATION))?.rows_affected()
        };
        count += dropped;
        if dropped == 0 {
            break;
        }
        tokio::time::sleep(PAUSE).await;
    }
    if count > 0 {
        let mut writer = database.writer().await?;
        sqlx::query(FORGET).execute(&mut *writer).await.map_err(failed(OPERATION))?;
    }
    Ok(count)
}
