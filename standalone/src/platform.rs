//! Puts both roles together, says that they are ready, and takes them apart again.
//!
//! The API answers before containers can be made: the network and what earlier runs left are seen to
//! behind it, and an invocation that comes early waits for that. What stops comes in order: no new work,
//! what runs ends, containers go, then the API, then the stores.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use common::bus::MessageBus;
use common::bus::memory::MemoryBus;
use common::clock::{Clock, Millis, SystemClock};
use common::config::{self, Config};
use common::entity::id::{ControllerId, InvokerId};
use common::events::Events;
use common::journal::{self, Abandoned, Journal};
use common::manifest::Manifest;
use common::metrics::shared::{self, SharedMetrics};
use common::paths;
use common::readiness::Readiness;
use common::shutdown::Shutdown;
use common::signals::Signals;
use common::store::seal::Secret;
use common::store::sqlite::SqliteStores;
use controller::api::metrics::Shown;
use controller::{Controller, Invokers, api};
use invoker::Invoker;
use invoker::metrics::InvokerMetrics;
use invoker::pool::keep_alive::fixed::FixedTimes;
use prometheus::Registry;
use server::{Audience, Door, Server};
use tracing::{info, warn};

use crate::args::{Args, ContainerRuntime};
use crate::containers::{self, Choice, Needs, Started};
use crate::data_dir::DataDir;
use crate::{ready, subjects};

/// The mark of the controller's journals; the invoker's have none.
const CONTROLLER: &str = "controller";

/// What runs may take to end when the platform stops.
const GRACE: Duration = Duration::from_secs(30);
/// What requests may take to be answered after that.
const LAST_ANSWERS: Duration = Duration::from_secs(5);

/// Runs the platform until it is told to stop.
pub async fn run(args: Args) -> anyhow::Result<()> {
    let config = Arc::new(settings(&args)?);
    let manifest = Arc::new(Manifest::load(args.runtimes.as_deref(), &config.runtimes)?);
    let loopback = args.host.is_loopback();
    let data = DataDir::open(&args.data_dir)?;
    let background = Shutdown::new();
    let tls = args.tls.open(config.controller.protocol, &config.controller.https, &background)?;
    let listener = bind(&args)?;
    let address = listener.local_addr()?;
    let images = manifest.at_registry(&config.container_factory.runtimes_registry.url);
    let (stores, choice) =
        tokio::join!(SqliteStores::open(data.path()), containers::choose(args.container_runtime, &images));
    let (stores, choice) = (stores.context("the data directory cannot be used")?, choice?);
    refuse_processes_off_loopback(&args, &choice)?;
    let secret =
        Secret::load_or_create(&data.join(paths::SECRET)).context("the secret of the data directory")?;
    let guest = subjects::prepare(&*stores.subjects, &secret, loopback).await?;

    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let bus: Arc<dyn MessageBus> = Arc::new(MemoryBus::new(config.max_message()));
    let registry = Registry::new();
    let shared_metrics = SharedMetrics::register(&registry)?;
    let stores = stores.measured(&shared_metrics.stores);
    let shown = Shown::new(registry.clone());
    if let Some(address) = args.metrics_address {
        api::metrics::serve(address, config.controller.http.clone(), shown.clone(), &background)?;
    }
    stores.watch(&background);
    stores.keep(config.sqlite.retention, &background);
    // Nobody can read a topic of this process, but its metrics.
    let events = Events::new(&config.user_events, None, &registry, clock.clone(), background.clone())?;
    let make_journal = |mark| make_journal(&config, &data, mark);
    let controllers_journal = make_journal(Some(CONTROLLER))?;
    let parts = controller::Parts {
        config: config.clone(),
        manifest: manifest.clone(),
        artifacts: stores.artifacts.clone(),
        subjects: stores.subjects.clone(),
        secret: Some(secret),
        activations: stores.activations.clone(),
        bus: bus.clone(),
        clock: clock.clone(),
        registry: registry.clone(),
        shown,
        metrics_apart: args.metrics_address.is_some(),
        shared_metrics: shared_metrics.clone(),
        id: ControllerId::new("0"),
        build: Millis::of_program().date(),
        invokers: Invokers::One,
        readiness: Readiness::default(),
        journal: controllers_journal.clone(),
        abandoned: take_over(&data, |mark| mark == Some(CONTROLLER))?,
        events: events.clone(),
    };
    let controller = Controller::start(parts, background.clone()).await?;
    let servers = Servers::default();
    let scheme = if tls.is_some() { "https" } else { "http" };
    servers.add(&controller, Door { listener, tls: tls.clone(), audience: Audience::Everybody })?;
    say(&ready::lines(scheme, address, &choice, guest, config.limits.unthrottled))?;
    let api = if tls.is_some() { ForActions::apart(address, &choice)? } else { ForActions::at(address) };

    let journal = make_journal(None)?;
    let (bus_too, journal_too) = (bus.clone(), journal.clone());
    shared::watch_journal(&registry, "invoker", &journal)?;
    let parts = InvokerParts {
        config,
        manifest,
        data: &data,
        stores: &stores,
        bus: bus_too,
        clock,
        journal,
        shared_metrics,
        events,
        api,
    };
    let mut signals = Signals::new()?;
    let invoker = {
        let mut starting =
            Box::pin(start_invoker(parts, &registry, &choice, &controller, &servers, &background));
        tokio::select! {
            invoker = &mut starting => {
                if invoker.is_ok() {
                    info!("actions are run by {}", choice.explanation());
                    signals.next().await;
                }
                invoker
            }
            // What is half made is made whole, so that it can be taken apart.
            () = signals.next() => tokio::time::timeout(GRACE, starting).await.context("the start hung")?,
        }
    };
    let (invoker, outcome) = match invoker {
        Ok(invoker) => (Some(invoker), Ok(())),
        Err(error) => (None, Err(error)),
    };
    stop(controller, invoker, servers).await;
    bus.close().await;
    background.finish(LAST_ANSWERS).await;
    journal_too.end();
    controllers_journal.end();
    stores.close().await;
    info!("stopped");
    outcome
}

