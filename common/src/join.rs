//! How a controller or an invoker becomes part of an installation: it waits for the database and the
//! broker, gets its number, and takes over what a former holder of that number left.
//!
//! Nothing here gives up because something is away: whoever asks is told what is waited for.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::bus::kafka::KafkaBus;
use crate::bus::{MessageBus, Topic};
use crate::config::Config;
use crate::journal::{self, Abandoned, Journal};
use crate::metrics::shared::SharedMetrics;
use crate::nodes::{NodeKind, NodeMark};
use crate::readiness::Readiness;
use crate::shutdown::Shutdown;
use crate::store::postgres::PostgresStores;
use crate::store::postgres::nodes::{Claim, ClaimError, Lease};
use crate::telemetry;

/// Between two attempts to reach the database, and to get a number.
const RETRY: Duration = Duration::from_secs(1);

/// How long a name that a live process has is waited for: somebody was started in its place too early.
const NAME_PATIENCE: Duration = Duration::from_secs(15);

/// Who joins.
pub struct Applicant {
    /// What it does.
    pub kind: NodeKind,
    /// The name under which it gets the same number again.
    pub name: Option<String>,
    /// `host:port` where its metrics are.
    pub address: String,
    /// The folder of journals, which other processes may share.
    pub state_dir: PathBuf,
    /// The folder in which its log is to be too.
    pub log_dir: Option<PathBuf>,
}

/// What a process waits for before it can work; nothing once it can.
#[derive(Clone)]
pub struct Stage(watch::Sender<Option<String>>);

impl Default for Stage {
    fn default() -> Self {
        Self(watch::channel(Some("it has just been started".to_owned())).0)
    }
}

impl Stage {
    /// What `/ready` says of it.
    pub fn readiness(&self) -> Readiness {
        let stage = self.0.clone();
        Readiness::default().and(move || stage.borrow().clone())
    }

    /// It waits for this.
    pub fn wait_for(&self, what: impl Into<String>) {
        self.0.send_replace(Some(what.into()));
    }

    /// It waits for nothing any more.
    pub fn done(&self) {
        self.0.send_replace(None);
    }
}

/// A process's place in the installation.
pub struct Place {
    /// Entities, subjects, records.
    pub stores: PostgresStores,
    /// To and from all others.
    pub bus: Arc<KafkaBus>,
    /// Its number, and who else is there.
    pub lease: Arc<Lease>,
    /// This run's journal.
    pub journal: Arc<Journal>,
    /// What former holders of the number left.
    pub abandoned: Vec<Abandoned>,
}

impl Place {
    /// What must be in order for a process with this place, beside what it waits for.
    pub fn readiness(&self, stage: &Stage) -> Readiness {
        let (bus, away) = (self.bus.clone(), self.stores.away());
        stage.readiness().and(move || bus.trouble().map(|why| format!("Kafka: {why}"))).and(move || {
            let away = *away.borrow();
            away.then(|| "PostgreSQL: it does not answer".to_owned())
        })
    }

    /// Gives it up, last of all: others see at once that it is gone. What is open in the journal stays.
    pub async fn leave(self, background: Shutdown, grace: Duration) {
        let Self { stores, bus, lease, journal, .. } = self;
        let bus_was_away = bus.trouble().is_some();
        bus.close().await;
        lease.release().await;
        background.finish(grace).await;
        if bus_was_away {
            info!("Kafka is away: the journal stays, since it says how far the topic was read");
        } else {
            journal.end();
        }
        stores.close().await;
    }
}

