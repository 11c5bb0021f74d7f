//! The balancer of the distributed form: many invokers, of each of which every controller has its part.
//!
//! Controllers tell each other nothing: each knows the invokers from their pings, books within its part of
//! their memory, and learns only how many controllers there are. How an invoker is chosen is `schedule`,
//! how well it is `health`, what is booked `slots`, all three together `fleet`; this file connects them to
//! the bus (`core/controller/.../loadBalancer/ShardingContainerPoolBalancer.scala`).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use common::bus::{BusError, Delivery, MessageBus, Receiver, Subscription, Topic};
use common::clock::Clock;
use common::config::Config;
use common::entity::id::{ActivationId, ControllerId, InvokerId, TransactionId};
use common::entity::name::NameError;
use common::message::ping::PingMessage;
use common::shutdown::Shutdown;
use common::telemetry::span::System;
use rand::Rng;
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval};
use tracing::{Instrument, debug, warn};

use super::dispatch::{Aftermath, Dispatch};
use super::fleet::Fleet;
use super::health::{Effect, Outcome, is_old};
use super::in_flight::Entry;
use super::ledger::{Ledger, Left};
use super::schedule::Partition;
use super::test_action::TestActions;
use super::{BalancerError, InvokerHealth, LoadBalancer, Order, Waiter};
use crate::metrics::{BalancerMetrics, FleetMetrics};

/// How often silence and due tests are looked for.
const TICK: Duration = Duration::from_secs(1);

/// Why the balancer did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The bus gave no place.
    #[error("the balancer has no place at the bus")]
    Bus(#[from] BusError),
    /// The controller's name.
    #[error("the controller's name is no part of an action's name")]
    Name(#[from] NameError),
}

/// What the balancer is put together from.
pub struct Parts<'a> {
    /// To and from invokers.
    pub bus: Arc<dyn MessageBus>,
    /// Which controller this is.
    pub id: &'a ControllerId,
    /// All settings.
    pub config: &'a Config,
    /// The time of day, by which old pings are told.
    pub clock: Arc<dyn Clock>,
    /// How many controllers there are, this one included.
    pub controllers: watch::Receiver<u32>,
    /// What makes the book outlive this process, and what an earlier one had in its book.
    pub ledger: Option<(Arc<Ledger>, Vec<Left>)>,
    /// What every balancer counts.
    pub metrics: BalancerMetrics,
    /// What this one counts.
    pub fleet_metrics: FleetMetrics,
}

/// Many invokers, and the book of what they run.
pub struct Sharding {
    dispatch: Dispatch,
    supervisor: Arc<Supervisor>,
    _pings: Subscription,
}

impl Sharding {
    /// Subscribes to acknowledgements and pings, and starts to obey them on the runtime of the caller. The
    /// test action must be stored by then ([`super::test_action::store`]).
    pub async fn start(parts: Parts<'_>, shutdown: Shutdown) -> Result<Arc<Self>, StartError> {
        let Parts { bus, id, config, clock, mut controllers, ledger, metrics, fleet_metrics } = parts;
        let count = *controllers.borrow_and_update();
        let supervisor = Arc::new(Supervisor {
            fleet: Fleet::new(config, count, fleet_metrics),
            tests: TestActions::new(bus.clone(), id.clone(), clock.now(), shutdown.clone())?,
            started: Instant::now(),
            clock,
        });
        let (aftermath, stop) = (supervisor.clone(), shutdown.clone());
        let dispatch = Dispatch::start(bus.clone(), id, config, metrics, aftermath, ledger, stop).await?;
        let group = format!("health{}", id.name);
        let pings = bus.subscribe(&Topic::health(), &group, supervisor.clone()).await?;
        let supervision = supervise(supervisor.clone(), controllers, shutdown.clone());
        shutdown.spawn("supervision", supervision.instrument(System::InvokerHealth.span()));
        Ok(Arc::new(Self { dispatch, supervisor, _pings: pings }))
    }

    /// Enters what another controller left in flight.
    pub fn take_up(&self, left: Vec<Left>) {
        self.dispatch.in_flight.take_up(left);
    }

    /// Strikes out what has ended, as its record says.
    pub fn close(&self, id: ActivationId) {
        self.dispatch.close(id);
    }

    /// MB of an invoker that are left to this controller; below zero if more was promised than there is.
    pub fn left(&self, invoker: u32) -> Option<i64> {
        self.supervisor.fleet.left(invoker)
    }
}

#[async_trait]
impl LoadBalancer for Sharding {
    async fn publish(&self, order: Order) -> Result<Option<Waiter>, BalancerError> {
        let scheduling = order.trace.span("schedule");
        let begun = Instant::now();
        let booking = self.supervisor.fleet.book(&order, |count| rand::rng().random_range(0..count));
        drop(scheduling);
        self.dispatch.scheduled(begun);
        let booking = booking?;
        // Nothing waits between the booking and its entry in the book.
        self.dispatch.send(booking.invoker, order, Some(booking)).await
    }

