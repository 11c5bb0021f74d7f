//! Actions and their code, as an invoker gets them: from the store, once for each revision.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use common::entity::action::Action;
use common::entity::activation::{Response, Status};
use common::entity::exec::Exec;
use common::entity::limits::ActionLimitRanges;
use common::manifest::{ImageName, Manifest};
use common::message::activation::ActivationMessage;
use common::store::cache::{Cached, EntityCache, Lookup};
use common::store::{ArtifactStore, Revision, StoreError};
use tokio::time::{Instant, sleep};
use tracing::{error, warn};

use crate::container::Pull;
use crate::job::{Executable, Preparation};

/// Code that is kept for further cold starts, in bytes.
const CODE_CACHE: usize = 64 * 1024 * 1024;
/// Actions whose decisions are kept.
const MAX_EXECUTABLES: usize = 10_000;

/// How long an activation that was accepted waits for a store that is away.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two attempts.
const RETRY: Duration = Duration::from_millis(200);

const NOT_FOUND: &str = "Action could not be found or may have been deleted.";
const MISMATCH: &str = "Action version is not compatible and cannot be invoked.";
const NOT_FETCHED: &str = "Action could not be fetched.";

/// The actions that this invoker knows.
pub struct Actions {
    store: Arc<dyn ArtifactStore>,
    cache: Arc<EntityCache<Action>>,
    manifest: Arc<Manifest>,
    limits: ActionLimitRanges,
    /// Where users' images are that name no registry.
    user_registry: String,
    executables: Mutex<HashMap<String, Decided>>,
    code: Mutex<CodeCache>,
}

/// An action as it was read, and what was decided of it.
type Decided = (Arc<Cached<Action>>, Arc<Executable>);

#[derive(Default)]
struct CodeCache {
    texts: HashMap<String, Arc<str>>,
    order: VecDeque<String>,
    bytes: usize,
}

impl Actions {
    /// Over a store, with the system's limits and the registry of users' images. The manifest's images have
    /// theirs.
    pub fn new(
        store: Arc<dyn ArtifactStore>,
        cache: Arc<EntityCache<Action>>,
        manifest: Arc<Manifest>,
        limits: ActionLimitRanges,
        user_registry: String,
    ) -> Self {
        let (executables, code) = Default::default();
        Self { store, cache, manifest, limits, user_registry, executables, code }
    }

    /// The action that a message names, ready to run; or how the activation ends without it.
    pub async fn resolve(&self, message: &ActivationMessage) -> Result<Arc<Executable>, Response> {
        let id = message.action.id();
        let revision = message.revision.clone().map(Revision);
        let cached = match patiently(|| self.cache.get_at(&id, revision.as_ref())).await {
            Ok(Lookup::Found(cached)) => cached,
            Ok(Lookup::Missing) => return Err(Response::error(Status::ApplicationError, NOT_FOUND)),
            Ok(Lookup::OtherKind) | Err(StoreError::Corrupt { .. }) => {
                return Err(Response::error(Status::WhiskError, MISMATCH));
            }
            Err(error) => {
                error!(action.fqn = id, "action {id} cannot be fetched: {:#}", anyhow::Error::from(error));
                return Err(Response::error(Status::WhiskError, NOT_FETCHED));
            }
        };
        let executable = self.executable(id, cached)?;
        self.limits
            .for_namespace(&message.user.limits)
            .check_all(&executable.action.limits)
            .map_err(|error| Response::error(Status::ApplicationError, error.to_string()))?;
        Ok(executable)
    }

    fn executable(&self, id: String, cached: Arc<Cached<Action>>) -> Result<Arc<Executable>, Response> {
        let mut known = self.executables.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((of, executable)) = known.get(&id)
            && Arc::ptr_eq(of, &cached)
        {
            return Ok(executable.clone());
        }
        let executable = Arc::new(self.decide(&cached.entity)?);
        if known.len() >= MAX_EXECUTABLES {
            known.clear();
        }
        known.insert(id, (cached, executable.clone()));
        Ok(executable)
    }

