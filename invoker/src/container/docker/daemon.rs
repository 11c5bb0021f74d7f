//! The connection to Docker's daemon: found, asked with the API version that it speaks, and its errors
//! sorted into "is away" and "has refused".

use std::collections::HashMap;
use std::time::Duration;

use bollard::Docker;
use bollard::errors::Error;
use bollard::models::{ContainerSummary, ContainerSummaryStateEnum};
use bollard::query_parameters::{ListContainersOptionsBuilder, RemoveContainerOptionsBuilder};
use futures::{StreamExt, TryStreamExt};
use tokio::time::timeout;
use tracing::debug;

use crate::container::RuntimeError;
use crate::metrics::{Command, DockerMetrics};

/// For the answer to one request (upstream's limit for most of its commands).
const LIMIT: Duration = Duration::from_secs(60);
/// For the questions that only ask whether Docker is to be used at all.
const PROBE: Duration = Duration::from_secs(1);
/// So many containers are removed at once.
const REMOVALS: usize = 8;

/// Docker's daemon.
#[derive(Debug, Clone)]
pub struct Daemon {
    /// Bollard's client.
    pub docker: Docker,
    /// What it is asked for.
    pub metrics: DockerMetrics,
}

impl Daemon {
    /// Connects to `host`, or to where `DOCKER_HOST` or the default socket says.
    pub async fn connect(host: Option<&str>) -> Result<Self, RuntimeError> {
        let client = match host {
            Some(host) => Docker::connect_with_host(host),
            None => Docker::connect_with_defaults(),
        };
        let at = host.unwrap_or("the default socket");
        let client = client.map_err(Self::fault("reach Docker at", at))?.with_timeout(LIMIT);
        let docker = client.negotiate_version().await.map_err(Self::fault("reach Docker at", at))?;
        Ok(Self { docker, metrics: DockerMetrics::default() })
    }

    /// The same, counted there.
    pub fn measured(self, metrics: DockerMetrics) -> Self {
        Self { metrics, ..self }
    }

    /// A request that is counted.
    pub async fn ask<T>(
        &self,
        command: &Command,
        request: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, Error> {
        let begun = command.marker.start();
        let answer = request.await;
        if matches!(answer, Err(Error::RequestTimeoutError)) {
            command.timed_out.inc();
        }
        command.marker.end(begun, &answer);
        answer
    }

    /// Sorts an error.
    pub fn fault(operation: &'static str, subject: &str) -> impl FnOnce(Error) -> RuntimeError {
        let subject = subject.to_owned();
        move |error| {
            let away = matches!(
                error,
                Error::IOError { .. }
                    | Error::HyperResponseError { .. }
                    | Error::HyperLegacyError { .. }
                    | Error::RequestTimeoutError
                    | Error::SocketNotFoundError(_)
            );
            match away {
                true => RuntimeError::Unavailable { operation, subject, source: error.into() },
                false => RuntimeError::Failed { operation, subject, source: error.into() },
            }
        }
    }

    /// Removes a container by force; one that is gone or going is no error.
    pub async fn remove(&self, id: &str) -> Result<(), RuntimeError> {
        let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
        match self.ask(&self.metrics.rm, self.docker.remove_container(id, Some(options))).await {
            Err(error) if !matches!(status_of(&error), Some(404 | 409)) => {
                Err(Self::fault("remove container", id)(error))
            }
            _ => Ok(()),
        }
    }

    /// All containers, in whatever state, that carry a label.
    pub async fn labelled(&self, label: &str, value: &str) -> Result<Vec<ContainerSummary>, RuntimeError> {
        let filters = HashMap::from([("label", vec![format!("{label}={value}")])]);
        let options = ListContainersOptionsBuilder::new().all(true).filters(&filters).build();
        let listed = self.ask(&self.metrics.ps, self.docker.list_containers(Some(options))).await;
        listed.map_err(Self::fault("list the containers of", value))
    }

    /// Removes all containers that carry a label, frozen or not, and returns how many there were.
    pub async fn remove_labelled(&self, label: &str, value: &str) -> Result<usize, RuntimeError> {
        let containers = self.labelled(label, value).await?;
        self.remove_all(containers).await
    }

    /// Removes containers, frozen or not, and returns how many there were.
    pub async fn remove_all(&self, containers: Vec<ContainerSummary>) -> Result<usize, RuntimeError> {
        let removals = containers.into_iter().map(|container| async move {
            let id = container.id.unwrap_or_default();
            if let Some(cgroup) = super::container::cgroup(&id, None)
                && let Err(error) = cgroup.thaw()
            {
                debug!(container.id = %id, %error, "it has no cgroup any more");
            }
            if container.state == Some(ContainerSummaryStateEnum::PAUSED)
                && let Err(error) = self.docker.unpause_container(&id).await
            {
                debug!(container.id = %id, %error, "it cannot be unpaused");
            }
            self.remove(&id).await
        });
        let removals = futures::stream::iter(removals).buffer_unordered(REMOVALS);
        removals.try_fold(0, |count, ()| async move { Ok(count + 1) }).await
    }
}

/// Whether a daemon answers within a second.
pub async fn ping(host: Option<&str>) -> bool {
    matches!(timeout(PROBE, Daemon::connect(host)).await, Ok(Ok(_)))
}

/// Whether a daemon answers within a second and has all these images.
pub async fn has_images(host: Option<&str>, images: &[&str]) -> bool {
    let ask = async {
        let Ok(daemon) = Daemon::connect(host).await else { return false };
        for image in images {
            if daemon.docker.inspect_image(image).await.is_err() {
                return false;
            }
        }
        true
    };
    timeout(PROBE, ask).await.unwrap_or(false)
}

/// The HTTP status of a refusal.
pub fn status_of(error: &Error) -> Option<u16> {
    match error {
        Error::DockerResponseServerError { status_code, .. } => Some(*status_code),
        _ => None,
    }
}
