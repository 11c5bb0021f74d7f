//! Clients of librdkafka: what all of them are set to, where their words go, and that of one reader's group.
//!
//! librdkafka works in threads of its own. What of it blocks is done off the runtime, with a bound.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rdkafka::client::ClientContext;
use rdkafka::config::{FromClientConfigAndContext, RDKafkaLogLevel};
use rdkafka::consumer::{CommitMode, Consumer, ConsumerContext, StreamConsumer};
use rdkafka::error::{KafkaError, KafkaResult, RDKafkaErrorCode};
use rdkafka::{ClientConfig, Offset, Statistics, TopicPartitionList};
use tokio::time::{Instant, sleep, timeout};
use tracing::{debug, error, info, trace, warn};

use super::super::{BusError, Topic};
use super::{FRAMING, security};
use crate::config::kafka::KafkaConfig;

/// Every topic has just this one.
pub const PARTITION: i32 = 0;

/// How long one question to the broker may take before it is asked again.
const TRY: Duration = Duration::from_secs(5);

/// How long one may take whose answer is not waited for.
const GLANCE: Duration = Duration::from_secs(1);

/// Between two questions that fail.
const PAUSE: Duration = Duration::from_millis(100);

/// Kilobytes that a reader has in advance; a few messages of the largest kind if that is more.
const AHEAD_KB: usize = 16_384;

/// What every client is set to; ours stands over what the settings say.
pub fn common(config: &KafkaConfig) -> Result<ClientConfig, BusError> {
    let mut settings = ClientConfig::new();
    let given = security::settings(&config.common);
    settings.extend(given.map_err(|error| unavailable("take whisk.kafka.common".to_owned(), error))?);
    settings
        .set("bootstrap.servers", &config.hosts)
        .set("client.id", "oxwhisk")
        .set("socket.nagle.disable", "true")
        .set("socket.keepalive.enable", "true")
        .set("reconnect.backoff.ms", "50")
        .set("reconnect.backoff.max.ms", "1000")
        .set("metadata.max.age.ms", "15000")
        .set("log.connection.close", "false")
        .set_log_level(RDKafkaLogLevel::Notice);
    Ok(settings)
}

/// A client that is to do that.
pub fn create<T: FromClientConfigAndContext<Context>>(
    settings: &ClientConfig,
    context: Context,
    task: &str,
) -> Result<T, BusError> {
    settings.create_with_context(context).map_err(|error| unavailable(task.to_owned(), error))
}

/// What was not done, and why.
pub fn unavailable(task: String, source: impl Error + Send + Sync + 'static) -> BusError {
    BusError::Unavailable { task, source: Box::new(source) }
}

/// The name of a topic at the broker.
pub fn name(config: &KafkaConfig, topic: &Topic) -> String {
    let topics = &config.topics;
    let prefix = if *topic == Topic::events() { &topics.user_event.prefix } else { &topics.prefix };
    format!("{prefix}{topic}")
}

/// Where a client's words go: to the log, and the last complaint also to whoever asks.
#[derive(Clone, Default)]
pub struct Context {
    complaint: Arc<Mutex<Option<String>>>,
}

impl Context {
    /// The last complaint.
    pub fn complaint(&self) -> Option<String> {
        self.complaint.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn complain(&self, reason: &str) {
        // This one only counts brokers.
        if !reason.ends_with("brokers are down") {
            *self.complaint.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        }
    }
}

impl ClientContext for Context {
    // Each client of a process tells of a lost connection, and tells again; the probe does so once.
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        use RDKafkaLogLevel as Level;
        if facility == "FAIL" {
            // Why a connection failed is said here alone, behind the name of a thread.
            let reason = message.split_once("]: ").map_or(message, |(_, reason)| reason);
            *self.complaint.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason.to_owned());
        }
        match level {
            _ if matches!(facility, "FAIL" | "ERROR") => {
                debug!(target: "kafka", "{facility}: {message}");
                self.complain(message);
            }
            Level::Emerg | Level::Alert | Level::Critical => error!(target: "kafka", "{facility}: {message}"),
            Level::Error | Level::Warning => warn!(target: "kafka", "{facility}: {message}"),
            Level::Notice => info!(target: "kafka", "{facility}: {message}"),
            Level::Info => debug!(target: "kafka", "{facility}: {message}"),
            Level::Debug => trace!(target: "kafka", "{facility}: {message}"),
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        debug!(target: "kafka", "{error}: {reason}");
        // This one says only that there is no other.
        if error.rdkafka_error_code() != Some(RDKafkaErrorCode::AllBrokersDown) {
            self.complain(reason);
        }
    }

    fn stats(&self, _statistics: Statistics) {}
}

impl ConsumerContext for Context {}

/// A group on one topic: what it has accepted, and its client.
pub struct Group {
    /// The client, which reads nothing until it is assigned a partition.
    pub consumer: Arc<StreamConsumer<Context>>,
    /// The topic's name at the broker.
    pub name: String,
}

