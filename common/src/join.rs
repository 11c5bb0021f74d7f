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
use crate::nodes::{NodeKind, NodeMark};
use crate::readiness::Readiness;
use crate::shutdown::Shutdown;
use crate::store::postgres::PostgresStores;
use crate::store::postgres::nodes::{Claim, ClaimError, Lease};

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
    /// Where it answers HTTP.
    pub address: String,
    /// The folder of journals, which other processes may share.
    pub state_dir: PathBuf,
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
        bus.close().await;
        lease.release().await;
        background.finish(grace).await;
        match journal.close() {
            Ok(true) => {}
            Ok(false) => info!("{} activations stay in the journal", journal.open()),
            Err(error) => warn!("the journal cannot be removed: {error}"),
        }
        stores.close().await;
    }
}

/// Joins; ends early, with an error, only for what waiting does not mend, or if `shutdown` is requested.
pub async fn join(
    applicant: &Applicant,
    config: &Config,
    stage: &Stage,
    shutdown: &Shutdown,
) -> anyhow::Result<Place> {
    let joining = async {
        let stores = connect(config, stage).await;
        stores.watch(shutdown);
        stage.wait_for("Kafka cannot be reached");
        let bus = Arc::new(KafkaBus::connect(&config.kafka, config.max_message(), shutdown).await?);
        if applicant.kind == NodeKind::Controller {
            // Nobody of us reads it, and brokers need not make topics by themselves.
            bus.ensure(&Topic::events()).await?;
        }
        stage.wait_for("it has no number yet");
        let lease = Arc::new(claim(&stores, applicant).await?);
        let id = lease.id();
        shutdown.spawn("lease", lease.clone().keep(shutdown.clone()));
        let journal = &config.journal;
        let journal = Journal::create(&applicant.state_dir, journal.segment.bytes(), journal.max.bytes());
        let journal = Arc::new(journal.with_context(|| unusable(&applicant.state_dir))?);
        journal.mark(&mark_text(lease.mark())).with_context(|| unusable(&applicant.state_dir))?;
        let abandoned = take_over(&applicant.state_dir, |mark| {
            mark.is_some_and(|mark| mark.kind == applicant.kind && mark.id == id)
        });
        let abandoned = abandoned.with_context(|| unusable(&applicant.state_dir))?;
        for run in &abandoned {
            reach(&bus, run).await;
        }
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
        let left = journal::marks(&applicant.state_dir).with_context(|| unusable(&applicant.state_dir))?;
        let inherits =
            left.iter().filter_map(|text| read_mark(text)).find(|mark| mark.kind == applicant.kind);
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

/// Takes the journals that no live process holds and whose writer is wanted.
pub fn take_over(
    state_dir: &Path,
    wanted: impl Fn(Option<&NodeMark>) -> bool,
) -> std::io::Result<Vec<Abandoned>> {
    journal::take_over(state_dir, |mark| wanted(mark.and_then(read_mark).as_ref()))
}

/// Sees to it that nobody reads again what is, or was, in a journal that was taken over.
pub async fn reach(bus: &KafkaBus, run: &Abandoned) {
    let Some(mark) = run.mark().and_then(read_mark).filter(|mark| mark.kind == NodeKind::Invoker) else {
        return;
    };
    let (Some(next), topic) = (run.position(), Topic::invoker(mark.id)) else { return };
    if let Err(error) = bus.advance(&topic, topic.as_str(), next).await {
        warn!("how far {topic} was read cannot be told to Kafka: {:#}", anyhow::Error::from(error));
    }
}

/// Looks every few seconds for journals of the same kind of node that are gone and whose number nobody else
/// has, and hands them on, until the shutdown.
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
        let Ok(left) = journal::marks(state_dir) else { continue };
        for mark in left.iter().filter_map(|text| read_mark(text)).filter(|mark| mark.kind == own.kind) {
            let is_mine = mark.id == own.id;
            if !is_mine && !matches!(place.stores.is_live(mark.kind, mark.id).await, Ok(false)) {
                continue;
            }
            let taken = take_over(state_dir, |found| found == Some(&mark)).unwrap_or_default();
            for run in taken {
                info!("{}{} is gone; what it left is finished here", mark.kind.as_str(), mark.id);
                reach(&place.bus, &run).await;
                hand_on(run).await;
            }
        }
    }
}

/// Between two looks for journals of those that are gone.
const ADOPTION: Duration = Duration::from_secs(5);