/// Joins; ends early, with an error, only for what waiting does not mend, or if `shutdown` is requested.
pub async fn join(
    applicant: &Applicant,
    config: &Config,
    metrics: &SharedMetrics,
    stage: &Stage,
    shutdown: &Shutdown,
) -> anyhow::Result<Place> {
    let joining = async {
        let stores = connect(config, stage).await.measured(&metrics.stores);
        stores.watch(shutdown);
        stage.wait_for("Kafka cannot be reached");
        let tell = |trouble| stage.wait_for(format!("Kafka cannot be reached: {trouble}"));
        let (kafka, max_message) = (&config.kafka, config.max_message());
        let bus = Arc::new(KafkaBus::connect(kafka, max_message, &metrics.bus, shutdown, tell).await?);
        if applicant.kind == NodeKind::Controller {
            // Nobody of us reads it, and brokers need not make topics by themselves.
            while let Err(error) = bus.ensure(&Topic::events()).await {
                warn!("the topic of events is not there yet: {error}");
                tokio::time::sleep(RETRY).await;
            }
        }
        stage.wait_for("it has no number yet");
        let lease = Arc::new(claim(&stores, applicant).await?);
        shutdown.spawn("lease", lease.clone().keep(shutdown.clone()));
        if let Some(folder) = &applicant.log_dir {
            let component = format!("{}{}", applicant.kind, lease.id());
            let file = telemetry::log_into(folder, &component);
            file.with_context(|| format!("no log can be written into {}; see --log-dir", folder.display()))?;
        }
        stage.wait_for("what was left under its number is not taken over yet");
        let (sizes, mark) = (&config.journal, mark_text(lease.mark()));
        let (state, segment, max) = (&applicant.state_dir, sizes.segment.bytes(), sizes.max.bytes());
        let journal = Journal::create_marked(state, segment, max, Some(&mark));
        let journal = Arc::new(journal.with_context(|| unusable(state))?);
        let abandoned = succeed(state, lease.mark(), &bus).await.with_context(|| unusable(state))?;
        stage.wait_for("it starts");
        Ok(Place { stores, bus, lease, journal, abandoned })
    };
    tokio::select! {
        place = joining => place,
        () = shutdown.requested() => anyhow::bail!("told to stop before it could begin"),
    }
}

fn unusable(state_dir: &Path) -> String {
    format!("the folder {} cannot be used; choose another with --state-dir", state_dir.display())
}

