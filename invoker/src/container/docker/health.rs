//! Whether Docker's daemon answers, and what is done when it comes back.
//!
//! One long request for its events is open all the time: it breaks the moment the daemon goes, so that nothing is
//! asked over and over while all is well. While it is away, what is made or removed waits here; when it is
//! back, the network and the firewall are as they must be, and what nobody holds is removed, before
//! anybody goes on. A daemon that restarts ends its containers (unless live-restore is on), and even one that
//! does not has lost their output: each container proxy notices by itself, and removes its own.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bollard::models::ContainerSummary;
use bollard::query_parameters::EventsOptionsBuilder;
use common::shutdown::Shutdown;
use futures::StreamExt;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, info, warn};

use super::daemon::Daemon;
use super::firewall::{Firewall, Isolation};
use super::network::{self, Bridge};
use super::{LABEL_INSTANCE, LABEL_NAME, LABEL_RUN};
use crate::container::RuntimeError;

/// For a question that only asks whether it answers.
const PROBE: Duration = Duration::from_secs(2);
/// Between two such questions while it does not: doubled from the first to the last.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_LAST: Duration = Duration::from_secs(1);
/// So long after it went containers are still waited for. Later comers fail at once.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is known of the daemon.
#[derive(Debug)]
pub struct Health {
    daemon: Daemon,
    away: watch::Sender<Option<Instant>>,
    /// How often it went.
    absences: watch::Sender<u64>,
    suspected: Notify,
    names: Arc<Mutex<HashSet<String>>>,
}

/// The name of a container that somebody here makes or has.
#[derive(Debug)]
pub struct Held {
    name: String,
    names: Arc<Mutex<HashSet<String>>>,
}

impl Held {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.name
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        lock(&self.names).remove(&self.name);
    }
}

fn lock(names: &Mutex<HashSet<String>>) -> MutexGuard<'_, HashSet<String>> {
    names.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What must be there whenever the daemon is.
#[derive(Debug)]
pub struct Surroundings {
    /// The instance, as on labels.
    pub instance: String,
    /// Its run.
    pub run: String,
    /// Its network.
    pub bridge: Bridge,
    /// Its rules.
    pub firewall: Firewall,
}

impl Health {
    /// Of a daemon that has just answered.
    pub fn new(daemon: Daemon) -> Arc<Self> {
        Arc::new(Self {
            daemon,
            away: watch::Sender::new(None),
            absences: watch::Sender::new(0),
            suspected: Notify::new(),
            names: Arc::default(),
        })
    }

    /// Since when it is away.
    pub fn away(&self) -> watch::Receiver<Option<Instant>> {
        self.away.subscribe()
    }

    /// How often it went. What failed while this changed may be tried again.
    pub fn absences(&self) -> u64 {
        *self.absences.borrow()
    }

    /// A name that is no stray's.
    pub fn hold(&self, name: &str) -> Held {
        lock(&self.names).insert(name.to_owned());
        Held { name: name.to_owned(), names: self.names.clone() }
    }

    /// Waits until it is there, while it has not been away for long.
    pub async fn there(&self) -> Result<(), RuntimeError> {
        let mut away = self.away.subscribe();
        let Some(since) = *away.borrow_and_update() else { return Ok(()) };
        let back = tokio::time::timeout_at(since + PATIENCE, away.wait_for(Option::is_none)).await;
        back.map(drop).map_err(|late| RuntimeError::Unavailable {
            operation: "reach",
            subject: "Docker".to_owned(),
            source: late.into(),
        })
    }

    /// Waits until it is there, however long that takes.
    pub async fn back(&self) {
        // The sender is ours.
        let _ = self.away.subscribe().wait_for(Option::is_none).await;
    }

    /// Whether a failed operation failed because it is away.
    pub async fn has_gone(&self, error: &RuntimeError) -> bool {
        let is_here = self.away.borrow().is_none();
        if is_here && error.is_retryable() && !self.answers().await {
            self.suspected.notify_one();
            let mut away = self.away.subscribe();
            // It may also have answered just now.
            let _ = timeout(PROBE * 2, away.wait_for(Option::is_some)).await;
        }
        self.away.borrow().is_some()
    }

    async fn answers(&self) -> bool {
        matches!(timeout(PROBE, self.daemon.docker.ping()).await, Ok(Ok(_)))
    }

    /// Watches until it is told to stop.
    pub async fn watch(self: Arc<Self>, surroundings: Surroundings, stop: Shutdown) {
        loop {
            tokio::select! {
                () = stop.requested() => return,
                () = self.gone(&surroundings.instance) => {}
            }
            if self.answers().await {
                // Only the request has ended; it is not repeated without a pause.
                sleep(RETRY_LAST).await;
                continue;
            }
            let since = Instant::now();
            self.absences.send_modify(|count| *count += 1);
            self.away.send_replace(Some(since));
            warn!("Docker does not answer: what needs it waits");
            tokio::select! {
                () = stop.requested() => return,
                () = self.return_of(&surroundings) => {}
            }
            self.away.send_replace(None);
            let away_ms = since.elapsed().as_millis() as u64;
            info!(away_ms, "Docker answers again after {away_ms} ms");
        }
    }

    /// Returns when its events end, or somebody suspects it.
    async fn gone(&self, instance: &str) {
        // Few events; that there is a stream is what matters.
        let label = vec![format!("{LABEL_INSTANCE}={instance}")];
        let filters = HashMap::from([("type", vec!["network".to_owned()]), ("label", label)]);
        let options = EventsOptionsBuilder::new().filters(&filters).build();
        let mut events = self.daemon.docker.events(Some(options));
        let ended = async { while let Some(Ok(_)) = events.next().await {} };
        tokio::select! {
            () = ended => {}
            () = self.suspected.notified() => {}
        }
    }

    async fn return_of(&self, surroundings: &Surroundings) {
        let (mut pause, mut told) = (RETRY_FIRST, false);
        loop {
            sleep(pause).await;
            pause = RETRY_LAST.min(pause * 2);
            if !self.answers().await {
                continue;
            }
            match self.restore(surroundings).await {
                Ok(()) => return,
                Err(error) if !std::mem::replace(&mut told, true) => {
                    warn!("Docker answers, but is not ready: {:#}", anyhow::Error::from(error));
                }
                Err(_) => {}
            }
        }
    }

    /// Puts in order what a restart of the daemon may have taken or left.
    async fn restore(&self, surroundings: &Surroundings) -> Result<(), RuntimeError> {
        let Surroundings { instance, run, bridge, firewall } = surroundings;
        network::restore(&self.daemon, instance, run, bridge).await?;
        network::without_ipv6(&bridge.device).await;
        if let Isolation::NotKept(reason) = firewall.install().await {
            warn!("actions can reach this host's services: the firewall is not installed: {reason}");
        }
        let ours = self.daemon.labelled(LABEL_RUN, run).await?;
        let is_held = |container: &ContainerSummary| {
            let name = container.labels.as_ref().and_then(|labels| labels.get(LABEL_NAME));
            name.is_some_and(|name| lock(&self.names).contains(name))
        };
        let strays: Vec<_> = ours.into_iter().filter(|container| !is_held(container)).collect();
        // Those that somebody holds are removed by whom they belong to.
        match self.daemon.remove_all(strays).await? {
            0 => debug!("no container is left over"),
            removed => info!(removed, "removed {removed} containers that nobody holds"),
        }
        Ok(())
    }
}
