//! A controller's balancer on the in-process bus, and played invokers that ping, take orders and answer.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::bus::memory::MemoryBus;
use common::bus::{Inbox, MessageBus, Topic};
use common::clock::{Millis, VirtualClock};
use common::config::Config;
use common::entity::id::{ActivationId, ControllerId, InvokerId, TransactionId};
use common::entity::identity::{ALL_RIGHTS, AuthKey, Identity, Namespace};
use common::entity::limits::{ActionLimitRanges, ActionLimits, ByteSize};
use common::entity::name::{EntityName, Fqn};
use common::message::ack::{Ack, AckResult};
use common::message::activation::ActivationMessage;
use common::message::ping::PingMessage;
use common::shutdown::Shutdown;
use common::trace::Trace;
use controller::load_balancer::schedule::Partition;
use controller::load_balancer::sharding::{Parts, Sharding};
use controller::load_balancer::test_action::TRANSID;
use controller::load_balancer::{BalancerError, InvokerHealth, LoadBalancer, Order, Waiter};
use controller::metrics::{BalancerMetrics, FleetMetrics};
use serde::Serialize;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, interval, sleep};

/// Longer than any condition may take, in paused time.
const PATIENCE: Duration = Duration::from_secs(900);

/// When the balancer started.
pub const STARTED: Millis = Millis(1_000);

/// What a played invoker took, and who it is.
pub type Taken = (u32, ActivationMessage);

/// The balancer and what it counts.
pub struct World {
    pub bus: Arc<MemoryBus>,
    pub balancer: Arc<Sharding>,
    pub controllers: watch::Sender<u32>,
    pub metrics: BalancerMetrics,
    pub fleet: FleetMetrics,
    taken: mpsc::UnboundedReceiver<Taken>,
    take: mpsc::UnboundedSender<Taken>,
    shutdown: Shutdown,
}

/// A played invoker.
pub struct Played {
    life: Shutdown,
    tests_fail: Arc<AtomicBool>,
}

impl Played {
    /// From now on it says nothing and takes nothing.
    pub async fn falls_silent(&self) {
        assert!(self.life.finish(Duration::from_secs(1)).await);
    }

    /// Whether test actions end in a system error from now on.
    pub fn fails_tests(&self, fail: bool) {
        self.tests_fail.store(fail, Ordering::SeqCst);
    }
}

/// An invoker of so many MB.
pub fn invoker(instance: u32, mb: u64) -> InvokerId {
    InvokerId::new(instance, ByteSize::from_mb(mb))
}

/// An order for `guest/<name>` by guest.
pub fn order(name: &str, memory: u64, concurrency: u32) -> Order {
    let namespace = Namespace { name: EntityName::parse("guest").unwrap(), uuid: "u".into() };
    let user = Identity {
        subject: "guest".into(),
        namespace,
        authkey: AuthKey { uuid: "u".into(), key: String::new() },
        rights: ALL_RIGHTS.to_vec(),
        limits: Arc::default(),
    };
    let message = ActivationMessage {
        transid: TransactionId::system("sid_test", Millis(1)),
        action: Fqn::parse(&format!("guest/{name}")).unwrap(),
        revision: None,
        user,
        activation_id: ActivationId::generate(),
        root_controller_index: ControllerId::new("0"),
        blocking: true,
        content: None,
        init_args: Vec::new(),
        locked_args: BTreeMap::new(),
        cause: None,
        trace_context: None,
    };
    let limits = ActionLimits { memory, concurrency, ..ActionLimitRanges::UPSTREAM.standard() };
    Order { message, limits, partition: Partition::Managed, trace: Trace::default() }
}

impl World {
    pub async fn start() -> Self {
        let (bus, shutdown) = (Arc::new(MemoryBus::default()), Shutdown::new());
        let registry = prometheus::Registry::new();
        let metrics = BalancerMetrics::register(&registry, "0").unwrap();
        let fleet = FleetMetrics::register(&registry, "0").unwrap();
        let (controllers, count) = watch::channel(1);
        let parts = Parts {
            bus: bus.clone(),
            id: &ControllerId::new("0"),
            config: &Config::default(),
            clock: Arc::new(VirtualClock::at(STARTED)),
            controllers: count,
            ledger: None,
            metrics: metrics.clone(),
            fleet_metrics: fleet.clone(),
        };
        let balancer = Sharding::start(parts, shutdown.clone()).await.unwrap();
        let (take, taken) = mpsc::unbounded_channel();
        Self { bus, balancer, controllers, metrics, fleet, taken, take, shutdown }
    }

