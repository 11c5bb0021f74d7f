//! One container runtime under test, with an instance, a run and containers of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::clock::SystemClock;
use common::entity::id::ActivationId;
use common::shutdown::Shutdown;
use common::trace::Trace;
use invoker::container::client::{Answer, ResponseLimits, RuntimeClient};
use invoker::container::docker::{DockerConfig, DockerRuntime, daemon};
use invoker::container::process::{ProcessConfig, ProcessRuntime};
use invoker::container::{Container, ContainerRuntime, ContainerSpec, Pull};
use invoker::logs::{CollectRequest, CollectedLogs, LogCollector};
use invoker::metrics::DockerMetrics;
use serde_json::{Value, json};
use tests::place;

/// The image of Python actions.
pub const PYTHON: &str = "oxwhisk/action-python-v3.13:latest";
/// The image of Node actions.
pub const NODEJS: &str = "oxwhisk/action-nodejs-v20:latest";
/// Longer than anything here takes.
pub const LONG: Duration = Duration::from_secs(30);
/// More than anything here answers.
pub const LIMITS: ResponseLimits = ResponseLimits { max: 1 << 20, truncation: 1024 };

/// A runtime and what must be gone when it is closed.
pub struct Site {
    pub runtime: Arc<dyn ContainerRuntime>,
    pub run: String,
    pub docker: Option<Arc<DockerRuntime>>,
    pub tasks: Shutdown,
    instance: String,
    directory: Arc<tempfile::TempDir>,
}

/// A container with code in it.
pub struct Live {
    pub container: Box<dyn Container>,
    pub client: RuntimeClient,
    pub logs: LogCollector,
}

/// A word that no other test uses: the end of a temporary directory's name, in hexadecimal.
fn word(directory: &tempfile::TempDir) -> String {
    let name = directory.path().file_name().unwrap().to_string_lossy().into_owned();
    name.trim_start_matches(".tmp").bytes().map(|byte| format!("{byte:02x}")).collect()
}

impl Site {
    /// Docker, if there is one to test with.
    pub async fn docker() -> Option<Site> {
        if !daemon::has_images(None, &[PYTHON, NODEJS]).await {
            let missing = format!("no Docker daemon with the images {PYTHON} and {NODEJS}");
            assert_ne!(std::env::var("OXWHISK_TEST_DOCKER").as_deref(), Ok("required"), "{missing}");
            eprintln!("SKIPPED, NOT TESTED: {missing}");
            return None;
        }
        Some(Self::docker_with(|_| {}).await)
    }

    /// Docker with settings of its own.
    pub async fn docker_with(change: impl FnOnce(&mut DockerConfig)) -> Site {
        let directory = Arc::new(tempfile::tempdir().unwrap());
        let (instance, tasks) = (word(&directory), Shutdown::new());
        let run = format!("{instance}r");
        let mut config = DockerConfig::new(&instance, &run, place::free_port());
        change(&mut config);
        let docker =
            DockerRuntime::start(config, DockerMetrics::default(), Arc::new(SystemClock), tasks.clone())
                .await
                .unwrap();
        let docker = Arc::new(docker);
        Site { runtime: docker.clone(), run, docker: Some(docker), tasks, instance, directory }
    }

    /// Processes.
    pub fn process() -> Site {
        Self::process_in(Arc::new(tempfile::tempdir().unwrap()), "r")
    }

    fn process_in(directory: Arc<tempfile::TempDir>, suffix: &str) -> Site {
        let (instance, tasks) = (word(&directory), Shutdown::new());
        let run = format!("{instance}{suffix}");
        let (exe, prefix) = action_proxy();
        let launchers = Path::new(env!("CARGO_MANIFEST_DIR")).join("../runtimes");
        let launchers = launchers.canonicalize().unwrap();
        let modules = launchers.join("nodejs/node_modules");
        let mut config = ProcessConfig::new(exe, directory.path(), &run)
            .with_python(&launchers)
            .with_nodejs(&launchers, &modules);
        config.prefix = prefix;
        config.api_host = "http://127.0.0.1:9".to_owned();
        let runtime = Arc::new(ProcessRuntime::start(config, Arc::new(SystemClock), tasks.clone()).unwrap());
        Site { runtime, run, docker: None, tasks, instance, directory }
    }

