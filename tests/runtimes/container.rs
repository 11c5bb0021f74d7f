//! A container of a runtime's image, started straight through Docker, and the two requests of the contract.
//!
//! It has the bounds and rights that the platform gives to actions. Each answer comes with what was printed up to it:
//! by the count in the header where the image announces that, else up to the sentinel, of which there has to be one a
//! stream.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use bollard::Docker;
use bollard::container::LogOutput;
use bollard::models::{ContainerCreateBody, HostConfig, NetworkCreateRequest};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptions, ListContainersOptionsBuilder,
    ListNetworksOptionsBuilder, RemoveContainerOptionsBuilder, WaitContainerOptions,
};
use common::shutdown::Shutdown;
use futures::StreamExt;
use reqwest::header::HeaderMap;
use serde_json::Value;
use tests::wait;
use tokio::net::TcpStream;

/// Longer than anything here takes.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// What an image announces that counts what is printed.
const FRAMING: &str = "oxwhisk.log-framing";
const LOG_BYTES: &str = "x-oxwhisk-log-bytes";
const SENTINEL: &str = "XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX\n";
/// Whose containers and whose network they are: the process that made them.
const OWNER: &str = "oxwhisk.test.runtimes";
const MEMORY: i64 = 512 << 20;

/// How a container is made.
#[derive(Debug, Default, Clone)]
pub struct Start {
    pub image: String,
    pub command: Option<Vec<String>>,
    pub env: Vec<String>,
}

/// A container that serves.
pub struct Container {
    docker: Docker,
    id: String,
    address: SocketAddr,
    client: reqwest::Client,
    counted: bool,
    printed: Arc<Printed>,
    /// How much of each stream was given to an answer.
    taken: [usize; 2],
    tasks: Shutdown,
}

/// What came out of a container, by stream.
#[derive(Debug, Default)]
pub struct Printed {
    streams: Mutex<[Vec<u8>; 2]>,
}

/// What came back, and what was printed up to it.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    pub body: Value,
    pub stdout: String,
    pub stderr: String,
}

impl Response {
    /// The member `error`, as text whatever it is.
    pub fn error(&self) -> String {
        match &self.body["error"] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        }
    }
}

impl Printed {
    fn length(&self, stream: usize) -> usize {
        self.streams.lock().unwrap()[stream].len()
    }

    fn text(&self, stream: usize, from: usize, to: usize) -> String {
        String::from_utf8_lossy(&self.streams.lock().unwrap()[stream][from..to]).into_owned()
    }

    /// Where the next sentinel from there on ends.
    fn sentinel(&self, stream: usize, from: usize) -> Option<usize> {
        let streams = self.streams.lock().unwrap();
        let mut windows = streams[stream][from..].windows(SENTINEL.len());
        windows.position(|window| window == SENTINEL.as_bytes()).map(|at| from + at + SENTINEL.len())
    }
}

/// The daemon.
pub async fn docker() -> anyhow::Result<Docker> {
    Ok(Docker::connect_with_defaults()?.negotiate_version().await?)
}

/// The network of this run's containers: none of other suites is on it.
fn network() -> String {
    format!("oxwhisk-test-runtimes-{}", std::process::id())
}

fn owner() -> HashMap<String, String> {
    HashMap::from([(OWNER.to_owned(), std::process::id().to_string())])
}

/// Removes what an earlier run of the suite left when it was killed, and makes the network.
pub async fn prepare(docker: &Docker) -> anyhow::Result<()> {
    let alive = |labels: Option<HashMap<String, String>>| {
        let owner = labels.and_then(|mut labels| labels.remove(OWNER)).unwrap_or_default();
        std::path::Path::new("/proc").join(owner).exists()
    };
    let filter = HashMap::from([("label", vec![OWNER.to_owned()])]);
    let options = ListContainersOptionsBuilder::default().all(true).filters(&filter).build();
    for container in docker.list_containers(Some(options)).await? {
        if let (Some(id), false) = (container.id, alive(container.labels)) {
            remove(docker, &id).await?;
        }
    }
    let options = ListNetworksOptionsBuilder::default().filters(&filter).build();
    for network in docker.list_networks(Some(options)).await? {
        if let (Some(id), false) = (network.id, alive(network.labels)) {
            docker.remove_network(&id).await?;
        }
    }
    let request = NetworkCreateRequest { name: network(), labels: Some(owner()), ..Default::default() };
    docker.create_network(request).await?;
    Ok(())
}

/// Removes the network.
pub async fn clean(docker: &Docker) -> anyhow::Result<()> {
    Ok(docker.remove_network(&network()).await?)
}

/// Removes a container, whatever it does.
pub async fn remove(docker: &Docker, id: &str) -> anyhow::Result<()> {
    let options = RemoveContainerOptionsBuilder::default().force(true).v(true).build();
    Ok(docker.remove_container(id, Some(options)).await?)
}

/// Makes a container with the bounds of an action's.
pub async fn create(docker: &Docker, start: &Start, stdin: bool) -> anyhow::Result<String> {
    let mut labels = owner();
    if start.command.is_some() {
        labels.insert(FRAMING.to_owned(), "sentinels".to_owned());
    }
    let body = ContainerCreateBody {
        image: Some(start.image.clone()),
        cmd: start.command.clone(),
        env: Some(start.env.clone()),
        labels: Some(labels),
        open_stdin: Some(stdin),
        stdin_once: Some(stdin),
        attach_stdin: Some(stdin),
        host_config: Some(HostConfig {
            network_mode: Some(network()),
            memory: Some(MEMORY),
            memory_swap: Some(MEMORY),
            pids_limit: Some(1024),
            cap_drop: Some(vec!["ALL".to_owned()]),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            ..Default::default()
        }),
        ..Default::default()
    };
    Ok(docker.create_container(None::<CreateContainerOptions>, body).await?.id)
}

