//! The Docker daemon as suites use it past the platform: containers without limits, images of their own.
#![expect(clippy::unwrap_used, reason = "what fails in a test fails the test")]

use std::collections::HashMap;

use bollard::Docker;
use bollard::auth::DockerCredentials;
use bollard::container::LogOutput;
use bollard::models::{
    ContainerConfig, ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HostConfig, Ipam, IpamConfig,
    NetworkCreateRequest, NetworkingConfig,
};
use bollard::query_parameters::{
    CommitContainerOptionsBuilder, CreateContainerOptionsBuilder, ListContainersOptionsBuilder,
    LogsOptionsBuilder, PushImageOptionsBuilder, RemoveContainerOptionsBuilder, RemoveImageOptionsBuilder,
    TagImageOptionsBuilder, WaitContainerOptions,
};
use futures::{StreamExt, TryStreamExt};

/// The image of Python actions.
pub const PYTHON: &str = "oxwhisk/action-python-v3.13:latest";
/// The image of Node actions.
pub const NODEJS: &str = "oxwhisk/action-nodejs-v20:latest";

/// On all that a test makes by itself.
const LABEL: &str = "oxwhisk.test";

/// The daemon's client, for one test.
pub struct Daemon {
    /// Bollard's.
    pub docker: Docker,
    /// On all that this test makes.
    word: String,
    /// The network of its containers.
    network: String,
}

/// All that Docker can give: each capability, no filter of system calls, every device, nothing of the kernel's
/// hidden. (Docker's own word for that, `privileged`, asks for a capability that some machines do not have
/// themselves.)
pub fn every_right() -> HostConfig {
    let all = |words: &[&str]| Some(words.iter().map(|word| (*word).to_owned()).collect());
    HostConfig {
        cap_add: all(&["ALL"]),
        cap_drop: all(&["SYS_RESOURCE"]),
        security_opt: all(&["seccomp=unconfined", "apparmor=unconfined"]),
        device_cgroup_rules: all(&["b *:* rwm", "c *:* rwm"]),
        masked_paths: Some(vec![]),
        readonly_paths: Some(vec![]),
        ..Default::default()
    }
}

/// How an image is derived from Python's.
#[derive(Debug, Default)]
pub struct Recipe {
    /// What root does in it first, for a shell.
    pub script: String,
    /// Folders of this machine that the script sees, as `from:to`.
    pub binds: Vec<String>,
    /// What its containers run; what Python's run, if that is empty.
    pub command: Vec<String>,
    /// Who runs it.
    pub user: String,
    /// The image's word about its logs.
    pub framing: &'static str,
}

/// A container that a test makes by itself, from the Python image unless it says otherwise.
#[derive(Default)]
pub struct Plain {
    /// Its image.
    pub image: Option<String>,
    /// Docker's name for it.
    pub name: Option<String>,
    /// What it runs.
    pub command: Vec<String>,
    /// Its environment.
    pub env: Vec<String>,
    /// Its user; root if none is named.
    pub user: Option<String>,
    /// Rights and limits.
    pub host: HostConfig,
    /// Its network and its address there.
    pub at: Option<(String, String)>,
}

impl Daemon {
    /// Connects, and makes a network for the test's containers.
    ///
    /// # Panics
    ///
    /// If the daemon does not answer.
    pub async fn connect() -> Self {
        let docker = Docker::connect_with_defaults().unwrap().negotiate_version().await.unwrap();
        let word = uuid::Uuid::new_v4().simple().to_string();
        let network = format!("oxwhisk-test-{word}");
        // Of addresses of its own: Docker has few by itself, and other suites take them.
        let subnet = {
            let [a, b, ..] = *uuid::Uuid::new_v4().as_bytes();
            format!("10.{}.{b}.0/24", 128 + a / 2)
        };
        let ipam = Ipam {
            config: Some(vec![IpamConfig { subnet: Some(subnet), ..Default::default() }]),
            ..Default::default()
        };
        let request = NetworkCreateRequest {
            name: network.clone(),
            ipam: Some(ipam),
            labels: Some(HashMap::from([(LABEL.to_owned(), word.clone())])),
            ..Default::default()
        };
        docker.create_network(request).await.unwrap();
        Self { docker, word, network }
    }

