//! What every handler may use: one value, shared by all workers of all servers.

use std::sync::Arc;
use std::time::Duration;

use common::clock::Clock;
use common::config::Config;
use common::manifest::Manifest;
use common::readiness::Readiness;
use common::store::ActivationStore;
use common::store::cache::IdentityCache;
use common::store::seal::Secret;
use common::trace::Tracer;
use prometheus::Histogram;

use crate::entities::actions::Actions;
use crate::entities::packages::Packages;
use crate::entities::rules::Rules;
use crate::entities::triggers::Triggers;
use crate::entitlement::Entitlement;
use crate::gate::Gate;
use crate::invoke::Invoke;
use crate::invoke::trigger::Firing;
use crate::load_balancer::LoadBalancer;
use crate::metrics::HttpMetrics;
use crate::records::Records;

/// The controller, as handlers see it.
pub struct App {
    /// All settings.
    pub config: Arc<Config>,
    /// The kinds of actions.
    pub manifest: Arc<Manifest>,
    /// Who signs in.
    pub identities: Arc<IdentityCache>,
    /// What opens the keys of those for whom an action runs that nobody signed in for; without it such
    /// actions get none.
    pub secret: Option<Secret>,
    /// May they, and how often.
    pub entitlement: Arc<Entitlement>,
    /// Actions as entities.
    pub actions: Actions,
    /// Packages as entities.
    pub packages: Packages,
    /// Triggers as entities.
    pub triggers: Triggers,
    /// Rules as entities.
    pub rules: Rules,
    /// What triggers set off.
    pub firing: Firing,
    /// Whatever is to be run.
    pub invoke: Arc<Invoke>,
    /// Activations that this controller records itself.
    pub records: Records,
    /// Records.
    pub activations: Arc<dyn ActivationStore>,
    /// What is in flight, and the invokers.
    pub balancer: Arc<dyn LoadBalancer>,
    /// How long it takes to find out who asks.
    pub authentication: Histogram,
    /// Counters of responses.
    pub http_metrics: HttpMetrics,
    /// Begins traces and takes them up.
    pub tracer: Tracer,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// The day it was built.
    pub build: String,
    /// What must be in order.
    pub readiness: Readiness,
    /// Work that is under way.
    pub gate: Gate,
}

impl App {
    /// The body of a request must have come within this.
    pub fn body_timeout(&self) -> Duration {
        self.config.controller.http.body_timeout
    }
}
