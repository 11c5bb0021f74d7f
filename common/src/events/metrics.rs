//! What is counted of activations by namespace and action, under the names of upstream's monitoring service
//! (`core/monitoring/user-events/.../PrometheusRecorder.scala`, `KamonRecorder.scala`), so that its dashboards show it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use prometheus::{GaugeVec, Histogram, HistogramVec, IntCounter, IntCounterVec, Registry, Result};

use crate::config::user_events::UserEvents;
use crate::entity::activation::Status;
use crate::message::event::{ActivationEvent, MetricName};
use crate::metrics::{Maker, SECONDS};

/// The upper bounds of results, in bytes. Upstream's are multiples of the most that there may be, and tell nothing.
const BYTES: [f64; 7] = [256.0, 1024.0, 4096.0, 16_384.0, 65_536.0, 262_144.0, 1_048_576.0];
/// Actions, each for every namespace that invokes it, that have series of their own; each has some eighty.
const SERIES: usize = 5_000;

/// Who invoked what: namespace of the action, invoking namespace, action.
type Key = (String, String, String);

/// Series of one action.
struct Series {
    cold_starts: IntCounter,
    wait: Histogram,
    init: Histogram,
    duration: Histogram,
    size: Histogram,
}

/// All that is counted.
pub(super) struct EventMetrics {
    activations: IntCounterVec,
    cold_starts: IntCounterVec,
    wait: HistogramVec,
    init: HistogramVec,
    duration: HistogramVec,
    size: HistogramVec,
    memory: GaugeVec,
    status: IntCounterVec,
    status_code: IntCounterVec,
    concurrent_limit: IntCounterVec,
    timed_limit: IntCounterVec,
    namespace: IntCounterVec,
    global: Global,
    dropped: IntCounter,
    unnamed: IntCounter,
    ignored: Vec<String>,
    series: Mutex<HashMap<Key, Arc<Series>>>,
}

/// Of all namespaces together.
struct Global {
    activations: IntCounter,
    metrics: IntCounter,
    status: IntCounterVec,
    cold_starts: IntCounter,
    wait: Histogram,
    init: Histogram,
    duration: Histogram,
}

/// What the labels of a namespace's action are called.
struct Labels<'a>(&'a UserEvents);

impl Labels<'_> {
    fn of<const N: usize>(&self, names: [&str; N]) -> Vec<String> {
        let renamed =
            |name: &&str| self.0.rename_tags.get(*name).cloned().unwrap_or_else(|| (*name).to_owned());
        names.iter().map(renamed).collect()
    }
}

