//! Docker as a container runtime, through its API alone; the only file family that knows Docker.
//!
//! One bridge and one pair of firewall chains an instance, one label a run: what carries our labels is
//! ours to remove, nothing else is. No restart, no published port, no log file: a container's output comes
//! over one stream that is attached before it starts. Hardening is in [`create`], isolation in
//! [`firewall`]; what is not to be had here (firewall rights, a cgroup to freeze) is said or done
//! through the daemon instead.

pub mod addresses;
pub mod build;
pub mod container;
pub mod create;
pub mod daemon;
pub mod disk;
pub mod doctor;
pub mod firewall;
pub mod health;
pub mod network;
mod pools;
pub mod pull;

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::sync::Arc;

use anyhow::Context;
use async_trait::async_trait;
use bytes::Bytes;
use common::clock::Clock;
use common::config::containers::DockerConfig as Settings;
use common::config::images::ContainerFactoryConfig;
use common::shutdown::Shutdown;
use hyper::Uri;
use tokio::sync::{Semaphore, watch};
use tokio::time::Instant;
use tracing::{debug, info, warn};

use self::addresses::Addresses;
use self::daemon::Daemon;
use self::disk::Disks;
use self::firewall::{Firewall, Isolation, Network};
use self::health::{Health, Surroundings};
use self::network::Bridge;
use self::pull::{Login, Pulls};
use crate::container::{
    BuildError, BuildSpec, Builder, Container, ContainerRuntime, ContainerSpec, CreateError, RuntimeError,
};
use crate::metrics::DockerMetrics;

/// On containers and networks: the platform instance that they belong to.
pub const LABEL_INSTANCE: &str = "oxwhisk.instance";
/// On containers and networks: the run of that instance that made them.
pub const LABEL_RUN: &str = "oxwhisk.run";
/// On containers: the name that the caller gave. Docker's own name for them says nothing.
pub const LABEL_NAME: &str = "oxwhisk.name";
/// On images, with the value `counted`: our own, which say how much they log.
pub const LABEL_FRAMING: &str = "oxwhisk.log-framing";
/// On images, with the value `activations`: those that can mark their output with whose it is.
pub const LABEL_MARKS: &str = "oxwhisk.log-marks";
/// On images: the image that compiles source for it.
pub const LABEL_BUILDER: &str = "oxwhisk.builder";

/// So often a container is tried to be made while the daemon comes and goes.
const ATTEMPTS: usize = 5;

/// How Docker is used.
#[derive(Debug, Clone, PartialEq)]
pub struct DockerConfig {
    /// `unix://…` or `tcp://…`; without it `DOCKER_HOST`, then the default socket.
    pub host: Option<String>,
    /// The platform instance, a short hexadecimal word, the same after a restart. Two live processes on
    /// one machine must not share it.
    pub instance: String,
    /// This run of it.
    pub run: String,
    /// Where the platform's API listens on the bridge's gateway.
    pub api_port: u16,
    /// What actions are told instead, if the API is elsewhere for them; the firewall lets them through to an address.
    pub api_host: Option<String>,
    /// So many containers are made at once.
    pub parallel_creations: usize,
    /// Processes and threads a container.
    pub pids: i64,
    /// Open files a process.
    pub nofile: i64,
    /// The largest file a container may write, in bytes.
    pub file_size: i64,
    /// What a container may write to disk in all, in bytes; 0 is no limit.
    pub disk: u64,
    /// Networks that actions must not reach: the platform's own.
    pub blocked_networks: Vec<Network>,
    /// Where the bridge has its addresses; absent: where Docker gives it some.
    pub address_pool: Option<Network>,
    /// Who we are at registries.
    pub logins: Vec<Login>,
    /// Where images are that our own name; empty: in no registry in particular.
    pub runtimes_registry: String,
}

impl DockerConfig {
    /// With upstream's limits, and no blocked network but the link-local one.
    pub fn new(instance: impl Into<String>, run: impl Into<String>, api_port: u16) -> Self {
        Self {
            host: None,
            instance: instance.into(),
            run: run.into(),
            api_port,
            api_host: None,
            parallel_creations: 10,
            pids: 1024,
            nofile: 1024,
            file_size: 512 << 20,
            disk: 1 << 30,
            blocked_networks: Vec::new(),
            address_pool: None,
            logins: Vec::new(),
            runtimes_registry: String::new(),
        }
    }

    /// Takes over what settings say of images.
    pub fn find_images(&mut self, settings: &ContainerFactoryConfig) {
        self.logins = Login::all(settings);
        self.runtimes_registry.clone_from(&settings.runtimes_registry.url);
    }

