//! Source of compiled kinds becomes a program here, before its activation asks the pool for a container.
//!
//! An image that runs only programs names its builder in a label. What the builder makes of an action is
//! kept on disk under (builder, main, digest of the code), and is what `/init` is sent in the source's place.
//! Activations that want the same wait for one compilation; the memory of builders counts in the pool. What
//! a compiler refused is remembered, so that an action that does not compile costs one builder and not one
//! an invocation; what went wrong otherwise is tried again with the next one.

pub mod kept;
pub mod source;

use std::collections::{HashMap, VecDeque};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use common::clock::Clock;
use common::config::compiler::CompilerConfig;
use common::entity::activation::{Response, Status};
use common::shutdown::Shutdown;
use futures::FutureExt;
use futures::future::{BoxFuture, Shared};
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};
use tracing::{error, info, warn};

use crate::actions::Actions;
use crate::container::{BuildError, BuildSpec, Builder, ContainerRuntime, RuntimeError};
use crate::job::{Executable, Preparation};
use crate::metrics::InvokerMetrics;
use crate::pool::{Pool, Reservation, Stopping};
use kept::Kept;

/// The most bytes of a compiled action: as base64 it must fit the body of an `/init`.
const MAX_PROGRAM: usize = 48 * 1024 * 1024;
/// How much of a compiler's messages an activation shows.
const MAX_MESSAGES: usize = 16 * 1024;
/// How many refusals are remembered.
const MAX_REFUSALS: usize = 256;
/// How long what was found out about an image is believed.
const BELIEVED: Duration = Duration::from_secs(30);
/// How long an activation waits for a container daemon that is away.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two attempts.
const RETRY: Duration = Duration::from_millis(250);

const PROVISION: &str = "Failed to provision resources to run the action.";
/// Upstream's sentence where the compiler says nothing.
const NO_BINARY: &str = "The action failed to generate or locate a binary. See logs for details.";

/// What a container is initialized with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    /// Text, or base64.
    pub text: Arc<str>,
    /// Whether it is base64.
    pub binary: bool,
}

/// Why an activation has no code.
#[derive(Clone, Debug)]
pub enum NoCode {
    /// It ends like this.
    Answer(Response),
    /// The invoker stops: it stays in the journal.
    Stopping,
}

impl NoCode {
    /// How an activation ends that has its container already.
    pub fn response(self) -> Response {
        match self {
            Self::Answer(response) => response,
            Self::Stopping => Response::error(Status::WhiskError, PROVISION),
        }
    }
}

/// Compiles what needs it.
pub struct Compiler {
    inner: Arc<Inner>,
}

/// What a compiler is made of.
pub struct Parts {
    /// Runs builders.
    pub runtime: Arc<dyn ContainerRuntime>,
    /// Settings.
    pub settings: CompilerConfig,
    /// Where programs are kept.
    pub directory: PathBuf,
    /// What names of builder containers begin with.
    pub prefix: String,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// Requested when there is no time to wait.
    pub patience: Shutdown,
    /// Counts.
    pub metrics: InvokerMetrics,
}

struct Inner {
    runtime: Arc<dyn ContainerRuntime>,
    settings: CompilerConfig,
    kept: Kept,
    prefix: String,
    numbers: AtomicU64,
    room: Semaphore,
    patience: Shutdown,
    metrics: InvokerMetrics,
    builders: Mutex<HashMap<String, (Instant, Option<Builder>)>>,
    refusals: Mutex<VecDeque<(String, Response)>>,
    under_way: Mutex<HashMap<String, Compilation>>,
}

type Compilation = Shared<BoxFuture<'static, Result<Arc<str>, NoCode>>>;

/// One thing to compile.
struct Order {
    key: String,
    builder: String,
    main: String,
    fqn: String,
    source: Bytes,
}

