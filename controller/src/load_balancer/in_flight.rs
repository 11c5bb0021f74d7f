//! The book of activations in flight: whose they are, who waits, and when they count as lost.
//!
//! An entry is made before the order leaves and goes with the acknowledgement that frees the slot, or at
//! its deadline. A result alone leaves the entry, since its slot is still taken
//! (`.../core/loadBalancer/CommonLoadBalancer.scala`).

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::entity::id::{ActivationId, TransactionId};
use common::entity::name::Fqn;
use common::message::ack::{Ack, AckResult};
use common::message::activation::ActivationMessage;
use common::telemetry::span;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::Span;

use super::ledger::Left;
use super::schedule::Partition;
use super::slots::Claim;

/// What an activation takes, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Booking {
    /// The invoker's number.
    pub invoker: u32,
    /// Whose share of the invokers it came from.
    pub partition: Partition,
    /// What is taken of the invoker.
    pub claim: Claim,
}

/// One activation that was ordered and has not freed its slot.
#[derive(Debug)]
pub struct Entry {
    /// The uuid of the namespace that it counts for.
    pub namespace: Arc<str>,
    /// What runs, with version.
    pub action: Fqn,
    /// The request, or the part of it that this is.
    pub transid: TransactionId,
    /// When it counts as lost.
    pub deadline: Instant,
    /// Who waits for its result.
    pub waiter: Option<oneshot::Sender<AckResult>>,
    /// What is booked for it, where memory is booked.
    pub booking: Option<Booking>,
}

impl Entry {
    /// What is done for it.
    pub fn span(&self, id: ActivationId) -> Span {
        span::activation(&self.transid, id, &self.action)
    }
}

/// What an acknowledgement was good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A result; the slot is still taken.
    Result,
    /// The slot is free.
    Completed,
    /// The activation had been given up, or was never here.
    Unknown,
}

#[derive(Default)]
struct Book {
    entries: HashMap<ActivationId, Entry>,
    namespaces: HashMap<Arc<str>, u64>,
}

impl Book {
    fn remove(&mut self, id: ActivationId) -> Option<Entry> {
        let entry = self.entries.remove(&id)?;
        if let Some(count) = self.namespaces.get_mut(&entry.namespace) {
            *count -= 1;
            if *count == 0 {
                self.namespaces.remove(&entry.namespace);
            }
        }
        Some(entry)
    }
}

/// All activations in flight of one controller.
#[derive(Default)]
pub struct InFlight(Mutex<Book>);

impl InFlight {
    fn lock(&self) -> MutexGuard<'_, Book> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Enters an activation.
    pub fn open(&self, id: ActivationId, entry: Entry) {
        let mut book = self.lock();
        *book.namespaces.entry(entry.namespace.clone()).or_default() += 1;
        book.entries.insert(id, entry);
    }

    /// Enters what an earlier run left in flight. Where it was booked is not known any more.
    pub fn take_up(&self, left: Vec<Left>) {
        for Left { message, remaining_ms } in left {
            let deadline = Instant::now() + Duration::from_millis(remaining_ms);
            let ActivationMessage { user, action, transid, activation_id, .. } = message;
            let namespace = user.namespace.uuid;
            let entry = Entry { namespace, action, transid, deadline, waiter: None, booking: None };
            self.open(activation_id, entry);
        }
    }

    /// Strikes out an activation that was not taken.
    pub fn close(&self, id: ActivationId) -> Option<Entry> {
        self.lock().remove(id)
    }

    /// Does what an acknowledgement says. The slot is free, and `free` has been told so, before its result
    /// is known to anyone, so that whoever goes on with it finds room.
    pub fn hear(&self, ack: Ack, free: impl FnOnce(&Entry)) -> Heard {
        let id = ack.activation_id();
        let (waiter, heard, response) = match ack {
            Ack::Result { response, .. } => match self.lock().entries.get_mut(&id) {
                Some(entry) => (entry.waiter.take(), Heard::Result, Some(response)),
                None => return Heard::Unknown,
            },
            Ack::Completion { .. } => match self.close(id) {
                Some(entry) => {
                    free(&entry);
                    (entry.waiter, Heard::Completed, None)
                }
                None => return Heard::Unknown,
            },
            Ack::Combined { response, .. } => match self.close(id) {
                Some(entry) => {
                    free(&entry);
                    (entry.waiter, Heard::Completed, Some(response))
                }
                None => return Heard::Unknown,
            },
        };
        if let (Some(waiter), Some(response)) = (waiter, response) {
            // Whoever waited may have gone.
            let _ = waiter.send(response);
        }
        heard
    }