async fn connect(config: &Config, stage: &Stage) -> PostgresStores {
    let mut told = false;
    loop {
        stage.wait_for("PostgreSQL cannot be reached");
        match PostgresStores::connect(&config.postgres).await {
            Ok(stores) => return stores,
            Err(error) => {
                let error = anyhow::Error::from(error);
                if !std::mem::replace(&mut told, true) {
                    warn!("waiting for PostgreSQL at {:?}: {error:#}", config.postgres.url);
                }
                stage.wait_for(format!("PostgreSQL cannot be reached: {error:#}"));
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// Gets a number: that of a process whose journal lies here and is held by nobody, if there is one.
async fn claim(stores: &PostgresStores, applicant: &Applicant) -> anyhow::Result<Lease> {
    let deadline = tokio::time::Instant::now() + NAME_PATIENCE;
    loop {
        let seen = journal::marks(&applicant.state_dir).with_context(|| unusable(&applicant.state_dir))?;
        let left = seen.iter().filter(|seen| !seen.is_held).filter_map(|seen| read_mark(&seen.mark));
        let inherits = left.filter(|mark| mark.kind == applicant.kind).collect();
        let claim = Claim {
            kind: applicant.kind,
            name: applicant.name.clone(),
            address: applicant.address.clone(),
            inherits,
        };
        match stores.claim(&claim).await {
            Ok(lease) => return Ok(lease),
            Err(error @ ClaimError::Taken { .. }) if tokio::time::Instant::now() >= deadline => {
                anyhow::bail!("{error}: stop it, or choose another name with --name")
            }
            Err(error) => warn!("there is no number yet: {:#}", anyhow::Error::from(error)),
        }
        tokio::time::sleep(RETRY).await;
    }
}

fn mark_text(mark: &NodeMark) -> String {
    serde_json::to_string(mark).expect("a mark serializes to JSON")
}

fn read_mark(text: &str) -> Option<NodeMark> {
    serde_json::from_str(text).ok()
}

/// Takes over all that was written under this number before. While another process holds some of it, be it
/// the former holder of the number or one that finishes what that left, nothing is read on.
async fn succeed(state_dir: &Path, own: &NodeMark, bus: &KafkaBus) -> anyhow::Result<Vec<Abandoned>> {
    let deadline = tokio::time::Instant::now() + SUCCESSION;
    let is_former = |mark: &NodeMark| mark.kind == own.kind && mark.id == own.id && mark.holder != own.holder;
    let mut taken = Vec::new();
    loop {
        for run in take_over(state_dir, |mark| mark.is_some_and(is_former))? {
            while !reach(bus, &run).await {
                tokio::time::sleep(RETRY).await;
            }
            taken.push(run);
        }
        let seen = journal::marks(state_dir)?;
        let former = seen.iter().filter_map(|seen| read_mark(&seen.mark)).filter(is_former).count();
        if former <= taken.len() {
            return Ok(taken);
        }
        if tokio::time::Instant::now() >= deadline {
            anyhow::bail!("a process that had number {} before is still at work", own.id);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Takes the journals that nobody holds and whose writer is wanted.
fn take_over(
    state_dir: &Path,
    wanted: impl Fn(Option<&NodeMark>) -> bool,
) -> std::io::Result<Vec<Abandoned>> {
    journal::take_over(state_dir, |mark| wanted(mark.and_then(read_mark).as_ref()))
}

/// Sees to it that nobody reads again what is, or was, in a journal that was taken over. Returns whether the
/// broker knows.
async fn reach(bus: &KafkaBus, run: &Abandoned) -> bool {
    let mark = run.mark().and_then(read_mark).filter(|mark| mark.kind == NodeKind::Invoker);
    let (Some(mark), Some(next)) = (mark, run.position()) else { return true };
    let topic = Topic::invoker(mark.id);
    let told = bus.advance(&topic, topic.as_str(), next).await;
    if let Err(error) = &told {
        warn!("how far {topic} was read cannot be told to Kafka: {error}");
    }
    told.is_ok()
}

/// Looks every few seconds for journals of the same kind of node that are gone and whose number nobody has,
/// or that were left under this process's own, and hands them on, until the shutdown.
pub async fn adopt(
    place: &Place,
    state_dir: &Path,
    shutdown: &Shutdown,
    mut hand_on: impl AsyncFnMut(Abandoned),
) {
    let own = place.lease.mark();
    loop {
        tokio::select! {
            () = shutdown.requested() => return,
            () = tokio::time::sleep(ADOPTION) => {}
        }
        let seen = readable(journal::marks(state_dir), state_dir);
        let left = seen.iter().filter(|seen| !seen.is_held).filter_map(|seen| read_mark(&seen.mark));
        for mark in left.filter(|mark| mark.kind == own.kind) {
            // Whoever comes for the number waits as long as its journal is held here.
            let is_live = async || place.stores.is_live(mark.kind, mark.id).await;
            if mark.id != own.id && !matches!(is_live().await, Ok(false)) {
                continue;
            }
            for run in readable(take_over(state_dir, |found| found == Some(&mark)), state_dir) {
                // If the broker is away, another look finds it again.
                if reach(&place.bus, &run).await {
                    info!("{} {} is gone; what it left is finished here", mark.kind, mark.id);
                    hand_on(run).await;
                }
            }
        }
    }
}

/// What was found in the folder of journals; nothing, and a word in the log, if it cannot be read now.
fn readable<T>(found: std::io::Result<Vec<T>>, state_dir: &Path) -> Vec<T> {
    found.unwrap_or_else(|error| {
        warn!("the journals in {} cannot be read: {error}", state_dir.display());
        Vec::new()
    })
}

/// How long a former holder of the number may take to end, once it knows that it is one.
const SUCCESSION: Duration = Duration::from_secs(90);

/// Between two looks whether it has.
const LOOK: Duration = Duration::from_millis(200);

/// Between two looks for journals of those that are gone.
const ADOPTION: Duration = Duration::from_secs(5);
