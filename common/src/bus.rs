//! How controllers and invokers talk: small JSON messages on named topics.
//!
//! A delivery is accepted by its owner once its journal holds the message; until then a crash hands
//! it out again. Whether the work was begun, the owner's journal knows, not the bus.
//!
//! A group is one reader and its memory of what it accepted: there is no sharing and so no assignment to
//! wait for. Who reads what follows from the ids in the names of topics.

#[cfg(feature = "kafka")]
pub mod kafka;
pub mod memory;

use std::fmt;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::mpsc;

use crate::clock::Millis;

/// The name of a topic.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Topic(String);

impl Topic {
    /// Where an invoker gets its orders.
    pub fn invoker(instance: u32) -> Self {
        Self(format!("invoker{instance}"))
    }

    /// Where a controller gets its acknowledgements.
    pub fn completed(controller: &str) -> Self {
        Self(format!("completed{controller}"))
    }

    /// Where invokers say that they are there.
    pub fn health() -> Self {
        Self("health".to_owned())
    }

    /// What happened, for whoever measures.
    pub fn events() -> Self {
        Self("events".to_owned())
    }

    /// Whether its messages are orders to an invoker, for each of which somebody may be waiting.
    pub fn is_orders(&self) -> bool {
        self.0.starts_with("invoker")
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Why a message was not taken.
#[derive(Debug, thiserror::Error)]
pub enum BusError {
    /// The reader is behind by more than it may be, or nobody reads; or the group has a reader.
    #[error("topic {topic} takes no message: {why}")]
    Refused {
        /// Which topic.
        topic: String,
        /// What stands in the way.
        why: String,
    },
    /// The message is larger than the topic carries.
    #[error("a message of {size} bytes is too large for topic {topic}")]
    TooLarge {
        /// Which topic.
        topic: String,
        /// Bytes of the message.
        size: usize,
    },
    /// The broker is away or does not do what it was asked for. It may have taken the message.
    #[error("the broker does not {task}: {source}")]
    Unavailable {
        /// What it was asked for.
        task: String,
        /// What it, or the way to it, said.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The bus has stopped.
    #[error("the bus has stopped")]
    Closed,
}

/// A message, and the promise to look after it.
pub trait Delivery: Send {
    /// The message.
    fn message(&self) -> &Bytes;
    /// When it was written, where the bus keeps messages and hands out old ones; `None` means just now.
    fn written(&self) -> Option<Millis> {
        None
    }
    /// Where it stands in its topic, where the bus counts: the first message has 0.
    fn position(&self) -> Option<u64> {
        None
    }
    /// The owner holds the message; the bus may forget it.
    fn accept(self: Box<Self>);
    /// The owner cannot take it now. Whoever published it is told why, where the bus can tell; where it
    /// cannot, it holds the message and all behind it and hands it out again after a pause.
    fn refuse(self: Box<Self>, why: &str);
    /// It can never be taken, because it cannot be read for example. Whoever published it is told why, where
    /// the bus can tell, and it is not handed out again.
    fn discard(self: Box<Self>, why: &str);
}

/// Who reads a topic.
pub trait Receiver: Send + Sync {
    /// Takes or refuses a message, at once or later; what is dropped instead is refused. It is called
    /// wherever the message comes along, within one process by the very task that publishes it, so it must
    /// not wait.
    fn receive(&self, delivery: Box<dyn Delivery>);
}

/// A reader's place at the bus, which it loses when this is dropped.
pub struct Subscription(Option<Box<dyn FnOnce() + Send + Sync>>);

impl Subscription {
    /// One that does this when it is dropped.
    pub fn new(leave: impl FnOnce() + Send + Sync + 'static) -> Self {
        Self(Some(Box::new(leave)))
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        if let Some(leave) = self.0.take() {
            leave();
        }
    }
}

/// Messages on named topics.
#[async_trait]
pub trait MessageBus: Send + Sync {
    /// What it is, as OpenTelemetry's `messaging.system` names it.
    fn system(&self) -> &'static str;
    /// Returns once the bus, or the owner of the message, has taken responsibility for it.
    async fn publish(&self, topic: &Topic, message: Bytes) -> Result<(), BusError>;
    /// Starts to read a topic as the one reader of a group. Groups each get every message.
    async fn subscribe(
        &self,
        topic: &Topic,
        group: &str,
        receiver: Arc<dyn Receiver>,
    ) -> Result<Subscription, BusError>;
    /// Ends all reading, so that receivers are dropped, and all publishing.
    async fn close(&self);
}

/// Messages that an [`Inbox`] holds; one more is refused.
const QUEUE: usize = 16_384;

/// A bounded queue of messages, for readers that would rather wait for them.
pub struct Inbox {
    queue: mpsc::Receiver<Box<dyn Delivery>>,
    _subscription: Subscription,
}

struct Enqueue(mpsc::Sender<Box<dyn Delivery>>);

impl Receiver for Enqueue {
    fn receive(&self, delivery: Box<dyn Delivery>) {
        match self.0.try_send(delivery) {
            Ok(()) => {}
            Err(mpsc::error::TrySendError::Full(delivery)) => delivery.refuse("its reader is too far behind"),
            Err(mpsc::error::TrySendError::Closed(delivery)) => delivery.refuse("its reader has stopped"),
        }
    }
}

impl Inbox {
    /// Starts to read a topic into a queue.
    pub async fn open(bus: &dyn MessageBus, topic: &Topic, group: &str) -> Result<Self, BusError> {
        let (sender, queue) = mpsc::channel(QUEUE);
        let subscription = bus.subscribe(topic, group, Arc::new(Enqueue(sender))).await?;
        Ok(Self { queue, _subscription: subscription })
    }

    /// The next message. Cancel safe. `None` once the bus has closed and the queue is empty.
    pub async fn next(&mut self) -> Option<Box<dyn Delivery>> {
        self.queue.recv().await
    }
}
