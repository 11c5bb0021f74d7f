//! Which invoker runs what, and what is on its way.
//!
//! A balancer books every activation until its slot is free again, hands results to whoever waits, and
//! knows how its invokers are. What an activation means (entitlement, parameters, the answer) is not its
//! concern. Upstream: `core/controller/src/main/scala/org/apache/openwhisk/core/loadBalancer/LoadBalancer.scala`.

pub mod dispatch;
pub mod fleet;
pub mod health;
pub mod in_flight;
pub mod ledger;
pub mod schedule;
pub mod sharding;
pub mod single;
pub mod slots;
pub mod test_action;

use async_trait::async_trait;
use common::bus::BusError;
use common::entity::id::{ActivationId, InvokerId};
use common::entity::limits::ActionLimits;
use common::journal::JournalError;
use common::message::ack::AckResult;
use common::message::activation::ActivationMessage;
use common::trace::Trace;
use tokio::sync::oneshot;

use self::schedule::Partition;

/// An activation to be run, and what is needed to place it.
#[derive(Debug)]
pub struct Order {
    /// What goes to the invoker.
    pub message: ActivationMessage,
    /// The limits of its action.
    pub limits: ActionLimits,
    /// Whose image it runs in.
    pub partition: Partition,
    /// Where in its trace it is.
    pub trace: Trace,
}

/// Why an order was not taken.
#[derive(Debug, thiserror::Error)]
pub enum BalancerError {
    /// Nobody could run it.
    #[error("No invokers available")]
    NoInvoker,
    /// It does not fit a message.
    #[error("the order does not fit a message")]
    TooLarge(#[source] BusError),
    /// The bus or the invoker refused it, or the bus is away.
    #[error("the order was refused")]
    Refused(#[source] BusError),
    /// It could not be noted, so that it might have been lost.
    #[error("the order was not entered in the journal")]
    NotJournalled(#[source] JournalError),
}

/// The result of one blocking activation, once; an error if it was given up.
#[derive(Debug)]
pub struct Waiter(pub oneshot::Receiver<AckResult>);

/// How an invoker is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InvokerHealth {
    /// It takes work.
    Up,
    /// The platform fails on it.
    Unhealthy,
    /// It takes work and does not report back.
    Unresponsive,
    /// It is silent, or wants no work.
    Down,
}

impl InvokerHealth {
    /// As `/invokers` shows it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Up => "up",
            Self::Unhealthy => "unhealthy",
            Self::Unresponsive => "unresponsive",
            Self::Down => "down",
        }
    }
}

/// Places activations and keeps the books of those in flight.
#[async_trait]
pub trait LoadBalancer: Send + Sync {
    /// Returns once an invoker or the bus answers for the order; with a waiter if the order is blocking.
    /// Whoever stops waiting for this does not stop the order.
    async fn publish(&self, order: Order) -> Result<Option<Waiter>, BalancerError>;
    /// How many activations of a namespace, named by its uuid, are in flight.
    fn in_flight_of(&self, namespace: &str) -> u64;
    /// How many activations are in flight.
    fn in_flight_count(&self) -> u64;
    /// All activations in flight, with `ns/name@version`.
    fn in_flight(&self) -> Vec<(ActivationId, String)>;
    /// All invokers that were ever heard of.
    fn invokers(&self) -> Vec<(InvokerId, InvokerHealth)>;
    /// Those of them that run what is in that partition.
    fn invokers_of(&self, _partition: Partition) -> Vec<(InvokerId, InvokerHealth)> {
        self.invokers()
    }
}
