//! The invoker: takes orders from the bus, keeps containers, runs actions in them, and writes records.
//!
//! How the parts fit: [`feed`] journals and accepts an order, [`pool`] finds it a container, [`proxy`]
//! looks after one container, [`container`] and [`logs`] know Docker and processes, `common::record` stores.
//! Nothing in here speaks HTTP to clients, and code never travels on the bus.

pub mod ack;
pub mod actions;
pub mod blocked;
pub mod compile;
pub mod container;
pub mod context;
pub mod feed;
pub mod job;
pub mod logs;
pub mod metrics;
pub mod ping;
pub mod pool;
pub mod proxy;
pub mod recovery;
pub mod response;
#[cfg(feature = "distributed")]
pub mod routes;
pub mod traced;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use common::bus::{MessageBus, Subscription, Topic};
use common::clock::Clock;
use common::config::Config;
use common::entity::id::InvokerId;
use common::events::Events;
use common::journal::{Abandoned, Journal};
use common::manifest::Manifest;
use common::metrics::shared::SharedMetrics;
use common::shutdown::Shutdown;
use common::store::cache::EntityCache;
use common::store::{ActivationStore, ArtifactStore, Certainty, EntityKind, SubjectStore};
use common::telemetry::span::System;
use common::trace::Tracer;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tracing::{Instrument, error};

use ack::AckSender;
use actions::Actions;
use blocked::Blocked;
use common::record::writer::RecordWriter;
use compile::Compiler;
use container::ContainerRuntime;
use context::Context;
use feed::Feed;
use metrics::InvokerMetrics;
use pool::Pool;
use pool::keep_alive::KeepAlive;

/// Actions that are kept in memory.
const CACHED_ACTIONS: usize = 10_000;
/// Until every controller has heard that this invoker wants no work, and what it sent before has come.
const HEARD: Duration = Duration::from_secs(1);
/// How long records may take to be stored at the end; what is not stays in the journal.
const FLUSH: Duration = Duration::from_secs(10);

/// How long the last traces may take to be sent.
const LAST_TRACES: Duration = Duration::from_secs(3);

/// What an invoker is made of.
pub struct Parts {
    /// Which one it is.
    pub instance: InvokerId,
    /// Names of its containers begin with `wsk` and this.
    pub unique_name: String,
    /// Settings.
    pub config: Arc<Config>,
    /// Kinds and images.
    pub manifest: Arc<Manifest>,
    /// Entities and code.
    pub artifacts: Arc<dyn ArtifactStore>,
    /// Who is blocked.
    pub subjects: Arc<dyn SubjectStore>,
    /// Records.
    pub activations: Arc<dyn ActivationStore>,
    /// Orders and acknowledgements.
    pub bus: Arc<dyn MessageBus>,
    /// Makes containers; labelled with the journal's run.
    pub runtime: Arc<dyn ContainerRuntime>,
    /// This run's journal.
    pub journal: Arc<Journal>,
    /// Journals of runs that are gone.
    pub abandoned: Vec<Abandoned>,
    /// How long idle containers live.
    pub keep_alive: Arc<dyn KeepAlive>,
    /// Where compiled actions are kept.
    pub compiled: PathBuf,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Requested when there is no time to wait for a store that is away.
    pub patience: Shutdown,
    /// Counts.
    pub metrics: InvokerMetrics,
    /// What the other role of this process counts, too.
    pub shared_metrics: SharedMetrics,
    /// Where user events go.
    pub events: Events,
}

/// A running invoker.
pub struct Invoker {
    context: Arc<Context>,
    pool: Arc<Pool>,
    feed: Option<Subscription>,
    enabled: watch::Sender<bool>,
    pings: JoinHandle<()>,
    is_silent: bool,
    feeding: Shutdown,
    tasks: Shutdown,
    writer: JoinHandle<()>,
    /// What sends traces.
    traces: Shutdown,
}

