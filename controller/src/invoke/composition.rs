//! A composition: a conductor says which component comes next, and is told what came of it, until it says
//! that this is the end. What the answers mean is in [`answer`].
//!
//! Upstream: `core/controller/src/main/scala/org/apache/openwhisk/core/controller/actions/PrimitiveActions.scala`
//! (`invokeComposition` and what follows).

pub mod answer;

use std::sync::Arc;

use common::entity::activation::{Response, Status};
use common::entity::id::ActivationId;
use common::entity::identity::Right;
use common::entity::json;
use common::entity::name::Fqn;
use serde_json::value::RawValue;
use tracing::warn;

use self::answer::{Next, TOO_LONG};
use super::Invoke;
use super::resolve::{ResolveError, Resolved};
use super::session::Session;
use super::steps::{Counts, Form, Origin, Step, Work};
use crate::entitlement::Denial;
use crate::entitlement::rights::Resource;

/// Something is wrong with the platform.
const FAILED: &str = "Activation failure during composition.";

/// What the conductor is called with next, or the end: a response, or nothing if this process ends.
type Reply = Result<Box<RawValue>, Option<Response>>;

impl Invoke {
    /// Runs a composition; nothing if this process ends first.
    pub(super) async fn composition(
        self: &Arc<Self>,
        session: &mut Session,
        work: Work,
        counts: &mut Counts,
    ) -> Option<Response> {
        let Work { action: conductor, origin, payload, depth, .. } = work;
        let own = origin.caller.key.namespace.clone();
        let (mut before, mut state) = (payload, None);
        loop {
            if !counts.budget.take_turn() {
                return Some(Response::error(Status::ApplicationError, TOO_LONG));
            }
            let payload = answer::conductor_arguments(&before, state.as_deref());
            drop(before);
            let turn = self.part(conductor.clone(), &origin, payload, session, depth, *counts);
            let response = match ended(self.turn(session, turn).await) {
                Ok(response) => response,
                Err(end) => return end,
            };
            let result = response.result.unwrap_or_else(json::empty_object);
            let (next, kept) = answer::after_conductor(&result, &own, counts.budget);
            drop(result);
            state = kept;
            before = match next {
                Next::End(result) => {
                    return Some(Response { status: response.status, result: Some(result), size: None });
                }
                Next::Tell(text) => answer::told(&text),
                Next::Invoke { component, arguments } => {
                    let call = self.call(&component, arguments, &origin, session, depth, counts);
                    match call.await {
                        Ok(before) => before,
                        Err(end) => return end,
                    }
                }
            };
        }
    }

    /// Invokes a component, if it is there and the caller may.
    async fn call(
        self: &Arc<Self>,
        name: &Fqn,
        arguments: Box<RawValue>,
        origin: &Origin,
        session: &mut Session,
        depth: u64,
        counts: &mut Counts,
    ) -> Reply {
        let component = match self.entitled(name, origin, session).await? {
            Ok(component) => component,
            Err(told) => return Ok(answer::told(&told)),
        };
        let form = Form::of(&component.action.entity);
        let below = match form {
            Form::Composition => *counts,
            Form::Primitive | Form::Sequence => {
                counts.budget.take_component();
                Counts { atomic: 0, ..*counts }
            }
        };
        let work = self.part(component, origin, arguments, session, depth, below);
        let (step, after) = self.step(session, work).await;
        if form == Form::Composition {
            counts.budget = after.budget;
        }
        match step {
            Step::TooDeep => Ok(answer::told(TOO_LONG)),
            step => Ok(ended(step)?.result.unwrap_or_else(json::empty_object)),
        }
    }

    /// The action of that name, or what the conductor is told of it.
    async fn entitled(
        &self,
        name: &Fqn,
        origin: &Origin,
        session: &Session,
    ) -> Result<Result<Resolved, String>, Option<Response>> {
        let away = |error| {
            warn!(activation.id = %session.id(), "a component cannot be looked up: {error}");
            Err(Some(Response::error(Status::WhiskError, FAILED)))
        };
        let (namespace, package) = (name.namespace(), name.path.package());
        let resource =
            Resource { namespace: &namespace, package: package.as_ref(), name: Some(name.name.as_str()) };
        match self.entitlement.check(&origin.caller, Right::Activate, &resource).await {
            Ok(()) => {}
            Err(Denial::Store(error)) => return away(error),
            Err(_) => return Ok(Err(answer::not_entitled(name))),
        }
        match self.resolver.resolve(name).await {
            Ok(component) => Ok(Ok(component)),
            Err(ResolveError::Store(error)) => away(error),
            Err(ResolveError::Missing | ResolveError::OtherKind) => Ok(Err(answer::not_found(name))),
        }
    }

    /// A conductor's turn, or a component.
    fn part(
        &self,
        action: Resolved,
        origin: &Origin,
        payload: Box<RawValue>,
        session: &Session,
        depth: u64,
        counts: Counts,
    ) -> Work {
        let origin = Origin { transid: origin.transid.child(self.records.now()), ..origin.clone() };
        Work { action, origin, payload, cause: Some(session.id()), depth: depth + 1, counts }
    }
}

/// How a conductor or component answered, or with what the composition ends since it did not.
fn ended(step: Step) -> Result<Response, Option<Response>> {
    let whisk_error = |text: &str| Err(Some(Response::error(Status::WhiskError, text)));
    match step {
        Step::Ended(record) => Ok(record.response),
        Step::Silent(id) => whisk_error(&silent(id)),
        Step::Failed => whisk_error(FAILED),
        Step::TooDeep => Err(Some(Response::error(Status::ApplicationError, TOO_LONG))),
        Step::Released => Err(None),
    }
}

fn silent(id: ActivationId) -> String {
    format!("Timeout reached when retrieving activation {id} during composition.")
}