    /// Starts a container and returns its id.
    pub async fn start(&self, plain: Plain) -> String {
        let endpoint = |(network, address): (String, String)| {
            let ipam = EndpointIpamConfig { ipv4_address: Some(address), ..Default::default() };
            let settings = EndpointSettings { ipam_config: Some(ipam), ..Default::default() };
            NetworkingConfig { endpoints_config: Some(HashMap::from([(network, settings)])) }
        };
        let host = HostConfig {
            network_mode: Some(match (&plain.at, plain.host.network_mode) {
                (Some((network, _)), _) => network.clone(),
                (None, Some(network)) => network,
                (None, None) => self.network.clone(),
            }),
            ..plain.host
        };
        let body = ContainerCreateBody {
            image: Some(plain.image.unwrap_or_else(|| PYTHON.to_owned())),
            cmd: Some(plain.command),
            env: Some(plain.env),
            user: Some(plain.user.unwrap_or_else(|| "0".to_owned())),
            labels: Some(HashMap::from([(LABEL.to_owned(), self.word.clone())])),
            host_config: Some(host),
            networking_config: plain.at.map(endpoint),
            ..Default::default()
        };
        let options = plain.name.map(|name| CreateContainerOptionsBuilder::new().name(&name).build());
        let id = self.docker.create_container(options, body).await.unwrap().id;
        self.docker.start_container(&id, None).await.unwrap();
        id
    }

    /// Runs a container to its end and returns what it printed.
    pub async fn run(&self, plain: Plain) -> String {
        let id = self.start(plain).await;
        // What it ended with is told by what it printed.
        let _ = self.docker.wait_container(&id, None::<WaitContainerOptions>).next().await;
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).build();
        let printed =
            self.docker.logs(&id, Some(options)).filter_map(async |piece: Result<LogOutput, _>| piece.ok());
        let printed: Vec<LogOutput> = printed.collect().await;
        self.remove(&id).await;
        printed.into_iter().map(|piece| piece.to_string()).collect()
    }

    /// Removes a container.
    pub async fn remove(&self, id: &str) {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        self.docker.remove_container(id, Some(options)).await.unwrap();
    }

    /// The process id, on this machine, of what a container runs first.
    pub async fn process(&self, id: &str) -> i64 {
        self.docker.inspect_container(id, None).await.unwrap().state.unwrap().pid.unwrap()
    }

    /// Makes an image of this name from Python's.
    pub async fn derive(&self, image: &str, recipe: Recipe) {
        let original = self.docker.inspect_image(PYTHON).await.unwrap().config.unwrap();
        let command = ["sh", "-ec", &recipe.script].map(str::to_owned).to_vec();
        let host = HostConfig { binds: Some(recipe.binds), ..Default::default() };
        let id = self.start(Plain { command, host, ..Default::default() }).await;
        let ended = self.docker.wait_container(&id, None::<WaitContainerOptions>).next().await.unwrap();
        assert_eq!(ended.unwrap().status_code, 0, "{}", recipe.script);
        let (repository, tag) = image.rsplit_once(':').unwrap();
        let options = CommitContainerOptionsBuilder::new().container(&id).repo(repository).tag(tag);
        let own = Some(recipe.command).filter(|command| !command.is_empty());
        let config = ContainerConfig {
            cmd: own.or(original.cmd),
            user: Some(recipe.user),
            labels: Some(HashMap::from([("oxwhisk.log-framing".to_owned(), recipe.framing.to_owned())])),
            ..Default::default()
        };
        self.docker.commit_container(options.build(), config).await.unwrap();
        self.remove(&id).await;
    }

    /// Removes whatever is left.
    pub async fn clear(&self) {
        let filters = HashMap::from([("label", vec![format!("{LABEL}={}", self.word)])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        for container in self.docker.list_containers(Some(options)).await.unwrap() {
            self.remove(&container.id.unwrap()).await;
        }
        self.docker.remove_network(&self.network).await.unwrap();
    }

    /// Gives an image another name.
    pub async fn tag(&self, image: &str, name: &str) {
        let (repository, tag) = name.rsplit_once(':').unwrap();
        let options = TagImageOptionsBuilder::new().repo(repository).tag(tag).build();
        self.docker.tag_image(image, Some(options)).await.unwrap();
    }

    /// Puts an image into the registry that it is named after.
    pub async fn push(&self, image: &str, account: Option<(&str, &str)>) {
        let (repository, tag) = image.rsplit_once(':').unwrap();
        let credentials = account.map(|(user, password)| DockerCredentials {
            username: Some(user.to_owned()),
            password: Some(password.to_owned()),
            ..Default::default()
        });
        let options = PushImageOptionsBuilder::new().tag(tag).build();
        let steps = self.docker.push_image(repository, Some(options), credentials);
        steps.try_collect::<Vec<_>>().await.unwrap();
    }

    /// Removes an image.
    pub async fn forget(&self, image: &str) {
        let options = RemoveImageOptionsBuilder::new().force(true).build();
        self.docker.remove_image(image, Some(options), None).await.unwrap();
    }
}
