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
use common::config::activation::ActivationConfig;
use common::entity::activation::Activation;
use common::entity::id::ActivationId;
use common::journal::{Abandoned, Journal, JournalError};
use common::message::activation::ActivationMessage;
use common::record::{self, writer::RecordWriter};
use common::trace::Trace;
use tracing::{error, warn};

use crate::records::Records;

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
        let Some((text, result)) = self.journal.entry(id) else { return };
        let message: ActivationMessage = match serde_json::from_slice(&text) {
            Ok(message) => message,
            Err(error) => {
                error!(activation.id = %id, "a journalled order cannot be read: {error}");
                return self.records.skip(id).await;
            }
        };
        let result = result.and_then(|text| serde_json::from_slice(&text).ok());
        let presumed = record::presumed(&message, result, self.clock.now());
        if record::is_stored(&message, presumed.response.status, &self.levels) {
            self.records.store(presumed, &Trace::default()).await;
        } else {
            self.records.skip(id).await;
        }
    }

    /// Notes the result of an activation whose slot is still taken: somebody may have been answered with it,
    /// so that nothing else is presumed should its record never come.
    pub fn heard(&self, result: &Activation) {
        let id = result.head.activation_id;
        let text = serde_json::to_vec(result).expect("a record serializes to JSON");
        if let Err(error) = self.journal.outcome(id, Bytes::from(text)) {
            warn!(activation.id = %id, "the journal cannot be written: {error}");
        }
    }

    /// Takes up what an earlier run left open. Its journal goes once this one holds it.
    pub async fn take_up(&self, abandoned: Abandoned, own: &Records) -> Vec<Left> {
        let now = self.clock.now();
        let mut left = Vec::new();
        for entry in own.take_up(abandoned).await {
            match serde_json::from_slice(&entry.message) {
                Ok(message) => left.push(Left { message, remaining_ms: entry.at.since(now) }),
                Err(_) => self.give_up(entry.id).await,
            }
        }
        left
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use common::clock::VirtualClock;
    use common::entity::activation::{PRESUMED, Response, Status};
    use common::entity::id::{ControllerId, TransactionId};
    use common::entity::identity::{AuthKey, Identity, Namespace};
    use common::entity::name::{EntityName, Fqn};
    use common::events::Events;
    use common::journal;
    use common::metrics::shared::RecordMetrics;
    use common::shutdown::Shutdown;
    use common::store::sqlite::SqliteStores;
    use common::store::{ActivationStore, Certainty};

    use super::*;

    const NOW: Millis = Millis(1_000_000);

    fn message() -> ActivationMessage {
        let name = EntityName::parse("guest").unwrap();
        ActivationMessage {
            transid: TransactionId::system("sid_test", NOW),
            action: Fqn::parse("guest/hello").unwrap(),
            revision: None,
            user: Identity {
                subject: "guest".into(),
                namespace: Namespace { name, uuid: "u".into() },
                authkey: AuthKey { uuid: "u".into(), key: "s3cret".into() },
                rights: Vec::new(),
                limits: Arc::default(),
            },
            activation_id: ActivationId::generate(),
            root_controller_index: ControllerId::new("0"),
            blocking: false,
            content: Some(serde_json::from_str(r#"{"parameter":1}"#).unwrap()),
            init_args: Vec::new(),
            locked_args: BTreeMap::new(),
            cause: None,
            trace_context: None,
        }
    }

    struct Run {
        ledger: Ledger,
        own: Records,
        journal: Arc<Journal>,
        activations: Arc<dyn ActivationStore>,
        shutdown: Shutdown,
    }

    async fn run(dir: &std::path::Path) -> Run {
        let journal = Arc::new(Journal::create(dir, 1 << 20, 1 << 20).unwrap());
        let activations = SqliteStores::open(dir).await.unwrap().activations;
        let (records, writing) = RecordWriter::new(
            activations.clone(),
            journal.clone(),
            Certainty::Presumed,
            RecordMetrics::default(),
        );
        let shutdown = Shutdown::new();
        shutdown.spawn("records", writing);
        let (known, writing) = RecordWriter::new(
            activations.clone(),
            journal.clone(),
            Certainty::Known,
            RecordMetrics::default(),
        );
        shutdown.spawn("known records", writing);
        let (clock, levels) = (Arc::new(VirtualClock::at(NOW)), ActivationConfig::default());
        let own = Records::new(journal.clone(), known, levels.clone(), clock.clone(), Events::default());
        let ledger = Ledger::new(journal.clone(), records, levels, clock);
        Run { ledger, own, journal, activations, shutdown }
    }

    impl Run {
        /// Ends once all that was given up is stored.
        async fn end(self) -> Arc<dyn ActivationStore> {
            drop((self.ledger, self.own));
            assert!(self.shutdown.finish(std::time::Duration::from_secs(10)).await);
            self.activations
        }
    }

    #[tokio::test]
    async fn what_is_lost_gets_a_record_that_a_real_one_replaces() {
        let dir = tempfile::tempdir().unwrap();
        let run = run(dir.path()).await;
        let (lost, ended, known, answered) = (message(), message(), message(), message());
        let namespace = lost.user.namespace.name.clone();
        for message in [&lost, &ended, &known, &answered] {
            run.ledger.open(message.clone(), 60_000).unwrap();
        }
        run.ledger.heard(&record::fallback(&answered, NOW, Response::error(Status::ApplicationError, "y")));
        let (text, _) = run.journal.entry(lost.activation_id).unwrap();
        let text = String::from_utf8(text.to_vec()).unwrap();
        assert!(!text.contains("s3cret") && !text.contains("parameter"), "{text}");
        run.ledger.close(ended.activation_id);
        let real = record::fallback(&known, NOW, Response::error(Status::ApplicationError, "x"));
        run.activations.store(std::slice::from_ref(&real)).await.unwrap();
        for message in [&lost, &ended, &known, &answered] {
            run.ledger.give_up(message.activation_id).await;
        }
        let journal = run.journal.clone();
        let activations = run.end().await;
        assert_eq!(journal.open(), 0);
        let get = |message: &ActivationMessage| {
            let (activations, namespace, id) =
                (activations.clone(), namespace.clone(), message.activation_id);
            async move { activations.get(&namespace, id).await.unwrap() }
        };
        let presumed = get(&lost).await.unwrap();
        assert_eq!(presumed.response.status, Status::WhiskError);
        assert!(presumed.head.annotations.is_true(PRESUMED));
        assert!(get(&ended).await.is_none(), "it was heard of");
        let agreeing = get(&answered).await.unwrap();
        assert_eq!(agreeing.response.status, Status::ApplicationError, "as its caller was answered");
        assert!(agreeing.head.is_presumed());
        assert_eq!(get(&known).await.unwrap().response.status, Status::ApplicationError);
        let late = record::fallback(&lost, NOW, Response::error(Status::DeveloperError, "x"));
        activations.store(&[late]).await.unwrap();
        assert_eq!(get(&lost).await.unwrap().response.status, Status::DeveloperError);
    }

    #[tokio::test]
    async fn what_a_dead_controller_had_in_flight_is_taken_up() {
        let dir = tempfile::tempdir().unwrap();
        let dead = run(dir.path()).await;
        let orders = [message(), message()];
        dead.ledger.open(orders[0].clone(), 60_000).unwrap();
        dead.ledger.open(orders[1].clone(), 30_000).unwrap();
        drop(dead.end().await);
        let heir = run(dir.path()).await;
        let mut left = Vec::new();
        for run in journal::take_over(dir.path(), |_| true).unwrap() {
            left.extend(heir.ledger.take_up(run, &heir.own).await);
        }
        let found: Vec<_> = left.iter().map(|left| (left.message.activation_id, left.remaining_ms)).collect();
        assert_eq!(found, [(orders[0].activation_id, 60_000), (orders[1].activation_id, 30_000)]);
        assert_eq!(heir.journal.open(), 2);
        assert!(journal::take_over(dir.path(), |_| true).unwrap().is_empty(), "its journal is gone");
        heir.end().await;
    }
}
