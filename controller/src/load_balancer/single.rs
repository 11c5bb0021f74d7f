//! The balancer of the embedded form: one invoker, in the same process.
//!
//! Unlike upstream's lean balancer it keeps books and watches its invoker, so that the concurrency
//! throttle works and `/invokers` tells the truth. It is up from its first ping, and down after ten
//! seconds of silence or a ping that wants no work.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use common::bus::{BusError, Inbox, MessageBus, Topic};
use common::config::Config;
use common::entity::id::{ActivationId, ControllerId, InvokerId};
use common::message::ping::PingMessage;
use common::shutdown::Shutdown;
use common::telemetry::span::System;
use tokio::sync::watch;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::{Instrument, info, warn};

use super::dispatch::{Aftermath, Dispatch};
use super::health::LIVENESS;
use super::{BalancerError, InvokerHealth, LoadBalancer, Order, Waiter};
use crate::metrics::BalancerMetrics;

/// So long after the start an order waits for the first ping: the debris of a crash is removed before it.
const PATIENCE: Duration = Duration::from_secs(15);

type Seen = Option<(InvokerId, InvokerHealth)>;

/// One invoker and the book of what it runs.
pub struct Single {
    dispatch: Dispatch,
    invoker: watch::Receiver<Seen>,
    patience: Instant,
}

/// The one invoker books its memory itself.
struct NothingBooked;

impl Aftermath for NothingBooked {}

impl Single {
    /// Subscribes to acknowledgements and pings, and starts to obey them on the runtime of the caller.
    pub async fn start(
        bus: Arc<dyn MessageBus>,
        id: &ControllerId,
        config: &Config,
        metrics: BalancerMetrics,
        shutdown: Shutdown,
    ) -> Result<Arc<Self>, BusError> {
        let aftermath = Arc::new(NothingBooked);
        let dispatch =
            Dispatch::start(bus.clone(), id, config, metrics, aftermath, None, shutdown.clone()).await?;
        let pings = Inbox::open(&*bus, &Topic::health(), &format!("health{}", id.name)).await?;
        let (seen, invoker) = watch::channel(None);
        let hearing = hear_pings(pings, seen, shutdown.clone());
        shutdown.spawn("pings", hearing.instrument(System::InvokerHealth.span()));
        Ok(Arc::new(Self { dispatch, invoker, patience: Instant::now() + PATIENCE }))
    }

    /// The number of the invoker, if it takes work. Shortly after the start its first ping is waited for.
    async fn usable(&self) -> Result<u32, BalancerError> {
        let up = |seen: &Seen| match seen {
            Some((id, InvokerHealth::Up)) => Ok(id.instance),
            _ => Err(BalancerError::NoInvoker),
        };
        if self.invoker.borrow().is_some() {
            return up(&self.invoker.borrow());
        }
        let mut invoker = self.invoker.clone();
        match timeout_at(self.patience, invoker.wait_for(Option::is_some)).await {
            Ok(Ok(seen)) => up(&seen),
            Ok(Err(_)) | Err(_) => Err(BalancerError::NoInvoker),
        }
    }
}

#[async_trait]
impl LoadBalancer for Single {
    async fn publish(&self, order: Order) -> Result<Option<Waiter>, BalancerError> {
        let scheduling = order.trace.span("schedule");
        let begun = Instant::now();
        let invoker = self.usable().await;
        drop(scheduling);
        self.dispatch.scheduled(begun);
        let invoker = invoker?;
        self.dispatch.send(invoker, order, None).await
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
        self.invoker.borrow().iter().cloned().collect()
    }
}

async fn hear_pings(mut inbox: Inbox, seen: watch::Sender<Seen>, shutdown: Shutdown) {
    loop {
        let delivery = tokio::select! {
            () = shutdown.requested() => return,
            delivery = timeout(LIVENESS, inbox.next()) => delivery,
        };
        let delivery = match delivery {
            Ok(Some(delivery)) => delivery,
            Ok(None) => return,
            Err(_) => {
                note(&seen, |last| last.map(|(id, _)| (id, InvokerHealth::Down)));
                continue;
            }
        };
        match serde_json::from_slice::<PingMessage>(delivery.message()) {
            Ok(ping) => {
                let health = if ping.is_enabled { InvokerHealth::Up } else { InvokerHealth::Down };
                note(&seen, |_| Some((ping.name, health)));
            }
            Err(error) => warn!(%error, "a ping cannot be read"),
        }
        delivery.accept();
    }
}