    /// Takes over what settings say.
    ///
    /// # Errors
    ///
    /// If a network is none; the text names the setting.
    pub fn take(&mut self, settings: &Settings) -> anyhow::Result<()> {
        let parse = |key: &'static str| {
            move |text: &String| {
                let wrong = || format!("configuration: whisk.docker.{key}: '{text}' is no network");
                text.parse::<Network>().with_context(wrong)
            }
        };
        let denied = settings.denied_networks.iter().map(parse("denied-networks"));
        self.blocked_networks = denied.collect::<Result<_, _>>()?;
        self.address_pool = settings.address_pool.as_ref().map(parse("address-pool")).transpose()?;
        self.parallel_creations = settings.parallel_runs;
        self.pids = settings.pids;
        self.nofile = settings.open_files;
        self.file_size = i64::try_from(settings.file_size.bytes()).unwrap_or(i64::MAX);
        self.disk = settings.disk.bytes();
        Ok(())
    }

    /// Where actions are let through to. A name is no address: what it means may change, so it must be where
    /// actions may go anyway.
    fn api(&self, gateway: Ipv4Addr) -> SocketAddrV4 {
        let told = self.api_host.as_deref().and_then(address);
        told.unwrap_or(SocketAddrV4::new(gateway, self.api_port))
    }
}

/// The address in `http://10.0.0.5:8889`.
fn address(url: &str) -> Option<SocketAddrV4> {
    let url: Uri = url.parse().ok()?;
    let usual = if url.scheme_str() == Some("http") { 80 } else { 443 };
    Some(SocketAddrV4::new(url.host()?.parse().ok()?, url.port_u16().unwrap_or(usual)))
}

/// Docker, with this instance's network and firewall.
#[derive(Debug)]
pub struct DockerRuntime {
    daemon: Daemon,
    config: DockerConfig,
    bridge: Bridge,
    addresses: Addresses,
    isolation: Isolation,
    creations: Semaphore,
    health: Arc<Health>,
    /// Stops watching the daemon and what containers write.
    own: Shutdown,
    pulls: Pulls,
    disks: Arc<Disks>,
    clock: Arc<dyn Clock>,
    tasks: Shutdown,
}

impl DockerRuntime {
    /// Connects, removes what earlier runs of this instance left, makes the network and the firewall.
    pub async fn start(
        config: DockerConfig,
        metrics: DockerMetrics,
        clock: Arc<dyn Clock>,
        tasks: Shutdown,
    ) -> Result<Self, RuntimeError> {
        let daemon = Daemon::connect(config.host.as_deref()).await?.measured(metrics);
        let debris = daemon.labelled(LABEL_INSTANCE, &config.instance).await?;
        let removed = daemon.remove_all(debris).await?;
        if removed > 0 {
            info!(removed, "removed {removed} containers of earlier runs of this instance");
        }
        let bridge = network::ensure(&daemon, &config.instance, &config.run, config.address_pool).await?;
        let resolv_conf = tokio::fs::read_to_string("/etc/resolv.conf").await.unwrap_or_default();
        let firewall = Firewall {
            bridge: bridge.device.clone(),
            api: config.api(bridge.gateway),
            blocked: config.blocked_networks.clone(),
            resolvers: firewall::resolvers(&resolv_conf),
        };
        let isolation = firewall.install().await;
        if let Isolation::NotKept(reason) = &isolation {
            warn!("actions can reach this host's services: the firewall is not installed: {reason}");
        }
        let health = Health::new(daemon.clone());
        let own = tasks.child();
        let surroundings = Surroundings {
            instance: config.instance.clone(),
            run: config.run.clone(),
            bridge: bridge.clone(),
            firewall,
        };
        tasks.spawn("Docker's health", health.clone().watch(surroundings, own.clone()));
        let creations = Semaphore::new(config.parallel_creations.max(1));
        let addresses = Addresses::new(bridge.subnet, bridge.gateway);
        let pulls = Pulls::new(config.logins.clone());
        let disks = Arc::new(Disks::new(&daemon, config.disk).await);
        if config.disk > 0 {
            tasks.spawn("disks", disks.clone().keep(daemon.clone(), own.clone()));
        }
        Ok(Self {
            daemon,
            config,
            bridge,
            addresses,
            isolation,
            creations,
            health,
            own,
            pulls,
            disks,
            clock,
            tasks,
        })
    }

    /// The host's address on the bridge, where the platform's API must listen for actions.
    pub fn gateway(&self) -> Ipv4Addr {
        self.bridge.gateway
    }

