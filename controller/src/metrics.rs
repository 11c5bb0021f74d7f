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
    /// Completions of test actions.
    pub healthcheck: IntCounter,
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
            healthcheck: acks.with_label_values(&["healthcheck"]),
            regular_after_forced: acks.with_label_values(&["regularAfterForced"]),
            forced: acks.with_label_values(&["forced"]),
        })
    }
}

/// What is counted where there are several invokers.
#[derive(Clone)]
pub struct FleetMetrics {
    /// No invoker had room for an action of the manifest's kinds.
    pub managed_overload: IntCounter,
    /// No invoker had room for an action with an image of the user's.
    pub blackbox_overload: IntCounter,
    /// Invokers that stopped taking work, by what they became.
    pub invoker_state: IntCounterVec,
    /// MB booked for actions of the manifest's kinds.
    pub managed_memory: IntGauge,
    /// MB booked for actions with an image of the user's.
    pub blackbox_memory: IntGauge,
    /// What was given back and had not been taken; ours, and always 0.
    pub not_taken: IntCounter,
}

impl FleetMetrics {
    /// Registers them for the controller of that name.
    pub fn register(registry: &Registry, controller: &str) -> Result<Self> {
        let state = Opts::new("counter_loadbalancer_invokerState_counter_total", "invokers that went out");
        let invoker_state = IntCounterVec::new(state, &["state"])?;
        registry.register(Box::new(invoker_state.clone()))?;
        let overload = |kind: &str| {
            let name = format!("counter_controller_{kind}InvokerSystemOverload_counter_total");
            counter(registry, &name, "activations for which no invoker had room")
        };
        let memory = |kind: &str| {
            let name = format!("gauge_loadbalancer_memory{kind}Inflight_counter");
            let opts =
                Opts::new(name, "MB of activations in flight").const_label("controller_id", controller);
            let gauge = IntGauge::with_opts(opts)?;
            registry.register(Box::new(gauge.clone()))?;
            Ok::<_, prometheus::Error>(gauge)
        };
        let not_taken = "counter_loadbalancer_slotNotTaken_counter_total";
        Ok(Self {
            managed_overload: overload("managed")?,
            blackbox_overload: overload("blackBox")?,
            invoker_state,
            managed_memory: memory("Managed")?,
            blackbox_memory: memory("Blackbox")?,
            not_taken: counter(registry, not_taken, "slots given back that were not taken")?,
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
        let fleet = FleetMetrics::register(&registry, "0").unwrap();
        fleet.blackbox_overload.inc();
        fleet.invoker_state.with_label_values(&["unhealthy"]).inc();
        let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        for line in [
            "counter_http_get_counter_total{statusCode=\"200\"} 1",
            "counter_controller_blockingActivation_start_total 1",
            "counter_loadbalancer_completionAck_counter_total{controller_id=\"0\",type=\"forced\"} 1",
            "counter_controller_blackBoxInvokerSystemOverload_counter_total 1",
            "counter_loadbalancer_invokerState_counter_total{state=\"unhealthy\"} 1",
            "gauge_loadbalancer_memoryManagedInflight_counter{controller_id=\"0\"} 0",
        ] {
            assert!(text.contains(line), "{line} in\n{text}");
        }
    }
}