impl Invoker {
    /// Starts it: removes what earlier runs left, takes up what they had accepted, then takes orders.
    pub async fn start(parts: Parts) -> anyhow::Result<Self> {
        let (tasks, traces) = (Shutdown::new(), Shutdown::new());
        let feeding = tasks.child();
        let name = format!("invoker{}", parts.instance.instance);
        let tracer = Tracer::start(&parts.config.tracing.otlp, "invoker", &name, &traces)?;
        let topic = Topic::invoker(parts.instance.instance);
        // Orders name revisions, so that nothing has to be heard of changes.
        let cache = EntityCache::new(
            parts.artifacts.clone(),
            EntityKind::Action,
            CACHED_ACTIONS,
            parts.shared_metrics.caches.clone(),
        );
        let (records, writing) = RecordWriter::new(
            parts.activations.clone(),
            parts.journal.clone(),
            Certainty::Known,
            parts.shared_metrics.records.clone(),
        );
        let pool = &parts.config.container_pool;
        parts.metrics.limits(pool.user_memory.mb(), pool.max_queued);
        let writer = tasks.spawn("records", writing);
        let limits = parts.config.action_limits();
        let prefix = format!("wsk{}{}", parts.unique_name, parts.instance.instance);
        let registries = &parts.config.container_factory;
        let manifest = Arc::new(parts.manifest.at_registry(&registries.runtimes_registry.url));
        let images = registries.user_images_registry.url.clone();
        let compiler = Compiler::new(compile::Parts {
            runtime: parts.runtime.clone(),
            settings: parts.config.compiler.clone(),
            directory: parts.compiled,
            prefix: prefix.clone(),
            clock: parts.clock.clone(),
            patience: parts.patience.clone(),
            metrics: parts.metrics.clone(),
        });
        let context = Arc::new(Context {
            actions: Actions::new(parts.artifacts, cache, manifest.clone(), limits, images),
            manifest,
            acks: AckSender::new(
                parts.bus.clone(),
                parts.instance.clone(),
                tasks.clone(),
                parts.metrics.ack.clone(),
            ),
            compiler,
            blocked: Blocked::default(),
            activations: parts.activations,
            ciphers: parts.config.parameter_storage.ciphers(),
            config: parts.config,
            runtime: parts.runtime,
            journal: parts.journal,
            records,
            keep_alive: parts.keep_alive,
            started: parts.clock.now(),
            clock: parts.clock,
            patience: parts.patience,
            tasks: tasks.clone(),
            metrics: parts.metrics,
            events: parts.events.by(&name),
            tracer,
            source: (topic.clone(), parts.bus.system()),
        });
        let pool = Pool::new(context.clone(), prefix);
        let (following, pool_too, stop) = (context.clone(), pool.clone(), feeding.clone());
        feeding.spawn("blocked", async move {
            let following = following.blocked.follow(&*parts.subjects, || pool_too.refuse_blocked());
            tokio::select! {
                () = stop.requested() => {}
                () = following => {}
            }
        });
        for run in parts.abandoned {
            recovery::recover(run, &context, &pool).await;
        }
        let feed = Arc::new(Feed { context: context.clone(), pool: pool.clone() });
        let feed = parts.bus.subscribe(&topic, topic.as_str(), feed).await.context("the invoker's topic")?;
        let (enabled, wants_work) = watch::channel(true);
        let away = context.runtime.away();
        let pings = ping::run(parts.bus.clone(), parts.instance, wants_work, away, feeding.clone());
        let pings = feeding.spawn("pings", pings);
        let keeping = pool.clone().keep_stem_cells(feeding.clone());
        feeding.spawn("stem cells", keeping.instrument(System::InvokerWarmup.span()));
        Ok(Self {
            context,
            pool,
            feed: Some(feed),
            enabled,
            pings,
            is_silent: false,
            feeding,
            tasks,
            writer,
            traces,
        })
    }

    /// Whether it says that it wants work. What comes none the less is run.
    pub fn enabled(&self) -> watch::Sender<bool> {
        self.enabled.clone()
    }

    /// Finishes what another invoker has left: see [`Parts::abandoned`].
    pub async fn take_up(&self, run: Abandoned) {
        recovery::recover(run, &self.context, &self.pool).await;
    }

    /// Takes nothing and says nothing from now on, since another has this one's number. What runs may end.
    pub fn fall_silent(&mut self) {
        self.feed = None;
        self.pings.abort();
        self.is_silent = true;
    }

    /// Leaves the others in good order: says that it wants no work, takes what was sent to it before that
    /// was heard, and runs all of it, for at most `grace`. What is left then stays in the journal. To be
    /// followed by [`Invoker::drain`].
    pub async fn leave(&mut self, grace: Duration) -> bool {
        self.enabled.send_replace(false);
        tokio::time::sleep(HEARD).await;
        self.feed = None;
        self.pool.settle(grace).await
    }

    /// Memory of all containers, MB.
    pub fn used_mb(&self) -> u64 {
        self.pool.used_mb()
    }

    /// Stops in order: no more orders, what runs may end, containers go, records are stored, and the
    /// container runtime removes what it made. Returns whether nothing is left over. The journal is the
    /// caller's to close, once the bus knows what was accepted.
    pub async fn drain(self, grace: Duration) -> bool {
        let Self { context, pool, feed, enabled, feeding, tasks, writer, is_silent, traces, .. } = self;
        context.patience.request();
        drop(feed);
        let mut clean = feeding.finish(Duration::from_secs(5)).await;
        drop(enabled);
        clean &= pool.drain(grace).await;
        drop(pool);
        let (runtime, run) = (context.runtime.clone(), context.journal.run().to_owned());
        // The writer ends when the last handle is gone.
        drop(context);
        tasks.request();
        clean &= tokio::time::timeout(FLUSH, writer).await.is_ok();
        // A collector that does not answer keeps nobody.
        traces.finish(LAST_TRACES).await;
        // What belongs to the number, such as the network, is another's if the number is.
        let closed = match is_silent {
            false => runtime.close().await,
            true => runtime.remove_run(&run).await.map(drop),
        };
        if let Err(error) = closed {
            error!("the container runtime left something behind: {:#}", anyhow::Error::from(error));
            clean = false;
        }
        clean
    }
}