impl EventMetrics {
    pub(super) fn register(registry: &Registry, settings: &UserEvents) -> Result<Self> {
        let (maker, labels) = (Maker::new(registry), Labels(settings));
        let action = labels.of(["namespace", "initiator", "action"]);
        let namespace = labels.of(["namespace"]);
        let made = labels.of(["namespace", "initiator", "action", "kind", "memory"]);
        let status = labels.of(["namespace", "initiator", "action", "status"]);
        let status_code = labels.of(["namespace", "initiator", "action", "status_code"]);
        let seconds = |name: &str, help: &str| maker.histograms(name, help, &SECONDS, &action);
        let global = |name: &str, help: &str| maker.histogram(name, help, &SECONDS);
        Ok(Self {
            activations: maker.counters("openwhisk_action_activations_total", "activations", &made)?,
            cold_starts: maker.counters("openwhisk_action_coldStarts_total", "cold starts", &action)?,
            wait: seconds("openwhisk_action_waitTime_seconds", "from the request to the container")?,
            init: seconds("openwhisk_action_initTime_seconds", "initialization, of cold starts")?,
            duration: seconds("openwhisk_action_duration_seconds", "from the start to the end of the code")?,
            size: maker.histograms("openwhisk_action_response_size_bytes", "results", &BYTES, &action)?,
            memory: maker.gauges("openwhisk_action_memory", "memory limit, MB", &action)?,
            status: maker.counters("openwhisk_action_status", "activations by how they ended", &status)?,
            status_code: maker.counters(
                "openwhisk_action_status_code",
                "statuses of the actions' own",
                &status_code,
            )?,
            concurrent_limit: maker.counters(
                "openwhisk_action_limit_concurrent_total",
                "refused, since too many were in flight",
                &namespace,
            )?,
            timed_limit: maker.counters(
                "openwhisk_action_limit_timed_total",
                "refused, since there were too many in a minute",
                &namespace,
            )?,
            namespace: maker.counters(
                "openwhisk_namespace_activations_total",
                "activations of a namespace",
                &labels.of(["namespace", "initiator"]),
            )?,
            global: Global {
                activations: maker.counter("openwhisk_userevents_global_activations_total", "activations")?,
                metrics: maker
                    .counter("openwhisk_userevents_global_metric_total", "limits that were looked at")?,
                status: maker.counters(
                    "openwhisk_userevents_global_status_total",
                    "activations by how they ended",
                    &labels.of(["status"]),
                )?,
                cold_starts: maker.counter("openwhisk_userevents_global_coldStarts_total", "cold starts")?,
                wait: global("openwhisk_userevents_global_waitTime_seconds", "from request to container")?,
                init: global("openwhisk_userevents_global_initTime_seconds", "initialization")?,
                duration: global("openwhisk_userevents_global_duration_seconds", "start to end")?,
            },
            dropped: maker
                .counter("oxwhisk_userevents_dropped_total", "events that the broker did not take in time")?,
            unnamed: maker.counter(
                "oxwhisk_userevents_unnamed_total",
                "activations of actions beyond those that have series",
            )?,
            ignored: settings.ignored_namespaces.clone(),
            series: Mutex::default(),
        })
    }

    /// An activation that `initiator` invoked.
    pub(super) fn activation(&self, event: &ActivationEvent, initiator: &str) {
        let status = Status::from_code(event.status_code).label();
        self.global.activations.inc();
        self.global.status.with_label_values(&[status]).inc();
        if event.status_code != Status::Success.code() {
            self.global.status.with_label_values(&["failure"]).inc();
        }
        self.global.wait.observe(seconds(event.wait_time));
        self.global.duration.observe(seconds(event.duration));
        if event.init_time > 0 {
            self.global.cold_starts.inc();
            self.global.init.observe(seconds(event.init_time));
        }
        let (namespace, action) = event.action();
        if self.ignored.iter().any(|ignored| ignored == namespace) {
            return;
        }
        let Some(series) = self.series_of(namespace, initiator, action) else {
            self.unnamed.inc();
            return;
        };
        self.namespace.with_label_values(&[initiator, initiator]).inc();
        let memory = event.memory.to_string();
        let labels = [namespace, initiator, action];
        self.activations.with_label_values(&[namespace, initiator, action, &event.kind, &memory]).inc();
        self.memory.with_label_values(&labels).set(event.memory as f64);
        self.status.with_label_values(&[namespace, initiator, action, status]).inc();
        if let Some(code) = event.user_defined_status_code {
            self.status_code.with_label_values(&[namespace, initiator, action, &code.to_string()]).inc();
        }
        series.wait.observe(seconds(event.wait_time));
        series.duration.observe(seconds(event.duration));
        if event.init_time > 0 {
            series.cold_starts.inc();
            series.init.observe(seconds(event.init_time));
        }
        if let Some(size) = event.size {
            series.size.observe(size as f64);
        }
    }

    /// A limit was met by `namespace`.
    pub(super) fn limit(&self, name: MetricName, namespace: &str) {
        self.global.metrics.inc();
        match name {
            MetricName::ConcurrentRateLimit => self.concurrent_limit.with_label_values(&[namespace]).inc(),
            MetricName::TimedRateLimit => self.timed_limit.with_label_values(&[namespace]).inc(),
            MetricName::ConcurrentInvocations => {}
        }
    }

    /// An event was not sent.
    pub(super) fn dropped(&self) {
        self.dropped.inc();
    }

