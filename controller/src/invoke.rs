//! The one door for every invocation, whoever asks for it: the REST API, a rule or a web action. Sequences
//! and compositions come by another one to their components, which are not throttled.

pub mod composition;
pub mod primitive;
pub mod resolve;
pub mod sequence;
pub mod session;
pub mod steps;
pub mod trigger;

use std::sync::Arc;
use std::time::Duration;

use common::entity::activation::Activation;
use common::entity::exec::Exec;
use common::entity::id::{ActivationId, TransactionId};
use common::entity::identity::Right;
use common::shutdown::Shutdown;
use common::store::{IdentityRecord, StoreError};
use common::trace::Trace;
use serde_json::value::RawValue;

use self::primitive::Primitive;
use self::resolve::{ResolveError, Resolved, Resolver};
use self::steps::Form;
use crate::entitlement::{Denial, Entitlement};
use crate::gate::Gate;
use crate::load_balancer::BalancerError;
use crate::records::Records;

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
    /// Where in its trace it is.
    pub trace: &'a Trace,
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
    /// The caller may not run a component.
    #[error(transparent)]
    Denied(#[from] Denial),
    /// The order was not taken, or not noted.
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
    /// Records of sequences and compositions.
    pub records: Records,
    /// Whose actions may be components.
    pub entitlement: Arc<Entitlement>,
    /// The most actions in a sequence or composition.
    pub limit: u64,
    /// Runs sequences and compositions.
    pub tasks: Shutdown,
    /// They stay inside until they have ended.
    pub gate: Gate,
}

impl Invoke {
    /// Invokes an action. Whoever stops waiting for this does not stop the activation.
    pub async fn invoke(self: &Arc<Self>, invocation: Invocation<'_>) -> Result<Outcome, InvokeError> {
        let action = &invocation.action.action.entity;
        if let Exec::Sequence { components, .. } = &action.exec {
            self.entitlement.check_all(invocation.caller, Right::Activate, components).await?;
        }
        self.primitive.check(invocation.action, invocation.payload)?;
        match Form::of(action) {
            Form::Primitive => self.primitive.invoke(&invocation).await,
            form @ (Form::Sequence | Form::Composition) => self.begin(form, &invocation).await,
        }
    }
}
