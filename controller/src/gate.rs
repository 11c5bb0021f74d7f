//! Who is inside: so that a controller that goes away takes no new work and finishes what it has.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

/// Counts the requests that are being worked on, and can be shut.
#[derive(Debug, Default)]
pub struct Gate(Arc<State>);

#[derive(Debug, Default)]
struct State {
    is_shut: AtomicBool,
    inside: AtomicUsize,
    left: Notify,
}

/// One request inside.
#[derive(Debug)]
pub struct Visit(Arc<State>);

impl Gate {
    /// Comes in; `None` once the gate is shut.
    pub fn enter(&self) -> Option<Visit> {
        let visit = self.stay();
        (!self.is_shut()).then_some(visit)
    }

    /// One more inside, shut or not: what a request that is inside leaves to be done after its answer.
    pub fn stay(&self) -> Visit {
        self.0.inside.fetch_add(1, Ordering::SeqCst);
        Visit(self.0.clone())
    }

    /// Lets nobody in any more.
    pub fn close(&self) {
        self.0.is_shut.store(true, Ordering::SeqCst);
    }

    /// Whether nobody is let in.
    pub fn is_shut(&self) -> bool {
        self.0.is_shut.load(Ordering::SeqCst)
    }

    /// Lets nobody in any more, and waits until all have left, at most `grace`. Returns whether they have.
    pub async fn shut(&self, grace: Duration) -> bool {
        self.close();
        let empty = async {
            loop {
                let left = self.0.left.notified();
                if self.0.inside.load(Ordering::SeqCst) == 0 {
                    return;
                }
                left.await;
            }
        };
        tokio::time::timeout(grace, empty).await.is_ok()
    }
}

impl Drop for Visit {
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
        let stayed = gate.stay();
        let leave = async {
            tokio::task::yield_now().await;
            drop(visit);
            tokio::task::yield_now().await;
            drop(stayed);
        };
        let (emptied, ()) = tokio::join!(gate.shut(Duration::from_secs(1)), leave);
        assert!(emptied);
    }
}
