//! May they, and how often: throttles first, then rights, as upstream
//! (`core/controller/src/main/scala/org/apache/openwhisk/core/entitlement/Entitlement.scala`).
//!
//! Throttles are charged before rights and existence, so that asking costs even where the answer is no.
//! What is not readable and what does not exist look alike to strangers. Whether something may be run is
//! answered from the cache; all else reads the packages it depends on anew.

pub mod concurrency;
pub mod rate;
pub mod rights;

use std::sync::Arc;

use common::clock::Clock;
use common::config::limits::Throttles as Limits;
use common::entity::identity::Right;
use common::entity::limits::UserLimits;
use common::entity::name::{EntityName, Fqn};
use common::entity::package::Package;
use common::events::Events;
use common::message::event::MetricName;
use common::store::cache::{EntityCache, Lookup};
use common::store::{IdentityRecord, StoreError};
use tokio::sync::watch;

use self::rate::RateThrottle;
use self::rights::{Resource, Verdict};
use crate::load_balancer::LoadBalancer;

/// Why a request is refused.
#[derive(Debug, thiserror::Error)]
pub enum Denial {
    /// Not the caller's; the text names what.
    #[error("no right to '{0}'")]
    Forbidden(String),
    /// The caller's own package is not there.
    #[error("the package does not exist")]
    NoPackage,
    /// The caller has something else of that name.
    #[error("what the path names as a package is none")]
    NotAPackage,
    /// What is to be written would be in a binding.
    #[error("nothing is written through a binding")]
    Binding,
    /// A binding that leads back to itself; the text names what it is bound to.
    #[error("package binding '{0}' is circular")]
    Circular(String),
    /// More than so many a minute.
    #[error("{count} a minute, {allowed} are allowed")]
    RateLimited {
        /// With this one.
        count: u64,
        /// The most.
        allowed: u64,
    },
    /// More than so many at once.
    #[error("{count} at once, {allowed} are allowed")]
    TooManyInFlight {
        /// Without this one.
        count: u64,
        /// The most.
        allowed: u64,
    },
    /// It could not be found out.
    #[error("the store failed while rights were checked")]
    Store(#[from] StoreError),
}

/// The keeper of rights and throttles.
pub struct Entitlement {
    packages: Arc<EntityCache<Package>>,
    balancer: Arc<dyn LoadBalancer>,
    clock: Arc<dyn Clock>,
    throttles: Throttles,
    events: Events,
    invocations: RateThrottle,
    fires: RateThrottle,
}

/// The system's throttles, and how many controllers share each.
pub struct Throttles {
    /// Where a namespace has none of its own.
    pub limits: Limits,
    /// How many controllers there are.
    pub controllers: watch::Receiver<u32>,
}

impl Throttles {
    /// A controller's part of a limit. Each of several may have a fifth more than its equal part, since
    /// requests are not spread evenly, and at least 1 of what is not 0.
    fn part(&self, limit: u64) -> u64 {
        part(limit, u64::from(*self.controllers.borrow()))
    }
}

fn part(limit: u64, controllers: u64) -> u64 {
    if controllers <= 1 || limit == 0 {
        return limit;
    }
    ((limit.saturating_mul(6)).div_ceil(5) / controllers).max(1)
}

impl Entitlement {
    /// With the system's throttles.
    pub fn new(
        packages: Arc<EntityCache<Package>>,
        balancer: Arc<dyn LoadBalancer>,
        clock: Arc<dyn Clock>,
        throttles: Throttles,
        events: Events,
    ) -> Self {
        let (invocations, fires) = (RateThrottle::default(), RateThrottle::default());
        Self { packages, balancer, clock, throttles, events, invocations, fires }
    }

    /// Charges an invocation to a namespace.
    pub fn charge_invocation(&self, namespace: &IdentityRecord) -> Result<(), Denial> {
        let limits = &self.throttles.limits;
        if limits.unthrottled {
            return Ok(());
        }
        let (uuid, own) = (namespace.key.uuid.as_str(), &namespace.limits);
        let a_minute = own.invocations_per_minute.unwrap_or(limits.invocations_per_minute);
        let charged = self.invocations.charge(uuid, self.throttles.part(a_minute), self.clock.now());
        self.told(MetricName::TimedRateLimit, namespace, charged)?;
        let at_once = self.throttles.part(concurrent_invocations(own, limits));
        let in_flight = self.balancer.in_flight_of(uuid);
        self.told(MetricName::ConcurrentRateLimit, namespace, concurrency::check(in_flight, at_once))?;
        self.events.metric(MetricName::ConcurrentInvocations, in_flight + 1, namespace.into());
        Ok(())
    }

    /// The same; who measures is told if it is a refusal.
    fn told(
        &self,
        limit: MetricName,
        namespace: &IdentityRecord,
        charged: Result<(), Denial>,
    ) -> Result<(), Denial> {
        charged.inspect_err(|_| self.events.metric(limit, 1, namespace.into()))
    }