/// Notes how the invoker is, and tells the world only what is new.
fn note(seen: &watch::Sender<Seen>, next: impl FnOnce(Seen) -> Seen) {
    seen.send_if_modified(|last| {
        let next = next(last.clone());
        if *last == next {
            return false;
        }
        let health = |seen: &Seen| seen.as_ref().map(|(_, health)| *health);
        if let Some((id, health)) = next.as_ref().filter(|_| health(&next) != health(last)) {
            info!(invoker.id = %id, "{id} is {}", health.as_str());
        }
        *last = next;
        true
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load_balancer::schedule::Partition;
    use common::bus::memory::MemoryBus;
    use common::entity::id::TransactionId;
    use common::entity::identity::{ALL_RIGHTS, AuthKey, Identity, Namespace};
    use common::entity::limits::{ActionLimitRanges, ByteSize};
    use common::entity::name::{EntityName, Fqn};
    use common::message::ack::{Ack, AckResult};
    use common::message::activation::ActivationMessage;
    use common::trace::Trace;

    async fn start(bus: &Arc<MemoryBus>, shutdown: &Shutdown) -> Arc<Single> {
        let metrics = BalancerMetrics::register(&prometheus::Registry::new(), "0").unwrap();
        let bus: Arc<dyn MessageBus> = bus.clone();
        Single::start(bus, &ControllerId::new("0"), &Config::default(), metrics, shutdown.clone())
            .await
            .unwrap()
    }

    fn order() -> Order {
        let name = EntityName::parse("guest").unwrap();
        let user = Identity {
            subject: "guest".into(),
            namespace: Namespace { name, uuid: "u".into() },
            authkey: AuthKey { uuid: "u".into(), key: String::new() },
            rights: ALL_RIGHTS.to_vec(),
            limits: Arc::default(),
        };
        let message = ActivationMessage {
            transid: TransactionId::system("sid_test", common::clock::Millis(1)),
            action: Fqn::parse("guest/a").unwrap(),
            revision: None,
            user,
            activation_id: ActivationId::generate(),
            root_controller_index: ControllerId::new("0"),
            blocking: true,
            content: None,
            init_args: Vec::new(),
            locked_args: std::collections::BTreeMap::new(),
            cause: None,
            trace_context: None,
        };
        let (limits, trace) = (ActionLimitRanges::UPSTREAM.standard(), Trace::default());
        Order { message, limits, partition: Partition::Managed, trace }
    }

    fn invoker() -> InvokerId {
        InvokerId::new(0, ByteSize::from_mb(1))
    }

    async fn ping(bus: &MemoryBus, is_enabled: bool) {
        let ping = PingMessage { name: invoker(), is_enabled };
        bus.publish(&Topic::health(), serde_json::to_vec(&ping).unwrap().into()).await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn an_invoker_is_up_while_it_pings() {
        let (bus, shutdown) = (Arc::new(MemoryBus::default()), Shutdown::new());
        let balancer = start(&bus, &shutdown).await;
        assert!(balancer.invokers().is_empty());
        assert!(matches!(balancer.publish(order()).await, Err(BalancerError::NoInvoker)));
        let mut watch = balancer.invoker.clone();
        for (is_enabled, health) in [(true, InvokerHealth::Up), (false, InvokerHealth::Down)] {
            ping(&bus, is_enabled).await;
            watch.changed().await.unwrap();
            assert_eq!(balancer.invokers(), [(invoker(), health)]);
        }
        assert!(matches!(balancer.publish(order()).await, Err(BalancerError::NoInvoker)));
        ping(&bus, true).await;
        watch.changed().await.unwrap();
        // Silence.
        watch.changed().await.unwrap();
        assert_eq!(balancer.invokers(), [(invoker(), InvokerHealth::Down)]);
        assert!(shutdown.finish(Duration::from_secs(1)).await);
    }

    #[tokio::test]
    async fn an_order_is_in_the_book_until_its_ack() {
        let (bus, shutdown) = (Arc::new(MemoryBus::default()), Shutdown::new());
        let balancer = start(&bus, &shutdown).await;
        let mut inbox = Inbox::open(&*bus, &Topic::invoker(0), "invoker0").await.unwrap();
        let order = order();
        let id = order.message.activation_id;
        // The order comes before the first ping, and waits for it.
        let invoke = balancer.publish(order);
        let run = async {
            ping(&bus, true).await;
            inbox.next().await.unwrap().accept();
            assert_eq!((balancer.in_flight_of("u"), balancer.in_flight_count()), (1, 1));
            assert_eq!(balancer.in_flight()[0].1, "guest/a");
        };
        let (waiter, ()) = tokio::join!(invoke, run);
        let transid = TransactionId::system("sid_test", common::clock::Millis(1));
        let response = AckResult::Id(id);
        let ack = Ack::Combined { transid, response, is_system_error: false, instance: invoker() };
        bus.publish(&Topic::completed("0"), serde_json::to_vec(&ack).unwrap().into()).await.unwrap();
        assert_eq!(waiter.unwrap().unwrap().0.await.unwrap().activation_id(), id);
        assert_eq!(balancer.in_flight_count(), 0);
        assert!(shutdown.finish(Duration::from_secs(1)).await);
    }

    #[tokio::test]
    async fn a_refused_order_leaves_the_book_and_an_abandoned_one_is_seen_through() {
        let (bus, shutdown) = (Arc::new(MemoryBus::default()), Shutdown::new());
        let balancer = start(&bus, &shutdown).await;
        ping(&bus, true).await;
        assert!(matches!(balancer.publish(order()).await, Err(BalancerError::Refused(_))));
        assert_eq!(balancer.in_flight_count(), 0);
        let mut inbox = Inbox::open(&*bus, &Topic::invoker(0), "invoker0").await.unwrap();
        // Whoever publishes goes away before the invoker has said anything.
        let delivery = tokio::select! {
            biased;
            _ = balancer.publish(order()) => unreachable!("nobody has accepted it"),
            delivery = inbox.next() => delivery.unwrap(),
        };
        assert_eq!(balancer.in_flight_count(), 1);
        delivery.refuse("full");
        assert!(shutdown.finish(Duration::from_secs(1)).await);
        assert_eq!(balancer.in_flight_count(), 0);
    }
}
