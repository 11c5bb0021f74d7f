//! How metrics are made, named and shown, and those that both roles of a process have.
//!
//! Names and labels are upstream's with tags on (`common/scala/.../common/Logging.scala`), which its dashboards expect;
//! what it has no name for is `oxwhisk_…`. Each is made once, when its part is, and kept as a handle: on the way of a
//! request nothing is looked up by name. docs/metrics.md lists all of them.

pub mod shared;

use std::collections::HashMap;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{
    Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts,
    Registry, Result, TextEncoder,
};
use tokio::time::Instant;

/// The upper bounds of durations by namespace and action, in seconds: upstream's.
pub const SECONDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

/// Those of the platform's own stages: upstream's, with finer ones below, since a warm activation is over before
/// the first of them, and longer ones above, for what runs long.
pub const STAGE_SECONDS: [f64; 23] = [
    0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5,
    0.75, 1.0, 2.5, 5.0, 7.5, 10.0, 30.0, 60.0, 300.0,
];

/// Those of what has no unit: upstream's.
pub const UNITLESS: [f64; 9] = [10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4, 3e4, 1e5];

/// What `/metrics` is served as.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=UTF-8";

/// All that is registered, as Prometheus reads it.
pub fn text(registry: &Registry) -> Result<String> {
    TextEncoder::new().encode_to_string(&registry.gather())
}

/// Makes metrics and registers them.
pub struct Maker<'a> {
    registry: &'a Registry,
    constant: HashMap<String, String>,
}

impl<'a> Maker<'a> {
    /// With that registry.
    pub fn new(registry: &'a Registry) -> Self {
        Self { registry, constant: HashMap::new() }
    }

    /// The same, for metrics that all have this label.
    pub fn with(&self, label: &str, value: &str) -> Self {
        let mut constant = self.constant.clone();
        constant.insert(label.to_owned(), value.to_owned());
        Self { registry: self.registry, constant }
    }

    fn options(&self, name: &str, help: &str) -> Opts {
        Opts::new(name, help).const_labels(self.constant.clone())
    }

    fn bounded(&self, name: &str, help: &str, bounds: &[f64]) -> HistogramOpts {
        HistogramOpts::new(name, help).const_labels(self.constant.clone()).buckets(bounds.to_vec())
    }

    fn register<C: Collector + Clone + 'static>(&self, made: C) -> Result<C> {
        self.registry.register(Box::new(made.clone()))?;
        Ok(made)
    }

    /// A counter.
    pub fn counter(&self, name: &str, help: &str) -> Result<IntCounter> {
        self.register(IntCounter::with_opts(self.options(name, help))?)
    }

    /// Counters by label.
    pub fn counters(&self, name: &str, help: &str, labels: &[impl AsRef<str>]) -> Result<IntCounterVec> {
        self.register(IntCounterVec::new(self.options(name, help), &texts(labels))?)
    }

    /// A gauge.
    pub fn gauge(&self, name: &str, help: &str) -> Result<IntGauge> {
        self.register(IntGauge::with_opts(self.options(name, help))?)
    }

    /// Gauges by label.
    pub fn gauges(&self, name: &str, help: &str, labels: &[impl AsRef<str>]) -> Result<GaugeVec> {
        self.register(GaugeVec::new(self.options(name, help), &texts(labels))?)
    }

    /// A histogram of one of the platform's own stages.
    pub fn seconds(&self, name: &str, help: &str) -> Result<Histogram> {
        self.histogram(name, help, &STAGE_SECONDS)
    }

    /// A histogram.
    pub fn histogram(&self, name: &str, help: &str, bounds: &[f64]) -> Result<Histogram> {
        self.register(Histogram::with_opts(self.bounded(name, help, bounds))?)
    }

    /// Histograms by label.
    pub fn histograms(
        &self,
        name: &str,
        help: &str,
        bounds: &[f64],
        labels: &[impl AsRef<str>],
    ) -> Result<HistogramVec> {
        self.register(HistogramVec::new(self.bounded(name, help, bounds), &texts(labels))?)
    }

    /// A gauge that is read whenever somebody looks. `read` must not wait.
    pub fn observed(
        &self,
        name: &str,
        help: &str,
        read: impl Fn() -> f64 + Send + Sync + 'static,
    ) -> Result<()> {
        let gauge = Gauge::with_opts(self.options(name, help))?;
        self.registry.register(Box::new(Observed { gauge, read }))
    }

    /// A marker: `<token>_start`, `<token>_finish`, `<token>_error`.
    pub fn marker(&self, token: &str, help: &str) -> Result<Marker> {
        Ok(Marker {
            started: self.counter(&started(token), &format!("{help}: begun"))?,
            finished: self.seconds(&finished(token), &format!("{help}: how long what went well took"))?,
            failed: self.counter(&failed(token), &format!("{help}: what failed"))?,
            failed_after: self
                .seconds(&failed_after(token), &format!("{help}: how long what failed took"))?,
        })
    }

    /// Markers by one label.
    pub fn markers(&self, token: &str, help: &str, label: &str) -> Result<Markers> {
        let seconds = |name: String, help: String| self.histograms(&name, &help, &STAGE_SECONDS, &[label]);
        Ok(Markers {
            started: self.counters(&started(token), &format!("{help}: begun"), &[label])?,
            finished: seconds(finished(token), format!("{help}: how long what went well took"))?,
            failed: self.counters(&failed(token), &format!("{help}: what failed"), &[label])?,
            failed_after: seconds(failed_after(token), format!("{help}: how long what failed took"))?,
        })
    }
}

