//! How the writes of another process are noticed.
//!
//! `PRAGMA data_version`, asked on the connection that writes, changes with every commit of any other
//! connection and with none of its own. It tells that something was written, not what.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::broadcast;
use tracing::warn;

use super::super::{Change, StoreError};
use super::database::{Database, failed};
use crate::shutdown::Shutdown;

/// How many changes a listener may be behind before it must take it that anything changed.
pub(super) const NOTICES: usize = 1_024;

/// How often another process's writes are looked for.
const EVERY: Duration = Duration::from_millis(250);

/// Announces the writes of other processes until the shutdown. The first look, and one that fails,
/// are themselves reasons to trust nothing that is remembered.
pub(super) async fn watch(database: Arc<Database>, changes: broadcast::Sender<Change>, shutdown: Shutdown) {
    let mut seen = None;
    loop {
        match data_version(&database).await {
            Ok(version) => {
                if seen.replace(version) != Some(version) {
                    let _ = changes.send(Change::Anything);
                }
            }
            Err(error) => {
                warn!(error = %error, "cannot look for changes of other processes");
                let _ = changes.send(Change::Anything);
            }
        }
        tokio::select! {
            () = shutdown.requested() => return,
            () = tokio::time::sleep(EVERY) => {}
        }
    }
}

async fn data_version(database: &Database) -> Result<i64, StoreError> {
    let mut writer = database.writer().await?;
    sqlx::query_scalar("PRAGMA data_version")
        .fetch_one(&mut *writer)
        .await
        .map_err(failed("look for changes"))
}
