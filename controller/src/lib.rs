//! The controller: the REST API, entitlement, invocation and load balancing.
//!
//! A request passes `api` (what it says), `entitlement` (may they), then `entities` (what is written) or
//! `invoke` (what is run), and `load_balancer` carries an invocation to an invoker and its result back.
//! Only `api` knows HTTP. The controller never talks to a container.

pub mod api;
pub mod entities;
pub mod entitlement;
pub mod gate;
pub mod invoke;
pub mod load_balancer;
pub mod metrics;
pub mod records;
mod start;
pub mod system;

use std::sync::Arc;
use std::time::Duration;

use common::bus::MessageBus;
use common::clock::Clock;
use common::config::Config;
use common::connection::Entrance;
use common::entity::id::ControllerId;
use common::events::Events;
use common::journal::{Abandoned, Journal};
use common::manifest::Manifest;
use common::metrics::shared::SharedMetrics;
use common::nodes::Members;
use common::readiness::Readiness;
use common::shutdown::Shutdown;
use common::store::seal::Secret;
use common::store::{ActivationStore, ArtifactStore, SubjectStore};
use prometheus::Registry;
use server::{Door, Server, Terms};
use tokio::sync::watch;
use tokio::time::Instant;

use crate::api::app::App;
use crate::api::metrics::Shown;
use crate::load_balancer::ledger::Ledger;
use crate::load_balancer::sharding::Sharding;

/// Between two looks whether what was adopted has ended.
const ADOPTED: Duration = Duration::from_secs(5);

/// Between two looks at what is in flight, at the end.
const SETTLING: Duration = Duration::from_millis(20);

/// A server that stops gives requests so long: the longest wait and a little more.
const STOP: Duration = Duration::from_secs(65);

/// What a controller is put together from.
pub struct Parts {
    /// All settings.
    pub config: Arc<Config>,
    /// The kinds of actions.
    pub manifest: Arc<Manifest>,
    /// Entities and code.
    pub artifacts: Arc<dyn ArtifactStore>,
    /// Subjects, keys and limits.
    pub subjects: Arc<dyn SubjectStore>,
    /// The installation's secret, under which keys are sealed.
    pub secret: Option<Secret>,
    /// Activation records.
    pub activations: Arc<dyn ActivationStore>,
    /// To and from invokers.
    pub bus: Arc<dyn MessageBus>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Where metrics are registered, and what `/metrics` shows.
    pub registry: Registry,
    /// What is shown of it.
    pub shown: Arc<Shown>,
    /// Whether that is done at an address of its own, and not by the API.
    pub metrics_apart: bool,
    /// What the other role of this process counts, too.
    pub shared_metrics: SharedMetrics,
    /// Which controller this is.
    pub id: ControllerId,
    /// The day it was built, such as `2026-01-31`.
    pub build: String,
    /// Who runs actions.
    pub invokers: Invokers,
    /// What must be in order for the controller to do its work.
    pub readiness: Readiness,
    /// This run's journal.
    pub journal: Arc<Journal>,
    /// Journals of controllers that are gone.
    pub abandoned: Vec<Abandoned>,
    /// Where user events go.
    pub events: Events,
}

/// The invokers that a controller sends orders to.
pub enum Invokers {
    /// One, in the same process.
    One,
    /// Many, which it shares with other controllers.
    Many(Cluster),
}

/// What a controller needs that is one of several.
pub struct Cluster {
    /// The live nodes of the installation, this one included.
    pub members: watch::Receiver<Members>,
}

/// A running controller. It serves as long as its servers run.
pub struct Controller {
    app: Arc<App>,
    metrics: Option<Arc<Shown>>,
    entrance: Arc<Entrance>,
    many: Option<(Arc<Ledger>, Arc<Sharding>)>,
    background: Shutdown,
}

impl Controller {
    /// Serves the API behind these doors, with so many threads, until the server is told to stop. May be called
    /// more than once: all servers share one controller, and its bounds on connections.
    pub fn serve(&self, doors: Vec<Door>, workers: usize) -> std::io::Result<Server> {
        let terms = Terms { name: "api", workers, grace: STOP, entrance: self.entrance.clone() };
        api::serve(doors, terms, self.app.clone(), self.metrics.clone(), &self.background)
    }

    /// Answers whoever still waits for a result with the activation's id (202): for when nothing runs any
    /// more, and what was accepted runs at the next start.
    pub fn release(&self) {
        self.app.invoke.primitive.released.request();
    }

    /// Looks after what another controller left in flight that is gone. What invokers report of it goes to
    /// that one's topic, so the store is asked now and then whether it has ended.
    pub async fn take_up(&self, run: Abandoned) {
        let Some((ledger, sharding)) = &self.many else { return };
        let mut left = ledger.take_up(run, &self.app.records).await;
        let ids: Vec<_> = left.iter().map(|left| left.message.activation_id).collect();
        for left in &mut left {
            // They take nothing of what their namespaces may have in flight here.
            left.message.user.namespace.uuid = "".into();
        }
        sharding.take_up(left);
        let (activations, sharding, stop) =
            (self.app.activations.clone(), sharding.clone(), self.background.clone());
        self.background.spawn("adopted activations", async move {
            let mut open = ids;
            while !open.is_empty() {
                tokio::select! {
                    () = stop.requested() => return,
                    () = tokio::time::sleep(ADOPTED) => {}
                }
                let mut still = Vec::new();
                for id in open {
                    match activations.certainty(id).await {
                        Ok(Some(_)) => sharding.close(id),
                        Ok(None) | Err(_) => still.push(id),
                    }
                }
                open = still;
            }
        });
    }

    /// Waits until nothing is in flight, at most `grace`. Returns whether that is so; what is left stays in
    /// the journal, and a later run sees to it.
    pub async fn settle(&self, grace: Duration) -> bool {
        let deadline = Instant::now() + grace;
        while self.app.balancer.in_flight_count() > 0 {
            if Instant::now() >= deadline {
                return false;
            }
            tokio::time::sleep(SETTLING).await;
        }
        true
    }

    /// Takes no new work from now on (503), and waits until every sequence and composition has ended, at most
    /// `grace`. Returns whether all have.
    pub async fn calm(&self, grace: Duration) -> bool {
        self.app.gate.calm(grace).await
    }

    /// Takes no new work from now on (503), and waits until what was begun is answered, at most `grace`.
    /// Returns whether all of it was. Reads go on.
    pub async fn drain(&self, grace: Duration) -> bool {
        self.app.gate.shut(grace).await
    }
}
