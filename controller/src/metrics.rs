//! What the controller counts, under upstream's names with tags on
//! (`common/scala/src/main/scala/org/apache/openwhisk/common/Logging.scala`, `LoggingMarkers`).

use std::sync::Arc;

use common::metrics::{Maker, Marker, STAGE_SECONDS};
use prometheus::{Histogram, HistogramVec, IntCounter, IntCounterVec, IntGauge, Registry, Result};
use tokio::time::Instant;

use crate::load_balancer::schedule::Partition;
use crate::load_balancer::{InvokerHealth, LoadBalancer};

/// The upper bounds of how long it takes to hand an order over, in milliseconds: upstream measures it without a unit.
const MILLIS: [f64; 13] = [0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0, 300.0, 1e3, 3e3, 1e4, 3e4, 1e5];

/// Counts the start of a controller.
pub fn started(registry: &Registry, controller: &str) -> Result<()> {
    let maker = Maker::new(registry);
    let starts = maker.with("controller_id", controller);
    starts.counter("counter_controller_startup_counter_total", "starts of the controller")?.inc();
    Ok(())
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
        let maker = Maker::new(registry);
        let register = |method: &'static str| {
            let lower = method.to_ascii_lowercase();
            let name = format!("counter_http_{lower}_counter_total");
            let count = maker.counters(&name, &format!("{method} requests"), &["statusCode"])?;
            let name = format!("histogram_http_{lower}_counter_seconds");
            let help = format!("time of {method} requests");
            let seconds = maker.histograms(&name, &help, &STAGE_SECONDS, &["statusCode"])?;
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

/// All invocations.
pub struct ActivationMetrics {
    /// The caller waits for the result.
    pub blocking: Marker,
    /// The caller gets an id.
    pub non_blocking: Marker,
    /// Records of blocking activations that were looked up, since no message brought them.
    pub retrievals: IntCounter,
}

impl ActivationMetrics {
    /// Registers them.
    pub fn register(registry: &Registry) -> Result<Self> {
        let maker = Maker::new(registry);
        let retrievals = "counter_controller_blockingActivationDatabaseRetrieval_counter_total";
        Ok(Self {
            blocking: maker.marker("controller_blockingActivation", "blocking invocations")?,
            non_blocking: maker.marker("controller_activation", "non-blocking invocations")?,
            retrievals: maker.counter(retrievals, "results of blocking invocations read from the store")?,
        })
    }
}

/// Registers how long it takes to find out who asks.
pub fn authentication(registry: &Registry) -> Result<Histogram> {
    Maker::new(registry).seconds("oxwhisk_controller_auth_seconds", "to find out who asks")
}

/// What a balancer counts.
#[derive(Clone)]
pub struct BalancerMetrics {
    /// Orders that were taken.
    pub published: IntCounter,
    /// An order finds its invoker and gets there.
    pub publishing: Publishing,
    /// An order finds its invoker.
    pub scheduling: Histogram,
    /// An order is handed to the bus.
    pub bus: Marker,
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
        let maker = Maker::new(registry);
        let acks = "counter_loadbalancer_completionAck_counter_total";
        let acks =
            maker.with("controller_id", controller).counters(acks, "completions by kind", &["type"])?;
        Ok(Self {
            published: maker.counter("counter_loadbalancer_activations_counter_total", "orders sent")?,
            publishing: Publishing::register(&maker)?,
            scheduling: maker
                .seconds("oxwhisk_controller_schedule_seconds", "to find an order its invoker")?,
            bus: maker.marker("controller_kafka", "orders handed to the bus")?,
            regular: acks.with_label_values(&["regular"]),
            healthcheck: acks.with_label_values(&["healthcheck"]),
            regular_after_forced: acks.with_label_values(&["regularAfterForced"]),
            forced: acks.with_label_values(&["forced"]),
        })
    }
}

/// An order on its way from the controller's door to the bus: a marker without a unit.
#[derive(Clone)]
pub struct Publishing {
    started: IntCounter,
    finished: Histogram,
    failed: IntCounter,
    failed_after: Histogram,
}

impl Publishing {
    fn register(maker: &Maker<'_>) -> Result<Self> {
        let millis = |name: &str, help: &str| maker.histogram(name, help, &MILLIS);
        Ok(Self {
            started: maker.counter("counter_controller_loadbalancer_start_total", "orders: begun")?,
            finished: millis(
                "histogram_controller_loadbalancer_finish",
                "orders: ms until the bus had them",
            )?,
            failed: maker.counter("counter_controller_loadbalancer_error_total", "orders: not taken")?,
            failed_after: millis("histogram_controller_loadbalancer_error", "orders: ms until they failed")?,
        })
    }

