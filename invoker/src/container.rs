//! Where actions run: a runtime makes containers, a container has an address, logs and an end.
//!
//! Docker for real isolation, local processes for machines without Docker. What a container speaks over
//! its address (`/init`, `/run`) is the same everywhere, so the client in [`client`] is no part of the
//! seam; neither are names, limits or environments, which the caller decides.
//! Errors carry what the caller must answer: the text of a [`CreateError`] is the one in the activation.

pub mod client;
pub mod docker;
pub mod freezer;
pub mod oom;
pub mod process;

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

/// Chunks of output that wait between a container's stream and its collector; a chunk is at most 32 KiB.
const LOG_CHUNKS: usize = 32;

/// Makes containers. One a process, held as `Arc<dyn ContainerRuntime>`.
#[async_trait]
pub trait ContainerRuntime: Send + Sync {
    /// `docker` or `process`: for logs, metrics and the start-up line.
    fn name(&self) -> &'static str;

    /// Where containers reach the platform's API: the value of `__OW_API_HOST` unless it is configured.
    fn api_host(&self) -> String;

    /// Since when the container daemon does not answer; nothing while it does. What is made or removed
    /// meanwhile waits for it, for a while.
    fn away(&self) -> watch::Receiver<Option<Instant>> {
        watch::channel(None).1
    }

    /// Starts a container. It may not listen yet; [`client::RuntimeClient::init`] waits for that.
    async fn create(&self, spec: ContainerSpec) -> Result<Box<dyn Container>, CreateError>;

    /// What compiles source for an image, if anything does.
    async fn builder_of(&self, _image: &str) -> Result<Option<Builder>, RuntimeError> {
        Ok(None)
    }

    /// Compiles source in a container of its own, which is gone when this returns; one that is dropped
    /// half-way is removed with the run. Returns the archive that the builder wrote.
    async fn build(&self, spec: BuildSpec) -> Result<Bytes, BuildError> {
        let why = anyhow::anyhow!("{} has no builders", self.name());
        Err(BuildError::Unavailable(RuntimeError::failed("compile with", spec.builder, why)))
    }

    /// Removes what an earlier run left behind and returns how many containers that were.
    async fn remove_run(&self, run: &str) -> Result<usize, RuntimeError>;

    /// Removes all that this runtime made: containers, network, firewall rules, directories.
    async fn close(&self) -> Result<(), RuntimeError>;
}

/// One container, owned by one container proxy.
#[async_trait]
pub trait Container: Send + Sync {
    /// The runtime's own id: Docker's, or the process group's.
    fn id(&self) -> &str;

    /// The name that the caller gave.
    fn name(&self) -> &str;

    /// Where it serves `/init` and `/run`.
    fn address(&self) -> SocketAddr;

    /// How an activation's end is found in its output.
    fn log_framing(&self) -> LogFraming;

    /// Whether it can mark its output with the activations that printed it, if it is told to at `/init`.
    fn marks_logs(&self) -> bool;

    /// Its output since its start. `None` when it was taken before.
    fn take_logs(&mut self) -> Option<LogSource>;

    /// Stops all its processes until [`Container::resume`]. Close the client's connections first.
    async fn suspend(&self) -> Result<(), RuntimeError>;

    /// Undoes [`Container::suspend`].
    async fn resume(&self) -> Result<(), RuntimeError>;

    /// Gives it less memory than it was made with, and the CPU weight that goes with it.
    async fn shrink(&self, memory_mb: u64, cpu_shares: u64) -> Result<(), RuntimeError>;

    /// Why it stopped answering. Waits at most `within` for it to end or to have been found out of memory.
    async fn cause_of_end(&self, within: Duration) -> EndCause;

    /// Removes it, suspended or not. What is gone already is no error.
    async fn destroy(self: Box<Self>) -> Result<(), RuntimeError>;
}

/// What a container is to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerSpec {
    /// Unique on the machine; letters, digits, `_`, `.`, `-`.
    pub name: String,
    /// The action's kind (`nodejs:20`, `blackbox`); what a process runtime chooses its launcher by.
    pub kind: String,
    /// The image, as Docker is to be asked for it.
    pub image: String,
    /// Memory limit; there is no swap.
    pub memory_mb: u64,
    /// Relative weight of its CPU time.
    pub cpu_shares: u64,
    /// The environment at start; all else goes through `/init` and `/run`.
    pub env: Vec<(String, String)>,
    /// Whether the image is pulled first.
    pub pull: Pull,
}

impl ContainerSpec {
    /// The kind without its version: `nodejs` of `nodejs:20`.
    pub fn family(&self) -> &str {
        self.kind.split(':').next().unwrap_or_default()
    }
}

/// An image that compiles source for another one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Builder {
    /// How it is called.
    pub image: String,
    /// Which it is: another one of the same name compiles differently.
    pub id: String,
}

/// One compilation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildSpec {
    /// Of the container; as in [`ContainerSpec::name`].
    pub name: String,
    /// The builder's image.
    pub builder: String,
    /// The function that is to be called.
    pub main: String,
    /// Text, or an archive.
    pub source: Bytes,
    /// Memory limit; there is no swap.
    pub memory_mb: u64,
    /// Processors.
    pub cpus: u32,
    /// How long it may take, the container's start included.
    pub within: Duration,
    /// The most bytes that it may write.
    pub max_output: usize,
}

