//! Activation records: what stands in them, whether they are stored, and the task that stores them.
//!
//! Records are written in batches off the request's path. While the store is away they wait, in memory
//! as in the journal, whose limit stops new work; none is dropped.

use std::sync::Arc;
use std::time::Duration;

use common::clock::Millis;
use common::config::{ActivationConfig, StoreLevel};
use common::entity::activation::{Activation, ActivationHead, Response, Status};
use common::entity::id::ActivationId;
use common::entity::limits::ActionLimits;
use common::entity::parameters::Parameters;
use common::journal::Journal;
use common::message::activation::ActivationMessage;
use common::store::ActivationStore;
use tokio::sync::mpsc;
use tracing::{error, warn};

/// Records in one write.
const BATCH: usize = 256;
/// How long the first record of a batch waits for others.
const GATHER: Duration = Duration::from_millis(4);
/// Between attempts while the store is away.
const RETRY: Duration = Duration::from_millis(250);
/// Records that wait for the writer; who has one more waits with it.
const QUEUE: usize = 4096;

/// When an activation ran.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// When its initialization, or its run if there was none, began.
    pub start: Millis,
    /// When it ended.
    pub end: Millis,
    /// How long the initialization took, ms; none on a warm start.
    pub init: Option<u64>,
    /// Whether it reached its time limit.
    pub timed_out: bool,
}

impl Times {
    /// Of an activation that never ran.
    pub fn never_ran(now: Millis) -> Self {
        Self { start: now, end: now, init: None, timed_out: false }
    }
}

/// The record of an activation of a known action.
pub fn of_run(
    message: &ActivationMessage,
    kind: &str,
    limits: &ActionLimits,
    times: Times,
    response: Response,
) -> Activation {
    let mut annotations = Parameters::new()
        .with("path", &message.action.id())
        .with("kind", kind)
        .with("limits", limits)
        .with("waitTime", &times.start.since(message.transid.start))
        .with("timeout", &times.timed_out);
    if let Some(init) = times.init {
        annotations = annotations.with("initTime", &init);
    }
    record(message, annotations, times, response)
}

/// The record of an activation whose action could not be had.
pub fn fallback(message: &ActivationMessage, now: Millis, response: Response) -> Activation {
    let annotations = Parameters::new().with("path", &message.action.id()).with("kind", "unknown");
    record(message, annotations, Times::never_ran(now), response)
}

fn record(
    message: &ActivationMessage,
    mut annotations: Parameters,
    times: Times,
    response: Response,
) -> Activation {
    if message.cause.is_some() {
        annotations = annotations.with("causedBy", "sequence");
    }
    if let Some(binding) = &message.action.binding {
        annotations = annotations.with("binding", binding.as_str());
    }
    let head = ActivationHead {
        namespace: message.user.namespace.name.clone(),
        name: message.action.name.clone(),
        version: message.action.version.unwrap_or(common::entity::version::SemVer::FIRST),
        publish: false,
        subject: message.user.subject.to_string(),
        activation_id: message.activation_id,
        cause: message.cause,
        start: times.start,
        end: Some(times.end),
        duration: Some(times.end.since(times.start)),
        annotations,
    };
    Activation { head, response, logs: Vec::new() }
}

/// Whether a record is stored: by the namespace's wish, the caller's extra logging, and the level.
pub fn is_stored(message: &ActivationMessage, status: Status, config: &ActivationConfig) -> bool {
    let level = if message.blocking {
        config.store_blocking_result_level
    } else {
        config.store_non_blocking_result_level
    };
    let by_level = match level {
        StoreLevel::StoreAlways => true,
        StoreLevel::StoreFailures => status != Status::Success,
        StoreLevel::StoreFailuresNotApplicationErrors => status >= Status::DeveloperError,
    };
    message.user.limits.store_activations != Some(false) && (message.transid.extra_logging || by_level)
}

enum Order {
    Store(Box<Activation>),
    Skip(ActivationId),
}

/// The way to the task that stores records. When all handles are gone it writes what it has and ends.
#[derive(Clone)]
pub struct RecordWriter(mpsc::Sender<Order>);

impl RecordWriter {
    /// A handle, and the work that is to be spawned.
    pub fn new(
        store: Arc<dyn ActivationStore>,
        journal: Arc<Journal>,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (Self(sender), write(store, journal, receiver))
    }

    /// Stores a record, soon. Waits while the writer is behind.
    pub async fn store(&self, record: Activation) {
        self.send(Order::Store(Box::new(record))).await;
    }

    /// Tells the journal that this activation gets no record.
    pub async fn skip(&self, id: ActivationId) {
        self.send(Order::Skip(id)).await;
    }

    async fn send(&self, order: Order) {
        if self.0.send(order).await.is_err() {
            error!("a record came after its writer had ended; the next start stores it from the journal");
        }
    }
}

async fn write(store: Arc<dyn ActivationStore>, journal: Arc<Journal>, mut orders: mpsc::Receiver<Order>) {
    let mut batch = Vec::with_capacity(BATCH);
    while orders.recv_many(&mut batch, BATCH).await > 0 {
        if batch.len() < BATCH {
            tokio::time::sleep(GATHER).await;
            while batch.len() < BATCH {
                match orders.try_recv() {
                    Ok(order) => batch.push(order),
                    Err(_) => break,
                }
            }
        }
        let mut ids = Vec::with_capacity(batch.len());
        let mut records = Vec::with_capacity(batch.len());
        for order in batch.drain(..) {
            match order {
                Order::Skip(id) => ids.push(id),
                Order::Store(record) => {
                    ids.push(record.head.activation_id);
                    records.push(*record);
                }
            }
        }
        store_batch(&*store, &records).await;
        if let Err(error) = journal.stored(&ids) {
            warn!(%error, "the journal cannot be told what is stored; the next start stores it again: {error}");
        }
    }
}

async fn store_batch(store: &dyn ActivationStore, records: &[Activation]) {
    let mut told = false;
    while !records.is_empty() {
        match store.store(records).await {
            Ok(()) => break,
            Err(error) if !told => {
                told = true;
                let cause = anyhow::Error::from(error);
                error!(records = records.len(), "activation records cannot be stored and wait: {cause:#}");
            }
            Err(_) => {}
        }
        tokio::time::sleep(RETRY).await;
    }
    if told {
        tracing::info!(records = records.len(), "activation records are stored again");
    }
}
