//! Compiles source in a builder container: source in on stdin, an archive out on stdout, messages on stderr.
//!
//! What is compiled is somebody's code, and compilers run parts of it (Rust's macros): the container has no
//! network, no capability and no way to write but to a small folder in its memory, and is bounded in memory,
//! processes, processors, output and time. It is removed whatever happens.

use std::collections::HashMap;

use anyhow::anyhow;
use bollard::container::{AttachContainerResults, LogOutput};
use bollard::models::{ContainerCreateBody, HostConfig, HostConfigLogConfig, ImageInspect};
use bollard::query_parameters::{
    AttachContainerOptionsBuilder, CreateContainerOptionsBuilder, WaitContainerOptionsBuilder,
};
use bytes::{Bytes, BytesMut};
use common::manifest::ImageName;
use futures::StreamExt;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use tracing::{debug, warn};

use super::create::{NOBODY, present};
use super::daemon::Daemon;
use super::{DockerConfig, DockerRuntime, LABEL_BUILDER, LABEL_INSTANCE, LABEL_RUN};
use crate::container::{BuildError, BuildSpec, Builder, RuntimeError};

/// How much of what a compiler says is kept: its beginning, where the first errors are.
const MAX_MESSAGES: usize = 64 * 1024;
/// Processes and threads of a builder.
const PIDS: i64 = 512;
/// Its weight against actions, each of which has more.
const CPU_SHARES: i64 = 64;
/// Where a builder may write, within its memory.
const SCRATCH: &str = "/tmp";

/// The image that the label of `image` names, if it names one.
pub async fn builder_of(runtime: &DockerRuntime, image: &str) -> Result<Option<Builder>, RuntimeError> {
    let inspected = present(runtime, image).await?;
    let labels = inspected.config.and_then(|config| config.labels);
    let Some(name) = labels.and_then(|mut labels| labels.remove(LABEL_BUILDER)) else { return Ok(None) };
    let name = ImageName::at_registry(&name, &runtime.config.runtimes_registry);
    let builder = present(runtime, &name).await?;
    Ok(Some(Builder { id: builder.id.unwrap_or_default(), image: name }))
}

/// Compiles, and leaves no container behind.
pub async fn build(runtime: &DockerRuntime, spec: &BuildSpec) -> Result<Bytes, BuildError> {
    let image = present(runtime, &spec.builder).await.map_err(BuildError::Unavailable)?;
    let docker = &runtime.daemon.docker;
    let _held = runtime.health.hold(&spec.name);
    let options = CreateContainerOptionsBuilder::new().name(&spec.name).build();
    let id = {
        let _permit = runtime.creations.acquire().await.map_err(|closed| {
            BuildError::Unavailable(RuntimeError::failed("create container", &spec.name, closed))
        })?;
        let created = docker.create_container(Some(options), body(&runtime.config, spec, &image)).await;
        created.map_err(unavailable("create container", &spec.name))?.id
    };
    let result = timeout(spec.within, run(runtime, spec, &id)).await.unwrap_or(Err(BuildError::TimedOut));
    if let Err(error) = runtime.daemon.remove(&id).await {
        warn!(container.id = %id, "a builder container is left: {:#}", anyhow!(error));
    }
    result
}

fn unavailable(operation: &'static str, name: &str) -> impl FnOnce(bollard::errors::Error) -> BuildError {
    let fault = Daemon::fault(operation, name);
    |error| BuildError::Unavailable(fault(error))
}

async fn run(runtime: &DockerRuntime, spec: &BuildSpec, id: &str) -> Result<Bytes, BuildError> {
    let docker = &runtime.daemon.docker;
    let options = AttachContainerOptionsBuilder::new().stream(true).stdin(true).stdout(true).stderr(true);
    let attached = docker.attach_container(id, Some(options.logs(false).build())).await;
    let attached = attached.map_err(unavailable("attach to", &spec.name))?;
    docker.start_container(id, None).await.map_err(unavailable("start", &spec.name))?;
    let (archive, messages) = converse(attached, spec).await?;
    // The streams may end a moment before the container has.
    let options = WaitContainerOptionsBuilder::new().condition("not-running").build();
    let waited = docker.wait_container(id, Some(options)).next().await;
    debug!(container.id = id, ?waited, "a builder has ended");
    let inspected = docker.inspect_container(id, None).await.map_err(unavailable("inspect", &spec.name))?;
    let state = inspected.state.unwrap_or_default();
    match state.exit_code {
        Some(0) if !archive.is_empty() => Ok(archive),
        _ if state.oom_killed == Some(true) => Err(BuildError::OutOfMemory),
        _ => Err(BuildError::Rejected(String::from_utf8_lossy(&messages).into_owned())),
    }
}

