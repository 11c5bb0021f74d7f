//! Activations that the controller records itself: those of triggers, sequences and compositions.
//!
//! Each is entered in the controller's journal before its id leaves, so that it gets a record also if the
//! process ends in between: then a later run stores a whisk error, with the components that had been begun.
//! Once it has ended its record is in the journal too, so that what somebody was answered stands.

use std::sync::Arc;

use bytes::Bytes;
use common::clock::{Clock, Millis};
use common::config::activation::ActivationConfig;
use common::entity::activation::{Activation, ActivationHead, Response, Status};
use common::entity::id::ActivationId;
use common::events::Events;
use common::journal::{Abandoned, Journal, JournalError, OpenEntry};
use common::record::{Wish, writer::RecordWriter};
use common::trace::Trace;
use serde::{Deserialize, Serialize};
use tracing::{error, info, warn};

/// What the record says of an activation that a crash ended.
const INTERRUPTED: &str = "The controller that ran this activation came to an end before it did.";

/// An activation that has begun.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Begun {
    /// As it is known now: without an end.
    pub head: ActivationHead,
    /// Whether its record is wanted.
    pub wish: Wish,
}

/// How an entry of the journal looks, and no order for an invoker does.
#[derive(Serialize)]
struct Entry<'a> {
    begun: &'a Begun,
}

#[derive(Deserialize)]
struct Read {
    begun: Begun,
}

/// The keeper of such records.
#[derive(Clone)]
pub struct Records {
    journal: Arc<Journal>,
    writer: RecordWriter,
    levels: ActivationConfig,
    clock: Arc<dyn Clock>,
    events: Events,
}

impl Records {
    /// Over a journal of this process.
    pub fn new(
        journal: Arc<Journal>,
        writer: RecordWriter,
        levels: ActivationConfig,
        clock: Arc<dyn Clock>,
        events: Events,
    ) -> Self {
        Self { journal, writer, levels, clock, events }
    }

    /// Enters an activation whose id nobody knows yet.
    pub fn open(&self, begun: &Begun) -> Result<(), JournalError> {
        let text = serde_json::to_vec(&Entry { begun }).expect("it serializes to JSON");
        self.journal.accepted(begun.head.activation_id, begun.head.start, &Bytes::from(text))
    }

    /// Notes all components that were begun so far, in their order.
    pub fn progressed(&self, id: ActivationId, components: &[ActivationId]) {
        let text = serde_json::to_vec(components).expect("ids serialize to JSON");
        if let Err(error) = self.journal.outcome(id, Bytes::from(text)) {
            warn!(activation.id = %id, "the journal cannot be written: {error}");
        }
    }

    /// Ends an activation that was opened: whoever waits for it may be answered after this. Its record is
    /// stored, unless nobody wants it. Waits while the store is behind.
    pub async fn store(&self, record: Activation, wish: &Wish, trace: &Trace) {
        let id = record.head.activation_id;
        let text = serde_json::to_vec(&record).expect("a record serializes to JSON");
        if let Err(error) = self.journal.outcome(id, Bytes::from(text)) {
            warn!(activation.id = %id, "the journal cannot be written: {error}");
        }
        if wish.is_stored(record.response.status, &self.levels) {
            self.writer.store(record, trace).await;
        } else {
            self.writer.skip(id).await;
        }
    }

    /// Strikes out an activation that came to nothing, and whose id nobody was given.
    pub async fn abandon(&self, id: ActivationId) {
        self.writer.skip(id).await;
    }

    /// Takes in what an earlier run left and ends what of it is recorded here; returns the rest, of which this
    /// journal then knows. That of the earlier run goes.
    pub async fn take_up(&self, mut abandoned: Abandoned) -> Vec<OpenEntry> {
        let entries = abandoned.take_entries();
        if !entries.is_empty() {
            info!(run = abandoned.run(), "an earlier run left {} activations open", entries.len());
        }
        // All of it is here before any of it is gone.
        for entry in &entries {
            if let Err(error) = self.journal.inherit(entry) {
                error!(run = abandoned.run(), "what an earlier run left stays where it is: {error}");
                return Vec::new();
            }
        }
        if let Err(error) = abandoned.remove() {
            warn!("the journal of an earlier run cannot be removed: {error}");
        }
        let mut others = Vec::new();
        for entry in entries {
            match serde_json::from_slice(&entry.message) {
                Ok(Read { begun }) => self.finish(begun, entry.outcome.as_deref()).await,
                Err(_) => others.push(entry),
            }
        }
        others
    }

