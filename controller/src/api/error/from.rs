//! What errors of the parts behind the API are to its caller: each decides what a caller may learn.

use common::entity::id::ActivationIdError;
use common::entity::name::NameError;
use common::store::StoreError;

use super::ApiError;
use crate::api::web_actions::context::Refused;
use crate::entities::action_put::TooLarge;
use crate::entities::actions::ActionError;
use crate::entities::members::Malformed;
use crate::entities::packages::PackageError;
use crate::entities::rules::RuleError;
use crate::entities::sequences::SequenceError;
use crate::entities::triggers::TriggerError;
use crate::entitlement::Denial;
use crate::invoke::InvokeError;
use crate::invoke::resolve::ResolveError;
use crate::load_balancer::BalancerError;

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Conflict(_) => Self::Conflict,
            StoreError::Corrupt { .. } => Self::Corrupt(error.into()),
            StoreError::Unavailable { .. } => Self::Internal(error.into()),
        }
    }
}

impl From<Denial> for ApiError {
    fn from(denial: Denial) -> Self {
        match denial {
            Denial::Forbidden(what) => Self::Forbidden(what),
            Denial::NoPackage => Self::NotFound,
            Denial::NotAPackage => Self::OtherKind,
            Denial::Binding => Self::ThroughBinding,
            Denial::Circular(what) => Self::CircularBinding(what),
            Denial::RateLimited { count, allowed } => Self::RateLimited { count, allowed },
            Denial::TooManyInFlight { count, allowed } => Self::TooManyInFlight { count, allowed },
            Denial::Store(error) => error.into(),
        }
    }
}

impl From<ActionError> for ApiError {
    fn from(error: ActionError) -> Self {
        match error {
            ActionError::Missing => Self::NotFound,
            ActionError::OtherKind => Self::OtherKind,
            ActionError::Exists => Self::Exists,
            ActionError::ExecUndefined => Self::ExecUndefined,
            ActionError::Deprecated(kind) => Self::Deprecated(kind),
            ActionError::KindNotAllowed(kind) => Self::KindForbidden(kind),
            ActionError::Limit(limit) => Self::Invalid(limit.to_string()),
            ActionError::Instances(allowed) => Self::Instances(allowed),
            ActionError::Sequence(error) => match error {
                SequenceError::OtherKind => Self::OtherKind,
                SequenceError::Store(error) => error.into(),
                told => Self::Invalid(told.to_string()),
            },
            ActionError::Store(error) => error.into(),
        }
    }
}

impl From<PackageError> for ApiError {
    fn from(error: PackageError) -> Self {
        match error {
            PackageError::Missing => Self::NotFound,
            PackageError::OtherKind => Self::OtherKind,
            PackageError::Exists => Self::Exists,
            PackageError::Reserved(name) => Self::ReservedPackage(name),
            PackageError::Unbindable => Self::Unbindable,
            PackageError::NoProvider => Self::NoProvider,
            PackageError::ProviderIsBinding => Self::ProviderIsBinding,
            PackageError::ProviderIsOther => Self::ProviderIsOther,
            PackageError::NotEmpty(count) => Self::PackageNotEmpty(count),
            PackageError::Store(error) => error.into(),
        }
    }
}

impl From<TriggerError> for ApiError {
    fn from(error: TriggerError) -> Self {
        match error {
            TriggerError::Missing => Self::NotFound,
            TriggerError::OtherKind => Self::OtherKind,
            TriggerError::Exists => Self::Exists,
            TriggerError::Feed => Self::FeedName,
            TriggerError::Store(error) => error.into(),
        }
    }
}

impl From<RuleError> for ApiError {
    fn from(error: RuleError) -> Self {
        match error {
            RuleError::Missing => Self::NotFound,
            RuleError::OtherKind => Self::OtherKind,
            RuleError::Exists => Self::Exists,
            RuleError::Incomplete => Self::RuleIncomplete,
            RuleError::NoTrigger(name) => Self::NoTrigger(name),
            RuleError::NoAction(name) => Self::NoAction(name),
            RuleError::CorruptReference(error) => Self::CorruptReference(error.into()),
            RuleError::TriggerGone => Self::TriggerGone,
            RuleError::Store(error) => error.into(),
        }
    }
}

impl From<InvokeError> for ApiError {
    fn from(error: InvokeError) -> Self {
        match error {
            InvokeError::Resolve(error) => error.into(),
            InvokeError::Deprecated(kind) => Self::Deprecated(kind),
            InvokeError::Final => Self::Final,
            InvokeError::Denied(denial) => denial.into(),
            InvokeError::Balancer(BalancerError::TooLarge(_)) => Self::Oversized,
            InvokeError::Balancer(error) => Self::Unavailable(error.into()),
            InvokeError::Store(error) => error.into(),
        }
    }
}

impl From<ResolveError> for ApiError {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::Missing => Self::NotFound,
            ResolveError::OtherKind => Self::OtherKind,
            ResolveError::Store(error) => error.into(),
        }
    }
}

impl From<Malformed> for ApiError {
    fn from(Malformed(reason): Malformed) -> Self {
        Self::Malformed(reason)
    }
}

impl From<TooLarge> for ApiError {
    fn from(TooLarge { part, size, allowed }: TooLarge) -> Self {
        Self::TooLarge { part, size, allowed }
    }
}

impl From<Refused> for ApiError {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Malformed(malformed) => malformed.into(),
            Refused::NotAllowed => Self::Final,
        }
    }
}

/// In a path; in a body a bad name makes the body malformed.
impl From<NameError> for ApiError {
    fn from(error: NameError) -> Self {
        Self::Invalid(error.to_string())
    }
}

impl From<ActivationIdError> for ApiError {
    fn from(error: ActivationIdError) -> Self {
        Self::Invalid(error.to_string())
    }
}
