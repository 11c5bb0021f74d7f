//! How the writes of other processes are noticed: `LISTEN`, on a connection of its own.
//!
//! What is written while nobody listens is never announced, so from the loss of the connection until
//! it listens again whoever remembers anything is told, again and again, that anything may have
//! changed. A connection that has gone silent is found by asking it.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgListener, PgPool};
use tracing::{info, warn};

use super::super::Change;
use super::database::Database;
use crate::shutdown::Shutdown;

/// How many changes a listener may be behind before it must take it that anything changed.
pub(super) const NOTICES: usize = 1_024;

/// The channel of the notices.
pub(super) const CHANNEL: &str = "oxwhisk_changes";

/// While nobody listens, what is remembered is forgotten this often.
const FORGETTING: Duration = Duration::from_millis(250);

/// How often the connection is asked whether it is there, and how long it may take to say so; together
/// the second within which changes are promised to be known.
const PROBING: Duration = Duration::from_millis(300);
const PROBED: Duration = Duration::from_millis(700);

/// The longest text that PostgreSQL passes on is 8,000 bytes.
const MAX_NOTICE: usize = 7_900;

/// What is sent: the sender's mark and what changed.
#[derive(Debug, PartialEq)]
pub(super) struct Notice {
    pub(super) mark: u64,
    pub(super) change: Change,
}

impl fmt::Display for Notice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.change {
            Change::Entity(id) if id.len() < MAX_NOTICE => write!(f, "{:x} entity {id}", self.mark),
            Change::Subjects => write!(f, "{:x} subjects", self.mark),
            Change::Entity(_) | Change::Anything => write!(f, "{:x} anything", self.mark),
        }
    }
}

impl FromStr for Notice {
    type Err = std::convert::Infallible;

    /// What cannot be read, from a newer version perhaps, may be anything.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (mark, what) = text.split_once(' ').unwrap_or_default();
        let change = match what.split_once(' ') {
            Some(("entity", id)) => Change::Entity(id.to_owned()),
            None if what == "subjects" => Change::Subjects,
            _ => Change::Anything,
        };
        Ok(match u64::from_str_radix(mark, 16) {
            Ok(mark) => Self { mark, change },
            Err(_) => Self { mark: 0, change: Change::Anything },
        })
    }
}

/// Announces the writes of other processes until the shutdown.
pub(super) async fn watch(database: Arc<Database>, shutdown: Shutdown) {
    let pool = database.dedicated();
    let mut told = false;
    while !shutdown.is_requested() {
        let connected = tokio::select! {
            () = shutdown.requested() => break,
            connected = listen(&pool) => connected,
            () = forget(&database) => continue,
        };
        let cause = match connected {
            Ok(mut listener) => {
                database.away().send_replace(false);
                if std::mem::take(&mut told) {
                    info!("listening again for changes of other processes");
                }
                let _ = database.changes().send(Change::Anything);
                tokio::select! {
                    () = shutdown.requested() => break,
                    cause = follow(&database, &mut listener) => cause,
                }
            }
            Err(error) => error,
        };
        database.away().send_replace(true);
        let _ = database.changes().send(Change::Anything);
        if !std::mem::replace(&mut told, true) {
            warn!(error = %cause, "not listening for changes of other processes; nothing is remembered: {cause}");
        }
        tokio::select! {
            () = shutdown.requested() => break,
            () = tokio::time::sleep(FORGETTING) => {}
        }
    }
    if tokio::time::timeout(PROBED, pool.close()).await.is_err() {
        warn!("the connection that listens for changes did not close");
    }
}

async fn listen(pool: &PgPool) -> Result<PgListener, sqlx::Error> {
    let mut listener = PgListener::connect_with(pool).await?;
    listener.ignore_pool_close_event(true);
    listener.eager_reconnect(false);
    listener.listen(CHANNEL).await?;
    Ok(listener)
}

/// Never ends: says every now and then that anything may have changed.
async fn forget(database: &Database) {
    loop {
        tokio::time::sleep(FORGETTING).await;
        let _ = database.changes().send(Change::Anything);
    }
}

/// Hands on notices until the connection is lost; returns how that was found.
async fn follow(database: &Database, listener: &mut PgListener) -> sqlx::Error {
    let lost = || sqlx::Error::Io(std::io::ErrorKind::ConnectionAborted.into());
    loop {
        match tokio::time::timeout(PROBING, listener.try_recv()).await {
            Ok(Ok(Some(notice))) => {
                let Ok(notice) = notice.payload().parse::<Notice>();
                if notice.mark != database.mark() {
                    let _ = database.changes().send(notice.change);
                }
            }
            Ok(Ok(None)) => return lost(),
            Ok(Err(error)) => return error,
            Err(_) => {
                let probe = sqlx::query("SELECT 1").execute(&mut *listener);
                match tokio::time::timeout(PROBED, probe).await {
                    Ok(Ok(_)) => {}
                    Ok(Err(error)) => return error,
                    Err(_) => return lost(),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notice_says_who_changed_what() {
        for change in [Change::Entity("ns/p/a b".into()), Change::Subjects, Change::Anything] {
            let notice = Notice { mark: u64::MAX - 1, change };
            assert_eq!(notice.to_string().parse(), Ok(notice));
        }
        let long = Notice { mark: 7, change: Change::Entity("x".repeat(MAX_NOTICE)) };
        assert_eq!(long.to_string(), "7 anything");
        for odd in ["", "7", "x entity a", "7 gone a", "7 subjects of 8"] {
            assert_eq!(odd.parse::<Notice>().map(|notice| notice.change), Ok(Change::Anything), "{odd}");
        }
    }
}
