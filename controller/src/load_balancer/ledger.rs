//! A controller's own journal of what it has in flight, so that every activation gets a record even if its
//! invoker never comes back, and even if the controller was started anew meanwhile.
//!
//! An order is in the journal before it leaves, and out of it once its slot is free. What nobody reports
//! in time gets a presumed record, which takes the place of no other. The embedded form has none: there
//! the invoker's journal lives and dies with the controller. Where an entry says when the order was
//! accepted, here stands when it counts as lost.

use std::sync::Arc;

use bytes::Bytes;
use common::clock::{Clock, Millis};
use common::config::ActivationConfig;
use common::entity::activation::Status;
use common::entity::id::ActivationId;
use common::journal::{Abandoned, Journal, JournalError};
use common::message::activation::ActivationMessage;
use common::record::{self, writer::RecordWriter};
use tracing::{debug, error, info, warn};

/// The journal of what is in flight.
pub struct Ledger {
    journal: Arc<Journal>,
    records: RecordWriter,
    levels: ActivationConfig,
    clock: Arc<dyn Clock>,
}

/// An order that an earlier run of some controller left open.
#[derive(Debug)]
pub struct Left {
    /// The order, without its content.
    pub message: ActivationMessage,
    /// In how many milliseconds it counts as lost.
    pub remaining_ms: u64,
}

impl Ledger {
    /// Over a journal of this process; `records` stores what is presumed.
    pub fn new(
        journal: Arc<Journal>,
        records: RecordWriter,
        levels: ActivationConfig,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self { journal, records, levels, clock }
    }

    /// Enters an order that counts as lost after so many milliseconds.
    pub fn open(&self, mut message: ActivationMessage, timeout_ms: u64) -> Result<(), JournalError> {
        // What a record does not need is not kept: neither parameters nor keys.
        message.content = None;
        message.user.authkey.key.clear();
        let text = serde_json::to_vec(&message).expect("a message of ours serializes to JSON");
        let deadline = Millis(self.clock.now().0.saturating_add(timeout_ms));
        self.journal.accepted(message.activation_id, deadline, &Bytes::from(text))
    }

    /// Strikes out an order whose slot is free, or that nobody took.
    pub fn close(&self, id: ActivationId) {
        if let Err(error) = self.journal.stored(&[id]) {
            warn!(activation.id = %id, "the journal cannot be written: {error}");
        }
    }

    /// Gives an order that is lost a presumed record. Waits while the store is behind.
    pub async fn give_up(&self, id: ActivationId) {
        let Some(text) = self.journal.message(id) else { return };
        match serde_json::from_slice::<ActivationMessage>(&text) {
            Ok(message) if record::is_stored(&message, Status::WhiskError, &self.levels) => {
                self.records.store(record::presumed(&message, self.clock.now())).await;
            }
            Ok(_) => self.records.skip(id).await,
            Err(error) => {
                error!(activation.id = %id, "a journalled order cannot be read: {error}");
                self.records.skip(id).await;
            }
        }
    }

    /// Takes up what an earlier run left open. Its journal goes once this one holds it.
    pub async fn take_up(&self, mut abandoned: Abandoned) -> Vec<Left> {
        let (entries, now) = (abandoned.take_entries(), self.clock.now());
        if !entries.is_empty() {
            info!(run = abandoned.run(), "an earlier run left {} activations in flight", entries.len());
        }
        let mut left = Vec::new();
        for entry in entries {
            if let Err(error) = self.journal.accepted(entry.id, entry.at, &entry.message) {
                debug!(activation.id = %entry.id, "an order is not taken up: {error}");
                continue;
            }
            match serde_json::from_slice(&entry.message) {
                Ok(message) => left.push(Left { message, remaining_ms: entry.at.since(now) }),
                Err(_) => self.give_up(entry.id).await,
            }
        }
        if let Err(error) = abandoned.remove() {
            warn!("the journal of an earlier run cannot be removed: {error}");
        }
        left
    }
}