    /// Starts an invoker, which pings and takes what it gets; test actions it answers itself.
    pub async fn invoker(&self, id: InvokerId) -> Played {
        let inbox = Inbox::open(&*self.bus, &Topic::invoker(id.instance), "i").await.unwrap();
        let played = Played { life: self.shutdown.child(), tests_fail: Arc::default() };
        let (bus, life) = (self.bus.clone(), played.life.clone());
        let (fails, take) = (played.tests_fail.clone(), self.take.clone());
        played.life.spawn("played invoker", play(bus, id, inbox, fails, take, life));
        played
    }

    /// Starts so many invokers and waits until all are up.
    pub async fn invokers(&self, count: u32, mb: u64) -> Vec<Played> {
        let mut all = Vec::new();
        for instance in 0..count {
            all.push(self.invoker(invoker(instance, mb)).await);
        }
        let up = |world: &World| (0..count).all(|instance| world.health(instance) == Some(InvokerHealth::Up));
        self.until(up).await;
        all
    }

    /// How an invoker is, if it is known.
    pub fn health(&self, instance: u32) -> Option<InvokerHealth> {
        self.balancer.invokers().get(instance as usize).map(|(_, health)| *health)
    }

    /// Lets paused time pass until it holds.
    pub async fn until(&self, holds: impl Fn(&World) -> bool) {
        let end = Instant::now() + PATIENCE;
        while !holds(self) {
            assert!(Instant::now() < end, "it never held; invokers: {:?}", self.balancer.invokers());
            sleep(Duration::from_millis(50)).await;
        }
    }

    /// Publishes an order, and says who took it.
    pub async fn place(&mut self, order: Order) -> (u32, ActivationMessage, Waiter) {
        let waiter = self.balancer.publish(order).await.unwrap().unwrap();
        let (instance, message) = self.taken.recv().await.unwrap();
        (instance, message, waiter)
    }

    /// Publishes an order that nobody takes.
    pub async fn refused(&self, order: Order) -> BalancerError {
        self.balancer.publish(order).await.unwrap_err()
    }

    /// Reports the end of an activation.
    pub async fn ack(&self, instance: u32, message: &ActivationMessage, is_system_error: bool) {
        send(&*self.bus, &Topic::completed("0"), &combined(instance, message, is_system_error)).await;
    }

    /// Pings once.
    pub async fn ping(&self, name: InvokerId, is_enabled: bool) {
        send(&*self.bus, &Topic::health(), &PingMessage { name, is_enabled }).await;
    }

    pub async fn stop(self) {
        assert!(self.shutdown.finish(Duration::from_secs(5)).await);
    }
}

pub fn combined(instance: u32, message: &ActivationMessage, is_system_error: bool) -> Ack {
    Ack::Combined {
        transid: message.transid.clone(),
        response: AckResult::Id(message.activation_id),
        is_system_error,
        instance: invoker(instance, 1),
    }
}

async fn send(bus: &dyn MessageBus, topic: &Topic, message: &impl Serialize) {
    bus.publish(topic, serde_json::to_vec(message).unwrap().into()).await.unwrap();
}

async fn play(
    bus: Arc<MemoryBus>,
    id: InvokerId,
    mut inbox: Inbox,
    fails: Arc<AtomicBool>,
    take: mpsc::UnboundedSender<Taken>,
    life: Shutdown,
) {
    let mut seconds = interval(Duration::from_secs(1));
    loop {
        let delivery = tokio::select! {
            () = life.requested() => return,
            _ = seconds.tick() => {
                send(&*bus, &Topic::health(), &PingMessage { name: id.clone(), is_enabled: true }).await;
                continue;
            }
            delivery = inbox.next() => delivery,
        };
        let Some(delivery) = delivery else { return };
        let message: ActivationMessage = serde_json::from_slice(delivery.message()).unwrap();
        delivery.accept();
        if &*message.transid.id != TRANSID {
            take.send((id.instance, message)).unwrap();
            continue;
        }
        let completion = Ack::Completion {
            transid: message.transid,
            activation_id: message.activation_id,
            is_system_error: fails.load(Ordering::SeqCst),
            instance: id.clone(),
        };
        send(&*bus, &Topic::completed("0"), &completion).await;
    }
}
