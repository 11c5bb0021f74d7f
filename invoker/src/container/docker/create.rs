//! Makes a container: image, limits, capabilities, output, address. (Upstream's `docker run` is in
//! `core/invoker/src/main/scala/org/apache/openwhisk/core/containerpool/docker/DockerContainer.scala`;
//! which failure is whose fault is decided as there.)
//!
//! Our own images need no capability and no root. Other images are built by people who expect Docker's
//! defaults: they keep what changing owners and users takes, and nothing that reaches outside.

use std::collections::HashMap;
use std::error::Error as _;
use std::net::Ipv4Addr;

use anyhow::anyhow;
use bollard::container::LogOutput;
use bollard::errors::Error;
use bollard::models::{
    ContainerCreateBody, EndpointIpamConfig, EndpointSettings, HostConfig, HostConfigLogConfig, ImageInspect,
    NetworkingConfig, ResourcesUlimits,
};
use bollard::query_parameters::{AttachContainerOptionsBuilder, CreateContainerOptionsBuilder};
use common::clock::Clock;
use futures::{Stream, StreamExt};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc::Sender;
use tracing::{Instrument, debug, warn};

use super::container::{DockerContainer, Hold, Output, cgroup};
use super::daemon::{Daemon, status_of};
use super::{DockerConfig, DockerRuntime, LABEL_FRAMING, LABEL_INSTANCE, LABEL_MARKS, LABEL_NAME, LABEL_RUN};
use crate::container::freezer::Cgroup;
use crate::container::{
    ContainerSpec, CreateError, LogChunk, LogFraming, LogSource, LogStream, Pull, RuntimeError,
};
use crate::logs::nanos;

/// What images that are not ours keep: enough to change owners and users inside.
const KEPT_CAPABILITIES: [&str; 6] = ["CHOWN", "DAC_OVERRIDE", "FOWNER", "SETUID", "SETGID", "KILL"];
/// Who runs in an image of ours that does not say so itself: `nobody`.
pub const NOBODY: &str = "65534:65534";

/// Makes and starts a container, or leaves nothing behind.
pub async fn create(runtime: &DockerRuntime, spec: &ContainerSpec) -> Result<DockerContainer, CreateError> {
    let tolerated = pull_first(runtime, spec).await?;
    let _permit = runtime.creations.acquire().await.map_err(|closed| {
        CreateError::Provision(RuntimeError::failed("create container", &spec.name, closed))
    })?;
    // What fails from here to the container's id is blamed on a pull that failed before.
    let blame = |error: RuntimeError, tolerated: Option<RuntimeError>| match tolerated {
        Some(source) => CreateError::ImagePull { image: spec.image.clone(), source },
        None => CreateError::Provision(error),
    };
    let daemon = &runtime.daemon;
    let Daemon { docker, metrics } = daemon;
    let inspected = match spec.pull {
        // As `docker run` does.
        Pull::Never => present(runtime, &spec.image).await,
        Pull::Always | Pull::TryAlways => {
            let inspecting = docker.inspect_image(&spec.image);
            let inspected = daemon.ask(&metrics.inspect, inspecting).await;
            inspected.map_err(Daemon::fault("inspect image", &spec.image))
        }
    };
    let image = match inspected {
        Ok(image) => image,
        Err(error) => return Err(blame(error, tolerated)),
    };
    let lease = runtime.addresses.lease().ok_or_else(|| {
        let why = anyhow!("all addresses of {} are taken", runtime.bridge.network);
        CreateError::Provision(RuntimeError::failed("create container", &spec.name, why))
    })?;
    if let Some(failure) = &tolerated {
        let cause = failure.source().map(ToString::to_string).unwrap_or_default();
        warn!(image = spec.image, "the image {} is used as it lies here; a pull failed: {cause}", spec.image);
    }
    let hold = Hold { lease, name: runtime.health.hold(&spec.name), health: runtime.health.clone() };
    let framing = framing(&image);
    let address = hold.lease.address();
    let mut body = body(&runtime.config, &runtime.bridge.network, address, spec, &image, framing);
    let size = image.size.and_then(|size| u64::try_from(size).ok()).unwrap_or_default();
    let storage = runtime.disks.option(size);
    if let Some(host) = &mut body.host_config {
        host.storage_opt = storage.map(|size| HashMap::from([("size".to_owned(), size)]));
    }
    let options = CreateContainerOptionsBuilder::new().name(&veiled(&runtime.config.run, &spec.name)).build();
    let begun = metrics.run.marker.start();
    let created = match docker.create_container(Some(options.clone()), body.clone()).await {
        Err(error) if runtime.disks.is_refused(&error.to_string()) => {
            body.host_config.iter_mut().for_each(|host| host.storage_opt = None);
            docker.create_container(Some(options), body).await
        }
        created => created,
    };
    let id = match created {
        Ok(created) => created.id,
        // Without an answer it may be there or not; if it is, it is a stray when the daemon is back.
        Err(error) => {
            if matches!(error, Error::RequestTimeoutError) {
                metrics.run.timed_out.inc();
            }
            metrics.run.marker.fail(begun);
            return Err(blame(Daemon::fault("create container", &spec.name)(error), tolerated));
        }
    };
    let started = start(runtime, spec, &id).await;
    metrics.run.marker.end(begun, &started);
    match started {
        Ok((logs, cgroup)) => {
            let daemon = runtime.daemon.clone();
            let output = Output { framing, marks: marks(&image), logs };
            let disk = runtime.disks.watch(&id, cgroup.clone());
            Ok(DockerContainer::new(daemon, id, hold, output, cgroup, disk))
        }
        Err(error) => {
            let daemon = runtime.daemon.clone();
            let removal = async move {
                if let Err(error) = daemon.remove(&id).await {
                    warn!(container.id = %id, "a broken container is left: {:#}", anyhow!(error));
                }
                drop(hold);
            };
            runtime.tasks.spawn("remove a broken container", removal.in_current_span());
            Err(error)
        }
    }
}