    /// It begins.
    pub fn start(&self) -> Instant {
        self.started.inc();
        Instant::now()
    }

    /// It has ended like this.
    pub fn end<T, E>(&self, begun: Instant, outcome: &std::result::Result<T, E>) {
        let millis = begun.elapsed().as_secs_f64() * 1000.0;
        if outcome.is_ok() {
            self.finished.observe(millis);
        } else {
            self.failed.inc();
            self.failed_after.observe(millis);
        }
    }
}

/// Registers what a balancer knows: what is in flight, how its invokers are, and the memory of those that take work.
pub fn watch_balancer(registry: &Registry, controller: &str, balancer: &Arc<dyn LoadBalancer>) -> Result<()> {
    let read = |read: fn(&dyn LoadBalancer) -> u64| {
        let balancer = Arc::downgrade(balancer);
        move || balancer.upgrade().map_or(0.0, |balancer| read(&*balancer) as f64)
    };
    let maker = Maker::new(registry);
    let in_flight = read(|balancer| balancer.in_flight_count());
    maker.with("controller_id", controller).observed(
        "gauge_loadbalancer_activationsInflight_counter",
        "activations in flight",
        in_flight,
    )?;
    for (suffix, partition) in
        [("", None), ("Managed", Some(Partition::Managed)), ("BlackBox", Some(Partition::Blackbox))]
    {
        let invokers = move |balancer: &dyn LoadBalancer| match partition {
            Some(partition) => balancer.invokers_of(partition),
            None => balancer.invokers(),
        };
        for (word, wanted) in [
            ("Healthy", InvokerHealth::Up),
            ("Unhealthy", InvokerHealth::Unhealthy),
            ("Unresponsive", InvokerHealth::Unresponsive),
            ("Offline", InvokerHealth::Down),
        ] {
            let balancer = Arc::downgrade(balancer);
            let count = move || {
                let invokers = balancer.upgrade().map(|balancer| invokers(&*balancer)).unwrap_or_default();
                invokers.iter().filter(|(_, health)| *health == wanted).count() as f64
            };
            let name = format!("gauge_loadbalancer_total{word}Invoker{suffix}_counter");
            maker.observed(&name, &format!("invokers that are {}", wanted.as_str()), count)?;
        }
        let balancer = Arc::downgrade(balancer);
        let capacity = move || {
            let invokers = balancer.upgrade().map(|balancer| invokers(&*balancer)).unwrap_or_default();
            let usable = invokers.iter().filter(|(_, health)| *health == InvokerHealth::Up);
            usable.map(|(id, _)| id.user_memory.mb()).sum::<u64>() as f64
        };
        let name = format!("gauge_loadbalancer_totalCapacity{suffix}_counter");
        maker.observed(&name, "MB of the invokers that take work", capacity)?;
    }
    Ok(())
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
        let maker = Maker::new(registry);
        let state = "counter_loadbalancer_invokerState_counter_total";
        let overload = |kind: &str| {
            let name = format!("counter_controller_{kind}InvokerSystemOverload_counter_total");
            maker.counter(&name, "activations for which no invoker had room")
        };
        let here = maker.with("controller_id", controller);
        let (managed_memory, blackbox_memory) = (
            here.gauge(
                "gauge_loadbalancer_memoryManagedInflight_counter",
                "MB of managed actions in flight",
            )?,
            here.gauge(
                "gauge_loadbalancer_memoryBlackboxInflight_counter",
                "MB of blackbox actions in flight",
            )?,
        );
        let (managed, blackbox) = (managed_memory.clone(), blackbox_memory.clone());
        let both = move || (managed.get() + blackbox.get()) as f64;
        here.observed("gauge_loadbalancer_memoryInflight_counter", "MB of all actions in flight", both)?;
        let not_taken = "counter_loadbalancer_slotNotTaken_counter_total";
        let invoker_state = maker.counters(state, "invokers that went out", &["state"])?;
        // What never happens is seen to be 0.
        for state in [InvokerHealth::Unhealthy, InvokerHealth::Unresponsive, InvokerHealth::Down] {
            invoker_state.with_label_values(&[state.as_str()]);
        }
        Ok(Self {
            managed_overload: overload("managed")?,
            blackbox_overload: overload("blackBox")?,
            invoker_state,
            managed_memory,
            blackbox_memory,
            not_taken: maker.counter(not_taken, "slots given back that were not taken")?,
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
        activations.blocking.start();
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
