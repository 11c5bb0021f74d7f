//! Topics by their full names, made when they are first used. They have one partition and upstream's
//! settings (`whisk.kafka.topics`); one that is there already stays as it is.

use std::collections::HashSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use tokio::time::sleep;
use tracing::{debug, info};

use super::super::{BusError, Topic};
use super::FRAMING;
use super::client::{self, Context};
use crate::config::kafka::{KafkaConfig, ORDERS_RETENTION_MS, RETENTION_MS};

/// How often a topic is tried to be made, and how long is waited in between; upstream's.
const TRIES: u32 = 6;
const PAUSE: Duration = Duration::from_secs(1);

/// The topics of this installation.
pub struct Topics {
    config: KafkaConfig,
    max_message: usize,
    admin: AdminClient<Context>,
    known: Mutex<HashSet<String>>,
}

impl Topics {
    pub fn new(config: &KafkaConfig, max_message: usize) -> Result<Self, BusError> {
        let admin = client::create(&client::common(config)?, Context::default(), "make topics")?;
        Ok(Self { config: config.clone(), max_message, admin, known: Mutex::default() })
    }

    /// As the broker knows it.
    pub fn name(&self, topic: &Topic) -> String {
        client::name(&self.config, topic)
    }

    /// Whether it was seen to exist.
    pub fn knows(&self, topic: &Topic) -> bool {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).contains(topic.as_str())
    }

    /// Makes it if it is not there.
    pub async fn ensure(&self, topic: &Topic) -> Result<(), BusError> {
        if self.knows(topic) {
            return Ok(());
        }
        let name = self.name(topic);
        let mut tries = 1;
        while let Err(error) = self.make(topic, &name).await {
            if tries == TRIES || !is_retryable(&error) {
                return Err(client::unavailable(format!("make topic {topic}"), error));
            }
            debug!("topic {name} is not there yet: {error}");
            tries += 1;
            sleep(PAUSE).await;
        }
        self.known.lock().unwrap_or_else(PoisonError::into_inner).insert(topic.to_string());
        Ok(())
    }

    /// Whether the brokers would make it; they do not.
    pub async fn propose(&self, topic: &Topic) -> Result<(), KafkaError> {
        let options = self.patience().validate_only(true);
        self.ask_for(topic, &self.name(topic), &options).await.map(drop)
    }

    /// Speaks to the brokers of all that is not messages.
    pub fn admin(&self) -> &AdminClient<Context> {
        &self.admin
    }

    async fn make(&self, topic: &Topic, name: &str) -> Result<(), KafkaError> {
        if self.ask_for(topic, name, &self.patience()).await? {
            info!("made topic {name}");
        }
        Ok(())
    }

    fn patience(&self) -> AdminOptions {
        let patience = Some(self.config.timeouts.request / TRIES);
        AdminOptions::new().request_timeout(patience).operation_timeout(patience)
    }

    /// Returns whether it was not there.
    async fn ask_for(&self, topic: &Topic, name: &str, options: &AdminOptions) -> Result<bool, KafkaError> {
        let settings = self.settings(topic);
        let replication = TopicReplication::Fixed(i32::from(self.config.replication_factor));
        let wanted = settings
            .iter()
            .fold(NewTopic::new(name, 1, replication), |wanted, (key, value)| wanted.set(key, value));
        match self.admin.create_topics([&wanted], options).await?.pop() {
            Some(Err((_, RDKafkaErrorCode::TopicAlreadyExists))) => Ok(false),
            Some(Err((_, code))) => Err(KafkaError::AdminOp(code)),
            Some(Ok(_)) | None => Ok(true),
        }
    }

    fn settings(&self, topic: &Topic) -> Vec<(&'static str, String)> {
        let topics = &self.config.topics;
        let largest = ("max.message.bytes", (self.max_message + FRAMING).to_string());
        if topic.is_orders() {
            [topics.invoker.settings(ORDERS_RETENTION_MS), vec![largest]].concat()
        } else if *topic == Topic::health() {
            topics.health.settings(RETENTION_MS)
        } else if *topic == Topic::events() {
            topics.events.settings(RETENTION_MS)
        } else {
            [topics.completed.settings(RETENTION_MS), vec![largest]].concat()
        }
    }
}

/// Whether the broker may say something else in a moment. A broker that has just started knows no other
/// to put a copy on, not even itself.
fn is_retryable(error: &KafkaError) -> bool {
    use RDKafkaErrorCode as Code;
    match error {
        KafkaError::AdminOp(code) => matches!(
            code,
            Code::AllBrokersDown
                | Code::BrokerTransportFailure
                | Code::InvalidReplicationFactor
                | Code::LeaderNotAvailable
                | Code::NetworkException
                | Code::NotController
                | Code::OperationTimedOut
                | Code::RequestTimedOut
                | Code::TimedOutQueue
                | Code::WaitingForCoordinator
        ),
        _ => false,
    }
}