fn texts(labels: &[impl AsRef<str>]) -> Vec<&str> {
    labels.iter().map(AsRef::as_ref).collect()
}

fn started(token: &str) -> String {
    format!("counter_{token}_start_total")
}

fn finished(token: &str) -> String {
    format!("histogram_{token}_finish_seconds")
}

fn failed(token: &str) -> String {
    format!("counter_{token}_error_total")
}

fn failed_after(token: &str) -> String {
    format!("histogram_{token}_error_seconds")
}

struct Observed<F> {
    gauge: Gauge,
    read: F,
}

impl<F: Fn() -> f64 + Send + Sync> Collector for Observed<F> {
    fn desc(&self) -> Vec<&Desc> {
        self.gauge.desc()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.gauge.set((self.read)());
        self.gauge.collect()
    }
}

/// Something that begins, and ends well or not: upstream's started, finished and failed.
#[derive(Clone, Debug)]
pub struct Marker {
    started: IntCounter,
    finished: Histogram,
    failed: IntCounter,
    failed_after: Histogram,
}

impl Marker {
    /// It begins.
    pub fn start(&self) -> Instant {
        self.started.inc();
        Instant::now()
    }

    /// What began then has ended well.
    pub fn finish(&self, begun: Instant) {
        self.finished.observe(begun.elapsed().as_secs_f64());
    }

    /// What began then has failed.
    pub fn fail(&self, begun: Instant) {
        self.failed.inc();
        self.failed_after.observe(begun.elapsed().as_secs_f64());
    }

    /// What began then has ended like this.
    pub fn end<T, E>(&self, begun: Instant, outcome: &std::result::Result<T, E>) {
        match outcome {
            Ok(_) => self.finish(begun),
            Err(_) => self.fail(begun),
        }
    }

    /// All of it.
    pub async fn around<T, E>(
        &self,
        work: impl Future<Output = std::result::Result<T, E>>,
    ) -> std::result::Result<T, E> {
        let begun = self.start();
        let outcome = work.await;
        self.end(begun, &outcome);
        outcome
    }
}

/// Markers that differ in a label.
#[derive(Clone, Debug)]
pub struct Markers {
    started: IntCounterVec,
    finished: HistogramVec,
    failed: IntCounterVec,
    failed_after: HistogramVec,
}

impl Markers {
    /// That of this value.
    pub fn of(&self, value: &str) -> Marker {
        Marker {
            started: self.started.with_label_values(&[value]),
            finished: self.finished.with_label_values(&[value]),
            failed: self.failed.with_label_values(&[value]),
            failed_after: self.failed_after.with_label_values(&[value]),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_marker_has_upstreams_names() {
        let registry = Registry::new();
        let maker = Maker::new(&registry);
        let marker = maker.marker("controller_kafka", "orders").unwrap();
        marker.around(async { Ok::<_, ()>(()) }).await.unwrap();
        marker.around(async { Err::<(), _>(()) }).await.unwrap_err();
        let of = maker.markers("invoker_docker", "commands", "cmd").unwrap().of("run");
        of.finish(of.start());
        let text = text(&registry).unwrap();
        for line in [
            "counter_controller_kafka_start_total 2",
            "counter_controller_kafka_error_total 1",
            "histogram_controller_kafka_finish_seconds_count 1",
            "histogram_controller_kafka_error_seconds_count 1",
            "histogram_invoker_docker_finish_seconds_count{cmd=\"run\"} 1",
            "counter_invoker_docker_error_total{cmd=\"run\"} 0",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }

    #[test]
    fn what_is_observed_is_read_when_somebody_looks() {
        let (registry, seen) = (Registry::new(), Arc::new(AtomicU64::new(0)));
        let maker = Maker::new(&registry);
        for role in ["one", "other"] {
            let seen = seen.clone();
            let read = move || seen.fetch_add(1, Ordering::SeqCst) as f64;
            maker.with("role", role).observed("looks", "how often somebody looked", read).unwrap();
        }
        assert!(text(&registry).unwrap().contains("looks{role=\"other\"} "));
        assert_eq!(seen.load(Ordering::SeqCst), 2);
        text(&registry).unwrap();
        assert_eq!(seen.load(Ordering::SeqCst), 4);
    }

    #[test]
    fn bounds_grow_and_hold_all_of_upstreams() {
        assert!(STAGE_SECONDS.is_sorted());
        assert!(SECONDS.iter().all(|bound| STAGE_SECONDS.contains(bound)));
    }
}
