//! A container with what belongs to it: its client and its logs.

use std::time::Duration;

use tokio::sync::RwLock;
use tokio::time::{sleep, timeout};
use tracing::{debug, warn};

use common::entity::limits::ByteSize;

use crate::container::client::RuntimeClient;
use crate::container::{Container, ContainerSpec, CreateError, EndCause, Pull, RuntimeError};
use crate::context::Context;
use crate::job::{Executable, Job};
use crate::logs::LogCollector;
use crate::pool::keeper::Plan;

/// How long is waited for the reason of a lost connection (upstream's two seconds).
const CAUSE_WITHIN: Duration = Duration::from_secs(2);
/// What a container may still answer after its output has ended.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// How long a stem cell may take until it listens.
const LISTENS_WITHIN: Duration = Duration::from_secs(60);

/// A container that was made.
pub struct Shell {
    name: String,
    /// Taken when it is destroyed. Pausing and resuming hold it for writing, so that they take turns.
    container: RwLock<Option<Box<dyn Container>>>,
    /// Its memory, MB, as it was made.
    memory_mb: u64,
    /// Whether it was made for no job in particular, and listens.
    pub is_stem_cell: bool,
    /// Speaks to it.
    pub client: RuntimeClient,
    /// Reads its output.
    pub logs: LogCollector,
    marks_logs: bool,
}

/// What is to be made.
pub struct Request {
    kind: String,
    image: String,
    pull: Pull,
    memory_mb: u64,
    /// The log limit of the first job, MB.
    logs_mb: Option<u64>,
}

impl Request {
    /// A container for a job.
    pub fn of_job(job: &Job) -> Self {
        let executable = &job.executable;
        Self {
            kind: executable.action.exec.kind().to_owned(),
            image: executable.image.clone(),
            pull: executable.pull,
            memory_mb: executable.action.limits.memory,
            logs_mb: Some(executable.action.limits.logs),
        }
    }

    /// What it is made of.
    pub fn image(&self) -> &str {
        &self.image
    }

    /// A stem cell.
    pub fn of_stem_cell(plan: &Plan) -> Self {
        let (kind, image) = (plan.kind.clone(), plan.image.clone());
        Self { kind, image, pull: Pull::Never, memory_mb: plan.memory_mb, logs_mb: None }
    }
}

/// Makes a container. A stem cell is made once it listens.
pub async fn create(context: &Context, name: &str, request: Request) -> Result<Shell, CreateError> {
    let Request { kind, image, pull, memory_mb, logs_mb } = request;
    let spec = ContainerSpec {
        name: name.to_owned(),
        kind,
        image,
        memory_mb,
        cpu_shares: cpu_shares(context.config.container_pool.user_memory, memory_mb),
        env: vec![
            ("__OW_API_HOST".to_owned(), context.runtime.api_host()),
            ("__OW_ALLOW_CONCURRENT".to_owned(), "true".to_owned()),
        ],
        pull,
    };
    let mut container = tokio::select! {
        made = context.runtime.create(spec) => made?,
        () = gave_up(context) => {
            let source = anyhow::anyhow!("the invoker stops");
            let (operation, subject) = ("create container", name.to_owned());
            return Err(CreateError::Provision(RuntimeError::Unavailable { operation, subject, source }));
        }
    };
    let Some(source) = container.take_logs() else {
        let gone = anyhow::anyhow!("its logs were taken by somebody else");
        return Err(CreateError::Provision(RuntimeError::failed("read the logs of", name, gone)));
    };
    let logs = LogCollector::new(source, container.log_framing(), context.clock.clone(), &context.tasks);
    let client = RuntimeClient::new(container.address());
    let marks_logs = container.marks_logs();
    let shell = Shell {
        name: name.to_owned(),
        container: RwLock::new(Some(container)),
        memory_mb,
        is_stem_cell: logs_mb.is_none(),
        client,
        logs,
        marks_logs,
    };
    match logs_mb {
        Some(logs_mb) => shell.logs.hold(ByteSize::from_mb(logs_mb).bytes()),
        None => {
            let listens = tokio::select! {
                listens = timeout(LISTENS_WITHIN, shell.client.listens()) => listens.is_ok(),
                () = shell.logs.ended() => false,
            };
            if !listens {
                shell.destroy(context).await;
                let why = anyhow::anyhow!("it ended, or does not listen");
                return Err(CreateError::Provision(RuntimeError::failed("prewarm container", name, why)));
            }
        }
    }
    Ok(shell)
}

/// Returns once there is no time to wait for a container daemon, and it is away.
async fn gave_up(context: &Context) {
    context.patience.requested().await;
    let mut away = context.runtime.away();
    if away.wait_for(Option::is_some).await.is_err() {
        std::future::pending::<()>().await; // it is never away
    }
}

/// Upstream's weight: a share of 1024 by memory, in whole parts.
fn cpu_shares(user_memory: ByteSize, memory_mb: u64) -> u64 {
    let parts = (user_memory.mb() / memory_mb.max(1)).max(1);
    (1024 / parts).max(2)
}

impl Shell {
    /// Makes a stem cell its first job's: logs and memory are as the action says. Returns the memory, MB, if
    /// it is less than before.
    pub async fn adopt(&self, context: &Context, job: &Job) -> Result<Option<u64>, ()> {
        if !self.is_stem_cell {
            return Ok(None);
        }
        let limits = &job.executable.action.limits;
        self.logs.hold(job.executable.log_limit());
        if limits.memory >= self.memory_mb {
            return Ok(None);
        }
        let shares = cpu_shares(context.config.container_pool.user_memory, limits.memory);
        let container = self.container.read().await;
        let shrunk = match container.as_ref() {
            Some(container) => container.shrink(limits.memory, shares).await,
            None => Ok(()),
        };
        self.tell("shrink", shrunk).map(|()| Some(limits.memory))
    }

    /// Where runs of this action may overlap and the container can tell them apart: begins to, and returns
    /// the token that it must be told.
    pub fn mark_logs(&self, executable: &Executable) -> Option<String> {
        let marks = self.marks_logs && executable.may_overlap();
        marks.then(|| self.logs.mark(executable.log_limit()))
    }

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

    /// Removes it. A container daemon that is away is waited for: until then its memory is not free.
    pub async fn destroy(&self, context: &Context) {
        self.client.close();
        let container = self.container.write().await.take();
        if let Some(container) = container {
            tokio::select! {
                removed = container.destroy() => {
                    let _ = self.tell("remove", removed);
                    debug!(container.name = self.name, "removed container {}", self.name);
                }
                () = gave_up(context) => {
                    warn!(container.name = self.name, "container {} is left to the next start", self.name);
                }
            }
        }
    }

    /// Waits until it has ended for sure: its output may also end because the daemon went.
    pub async fn ended(&self) {
        self.logs.ended().await;
        sleep(LAST_WORDS).await;
        while self.cause_of_end().await == EndCause::Running {}
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
