//! A sequence: each component is given what the one before it answered.
//!
//! All components are looked up before the first begins, so that what changes meanwhile does not matter.
//! Upstream: `core/controller/src/main/scala/org/apache/openwhisk/core/controller/actions/SequenceActions.scala`.

use std::sync::Arc;

use common::entity::activation::{Response, Status};
use common::entity::exec::Exec;
use common::entity::json;
use common::entity::name::Fqn;
use tracing::warn;

use super::Invoke;
use super::resolve::{ResolveError, Resolved};
use super::session::Session;
use super::steps::{Counts, Form, Origin, Step, Work};

/// More actions than a sequence may have, counting those of sequences in it.
pub const TOO_LONG: &str = "Too many actions in the sequence.";

/// An action of a sequence is not there.
pub const NO_COMPONENT: &str = "Sequence component does not exist.";

/// Something is wrong with the platform.
const FAILED: &str = "Sequence failed.";

impl Invoke {
    /// Runs a sequence; nothing if this process ends first.
    pub(super) async fn sequence(
        self: &Arc<Self>,
        session: &mut Session,
        work: Work,
        counts: &mut Counts,
    ) -> Option<Response> {
        let Work { action, origin, mut payload, depth, .. } = work;
        let mut last = None;
        for found in self.components(&action, session).await {
            if counts.atomic >= self.limit {
                return Some(Response::error(Status::ApplicationError, TOO_LONG));
            }
            let component = match found {
                Ok(component) => component,
                Err(response) => return Some(response),
            };
            let form = Form::of(&component.action.entity);
            let step = Work {
                action: component,
                origin: Origin { transid: origin.transid.child(self.records.now()), ..origin.clone() },
                payload,
                cause: Some(session.id()),
                depth: depth + 1,
                counts: Counts { atomic: counts.atomic, ..self.no_counts() },
            };
            let (step, after) = self.step(session, step).await;
            counts.atomic = if form == Form::Sequence { after.atomic } else { counts.atomic + 1 };
            let response = match after_step(step)? {
                Ok(response) => response,
                Err(response) => return Some(response),
            };
            payload = match &response.result {
                Some(result) => result.clone(),
                None => json::empty_object(),
            };
            last = Some(response);
        }
        Some(last.unwrap_or_else(|| Response::error(Status::WhiskError, FAILED)))
    }

    /// The components, each with what is to be said where it is not there.
    async fn components(&self, sequence: &Resolved, session: &Session) -> Vec<Result<Resolved, Response>> {
        let Exec::Sequence { components, .. } = &sequence.action.entity.exec else { return Vec::new() };
        let mut found = Vec::with_capacity(components.len());
        for component in components {
            found.push(self.component(component, session).await);
        }
        found
    }

    async fn component(&self, component: &Fqn, session: &Session) -> Result<Resolved, Response> {
        self.resolver.resolve(component).await.map_err(|error| match error {
            ResolveError::Missing | ResolveError::OtherKind => {
                Response::error(Status::ApplicationError, NO_COMPONENT)
            }
            ResolveError::Store(error) => {
                warn!(activation.id = %session.id(), "a component cannot be looked up: {error}");
                Response::error(Status::WhiskError, FAILED)
            }
        })
    }
}

/// What a step leaves to go on with, or an `Err` with which the sequence ends; nothing if this process does.
fn after_step(step: Step) -> Option<Result<Response, Response>> {
    let whisk_error = |text: &str| Some(Err(Response::error(Status::WhiskError, text)));
    match step {
        Step::Ended(record) => {
            let response = record.response;
            // Whatever its status: an answer with an error ends the sequence.
            let is_error =
                response.result.as_deref().is_some_and(|result| json::member(result, "error").is_some());
            Some(if is_error { Err(response) } else { Ok(response) })
        }
        Step::Silent(id) => {
            whisk_error(&format!("Timeout reached when retrieving activation {id} for sequence component."))
        }
        Step::Failed => whisk_error(FAILED),
        Step::TooDeep => Some(Err(Response::error(Status::ApplicationError, TOO_LONG))),
        Step::Released => None,
    }
}
