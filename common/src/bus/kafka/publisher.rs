//! Publishing: an idempotent producer with a bounded queue and a bound on how long a message may take.
//!
//! The producer keeps what it has not got rid of and sends it again, in order, until the broker has it once.

use std::sync::{PoisonError, RwLock};
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer, PurgeConfig};
use tracing::warn;

use super::super::{BusError, Topic};
use super::FRAMING;
use super::client::{self, Context, PARTITION};
use crate::config::kafka::KafkaConfig;

/// Messages that wait for the broker; one more is refused.
const QUEUE: usize = 32_768;

/// Kilobytes that wait for the broker, or a few messages of the largest kind if that is more.
const QUEUE_KB: usize = 65_536;

/// Sends messages.
pub struct Publisher {
    config: ClientConfig,
    patience: Duration,
    producer: RwLock<FutureProducer<Context>>,
}

impl Publisher {
    /// A message may take as long as `patience`; then it is given up.
    pub fn new(config: &KafkaConfig, max_message: usize, patience: Duration) -> Result<Self, BusError> {
        let largest = max_message + FRAMING;
        let mut settings = client::common(config)?;
        settings
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("linger.ms", "0")
            // One request at a time: a message leaves at once while there is none, and those that come
            // meanwhile go together with the next.
            .set("max.in.flight.requests.per.connection", "1")
            .set("message.max.bytes", largest.to_string())
            .set("message.timeout.ms", patience.as_millis().max(1).to_string())
            .set("request.timeout.ms", config.timeouts.request.min(patience).as_millis().max(1).to_string())
            .set("queue.buffering.max.messages", QUEUE.to_string())
            .set("queue.buffering.max.kbytes", QUEUE_KB.max(largest / 256).to_string());
        let producer = RwLock::new(producer(&settings)?);
        Ok(Self { config: settings, patience, producer })
    }

    /// How long a message may take.
    pub fn patience(&self) -> Duration {
        self.patience
    }

    /// Returns once the broker has the message. Whoever stops waiting does not stop the message. An order is
    /// sent once: it must not run twice, and whoever gave it is told that it failed. Anything else may be
    /// read twice.
    pub async fn send(&self, topic: &Topic, name: &str, message: &[u8]) -> Result<(), BusError> {
        let mut renewed = false;
        loop {
            let producer = self.producer.read().unwrap_or_else(PoisonError::into_inner).clone();
            match attempt(&producer, name, message).await {
                Ok(()) => return Ok(()),
                Err(error) if is_fatal(&producer, &error) && !renewed => {
                    warn!("the producer has failed and is replaced: {error}");
                    self.replace(producer)?;
                    if topic.is_orders() {
                        return Err(translate(error, topic, message.len()));
                    }
                    renewed = true;
                }
                Err(error) => return Err(translate(error, topic, message.len())),
            }
        }
    }

    fn replace(&self, failed: FutureProducer<Context>) -> Result<(), BusError> {
        let mut current = self.producer.write().unwrap_or_else(PoisonError::into_inner);
        if current.client().native_ptr() == failed.client().native_ptr() {
            let failed = std::mem::replace(&mut *current, producer(&self.config)?);
            // Its end takes a moment.
            tokio::task::spawn_blocking(move || drop(failed));
        }
        Ok(())
    }

    /// Waits until the broker has everything, at most that long, and gives the rest up.
    pub async fn close(&self, patience: Duration) {
        let producer = self.producer.read().unwrap_or_else(PoisonError::into_inner).clone();
        let flushed = tokio::task::spawn_blocking(move || {
            let flushed = producer.flush(patience);
            producer.purge(PurgeConfig::default().queue().inflight());
            flushed
        });
        if let Ok(Err(error)) = flushed.await {
            warn!("messages are given up that the broker did not take: {error}");
        }
    }
}

fn producer(settings: &ClientConfig) -> Result<FutureProducer<Context>, BusError> {
    client::create(settings, Context::default(), "take messages")
}

async fn attempt(producer: &FutureProducer<Context>, name: &str, message: &[u8]) -> Result<(), KafkaError> {
    let record = FutureRecord::<(), [u8]>::to(name).partition(PARTITION).payload(message);
    let sent = producer.send_result(record).map_err(|(error, _)| error)?;
    match sent.await {
        Ok(Ok(_)) => Ok(()),
        Ok(Err((error, _))) => Err(error),
        Err(_) => Err(KafkaError::Canceled),
    }
}

fn is_fatal(producer: &FutureProducer<Context>, error: &KafkaError) -> bool {
    error.rdkafka_error_code() == Some(RDKafkaErrorCode::Fatal) || producer.client().fatal_error().is_some()
}

fn translate(error: KafkaError, topic: &Topic, size: usize) -> BusError {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::QueueFull) => {
            let why = "too many messages wait for the broker".to_owned();
            BusError::Refused { topic: topic.to_string(), why }
        }
        Some(RDKafkaErrorCode::MessageSizeTooLarge) => BusError::TooLarge { topic: topic.to_string(), size },
        Some(RDKafkaErrorCode::PurgeQueue | RDKafkaErrorCode::PurgeInflight) => BusError::Closed,
        _ => client::unavailable(format!("take a message for {topic}"), error),
    }
}