    /// Charges the firing of a trigger to a namespace.
    pub fn charge_fire(&self, namespace: &IdentityRecord) -> Result<(), Denial> {
        let limits = &self.throttles.limits;
        if limits.unthrottled {
            return Ok(());
        }
        let a_minute = namespace.limits.fires_per_minute.unwrap_or(limits.fires_per_minute);
        let charged = self.fires.charge(&namespace.key.uuid, self.throttles.part(a_minute), self.clock.now());
        self.told(MetricName::TimedRateLimit, namespace, charged)
    }

    /// Whether a caller has a right to something. What is reached through a binding needs that both the
    /// binding and what it is bound to may be read.
    pub async fn check(
        &self,
        caller: &IdentityRecord,
        right: Right,
        resource: &Resource<'_>,
    ) -> Result<(), Denial> {
        let namespace = resource.namespace;
        match rights::judge(caller.key.namespace == *namespace, right, resource) {
            Verdict::Allowed => Ok(()),
            Verdict::Denied(what) => Err(Denial::Forbidden(what)),
            Verdict::WherePackageIsRead(package) => self.check_read(caller, right, namespace, package).await,
            Verdict::WherePackageIsWritten(package) => {
                self.check_written(&format!("{namespace}/{package}")).await
            }
        }
    }

    /// Whether a caller has a right to all of several actions or triggers, as a sequence or a rule names them.
    /// All that are out of reach are named together, but for a package that is: that is named alone.
    pub async fn check_all(
        &self,
        caller: &IdentityRecord,
        right: Right,
        names: impl IntoIterator<Item = &Fqn>,
    ) -> Result<(), Denial> {
        let mut forbidden = Vec::new();
        for fqn in names {
            let (namespace, package) = (fqn.namespace(), fqn.path.package());
            let resource =
                Resource { namespace: &namespace, package: package.as_ref(), name: Some(fqn.name.as_str()) };
            match self.check(caller, right, &resource).await {
                Err(Denial::Forbidden(what)) if package.is_none() => forbidden.push(what),
                other => other?,
            }
        }
        if forbidden.is_empty() {
            return Ok(());
        }
        forbidden.sort_unstable();
        forbidden.dedup();
        Err(Denial::Forbidden(forbidden.join(", ")))
    }

    /// Whether a package may be read: a public one by anybody, any other by its owner, and a binding by its
    /// owner if what it is bound to may be.
    async fn check_read(
        &self,
        caller: &IdentityRecord,
        right: Right,
        namespace: &EntityName,
        package: &EntityName,
    ) -> Result<(), Denial> {
        let asked = format!("{namespace}/{package}");
        let mut passed: Vec<String> = Vec::new();
        let (mut owner, mut id) = (namespace.clone(), asked.clone());
        loop {
            let owns = caller.key.namespace == owner;
            let package = match self.package(&id, right).await {
                Ok(Lookup::Found(package)) => package,
                Ok(Lookup::Missing) if owns => return Err(Denial::NoPackage),
                Ok(Lookup::OtherKind) if owns => return Err(Denial::NotAPackage),
                // Existence is nobody's business but the owner's.
                Ok(_) => return Err(Denial::Forbidden(asked)),
                Err(StoreError::Corrupt { .. }) if !owns => return Err(Denial::Forbidden(asked)),
                Err(error) => return Err(error.into()),
            };
            match &package.entity.binding {
                None if owns || package.entity.publish => return Ok(()),
                Some(binding) if owns => {
                    let next = binding.id();
                    passed.push(std::mem::replace(&mut id, next));
                    if passed.contains(&id) {
                        return Err(Denial::Circular(id));
                    }
                    owner = binding.namespace.clone();
                }
                _ => return Err(Denial::Forbidden(asked)),
            }
        }
    }

    /// Whether the caller's own package is one that holds actions.
    async fn check_written(&self, id: &str) -> Result<(), Denial> {
        match self.package(id, Right::Put).await? {
            Lookup::Found(package) if package.entity.binding.is_some() => Err(Denial::Binding),
            Lookup::Found(_) => Ok(()),
            Lookup::Missing => Err(Denial::NoPackage),
            Lookup::OtherKind => Err(Denial::NotAPackage),
        }
    }

    async fn package(&self, id: &str, right: Right) -> Result<Lookup<Package>, StoreError> {
        match right {
            Right::Activate => self.packages.get(id).await,
            Right::Read | Right::Put | Right::Delete => self.packages.get_at(id, None).await,
        }
    }
}

/// How many activations a namespace may have in flight.
pub fn concurrent_invocations(own: &UserLimits, throttles: &Limits) -> u64 {
    own.concurrent_invocations.unwrap_or(throttles.concurrent_invocations)
}

#[cfg(test)]
mod tests {
    use super::*;

    // apache/openwhisk, core/controller/.../entitlement/Entitlement.scala: `dilateLimit`, `calculateLimit`
    #[test]
    fn several_controllers_share_a_limit_with_a_fifth_to_spare() {
        for (limit, controllers, own) in
            [(60, 1, 60), (60, 0, 60), (60, 2, 36), (60, 3, 24), (1, 2, 1), (0, 2, 0), (30, 100, 1)]
        {
            assert_eq!(part(limit, controllers), own, "{limit} for {controllers}");
        }
    }
}