    /// Another run on the same machine, and with Docker another instance.
    pub async fn another(&self) -> Site {
        match self.docker {
            Some(_) => Self::docker_with(|_| {}).await,
            None => Self::process_in(self.directory.clone(), "s"),
        }
    }

    /// The whole name of a container.
    pub fn name(&self, short: &str) -> String {
        format!("wsk0{}_{short}", self.instance)
    }

    /// A Python container.
    pub fn spec(&self, short: &str, memory_mb: u64) -> ContainerSpec {
        ContainerSpec {
            name: self.name(short),
            kind: "python:3.13".to_owned(),
            image: PYTHON.to_owned(),
            memory_mb,
            cpu_shares: 256,
            env: vec![("__OW_API_HOST".to_owned(), self.runtime.api_host())],
            pull: Pull::Never,
        }
    }

    /// A container with this Python code in it.
    pub async fn live(&self, short: &str, memory_mb: u64, code: &str) -> Live {
        self.live_with(self.spec(short, memory_mb), code).await
    }

    /// A container as specified with this code in it.
    pub async fn live_with(&self, spec: ContainerSpec, code: &str) -> Live {
        let mut container = self.runtime.create(spec).await.unwrap();
        let source = container.take_logs().unwrap();
        assert!(container.take_logs().is_none());
        let logs = LogCollector::new(source, container.log_framing(), Arc::new(SystemClock), &self.tasks);
        let client = RuntimeClient::new(container.address());
        let init = json!({"value": {"name": "a", "main": "main", "code": code, "binary": false, "env": {}}});
        let answer = client.init(init.to_string().into(), LONG, LIMITS, &Trace::default()).await.unwrap();
        assert_eq!(answer.status, 200, "{answer:?}");
        Live { container, client, logs }
    }

    /// Closes the runtime; fails if anything of it is left.
    pub async fn close(self) {
        self.runtime.close().await.unwrap();
        assert!(self.tasks.finish(LONG).await, "a task is left");
        if self.docker.is_some() {
            crate::container_docker::assert_nothing_left(&self.instance).await;
        } else {
            assert!(!self.directory.path().join(&self.run).exists());
            assert_eq!(processes_with(&self.run), Vec::<String>::new());
        }
    }
}

impl Live {
    /// The body of a run with these arguments.
    pub fn body(value: Value) -> Bytes {
        json!({"value": value, "activation_id": "a", "deadline": "0"}).to_string().into()
    }

    /// Runs, and expects an answer.
    pub async fn run(&self, value: Value) -> Answer {
        self.client.run(Self::body(value), LONG, LIMITS, &Trace::default()).await.unwrap()
    }

    /// The log of the run that gave this answer.
    pub async fn logs(&self, answer: &Answer) -> CollectedLogs {
        let ending = self.logs.ending(answer.log_bytes);
        self.logs
            .collect(CollectRequest {
                activation: ActivationId::generate(),
                limit_bytes: 10 << 20,
                ending,
                developer_error: false,
            })
            .await
    }

    /// Removes it.
    pub async fn destroy(self) {
        self.client.close();
        self.container.destroy().await.unwrap();
    }
}

/// Processes that carry a run's marker.
fn processes_with(run: &str) -> Vec<String> {
    let marker = format!("OXWHISK_CONTAINER={run}/");
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries
        .filter(|entry| {
            let environment = std::fs::read(entry.path().join("environ")).unwrap_or_default();
            environment.split(|byte| *byte == 0).any(|entry| entry.starts_with(marker.as_bytes()))
        })
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect()
}

/// The proxy beside this test: its own binary, or the server that carries it.
fn action_proxy() -> (PathBuf, Vec<String>) {
    let test = std::env::current_exe().unwrap();
    let folder = test.parent().and_then(Path::parent).unwrap();
    let [own, server] = ["action-proxy", "oxwhisk"].map(|name| folder.join(name));
    if own.is_file() {
        return (own, vec![]);
    }
    assert!(server.is_file(), "neither {} nor {} is built", own.display(), server.display());
    (server, vec!["action-proxy".to_owned()])
}