    /// Whether actions are kept away from the host.
    pub fn isolation(&self) -> &Isolation {
        &self.isolation
    }

    /// Makes what has a name in Docker. What fails because the daemon went is tried again when it is back.
    async fn outlasting<T, E, F>(
        &self,
        name: &str,
        away: fn(RuntimeError) -> E,
        make: impl Fn(String) -> F,
    ) -> Result<T, E>
    where
        E: Error + Send + Sync + 'static,
        F: Future<Output = Result<T, E>>,
    {
        let mut attempts = 0;
        loop {
            self.health.there().await.map_err(away)?;
            let before = self.health.absences();
            // The daemon may still have one that was half made.
            let attempt = if attempts == 0 { name.to_owned() } else { format!("{name}_{attempts}") };
            let error = match make(attempt).await {
                Err(error) => error,
                made => return made,
            };
            attempts += 1;
            let of_daemon: Option<&RuntimeError> = error.source().and_then(<dyn Error>::downcast_ref);
            let went = match of_daemon {
                Some(source) => self.health.has_gone(source).await || self.health.absences() != before,
                None => false,
            };
            if !went || attempts >= ATTEMPTS {
                return Err(error);
            }
            debug!("{name} is made again: {:#}", anyhow::Error::from(error));
        }
    }
}

#[async_trait]
impl ContainerRuntime for DockerRuntime {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn api_host(&self) -> String {
        let at_gateway = || format!("http://{}:{}", self.bridge.gateway, self.config.api_port);
        self.config.api_host.clone().unwrap_or_else(at_gateway)
    }

    fn away(&self) -> watch::Receiver<Option<Instant>> {
        self.health.away()
    }

    async fn create(&self, spec: ContainerSpec) -> Result<Box<dyn Container>, CreateError> {
        let make = |name| {
            let spec = ContainerSpec { name, ..spec.clone() };
            async move { create::create(self, &spec).await }
        };
        let container = self.outlasting(&spec.name, CreateError::Provision, make).await?;
        Ok(Box::new(container))
    }

    async fn builder_of(&self, image: &str) -> Result<Option<Builder>, RuntimeError> {
        self.health.there().await?;
        build::builder_of(self, image).await
    }

    async fn build(&self, spec: BuildSpec) -> Result<Bytes, BuildError> {
        let make = |name| {
            let spec = BuildSpec { name, ..spec.clone() };
            async move { build::build(self, &spec).await }
        };
        self.outlasting(&spec.name, BuildError::Unavailable, make).await
    }

    async fn remove_run(&self, run: &str) -> Result<usize, RuntimeError> {
        let removed = self.daemon.remove_labelled(LABEL_RUN, run).await?;
        // An instance that is not this one will not come back for its network.
        for instance in network::instances_of(&self.daemon, run, &self.config.instance).await? {
            remove_firewall(&network::device(&instance)).await?;
            network::remove(&self.daemon, &network::name(&instance)).await?;
        }
        Ok(removed)
    }

    async fn close(&self) -> Result<(), RuntimeError> {
        self.own.request();
        self.daemon.remove_labelled(LABEL_INSTANCE, &self.config.instance).await?;
        // Rules first: they name the device, which goes with the network.
        let firewall = remove_firewall(&self.bridge.device).await;
        network::remove(&self.daemon, &self.bridge.network).await?;
        firewall
    }
}

async fn remove_firewall(device: &str) -> Result<(), RuntimeError> {
    Firewall::remove(device)
        .await
        .map_err(|error| RuntimeError::failed("remove the firewall of", device, error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn actions_are_let_through_to_where_they_are_told_that_the_api_is() {
        let gateway = Ipv4Addr::new(172, 18, 0, 1);
        for (api_host, expected) in [
            (None, "172.18.0.1:3233"),
            (Some("http://10.0.0.5:8889"), "10.0.0.5:8889"),
            (Some("http://10.0.0.5/"), "10.0.0.5:80"),
            (Some("https://10.0.0.5"), "10.0.0.5:443"),
            (Some("10.0.0.5:8889"), "10.0.0.5:8889"),
            (Some("10.0.0.5"), "10.0.0.5:443"),
            (Some("https://api.example:8889"), "172.18.0.1:3233"),
            (Some("http://[2001:db8::1]:80"), "172.18.0.1:3233"),
        ] {
            let mut config = DockerConfig::new("1a2b", "1a2br", 3233);
            config.api_host = api_host.map(str::to_owned);
            assert_eq!(config.api(gateway).to_string(), expected, "{api_host:?}");
        }
    }
}
