//! How a controller is put together: its parts in their order, and the tasks that they need.

use std::sync::Arc;
use std::time::Duration;

use common::connection::Entrance;
use common::metrics::shared;
use common::nodes::{self, Members};
use common::record::writer::RecordWriter;
use common::shutdown::Shutdown;
use common::store::cache::{EntityCache, IdentityCache};
use common::store::{Certainty, EntityKind};
use common::trace::Tracer;
use tokio::sync::watch;
use tokio::time::Instant;
use tracing::error;

use crate::api::app::App;
use crate::entities::actions::Actions;
use crate::entities::packages::Packages;
use crate::entities::rules::Rules;
use crate::entities::triggers::Triggers;
use crate::entitlement::{Entitlement, Throttles};
use crate::gate::Gate;
use crate::invoke::Invoke;
use crate::invoke::primitive::Primitive;
use crate::invoke::resolve::Resolver;
use crate::invoke::trigger::Firing;
use crate::load_balancer::LoadBalancer;
use crate::load_balancer::ledger::Ledger;
use crate::load_balancer::sharding::{self, Sharding};
use crate::load_balancer::single::Single;
use crate::load_balancer::test_action;
use crate::metrics::{self, ActivationMetrics, BalancerMetrics, FleetMetrics, HttpMetrics};
use crate::records::Records;
use crate::{Controller, Invokers, Parts, SETTLING, system};

/// The most identities that are remembered.
const IDENTITIES: usize = 16_384;

/// The most packages that are remembered.
const PACKAGES: usize = 4_096;

/// The most actions that are remembered.
const ACTIONS: usize = 16_384;

/// The most triggers that are remembered.
const TRIGGERS: usize = 4_096;

/// At the end, records that wait for the store are given so long.
const LAST_RECORDS: Duration = Duration::from_secs(1);

impl Controller {
    /// Subscribes to what invokers report and starts the controller's tasks on the caller's runtime.
    ///
    /// `shutdown` ends acknowledgements too, so it is to be requested after [`Controller::drain`].
    pub async fn start(mut parts: Parts, shutdown: Shutdown) -> anyhow::Result<Self> {
        let name = format!("controller{}", parts.id.name);
        parts.events = parts.events.by(&name);
        let tracer = Tracer::start(&parts.config.tracing.otlp, "controller", &name, &shutdown)?;
        metrics::started(&parts.registry, &parts.id.name)?;
        shared::watch_journal(&parts.registry, "controller", &parts.journal)?;
        let metrics = BalancerMetrics::register(&parts.registry, &parts.id.name)?;
        let publishing = metrics.publishing.clone();
        let records = records(&parts, &shutdown);
        let (members, controllers, balancer, many) =
            match std::mem::replace(&mut parts.invokers, Invokers::One) {
                Invokers::One => {
                    for run in std::mem::take(&mut parts.abandoned) {
                        let others = records.take_up(run).await;
                        for entry in others {
                            error!(activation.id = %entry.id, "a journalled activation cannot be read");
                            records.abandon(entry.id).await;
                        }
                    }
                    let (bus, stop) = (parts.bus.clone(), shutdown.clone());
                    let single: Arc<dyn LoadBalancer> =
                        Single::start(bus, &parts.id, &parts.config, metrics, stop).await?;
                    (watch::channel(Members::default()).1, watch::channel(1).1, single, None)
                }
                Invokers::Many(cluster) => {
                    let members = cluster.members.clone();
                    let controllers = count(members.clone(), &shutdown);
                    let many = many(&mut parts, &records, controllers.clone(), metrics, &shutdown).await?;
                    let balancer: Arc<dyn LoadBalancer> = many.1.clone();
                    (members, controllers, balancer, Some(many))
                }
            };
        let Parts {
            config,
            manifest,
            artifacts,
            subjects,
            secret,
            activations,
            clock,
            registry,
            shown,
            metrics_apart,
            shared_metrics,
            id,
            build,
            readiness,
            events,
            ..
        } = parts;
        metrics::watch_balancer(&registry, &id.name, &balancer)?;
        let caches = &shared_metrics.caches;
        system::ensure(&*subjects, &*artifacts, &manifest, &config, clock.now()).await;
        let identities = IdentityCache::new(subjects, IDENTITIES, caches.clone());
        shutdown.spawn("identities", identities.clone().follow(shutdown.clone()));
        let cache = EntityCache::new(artifacts.clone(), EntityKind::Action, ACTIONS, caches.clone());
        shutdown.spawn("actions", cache.clone().follow(shutdown.clone()));
        let throttles = Throttles { limits: config.limits.clone(), controllers };
        let known_packages =
            EntityCache::new(artifacts.clone(), EntityKind::Package, PACKAGES, caches.clone());
        shutdown.spawn("packages", known_packages.clone().follow(shutdown.clone()));
        let entitlement = Arc::new(Entitlement::new(
            known_packages.clone(),
            balancer.clone(),
            clock.clone(),
            throttles,
            events,
        ));
        let packages = Packages::new(
            artifacts.clone(),
            known_packages.clone(),
            cache.clone(),
            clock.clone(),
            config.parameter_storage.ciphers(),
        );
        let fired = EntityCache::new(artifacts.clone(), EntityKind::Trigger, TRIGGERS, caches.clone());
        shutdown.spawn("triggers", fired.clone().follow(shutdown.clone()));
        let triggers = Triggers::new(artifacts.clone(), fired.clone(), clock.clone());
        let resolver = Resolver { actions: cache.clone(), packages: known_packages.clone() };
        let rules = Rules::new(artifacts.clone(), fired, resolver, clock.clone());
        let actions = Actions::new(artifacts, cache.clone(), clock.clone(), config.clone(), manifest.clone());
        let primitive = Primitive {
            id,
            activations: activations.clone(),
            balancer: balancer.clone(),
            manifest: manifest.clone(),
            waiting: config.controller.activation.clone(),
            released: Shutdown::new(),
            metrics: ActivationMetrics::register(&registry)?,
            publishing,
        };
        let gate = Gate::default();
        let (ready, open) = (readiness.clone(), gate.clone());
        let is_ready = move || ready.troubles().is_empty() && !open.is_shut();
        shared::watch_readiness(&registry, "controller", is_ready)?;
        let invoke = Invoke {
            resolver: Resolver { actions: cache, packages: known_packages },
            primitive,
            records: records.clone(),
            entitlement: entitlement.clone(),
            limit: config.limits.sequence_length,
            tasks: shutdown.clone(),
            gate: gate.clone(),
        };
        let app = App {
            config,
            manifest,
            identities,
            secret,
            entitlement,
            actions,
            packages,
            triggers,
            rules,
            firing: Firing::new(shutdown.clone()),
            invoke: Arc::new(invoke),
            records,
            activations,
            balancer,
            http_metrics: HttpMetrics::register(&registry)?,
            authentication: metrics::authentication(&registry)?,
            tracer,
            clock,
            build,
            readiness,
            gate,
        };
        shown.know(members);
        let metrics = (!metrics_apart).then_some(shown);
        let entrance = Entrance::new(app.config.controller.http.clone());
        Ok(Self { app: Arc::new(app), metrics, entrance, many, background: shutdown })
    }
}