    async fn finish(&self, begun: Begun, known: Option<&[u8]>) {
        let Begun { mut head, wish } = begun;
        if let Some(Ok(record)) = known.map(serde_json::from_slice::<Activation>) {
            return self.store(record, &wish, &Trace::default()).await;
        }
        let components: Vec<ActivationId> =
            known.and_then(|text| serde_json::from_slice(text).ok()).unwrap_or_default();
        let now = self.clock.now();
        head.end = Some(now);
        head.duration = Some(now.since(head.start));
        let response = Response::error(Status::WhiskError, INTERRUPTED);
        let logs = components.iter().map(ToString::to_string).collect();
        self.store(Activation { head, response, logs }, &wish, &Trace::default()).await;
    }

    /// Who measures is told of what has ended.
    pub fn events(&self) -> &Events {
        &self.events
    }

    /// The time of day.
    pub fn now(&self) -> Millis {
        self.clock.now()
    }
}

#[cfg(test)]
mod tests {
    use common::clock::VirtualClock;
    use common::entity::name::EntityName;
    use common::entity::parameters::Parameters;
    use common::entity::version::SemVer;
    use common::journal;
    use common::metrics::shared::RecordMetrics;
    use common::shutdown::Shutdown;
    use common::store::sqlite::SqliteStores;
    use common::store::{ActivationStore, Certainty};

    use super::*;

    const NOW: Millis = Millis(1_000_000);

    struct Run {
        records: Records,
        activations: Arc<dyn ActivationStore>,
        shutdown: Shutdown,
    }

    async fn run(dir: &std::path::Path) -> Run {
        let journal = Arc::new(Journal::create(dir, 1 << 20, 1 << 20).unwrap());
        let activations = SqliteStores::open(dir).await.unwrap().activations;
        let (writer, writing) = RecordWriter::new(
            activations.clone(),
            journal.clone(),
            Certainty::Known,
            RecordMetrics::default(),
        );
        let shutdown = Shutdown::new();
        shutdown.spawn("records", writing);
        let clock = Arc::new(VirtualClock::at(NOW));
        let records = Records::new(journal, writer, ActivationConfig::default(), clock, Events::default());
        Run { records, activations, shutdown }
    }

    fn begun() -> Begun {
        let head = ActivationHead {
            namespace: EntityName::parse("guest").unwrap(),
            name: EntityName::parse("s").unwrap(),
            version: SemVer::FIRST,
            publish: false,
            subject: "guest".into(),
            activation_id: ActivationId::generate(),
            cause: None,
            start: Millis(NOW.0 - 5),
            end: None,
            duration: None,
            annotations: Parameters::new().with("kind", "sequence"),
        };
        Begun { head, wish: Wish { blocking: false, extra_logging: false, store_activations: None } }
    }

    #[tokio::test]
    async fn what_a_crash_left_gets_a_record() {
        let dir = tempfile::tempdir().unwrap();
        let dead = run(dir.path()).await;
        let (open, ended, unwanted) = (begun(), begun(), begun());
        let unwanted = Begun { wish: Wish { store_activations: Some(false), ..unwanted.wish }, ..unwanted };
        for begun in [&open, &ended, &unwanted] {
            dead.records.open(begun).unwrap();
        }
        let components = [ActivationId::generate(), ActivationId::generate()];
        dead.records.progressed(open.head.activation_id, &components[..1]);
        dead.records.progressed(open.head.activation_id, &components);
        // As a crash between the answer and the store would leave it.
        let result = Response::error(Status::ApplicationError, "x");
        let record = Activation { head: ended.head.clone(), response: result, logs: Vec::new() };
        let text = serde_json::to_vec(&record).unwrap();
        dead.records.journal.outcome(ended.head.activation_id, text.into()).unwrap();
        drop(dead.records);
        assert!(dead.shutdown.finish(std::time::Duration::from_secs(10)).await);

        let heir = run(dir.path()).await;
        for run in journal::take_over(dir.path(), |_| true).unwrap() {
            assert!(heir.records.take_up(run).await.is_empty());
        }
        assert!(journal::take_over(dir.path(), |_| true).unwrap().is_empty(), "its journal is gone");
        let Run { records, activations, shutdown } = heir;
        drop(records);
        assert!(shutdown.finish(std::time::Duration::from_secs(10)).await);
        let get = async |begun: &Begun| {
            activations.get(&begun.head.namespace, begun.head.activation_id).await.unwrap()
        };
        let broken = get(&open).await.unwrap();
        assert_eq!(broken.response.status, Status::WhiskError);
        assert_eq!(broken.logs, components.map(|id| id.to_string()));
        assert_eq!((broken.head.end, broken.head.duration), (Some(NOW), Some(5)));
        assert_eq!(get(&ended).await.unwrap().response.status, Status::ApplicationError);
        assert!(get(&unwanted).await.is_none());
    }
}
