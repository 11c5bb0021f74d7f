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
use common::config::Throttles;
use common::entity::identity::Right;
use common::entity::limits::UserLimits;
use common::store::{ArtifactStore, EntityKind, IdentityRecord, StoreError};

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
        if self.throttles.unthrottled {
            return Ok(());
        }
        let (uuid, own) = (namespace.key.uuid.as_str(), &namespace.limits);
        let a_minute = own.invocations_per_minute.unwrap_or(self.throttles.invocations_per_minute);
        self.invocations.charge(uuid, a_minute, self.clock.now())?;
        concurrency::check(self.balancer.in_flight_of(uuid), concurrent_invocations(own, &self.throttles))
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
pub fn concurrent_invocations(own: &UserLimits, throttles: &Throttles) -> u64 {
    own.concurrent_invocations.unwrap_or(throttles.concurrent_invocations)
}