/// Gives the source and takes what comes, at the same time: a compiler may speak before it has read all.
async fn converse(
    attached: AttachContainerResults,
    spec: &BuildSpec,
) -> Result<(Bytes, BytesMut), BuildError> {
    let AttachContainerResults { mut output, mut input } = attached;
    let giving = async {
        // One that does not want it all says why by other means.
        if let Err(error) = input.write_all(&spec.source).await {
            debug!(container.name = spec.name, %error, "a builder does not read its source");
        }
        if let Err(error) = input.shutdown().await {
            debug!(container.name = spec.name, %error, "a builder's source does not end");
        }
    };
    let taking = async {
        let (mut archive, mut messages) = (BytesMut::new(), BytesMut::new());
        while let Some(item) = output.next().await {
            match item.map_err(unavailable("read from", &spec.name))? {
                LogOutput::StdOut { message } if archive.len() + message.len() > spec.max_output => {
                    return Err(BuildError::TooLarge);
                }
                LogOutput::StdOut { message } => archive.extend_from_slice(&message),
                LogOutput::StdErr { message } => {
                    let room = MAX_MESSAGES - messages.len();
                    messages.extend_from_slice(&message[..message.len().min(room)]);
                }
                LogOutput::Console { .. } | LogOutput::StdIn { .. } => {}
            }
        }
        Ok((archive.freeze(), messages))
    };
    tokio::pin!(taking);
    tokio::select! {
        // Who writes too much may never read again.
        taken = &mut taking => taken,
        () = giving => taking.await,
    }
}

/// The whole request.
fn body(config: &DockerConfig, spec: &BuildSpec, image: &ImageInspect) -> ContainerCreateBody {
    let memory = i64::try_from(spec.memory_mb << 20).unwrap_or(i64::MAX);
    let own_user = image.config.as_ref().and_then(|config| config.user.as_deref()).unwrap_or_default();
    let is_root = matches!(own_user.split(':').next(), Some("" | "0" | "root"));
    let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    ContainerCreateBody {
        image: Some(spec.builder.clone()),
        cmd: Some(vec!["-compile".to_owned(), spec.main.clone()]),
        user: is_root.then(|| NOBODY.to_owned()),
        labels: Some(HashMap::from([label(LABEL_INSTANCE, &config.instance), label(LABEL_RUN, &config.run)])),
        attach_stdin: Some(true),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        open_stdin: Some(true),
        stdin_once: Some(true),
        network_disabled: Some(true),
        host_config: Some(HostConfig {
            memory: Some(memory),
            memory_swap: Some(memory),
            nano_cpus: Some(i64::from(spec.cpus.max(1)) * 1_000_000_000),
            cpu_shares: Some(CPU_SHARES),
            pids_limit: Some(PIDS),
            cap_drop: Some(vec!["ALL".to_owned()]),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            readonly_rootfs: Some(true),
            tmpfs: Some(HashMap::from([(SCRATCH.to_owned(), "rw,exec,nosuid,nodev,mode=1777".to_owned())])),
            network_mode: Some("none".to_owned()),
            log_config: Some(HostConfigLogConfig { typ: Some("none".to_owned()), config: None }),
            ..Default::default()
        }),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bollard::models::ImageConfig;

    use super::*;

    #[test]
    fn a_builder_reaches_nothing_and_is_bounded() {
        let spec = BuildSpec {
            name: "wsk0_build_1".into(),
            builder: "b".into(),
            main: "main".into(),
            source: Bytes::new(),
            memory_mb: 1024,
            cpus: 2,
            within: Duration::from_secs(1),
            max_output: 1,
        };
        for (user, expected) in [("1001:1001", None), ("", Some(NOBODY)), ("root", Some(NOBODY))] {
            let config = ImageConfig { user: Some(user.to_owned()), ..Default::default() };
            let image = ImageInspect { config: Some(config), ..Default::default() };
            let body = body(&DockerConfig::new("1a2b", "run7", 3233), &spec, &image);
            let host = body.host_config.unwrap();
            assert_eq!(body.user.as_deref(), expected);
            assert_eq!(body.labels.unwrap()[LABEL_RUN], "run7");
            assert_eq!(host.network_mode.as_deref(), Some("none"));
            assert_eq!((host.cap_drop, host.cap_add), (Some(vec!["ALL".to_owned()]), None));
            assert_eq!((host.memory, host.memory_swap), (Some(1 << 30), Some(1 << 30)));
            assert_eq!((host.nano_cpus, host.pids_limit), (Some(2_000_000_000), Some(PIDS)));
            assert_eq!((host.readonly_rootfs, host.privileged, host.binds), (Some(true), None, None));
            assert_eq!(host.security_opt.unwrap(), ["no-new-privileges"]);
        }
    }
}
