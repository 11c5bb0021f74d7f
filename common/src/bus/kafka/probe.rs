//! Whether the broker can be used: it is asked once a second, and the answer is kept for `/ready`.
//!
//! Connections that are in order say little: a broker may be stopped or its disk full of waiting. One that
//! answers a question answers.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer};
use tokio::time::{Instant, sleep};
use tracing::{info, warn};

use super::super::{BusError, Topic};
use super::client::{self, Context};
use crate::config::kafka::KafkaConfig;
use crate::shutdown::Shutdown;

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(3);

/// Between two questions.
const PAUSE: Duration = Duration::from_secs(1);

/// Between two questions while we start.
const STARTING_PAUSE: Duration = Duration::from_millis(250);

/// Between two words about waiting.
const REMINDER: Duration = Duration::from_secs(5);

/// The most words of the client that are taken after a question.
const WORDS: usize = 32;

/// Asks the broker how it is.
pub struct Probe {
    client: Arc<BaseConsumer<Context>>,
    context: Context,
    hosts: String,
    /// Asked about because it needs some name; it may not exist.
    topic: String,
    trouble: Mutex<Option<String>>,
}

impl Probe {
    pub fn new(config: &KafkaConfig) -> Result<Self, BusError> {
        let context = Context::default();
        Ok(Self {
            client: Arc::new(client::create(&client::common(config)?, context.clone(), "answer")?),
            context,
            hosts: config.hosts.clone(),
            topic: client::name(config, &Topic::health()),
            trouble: Mutex::default(),
        })
    }

    /// Why the broker could not be used a moment ago.
    pub fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns once it answers; tells why it does not.
    pub async fn wait(&self, shutdown: &Shutdown, tell: impl Fn(String)) -> Result<(), BusError> {
        let mut said: Option<Instant> = None;
        loop {
            let trouble = tokio::select! {
                () = shutdown.requested() => return Err(BusError::Closed),
                trouble = self.ask() => trouble,
            };
            let Some(trouble) = trouble else { return Ok(()) };
            if said.is_none_or(|said| said.elapsed() >= REMINDER) {
                warn!("waiting: {trouble}");
                said = Some(Instant::now());
            }
            tell(trouble);
            tokio::select! {
                () = shutdown.requested() => return Err(BusError::Closed),
                () = sleep(STARTING_PAUSE) => {}
            }
        }
    }

    /// Asks again and again.
    pub async fn watch(self: Arc<Self>, tasks: Shutdown) {
        loop {
            tokio::select! {
                () = tasks.requested() => return,
                () = sleep(PAUSE) => {}
            }
            let now = tokio::select! {
                () = tasks.requested() => return,
                now = self.ask() => now,
            };
            let mut trouble = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
            match (trouble.is_some(), &now) {
                (false, Some(now)) => warn!("{now}"),
                (true, None) => info!("Kafka at {} answers again", self.hosts),
                (true, Some(_)) | (false, None) => {}
            }
            *trouble = now;
        }
    }

    async fn ask(&self) -> Option<String> {
        let (client, topic) = (self.client.clone(), self.topic.clone());
        let asked = tokio::task::spawn_blocking(move || {
            let answer = client.fetch_metadata(Some(&topic), PATIENCE);
            // What the client has to say waits here; a poll takes one word, and may return nothing for it.
            for _ in 0..WORDS {
                let _ = client.poll(Duration::ZERO);
            }
            answer
        });
        let error = match asked.await {
            Ok(Ok(metadata)) if metadata.brokers().is_empty() => "it knows no broker".to_owned(),
            Ok(Ok(_)) => return None,
            Ok(Err(error)) => self.context.complaint().unwrap_or_else(|| error.to_string()),
            Err(error) => error.to_string(),
        };
        Some(format!("Kafka at {} does not answer: {error}", self.hosts))
    }
}
