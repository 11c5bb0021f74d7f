//! Reading: one task a reader, which hands out what comes and tells the broker what was accepted.
//!
//! Messages and everything else that a client has to say come by ways of their own, so that a reader which
//! takes nothing at present still hears of lost connections. What it does not take stays at the broker.

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::future::{BoxFuture, Either, pending};
use futures::{FutureExt, StreamExt};
use rdkafka::consumer::Consumer;
use rdkafka::consumer::stream_consumer::StreamPartitionQueue;
use rdkafka::error::KafkaResult;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{Offset, Timestamp};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until, timeout};
use tracing::{debug, info, warn};

use super::super::{BusError, Delivery, Receiver};
use super::client::{self, Context, Group, PARTITION};
use super::ledger::{Ledger, Message};
use crate::clock::{Clock, Millis, SystemClock};
use crate::metrics::shared::TopicMetrics;
use crate::shutdown::Shutdown;

/// How long what was accepted is gathered before it is committed: a commit costs the broker as much as a
/// message, and what comes again after a crash is known by its id.
const GATHER: Duration = Duration::from_millis(100);

/// How long a commit is put off that failed.
const COMMIT_PAUSE: Duration = Duration::from_secs(1);

/// How long what was refused is held.
const HOLD: Duration = Duration::from_millis(100);

/// Between two looks at how far behind a reader is.
const MEASURE: Duration = Duration::from_secs(10);

/// Messages that are handed out in one go.
const AT_ONCE: usize = 64;

/// A place in a topic, and who reads there.
pub struct Reader {
    group: Group,
    queue: StreamPartitionQueue<Context>,
    receiver: Arc<dyn Receiver>,
    remembers: bool,
    shared: Arc<Shared>,
    /// The broker knows that everything before this is accepted.
    committed: u64,
    /// The commit that is under way, and of what.
    committing: Option<(u64, BoxFuture<'static, KafkaResult<()>>)>,
    commit_at: Option<Instant>,
    /// The question that is under way where the topic ends.
    measuring: Option<BoxFuture<'static, KafkaResult<u64>>>,
    measure_at: Instant,
    again_at: Option<Instant>,
    /// The message that holds up the others, once that was said.
    held: Option<u64>,
    metrics: TopicMetrics,
}

/// What deliveries tell their reader.
#[derive(Default)]
struct Shared {
    ledger: Mutex<Ledger>,
    changed: Notify,
}

impl Shared {
    fn ledger(&self) -> MutexGuard<'_, Ledger> {
        self.ledger.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reader {
    /// Starts to read at that offset, or at the oldest message if that one is gone.
    pub fn start(
        group: Group,
        start: u64,
        remembers: bool,
        receiver: Arc<dyn Receiver>,
        metrics: TopicMetrics,
    ) -> Result<Self, BusError> {
        let task = || format!("let {} be read", group.name);
        // Before anything can come by the other way.
        let queue = group.consumer.split_partition_queue(&group.name, PARTITION);
        let queue = queue.ok_or_else(|| client::unavailable(task(), std::fmt::Error))?;
        let offset = Offset::Offset(i64::try_from(start).unwrap_or(i64::MAX));
        let place = group.at(offset).map_err(|error| client::unavailable(task(), error))?;
        group.consumer.assign(&place).map_err(|error| client::unavailable(task(), error))?;
        Ok(Self {
            group,
            queue,
            receiver,
            remembers,
            shared: Arc::default(),
            committed: start,
            committing: None,
            commit_at: None,
            measuring: None,
            measure_at: Instant::now(),
            again_at: None,
            held: None,
            metrics,
        })
    }

    /// Hands out what comes until the place is given up.
    pub async fn run(mut self, place: Shutdown, close: Duration) {
        let consumer = self.group.consumer.clone();
        let mut events = consumer.stream();
        let shared = self.shared.clone();
        loop {
            self.look();
            let commit = match &mut self.committing {
                Some((_, commit)) => Either::Left(commit),
                None => Either::Right(pending()),
            };
            let is_measuring = self.measuring.is_some();
            let end = match &mut self.measuring {
                Some(end) => Either::Left(end),
                None => Either::Right(pending()),
            };
            tokio::select! {
                biased;
                () = place.requested() => break,
                result = commit => self.committed(result),
                end = end => self.measured(end),
                () = sleep_until(self.measure_at), if !is_measuring => {
                    self.measuring = Some(self.group.end().boxed());
                }
                () = at(self.commit_at) => self.commit(),
                () = at(self.again_at) => self.hand_out_again(),
                () = shared.changed.notified() => {}
                // Said to the log already.
                _ = events.next() => {}
                message = next(&self.queue), if self.again_at.is_none() => {
                    self.hand_out(message);
                    // Many may be ready; others on this thread have their turn.
                    tokio::task::yield_now().await;
                }
            }
        }
        drop(events);
        drop(consumer);
        self.leave(close).await;
    }

    /// Plans what follows from the ledger.
    fn look(&mut self) {
        let (accepted, refused) = {
            let ledger = self.shared.ledger();
            (ledger.accepted(), ledger.refused())
        };
        let is_due = self.remembers && accepted > self.committed && self.committing.is_none();
        if is_due && self.commit_at.is_none() {
            self.commit_at = Some(Instant::now() + GATHER);
        }
        match refused {
            Some(offset) if self.again_at.is_none() => {
                if self.held != Some(offset) {
                    info!("{} is held at message {offset}", self.group.name);
                }
                self.held = Some(offset);
                self.again_at = Some(Instant::now() + HOLD);
            }
            Some(_) => {}
            None => self.again_at = None,
        }
    }

    fn commit(&mut self) {
        self.commit_at = None;
        let next = self.shared.ledger().accepted();
        self.committing = Some((next, self.group.commit(next).boxed()));
    }

    fn committed(&mut self, result: KafkaResult<()>) {
        let Some((next, _)) = self.committing.take() else { return };
        match result {
            Ok(()) => self.committed = next,
            Err(error) => {
                debug!("a commit to {} failed: {error}", self.group.name);
                self.commit_at = Some(Instant::now() + COMMIT_PAUSE);
            }
        }
    }

    /// Notes how many messages there are that are not accepted. What the broker does not say is not known.
    fn measured(&mut self, end: KafkaResult<u64>) {
        (self.measuring, self.measure_at) = (None, Instant::now() + MEASURE);
        if let Ok(end) = end {
            let accepted = self.shared.ledger().accepted().max(self.committed);
            self.metrics.lag.set(end.saturating_sub(accepted) as f64);
        }
    }

    /// Hands out the message, and others that have come with it.
    fn hand_out(&self, first: Message) {
        let mut messages = self.queue.stream();
        self.deliver(first);
        for _ in 1..AT_ONCE {
            if self.shared.ledger().refused().is_some() {
                return;
            }
            let Some(message) = messages.next().now_or_never().flatten().and_then(taken) else { return };
            self.deliver(message);
        }
    }

    fn deliver(&self, message: Message) {
        self.shared.ledger().hand_out(message.offset);
        if let Some(written) = message.written {
            self.metrics.delay.observe(SystemClock.now().since(written) as f64 / 1000.0);
        }
        self.receiver.receive(Box::new(KafkaDelivery { message, shared: Some(self.shared.clone()) }));
    }

    /// Hands out what was refused, up to the first that is refused again.
    fn hand_out_again(&mut self) {
        self.again_at = None;
        loop {
            let again = self.shared.ledger().again();
            let Some(message) = again else { return };
            let offset = message.offset;
            self.receiver.receive(Box::new(KafkaDelivery { message, shared: Some(self.shared.clone()) }));
            if self.shared.ledger().refused() == Some(offset) {
                return;
            }
        }
    }

    /// A last commit, and the end of the client.
    async fn leave(self, close: Duration) {
        let Self { group, queue, receiver, remembers, shared, committed, committing, .. } = self;
        drop(receiver);
        let last_words = async {
            let mut committed = committed;
            if let Some((next, commit)) = committing
                && commit.await.is_ok()
            {
                committed = next;
            }
            let accepted = shared.ledger().accepted();
            match remembers && accepted > committed {
                true => group.commit_until(accepted, close).await,
                false => Ok(()),
            }
        };
        match timeout(close, last_words).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) | Err(_) => {
                warn!("{}: what was accepted last is not committed and will come again", group.name);
            }
        }
        drop(queue);
        group.leave(close).await;
    }
}

