//! What a reader has handed out and what became of it. Pure: facts in, decisions out.
//!
//! Messages may be accepted in any order, but the broker remembers one offset: the one up to which all is
//! accepted. What is refused holds up everything behind it.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use crate::clock::Millis;

/// A message as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Where it stands.
    pub offset: u64,
    /// What it says.
    pub body: Bytes,
    /// When it was written.
    pub written: Option<Millis>,
}

/// The state of every message that is not done with.
#[derive(Debug, Default)]
pub struct Ledger {
    open: BTreeSet<u64>,
    refused: BTreeMap<u64, Message>,
    next: u64,
}

impl Ledger {
    /// A message is handed out, for the first time or again.
    pub fn hand_out(&mut self, offset: u64) {
        self.open.insert(offset);
        self.next = self.next.max(offset + 1);
    }

    /// Its owner has it.
    pub fn accept(&mut self, offset: u64) {
        self.open.remove(&offset);
    }

    /// Its owner does not take it.
    pub fn refuse(&mut self, message: Message) {
        self.open.remove(&message.offset);
        self.refused.insert(message.offset, message);
    }

    /// The oldest message that was refused; while there is one, nothing new is handed out.
    pub fn refused(&self) -> Option<u64> {
        self.refused.keys().next().copied()
    }

    /// The oldest message that was refused, to be handed out again.
    pub fn again(&mut self) -> Option<Message> {
        let (offset, message) = self.refused.pop_first()?;
        self.hand_out(offset);
        Some(message)
    }

    /// Everything before this offset is accepted; 0 if nothing was handed out.
    pub fn accepted(&self) -> u64 {
        let open = self.open.first().copied();
        open.into_iter().chain(self.refused()).min().unwrap_or(self.next)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(offset: u64) -> Message {
        Message { offset, body: Bytes::new(), written: None }
    }

    #[test]
    fn what_is_accepted_ends_at_the_first_that_is_not() {
        let mut ledger = Ledger::default();
        assert_eq!(ledger.accepted(), 0);
        for offset in 5..10 {
            ledger.hand_out(offset);
        }
        for (accepted, all_before) in [(7, 5), (6, 5), (5, 8), (9, 8), (8, 10)] {
            ledger.accept(accepted);
            assert_eq!(ledger.accepted(), all_before, "after {accepted}");
        }
        // A topic may have gaps.
        ledger.hand_out(20);
        assert_eq!(ledger.accepted(), 20);
        ledger.accept(20);
        assert_eq!(ledger.accepted(), 21);
    }

    #[test]
    fn what_is_refused_comes_again_in_order_and_is_not_accepted() {
        let mut ledger = Ledger::default();
        for offset in 0..4 {
            ledger.hand_out(offset);
        }
        ledger.refuse(message(2));
        ledger.refuse(message(1));
        ledger.accept(0);
        ledger.accept(3);
        assert_eq!((ledger.accepted(), ledger.refused()), (1, Some(1)));
        assert_eq!(ledger.again(), Some(message(1)));
        ledger.accept(1);
        assert_eq!((ledger.accepted(), ledger.refused()), (2, Some(2)));
        assert_eq!(ledger.again(), Some(message(2)));
        ledger.refuse(message(2));
        assert_eq!((ledger.accepted(), ledger.refused()), (2, Some(2)));
        assert_eq!(ledger.again(), Some(message(2)));
        ledger.accept(2);
        assert_eq!((ledger.accepted(), ledger.refused(), ledger.again()), (4, None, None));
    }
}