    fn decide(&self, action: &Action) -> Result<Executable, Response> {
        let (image, pull, sentinels) = match &action.exec {
            Exec::Sequence { .. } => return Err(Response::error(Status::WhiskError, NOT_FETCHED)),
            Exec::Blackbox { image, .. } => {
                let native = self.manifest.is_native(image);
                let pull = if native { Pull::Never } else { pull(image) };
                (ImageName::at_registry(image, &self.user_registry), pull, native)
            }
            Exec::Code { kind, .. } => {
                let Some(runtime) = self.manifest.resolve(kind) else {
                    error!(kind, "kind {kind} is no longer in the runtimes manifest");
                    return Err(Response::error(Status::WhiskError, NOT_FETCHED));
                };
                (runtime.image.reference(), Pull::Never, runtime.sentinelled_logs)
            }
        };
        let executable = Executable::new(action.clone(), image, pull, sentinels);
        if pull != Pull::Never {
            // What a stranger's image says of builders is not asked.
            executable.preparation.set(Preparation::AsItIs).ok();
        }
        Ok(executable)
    }

    /// The code of an action, if it has any.
    pub async fn code(&self, executable: &Executable) -> Result<Option<Arc<str>>, Response> {
        let Some(reference) = executable.action.exec.code() else { return Ok(None) };
        if let Some(text) = self.code_cache().texts.get(&reference.digest) {
            return Ok(Some(text.clone()));
        }
        let failed = |why: String| {
            error!(action.fqn = %executable.action.fqn(), "the code of {} cannot be fetched: {why}", executable.action.fqn());
            Response::error(Status::WhiskError, NOT_FETCHED)
        };
        let bytes = match patiently(|| self.store.code(&reference.digest)).await {
            Ok(Some(bytes)) => bytes,
            Ok(None) => return Err(failed("it is not in the store".to_owned())),
            Err(error) => return Err(failed(format!("{:#}", anyhow::Error::from(error)))),
        };
        let text: Arc<str> =
            String::from_utf8(bytes.into()).map_err(|_| failed("it is not UTF-8".to_owned()))?.into();
        self.code_cache().keep(&reference.digest, &text);
        Ok(Some(text))
    }

    /// A text that was kept under this key, or a code's under its digest.
    pub fn kept(&self, key: &str) -> Option<Arc<str>> {
        self.code_cache().texts.get(key).cloned()
    }

    /// Keeps a text that was made of code.
    pub fn keep(&self, key: &str, text: &Arc<str>) {
        self.code_cache().keep(key, text);
    }

    fn code_cache(&self) -> std::sync::MutexGuard<'_, CodeCache> {
        self.code.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Reads from the store, again and again while it is away, at most for [`PATIENCE`].
async fn patiently<T, F>(read: impl Fn() -> F) -> Result<T, StoreError>
where
    F: Future<Output = Result<T, StoreError>>,
{
    let deadline = Instant::now() + PATIENCE;
    loop {
        match read().await {
            Err(error) if error.is_retryable() && Instant::now() < deadline => {
                warn!("the store is asked again: {:#}", anyhow::Error::from(error));
                sleep(RETRY).await;
            }
            other => return other,
        }
    }
}

impl CodeCache {
    fn keep(&mut self, digest: &str, text: &Arc<str>) {
        if text.len() > CODE_CACHE || self.texts.insert(digest.to_owned(), text.clone()).is_some() {
            return;
        }
        self.bytes += text.len();
        self.order.push_back(digest.to_owned());
        while self.bytes > CODE_CACHE {
            let Some(oldest) = self.order.pop_front() else { return };
            self.bytes -= self.texts.remove(&oldest).map_or(0, |text| text.len());
        }
    }
}

/// A user's image without a tag, or with the tag `latest`, must be fetched; with another it may be old.
fn pull(image: &str) -> Pull {
    let name = image.rsplit('/').next().unwrap_or(image);
    match name.split_once(':') {
        None | Some((_, "latest")) => Pull::Always,
        Some(_) => Pull::TryAlways,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_cache_is_bounded() {
        let mut cache = CodeCache::default();
        let text: Arc<str> = "x".repeat(CODE_CACHE / 2).into();
        for digest in ["a", "b", "c"] {
            cache.keep(digest, &text);
            cache.keep(digest, &text);
        }
        assert_eq!(cache.order, ["b", "c"]);
        assert_eq!(cache.bytes, CODE_CACHE / 2 * 2);
    }

    #[test]
    fn images_are_pulled_by_their_tags() {
        for (image, expected) in [
            ("a", Pull::Always),
            ("host:5000/a/b", Pull::Always),
            ("a/b:latest", Pull::Always),
            ("host:5000/a:1", Pull::TryAlways),
        ] {
            assert_eq!(pull(image), expected, "{image}");
        }
    }
}