/// The settings, with what flags say.
pub fn settings(args: &Args) -> anyhow::Result<Config> {
    let mut config = config::load::load(args.config.as_deref(), std::env::vars())?;
    if let Some(memory) = args.user_memory {
        config.container_pool.user_memory = memory;
    }
    config.limits.unthrottled |= args.unthrottled;
    let smallest = config.memory.min;
    if config.container_pool.user_memory < smallest {
        bail!("--user-memory is less than one action may ask for ({} MB)", smallest.mb());
    }
    Ok(config)
}

/// A journal of this run; each role has its own.
fn make_journal(config: &Config, data: &DataDir, mark: Option<&str>) -> anyhow::Result<Arc<Journal>> {
    let (state, sizes) = (data.join(paths::STATE), &config.journal);
    let journal = Journal::create_marked(&state, sizes.segment.bytes(), sizes.max.bytes(), mark);
    Ok(Arc::new(journal.context("the journal cannot be made")?))
}

/// The journals that earlier runs left of one of the roles.
fn take_over(data: &DataDir, wanted: impl Fn(Option<&str>) -> bool) -> anyhow::Result<Vec<Abandoned>> {
    journal::take_over(&data.join(paths::STATE), wanted)
        .context("the journals of earlier runs cannot be read")
}

fn bind(args: &Args) -> anyhow::Result<TcpListener> {
    let address = SocketAddr::new(args.host, args.port);
    TcpListener::bind(address)
        .with_context(|| format!("cannot listen on {address}; choose another with --host and --port"))
}

fn refuse_processes_off_loopback(args: &Args, choice: &Choice) -> anyhow::Result<()> {
    if args.host.is_loopback() || choice.is_docker() {
        return Ok(());
    }
    let remedy = match args.container_runtime {
        ContainerRuntime::Process => "use --container-runtime docker",
        ContainerRuntime::Auto | ContainerRuntime::Docker => {
            "start Docker and make the images: cargo xtask images"
        }
    };
    bail!(
        "--host {} is not a loopback address, and actions would run as processes that are not isolated; {remedy}",
        args.host
    )
}

#[expect(clippy::print_stdout, reason = "the ready line is what the program says")]
fn say(text: &str) -> anyhow::Result<()> {
    print!("{text}");
    std::io::stdout().flush().context("standard output")
}

struct InvokerParts<'a> {
    config: Arc<Config>,
    manifest: Arc<Manifest>,
    data: &'a DataDir,
    stores: &'a SqliteStores,
    bus: Arc<dyn MessageBus>,
    clock: Arc<dyn Clock>,
    journal: Arc<Journal>,
    shared_metrics: SharedMetrics,
    events: Events,
    api: ForActions,
}

/// Where actions reach the API, always without TLS: they would have to know its authority, and what they send
/// does not leave the machine.
struct ForActions {
    address: SocketAddr,
    /// Who listens there already, if it is not where clients do.
    listener: Option<TcpListener>,
    /// Whether clients' own listener takes what comes at the gateway of the bridge.
    covers_gateway: bool,
}