impl Compiler {
    /// A compiler with an empty queue.
    pub fn new(parts: Parts) -> Self {
        let Parts { runtime, settings, directory, prefix, clock, patience, metrics } = parts;
        let inner = Inner {
            kept: Kept::new(directory, settings.cache.bytes(), clock),
            room: Semaphore::new(settings.parallel.max(1)),
            prefix,
            numbers: AtomicU64::new(0),
            runtime,
            settings,
            patience,
            metrics,
            builders: Mutex::default(),
            refusals: Mutex::default(),
            under_way: Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// What containers of an action are initialized with; compiles it if need be, in memory of the pool. Who
    /// holds a container already gives no pool, since it must not wait for another's. `None` without code.
    pub async fn code(
        &self,
        actions: &Actions,
        executable: &Executable,
        pool: Option<&Arc<Pool>>,
    ) -> Result<Option<Code>, NoCode> {
        let inner = &self.inner;
        if let Some(Preparation::Compiled(key)) = executable.preparation.get()
            && let Some(text) = inner.program(actions, key).await
        {
            return Ok(Some(Code { text, binary: true }));
        }
        let exec = &executable.action.exec;
        let as_it_is = |text| {
            executable.preparation.set(Preparation::AsItIs).ok();
            Ok(Some(Code { text, binary: exec.is_binary() }))
        };
        let (Some(text), Some(reference)) =
            (actions.code(executable).await.map_err(NoCode::Answer)?, exec.code())
        else {
            executable.preparation.set(Preparation::AsItIs).ok();
            return Ok(None);
        };
        if executable.preparation.get() == Some(&Preparation::AsItIs) {
            return as_it_is(text);
        }
        let Some(builder) = inner.builder(&executable.image).await? else { return as_it_is(text) };
        let Some(source) = source::of(&text, exec.is_binary()) else { return as_it_is(text) };
        let main = exec.main().unwrap_or("main").to_owned();
        let key = key(&builder, &main, &reference.digest);
        let text = match inner.program(actions, &key).await {
            Some(text) => text,
            None => {
                let fqn = executable.action.fqn().to_string();
                let order = Order { key: key.clone(), builder: builder.image, main, fqn, source };
                let text = match pool {
                    Some(pool) => Inner::compilation(inner, order, Some(pool.clone())).await?,
                    None => inner.compile(order, None).await?,
                };
                actions.keep(&key, &text);
                text
            }
        };
        executable.preparation.set(Preparation::Compiled(key)).ok();
        Ok(Some(Code { text, binary: true }))
    }
}

impl Inner {
    /// A program that was compiled before.
    async fn program(&self, actions: &Actions, key: &str) -> Option<Arc<str>> {
        if let Some(text) = actions.kept(key) {
            return Some(text);
        }
        let text: Arc<str> = STANDARD.encode(self.kept.get(key).await?).into();
        self.metrics.compilation("cached");
        actions.keep(key, &text);
        Some(text)
    }

    /// What compiles for an image. A daemon that is away is waited for.
    async fn builder(&self, image: &str) -> Result<Option<Builder>, NoCode> {
        let deadline = Instant::now() + PATIENCE;
        if let Some((at, builder)) = lock(&self.builders).get(image)
            && at.elapsed() < BELIEVED
        {
            return Ok(builder.clone());
        }
        loop {
            match self.runtime.builder_of(image).await {
                Ok(builder) => {
                    lock(&self.builders).insert(image.to_owned(), (Instant::now(), builder.clone()));
                    return Ok(builder);
                }
                Err(error) if error.is_retryable() && Instant::now() < deadline => {
                    warn!("the container daemon is asked again: {:#}", anyhow::Error::from(error));
                    tokio::select! {
                        () = self.patience.requested() => return Err(NoCode::Stopping),
                        () = sleep(RETRY) => {}
                    }
                }
                // Without its image an action has no container either, and without its builder no program.
                Err(error) => {
                    error!(
                        "{image} or what compiles for it is not to be had: {:#}",
                        anyhow::Error::from(error)
                    );
                    return Err(NoCode::Answer(Response::error(Status::WhiskError, PROVISION)));
                }
            }
        }
    }

    /// One for all who want the same.
    fn compilation(inner: &Arc<Self>, order: Order, pool: Option<Arc<Pool>>) -> Compilation {
        let mut under_way = lock(&inner.under_way);
        if let Some(compilation) = under_way.get(&order.key) {
            return compilation.clone();
        }
        let (inner, key) = (inner.clone(), order.key.clone());
        let compilation = async move {
            let key = order.key.clone();
            let result = inner.compile(order, pool).await;
            lock(&inner.under_way).remove(&key);
            result
        };
        let compilation = compilation.boxed().shared();
        under_way.insert(key, compilation.clone());
        compilation
    }

    async fn compile(&self, order: Order, pool: Option<Arc<Pool>>) -> Result<Arc<str>, NoCode> {
        if let Some((_, response)) = lock(&self.refusals).iter().find(|(key, _)| *key == order.key) {
            return Err(NoCode::Answer(response.clone()));
        }
        let built = async {
            // Never closed.
            let _permit = self.room.acquire().await;
            let wanted_mb = self.settings.memory.mb();
            let reservation = match pool {
                Some(pool) => Some(pool.reserve(wanted_mb).await.map_err(|Stopping| NoCode::Stopping)?),
                None => None,
            };
            let number = self.numbers.fetch_add(1, Ordering::Relaxed) + 1;
            let begun = Instant::now();
            let spec = BuildSpec {
                name: format!("{}_build_{number}", self.prefix),
                builder: order.builder.clone(),
                main: order.main,
                source: order.source,
                memory_mb: reservation.as_ref().map_or(wanted_mb, Reservation::memory_mb),
                cpus: self.settings.cpus,
                within: self.settings.timeout,
                max_output: MAX_PROGRAM,
            };
            Ok((self.runtime.build(spec).await, begun.elapsed().as_millis() as u64))
        };
        let (built, duration_ms) = tokio::select! {
            () = self.patience.requested() => return Err(NoCode::Stopping),
            built = built => built?,
        };
        match built {
            Ok(archive) => {
                let (fqn, bytes) = (&order.fqn, archive.len());
                info!(action.fqn = fqn, duration_ms, bytes, "compiled {fqn} in {duration_ms} ms");
                self.metrics.compilation("compiled");
                let text = STANDARD.encode(&archive).into();
                self.kept.put(&order.key, archive).await;
                Ok(text)
            }
            Err(error) => {
                self.metrics.compilation(outcome(&error));
                let is_final = matches!(error, BuildError::Rejected(_) | BuildError::TooLarge);
                let response = self.response(error, &order.builder);
                if is_final {
                    let mut refusals = lock(&self.refusals);
                    refusals.push_back((order.key, response.clone()));
                    if refusals.len() > MAX_REFUSALS {
                        refusals.pop_front();
                    }
                }
                Err(NoCode::Answer(response))
            }
        }
    }

    /// What the activation says.
    fn response(&self, error: BuildError, builder: &str) -> Response {
        let developer = |text: String| Response::error(Status::DeveloperError, text);
        match error {
            BuildError::Rejected(messages) => developer(shortened(&messages)),
            BuildError::TimedOut => {
                let limit = self.settings.timeout.as_millis();
                developer(format!("The action's code could not be compiled within {limit} milliseconds."))
            }
            BuildError::OutOfMemory => {
                let limit = self.settings.memory.mb();
                developer(format!("The compiler exhausted its memory of {limit} MB and was aborted."))
            }
            BuildError::TooLarge => {
                developer(format!("The action's code compiles to more than {MAX_PROGRAM} bytes."))
            }
            BuildError::Unavailable(error) => unavailable(builder, error),
        }
    }
}

/// A builder that is not to be had is the platform's fault.
fn unavailable(image: &str, error: RuntimeError) -> Response {
    error!("source for {image} cannot be compiled: {:#}", anyhow::Error::from(error));
    Response::error(
        Status::WhiskError,
        "The action's code could not be compiled: there is no compiler for it.",
    )
}

fn outcome(error: &BuildError) -> &'static str {
    match error {
        BuildError::Rejected(_) | BuildError::TooLarge => "rejected",
        BuildError::TimedOut => "timed_out",
        BuildError::OutOfMemory => "out_of_memory",
        BuildError::Unavailable(_) => "unavailable",
    }
}

/// The messages as an activation shows them: their beginning, where the first error is.
fn shortened(messages: &str) -> String {
    let messages = messages.trim();
    if messages.is_empty() {
        return NO_BINARY.to_owned();
    }
    let end = messages.floor_char_boundary(MAX_MESSAGES);
    match messages.len() - end {
        0 => messages.to_owned(),
        left => format!("{}\n… ({left} bytes more)", &messages[..end]),
    }
}

fn key(builder: &Builder, main: &str, code: &str) -> String {
    let mut digest = Sha256::new();
    for part in [&*builder.image, &builder.id, main, code] {
        digest.update((part.len() as u64).to_le_bytes());
        digest.update(part);
    }
    digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
