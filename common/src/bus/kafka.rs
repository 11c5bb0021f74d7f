//! The bus of the distributed form: Kafka, through librdkafka.
//!
//! A topic has one partition and a group one reader, which assigns the partition to itself: nothing is ever
//! rebalanced, and what a group has accepted is an offset that the broker keeps. Publishers are
//! idempotent and wait for nothing: a message leaves when it comes. While the broker is away readers
//! wait for it, and publishers do until their time is up.

mod client;
pub mod doctor;
mod ledger;
mod probe;
mod publisher;
mod reader;
mod security;
mod topics;

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::future::join_all;
use tokio::time::timeout;
use tracing::warn;

use self::client::Group;
use self::probe::Probe;
use self::publisher::Publisher;
use self::reader::Reader;
use self::topics::Topics;
use super::{BusError, MessageBus, Receiver, Subscription, Topic};
use crate::config::kafka::KafkaConfig;
use crate::metrics::shared::BusMetrics;
use crate::shutdown::Shutdown;

/// What the broker adds to a message, generously: the head of a batch and that of a record.
const FRAMING: usize = 1_024;

/// The bus over a Kafka cluster.
pub struct KafkaBus {
    config: KafkaConfig,
    max_message: usize,
    topics: Topics,
    orders: Publisher,
    others: Publisher,
    probe: Arc<Probe>,
    /// Who reads, by topic and group. Those that leave stay until another comes.
    readers: Mutex<HashMap<(String, String), Shutdown>>,
    tasks: Shutdown,
    closed: AtomicBool,
    metrics: BusMetrics,
}

impl KafkaBus {
    /// Waits until a broker answers, saying in the log and to `tell` why it does not; `shutdown` ends only that
    /// wait. Messages have at most `max_message` bytes.
    pub async fn connect(
        config: &KafkaConfig,
        max_message: usize,
        metrics: &BusMetrics,
        shutdown: &Shutdown,
        tell: impl Fn(String) + Send,
    ) -> Result<Self, BusError> {
        let timeouts = &config.timeouts;
        let bus = Self {
            config: config.clone(),
            max_message,
            topics: Topics::new(config, max_message)?,
            orders: Publisher::new(config, max_message, timeouts.order)?,
            others: Publisher::new(config, max_message, timeouts.publish)?,
            probe: Arc::new(Probe::new(config)?),
            readers: Mutex::default(),
            tasks: Shutdown::new(),
            closed: AtomicBool::new(false),
            metrics: metrics.clone(),
        };
        bus.probe.wait(shutdown, tell).await?;
        bus.tasks.spawn("kafka probe", bus.probe.clone().watch(bus.tasks.clone()));
        Ok(bus)
    }

    /// Why the broker cannot be used at present; `None` if it can.
    pub fn trouble(&self) -> Option<String> {
        self.probe.trouble()
    }

    /// Makes a topic if it is not there, for those who read it elsewhere.
    pub async fn ensure(&self, topic: &Topic) -> Result<(), BusError> {
        self.topics.ensure(topic).await
    }

    /// Makes a group that does not read at present begin at `next`, unless it is there or further on.
    pub async fn advance(&self, topic: &Topic, group: &str, next: u64) -> Result<(), BusError> {
        let place = self.place(topic, group).await?;
        let advanced = self.advance_at(topic, group, next).await;
        place.request();
        advanced
    }

    async fn advance_at(&self, topic: &Topic, group: &str, next: u64) -> Result<(), BusError> {
        self.topics.ensure(topic).await?;
        let group = Group::open(&self.config, self.max_message, topic, group)?;
        let accepted = group.accepted(self.config.timeouts.request).await?;
        let advanced = match accepted {
            Some(accepted) if accepted >= next => Ok(()),
            _ => group.commit_until(next, self.config.timeouts.request).await,
        };
        group.leave(self.config.timeouts.close).await;
        advanced
    }

    /// Takes the one place of a reader, once whoever left it has gone.
    async fn place(&self, topic: &Topic, group: &str) -> Result<Shutdown, BusError> {
        let key = (topic.to_string(), group.to_owned());
        let left = {
            let readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
            readers.get(&key).filter(|reader| reader.is_requested()).cloned()
        };
        if let Some(left) = left {
            left.finish(self.leaving()).await;
        }
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        if self.closed.load(Ordering::SeqCst) {
            return Err(BusError::Closed);
        }
        if readers.get(&key).is_some_and(|reader| !reader.is_requested()) {
            let why = format!("the group {group} has a reader");
            return Err(BusError::Refused { topic: topic.to_string(), why });
        }
        let place = self.tasks.child();
        readers.insert(key, place.clone());
        Ok(place)
    }

    async fn read(
        &self,
        topic: &Topic,
        group: &str,
        receiver: Arc<dyn Receiver>,
        place: &Shutdown,
    ) -> Result<(), BusError> {
        self.topics.ensure(topic).await?;
        let request = self.config.timeouts.request;
        let group = Group::open(&self.config, self.max_message, topic, group)?;
        // Pings of before say nothing; everything else counts until it was accepted.
        let remembers = *topic != Topic::health();
        let start = match remembers {
            true => match group.accepted(request).await? {
                Some(accepted) => accepted,
                None => group.ends(request).await?.0,
            },
            false => group.ends(request).await?.1,
        };
        let metrics = self.metrics.of(&group.name);
        let reader = Reader::start(group, start, remembers, receiver, metrics)?;
        place.spawn("kafka reader", reader.run(place.clone(), self.config.timeouts.close));
        Ok(())
    }

    /// How long a reader may take to leave: a last commit, and the end of its client.
    fn leaving(&self) -> Duration {
        self.config.timeouts.close * 2 + Duration::from_secs(1)
    }
}

#[async_trait]
impl MessageBus for KafkaBus {
    fn system(&self) -> &'static str {
        "kafka"
    }

    async fn publish(&self, topic: &Topic, message: Bytes) -> Result<(), BusError> {
        if message.len() > self.max_message {
            return Err(BusError::TooLarge { topic: topic.to_string(), size: message.len() });
        }
        if self.closed.load(Ordering::SeqCst) {
            return Err(BusError::Closed);
        }
        let publisher = if topic.is_orders() { &self.orders } else { &self.others };
        if !self.topics.knows(topic) {
            let ensured = timeout(publisher.patience(), self.topics.ensure(topic)).await;
            ensured.unwrap_or_else(|late| Err(client::unavailable(format!("make topic {topic}"), late)))?;
        }
        publisher.send(topic, &self.topics.name(topic), &message).await
    }

    async fn subscribe(
        &self,
        topic: &Topic,
        group: &str,
        receiver: Arc<dyn Receiver>,
    ) -> Result<Subscription, BusError> {
        let place = self.place(topic, group).await?;
        let subscription = {
            let place = place.clone();
            Subscription::new(move || place.request())
        };
        self.read(topic, group, receiver, &place).await?;
        Ok(subscription)
    }

    async fn close(&self) {
        let readers = {
            let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
            self.closed.store(true, Ordering::SeqCst);
            std::mem::take(&mut *readers)
        };
        let ended = join_all(readers.into_values().map(|reader| {
            let patience = self.leaving();
            async move { reader.finish(patience).await }
        }));
        if ended.await.contains(&false) {
            warn!("a reader of the bus did not end in time");
        }
        let close = self.config.timeouts.close;
        let ((), (), _) =
            tokio::join!(self.orders.close(close), self.others.close(close), self.tasks.finish(close));
    }
}

impl Drop for KafkaBus {
    fn drop(&mut self) {
        self.tasks.request();
    }
}
