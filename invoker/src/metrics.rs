//! What an invoker counts, under upstream's names (`common/scala/.../common/Logging.scala`, with tags on).

use common::entity::activation::Status;
use prometheus::{IntCounterVec, IntGauge, Opts, Registry};

use crate::pool::decide::{Standing, Start};

/// Counters and gauges of an invoker.
#[derive(Clone)]
pub struct InvokerMetrics {
    starts: IntCounterVec,
    ends: IntCounterVec,
    compilations: IntCounterVec,
    waiting: IntGauge,
    containers: IntGauge,
    memory: IntGauge,
    idle: IntGauge,
    idle_memory: IntGauge,
    prewarmed: IntGauge,
    prewarmed_memory: IntGauge,
    prewarm_cold_starts: IntCounterVec,
    prewarm_expired: IntCounterVec,
}

impl InvokerMetrics {
    /// Makes and registers them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
        let gauge = |name: &str, help: &str| IntGauge::new(name, help);
        let of_kind = |name: &str, help: &str| IntCounterVec::new(Opts::new(name, help), &["memory", "kind"]);
        let metrics = Self {
            starts: IntCounterVec::new(
                Opts::new(
                    "counter_invoker_containerStart_counter_total",
                    "Activations by the state of the container that got them.",
                ),
                &["containerState"],
            )?,
            ends: IntCounterVec::new(
                Opts::new("oxwhisk_invoker_activations_total", "Activations that ran, by status."),
                &["status"],
            )?,
            compilations: IntCounterVec::new(
                Opts::new(
                    "oxwhisk_invoker_compilations_total",
                    "Source that was to become a program, by what came of it.",
                ),
                &["outcome"],
            )?,
            waiting: IntGauge::new(
                "gauge_containerPool_runBufferCount_counter",
                "Activations that wait for room.",
            )?,
            containers: IntGauge::new(
                "gauge_containerPool_activeCount_counter",
                "Containers, idle ones included.",
            )?,
            memory: gauge(
                "gauge_containerPool_activeSize_counter_bytes",
                "Memory of all containers, idle ones and what is reserved included.",
            )?,
            idle: gauge("gauge_containerPool_idlesCount_counter", "Warm containers without work.")?,
            idle_memory: gauge("gauge_containerPool_idlesSize_counter_bytes", "Their memory.")?,
            prewarmed: gauge("gauge_containerPool_prewarmCount_counter", "Stem cells that wait.")?,
            prewarmed_memory: gauge("gauge_containerPool_prewarmSize_counter_bytes", "Their memory.")?,
            prewarm_cold_starts: of_kind(
                "counter_containerPool_prewarmColdstart_counter_total",
                "Cold starts that a stem cell would have spared.",
            )?,
            prewarm_expired: of_kind(
                "counter_containerPool_prewarmExpired_counter_total",
                "Stem cells that waited for as long as they may.",
            )?,
        };
        registry.register(Box::new(metrics.starts.clone()))?;
        registry.register(Box::new(metrics.ends.clone()))?;
        registry.register(Box::new(metrics.compilations.clone()))?;
        for gauge in [
            &metrics.waiting,
            &metrics.containers,
            &metrics.memory,
            &metrics.idle,
            &metrics.idle_memory,
            &metrics.prewarmed,
            &metrics.prewarmed_memory,
        ] {
            registry.register(Box::new(gauge.clone()))?;
        }
        registry.register(Box::new(metrics.prewarm_cold_starts.clone()))?;
        registry.register(Box::new(metrics.prewarm_expired.clone()))?;
        Ok(metrics)
    }

    /// An activation got a container.
    pub fn started(&self, start: Start) {
        let state = match start {
            Start::Warmed => "warmed",
            Start::Warming => "warming",
            Start::WarmingCold => "warmingCold",
            Start::Prewarmed => "prewarmed",
            Start::Cold => "cold",
            Start::Recreated => "recreated",
        };
        self.starts.with_label_values(&[state]).inc();
    }

    /// A stem cell of this kind was missed.
    pub fn prewarm_cold_start(&self, kind: &str, memory_mb: u64) {
        self.prewarm_cold_starts.with_label_values(&[&format!("{memory_mb} MB"), kind]).inc();
    }

    /// A stem cell of this kind has waited for long enough.
    pub fn prewarm_expired(&self, kind: &str, memory_mb: u64) {
        self.prewarm_expired.with_label_values(&[&format!("{memory_mb} MB"), kind]).inc();
    }

    /// An activation has run.
    pub fn ended(&self, status: Status) {
        self.ends.with_label_values(&[status.label()]).inc();
    }

    /// Source was compiled, or found compiled (`cached`), or not.
    pub fn compilation(&self, outcome: &str) {
        self.compilations.with_label_values(&[outcome]).inc();
    }

    /// How the pool stands.
    pub fn pool(&self, standing: &Standing) {
        let count = |gauge: &IntGauge, count: usize| gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
        let size = |gauge: &IntGauge, mb: u64| gauge.set(i64::try_from(mb << 20).unwrap_or(i64::MAX));
        count(&self.waiting, standing.waiting);
        count(&self.containers, standing.containers);
        size(&self.memory, standing.used_mb);
        count(&self.idle, standing.idle);
        size(&self.idle_memory, standing.idle_mb);
        count(&self.prewarmed, standing.prewarmed);
        size(&self.prewarmed_memory, standing.prewarmed_mb);
    }
}
