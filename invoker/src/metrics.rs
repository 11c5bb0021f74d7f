//! What an invoker counts, under upstream's names (`common/scala/.../common/Logging.scala`, with tags on).
//!
//! Where upstream labels the start of a container with namespace and action, ours has its state alone: nobody bounds
//! those labels, and who wants them has user events, which do.

use std::time::Duration;

use common::entity::activation::Status;
use common::metrics::{Maker, Marker};
use prometheus::{Histogram, IntCounter, IntCounterVec, IntGauge, Registry, Result};
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use crate::pool::decide::{Standing, Start};

/// The states in which an activation finds its container, as upstream calls them.
const STARTS: [(Start, &str); 6] = [
    (Start::Warmed, "warmed"),
    (Start::Warming, "warming"),
    (Start::WarmingCold, "warmingCold"),
    (Start::Prewarmed, "prewarmed"),
    (Start::Cold, "cold"),
    (Start::Recreated, "recreated"),
];

/// What may come of a compilation.
const OUTCOMES: [&str; 6] = ["cached", "compiled", "rejected", "timed_out", "out_of_memory", "unavailable"];

/// Counters, gauges and the times of each stage of an activation.
#[derive(Clone)]
pub struct InvokerMetrics {
    /// Orders that were taken.
    pub handled: IntCounter,
    /// From an action at hand to a container for it, or the decision to make one.
    pub pool_wait: Histogram,
    /// A container is made.
    pub creation: Histogram,
    /// One could not be made.
    pub creation_failed: IntCounter,
    /// `/init`
    pub init: Marker,
    /// `/run`
    pub run: Marker,
    /// Logs are gathered.
    pub logs: Marker,
    /// A report to the controller is handed to the bus.
    pub ack: Histogram,
    /// Jobs that came back from a container that could not run them.
    pub rescheduled: IntCounter,
    starts: [IntCounter; STARTS.len()],
    ends: [IntCounter; 4],
    compilations: IntCounterVec,
    waiting: IntGauge,
    waiting_memory: IntGauge,
    containers: IntGauge,
    memory: IntGauge,
    idle: IntGauge,
    idle_memory: IntGauge,
    prewarmed: IntGauge,
    prewarmed_memory: IntGauge,
    capacity: IntGauge,
    waiting_limit: IntGauge,
    prewarm_cold_starts: IntCounterVec,
    prewarm_expired: IntCounterVec,
}

impl InvokerMetrics {
    /// Makes and registers them.
    pub fn register(registry: &Registry) -> Result<Self> {
        let maker = Maker::new(registry);
        let of_kind = |name: &str, help: &str| maker.counters(name, help, &["memory", "kind"]);
        let starts = "counter_invoker_containerStart_counter_total";
        let starts =
            maker.counters(starts, "activations by the state of their container", &["containerState"])?;
        let ends =
            maker.counters("oxwhisk_invoker_activations_total", "activations by status", &["status"])?;
        let compilations = maker.counters(
            "oxwhisk_invoker_compilations_total",
            "source that was to become a program, by what came of it",
            &["outcome"],
        )?;
        // What never happens is seen to be 0.
        for outcome in OUTCOMES {
            compilations.with_label_values(&[outcome]);
        }
        Ok(Self {
            handled: maker.counter("counter_invoker_activation_start_total", "orders taken")?,
            pool_wait: maker.seconds("oxwhisk_invoker_poolWait_seconds", "waiting for a container")?,
            creation: maker.seconds("oxwhisk_containerCreate_seconds", "to make a container")?,
            creation_failed: maker
                .counter("oxwhisk_containerCreate_failed_total", "containers that could not be made")?,
            init: maker.marker("invoker_activationInit", "initializations")?,
            run: maker.marker("invoker_activationRun", "runs")?,
            logs: maker.marker("invoker_collectLogs", "logs gathered")?,
            ack: maker.seconds("oxwhisk_invoker_ack_seconds", "reports handed to the bus")?,
            rescheduled: maker.counter(
                "counter_containerPool_rescheduledActivation_counter_total",
                "jobs that came back from a container that could not run them",
            )?,
            starts: STARTS.map(|(_, word)| starts.with_label_values(&[word])),
            ends: Status::ALL.map(|status| ends.with_label_values(&[status.label()])),
            compilations,
            waiting: maker.gauge("gauge_containerPool_runBufferCount_counter", "activations that wait")?,
            waiting_memory: maker.gauge("gauge_containerPool_runBufferSize_counter_bytes", "their memory")?,
            containers: maker
                .gauge("gauge_containerPool_activeCount_counter", "containers, idle ones included")?,
            memory: maker.gauge(
                "gauge_containerPool_activeSize_counter_bytes",
                "memory of all containers, idle ones and what is reserved included",
            )?,
            idle: maker.gauge("gauge_containerPool_idlesCount_counter", "warm containers without work")?,
            idle_memory: maker.gauge("gauge_containerPool_idlesSize_counter_bytes", "their memory")?,
            prewarmed: maker.gauge("gauge_containerPool_prewarmCount_counter", "stem cells that wait")?,
            prewarmed_memory: maker.gauge("gauge_containerPool_prewarmSize_counter_bytes", "their memory")?,
            capacity: maker
                .gauge("oxwhisk_containerPool_capacity_bytes", "what containers may use in all")?,
            waiting_limit: maker
                .gauge("oxwhisk_containerPool_runBufferLimit", "with so many waiting no more are taken")?,
            prewarm_cold_starts: of_kind(
                "counter_containerPool_prewarmColdstart_counter_total",
                "cold starts that a stem cell would have spared",
            )?,
            prewarm_expired: of_kind(
                "counter_containerPool_prewarmExpired_counter_total",
                "stem cells that waited for as long as they may",
            )?,
        })
    }

