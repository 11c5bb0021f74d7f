//! All invokers as one controller sees them: who they are, how they are, and what it has booked of each.
//!
//! An invoker's number is its place in the list; numbers below it that were never heard of are down until
//! they are. Scheduling reads the list under a read lock, which only a change of health, of identity or of
//! the cluster's size takes for writing (`core/controller/.../loadBalancer/ShardingContainerPoolBalancer.scala`,
//! `ShardingContainerPoolBalancerState`). Time and randomness are handed in.

use std::ops::Range;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use common::config::Config;
use common::entity::id::InvokerId;
use common::entity::limits::ByteSize;
use common::message::ping::PingMessage;
use tracing::{debug, error, info, warn};

use super::health::{Effect, Event, Outcome, Supervised};
use super::in_flight::Booking;
use super::schedule::{self, Candidates, Choice, NoneHealthy, Partition, Shares};
use super::slots::{Claim, Slots};
use super::{BalancerError, InvokerHealth, Order};
use crate::metrics::FleetMetrics;

/// The most invokers. A ping with a number beyond is not believed, since the list has a place for each.
pub const MAX_INVOKERS: usize = 16_384;

/// One invoker.
struct Member {
    id: InvokerId,
    health: InvokerHealth,
    slots: Slots,
}

struct Members {
    list: Vec<Member>,
    managed: Candidates,
    blackbox: Candidates,
    controllers: u32,
}

impl Members {
    /// Where those of a partition are in the list.
    fn range(&self, partition: Partition) -> Range<usize> {
        match partition {
            Partition::Managed => self.managed.range(),
            Partition::Blackbox => self.blackbox.range(),
        }
    }
}

/// All invokers.
pub struct Fleet {
    /// By number. Whoever holds this may take `members`, never the other way round.
    supervised: Mutex<Vec<Supervised>>,
    members: RwLock<Members>,
    shares: Shares,
    /// MB of the smallest action.
    least: u64,
    metrics: FleetMetrics,
}

impl Fleet {
    /// Without an invoker, for one of so many controllers.
    pub fn new(config: &Config, controllers: u32, metrics: FleetMetrics) -> Self {
        let none = Candidates::new(0..0);
        let balancer = &config.loadbalancer;
        Self {
            supervised: Mutex::default(),
            members: RwLock::new(Members {
                list: Vec::new(),
                managed: none.clone(),
                blackbox: none,
                controllers,
            }),
            shares: Shares::new(balancer.managed_fraction.0, balancer.blackbox_fraction.0),
            least: config.memory.min.mb(),
            metrics,
        }
    }

    /// Hears a ping, be it of an invoker that is new, or was started again under the same number.
    pub fn ping(&self, ping: PingMessage, now: Duration) -> Effect {
        let PingMessage { name: id, is_enabled } = ping;
        let at = id.instance as usize;
        if at >= MAX_INVOKERS {
            warn!(invoker.id = %id, "{id} has a number that is too high, and is left out");
            return Effect::Nothing;
        }
        let mut supervised = self.supervised();
        if at >= supervised.len() {
            supervised.resize_with(at + 1, Supervised::placeholder);
            self.grow(at + 1, id.user_memory);
        }
        self.identify(at, id);
        let event = if is_enabled { Event::Ping } else { Event::DisabledPing };
        self.settle(at, &mut supervised[at], event, now)
    }

    /// Hears what became of an activation.
    pub fn ended(&self, invoker: u32, outcome: Outcome, now: Duration) -> Effect {
        let at = invoker as usize;
        match self.supervised().get_mut(at) {
            Some(supervised) => self.settle(at, supervised, Event::Ended(outcome), now),
            None => Effect::Nothing,
        }
    }

    /// Lets time pass for all; to be called once a second. Returns who is to be tried.
    pub fn tick(&self, now: Duration) -> Vec<u32> {
        let mut supervised = self.supervised();
        let mut tried = Vec::new();
        for (at, supervised) in supervised.iter_mut().enumerate() {
            if self.settle(at, supervised, Event::Tick, now) == Effect::Test {
                tried.push(at as u32);
            }
        }
        tried
    }

    /// Goes on as one of so many controllers. What is in flight stays booked.
    pub fn resize(&self, controllers: u32) {
        let mut members = self.write();
        if members.controllers == controllers {
            return;
        }
        info!("this controller is one of {controllers}");
        members.controllers = controllers;
        for member in &members.list {
            member.slots.resize(self.part(member.id.user_memory, controllers));
        }
    }

