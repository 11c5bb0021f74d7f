//! `oxwhisk-controller`: the REST API and the balancer as a program of their own, over Kafka and PostgreSQL.
//!
//! It answers from the first moment, if only that it is not ready and why. What stops comes in order: no
//! new work, what waits is answered, what is in flight is heard of, then the API, the bus and the stores.

mod args;

use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use common::clock::{Clock, Millis, SystemClock};
use common::config::{self, Config};
use common::connection::Entrance;
use common::doctor::{Finding, machine};
use common::entity::id::ControllerId;
use common::events::Events;
use common::join::{self, Place, Stage};
use common::manifest::Manifest;
use common::metrics::shared::SharedMetrics;
use common::node::{self, NodeArgs};
use common::nodes::NodeKind;
use common::shutdown::Shutdown;
use common::signals::Signals;
use common::store::seal::Secret;
use common::telemetry::span::System;
use controller::api::metrics::Shown;
use controller::api::{self, waiting};
use controller::{Cluster, Controller, Invokers, Parts};
use prometheus::Registry;
use server::{Audience, Door, Server};
use tracing::{info, warn};

use crate::args::Args;

/// A request allocates some hundred times; this takes half as long as the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the rest may take to end, after the grace that requests are given.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

fn main() -> ExitCode {
    let args = Args::parse();
    if args.node.check {
        return node::look("oxwhisk-controller", check(&args));
    }
    node::main("oxwhisk-controller", &args.node, System::Controller, run(&args))
}

fn settings(args: &Args) -> anyhow::Result<Config> {
    let mut config = config::load::load(args.node.config.as_deref(), std::env::vars())?;
    config.limits.unthrottled |= args.unthrottled;
    Ok(config)
}

/// Looks at what a controller needs.
async fn check(args: &Args) -> anyhow::Result<ExitCode> {
    node::check::check(NodeKind::Controller, &args.node, args.port, settings(args), async |config| {
        let manifest = match Manifest::load(args.node.runtimes.as_deref(), &config.runtimes) {
            Ok(_) => Finding::ok("the runtimes manifest can be read"),
            Err(error) => Finding::fail(format!("{error:#}"), "mend it, or name another with --runtimes"),
        };
        let secret = args.secret_file.as_deref().map_or_else(
            || {
                let told = "there is no secret: web actions are given no API keys";
                Finding::warn(told, "name the installation's with --secret-file")
            },
            machine::secret,
        );
        let actions = args
            .actions_address
            .map(|address| machine::port(address, "--actions-address", "oxwhisk-controller", None));
        [manifest, secret].into_iter().chain(actions).collect()
    })
    .await
}

async fn run(args: &Args) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let config = settings(args)?;
    let manifest = Arc::new(Manifest::load(args.node.runtimes.as_deref(), &config.runtimes)?);
    let secret = args.secret_file.as_deref().map(|path| {
        Secret::load_or_create(path).with_context(|| format!("the secret {} cannot be used", path.display()))
    });
    let secret = secret.transpose()?;
    let (stage, background) = (Stage::default(), Shutdown::new());
    let tls = args.node.tls.open(config.controller.protocol, &config.controller.https, &background)?;
    let (listener, address) = args.node.listen(args.port, tls.as_deref())?;
    let entrance = Entrance::new(config.controller.http.clone());
    let mut doors = vec![Door { listener, tls, audience: Audience::Everybody }];
    doors.extend(args.actions_address.map(listen_for_actions).transpose()?);
    let again = doors.iter().map(Door::again).collect::<Result<_, _>>()?;
    let waiting_room = waiting::serve(again, entrance, stage.readiness(), &background)?;
    let registry = Registry::new();
    let shared_metrics = SharedMetrics::register(&registry)?;
    let shown = Shown::new(registry.clone());
    let limits = &config.controller.http;
    let serve_metrics = |at| api::metrics::serve(at, limits.clone(), shown.clone(), &background);
    let metrics_address = args.node.metrics_address.map(serve_metrics).transpose()?;
    let applicant = args.node.applicant(NodeKind::Controller, address, metrics_address);
    let joined = tokio::select! {
        joined = join::join(&applicant, &config, &shared_metrics, &stage, &background) => joined.map(Some),
        () = signals.next() => Ok(None),
    };
    let config = Arc::new(config);
    match joined {
        Ok(Some(place)) => {
            let metrics =
                Metrics { registry, shared: shared_metrics, shown, apart: metrics_address.is_some() };
            let program = Program { config, manifest, secret, metrics, doors, stage, background };
            program.serve(place, &args.node, waiting_room, signals).await
        }
        other => {
            waiting_room.cut_off().await;
            background.finish(LAST_ANSWERS).await;
            other.map(drop)
        }
    }
}

