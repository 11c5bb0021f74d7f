//! The one door for every invocation, whoever asks for it: the REST API, a rule, a web action, or a
//! sequence or composition for a component.

pub mod primitive;
pub mod resolve;
pub mod trigger;

use std::sync::Arc;
use std::time::Duration;

use common::entity::activation::Activation;
use common::entity::id::{ActivationId, TransactionId};
use common::store::{IdentityRecord, StoreError};
use serde_json::value::RawValue;

use self::primitive::Primitive;
use self::resolve::{ResolveError, Resolved, Resolver};
use crate::load_balancer::BalancerError;

/// One request to invoke.
#[derive(Clone, Debug)]
pub struct Invocation<'a> {
    /// What is to run.
    pub action: &'a Resolved,
    /// On whose behalf.
    pub caller: &'a Arc<IdentityRecord>,
    /// The caller's key.
    pub key: &'a str,
    /// The request.
    pub transid: &'a TransactionId,
    /// An object; for a component also an array.
    pub payload: &'a RawValue,
    /// How long to wait for the result; none: not at all.
    pub wait: Option<Duration>,
    /// The activation of the sequence, composition or trigger above.
    pub cause: Option<ActivationId>,
}

/// What became of it.
#[derive(Debug)]
pub enum Outcome {
    /// It runs, or will.
    Accepted(ActivationId),
    /// It has run.
    Finished(Box<Activation>),
}

/// Why an action was not invoked, or its end not learned.
#[derive(Debug, thiserror::Error)]
pub enum InvokeError {
    /// There is none.
    #[error(transparent)]
    Resolve(#[from] ResolveError),
    /// The kind may be read and deleted only.
    #[error("kind '{0}' is deprecated")]
    Deprecated(String),
    /// The payload has a name that is fixed.
    #[error("the payload sets what is final")]
    Final,
    /// The order was not taken.
    #[error(transparent)]
    Balancer(#[from] BalancerError),
    /// The store.
    #[error("the store failed during an invocation")]
    Store(#[from] StoreError),
}

/// Invokes whatever can be invoked.
pub struct Invoke {
    /// From names to actions.
    pub resolver: Resolver,
    /// Actions that a container runs.
    pub primitive: Primitive,
}

impl Invoke {
    /// Invokes an action. Whoever stops waiting for this does not stop the activation.
    pub async fn invoke(&self, invocation: Invocation<'_>) -> Result<Outcome, InvokeError> {
        self.primitive.invoke(invocation).await
    }
}
