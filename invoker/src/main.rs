//! `oxwhisk-invoker`: the invoker as a program of its own, over Kafka and PostgreSQL, with Docker.
//!
//! It answers from the first moment, if only that it is not ready and why. What stops comes in order: it
//! says that it wants no work, runs what was sent to it, removes its containers, then leaves.

mod args;

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use anyhow::bail;
use clap::Parser;
use common::clock::{Clock, SystemClock};
use common::config::{self, Config};
use common::doctor::Finding;
use common::entity::id::InvokerId;
use common::events::Events;
use common::join::{self, Place, Stage};
use common::manifest::Manifest;
use common::metrics::shared::{self, SharedMetrics};
use common::node;
use common::nodes::NodeKind;
use common::paths;
use common::shutdown::Shutdown;
use common::signals::Signals;
use common::telemetry::span::System;
use invoker::Invoker;
use invoker::container::ContainerRuntime;
use invoker::container::docker::doctor::{self, wants::Wants};
use invoker::container::docker::{DockerConfig, DockerRuntime};
use invoker::metrics::{self, DockerMetrics, InvokerMetrics};
use invoker::pool::keep_alive::fixed::FixedTimes;
use invoker::routes::{self, Running, Subject};
use prometheus::Registry;
use server::{Audience, Door, Server};
use tracing::{info, warn};

use crate::args::Args;

/// An activation allocates some hundred times; this takes half as long as the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the rest may take to end, after the grace that what runs and what waits for a container is given.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// Between two attempts to use Docker.
const RETRY: Duration = Duration::from_secs(1);

fn main() -> ExitCode {
    let args = Arc::new(Args::parse());
    if args.node.check {
        return node::look("oxwhisk-invoker", check(&args));
    }
    node::main("oxwhisk-invoker", &args.node, System::Invoker, run(args.clone()))
}

fn settings(args: &Args) -> anyhow::Result<Config> {
    let mut config = config::load::load(args.node.config.as_deref(), std::env::vars())?;
    if let Some(memory) = args.user_memory {
        config.container_pool.user_memory = memory;
    }
    if config.container_pool.user_memory < config.memory.min {
        bail!("--user-memory is less than one action may ask for ({} MB)", config.memory.min.mb());
    }
    Ok(config)
}

/// Looks at what an invoker needs.
async fn check(args: &Args) -> anyhow::Result<ExitCode> {
    node::check::check(NodeKind::Invoker, &args.node, args.port, settings(args), async |config| {
        let mut docker = DockerConfig::new("", "", args.api_port);
        if let Err(error) = docker.take(&config.docker) {
            return vec![Finding::fail(format!("{error:#}"), "docs/settings.md has every setting")];
        }
        match Manifest::load(args.node.runtimes.as_deref(), &config.runtimes) {
            Ok(manifest) => doctor::examine(None, &Wants::of(config, &manifest)).await,
            Err(error) => {
                vec![Finding::fail(format!("{error:#}"), "mend it, or name another with --runtimes")]
            }
        }
    })
    .await
}

async fn run(args: Arc<Args>) -> anyhow::Result<()> {
    let mut signals = Signals::new()?;
    let config = Arc::new(settings(&args)?);
    let manifest = Arc::new(Manifest::load(args.node.runtimes.as_deref(), &config.runtimes)?);
    let (stage, background) = (Stage::default(), Shutdown::new());
    let tls = args.node.tls.open(config.invoker.protocol, &config.invoker.https, &background)?;
    let (listener, address) = args.node.listen(args.port, tls.as_deref())?;
    let subject = Arc::new(Subject {
        operator: config.invoker.clone(),
        registry: Registry::new(),
        metrics_apart: args.node.metrics_address.is_some(),
        waiting: stage.readiness(),
        running: OnceLock::new(),
    });
    let shared_metrics = SharedMetrics::register(&subject.registry)?;
    let seen = Arc::downgrade(&subject);
    let is_ready = move || seen.upgrade().is_some_and(|subject| subject.troubles().is_empty());
    shared::watch_readiness(&subject.registry, "invoker", is_ready)?;
    let serve_metrics = |address| routes::serve_metrics(address, subject.clone(), &background);
    let metrics_address = args.node.metrics_address.map(serve_metrics).transpose()?;
    let http =
        routes::serve(Door { listener, tls, audience: Audience::Everybody }, subject.clone(), &background)?;
    let applicant = args.node.applicant(NodeKind::Invoker, address, metrics_address);
    let joined = tokio::select! {
        joined = join::join(&applicant, &config, &shared_metrics, &stage, &background) => joined.map(Some),
        () = signals.next() => Ok(None),
    };
    match joined {
        Ok(Some(place)) => {
            let program = Program { args, config, manifest, subject, shared_metrics, stage, background };
            program.work(place, signals, http).await
        }
        other => {
            http.cut_off().await;
            background.finish(LAST_WORDS).await;
            other.map(drop)
        }
    }
}

