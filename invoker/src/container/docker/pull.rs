//! Pulls images: callers that want the same one at the same time wait for one pull, and nothing is
//! remembered afterwards, so that a moved tag is seen by the next.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::anyhow;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures::future::{BoxFuture, FutureExt, Shared};
use futures::{StreamExt, TryStreamExt};
use tokio::time::timeout;

use super::daemon::Daemon;
use crate::container::RuntimeError;

/// Upstream's limit for `docker pull`.
const LIMIT: Duration = Duration::from_secs(600);

/// One at a time for an image; the error is shared, so it is text.
type Pulling = Shared<BoxFuture<'static, Result<(), Arc<str>>>>;

/// The pulls under way.
#[derive(Debug, Default)]
pub struct Pulls {
    under_way: Arc<Mutex<HashMap<String, Pulling>>>,
}

impl Pulls {
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
        let pull = async move {
            let options = CreateImageOptionsBuilder::new().from_image(&image).build();
            let progress = daemon.docker.create_image(Some(options), None, None);
            let ended = progress.map(|step| step.map(drop)).try_collect::<()>();
            let result = match timeout(LIMIT, ended).await {
                Ok(result) => result.map_err(|error| Arc::from(error.to_string())),
                Err(_) => Err(Arc::from("it takes too long")),
            };
            under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&image);
            result
        };
        pull.boxed().shared()
    }
}

/// Without a tag the daemon would pull all of them.
fn with_tag(image: &str) -> String {
    let last = image.rsplit('/').next().unwrap_or_default();
    if image.contains('@') || last.contains(':') { image.to_owned() } else { format!("{image}:latest") }
}

#[cfg(test)]
mod tests {
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
}
