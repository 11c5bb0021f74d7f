//! A container with what belongs to it: its client and its logs.

use std::time::Duration;

use tokio::sync::RwLock;
use tracing::{debug, warn};

use common::entity::limits::ByteSize;

use crate::container::client::RuntimeClient;
use crate::container::{Container, ContainerSpec, CreateError, EndCause, RuntimeError};
use crate::context::Context;
use crate::job::Job;
use crate::logs::LogCollector;

/// How long is waited for the reason of a lost connection (upstream's two seconds).
const CAUSE_WITHIN: Duration = Duration::from_secs(2);

/// A container that was made.
pub struct Shell {
    name: String,
    /// Taken when it is destroyed. Pausing and resuming hold it for writing, so that they take turns.
    container: RwLock<Option<Box<dyn Container>>>,
    /// Speaks to it.
    pub client: RuntimeClient,
    /// Reads its output.
    pub logs: LogCollector,
}

/// Makes a container for a job.
pub async fn create(context: &Context, name: &str, job: &Job) -> Result<Shell, CreateError> {
    let executable = &job.executable;
    let memory_mb = executable.action.limits.memory;
    let spec = ContainerSpec {
        name: name.to_owned(),
        kind: executable.action.exec.kind().to_owned(),
        image: executable.image.clone(),
        memory_mb,
        cpu_shares: cpu_shares(context.config.container_pool.user_memory, memory_mb),
        env: vec![
            ("__OW_API_HOST".to_owned(), context.runtime.api_host()),
            ("__OW_ALLOW_CONCURRENT".to_owned(), "true".to_owned()),
        ],
        pull: executable.pull,
    };
    let mut container = context.runtime.create(spec).await?;
    let Some(source) = container.take_logs() else {
        let gone = anyhow::anyhow!("its logs were taken by somebody else");
        return Err(CreateError::Provision(RuntimeError::failed("read the logs of", name, gone)));
    };
    let logs = LogCollector::new(source, container.log_framing(), context.clock.clone(), &context.tasks);
    logs.hold(ByteSize::from_mb(executable.action.limits.logs).bytes());
    let client = RuntimeClient::new(container.address());
    Ok(Shell { name: name.to_owned(), container: RwLock::new(Some(container)), client, logs })
}

/// Upstream's weight: a share of 1024 by memory, in whole parts.
fn cpu_shares(user_memory: ByteSize, memory_mb: u64) -> u64 {
    let parts = (user_memory.mb() / memory_mb.max(1)).max(1);
    (1024 / parts).max(2)
}

impl Shell {
    /// Pauses it; its connections are closed first.
    pub async fn suspend(&self) -> Result<(), ()> {
        self.client.close();
        let container = self.container.write().await;
        self.tell(
            "pause",
            match container.as_ref() {
                Some(container) => container.suspend().await,
                None => Ok(()),
            },
        )
    }

    /// Resumes it.
    pub async fn resume(&self) -> Result<(), ()> {
        let container = self.container.write().await;
        self.tell(
            "resume",
            match container.as_ref() {
                Some(container) => container.resume().await,
                None => Ok(()),
            },
        )
    }

    /// Why it stopped answering.
    pub async fn cause_of_end(&self) -> EndCause {
        match self.container.read().await.as_ref() {
            Some(container) => container.cause_of_end(CAUSE_WITHIN).await,
            None => EndCause::Exited(None),
        }
    }

    /// Removes it.
    pub async fn destroy(&self) {
        self.client.close();
        let container = self.container.write().await.take();
        if let Some(container) = container {
            let _ = self.tell("remove", container.destroy().await);
            debug!(container.name = self.name, "removed container {}", self.name);
        }
    }

    fn tell(&self, what: &str, outcome: Result<(), RuntimeError>) -> Result<(), ()> {
        outcome.map_err(|error| {
            let error = anyhow::Error::from(error);
            warn!(container.name = self.name, "cannot {what} container {}: {error:#}", self.name);
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_shares_follow_memory_in_whole_parts() {
        let shares = |user, mb| cpu_shares(ByteSize::from_mb(user), mb);
        assert_eq!((shares(2048, 256), shares(2048, 512), shares(1024, 1024)), (128, 256, 1024));
        assert_eq!((shares(1 << 20, 1), shares(128, 256)), (2, 1024));
    }
}
