//! Everything started is stopped: the only door to `tokio::spawn`, a word that says stop, and a wait
//! until all has stopped.
//!
//! A role holds one `Shutdown` and hands clones to what it starts. Tasks that live long listen to
//! [`Shutdown::requested`]; [`Shutdown::finish`] waits for all of them, at most for a grace period.

use std::future::Future;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

/// A shared word that says stop, and the list of tasks that must obey it.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    token: CancellationToken,
    tasks: TaskTracker,
}

impl Shutdown {
    /// A new one, with no task and no request.
    pub fn new() -> Self {
        Self::default()
    }

    /// A part that can be stopped on its own and is stopped with the whole; it has its own tasks.
    pub fn child(&self) -> Self {
        Self { token: self.token.child_token(), tasks: TaskTracker::new() }
    }

    /// Starts a task that [`Shutdown::finish`] waits for. The name is for logs and consoles. Its log lines
    /// belong to no transaction unless the work brings a span, whoever starts it.
    #[expect(clippy::disallowed_methods, reason = "this is the one door")]
    pub fn spawn<F>(&self, name: &'static str, work: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        let span = tracing::debug_span!(parent: None, "task", task = name);
        tokio::spawn(self.tasks.track_future(work.instrument(span)))
    }

    /// Says stop to every holder.
    pub fn request(&self) {
        self.token.cancel();
    }

    /// Whether someone said stop.
    pub fn is_requested(&self) -> bool {
        self.token.is_cancelled()
    }

    /// Returns once someone said stop. Cancel safe.
    pub async fn requested(&self) {
        self.token.cancelled().await;
    }

    /// Says stop and waits for the tasks, at most `grace`. Returns whether all have ended.
    pub async fn finish(&self, grace: Duration) -> bool {
        self.request();
        self.tasks.close();
        tokio::time::timeout(grace, self.tasks.wait()).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn finish_waits_for_tasks_that_obey() {
        let shutdown = Shutdown::new();
        let listener = shutdown.clone();
        let task = shutdown.spawn("obeys", async move { listener.requested().await });
        assert!(shutdown.finish(Duration::from_secs(5)).await);
        assert!(task.await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn finish_gives_up_on_a_task_that_does_not() {
        let shutdown = Shutdown::new();
        shutdown.spawn("deaf", std::future::pending::<()>());
        assert!(!shutdown.finish(Duration::from_secs(5)).await);
    }

    #[tokio::test]
    async fn a_child_stops_with_the_whole_and_not_the_other_way_round() {
        let whole = Shutdown::new();
        let part = whole.child();
        part.request();
        assert!(!whole.is_requested());
        let other = whole.child();
        whole.request();
        assert!(other.is_requested());
    }
}
