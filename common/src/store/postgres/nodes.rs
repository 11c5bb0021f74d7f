//! Ids of controllers and invokers, each held by a lease in the table `nodes`.
//!
//! Claims of a kind go one after the other; the clock is the database's. A holder prolongs its lease on a
//! connection of its own, so that it does not wait behind records. While the database is away, and for a
//! moment after it is back, nobody can take an id either, so a holder keeps its own until it finds another's
//! word in its row.

mod choice;

use std::sync::Arc;
use std::time::Duration;

use sqlx::{Connection, PgConnection};
use tokio::sync::{Mutex, watch};
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};
use uuid::Uuid;

use self::choice::{Known, choose};
use super::super::StoreError;
use super::PostgresStores;
use super::database::{Database, failed};
use crate::nodes::{Member, NodeKind, NodeMark};
use crate::shutdown::Shutdown;

/// How often a lease is prolonged, and how long that may take: one may fail before it is over.
const BEAT: Duration = Duration::from_secs(1);

/// After the database was away, the others need so many beats until all that live are seen again.
const RETURNING: u32 = 3;

/// One claim of a kind at a time: a lock of two numbers ("node" in ASCII, the kind), which is none of
/// those of one.
const LOCK: &str = "SELECT pg_advisory_xact_lock(1852793957, $1)";

/// A process that is stopped in the middle of a claim must not hold up all others.
const LOCK_TIMEOUT: &str = "SET LOCAL idle_in_transaction_session_timeout = '3s'";

/// Whether somebody may hold an id. When the database has just been started all leases are over, and their
/// holders need a moment to come back: only what was given back is free then.
macro_rules! live {
    () => {
        "(lease > clock_timestamp() OR (lease > '-infinity' \
         AND clock_timestamp() < pg_postmaster_start_time() + interval '4 seconds'))"
    };
}

const KNOWN: &str =
    concat!("SELECT id, unique_name, holder, ", live!(), " AS live FROM nodes WHERE kind = $1 ORDER BY id");

/// A name goes with whoever bears it.
const UNNAME: &str = "UPDATE nodes SET unique_name = NULL WHERE kind = $1 AND unique_name = $2 AND id <> $3";

/// Takes no row that its holder prolonged since it was read.
const TAKE: &str = "INSERT INTO nodes (kind, id, unique_name, holder, address, lease) \
    VALUES ($1, $2, $3, $4, $5, clock_timestamp() + interval '3 seconds') \
    ON CONFLICT (kind, id) DO UPDATE SET unique_name = excluded.unique_name, holder = excluded.holder, \
    address = excluded.address, lease = excluded.lease \
    WHERE nodes.lease <= clock_timestamp() OR nodes.holder = ANY ($6)";

const PROLONG: &str = "UPDATE nodes SET lease = clock_timestamp() + interval '3 seconds' \
    WHERE kind = $1 AND id = $2 AND holder = $3";

const RELEASE: &str = "UPDATE nodes SET lease = '-infinity' WHERE kind = $1 AND id = $2 AND holder = $3";

const MEMBERS: &str = "SELECT kind, id, unique_name, address FROM nodes \
    WHERE lease > clock_timestamp() ORDER BY kind, id";

const IS_LIVE: &str =
    concat!("SELECT EXISTS (SELECT 1 FROM nodes WHERE kind = $1 AND id = $2 AND ", live!(), ")");

/// What a node asks for when it starts.
#[derive(Clone, Debug)]
pub struct Claim {
    /// What it does.
    pub kind: NodeKind,
    /// A name that gets the same id again, unless another node was given it meanwhile.
    pub name: Option<String>,
    /// `host:port` where its metrics are.
    pub address: String,
    /// The marks of nodes that are known to be dead.
    pub inherits: Vec<NodeMark>,
}

/// Why a claim got no id.
#[derive(Debug, thiserror::Error)]
pub enum ClaimError {
    /// A live node has that name. Its lease may be over soon: a dead one's is after 3 s.
    #[error("the name '{name}' belongs to {kind} {id}, which is live")]
    Taken {
        /// Of both.
        kind: NodeKind,
        /// The name.
        name: String,
        /// The id of the live one.
        id: u32,
    },
    /// The database did not do its work.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl ClaimError {
    /// Whether the same claim may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Taken { .. } => true,
            Self::Store(error) => error.is_retryable(),
        }
    }
}

