//! Pulls images: callers that want the same one at the same time wait for one pull, and nothing is
//! remembered afterwards, so that a moved tag is seen by the next.
//!
//! What is fetched is told in the log when it begins, every few seconds and at its end; an image that is up to
//! date, as users' images mostly are, is not worth a line.

mod progress;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::anyhow;
use bollard::auth::DockerCredentials;
use bollard::errors::Error;
use bollard::query_parameters::CreateImageOptionsBuilder;
use common::config::images::{ContainerFactoryConfig, RegistryCredentials};
use futures::StreamExt;
use futures::future::{BoxFuture, FutureExt, Shared};
use tokio::time::{Instant, interval_at};
use tracing::{debug, info};

use self::progress::Progress;
use super::daemon::Daemon;
use crate::container::RuntimeError;

/// Upstream's limit for `docker pull`.
const LIMIT: Duration = Duration::from_secs(600);
/// Between two lines about one pull.
const TOLD_EVERY: Duration = Duration::from_secs(5);

/// One at a time for an image; the error is shared, so it is text.
type Pulling = Shared<BoxFuture<'static, Result<(), Arc<str>>>>;

/// Who we are at a registry.
#[derive(Debug, Clone, PartialEq)]
pub struct Login {
    /// What the names of its images begin with.
    pub registry: String,
    /// Name and password.
    pub credentials: RegistryCredentials,
}

impl Login {
    /// Those that the settings name.
    pub fn all(settings: &ContainerFactoryConfig) -> Vec<Self> {
        [&settings.user_images_registry, &settings.runtimes_registry]
            .into_iter()
            .filter(|registry| !registry.url.is_empty())
            .filter_map(|registry| {
                let credentials = registry.credentials.clone()?;
                Some(Self { registry: registry.url.trim_end_matches('/').to_owned(), credentials })
            })
            .collect()
    }

    fn is_for(&self, image: &str) -> bool {
        image.strip_prefix(&self.registry).is_some_and(|rest| rest.starts_with('/'))
    }
}

/// The pulls under way.
#[derive(Debug)]
pub struct Pulls {
    under_way: Arc<Mutex<HashMap<String, Pulling>>>,
    logins: Vec<Login>,
}

impl Pulls {
    /// None under way.
    pub fn new(logins: Vec<Login>) -> Self {
        Self { under_way: Arc::default(), logins }
    }

    /// Pulls an image, or waits for the pull that is under way.
    pub async fn pull(&self, daemon: &Daemon, image: &str) -> Result<(), RuntimeError> {
        let reference = with_tag(image);
        let pulling = {
            let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
            let start = || self.start(daemon.clone(), reference.clone());
            under_way.entry(reference.clone()).or_insert_with(start).clone()
        };
        pulling.await.map_err(|cause| RuntimeError::failed("pull image", reference, anyhow!("{cause}")))
    }

    fn start(&self, daemon: Daemon, image: String) -> Pulling {
        let under_way = Arc::clone(&self.under_way);
        let login = self.logins.iter().find(|login| login.is_for(&image)).cloned();
        let pull = async move {
            let result = match daemon.metrics.pull.within(LIMIT, fetch(&daemon, &image, login)).await {
                Ok(result) => result.map_err(|error| Arc::from(error.to_string())),
                Err(_) => Err(Arc::from(format!("it takes longer than {} s", LIMIT.as_secs()))),
            };
            under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&image);
            result
        };
        pull.boxed().shared()
    }
}

/// Fetches an image and says so.
async fn fetch(daemon: &Daemon, image: &str, login: Option<Login>) -> Result<(), Error> {
    let credentials = login.map(|login| DockerCredentials {
        username: Some(login.credentials.user),
        password: Some(login.credentials.password.0),
        serveraddress: login.registry.split('/').next().map(str::to_owned),
        ..Default::default()
    });
    let options = CreateImageOptionsBuilder::new().from_image(image).build();
    let mut steps = daemon.docker.create_image(Some(options), None, credentials);
    let begun = Instant::now();
    let mut ticks = interval_at(begun + TOLD_EVERY, TOLD_EVERY);
    let mut progress = Progress::default();
    loop {
        tokio::select! {
            step = steps.next() => match step {
                Some(Ok(step)) => if progress.note(&step) {
                    info!(image, "pulling {image}");
                },
                Some(Err(error)) => return Err(error),
                None => break,
            },
            _ = ticks.tick() => {
                info!(image, bytes = progress.bytes(), "pulling {image}: {progress}");
            }
        }
    }
    let (duration_ms, bytes) = (begun.elapsed().as_millis(), progress.bytes());
    match progress.has_begun() {
        true => info!(image, bytes, duration_ms, "pulled {image} in {duration_ms} ms: {progress}"),
        false => debug!(image, duration_ms, "{image} is up to date"),
    }
    Ok(())
}

/// Without a tag the daemon would pull all of them.
fn with_tag(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or_default();
    if image.contains('@') || last.contains(':') { image.to_owned() } else { format!("{image}:latest") }
}

#[cfg(test)]
mod tests {
    use common::config::images::Registry;
    use common::operator::Password;

    use super::*;

    #[test]
    fn an_untagged_image_is_the_latest() {
        for (image, expected) in [
            ("busybox", "busybox:latest"),
            ("me/busybox:1", "me/busybox:1"),
            ("host:5000/me/busybox", "host:5000/me/busybox:latest"),
            ("host:5000/me/busybox:1", "host:5000/me/busybox:1"),
            ("busybox@sha256:00", "busybox@sha256:00"),
        ] {
            assert_eq!(with_tag(image), expected);
        }
    }

    #[test]
    fn credentials_go_to_their_registry_alone() {
        let credentials = RegistryCredentials { user: "me".into(), password: Password("s3cret".into()) };
        let settings = ContainerFactoryConfig {
            user_images_registry: Registry {
                url: "example.org/team/".into(),
                credentials: Some(credentials.clone()),
            },
            // Nowhere in particular: not sent anywhere.
            runtimes_registry: Registry { url: String::new(), credentials: Some(credentials) },
        };
        let logins = Login::all(&settings);
        assert_eq!(logins.len(), 1);
        for (image, expected) in [
            ("example.org/team/a", true),
            ("example.org/teams/a", false),
            ("example.org/a", false),
            ("example.org.evil/team/a", false),
            ("a", false),
        ] {
            assert_eq!(logins[0].is_for(image), expected, "{image}");
        }
        assert!(!format!("{logins:?}").contains("s3cret"));
    }
}