/// What the program has before it has a place in the installation.
struct Program {
    args: Arc<Args>,
    config: Arc<Config>,
    manifest: Arc<Manifest>,
    subject: Arc<Subject>,
    shared_metrics: SharedMetrics,
    stage: Stage,
    background: Shutdown,
}

impl Program {
    /// Runs actions until it is told to stop, or has lost its number.
    async fn work(self, mut place: Place, mut signals: Signals, http: Server) -> anyhow::Result<()> {
        let patience = Shutdown::new();
        let started = {
            let mut starting = Box::pin(self.start(&mut place, patience.clone()));
            tokio::select! {
                started = &mut starting => started,
                // What is half made is made whole, so that it can be taken apart; nothing is waited for.
                () = signals.next() => {
                    patience.request();
                    starting.await
                }
            }
        };
        let outcome = match started {
            Ok(Some(mut invoker)) => {
                self.stage.done();
                info!("ready");
                let adopting =
                    join::adopt(&place, &self.args.node.state_dir, &self.background, async |run| {
                        invoker.take_up(run).await;
                    });
                let outcome = tokio::select! {
                    () = patience.requested() => Ok(()),
                    () = signals.next() => Ok(()),
                    () = place.lease.lost() => Err(anyhow::anyhow!("another process has this one's number")),
                    () = adopting => Ok(()),
                };
                info!("stopping: no new work is taken");
                if outcome.is_err() {
                    // What is sent to the number is another's now.
                    invoker.fall_silent();
                } else if !invoker.leave(self.args.node.grace()).await {
                    info!("what has not run yet stays in the journal");
                }
                if !invoker.drain(LAST_WORDS).await {
                    warn!("activations or containers did not end in time; who comes next sees to them");
                }
                outcome
            }
            Ok(None) => Ok(()),
            Err(error) => Err(error),
        };
        http.stop().await;
        place.leave(self.background, LAST_WORDS).await;
        info!("stopped");
        outcome
    }

    /// The invoker; nothing if there is no Docker and no more time to wait for it.
    async fn start(&self, place: &mut Place, patience: Shutdown) -> anyhow::Result<Option<Invoker>> {
        let Self { args, config, manifest, subject, shared_metrics, stage, background } = self;
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let number = place.lease.id();
        let instance_word = paths::instance(&args.node.state_dir, &format!("invoker{number}"))?;
        let mut docker = DockerConfig::new(&instance_word, place.journal.run(), args.api_port);
        docker.api_host = args.api_host.clone();
        docker.take(&config.docker)?;
        docker.find_images(&config.container_factory);
        metrics::started(&subject.registry, number)?;
        shared::watch_journal(&subject.registry, "invoker", &place.journal)?;
        let commands = DockerMetrics::register(&subject.registry)?;
        stage.wait_for("Docker cannot be used");
        let runtime = loop {
            match DockerRuntime::start(docker.clone(), commands.clone(), clock.clone(), background.clone())
                .await
            {
                Ok(runtime) => break runtime,
                Err(error) => {
                    let text = format!("{:#}", anyhow::Error::from(error));
                    warn!("waiting for Docker: {text}");
                    stage.wait_for(format!("Docker cannot be used: {text}"));
                }
            }
            tokio::select! {
                () = patience.requested() => return Ok(None),
                () = tokio::time::sleep(RETRY) => {}
            }
        };
        stage.wait_for("what an earlier run left is not finished yet");
        let mut instance = InvokerId::new(number, config.container_pool.user_memory);
        instance.unique_name = args.node.name.clone();
        let runtime: Arc<dyn ContainerRuntime> = Arc::new(runtime);
        let events = Events::new(
            &config.user_events,
            Some(place.bus.clone()),
            &subject.registry,
            clock.clone(),
            background.clone(),
        )?;
        let invoker = Invoker::start(invoker::Parts {
            instance: instance.clone(),
            unique_name: instance_word,
            keep_alive: Arc::new(FixedTimes(config.container_proxy.timeouts.clone())),
            config: config.clone(),
            manifest: manifest.clone(),
            artifacts: place.stores.artifacts.clone(),
            subjects: place.stores.subjects.clone(),
            activations: place.stores.activations.clone(),
            bus: place.bus.clone(),
            runtime: runtime.clone(),
            journal: place.journal.clone(),
            abandoned: std::mem::take(&mut place.abandoned),
            compiled: args.node.state_dir.join(paths::COMPILED),
            clock,
            patience,
            metrics: InvokerMetrics::register(&subject.registry)?,
            shared_metrics: shared_metrics.clone(),
            events,
        });
        let invoker = match invoker.await {
            Ok(invoker) => invoker,
            Err(error) => {
                if let Err(left) = runtime.close().await {
                    warn!("Docker left something behind: {:#}", anyhow::Error::from(left));
                }
                return Err(error);
            }
        };
        let running = Running {
            name: instance.to_string(),
            enabled: invoker.enabled(),
            readiness: place.readiness(stage),
        };
        if subject.running.set(running).is_err() {
            bail!("the invoker was started twice");
        }
        Ok(Some(invoker))
    }
}