impl Container {
    /// Starts one and waits until it serves.
    pub async fn start(docker: &Docker, start: &Start) -> anyhow::Result<Self> {
        let id = create(docker, start, false).await?;
        match Self::started(docker, &id).await {
            Ok(container) => Ok(container),
            Err(error) => {
                remove(docker, &id).await?;
                Err(error)
            }
        }
    }

    async fn started(docker: &Docker, id: &str) -> anyhow::Result<Self> {
        let options = AttachContainerOptionsBuilder::new().stream(true).stdout(true).stderr(true).build();
        let mut output = docker.attach_container(id, Some(options)).await?.output;
        let (printed, tasks) = (Arc::new(Printed::default()), Shutdown::new());
        let collected = printed.clone();
        tasks.spawn("container output", async move {
            while let Some(Ok(chunk)) = output.next().await {
                let (stream, bytes) = match chunk {
                    LogOutput::StdErr { message } => (1, message),
                    other => (0, other.into_bytes()),
                };
                collected.streams.lock().unwrap()[stream].extend_from_slice(&bytes);
            }
        });
        docker.start_container(id, None).await?;
        let inspected = docker.inspect_container(id, None).await?;
        let labels = inspected.config.and_then(|config| config.labels).unwrap_or_default();
        let networks = inspected.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
        let address = networks.into_values().find_map(|network| network.ip_address?.parse().ok());
        let address = SocketAddr::new(address.context("the container has no address")?, 8080);
        let serves = async || TcpStream::connect(address).await.ok();
        drop(wait::until("the container serves", PATIENCE, serves).await);
        Ok(Self {
            docker: docker.clone(),
            id: id.to_owned(),
            address,
            client: tests::client::http().timeout(PATIENCE).build()?,
            counted: labels.get(FRAMING).is_some_and(|framing| framing == "counted"),
            printed,
            taken: [0; 2],
            tasks,
        })
    }

    /// `POST`; `None` when the connection was dropped without an answer.
    pub async fn post(&mut self, path: &str, body: &Value) -> anyhow::Result<Option<Response>> {
        let request = self.client.post(format!("http://{}{path}", self.address)).json(body);
        let response = match request.send().await {
            Ok(response) => response,
            Err(error) if error.is_timeout() => bail!("{path} was not answered in {PATIENCE:?}"),
            Err(_) => return Ok(None),
        };
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        ensure!(headers.contains_key("content-length"), "the answer does not say how long it is");
        let text = response.text().await?;
        let body = serde_json::from_str(&text).with_context(|| format!("no JSON: {text:?}"))?;
        let [stdout, stderr] = match self.counted {
            true => self.take_counted(&headers).await?,
            // Only runs are sure to end with one: of initializations upstream says nothing.
            false if path == "/run" => self.take_to_sentinel().await,
            false => [String::new(), String::new()],
        };
        Ok(Some(Response { status, body, stdout, stderr }))
    }

    async fn take_counted(&mut self, headers: &HeaderMap) -> anyhow::Result<[String; 2]> {
        let header = headers.get(LOG_BYTES).context("the answer does not count the logs")?.to_str()?;
        let counts = header.split_once(' ').with_context(|| format!("{LOG_BYTES}: {header}"))?;
        let mut texts = [String::new(), String::new()];
        for (stream, count) in [counts.0.parse::<usize>()?, counts.1.parse()?].into_iter().enumerate() {
            let from = self.taken[stream];
            let to = from + count;
            let there = async || (self.printed.length(stream) >= to).then_some(());
            wait::until("what was counted was printed", PATIENCE, there).await;
            texts[stream] = self.printed.text(stream, from, to);
            self.taken[stream] = to;
        }
        Ok(texts)
    }

    async fn take_to_sentinel(&mut self) -> [String; 2] {
        let mut texts = [String::new(), String::new()];
        for (stream, text) in texts.iter_mut().enumerate() {
            let from = self.taken[stream];
            let end = async || self.printed.sentinel(stream, from);
            let to = wait::until("a sentinel ends the logs", PATIENCE, end).await;
            *text = self.printed.text(stream, from, to - SENTINEL.len());
            self.taken[stream] = to;
        }
        texts
    }

    /// Waits until the container's process has ended, and says as what.
    pub async fn exit_code(&self) -> anyhow::Result<i64> {
        let mut ends = self.docker.wait_container(&self.id, None::<WaitContainerOptions>);
        match tokio::time::timeout(PATIENCE, ends.next()).await.context("the container goes on")? {
            Some(Ok(end)) => Ok(end.status_code),
            Some(Err(bollard::errors::Error::DockerContainerWaitError { code, .. })) => Ok(code),
            other => bail!("the container's end is unknown: {other:?}"),
        }
    }

    /// Removes it, and returns what it printed beyond what the answers came with.
    pub async fn remove(self) -> anyhow::Result<[String; 2]> {
        remove(&self.docker, &self.id).await?;
        ensure!(self.tasks.finish(PATIENCE).await, "the container's output goes on");
        Ok([0, 1].map(|stream| self.printed.text(stream, self.taken[stream], self.printed.length(stream))))
    }
}
