//! What both roles of a process count: stores, caches, the bus, records, journals. Registered once a process, since
//! the embedded form has both in one.

use std::sync::Arc;

use prometheus::process_collector::ProcessCollector;
use prometheus::{GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, Registry, Result};
use tokio::time::Instant;

use super::{Maker, Marker, STAGE_SECONDS, UNITLESS};
use crate::journal::Journal;

/// All of it.
#[derive(Clone, Debug)]
pub struct SharedMetrics {
    /// Of the stores.
    pub stores: StoreMetrics,
    /// Of what is kept of them in memory.
    pub caches: CacheMetrics,
    /// Of the broker.
    pub bus: BusMetrics,
    /// Of records on their way to the store.
    pub records: RecordMetrics,
}

impl SharedMetrics {
    /// Makes and registers them, and what the system knows of the process: `process_…`.
    pub fn register(registry: &Registry) -> Result<Self> {
        registry.register(Box::new(ProcessCollector::for_self()))?;
        let maker = Maker::new(registry);
        Ok(Self {
            stores: StoreMetrics::register(&maker)?,
            caches: CacheMetrics::register(&maker)?,
            bus: BusMetrics::register(&maker)?,
            records: RecordMetrics::register(&maker)?,
        })
    }
}

/// What stores are asked.
#[derive(Clone, Debug)]
pub struct StoreMetrics {
    /// One document is read.
    pub get: Marker,
    /// One is written.
    pub save: Marker,
    /// Several are written at once.
    pub save_bulk: Marker,
    /// One is deleted.
    pub delete: Marker,
    /// A list, a count, or a search by something else than the id.
    pub query: Marker,
    /// Code is read.
    pub attachment: Marker,
    /// Records in one write.
    pub batch: Histogram,
}

impl StoreMetrics {
    fn register(maker: &Maker<'_>) -> Result<Self> {
        let batch = "histogram_database_batchSize_counter";
        Ok(Self {
            get: maker.marker("database_getDocument", "documents read")?,
            save: maker.marker("database_saveDocument", "documents written")?,
            save_bulk: maker.marker("database_saveDocumentBulk", "several documents written at once")?,
            delete: maker.marker("database_deleteDocument", "documents deleted")?,
            query: maker.marker("database_queryView", "lists, counts and searches")?,
            attachment: maker.marker("database_getDocumentAttachment", "code read")?,
            batch: maker.histogram(batch, "activation records in one write", &UNITLESS)?,
        })
    }
}

/// Whether what was looked for was in memory.
#[derive(Clone, Debug)]
pub struct CacheMetrics {
    /// It was.
    pub hit: IntCounter,
    /// It was not.
    pub miss: IntCounter,
}

impl CacheMetrics {
    fn register(maker: &Maker<'_>) -> Result<Self> {
        Ok(Self {
            hit: maker.counter("counter_database_cacheHit_counter_total", "entities found in memory")?,
            miss: maker
                .counter("counter_database_cacheMiss_counter_total", "entities not found in memory")?,
        })
    }
}

/// What is read from the broker.
#[derive(Clone, Debug)]
pub struct BusMetrics {
    lag: GaugeVec,
    delay: HistogramVec,
}

impl BusMetrics {
    fn register(maker: &Maker<'_>) -> Result<Self> {
        let delay = ("histogram_kafka_topic_start_seconds", "from a message's writing to its reading");
        Ok(Self {
            lag: maker.gauges(
                "gauge_kafka_topic_counter",
                "messages of a topic that are not accepted yet",
                &["topic"],
            )?,
            delay: maker.histograms(delay.0, delay.1, &STAGE_SECONDS, &["topic"])?,
        })
    }

    /// Of one topic.
    pub fn of(&self, topic: &str) -> TopicMetrics {
        let (lag, delay) = (self.lag.with_label_values(&[topic]), self.delay.with_label_values(&[topic]));
        TopicMetrics { lag, delay }
    }
}

/// What is read of one topic.
#[derive(Clone, Debug)]
pub struct TopicMetrics {
    /// Messages that are not accepted yet.
    pub lag: prometheus::Gauge,
    /// From writing to reading.
    pub delay: Histogram,
}

/// Records on their way to the store.
#[derive(Clone, Debug)]
pub struct RecordMetrics(Histogram);

impl RecordMetrics {
    fn register(maker: &Maker<'_>) -> Result<Self> {
        let help = "from the end of an activation to its record in the store";
        maker.seconds("oxwhisk_record_seconds", help).map(Self)
    }

    /// A record is stored that was handed over then.
    pub fn stored(&self, handed_over: Instant) {
        self.0.observe(handed_over.elapsed().as_secs_f64());
    }
}

/// For those whom nobody watches.
impl Default for SharedMetrics {
    fn default() -> Self {
        Self::register(&Registry::new()).expect("a new registry has none of these names")
    }
}

impl Default for CacheMetrics {
    fn default() -> Self {
        Self::register(&Maker::new(&Registry::new())).expect("a new registry has none of these names")
    }
}

impl Default for RecordMetrics {
    fn default() -> Self {
        let options = HistogramOpts::new("records", "records").buckets(STAGE_SECONDS.to_vec());
        Self(Histogram::with_opts(options).expect("the bounds are in order"))
    }
}

/// Registers what a journal holds. `role` is whose it is.
pub fn watch_journal(registry: &Registry, role: &str, journal: &Arc<Journal>) -> Result<()> {
    let maker = Maker::new(registry);
    let maker = maker.with("role", role);
    let read = |read: fn(&Journal) -> u64| {
        let journal = Arc::downgrade(journal);
        move || journal.upgrade().map_or(0.0, |journal| read(&journal) as f64)
    };
    let open = read(|journal| journal.open() as u64);
    maker.observed("oxwhisk_journal_activations", "accepted and not stored yet", open)?;
    maker.observed("oxwhisk_journal_bytes", "their bytes", read(Journal::open_bytes))?;
    let max = "with so many bytes the journal accepts nothing more";
    maker.observed("oxwhisk_journal_limit_bytes", max, read(Journal::max_bytes))
}

/// Registers whether a role can do its work, as `/ready` says it.
pub fn watch_readiness(
    registry: &Registry,
    role: &str,
    is_ready: impl Fn() -> bool + Send + Sync + 'static,
) -> Result<()> {
    let help = "1 if it can do its work, else 0";
    let read = move || f64::from(u8::from(is_ready()));
    Maker::new(registry).with("role", role).observed("oxwhisk_ready", help, read)
}
