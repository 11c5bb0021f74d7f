//! How controllers and invokers talk: small JSON messages on named topics.
//!
//! A delivery is accepted by its owner once its journal holds the message; until then a crash hands
//! it out again. Whether the work was begun, the owner's journal knows, not the bus.

pub mod memory;

use std::fmt;

use async_trait::async_trait;
use bytes::Bytes;

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
    /// The reader is behind by more than it may be, or nobody reads.
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
    /// The bus has stopped.
    #[error("the bus has stopped")]
    Closed,
}

/// A message, and the promise to look after it.
pub trait Delivery: Send {
    /// The message.
    fn message(&self) -> &Bytes;
    /// The owner holds the message; the bus may forget it.
    fn accept(self: Box<Self>);
    /// The owner cannot take it, and whoever published it is told why, where the bus can tell.
    fn refuse(self: Box<Self>, why: &str);
}

/// The reader of a topic.
#[async_trait]
pub trait Inbox: Send {
    /// The next message. Cancel safe. `None` once the bus has closed.
    async fn next(&mut self) -> Option<Box<dyn Delivery>>;
}

/// Messages on named topics.
#[async_trait]
pub trait MessageBus: Send + Sync {
    /// Returns once the bus, or the owner of the message, has taken responsibility for it.
    async fn publish(&self, topic: &Topic, message: Bytes) -> Result<(), BusError>;
    /// Starts to read a topic. Readers of different groups each get every message; in one group each
    /// message goes to one reader.
    async fn subscribe(&self, topic: &Topic, group: &str) -> Result<Box<dyn Inbox>, BusError>;
    /// Ends all reading: inboxes yield what they hold and then `None`.
    async fn close(&self);
}
