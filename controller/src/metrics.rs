//! What the controller counts, under upstream's names with tags on
//! (`common/scala/src/main/scala/org/apache/openwhisk/common/Logging.scala`, `LoggingMarkers`).

use prometheus::{
    Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge, Opts, Registry, Result,
};

/// The upper bounds of durations, in seconds.
const SECONDS: [f64; 14] = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];

fn counter(registry: &Registry, name: &str, help: &str) -> Result<IntCounter> {
    let counter = IntCounter::new(name, help)?;
    registry.register(Box::new(counter.clone()))?;
    Ok(counter)
}

fn seconds(registry: &Registry, name: &str, help: &str) -> Result<Histogram> {
    let histogram = Histogram::with_opts(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()))?;
    registry.register(Box::new(histogram.clone()))?;
    Ok(histogram)
}

/// Requests of one method.
struct MethodMetrics {
    method: &'static str,
    count: IntCounterVec,
    seconds: HistogramVec,
}

/// Every response.
pub struct HttpMetrics(Vec<MethodMetrics>);

impl HttpMetrics {
    /// Registers the counters of every method that the API knows.
    pub fn register(registry: &Registry) -> Result<Self> {
        let register = |method: &'static str| {
            let lower = method.to_ascii_lowercase();
            let name = format!("counter_http_{lower}_counter_total");
            let count = IntCounterVec::new(Opts::new(name, format!("{method} requests")), &["statusCode"])?;
            let name = format!("histogram_http_{lower}_counter_seconds");
            let opts = HistogramOpts::new(name, format!("time of {method} requests"));
            let seconds = HistogramVec::new(opts.buckets(SECONDS.to_vec()), &["statusCode"])?;
            registry.register(Box::new(count.clone()))?;
            registry.register(Box::new(seconds.clone()))?;
            Ok(MethodMetrics { method, count, seconds })
        };
        ["POST", "GET", "PUT", "DELETE", "OPTIONS"].into_iter().map(register).collect::<Result<_>>().map(Self)
    }

    /// Counts a response.
    pub fn answered(&self, method: &str, status: &str, seconds: f64) {
        if let Some(metrics) = self.0.iter().find(|metrics| metrics.method == method) {
            metrics.count.with_label_values(&[status]).inc();
            metrics.seconds.with_label_values(&[status]).observe(seconds);
        }
    }
}

/// One way to invoke: blocking or not.
pub struct InvokeMetrics {
    /// Asked for.
    pub started: IntCounter,
    /// Answered, and how long it took.
    pub finished: Histogram,
    /// Not answered as asked.
    pub failed: IntCounter,
}

impl InvokeMetrics {
    fn register(registry: &Registry, token: &str, help: &str) -> Result<Self> {
        Ok(Self {
            started: counter(registry, &format!("counter_controller_{token}_start_total"), help)?,
            finished: seconds(registry, &format!("histogram_controller_{token}_finish_seconds"), help)?,
            failed: counter(registry, &format!("counter_controller_{token}_error_total"), help)?,
        })
    }
}

/// All invocations.
pub struct ActivationMetrics {
    /// The caller waits for the result.
    pub blocking: InvokeMetrics,
    /// The caller gets an id.
    pub non_blocking: InvokeMetrics,
    /// Records of blocking activations that were looked up, since no message brought them.
    pub retrievals: IntCounter,
}

impl ActivationMetrics {
    /// Registers them.
    pub fn register(registry: &Registry) -> Result<Self> {
        let retrievals = "counter_controller_blockingActivationDatabaseRetrieval_counter_total";
        Ok(Self {
            blocking: InvokeMetrics::register(registry, "blockingActivation", "blocking invocations")?,
            non_blocking: InvokeMetrics::register(registry, "activation", "non-blocking invocations")?,
            retrievals: counter(registry, retrievals, "results of blocking invocations read from the store")?,
        })
    }
}

/// What a balancer counts.
#[derive(Clone)]
pub struct BalancerMetrics {
    /// Orders that were taken.
    pub published: IntCounter,
    /// Activations in flight; set when somebody looks.
    pub in_flight: IntGauge,
    /// Completions in time.
    pub regular: IntCounter,
    /// Completions after the activation was given up.
    pub regular_after_forced: IntCounter,
    /// Activations that were given up.
    pub forced: IntCounter,
}

impl BalancerMetrics {
    /// Registers them for the controller of that name.
    pub fn register(registry: &Registry, controller: &str) -> Result<Self> {
        let acks = Opts::new("counter_loadbalancer_completionAck_counter_total", "completions by kind");
        let acks = IntCounterVec::new(acks.const_label("controller_id", controller), &["type"])?;
        registry.register(Box::new(acks.clone()))?;
        let in_flight = Opts::new("gauge_loadbalancer_activationsInflight_counter", "activations in flight");
        let in_flight = IntGauge::with_opts(in_flight.const_label("controller_id", controller))?;
        registry.register(Box::new(in_flight.clone()))?;
        Ok(Self {
            published: counter(registry, "counter_loadbalancer_activations_counter_total", "orders sent")?,
            in_flight,
            regular: acks.with_label_values(&["regular"]),
            regular_after_forced: acks.with_label_values(&["regularAfterForced"]),
            forced: acks.with_label_values(&["forced"]),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_upstreams_and_do_not_collide() {
        let registry = Registry::new();
        let http = HttpMetrics::register(&registry).unwrap();
        let activations = ActivationMetrics::register(&registry).unwrap();
        let balancer = BalancerMetrics::register(&registry, "0").unwrap();
        http.answered("GET", "200", 0.001);
        http.answered("BREW", "418", 0.001);
        activations.blocking.started.inc();
        balancer.forced.inc();
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        for line in [
            "counter_http_get_counter_total{statusCode=\"200\"} 1",
            "counter_controller_blockingActivation_start_total 1",
            "counter_loadbalancer_completionAck_counter_total{controller_id=\"0\",type=\"forced\"} 1",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }
}