/// Why source was not compiled.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// The compiler said this.
    #[error("it does not compile")]
    Rejected(String),
    /// It took too long.
    #[error("it takes too long to compile")]
    TimedOut,
    /// It took too much memory.
    #[error("compiling it takes too much memory")]
    OutOfMemory,
    /// What was made is too large.
    #[error("what it compiles to is too large")]
    TooLarge,
    /// There is no builder to be had.
    #[error("it cannot be compiled")]
    Unavailable(#[source] RuntimeError),
}

/// Whether an image is pulled before a container is made from it (upstream's
/// `core/invoker/src/main/scala/org/apache/openwhisk/core/containerpool/docker/DockerContainer.scala`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pull {
    /// A managed image: used as it lies here, pulled only if it is absent.
    Never,
    /// A user's image without a tag or tagged `latest`: a failed pull is the end.
    Always,
    /// A user's image with another tag: after a failed pull what lies here is tried.
    TryAlways,
}

/// How an activation's end is found in a container's output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFraming {
    /// Each response says in a header how many bytes each stream got: our images.
    Counted,
    /// A sentinel line ends each stream's part: upstream's images and users' own.
    Sentinels,
}

/// With this code ends, in our images, what has used up a heap of its own (`runtimes/java/Launcher.java`).
pub const HEAP_EXHAUSTED: i64 = 235;

/// Why a container stopped answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EndCause {
    /// It, or a process in it, was killed for want of memory.
    OutOfMemory,
    /// It had written more than it may, and was killed.
    OutOfDisk,
    /// Its main process ended, with this code if one is known (128 + signal for a signal).
    Exited(Option<i64>),
    /// It still runs.
    Running,
}

/// Why there is no container. The text is what the activation's record says; the source is for the log.
#[derive(Debug, thiserror::Error)]
pub enum CreateError {
    /// A whisk error: the platform's fault.
    #[error("Failed to provision resources to run the action.")]
    Provision(#[source] RuntimeError),
    /// A whisk error: what runs such actions is in an image, and there are no containers here.
    #[error("Actions of the kind '{kind}' run in containers only, and this platform has no Docker.")]
    NoContainers {
        /// As the action names it.
        kind: String,
    },
    /// A developer error: the image is not to be had.
    #[error("Failed to pull container image '{image}'.")]
    ImagePull {
        /// As the action names it.
        image: String,
        /// What the daemon or registry said.
        #[source]
        source: RuntimeError,
    },
    /// A whisk error: without Docker, this machine's own interpreter would run the action.
    #[error(
        "There is no '{program}' on this machine to run {kind} with: install it (Debian's package: {package}), or let \
         actions run in Docker."
    )]
    NoInterpreter {
        /// The kind of the action.
        kind: String,
        /// The program that is missing.
        program: String,
        /// What to install.
        package: &'static str,
    },
    /// A developer error: the image's command is not in it.
    #[error("executable file not found in image {image}")]
    CommandNotFound {
        /// As the action names it.
        image: String,
    },
}

/// A failed operation of a container runtime.
#[derive(Debug, thiserror::Error)]
pub enum RuntimeError {
    /// The daemon does not answer, or not in time. It may come back.
    #[error("cannot {operation} {subject}: the container daemon does not answer")]
    Unavailable {
        /// What was tried.
        operation: &'static str,
        /// On what.
        subject: String,
        /// Why it failed.
        #[source]
        source: anyhow::Error,
    },
    /// It was refused or went wrong; the same again would fail again.
    #[error("cannot {operation} {subject}")]
    Failed {
        /// What was tried.
        operation: &'static str,
        /// On what.
        subject: String,
        /// Why it failed.
        #[source]
        source: anyhow::Error,
    },
}

impl RuntimeError {
    /// A failure that trying again does not mend.
    pub fn failed(
        operation: &'static str,
        subject: impl Into<String>,
        source: impl Into<anyhow::Error>,
    ) -> Self {
        Self::Failed { operation, subject: subject.into(), source: source.into() }
    }

    /// Whether the same may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::Failed { .. } => false,
        }
    }
}

/// One of the two streams of output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogStream {
    /// Standard output.
    Stdout,
    /// Standard error.
    Stderr,
}

impl LogStream {
    /// `stdout` or `stderr`, as a log line names it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        }
    }
}

/// A piece of output, as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogChunk {
    /// Where it was written.
    pub stream: LogStream,
    /// When it arrived, in nanoseconds since 1970.
    pub at_nanos: u64,
    /// What was written; cut anywhere.
    pub bytes: Bytes,
}

/// The reading end of a container's output. Whoever holds it must keep reading: the container's writes
/// wait for it.
#[derive(Debug)]
pub struct LogSource(mpsc::Receiver<LogChunk>);

impl LogSource {
    /// A bounded pair.
    pub fn channel() -> (mpsc::Sender<LogChunk>, LogSource) {
        let (sender, receiver) = mpsc::channel(LOG_CHUNKS);
        (sender, LogSource(receiver))
    }

    /// The next piece; `None` after the container's end. Cancel safe.
    pub async fn next(&mut self) -> Option<LogChunk> {
        self.0.recv().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_text_of_a_create_error_is_upstreams() {
        let cause = || RuntimeError::failed("create", "wsk0_1_guest_hello", anyhow::anyhow!("no"));
        assert_eq!(
            CreateError::Provision(cause()).to_string(),
            "Failed to provision resources to run the action."
        );
        assert_eq!(
            CreateError::ImagePull { image: "a/b:c".into(), source: cause() }.to_string(),
            "Failed to pull container image 'a/b:c'."
        );
        assert_eq!(
            CreateError::CommandNotFound { image: "a/b".into() }.to_string(),
            "executable file not found in image a/b"
        );
    }
}