async fn at(instant: Option<Instant>) {
    match instant {
        Some(instant) => sleep_until(instant).await,
        None => pending().await,
    }
}

/// The next message. Cancel safe.
async fn next(queue: &StreamPartitionQueue<Context>) -> Message {
    let mut messages = pin!(queue.stream().filter_map(|read| async { taken(read) }));
    match messages.next().await {
        Some(message) => message,
        None => pending().await,
    }
}

/// A message as our own, or nothing if it is an error, of which the log knows.
fn taken(read: KafkaResult<BorrowedMessage<'_>>) -> Option<Message> {
    let read = read.ok()?;
    let written = match read.timestamp() {
        Timestamp::CreateTime(millis) | Timestamp::LogAppendTime(millis) => Some(millis),
        Timestamp::NotAvailable => None,
    };
    Some(Message {
        offset: u64::try_from(read.offset()).ok()?,
        body: Bytes::copy_from_slice(read.payload().unwrap_or_default()),
        written: written.and_then(|millis| u64::try_from(millis).ok()).map(Millis),
    })
}

/// A message on its way; dropped without a word it counts as refused.
struct KafkaDelivery {
    message: Message,
    shared: Option<Arc<Shared>>,
}

impl KafkaDelivery {
    fn settle(&mut self, settle: impl FnOnce(&mut Ledger, &Message)) {
        if let Some(shared) = self.shared.take() {
            settle(&mut shared.ledger(), &self.message);
            shared.changed.notify_one();
        }
    }
}

impl Delivery for KafkaDelivery {
    fn message(&self) -> &Bytes {
        &self.message.body
    }

    fn written(&self) -> Option<Millis> {
        self.message.written
    }

    fn position(&self) -> Option<u64> {
        Some(self.message.offset)
    }

    fn accept(mut self: Box<Self>) {
        self.settle(|ledger, message| ledger.accept(message.offset));
    }

    fn refuse(mut self: Box<Self>, why: &str) {
        debug!("message {} is refused: {why}", self.message.offset);
        self.settle(|ledger, message| ledger.refuse(message.clone()));
    }

    fn discard(mut self: Box<Self>, why: &str) {
        debug!("message {} is discarded: {why}", self.message.offset);
        self.settle(|ledger, message| ledger.accept(message.offset));
    }
}

impl Drop for KafkaDelivery {
    fn drop(&mut self) {
        self.settle(|ledger, message| ledger.refuse(message.clone()));
    }
}