    /// Chooses an invoker for an order and books what it takes. `random` gives a number below its argument.
    pub fn book(&self, order: &Order, random: impl FnOnce(usize) -> usize) -> Result<Booking, BalancerError> {
        let (message, partition) = (&order.message, order.partition);
        let (namespace, action) = (message.user.namespace.name.as_str(), &message.action);
        let claim = Claim::new(action, &order.limits);
        let hash = schedule::hash(namespace, action.path.as_str(), action.name.as_str());
        let members = self.read();
        let candidates = match partition {
            Partition::Managed => &members.managed,
            Partition::Blackbox => &members.blackbox,
        };
        let usable = |at: usize| members.list[at].health == InvokerHealth::Up;
        let take = |at: usize| members.list[at].slots.try_take(&claim);
        let (id, at) = (message.activation_id, schedule::choose(hash, candidates, usable, take, random));
        let invoker = match at {
            Ok(Choice::Room(at)) => at as u32,
            Ok(Choice::Overload(at)) => {
                members.list[at].slots.take(&claim);
                drop(members);
                self.overload(partition).inc();
                warn!(activation.id = %id, "system is overloaded. Chose invoker{at} by random assignment.");
                at as u32
            }
            Err(NoneHealthy) => {
                drop(members);
                let states = self.states(partition);
                error!(
                    activation.id = %id, action.fqn = %action,
                    "failed to schedule activation {id}, action '{action}' ({partition:?}), ns '{namespace}' - invokers to use: {states}"
                );
                return Err(BalancerError::NoInvoker);
            }
        };
        self.memory(partition).add(claim.memory.cast_signed());
        debug!(activation.id = %id, "scheduled activation {id}, action '{action}', ns '{namespace}' to invoker{invoker}");
        Ok(Booking { invoker, partition, claim })
    }

    /// Gives back what was booked.
    pub fn free(&self, booking: &Booking) {
        self.memory(booking.partition).sub(booking.claim.memory.cast_signed());
        let members = self.read();
        let given =
            members.list.get(booking.invoker as usize).map(|member| member.slots.give_back(&booking.claim));
        drop(members);
        if !matches!(given, Some(Ok(()))) {
            self.metrics.not_taken.inc();
            warn!("a slot of invoker{} was given back that was not taken", booking.invoker);
        }
    }

    /// All invokers and how they are, by number.
    pub fn list(&self) -> Vec<(InvokerId, InvokerHealth)> {
        self.read().list.iter().map(|member| (member.id.clone(), member.health)).collect()
    }

    /// Those of a partition.
    pub fn list_of(&self, partition: Partition) -> Vec<(InvokerId, InvokerHealth)> {
        let members = self.read();
        let range = members.range(partition);
        members.list[range].iter().map(|member| (member.id.clone(), member.health)).collect()
    }

    /// MB of an invoker that are left to this controller; below zero if more was promised than there is.
    pub fn left(&self, invoker: u32) -> Option<i64> {
        self.read().list.get(invoker as usize).map(|member| member.slots.left())
    }

    fn supervised(&self) -> MutexGuard<'_, Vec<Supervised>> {
        self.supervised.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn read(&self) -> RwLockReadGuard<'_, Members> {
        self.members.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Members> {
        self.members.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn overload(&self, partition: Partition) -> &prometheus::IntCounter {
        match partition {
            Partition::Managed => &self.metrics.managed_overload,
            Partition::Blackbox => &self.metrics.blackbox_overload,
        }
    }

    fn memory(&self, partition: Partition) -> &prometheus::IntGauge {
        match partition {
            Partition::Managed => &self.metrics.managed_memory,
            Partition::Blackbox => &self.metrics.blackbox_memory,
        }
    }

    /// How many of a partition's invokers are how.
    fn states(&self, partition: Partition) -> String {
        let members = self.read();
        let range = members.range(partition);
        let of = |health| members.list[range.clone()].iter().filter(|member| member.health == health).count();
        let all =
            [InvokerHealth::Up, InvokerHealth::Unhealthy, InvokerHealth::Unresponsive, InvokerHealth::Down];
        let states: Vec<_> = all.map(|health| format!("{}: {}", health.as_str(), of(health))).into();
        states.join(", ")
    }

    fn part(&self, memory: ByteSize, controllers: u32) -> u64 {
        let part = Slots::part(memory, controllers, self.least);
        if part.saturating_mul(u64::from(controllers)) > memory.mb() {
            error!(
                "{controllers} controllers share an invoker of {} MB, each books {part} MB of it: overloads are to be expected",
                memory.mb()
            );
        }
        part
    }

    /// Makes the list so long; whoever is new to it is down.
    fn grow(&self, count: usize, memory: ByteSize) {
        let mut members = self.write();
        let part = self.part(memory, members.controllers);
        for at in members.list.len()..count {
            let id = InvokerId::new(at as u32, memory);
            members.list.push(Member { id, health: InvokerHealth::Down, slots: Slots::new(part) });
        }
        members.managed = Candidates::new(self.shares.of(Partition::Managed, count));
        members.blackbox = Candidates::new(self.shares.of(Partition::Blackbox, count));
    }

    /// Notes who has the number now. Other than upstream, its slots follow its memory.
    fn identify(&self, at: usize, id: InvokerId) {
        if self.read().list[at].id == id {
            return;
        }
        let mut members = self.write();
        let controllers = members.controllers;
        let member = &mut members.list[at];
        if member.id.user_memory != id.user_memory {
            member.slots.resize(self.part(id.user_memory, controllers));
        }
        member.id = id;
    }

    fn settle(&self, at: usize, supervised: &mut Supervised, event: Event, now: Duration) -> Effect {
        let before = supervised.health();
        let effect = supervised.on(event, now);
        let health = supervised.health();
        if health != before {
            self.write().list[at].health = health;
            let state = health.as_str();
            if health == InvokerHealth::Up {
                info!("invoker{at} is {state}");
            } else {
                self.metrics.invoker_state.with_label_values(&[state]).inc();
                warn!("invoker{at} is {state}");
            }
        }
        effect
    }
}