impl Group {
    /// A client for that group.
    pub fn open(
        config: &KafkaConfig,
        max_message: usize,
        topic: &Topic,
        group: &str,
    ) -> Result<Self, BusError> {
        let largest = max_message + FRAMING;
        let request = config.timeouts.request.max(Duration::from_secs(3));
        let mut settings = common(config)?;
        settings
            .set("group.id", format!("{}{group}", config.topics.prefix))
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("auto.offset.reset", "earliest")
            .set("fetch.min.bytes", "1")
            .set("fetch.wait.max.ms", "500")
            .set("fetch.error.backoff.ms", "50")
            .set("fetch.queue.backoff.ms", "20")
            .set("fetch.message.max.bytes", largest.max(1_048_576).to_string())
            .set("queued.max.messages.kbytes", AHEAD_KB.max(largest / 256).to_string())
            .set("socket.timeout.ms", (request / 3).as_millis().to_string())
            // Nobody joins the group; this bounds how long a commit waits for a broker.
            .set("session.timeout.ms", "6000");
        let consumer = create(&settings, Context::default(), &format!("let {topic} be read"))?;
        Ok(Self { consumer: Arc::new(consumer), name: name(config, topic) })
    }

    /// That place in the topic.
    pub fn at(&self, offset: Offset) -> Result<TopicPartitionList, KafkaError> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.name, PARTITION, offset)?;
        Ok(list)
    }

    /// The offset up to which the group has accepted everything; `None` if it never read.
    pub async fn accepted(&self, patience: Duration) -> Result<Option<u64>, BusError> {
        let list = self.at(Offset::Invalid).map_err(|error| self.failed("look up", error))?;
        let ask = move |consumer: &StreamConsumer<Context>, _: &str| {
            let answer = consumer.committed_offsets(list.clone(), TRY)?;
            let elements = answer.elements();
            let Some(element) = elements.first() else { return Ok(None) };
            element.error()?;
            Ok(element.offset().to_raw().and_then(|offset| u64::try_from(offset).ok()))
        };
        self.ask("look up", patience, ask).await
    }

    /// The offsets of the oldest message that is left, and of the next one that is written. librdkafka would
    /// find them out by itself, but takes up to a second for it.
    pub async fn ends(&self, patience: Duration) -> Result<(u64, u64), BusError> {
        let ask = |consumer: &StreamConsumer<Context>, name: &str| {
            let (oldest, next) = consumer.fetch_watermarks(name, PARTITION, TRY)?;
            Ok((u64::try_from(oldest).unwrap_or_default(), u64::try_from(next).unwrap_or_default()))
        };
        self.ask("find the ends of", patience, ask).await
    }

    /// The offset of the next message that is written. What waits for the answer may be dropped.
    pub fn end(&self) -> impl Future<Output = KafkaResult<u64>> + Send + use<> {
        let (consumer, name) = (self.consumer.clone(), self.name.clone());
        let work = tokio::task::spawn_blocking(move || consumer.fetch_watermarks(&name, PARTITION, GLANCE));
        async move {
            let (_, next) = work.await.unwrap_or(Err(KafkaError::Canceled))?;
            Ok(u64::try_from(next).unwrap_or_default())
        }
    }

    async fn ask<T: Send + 'static>(
        &self,
        task: &str,
        patience: Duration,
        ask: impl Fn(&StreamConsumer<Context>, &str) -> KafkaResult<T> + Clone + Send + 'static,
    ) -> Result<T, BusError> {
        let deadline = Instant::now() + patience;
        loop {
            let (ask, consumer, name) = (ask.clone(), self.consumer.clone(), self.name.clone());
            let asked = tokio::task::spawn_blocking(move || ask(&consumer, &name)).await;
            match asked.map_err(|error| unavailable(format!("{task} {}", self.name), error))? {
                Ok(answer) => return Ok(answer),
                Err(error) if Instant::now() >= deadline => return Err(self.failed(task, error)),
                Err(error) => debug!("to {task} {} is tried again: {error}", self.name),
            }
            sleep(PAUSE).await;
        }
    }

    fn failed(&self, task: &str, error: KafkaError) -> BusError {
        unavailable(format!("{task} {}", self.name), error)
    }

    /// Tells the broker that everything before this offset is accepted. What waits for its answer may be
    /// dropped.
    pub fn commit(&self, next: u64) -> impl Future<Output = KafkaResult<()>> + Send + use<> {
        let offset = Offset::Offset(i64::try_from(next).unwrap_or(i64::MAX));
        let (consumer, list) = (self.consumer.clone(), self.at(offset));
        let work = tokio::task::spawn_blocking(move || consumer.commit(&list?, CommitMode::Sync));
        async move { work.await.unwrap_or(Err(KafkaError::Canceled)) }
    }

    /// The same, again and again until it is done or the time is up.
    pub async fn commit_until(&self, next: u64, patience: Duration) -> Result<(), BusError> {
        let attempts = async {
            while let Err(error) = self.commit(next).await {
                debug!("a commit to {} is tried again: {error}", self.name);
                sleep(PAUSE).await;
            }
        };
        timeout(patience, attempts)
            .await
            .map_err(|late| unavailable(format!("take a commit to {}", self.name), late))
    }

    /// Ends the client, and waits for that at most so long.
    pub async fn leave(self, patience: Duration) {
        let name = self.name.clone();
        let ended = tokio::task::spawn_blocking(move || drop(self));
        if timeout(patience, ended).await.is_err() {
            warn!("a reader of {name} is still leaving");
        }
    }
}
