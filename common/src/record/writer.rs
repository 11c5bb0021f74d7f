//! The task that stores records, off the request's path and in batches.
//!
//! While the store is away they wait, in memory as in the journal, whose limit stops new work; none is
//! dropped.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tracing::{Instrument, Span, error, info, warn};

use crate::entity::activation::Activation;
use crate::entity::id::ActivationId;
use crate::journal::Journal;
use crate::metrics::shared::RecordMetrics;
use crate::store::{ActivationStore, Certainty, StoreError, Unstorable};
use crate::telemetry::span::System;
use crate::trace::{Open, Trace};

/// Records in one write.
const BATCH: usize = 256;
/// How long the first record of a batch waits for others.
const GATHER: Duration = Duration::from_millis(4);
/// Between attempts while the store is away.
const RETRY: Duration = Duration::from_millis(250);
/// Records that wait for the writer; who has one more waits with it.
const QUEUE: usize = 4096;

enum Order {
    /// A record, when it came, the span of what it is stored for, and that of its trace.
    Store(Box<Activation>, Instant, Span, Open),
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
        certainty: Certainty,
        metrics: RecordMetrics,
    ) -> (Self, impl Future<Output = ()> + Send + 'static) {
        let (sender, receiver) = mpsc::channel(QUEUE);
        (
            Self(sender),
            write(store, journal, certainty, metrics, receiver).instrument(System::DbBatcher.span()),
        )
    }

    /// Stores a record, soon. Waits while the writer is behind. What is logged of the record belongs to the
    /// caller's span.
    pub async fn store(&self, record: Activation, trace: &Trace) {
        let open = trace.span("record");
        self.send(Order::Store(Box::new(record), Instant::now(), Span::current(), open)).await;
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

async fn write(
    store: Arc<dyn ActivationStore>,
    journal: Arc<Journal>,
    certainty: Certainty,
    metrics: RecordMetrics,
    mut orders: mpsc::Receiver<Order>,
) {
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
        let (mut records, mut spans) = (Vec::with_capacity(batch.len()), Vec::with_capacity(batch.len()));
        let mut handed_over = Vec::with_capacity(batch.len());
        let mut traced = Vec::with_capacity(batch.len());
        for order in batch.drain(..) {
            match order {
                Order::Skip(id) => ids.push(id),
                Order::Store(record, at, span, open) => {
                    handed_over.push(at);
                    ids.push(record.head.activation_id);
                    records.push(*record);
                    spans.push(span);
                    traced.push(open);
                }
            }
        }
        for Unstorable { id, cause, replaced } in store_batch(&*store, certainty, &records).await {
            let place = records.iter().position(|record| record.head.activation_id == id);
            let _entered = place.map(|place| spans[place].enter());
            if let Some(place) = place {
                traced[place].fail("the record cannot be stored");
            }
            match replaced {
                true => {
                    error!(activation.id = %id, "the record of {id} cannot be stored; an error takes its place: {cause}")
                }
                false => {
                    error!(activation.id = %id, "the record of {id} cannot be stored, and there is none: {cause}")
                }
            }
        }
        handed_over.into_iter().for_each(|at| metrics.stored(at));
        drop(traced);
        if let Err(error) = journal.stored(&ids) {
            warn!(%error, "the journal cannot be told what is stored; the next start stores it again: {error}");
        }
    }
}

async fn store_batch(
    store: &dyn ActivationStore,
    certainty: Certainty,
    records: &[Activation],
) -> Vec<Unstorable> {
    let (mut told, mut unstorable) = (false, Vec::new());
    while !records.is_empty() {
        match store_once(store, certainty, records).await {
            Ok(refused) => {
                unstorable = refused;
                break;
            }
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
        info!(records = records.len(), "activation records are stored again");
    }
    unstorable
}

async fn store_once(
    store: &dyn ActivationStore,
    certainty: Certainty,
    records: &[Activation],
) -> Result<Vec<Unstorable>, StoreError> {
    match certainty {
        Certainty::Known => store.store(records).await,
        Certainty::Presumed => store.presume(records).await,
    }
}
