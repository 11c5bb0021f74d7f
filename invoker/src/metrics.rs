//! What an invoker counts, under upstream's names (`common/scala/.../common/Logging.scala`, with tags on).

use common::entity::activation::Status;
use prometheus::{IntCounterVec, IntGauge, Opts, Registry};

/// Counters and gauges of an invoker.
#[derive(Clone)]
pub struct InvokerMetrics {
    starts: IntCounterVec,
    ends: IntCounterVec,
    waiting: IntGauge,
    containers: IntGauge,
}

impl InvokerMetrics {
    /// Makes and registers them.
    pub fn register(registry: &Registry) -> Result<Self, prometheus::Error> {
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
            waiting: IntGauge::new(
                "gauge_containerPool_runBufferCount_counter",
                "Activations that wait for room.",
            )?,
            containers: IntGauge::new(
                "gauge_containerPool_activeCount_counter",
                "Containers, idle ones included.",
            )?,
        };
        registry.register(Box::new(metrics.starts.clone()))?;
        registry.register(Box::new(metrics.ends.clone()))?;
        registry.register(Box::new(metrics.waiting.clone()))?;
        registry.register(Box::new(metrics.containers.clone()))?;
        Ok(metrics)
    }

    /// A container is made for an activation.
    pub fn cold_start(&self) {
        self.starts.with_label_values(&["cold"]).inc();
    }

    /// A container that exists gets an activation.
    pub fn warm_start(&self) {
        self.starts.with_label_values(&["warmed"]).inc();
    }

    /// An activation has run.
    pub fn ended(&self, status: Status) {
        let label = match status {
            Status::Success => "success",
            Status::ApplicationError => "application_error",
            Status::DeveloperError => "action_developer_error",
            Status::WhiskError => "whisk_internal_error",
        };
        self.ends.with_label_values(&[label]).inc();
    }

    /// How the pool stands.
    pub fn pool(&self, waiting: usize, containers: usize) {
        self.waiting.set(waiting as i64);
        self.containers.set(containers as i64);
    }
}
