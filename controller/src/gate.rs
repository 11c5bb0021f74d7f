//! Who is inside: so that a controller that goes away takes no new work and finishes what it has.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

/// Counts the requests that are being worked on, and can be shut. Clones are the same gate.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<State>);

#[derive(Debug, Default)]
struct State {
    is_shut: AtomicBool,
    inside: AtomicUsize,
    staying: AtomicUsize,
    left: Notify,
}

/// One request inside.
#[derive(Debug)]
pub struct Visit<'a>(&'a State);

/// Work that a request began and that goes on without it.
#[derive(Debug)]
pub struct Stay(Arc<State>);

impl Gate {
    /// Comes in; `None` once the gate is shut.
    pub fn enter(&self) -> Option<Visit<'_>> {
        self.0.inside.fetch_add(1, Ordering::SeqCst);
        let visit = Visit(&self.0);
        (!self.is_shut()).then_some(visit)
    }

    /// Lets what somebody inside has begun stay until it has ended, shut or not.
    pub fn stay(&self) -> Stay {
        self.0.inside.fetch_add(1, Ordering::SeqCst);
        self.0.staying.fetch_add(1, Ordering::SeqCst);
        Stay(self.0.clone())
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
        self.0.none(&self.0.inside, grace).await
    }

    /// Lets nobody in any more, and waits until nothing stays that goes on without a request, at most `grace`.
    /// Returns whether that is so.
    pub async fn calm(&self, grace: Duration) -> bool {
        self.close();
        self.0.none(&self.0.staying, grace).await
    }
}

impl State {
    async fn none(&self, count: &AtomicUsize, grace: Duration) -> bool {
        let none = async {
            loop {
                let left = self.left.notified();
                if count.load(Ordering::SeqCst) == 0 {
                    return;
                }
                left.await;
            }
        };
        tokio::time::timeout(grace, none).await.is_ok()
    }

    fn leave(&self, count: &AtomicUsize) {
        if count.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.left.notify_waiters();
        }
    }
}

impl Drop for Visit<'_> {
    fn drop(&mut self) {
        self.0.leave(&self.0.inside);
    }
}

impl Drop for Stay {
    fn drop(&mut self) {
        self.0.leave(&self.0.staying);
        self.0.leave(&self.0.inside);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_shut_gate_waits_for_those_inside() {
        let gate = Gate::default();
        let visit = gate.enter().unwrap();
        let stay = gate.stay();
        assert!(!gate.calm(Duration::from_secs(1)).await);
        drop(stay);
        assert!(gate.calm(Duration::from_secs(1)).await);
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
