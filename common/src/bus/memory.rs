//! The bus within one process: whoever publishes a message hands it to its readers.
//!
//! There is no queue and no task in between, because handing a message to another thread costs more than
//! reading it. A message on an owned topic ([`Topic::invoker`]) is taken once its owner accepts it, so
//! `publish` waits for that: what was published is then in the owner's journal. On other topics it is
//! taken unless its reader refuses it at once.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::oneshot;

use super::{BusError, Delivery, MessageBus, Receiver, Subscription, Topic};

/// The largest message: payload limit plus what upstream adds for the rest of a message.
pub const MAX_MESSAGE: usize = 1_048_576 + 6_068;

/// The bus of the embedded form.
pub struct MemoryBus {
    max_message: usize,
    topics: Arc<RwLock<Topics>>,
}

#[derive(Default)]
struct Topics {
    closed: bool,
    next_reader: u64,
    groups: HashMap<String, Vec<Group>>,
}

struct Group {
    name: String,
    reader: u64,
    receiver: Arc<dyn Receiver>,
}

impl Default for MemoryBus {
    fn default() -> Self {
        Self::new(MAX_MESSAGE)
    }
}

impl MemoryBus {
    /// A bus without topics, for messages of at most so many bytes.
    pub fn new(max_message: usize) -> Self {
        Self { max_message, topics: Arc::default() }
    }

    /// The reader of each group.
    fn readers(&self, topic: &Topic) -> Result<Vec<Arc<dyn Receiver>>, BusError> {
        let topics = self.topics.read().unwrap_or_else(PoisonError::into_inner);
        if topics.closed {
            return Err(BusError::Closed);
        }
        let groups = topics.groups.get(topic.as_str()).map(Vec::as_slice).unwrap_or_default();
        Ok(groups.iter().map(|group| group.receiver.clone()).collect())
    }
}

#[async_trait]
impl MessageBus for MemoryBus {
    fn system(&self) -> &'static str {
        "oxwhisk"
    }

    async fn publish(&self, topic: &Topic, message: Bytes) -> Result<(), BusError> {
        let refused = |why: String| BusError::Refused { topic: topic.to_string(), why };
        if message.len() > self.max_message {
            return Err(BusError::TooLarge { topic: topic.to_string(), size: message.len() });
        }
        let readers = self.readers(topic)?;
        if readers.is_empty() {
            return Err(refused("nobody reads it".to_owned()));
        }
        let owned = topic.is_orders();
        for reader in readers {
            let (tell, mut told) = oneshot::channel();
            reader.receive(Box::new(MemoryDelivery { message: message.clone(), tell }));
            let verdict = if owned {
                told.await.unwrap_or_else(|_| Err("its reader has stopped".to_owned()))
            } else {
                told.try_recv().unwrap_or(Ok(()))
            };
            verdict.map_err(refused)?;
        }
        Ok(())
    }

    async fn subscribe(
        &self,
        topic: &Topic,
        group: &str,
        receiver: Arc<dyn Receiver>,
    ) -> Result<Subscription, BusError> {
        let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
        if topics.closed {
            return Err(BusError::Closed);
        }
        topics.next_reader += 1;
        let reader = topics.next_reader;
        let groups = topics.groups.entry(topic.as_str().to_owned()).or_default();
        if groups.iter().any(|known| known.name == group) {
            let why = format!("the group {group} has a reader");
            return Err(BusError::Refused { topic: topic.to_string(), why });
        }
        groups.push(Group { name: group.to_owned(), reader, receiver });
        let topics = self.topics.clone();
        Ok(Subscription::new(move || leave(&topics, reader)))
    }

    async fn close(&self) {
        let gone = {
            let mut topics = self.topics.write().unwrap_or_else(PoisonError::into_inner);
            topics.closed = true;
            std::mem::take(&mut topics.groups)
        };
        drop(gone);
    }
}

fn leave(topics: &RwLock<Topics>, reader: u64) {
    // Dropped outside of the lock, since a receiver may own what publishes.
    let gone: Vec<_> = {
        let mut topics = topics.write().unwrap_or_else(PoisonError::into_inner);
        let groups = topics.groups.values_mut();
        groups.flat_map(|groups| groups.extract_if(.., |group| group.reader == reader)).collect()
    };
    drop(gone);
}

struct MemoryDelivery {
    message: Bytes,
    tell: oneshot::Sender<Result<(), String>>,
}

impl Delivery for MemoryDelivery {
    fn message(&self) -> &Bytes {
        &self.message
    }

    fn accept(self: Box<Self>) {
        let _ = self.tell.send(Ok(()));
    }

    fn refuse(self: Box<Self>, why: &str) {
        let _ = self.tell.send(Err(why.to_owned()));
    }

    fn discard(self: Box<Self>, why: &str) {
        self.refuse(why);
    }
}

#[cfg(test)]
mod tests {
    use super::super::Inbox;
    use super::*;

    #[tokio::test]
    async fn a_reader_that_leaves_reads_no_more() {
        let bus = MemoryBus::default();
        let topic = Topic::completed("0");
        let inbox = Inbox::open(&bus, &topic, "g").await.unwrap();
        bus.publish(&topic, Bytes::from_static(b"x")).await.unwrap();
        drop(inbox);
        let refusal = bus.publish(&topic, Bytes::from_static(b"y")).await.unwrap_err().to_string();
        assert!(refusal.contains("nobody reads it"), "{refusal}");
    }
}
