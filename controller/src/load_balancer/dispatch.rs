//! What every balancer does with an order once it has an invoker for it: enter it, send it, hear its
//! acknowledgements, give it up at its deadline. Each end of it is told to the [`Aftermath`] once. Where
//! there is a [`Ledger`], what is entered survives this process.
//!
//! Upstream: `core/controller/.../loadBalancer/CommonLoadBalancer.scala`; unlike there an order that
//! nobody took is struck out at once.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use common::bus::{BusError, Delivery, MessageBus, Receiver, Subscription, Topic};
use common::config::Config;
use common::config::load_balancer::BalancerConfig;
use common::entity::id::{ActivationId, ControllerId, TransactionId};
use common::message::ack::{Ack, AckResult};
use common::shutdown::Shutdown;
use common::telemetry::span;
use common::trace::Open;
use futures::future::BoxFuture;
use tokio::runtime::Handle;
use tokio::sync::oneshot;
use tokio::time::Instant;
use tracing::{Instrument, debug, warn};

use super::health::Outcome;
use super::in_flight::{Booking, Entry, Heard, InFlight};
use super::ledger::{Ledger, Left};
use super::{BalancerError, Order, Waiter};
use crate::metrics::BalancerMetrics;

/// How often the book is searched for lost activations.
const SWEEP: Duration = Duration::from_secs(1);

/// Who must know what becomes of orders.
pub trait Aftermath: Send + Sync {
    /// What was booked for an activation is free, since it ended, was lost or was not taken. Its result is
    /// not known to anyone yet.
    fn freed(&self, _entry: &Entry) {}
    /// An activation ended on an invoker, or nothing was heard of it in time.
    fn ended(&self, _invoker: u32, _outcome: Outcome) {}
    /// Whether a transaction is that of this controller's test actions, which are in no book.
    fn is_test(&self, _transid: &TransactionId) -> bool {
        false
    }
}

/// Sends orders and keeps the book of them.
pub struct Dispatch {
    bus: Arc<dyn MessageBus>,
    /// The book.
    pub in_flight: Arc<InFlight>,
    aftermath: Arc<dyn Aftermath>,
    ledger: Option<Arc<Ledger>>,
    timeouts: BalancerConfig,
    standard: Duration,
    metrics: BalancerMetrics,
    runtime: Handle,
    shutdown: Shutdown,
    _acks: Subscription,
}

impl Dispatch {
    /// Subscribes to acknowledgements and starts to obey them on the runtime of the caller.
    pub async fn start(
        bus: Arc<dyn MessageBus>,
        id: &ControllerId,
        config: &Config,
        metrics: BalancerMetrics,
        aftermath: Arc<dyn Aftermath>,
        ledger: Option<(Arc<Ledger>, Vec<Left>)>,
        shutdown: Shutdown,
    ) -> Result<Self, BusError> {
        let in_flight = Arc::new(InFlight::default());
        let ledger = ledger.map(|(ledger, left)| {
            // Before the first acknowledgement is heard, which may be one of theirs.
            in_flight.take_up(left);
            ledger
        });
        let books = Books {
            in_flight: in_flight.clone(),
            aftermath: aftermath.clone(),
            ledger: ledger.clone(),
            metrics: metrics.clone(),
        };
        let (acks, sweep) = (books.clone(), sweep(books, shutdown.clone()));
        let group = format!("completed{}", id.name);
        let acks = bus.subscribe(&Topic::completed(&id.name), &group, Arc::new(acks)).await?;
        shutdown.spawn("lost activations", sweep);
        Ok(Self {
            bus,
            in_flight,
            aftermath,
            ledger,
            timeouts: config.loadbalancer.clone(),
            standard: config.time_limit.std,
            metrics,
            runtime: Handle::current(),
            shutdown,
            _acks: acks,
        })
    }