    /// An activation got a container.
    pub fn started(&self, start: Start) {
        if let Some(at) = STARTS.iter().position(|(known, _)| *known == start) {
            self.starts[at].inc();
        }
    }

    /// There are stem cells of this kind, of which none is missed and none expired yet.
    pub fn stem_cells(&self, kind: &str, memory_mb: u64) {
        for counters in [&self.prewarm_cold_starts, &self.prewarm_expired] {
            counters.with_label_values(&[&format!("{memory_mb} MB"), kind]);
        }
    }

    /// A stem cell of this kind was missed.
    pub fn prewarm_cold_start(&self, kind: &str, memory_mb: u64) {
        self.prewarm_cold_starts.with_label_values(&[&format!("{memory_mb} MB"), kind]).inc();
    }

    /// A stem cell of this kind has waited for long enough.
    pub fn prewarm_expired(&self, kind: &str, memory_mb: u64) {
        self.prewarm_expired.with_label_values(&[&format!("{memory_mb} MB"), kind]).inc();
    }

    /// An activation has ended.
    pub fn ended(&self, status: Status) {
        self.ends[usize::from(status.code())].inc();
    }

    /// Source was compiled, or found compiled (`cached`), or not.
    pub fn compilation(&self, outcome: &str) {
        self.compilations.with_label_values(&[outcome]).inc();
    }

    /// How much there is room for.
    pub fn limits(&self, capacity_mb: u64, max_queued: usize) {
        size(&self.capacity, capacity_mb);
        count(&self.waiting_limit, max_queued);
    }

    /// How the pool stands.
    pub fn pool(&self, standing: &Standing) {
        count(&self.waiting, standing.waiting);
        size(&self.waiting_memory, standing.waiting_mb);
        count(&self.containers, standing.containers);
        size(&self.memory, standing.used_mb);
        count(&self.idle, standing.idle);
        size(&self.idle_memory, standing.idle_mb);
        count(&self.prewarmed, standing.prewarmed);
        size(&self.prewarmed_memory, standing.prewarmed_mb);
    }
}

/// One kind of request to Docker, as upstream's command lines have them.
#[derive(Clone, Debug)]
pub struct Command {
    /// It begins and ends.
    pub marker: Marker,
    /// There was no answer in time, which is a failure, too.
    pub timed_out: IntCounter,
}

impl Command {
    /// A request that must be answered within `limit`.
    pub async fn within<T, E>(
        &self,
        limit: Duration,
        work: impl Future<Output = std::result::Result<T, E>>,
    ) -> std::result::Result<std::result::Result<T, E>, Elapsed> {
        let begun = self.marker.start();
        let answer = timeout(limit, work).await;
        match &answer {
            Ok(answer) => self.marker.end(begun, answer),
            Err(_) => {
                self.timed_out.inc();
                self.marker.fail(begun);
            }
        }
        answer
    }
}

/// What Docker is asked for, and what is done past it.
#[derive(Clone, Debug)]
pub struct DockerMetrics {
    /// A container is created and started.
    pub run: Command,
    /// One is removed.
    pub rm: Command,
    /// They are listed.
    pub ps: Command,
    /// An image is fetched.
    pub pull: Command,
    /// A container or an image is looked at.
    pub inspect: Command,
    /// A container is paused.
    pub pause: Command,
    /// It goes on.
    pub unpause: Command,
    /// It gets other limits.
    pub update: Command,
    /// It is frozen through its cgroup, as upstream has `runc` do it.
    pub freeze: Marker,
    /// It is thawed.
    pub thaw: Marker,
}

impl DockerMetrics {
    /// Makes and registers them.
    pub fn register(registry: &Registry) -> Result<Self> {
        let maker = Maker::new(registry);
        let docker = maker.markers("invoker_docker", "requests to Docker", "cmd")?;
        let late = "requests to Docker without an answer in time";
        let late = maker.counters("counter_invoker_docker_timeout_total", late, &["cmd"])?;
        let command =
            |word: &str| Command { marker: docker.of(word), timed_out: late.with_label_values(&[word]) };
        let cgroup = maker.markers("invoker_runc", "containers frozen and thawed past Docker", "cmd")?;
        Ok(Self {
            run: command("run"),
            rm: command("rm"),
            ps: command("ps"),
            pull: command("pull"),
            inspect: command("inspect"),
            pause: command("pause"),
            unpause: command("unpause"),
            update: command("update"),
            freeze: cgroup.of("pause"),
            thaw: cgroup.of("resume"),
        })
    }
}

/// For those whom nobody watches.
impl Default for DockerMetrics {
    fn default() -> Self {
        Self::register(&Registry::new()).expect("a new registry has none of these names")
    }
}

/// Counts the start of an invoker.
pub fn started(registry: &Registry, invoker: u32) -> Result<()> {
    let maker = Maker::new(registry).with("invoker_id", &invoker.to_string());
    maker.counter("counter_invoker_startup_counter_total", "starts of the invoker")?.inc();
    Ok(())
}

fn count(gauge: &IntGauge, count: usize) {
    gauge.set(i64::try_from(count).unwrap_or(i64::MAX));
}

fn size(gauge: &IntGauge, mb: u64) {
    gauge.set(i64::try_from(mb << 20).unwrap_or(i64::MAX));
}