    /// Gives up every activation whose deadline is past, and returns them.
    pub fn overdue(&self, now: Instant) -> Vec<(ActivationId, Entry)> {
        let mut book = self.lock();
        let past = |(id, entry): (&ActivationId, &Entry)| (entry.deadline <= now).then_some(*id);
        let late: Vec<ActivationId> = book.entries.iter().filter_map(past).collect();
        late.into_iter().filter_map(|id| Some((id, book.remove(id)?))).collect()
    }

    /// How many a namespace has in flight.
    pub fn of(&self, namespace: &str) -> u64 {
        self.lock().namespaces.get(namespace).copied().unwrap_or(0)
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.lock().entries.len() as u64
    }

    /// All of them, with `ns/name@version`.
    pub fn list(&self) -> Vec<(ActivationId, String)> {
        self.lock().entries.iter().map(|(id, entry)| (*id, entry.action.to_string())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::clock::Millis;
    use common::entity::id::InvokerId;
    use common::entity::limits::ByteSize;

    fn enter(book: &InFlight, id: ActivationId) -> oneshot::Receiver<AckResult> {
        let (waiter, wait) = oneshot::channel();
        let action = Fqn::parse("ns/a").unwrap();
        let deadline = Instant::now() + Duration::from_secs(1);
        let (namespace, transid, waiter) = ("u".into(), transid(), Some(waiter));
        let entry = Entry { namespace, action, transid, deadline, waiter, booking: None };
        book.open(id, entry);
        wait
    }

    fn transid() -> TransactionId {
        TransactionId::system("sid_test", Millis(1))
    }

    fn completion(activation_id: ActivationId) -> Ack {
        let instance = InvokerId::new(0, ByteSize::from_mb(1));
        Ack::Completion { transid: transid(), activation_id, is_system_error: false, instance }
    }

    fn result(id: ActivationId) -> Ack {
        Ack::Result { transid: transid(), response: AckResult::Id(id) }
    }

    #[tokio::test]
    async fn a_result_answers_and_a_completion_frees() {
        let (book, id) = (InFlight::default(), ActivationId::generate());
        let mut wait = enter(&book, id);
        assert_eq!((book.of("u"), book.of("v"), book.count()), (1, 0, 1));
        let not_yet = |_: &Entry| unreachable!("nothing is freed");
        assert!(wait.try_recv().is_err());
        assert_eq!(book.hear(result(id), not_yet), Heard::Result);
        assert_eq!(wait.await.unwrap().activation_id(), id);
        assert_eq!(book.of("u"), 1);
        assert_eq!(book.hear(completion(id), |entry| assert_eq!(&*entry.namespace, "u")), Heard::Completed);
        assert_eq!((book.of("u"), book.count()), (0, 0));
        assert_eq!(book.hear(completion(id), not_yet), Heard::Unknown);
        assert_eq!(book.hear(result(id), not_yet), Heard::Unknown);
    }

    #[tokio::test]
    async fn one_message_can_do_both() {
        let (book, id) = (InFlight::default(), ActivationId::generate());
        let mut wait = enter(&book, id);
        let instance = InvokerId::new(0, ByteSize::from_mb(1));
        let response = AckResult::Id(id);
        let ack = Ack::Combined { transid: transid(), response, is_system_error: false, instance };
        assert_eq!(book.hear(ack, |_| assert!(wait.try_recv().is_err())), Heard::Completed);
        assert!(wait.await.is_ok());
        assert_eq!(book.count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_overdue_is_given_up() {
        let (book, id) = (InFlight::default(), ActivationId::generate());
        let wait = enter(&book, id);
        assert!(book.overdue(Instant::now()).is_empty());
        tokio::time::advance(Duration::from_secs(2)).await;
        let late = book.overdue(Instant::now());
        assert_eq!(late.len(), 1);
        drop(late);
        assert!(wait.await.is_err());
        assert_eq!(book.of("u"), 0);
    }
}