/// A live row.
#[derive(sqlx::FromRow)]
struct MemberRow {
    kind: String,
    id: i32,
    unique_name: Option<String>,
    address: String,
}

impl PostgresStores {
    /// Takes an id: the inherited one; or that of the name; or the lowest that no live node has. It is
    /// held for 3 s, and for longer once [`Lease::keep`] runs.
    ///
    /// # Errors
    ///
    /// [`ClaimError::Taken`] if a live node has the name; [`ClaimError::Store`].
    pub async fn claim(&self, claim: &Claim) -> Result<Lease, ClaimError> {
        const OPERATION: &str = "claim a node's id";
        let claiming = async {
            let mut connection = self.database.connect().await?;
            let taken = take(&mut connection, claim).await?;
            let members = members(&mut connection).await?;
            Ok((connection, taken, members))
        };
        let done = self.database.bounded(claiming).await.map_err(failed(OPERATION))?;
        let (connection, taken, members) = done;
        let mark = taken?;
        info!(node.kind = %mark.kind, node.id = mark.id, "this is {} {}", mark.kind, mark.id);
        Ok(Lease {
            database: self.database.clone(),
            mark,
            line: Mutex::new(Some(connection)),
            members: watch::Sender::new(members.into()),
            lost: CancellationToken::new(),
            released: CancellationToken::new(),
        })
    }

    /// Whether a node holds that id now.
    ///
    /// # Errors
    ///
    /// [`StoreError::Unavailable`].
    pub async fn is_live(&self, kind: NodeKind, id: u32) -> Result<bool, StoreError> {
        let live = sqlx::query_scalar(IS_LIVE).bind(kind.as_str()).bind(i64::from(id));
        self.database.read("look for a node", live.fetch_one(self.database.pool())).await
    }
}

async fn take(
    connection: &mut PgConnection,
    claim: &Claim,
) -> Result<Result<NodeMark, ClaimError>, sqlx::Error> {
    let (kind, name) = (claim.kind.as_str(), claim.name.as_deref());
    let holder = Uuid::new_v4().simple().to_string();
    let inherited: Vec<&str> = claim.inherits.iter().map(|mark| mark.holder.as_str()).collect();
    let mut write = connection.begin().await?;
    sqlx::query(LOCK_TIMEOUT).execute(&mut *write).await?;
    sqlx::query(LOCK).bind(claim.kind as i32).execute(&mut *write).await?;
    loop {
        let known: Vec<Known> = sqlx::query_as(KNOWN).bind(kind).fetch_all(&mut *write).await?;
        let id = match choose(&known, claim) {
            Ok(id) => id,
            Err(refused) => return write.rollback().await.map(|()| Err(refused)),
        };
        sqlx::query(UNNAME).bind(kind).bind(name).bind(id).execute(&mut *write).await?;
        let take = sqlx::query(TAKE).bind(kind).bind(id).bind(name).bind(&holder);
        let taken = take.bind(&claim.address).bind(&inherited).execute(&mut *write).await?;
        if taken.rows_affected() > 0 {
            write.commit().await?;
            return Ok(Ok(NodeMark { kind: claim.kind, id: id.unsigned_abs(), holder }));
        }
    }
}

/// All live nodes. What a newer version may call a kind is passed over.
async fn members(connection: &mut PgConnection) -> Result<Vec<Member>, sqlx::Error> {
    let rows: Vec<MemberRow> = sqlx::query_as(MEMBERS).fetch_all(connection).await?;
    let members = rows.into_iter().filter_map(|row| {
        let kind = NodeKind::parse(&row.kind)?;
        Some(Member { kind, id: row.id.unsigned_abs(), name: row.unique_name, address: row.address })
    });
    Ok(members.collect())
}

/// What came of prolonging a lease.
enum Beat {
    /// It is prolonged, and these are live.
    Held(Vec<Member>),
    /// It was given back.
    Released,
    /// Another holds the id.
    Lost,
}

/// An id that this process holds.
pub struct Lease {
    database: Arc<Database>,
    mark: NodeMark,
    /// The connection that prolongs it; none after a failure.
    line: Mutex<Option<PgConnection>>,
    members: watch::Sender<Arc<[Member]>>,
    lost: CancellationToken,
    released: CancellationToken,
}

impl Lease {
    /// The id.
    pub fn id(&self) -> u32 {
        self.mark.id
    }