/// How many controllers there are, as the members say.
fn count(mut members: watch::Receiver<Members>, shutdown: &Shutdown) -> watch::Receiver<u32> {
    let (sender, receiver) = watch::channel(nodes::controllers(&members.borrow_and_update()));
    let stop = shutdown.clone();
    shutdown.spawn("cluster size", async move {
        loop {
            tokio::select! {
                () = stop.requested() => return,
                changed = members.changed() => if changed.is_err() { return },
            }
            let count = nodes::controllers(&members.borrow_and_update());
            sender.send_if_modified(|last| std::mem::replace(last, count) != count);
        }
    });
    receiver
}

/// The keeper of what this controller records itself.
fn records(parts: &Parts, shutdown: &Shutdown) -> Records {
    let Parts { activations, journal, config, clock, events, shared_metrics, .. } = parts;
    let metrics = shared_metrics.records.clone();
    let (writer, writing) =
        RecordWriter::new(activations.clone(), journal.clone(), Certainty::Known, metrics);
    let (journal_too, stop) = (journal.clone(), shutdown.clone());
    shutdown.spawn("records", async move {
        let stopped = async {
            stop.requested().await;
            let deadline = Instant::now() + LAST_RECORDS;
            while journal_too.open() > 0 && Instant::now() < deadline {
                tokio::time::sleep(SETTLING).await;
            }
        };
        // What is not stored by then is in the journal.
        tokio::select! {
            () = stopped => {}
            () = writing => {}
        }
    });
    Records::new(journal.clone(), writer, config.activation.clone(), clock.clone(), events.clone())
}

/// The balancer of a controller that is one of several.
async fn many(
    parts: &mut Parts,
    own: &Records,
    controllers: watch::Receiver<u32>,
    metrics: BalancerMetrics,
    shutdown: &Shutdown,
) -> anyhow::Result<(Arc<Ledger>, Arc<Sharding>)> {
    let abandoned = std::mem::take(&mut parts.abandoned);
    let Parts { bus, id, config, clock, activations, journal, shared_metrics, .. } = parts;
    test_action::store(&*parts.artifacts, id, &parts.manifest, config, clock.now()).await?;
    let stored = shared_metrics.records.clone();
    let (records, writing) =
        RecordWriter::new(activations.clone(), journal.clone(), Certainty::Presumed, stored);
    let stop = shutdown.clone();
    shutdown.spawn("presumed records", async move {
        // What is not stored by then is in the journal.
        tokio::select! {
            () = stop.requested() => {}
            () = writing => {}
        }
    });
    let ledger = Arc::new(Ledger::new(journal.clone(), records, config.activation.clone(), clock.clone()));
    let mut left = Vec::new();
    for run in abandoned {
        left.extend(ledger.take_up(run, own).await);
    }
    let sharding = sharding::Parts {
        bus: bus.clone(),
        id,
        config,
        clock: clock.clone(),
        controllers,
        ledger: Some((ledger.clone(), left)),
        metrics,
        fleet_metrics: FleetMetrics::register(&parts.registry, &id.name)?,
    };
    Ok((ledger, Sharding::start(sharding, shutdown.clone()).await?))
}