/// Listens where actions reach the API: without TLS, whose authority they would have to know.
fn listen_for_actions(address: SocketAddr) -> anyhow::Result<Door> {
    let listener = TcpListener::bind(address)
        .with_context(|| format!("cannot listen on {address}; choose another with --actions-address"))?;
    info!("actions reach the API at {}", listener.local_addr()?);
    Ok(Door { listener, tls: None, audience: Audience::Actions })
}

/// What is counted, and where it is shown.
struct Metrics {
    registry: Registry,
    shared: SharedMetrics,
    shown: Arc<Shown>,
    apart: bool,
}

/// What the program has before it has a place in the installation.
struct Program {
    config: Arc<Config>,
    manifest: Arc<Manifest>,
    secret: Option<Secret>,
    metrics: Metrics,
    doors: Vec<Door>,
    stage: Stage,
    background: Shutdown,
}

impl Program {
    /// Serves until it is told to stop, or has lost its number.
    async fn serve(
        self,
        mut place: Place,
        args: &NodeArgs,
        waiting_room: Server,
        mut signals: Signals,
    ) -> anyhow::Result<()> {
        let Self { config, manifest, secret, metrics, doors, stage, background } = self;
        let bus = place.bus.clone();
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let events = Events::new(
            &config.user_events,
            Some(bus.clone()),
            &metrics.registry,
            clock.clone(),
            background.clone(),
        )?;
        let parts = Parts {
            config,
            manifest,
            artifacts: place.stores.artifacts.clone(),
            subjects: place.stores.subjects.clone(),
            secret,
            activations: place.stores.activations.clone(),
            bus: bus.clone(),
            clock,
            registry: metrics.registry,
            shown: metrics.shown,
            metrics_apart: metrics.apart,
            shared_metrics: metrics.shared,
            id: ControllerId::new(place.lease.id().to_string()),
            build: Millis::of_program().date(),
            invokers: Invokers::Many(Cluster { members: place.lease.members() }),
            readiness: place.readiness(&stage),
            journal: place.journal.clone(),
            abandoned: std::mem::take(&mut place.abandoned),
            events,
        };
        let started = tokio::select! {
            started = Controller::start(parts, background.clone()) => started.map(Some),
            () = signals.next() => Ok(None),
        };
        waiting_room.stop().await;
        let controller = match started {
            Ok(Some(controller)) => controller,
            other => {
                place.leave(background, LAST_ANSWERS).await;
                return other.map(drop);
            }
        };
        let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        let api = controller.serve(doors, workers)?;
        stage.done();
        info!("ready");
        let adopting =
            join::adopt(&place, &args.state_dir, &background, async |run| controller.take_up(run).await);
        let outcome = tokio::select! {
            () = signals.next() => Ok(()),
            () = place.lease.lost() => Err(anyhow::anyhow!("another process has this one's number")),
            () = adopting => Ok(()),
        };
        stop(controller, api, place, background, args.grace()).await;
        outcome
    }
}

async fn stop(controller: Controller, api: Server, place: Place, background: Shutdown, grace: Duration) {
    info!("stopping: no new work is taken");
    if !controller.drain(grace).await {
        controller.release();
        if !controller.drain(LAST_ANSWERS).await {
            warn!("requests were not answered in time and are cut off");
        }
    }
    if !controller.settle(LAST_ANSWERS).await {
        info!("what is still in flight stays in the journal");
    }
    api.stop_within(LAST_ANSWERS).await;
    place.leave(background, LAST_ANSWERS).await;
    info!("stopped");
}