    /// What proves that this process holds the id.
    pub fn mark(&self) -> &NodeMark {
        &self.mark
    }

    /// All live nodes of both kinds, this one among them: since the claim, and as long as
    /// [`Lease::keep`] runs. While the database is away it is the last that was seen, and for three beats
    /// more: all leases may be over then, until each holder has come back.
    pub fn members(&self) -> watch::Receiver<Arc<[Member]>> {
        self.members.subscribe()
    }

    /// Returns once another node has the id; this one must not use it any more. Cancel safe.
    pub async fn lost(&self) {
        self.lost.cancelled().await;
    }

    /// Prolongs the lease every second until the shutdown, its release or its loss.
    pub async fn keep(self: Arc<Self>, shutdown: Shutdown) {
        let mut ticks = tokio::time::interval(BEAT);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        let mut away = false;
        let mut returning = 0;
        loop {
            tokio::select! {
                () = shutdown.requested() => return,
                () = self.released.cancelled() => return,
                _ = ticks.tick() => {}
            }
            // Not cut short by a shutdown: it is bounded, and its connection serves the release.
            match self.beat().await {
                Ok(Beat::Held(seen)) => {
                    if std::mem::take(&mut away) {
                        info!("the lease of {} is prolonged again", self.node());
                    }
                    match returning {
                        0 => self.show(seen),
                        _ => returning -= 1,
                    }
                }
                Ok(Beat::Released) => return,
                Ok(Beat::Lost) => {
                    self.lost.cancel();
                    error!("{} is another process now: its lease was over, and it was taken", self.node());
                    return;
                }
                Err(cause) => {
                    returning = RETURNING;
                    if !std::mem::replace(&mut away, true) {
                        let node = self.node();
                        warn!(error = %cause, "the lease of {node} is not prolonged; it is tried again: {cause}");
                    }
                }
            }
        }
    }

    /// Gives the id back, so that the others see at once that this node is gone. It is not kept after that.
    pub async fn release(&self) {
        let mut line = self.line.lock().await;
        self.released.cancel();
        let releasing = async {
            let mut connection = self.connected(&mut line).await?;
            self.update(RELEASE, &mut connection).await?;
            connection.close().await
        };
        if let Err(cause) = bounded(releasing).await {
            let node = self.node();
            warn!(error = %cause, "{node} is not given back; it is free when its lease is over: {cause}");
        }
    }

    fn node(&self) -> String {
        format!("{} {}", self.mark.kind, self.mark.id)
    }

    /// Prolongs the lease and looks who else is there.
    async fn beat(&self) -> Result<Beat, sqlx::Error> {
        let mut line = self.line.lock().await;
        if self.released.is_cancelled() {
            return Ok(Beat::Released);
        }
        let beating = async {
            let mut connection = self.connected(&mut line).await?;
            if !self.update(PROLONG, &mut connection).await? {
                return Ok((connection, Beat::Lost));
            }
            let seen = members(&mut connection).await?;
            Ok((connection, Beat::Held(seen)))
        };
        let (connection, beat) = bounded(beating).await?;
        *line = Some(connection);
        Ok(beat)
    }

    fn show(&self, seen: Vec<Member>) {
        self.members.send_if_modified(|last| {
            let changed = **last != *seen;
            if changed {
                *last = seen.into();
            }
            changed
        });
    }

    /// The connection, taken out: it is put back only if all went well.
    async fn connected(&self, line: &mut Option<PgConnection>) -> Result<PgConnection, sqlx::Error> {
        match line.take() {
            Some(connection) => Ok(connection),
            None => self.database.connect().await,
        }
    }

    /// Runs a statement on the row if it is still this process's. Returns whether it is.
    async fn update(
        &self,
        statement: &'static str,
        connection: &mut PgConnection,
    ) -> Result<bool, sqlx::Error> {
        let NodeMark { kind, id, holder } = &self.mark;
        let update = sqlx::query(statement).bind(kind.as_str()).bind(i64::from(*id)).bind(holder);
        update.execute(connection).await.map(|done| done.rows_affected() > 0)
    }
}

/// As long as a beat may take: a silent connection is replaced while the lease still runs.
async fn bounded<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    let late = |_| sqlx::Error::Io(std::io::ErrorKind::TimedOut.into());
    tokio::time::timeout(BEAT, work).await.map_err(late)?
}