    /// The series of an action; none beyond the bound, so that a namespace that makes actions without end costs no
    /// memory without end.
    fn series_of(&self, namespace: &str, initiator: &str, action: &str) -> Option<Arc<Series>> {
        let key = (namespace.to_owned(), initiator.to_owned(), action.to_owned());
        let mut known = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(series) = known.get(&key) {
            return Some(series.clone());
        }
        if known.len() >= SERIES {
            return None;
        }
        let labels = [namespace, initiator, action];
        let series = Arc::new(Series {
            cold_starts: self.cold_starts.with_label_values(&labels),
            wait: self.wait.with_label_values(&labels),
            init: self.init.with_label_values(&labels),
            duration: self.duration.with_label_values(&labels),
            size: self.size.with_label_values(&labels),
        });
        known.insert(key, series.clone());
        Some(series)
    }
}

fn seconds(millis: u64) -> f64 {
    millis as f64 / 1000.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(name: &str, init_time: u64, status_code: u8) -> ActivationEvent {
        ActivationEvent {
            name: name.to_owned(),
            activation_id: "1".to_owned(),
            status_code,
            duration: 30,
            wait_time: 2,
            init_time,
            kind: "nodejs:20".to_owned(),
            conductor: false,
            memory: 256,
            caused_by: None,
            size: Some(42),
            user_defined_status_code: Some(418),
        }
    }

    fn shown(registry: &Registry) -> String {
        prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap()
    }

    #[test]
    fn activations_are_counted_by_action_and_by_who_invoked_it() {
        let registry = Registry::new();
        let settings = UserEvents { ignored_namespaces: vec!["hidden".to_owned()], ..UserEvents::default() };
        let metrics = EventMetrics::register(&registry, &settings).unwrap();
        metrics.activation(&event("guest/pkg/hello", 60, 0), "caller");
        metrics.activation(&event("guest/pkg/hello", 0, 1), "caller");
        metrics.activation(&event("hidden/x", 0, 0), "caller");
        metrics.limit(MetricName::TimedRateLimit, "caller");
        let text = shown(&registry);
        let of = "action=\"pkg/hello\",initiator=\"caller\"";
        for line in [
            &format!(
                "openwhisk_action_activations_total{{{of},kind=\"nodejs:20\",memory=\"256\",namespace=\"guest\"}} 2"
            ),
            &format!("openwhisk_action_coldStarts_total{{{of},namespace=\"guest\"}} 1"),
            &format!("openwhisk_action_waitTime_seconds_count{{{of},namespace=\"guest\"}} 2"),
            &format!("openwhisk_action_initTime_seconds_count{{{of},namespace=\"guest\"}} 1"),
            &format!("openwhisk_action_status{{{of},namespace=\"guest\",status=\"application_error\"}} 1"),
            &format!("openwhisk_action_status_code{{{of},namespace=\"guest\",status_code=\"418\"}} 2"),
            &format!("openwhisk_action_memory{{{of},namespace=\"guest\"}} 256"),
            "openwhisk_namespace_activations_total{initiator=\"caller\",namespace=\"caller\"} 2",
            "openwhisk_userevents_global_activations_total 3",
            "openwhisk_userevents_global_status_total{status=\"failure\"} 1",
            "openwhisk_action_limit_timed_total{namespace=\"caller\"} 1",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
        assert!(!text.contains("hidden"));
    }

    #[test]
    fn labels_get_other_names_and_series_are_bounded() {
        let registry = Registry::new();
        let rename_tags = [("namespace".to_owned(), "ow_namespace".to_owned())].into();
        let metrics =
            EventMetrics::register(&registry, &UserEvents { rename_tags, ..UserEvents::default() }).unwrap();
        for number in 0..SERIES + 3 {
            metrics.activation(&event(&format!("guest/a{number}"), 0, 0), "guest");
        }
        let text = shown(&registry);
        assert!(text.contains("action=\"a0\",initiator=\"guest\",ow_namespace=\"guest\""));
        assert!(text.contains("oxwhisk_userevents_unnamed_total 3"));
    }
}
