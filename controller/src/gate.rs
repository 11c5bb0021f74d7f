//! Who is inside: so that a controller that goes away takes no new work and finishes what it has.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

/// Counts the requests that are being worked on, and can be shut.
#[derive(Debug, Default)]
pub struct Gate {
    is_shut: AtomicBool,
    inside: AtomicUsize,
    left: Notify,
}

/// One request inside.
#[derive(Debug)]
pub struct Visit<'a>(&'a Gate);

impl Gate {
    /// Comes in; `None` once the gate is shut.
    pub fn enter(&self) -> Option<Visit<'_>> {
        self.inside.fetch_add(1, Ordering::SeqCst);
        let visit = Visit(self);
        (!self.is_shut.load(Ordering::SeqCst)).then_some(visit)
    }

    /// Lets nobody in any more.
    pub fn close(&self) {
        self.is_shut.store(true, Ordering::SeqCst);
    }

    /// Whether nobody is let in.
    pub fn is_shut(&self) -> bool {
        self.is_shut.load(Ordering::SeqCst)
    }

    /// Lets nobody in any more, and waits until all have left, at most `grace`. Returns whether they have.
    pub async fn shut(&self, grace: Duration) -> bool {
        self.close();
        let empty = async {
            loop {
                let left = self.left.notified();
                if self.inside.load(Ordering::SeqCst) == 0 {
                    return;
                }
                left.await;
            }
        };
        tokio::time::timeout(grace, empty).await.is_ok()
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        if self.0.inside.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.left.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_shut_gate_waits_for_those_inside() {
        let gate = Gate::default();
        let visit = gate.enter().unwrap();
        assert!(!gate.shut(Duration::from_secs(1)).await);
        assert!(gate.enter().is_none());
        let leave = async {
            tokio::task::yield_now().await;
            drop(visit);
        };
        let (emptied, ()) = tokio::join!(gate.shut(Duration::from_secs(1)), leave);
        assert!(emptied);
    }
}