/// An image of ours, which is pulled if it is not here.
pub async fn present(runtime: &DockerRuntime, image: &str) -> Result<ImageInspect, RuntimeError> {
    let daemon = &runtime.daemon;
    let look = || daemon.ask(&daemon.metrics.inspect, daemon.docker.inspect_image(image));
    let inspected = match look().await {
        Err(error) if status_of(&error) == Some(404) => {
            runtime.pulls.pull(daemon, image).await?;
            look().await
        }
        other => other,
    };
    inspected.map_err(Daemon::fault("inspect image", image))
}

/// Docker's name for a container. Its resolver tells the names of all containers on a network to each of
/// them, also by address; namespaces and actions are nobody else's business.
fn veiled(run: &str, name: &str) -> String {
    let digest = Sha256::digest(format!("{run}/{name}"));
    digest[..8].iter().fold("wsk-".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}

/// Pulls as the spec says; returns a failure that is tolerated for now.
async fn pull_first(
    runtime: &DockerRuntime,
    spec: &ContainerSpec,
) -> Result<Option<RuntimeError>, CreateError> {
    if spec.pull == Pull::Never {
        return Ok(None);
    }
    match runtime.pulls.pull(&runtime.daemon, &spec.image).await {
        Ok(()) => Ok(None),
        Err(error) if spec.pull == Pull::TryAlways => Ok(Some(error)),
        Err(source) => Err(CreateError::ImagePull { image: spec.image.clone(), source }),
    }
}

async fn start(
    runtime: &DockerRuntime,
    spec: &ContainerSpec,
    id: &str,
) -> Result<(LogSource, Option<Cgroup>), CreateError> {
    let fault = |operation| move |error| CreateError::Provision(Daemon::fault(operation, &spec.name)(error));
    let docker = &runtime.daemon.docker;
    let options = AttachContainerOptionsBuilder::new().stream(true).stdout(true).stderr(true).logs(false);
    let attached = docker.attach_container(id, Some(options.build())).await.map_err(fault("attach to"))?;
    let (sender, logs) = LogSource::channel();
    runtime.tasks.spawn("container output", forward(attached.output, sender, runtime.clock.clone()));
    docker.start_container(id, None).await.map_err(|error| match is_command_missing(&error) {
        true => CreateError::CommandNotFound { image: spec.image.clone() },
        false => fault("start")(error),
    })?;
    if let Some(cgroup) = cgroup(id, None) {
        return Ok((logs, Some(cgroup)));
    }
    // It lies in no usual place: its main process may tell.
    let inspecting = docker.inspect_container(id, None);
    let inspected = runtime.daemon.ask(&runtime.daemon.metrics.inspect, inspecting).await;
    let inspected = inspected.map_err(fault("inspect"))?;
    let pid = inspected.state.and_then(|state| state.pid).filter(|pid| *pid > 0);
    Ok((logs, pid.and_then(|pid| cgroup(id, Some(pid)))))
}

/// The daemon's words for what the command line reports as exit code 127.
fn is_command_missing(error: &Error) -> bool {
    let words = ["executable file not found", "no such file or directory"];
    matches!(error, Error::DockerResponseServerError { message, .. } if words.iter().any(|w| message.contains(w)))
}

/// Moves output from Docker's stream to the collector until either ends.
async fn forward(
    mut output: impl Stream<Item = Result<LogOutput, Error>> + Unpin,
    sender: Sender<LogChunk>,
    clock: std::sync::Arc<dyn Clock>,
) {
    loop {
        let item = tokio::select! {
            () = sender.closed() => return,
            item = output.next() => item,
        };
        let (stream, bytes) = match item {
            Some(Ok(LogOutput::StdErr { message })) => (LogStream::Stderr, message),
            Some(Ok(LogOutput::StdOut { message } | LogOutput::Console { message })) => {
                (LogStream::Stdout, message)
            }
            Some(Ok(LogOutput::StdIn { .. })) => continue,
            Some(Err(error)) => {
                debug!(%error, "a container's output stream broke");
                return;
            }
            None => return,
        };
        if sender.send(LogChunk { stream, at_nanos: nanos(&*clock), bytes }).await.is_err() {
            return;
        }
    }
}

fn framing(image: &ImageInspect) -> LogFraming {
    match label(image, LABEL_FRAMING) {
        Some("counted") => LogFraming::Counted,
        _ => LogFraming::Sentinels,
    }
}

fn marks(image: &ImageInspect) -> bool {
    framing(image) == LogFraming::Counted && label(image, LABEL_MARKS) == Some("activations")
}

fn label<'a>(image: &'a ImageInspect, name: &str) -> Option<&'a str> {
    image.config.as_ref()?.labels.as_ref()?.get(name).map(String::as_str)
}

