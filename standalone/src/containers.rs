//! What actions run in, chosen once at the start: Docker if it is there with its images, else processes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use common::clock::Clock;
use common::config::Config;
use common::manifest::Manifest;
use common::shutdown::Shutdown;
use invoker::container::ContainerRuntime as Runtime;
use invoker::container::docker::{DockerConfig, DockerRuntime, daemon};
use invoker::container::process::{ProcessConfig, ProcessRuntime};
use invoker::metrics::DockerMetrics;
use prometheus::Registry;

use crate::args::ContainerRuntime;
use crate::data_dir::DataDir;
use crate::node_modules::{self, AwaitModules};

/// The word after `oxwhisk` that makes it the process of an action.
pub const ACTION_PROXY: &str = "action-proxy";

/// The kinds without whose images `auto` does not take Docker.
const NEEDED: [&str; 2] = ["nodejs:default", "python:default"];

/// What was chosen, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    docker: bool,
    why: String,
}

impl Choice {
    /// Docker, for this reason.
    pub fn docker(why: String) -> Self {
        Self { docker: true, why }
    }

    /// Local processes, for this reason.
    pub fn process(why: String) -> Self {
        Self { docker: false, why }
    }

    /// Whether it is Docker.
    pub fn is_docker(&self) -> bool {
        self.docker
    }

    /// For the ready line.
    pub fn explanation(&self) -> String {
        match self.docker {
            true => format!("docker ({})", self.why),
            false => format!("local processes, NOT ISOLATED ({})", self.why),
        }
    }
}

/// Chooses.
pub async fn choose(wanted: ContainerRuntime, manifest: &Manifest) -> anyhow::Result<Choice> {
    let images: Vec<String> =
        NEEDED.iter().filter_map(|kind| manifest.resolve(kind)).map(|kind| kind.image.reference()).collect();
    let names: Vec<&str> = images.iter().map(String::as_str).collect();
    match wanted {
        ContainerRuntime::Process => Ok(Choice::process("asked for".to_owned())),
        ContainerRuntime::Docker if daemon::ping(None).await => Ok(Choice::docker("asked for".to_owned())),
        ContainerRuntime::Docker => bail!(
            "--container-runtime docker: no Docker daemon answers at {}; start it, set DOCKER_HOST, or use --container-runtime process",
            std::env::var("DOCKER_HOST").unwrap_or_else(|_| "/var/run/docker.sock".to_owned())
        ),
        ContainerRuntime::Auto if !daemon::ping(None).await => {
            Ok(Choice::process("no Docker daemon answers".to_owned()))
        }
        ContainerRuntime::Auto if daemon::has_images(None, &names).await => {
            Ok(Choice::docker("its daemon answers and has the images".to_owned()))
        }
        ContainerRuntime::Auto => Ok(Choice::process(format!(
            "Docker lacks {}; make the images with: cargo xtask images",
            names.join(" or ")
        ))),
    }
}

/// What a runtime is made of.
pub struct Needs<'a> {
    /// Settings.
    pub config: &'a Config,
    /// The data directory.
    pub data: &'a DataDir,
    /// The run, as in the journal.
    pub run: &'a str,
    /// Where the API listens.
    pub api: SocketAddr,
    /// Where what Docker is asked is counted.
    pub registry: &'a Registry,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Owns the tasks.
    pub tasks: Shutdown,
}

/// A runtime, and the address at which its containers want the API besides, if any.
pub struct Started {
    /// Makes containers.
    pub runtime: Arc<dyn Runtime>,
    /// The gateway of the containers' bridge.
    pub also_listen: Option<SocketAddr>,
}

/// Starts what was chosen.
pub async fn start(choice: &Choice, needs: Needs<'_>) -> anyhow::Result<Started> {
    if choice.is_docker() { start_docker(needs).await } else { start_processes(needs) }
}

async fn start_docker(needs: Needs<'_>) -> anyhow::Result<Started> {
    let port = needs.api.port();
    let mut config = DockerConfig::new(needs.data.instance(), needs.run, port);
    config.take(&needs.config.docker)?;
    config.find_images(&needs.config.container_factory);
    let metrics = DockerMetrics::register(needs.registry)?;
    let runtime = DockerRuntime::start(config, metrics, needs.clock, needs.tasks);
    let runtime = runtime.await.context("Docker cannot be used")?;
    let also_listen = Some(SocketAddr::from((runtime.gateway(), port)));
    Ok(Started { runtime: Arc::new(runtime), also_listen })
}

fn start_processes(needs: Needs<'_>) -> anyhow::Result<Started> {
    let directory = needs.data.join("run");
    let launchers = needs.data.join("launchers");
    for family in ["nodejs", "php", "python", "ruby"] {
        action_proxy::launchers::install(&launchers, family).context("the launchers of actions")?;
    }
    let modules = node_modules::folder(&launchers)?;
    let mut config = ProcessConfig::new(own_program()?, &directory, needs.run)
        .with_python(&launchers)
        .with_ruby(&launchers)
        .with_php(&launchers)
        .with_programs()
        .with_nodejs(&launchers, &modules.join("node_modules"));
    config.nofile = needs.config.docker.open_files.unsigned_abs();
    config.fsize_mb = needs.config.docker.file_size.mb();
    config.prefix = vec![ACTION_PROXY.to_owned()];
    config.api_host = format!("http://{}", needs.api);
    let runtime = ProcessRuntime::start(config, needs.clock, needs.tasks.clone())
        .context("processes cannot be used")?;
    let runtime = AwaitModules::new(Arc::new(runtime), launchers, modules, &needs.tasks);
    Ok(Started { runtime: Arc::new(runtime), also_listen: None })
}

/// This very file, also after it was replaced on disk by a newer one.
fn own_program() -> anyhow::Result<PathBuf> {
    let own = Path::new("/proc/self/exe");
    if own.exists() {
        // Children resolve it as themselves, so the parent's is named by its number.
        return Ok(PathBuf::from(format!("/proc/{}/exe", std::process::id())));
    }
    std::env::current_exe().context("the path of this program")
}