    fn in_flight_of(&self, namespace: &str) -> u64 {
        self.dispatch.in_flight.of(namespace)
    }

    fn in_flight_count(&self) -> u64 {
        self.dispatch.in_flight.count()
    }

    fn in_flight(&self) -> Vec<(ActivationId, String)> {
        self.dispatch.in_flight.list()
    }

    fn invokers(&self) -> Vec<(InvokerId, InvokerHealth)> {
        self.supervisor.fleet.list()
    }

    fn invokers_of(&self, partition: Partition) -> Vec<(InvokerId, InvokerHealth)> {
        self.supervisor.fleet.list_of(partition)
    }
}

/// Hears how invokers are, and tries those that are not well.
struct Supervisor {
    fleet: Fleet,
    tests: TestActions,
    started: Instant,
    clock: Arc<dyn Clock>,
}

impl Supervisor {
    fn follow(&self, invoker: u32, effect: Effect) {
        match effect {
            Effect::Nothing => {}
            Effect::Test => self.tests.send(invoker),
        }
    }

    fn hear(&self, ping: PingMessage) {
        let invoker = ping.name.instance;
        self.follow(invoker, self.fleet.ping(ping, self.started.elapsed()));
    }
}

impl Receiver for Supervisor {
    fn receive(&self, delivery: Box<dyn Delivery>) {
        let _entered = System::InvokerHealth.span().entered();
        if is_old(delivery.written(), self.clock.now()) {
            debug!("a ping is too old to say anything");
        } else {
            match serde_json::from_slice::<PingMessage>(delivery.message()) {
                Ok(ping) => self.hear(ping),
                Err(error) => warn!(%error, "a ping cannot be read"),
            }
        }
        delivery.accept();
    }
}

impl Aftermath for Supervisor {
    fn freed(&self, entry: &Entry) {
        if let Some(booking) = &entry.booking {
            self.fleet.free(booking);
        }
    }

    fn ended(&self, invoker: u32, outcome: Outcome) {
        self.follow(invoker, self.fleet.ended(invoker, outcome, self.started.elapsed()));
    }

    fn is_test(&self, transid: &TransactionId) -> bool {
        self.tests.is_own(transid)
    }
}

async fn supervise(supervisor: Arc<Supervisor>, mut controllers: watch::Receiver<u32>, shutdown: Shutdown) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut counted = true;
    loop {
        tokio::select! {
            () = shutdown.requested() => return,
            changed = controllers.changed(), if counted => match changed {
                Ok(()) => supervisor.fleet.resize(*controllers.borrow_and_update()),
                // Nobody counts any more; the last count stands.
                Err(_) => counted = false,
            },
            _ = ticks.tick() => {
                for invoker in supervisor.fleet.tick(supervisor.started.elapsed()) {
                    supervisor.tests.send(invoker);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicBool, Ordering};

    use bytes::Bytes;
    use common::bus::memory::MemoryBus;
    use common::clock::{Millis, VirtualClock};
    use common::entity::limits::ByteSize;

    use super::*;

    /// A ping as a bus hands it out that keeps messages.
    struct Kept {
        message: Bytes,
        written: Millis,
        accepted: Arc<AtomicBool>,
    }

    impl Delivery for Kept {
        fn message(&self) -> &Bytes {
            &self.message
        }

        fn written(&self) -> Option<Millis> {
            Some(self.written)
        }

        fn accept(self: Box<Self>) {
            self.accepted.store(true, Ordering::SeqCst);
        }

        fn refuse(self: Box<Self>, why: &str) {
            unreachable!("a ping is never refused: {why}");
        }

        fn discard(self: Box<Self>, why: &str) {
            self.refuse(why);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pings_of_long_ago_are_passed_over() {
        let (shutdown, registry) = (Shutdown::new(), prometheus::Registry::new());
        let id = ControllerId::new("0");
        let (_counted, controllers) = watch::channel(1);
        let parts = Parts {
            bus: Arc::new(MemoryBus::default()),
            id: &id,
            config: &Config::default(),
            clock: Arc::new(VirtualClock::at(Millis(3_600_000))),
            controllers,
            ledger: None,
            metrics: BalancerMetrics::register(&registry, "0").unwrap(),
            fleet_metrics: FleetMetrics::register(&registry, "0").unwrap(),
        };
        let balancer = Sharding::start(parts, shutdown.clone()).await.unwrap();
        for (written, known) in [(Millis(0), 0), (Millis(3_590_000), 0), (Millis(3_599_000), 1)] {
            let name = InvokerId::new(0, ByteSize::from_mb(1024));
            let ping = serde_json::to_vec(&PingMessage { name, is_enabled: true }).unwrap();
            let accepted = Arc::new(AtomicBool::new(false));
            let delivery = Kept { message: ping.into(), written, accepted: accepted.clone() };
            balancer.supervisor.receive(Box::new(delivery));
            assert!(accepted.load(Ordering::SeqCst));
            assert_eq!(balancer.invokers().len(), known);
        }
        assert!(shutdown.finish(Duration::from_secs(1)).await);
    }
}