impl ForActions {
    /// Where clients do.
    fn at(address: SocketAddr) -> Self {
        Self { address, listener: None, covers_gateway: address.ip().is_unspecified() }
    }

    /// Apart from clients, who use TLS: at loopback for processes, else at the bridge's gateway, where the port
    /// of clients is free if they come at one address only.
    fn apart(clients: SocketAddr, choice: &Choice) -> anyhow::Result<Self> {
        if choice.is_docker() && !clients.ip().is_unspecified() {
            return Ok(Self { address: clients, listener: None, covers_gateway: false });
        }
        let any = |address: IpAddr| TcpListener::bind((address, 0)).context("no port is free for actions");
        if choice.is_docker() {
            // The gateway is not there yet: whoever takes the port in between is told of when it is.
            let address = any(Ipv4Addr::UNSPECIFIED.into())?.local_addr()?;
            return Ok(Self { address, listener: None, covers_gateway: false });
        }
        let listener = any(Ipv4Addr::LOCALHOST.into())?;
        Ok(Self { address: listener.local_addr()?, listener: Some(listener), covers_gateway: false })
    }
}

async fn start_invoker(
    parts: InvokerParts<'_>,
    registry: &Registry,
    choice: &Choice,
    controller: &Controller,
    servers: &Servers,
    background: &Shutdown,
) -> anyhow::Result<Invoker> {
    let needs = Needs {
        config: &parts.config,
        data: parts.data,
        run: parts.journal.run(),
        api: parts.api.address,
        registry,
        clock: parts.clock.clone(),
        tasks: background.clone(),
    };
    let Started { runtime, also_listen } = containers::start(choice, needs).await?;
    let plain = |listener| Door { listener, tls: None, audience: Audience::Actions };
    if let Some(listener) = parts.api.listener {
        servers.add(controller, plain(listener))?;
    }
    if let Some(gateway) = also_listen
        && !parts.api.covers_gateway
    {
        // Actions call back here; the firewall admits nobody else.
        match TcpListener::bind(gateway) {
            Ok(listener) => servers.add(controller, plain(listener))?,
            Err(error) => warn!("actions cannot call back: the API cannot listen on {gateway}: {error}"),
        }
    }
    let abandoned = take_over(parts.data, |mark| mark != Some(CONTROLLER))?;
    invoker::metrics::started(registry, 0)?;
    let instance = InvokerId::new(0, parts.config.container_pool.user_memory);
    let invoker = Invoker::start(invoker::Parts {
        instance,
        unique_name: parts.data.instance(),
        keep_alive: Arc::new(FixedTimes(parts.config.container_proxy.timeouts.clone())),
        config: parts.config,
        manifest: parts.manifest,
        artifacts: parts.stores.artifacts.clone(),
        subjects: parts.stores.subjects.clone(),
        activations: parts.stores.activations.clone(),
        bus: parts.bus,
        runtime,
        journal: parts.journal,
        abandoned,
        compiled: parts.data.join(paths::STATE).join(paths::COMPILED),
        clock: parts.clock,
        patience: background.child(),
        metrics: InvokerMetrics::register(registry)?,
        shared_metrics: parts.shared_metrics,
        events: parts.events,
    });
    invoker.await
}

/// The servers of the API, to be stopped together.
#[derive(Default)]
struct Servers(std::sync::Mutex<Vec<Server>>);

impl Servers {
    fn add(&self, controller: &Controller, door: Door) -> anyhow::Result<()> {
        // Handing work to another thread costs more than most of the work, and containers need cores too.
        let workers = std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
        let server = controller.serve(vec![door], workers)?;
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(server);
        Ok(())
    }

    async fn stop(self) {
        for server in self.0.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner) {
            server.stop_within(LAST_ANSWERS).await;
        }
    }
}

async fn stop(controller: Controller, invoker: Option<Invoker>, servers: Servers) {
    info!("stopping: no new work is taken");
    // The invoker is there for sequences until they have ended. Those that take longer get their records at
    // the next start.
    if !controller.calm(GRACE).await {
        warn!("sequences did not end in time");
        controller.release();
    }
    let running = async {
        let clean = match invoker {
            Some(invoker) => invoker.drain(GRACE).await,
            None => true,
        };
        controller.release();
        clean
    };
    let (answered, clean) = tokio::join!(controller.drain(GRACE + LAST_ANSWERS), running);
    if !answered {
        warn!("requests were not answered in time and are cut off");
    }
    if !clean {
        warn!("activations or containers did not end in time; the next start sees to them");
    }
    servers.stop().await;
}
