//! May they, and how often: throttles first, then rights, as upstream
//! (`core/controller/src/main/scala/org/apache/openwhisk/core/entitlement/Entitlement.scala`).
//!
//! Throttles are charged before rights and existence, so that asking costs even where the answer is no.
//! What is not readable and what does not exist look alike to strangers.

pub mod concurrency;
pub mod rate;
pub mod rights;

use std::sync::Arc;

use common::clock::Clock;
use common::config::Throttles as Limits;
use common::entity::identity::Right;
use common::entity::limits::UserLimits;
use common::store::{ArtifactStore, EntityKind, IdentityRecord, StoreError};
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
    artifacts: Arc<dyn ArtifactStore>,
    balancer: Arc<dyn LoadBalancer>,
    clock: Arc<dyn Clock>,
    throttles: Throttles,
    invocations: RateThrottle,
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
        artifacts: Arc<dyn ArtifactStore>,
        balancer: Arc<dyn LoadBalancer>,
        clock: Arc<dyn Clock>,
        throttles: Throttles,
    ) -> Self {
        Self { artifacts, balancer, clock, throttles, invocations: RateThrottle::default() }
    }

    /// Charges an invocation to a namespace.
    pub fn charge_invocation(&self, namespace: &IdentityRecord) -> Result<(), Denial> {
        let limits = &self.throttles.limits;
        if limits.unthrottled {
            return Ok(());
        }
        let (uuid, own) = (namespace.key.uuid.as_str(), &namespace.limits);
        let a_minute = own.invocations_per_minute.unwrap_or(limits.invocations_per_minute);
        self.invocations.charge(uuid, self.throttles.part(a_minute), self.clock.now())?;
        let at_once = self.throttles.part(concurrent_invocations(own, limits));
        concurrency::check(self.balancer.in_flight_of(uuid), at_once)
    }

    /// Whether a caller has a right to something.
    pub async fn check(
        &self,
        caller: &IdentityRecord,
        right: Right,
        resource: &Resource<'_>,
    ) -> Result<(), Denial> {
        let owns = caller.key.namespace == *resource.namespace;
        match rights::judge(owns, right, resource) {
            Verdict::Allowed => Ok(()),
            Verdict::Denied(what) => Err(Denial::Forbidden(what)),
            // Existence is nobody's business but the owner's.
            Verdict::PackageDecides { stranger, .. } if !owns => Err(Denial::Forbidden(stranger)),
            Verdict::PackageDecides { id, .. } => match self.artifacts.get(&id).await? {
                Some(stored) if stored.kind != EntityKind::Package => Err(Denial::NotAPackage),
                _ => Err(Denial::NoPackage),
            },
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