    /// An order has found its invoker, or there is none, which was looked for since then.
    pub fn scheduled(&self, begun: Instant) {
        self.metrics.scheduling.observe(begun.elapsed().as_secs_f64());
    }

    /// Enters an order and sends it to an invoker; it is struck out if nobody takes it. A booking is in the
    /// book from the first poll on. Whoever stops waiting for this does not stop the order.
    pub async fn send(
        &self,
        invoker: u32,
        order: Order,
        booking: Option<Booking>,
    ) -> Result<Option<Waiter>, BalancerError> {
        let Order { mut message, limits, trace, .. } = order;
        let topic = Topic::invoker(invoker);
        let mut sending = trace.producer("send order");
        if let Some(span) = sending.recorded() {
            span.set("messaging.system", self.bus.system())
                .set("messaging.operation.type", "send")
                .set("messaging.destination.name", topic.to_string())
                .set("faas.invocation_id", message.activation_id.to_string());
        }
        message.trace_context = sending.trace().carried();
        let (waiter, wait) = match message.blocking {
            true => {
                let (waiter, wait) = oneshot::channel();
                (Some(waiter), Some(Waiter(wait)))
            }
            false => (None, None),
        };
        let time_limit = Duration::from_millis(limits.timeout);
        let timeout = self.timeouts.completion_timeout(time_limit, self.standard);
        let bytes = serde_json::to_vec(&message).expect("a message of ours serializes to JSON");
        let (id, namespace) = (message.activation_id, message.user.namespace.uuid.clone());
        let (action, deadline) = (message.action.clone(), Instant::now() + timeout);
        let transid = message.transid.clone();
        let entry = Entry { namespace, action, transid, deadline, waiter, booking };
        if let Some(ledger) = &self.ledger
            && let Err(error) = ledger.open(message, timeout.as_millis() as u64)
        {
            self.aftermath.freed(&entry);
            return Err(BalancerError::NotJournalled(error));
        }
        self.in_flight.open(id, entry);
        match self.metrics.bus.around(self.see_through(topic, id, bytes.into(), sending)).await {
            Ok(()) => {
                self.metrics.published.inc();
                Ok(wait)
            }
            Err(error @ BusError::TooLarge { .. }) => Err(BalancerError::TooLarge(error)),
            Err(error @ (BusError::Refused { .. } | BusError::Unavailable { .. } | BusError::Closed)) => {
                Err(BalancerError::Refused(error))
            }
        }
    }

    /// Strikes out an activation that has ended, though no acknowledgement said so.
    pub fn close(&self, id: ActivationId) {
        let entry = self.in_flight.close(id);
        let _entered = entry.as_ref().map(|entry| entry.span(id).entered());
        if let Some(entry) = &entry {
            self.aftermath.freed(entry);
        }
        if let Some(ledger) = &self.ledger {
            ledger.close(id);
        }
    }

    fn see_through(&self, topic: Topic, id: ActivationId, order: Bytes, mut sending: Open) -> SeenThrough {
        let (bus, in_flight, aftermath) = (self.bus.clone(), self.in_flight.clone(), self.aftermath.clone());
        let ledger = self.ledger.clone();
        let work = async move {
            let sent = bus.publish(&topic, order).await;
            if let Err(error) = &sent
                && let Some(span) = sending.recorded()
            {
                span.fail(error.to_string());
            }
            drop(sending);
            if sent.is_err()
                && let Some(entry) = in_flight.close(id)
            {
                aftermath.freed(&entry);
                if let Some(ledger) = ledger {
                    ledger.close(id);
                }
            }
            sent
        };
        SeenThrough {
            work: Some(Box::pin(work)),
            runtime: self.runtime.clone(),
            shutdown: self.shutdown.clone(),
        }
    }
}

/// A publishing that is seen through: if whoever waits for it goes away half-way, a task goes on with it.
struct SeenThrough {
    work: Option<BoxFuture<'static, Result<(), BusError>>>,
    runtime: Handle,
    shutdown: Shutdown,
}