/// The whole request: limits, capabilities, labels.
fn body(
    config: &DockerConfig,
    network: &str,
    address: Ipv4Addr,
    spec: &ContainerSpec,
    image: &ImageInspect,
    framing: LogFraming,
) -> ContainerCreateBody {
    let memory = i64::try_from(spec.memory_mb << 20).unwrap_or(i64::MAX);
    let own_user = image.config.as_ref().and_then(|config| config.user.as_deref()).unwrap_or_default();
    let is_root = matches!(own_user.split(':').next(), Some("" | "0" | "root"));
    let (user, kept) = match framing {
        LogFraming::Counted => (is_root.then(|| NOBODY.to_owned()), vec![]),
        LogFraming::Sentinels => (None, KEPT_CAPABILITIES.map(str::to_owned).to_vec()),
    };
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let ulimit = |name: &str, limit| ResourcesUlimits {
        name: Some(name.to_owned()),
        soft: Some(limit),
        hard: Some(limit),
    };
    let ulimits = [("nofile", config.nofile), ("fsize", config.file_size), ("core", 0)];
    let endpoint = EndpointSettings {
        ipam_config: Some(EndpointIpamConfig {
            ipv4_address: Some(address.to_string()),
            ..Default::default()
        }),
        ..Default::default()
    };
    ContainerCreateBody {
        networking_config: Some(NetworkingConfig {
            endpoints_config: Some(HashMap::from([(network.to_owned(), endpoint)])),
        }),
        image: Some(spec.image.clone()),
        user,
        env: Some(spec.env.iter().map(|(key, value)| format!("{key}={value}")).collect()),
        labels: Some(HashMap::from([
            label(LABEL_INSTANCE, &config.instance),
            label(LABEL_RUN, &config.run),
            label(LABEL_NAME, &spec.name),
        ])),
        host_config: Some(HostConfig {
            memory: Some(memory),
            memory_swap: Some(memory),
            cpu_shares: Some(i64::try_from(spec.cpu_shares).unwrap_or(i64::MAX)),
            pids_limit: Some(config.pids),
            ulimits: Some(ulimits.map(|(name, limit)| ulimit(name, limit)).to_vec()),
            cap_drop: Some(vec!["ALL".to_owned()]),
            cap_add: Some(kept),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            init: Some(false),
            network_mode: Some(network.to_owned()),
            log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::ImageConfig;

    use super::*;

    fn image(label: Option<&str>, user: &str) -> ImageInspect {
        let labels = label.map(|value| HashMap::from([(LABEL_FRAMING.to_owned(), value.to_owned())]));
        let config = ImageConfig { user: Some(user.to_owned()), labels, ..Default::default() };
        ImageInspect { config: Some(config), ..Default::default() }
    }

    fn spec() -> ContainerSpec {
        ContainerSpec {
            name: "wsk0_1_guest_hello".into(),
            kind: "nodejs:20".into(),
            image: "oxwhisk/action-nodejs-v20:latest".into(),
            memory_mb: 256,
            cpu_shares: 512,
            env: vec![("__OW_API_HOST".into(), "http://172.18.0.1:3233".into())],
            pull: Pull::Never,
        }
    }

    #[test]
    fn every_container_is_bounded_and_holds_few_rights() {
        for (image, user, kept) in [
            (image(Some("counted"), "1000"), None, 0),
            (image(Some("counted"), ""), Some(NOBODY), 0),
            (image(Some("counted"), "0:0"), Some(NOBODY), 0),
            (image(None, ""), None, 6),
            (image(Some("other"), "node"), None, 6),
        ] {
            let config = DockerConfig::new("1a2b", "run7", 3233);
            let body =
                body(&config, "oxwhisk-1a2b", Ipv4Addr::new(172, 18, 0, 9), &spec(), &image, framing(&image));
            let host = body.host_config.unwrap();
            assert_eq!(body.user.as_deref(), user);
            assert_eq!(host.cap_drop, Some(vec!["ALL".to_owned()]));
            assert_eq!(host.cap_add.unwrap().len(), kept);
            assert_eq!((host.memory, host.memory_swap), (Some(256 << 20), Some(256 << 20)));
            assert_eq!((host.pids_limit, host.cpu_shares), (Some(1024), Some(512)));
            let ulimits = host.ulimits.unwrap();
            let hard: Vec<_> =
                ulimits.iter().map(|limit| (limit.name.as_deref().unwrap(), limit.hard)).collect();
            assert_eq!(hard, [("nofile", Some(1024)), ("fsize", Some(512 << 20)), ("core", Some(0))]);
            assert_eq!(host.security_opt.unwrap(), ["no-new-privileges"]);
            assert_eq!(host.log_config.unwrap().typ.unwrap(), "none");
            assert_eq!(host.port_bindings, None);
            assert_eq!(host.privileged, None);
            let labels = body.labels.unwrap();
            assert_eq!((&*labels[LABEL_RUN], &*labels[LABEL_NAME]), ("run7", "wsk0_1_guest_hello"));
        }
    }

    #[test]
    fn dockers_name_for_a_container_tells_nothing() {
        let name = veiled("run7", "wsk0_1_guest_hello");
        assert!(name.len() == 20 && name.starts_with("wsk-"), "{name}");
        assert_ne!(name, veiled("run8", "wsk0_1_guest_hello"));
        assert_ne!(name, veiled("run7", "wsk0_2_guest_hello"));
    }

    #[test]
    fn a_missing_command_is_the_images_fault() {
        let refusal =
            |message: &str| Error::DockerResponseServerError { status_code: 400, message: message.into() };
        assert!(is_command_missing(&refusal(
            "exec: \"/nope\": stat /nope: no such file or directory: unknown"
        )));
        assert!(is_command_missing(&refusal("exec: \"nope\": executable file not found in $PATH: unknown")));
        assert!(!is_command_missing(&refusal("cannot allocate memory")));
    }
}
