//! The bus within one process: a bounded queue for each topic and group.
//!
//! A message on an owned topic ([`Topic::invoker`]) is taken once its owner accepts it, so `publish`
//! waits for that: what was published is then in the owner's journal. On other topics it is taken once
//! every group has it in its queue. Unlike upstream's lean connector the queues have a limit.

use std::collections::HashMap;
use std::sync::Mutex;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::{Mutex as AsyncMutex, mpsc, oneshot};

use super::{BusError, Delivery, Inbox, MessageBus, Topic};

/// How many messages one group may be behind.
const QUEUE: usize = 16_384;

/// The largest message: payload limit plus what upstream adds for the rest of a message.
pub const MAX_MESSAGE: usize = 1_048_576 + 6_068;

struct Envelope {
    message: Bytes,
    taken: Option<oneshot::Sender<Result<(), String>>>,
}

struct Queue {
    sender: mpsc::Sender<Envelope>,
    receiver: std::sync::Arc<AsyncMutex<mpsc::Receiver<Envelope>>>,
}

/// The bus of the embedded form.
pub struct MemoryBus {
    max_message: usize,
    topics: Mutex<Option<HashMap<String, HashMap<String, Queue>>>>,
}

impl Default for MemoryBus {
    fn default() -> Self {
        Self::new(MAX_MESSAGE)
    }
}

impl MemoryBus {
    /// A bus without topics, for messages of at most so many bytes.
    pub fn new(max_message: usize) -> Self {
        Self { max_message, topics: Mutex::new(Some(HashMap::new())) }
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<HashMap<String, HashMap<String, Queue>>>> {
        self.topics.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

#[async_trait]
impl MessageBus for MemoryBus {
    async fn publish(&self, topic: &Topic, message: Bytes) -> Result<(), BusError> {
        let refused = |why: &str| BusError::Refused { topic: topic.to_string(), why: why.to_owned() };
        if message.len() > self.max_message {
            return Err(BusError::TooLarge { topic: topic.to_string(), size: message.len() });
        }
        let owned = topic.as_str().starts_with("invoker");
        let mut waits = None;
        {
            let topics = self.lock();
            let groups = topics.as_ref().ok_or(BusError::Closed)?.get(topic.as_str());
            let groups = groups.ok_or_else(|| refused("nobody reads it"))?;
            for queue in groups.values() {
                let (taken, wait) = oneshot::channel();
                let envelope = Envelope { message: message.clone(), taken: owned.then_some(taken) };
                queue.sender.try_send(envelope).map_err(|error| match error {
                    mpsc::error::TrySendError::Full(_) => refused("its reader is too far behind"),
                    mpsc::error::TrySendError::Closed(_) => refused("its reader has stopped"),
                })?;
                if owned {
                    waits = Some(wait);
                }
            }
        }
        match waits {
            None => Ok(()),
            Some(wait) => match wait.await {
                Ok(Ok(())) => Ok(()),
                Ok(Err(why)) => Err(refused(&why)),
                Err(_) => Err(refused("its reader has stopped")),
            },
        }
    }

    async fn subscribe(&self, topic: &Topic, group: &str) -> Result<Box<dyn Inbox>, BusError> {
        let mut topics = self.lock();
        let groups = topics.as_mut().ok_or(BusError::Closed)?.entry(topic.as_str().to_owned()).or_default();
        let queue = groups.entry(group.to_owned()).or_insert_with(|| {
            let (sender, receiver) = mpsc::channel(QUEUE);
            Queue { sender, receiver: std::sync::Arc::new(AsyncMutex::new(receiver)) }
        });
        Ok(Box::new(MemoryInbox { receiver: queue.receiver.clone() }))
    }

    async fn close(&self) {
        self.lock().take();
    }
}

struct MemoryInbox {
    receiver: std::sync::Arc<AsyncMutex<mpsc::Receiver<Envelope>>>,
}

#[async_trait]
impl Inbox for MemoryInbox {
    async fn next(&mut self) -> Option<Box<dyn Delivery>> {
        let envelope = self.receiver.lock().await.recv().await?;
        Some(Box::new(MemoryDelivery(envelope)))
    }
}

struct MemoryDelivery(Envelope);

impl Delivery for MemoryDelivery {
    fn message(&self) -> &Bytes {
        &self.0.message
    }

    fn accept(self: Box<Self>) {
        if let Some(taken) = self.0.taken {
            let _ = taken.send(Ok(()));
        }
    }

    fn refuse(self: Box<Self>, why: &str) {
        if let Some(taken) = self.0.taken {
            let _ = taken.send(Err(why.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_owned_message_is_published_when_its_owner_accepts_it() {
        let bus = std::sync::Arc::new(MemoryBus::default());
        let topic = Topic::invoker(0);
        assert!(matches!(bus.publish(&topic, Bytes::new()).await, Err(BusError::Refused { .. })));
        let mut inbox = bus.subscribe(&topic, "invoker0").await.unwrap();
        let publishing = bus.publish(&topic, Bytes::from_static(b"x"));
        let owning = async {
            let delivery = inbox.next().await.unwrap();
            assert_eq!(&delivery.message()[..], b"x");
            delivery.refuse("full");
        };
        let (published, ()) = tokio::join!(publishing, owning);
        assert!(published.unwrap_err().to_string().contains("full"));
        let large = Bytes::from(vec![0; MAX_MESSAGE + 1]);
        assert!(matches!(bus.publish(&topic, large).await, Err(BusError::TooLarge { .. })));
    }
}