impl Future for SeenThrough {
    type Output = Result<(), BusError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let Some(work) = &mut self.work else { return Poll::Pending };
        let polled = work.as_mut().poll(context);
        if polled.is_ready() {
            self.work = None;
        }
        polled
    }
}

impl Drop for SeenThrough {
    fn drop(&mut self) {
        if let Some(work) = self.work.take() {
            // On the runtime of the role: that of an HTTP worker ends with its server.
            let _entered = self.runtime.enter();
            self.shutdown.spawn("publish", work.in_current_span());
        }
    }
}

/// Where every end of an order is noted. Within one process the invoker's task that publishes an
/// acknowledgement does it itself.
#[derive(Clone)]
struct Books {
    in_flight: Arc<InFlight>,
    aftermath: Arc<dyn Aftermath>,
    ledger: Option<Arc<Ledger>>,
    metrics: BalancerMetrics,
}

impl Books {
    fn hear(&self, ack: Ack) {
        // Within one process whoever reports is in the activation's span.
        let _entered = self.ledger.is_some().then(|| span::transaction(ack.transid()).entered());
        // What frees a slot says how it went, and where.
        let end = match &ack {
            Ack::Result { .. } => None,
            Ack::Completion { transid, is_system_error, instance, .. }
            | Ack::Combined { transid, is_system_error, instance, .. } => {
                let outcome = if *is_system_error { Outcome::SystemError } else { Outcome::Success };
                Some((instance.instance, outcome, self.aftermath.is_test(transid)))
            }
        };
        let id = ack.activation_id();
        if let (Some(ledger), Ack::Result { response: AckResult::Record(record), .. }) = (&self.ledger, &ack)
        {
            ledger.heard(record);
        }
        let heard = self.in_flight.hear(ack, |entry| self.aftermath.freed(entry));
        match (heard, end) {
            (Heard::Result | Heard::Unknown, None) | (Heard::Result, Some(_)) => {}
            (Heard::Completed, end) => {
                self.metrics.regular.inc();
                if let Some(ledger) = &self.ledger {
                    ledger.close(id);
                }
                if let Some((invoker, outcome, _)) = end {
                    self.aftermath.ended(invoker, outcome);
                }
            }
            (Heard::Unknown, Some((invoker, outcome, true))) => {
                self.metrics.healthcheck.inc();
                self.aftermath.ended(invoker, outcome);
            }
            (Heard::Unknown, Some((invoker, _, false))) => {
                self.metrics.regular_after_forced.inc();
                debug!(activation.id = %id, "invoker{invoker} completed {id}, which has no entry");
            }
        }
    }
}

impl Books {
    async fn give_up(&self, id: ActivationId, entry: &Entry) {
        self.metrics.forced.inc();
        let action = &entry.action;
        warn!(activation.id = %id, action.fqn = %action, "no completion of {id} ({action}) was received in time");
        self.aftermath.freed(entry);
        if let Some(booking) = &entry.booking {
            self.aftermath.ended(booking.invoker, Outcome::Timeout);
        }
        if let Some(ledger) = &self.ledger {
            ledger.give_up(id).await;
        }
    }
}

impl Receiver for Books {
    fn receive(&self, delivery: Box<dyn Delivery>) {
        match serde_json::from_slice::<Ack>(delivery.message()) {
            Ok(ack) => self.hear(ack),
            Err(error) => warn!(%error, "an acknowledgement cannot be read"),
        }
        delivery.accept();
    }
}

async fn sweep(books: Books, shutdown: Shutdown) {
    loop {
        tokio::select! {
            () = shutdown.requested() => return,
            () = tokio::time::sleep(SWEEP) => {}
        }
        for (id, entry) in books.in_flight.overdue(Instant::now()) {
            books.give_up(id, &entry).instrument(entry.span(id)).await;
        }
    }
}
