//! How sequences and compositions run: as tasks of the controller, one component after the other.
//!
//! A client that goes away stops nothing. A nested sequence or composition is a task of its own, so that no
//! depth of nesting costs stack; how deep it may go is bounded. What the end of this process cuts short is
//! in the journal, and a later run says so.

use std::sync::Arc;
use std::time::Duration;

use common::entity::action::{Action, CONDUCTOR};
use common::entity::activation::{Activation, Status};
use common::entity::exec::Exec;
use common::entity::id::{ActivationId, TransactionId};
use common::store::IdentityRecord;
use common::telemetry::span;
use common::trace::Trace;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::value::RawValue;
use tokio::sync::oneshot;
use tokio::time::sleep;
use tracing::{Instrument, debug, error, warn};

use super::composition::answer::Budget;
use super::resolve::Resolved;
use super::session::Session;
use super::{Invocation, Invoke, InvokeError, Outcome};
use crate::load_balancer::BalancerError;

/// A component is waited for so long beyond its own time limit.
const MARGIN: Duration = Duration::from_secs(60);

/// How an action is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// By a container.
    Primitive,
    /// Its components, one after the other.
    Sequence,
    /// A container says what comes next, again and again.
    Composition,
}

impl Form {
    /// That of an action. A sequence is no conductor, whatever its annotations say.
    pub fn of(action: &Action) -> Self {
        match &action.exec {
            Exec::Sequence { .. } => Self::Sequence,
            Exec::Blackbox { .. } | Exec::Code { .. } if action.annotations.is_truthy(CONDUCTOR, false) => {
                Self::Composition
            }
            Exec::Blackbox { .. } | Exec::Code { .. } => Self::Primitive,
        }
    }
}

/// Who asked, as everything sees it that follows from it.
#[derive(Clone)]
pub struct Origin {
    /// On whose behalf.
    pub caller: Arc<IdentityRecord>,
    /// The caller's key.
    pub key: Arc<str>,
    /// The request, or the part of it that this is.
    pub transid: TransactionId,
    /// Where in its trace this is.
    pub trace: Trace,
}

/// Something that is to run.
pub struct Work {
    /// What.
    pub action: Resolved,
    /// For whom.
    pub origin: Origin,
    /// An object; for a component also an array.
    pub payload: Box<RawValue>,
    /// The activation above.
    pub cause: Option<ActivationId>,
    /// How many activations are above.
    pub depth: u64,
    /// What was done so far.
    pub counts: Counts,
}

/// What counts against limits that nested activations share with those above.
#[derive(Clone, Copy, Debug)]
pub struct Counts {
    /// Actions that are no sequences, which the outermost sequence began.
    pub atomic: u64,
    /// Turns and components of the outermost composition.
    pub budget: Budget,
}

/// What came of a component.
#[derive(Debug)]
pub enum Step {
    /// It has ended.
    Ended(Box<Activation>),
    /// Its end was not heard of in time.
    Silent(ActivationId),
    /// It was not begun, or how it ended cannot be learned.
    Failed,
    /// It is nested too deep.
    TooDeep,
    /// This process comes to an end; what becomes of the component, and of what is above, is for a later one.
    Released,
}

/// A sequence or composition that has ended.
pub struct Finished {
    record: Box<Activation>,
    counts: Counts,
}

impl Work {
    fn of(invocation: &Invocation<'_>, counts: Counts) -> Self {
        let origin = Origin {
            caller: invocation.caller.clone(),
            key: invocation.key.into(),
            transid: invocation.transid.clone(),
            trace: invocation.trace.clone(),
        };
        let (action, payload) = (invocation.action.clone(), invocation.payload.to_owned());
        Self { action, origin, payload, cause: None, depth: 0, counts }
    }
}

impl Invoke {
    /// Begins a sequence or composition that no other one asked for, and waits as long as its caller does.
    pub(super) async fn begin(
        self: &Arc<Self>,
        form: Form,
        invocation: &Invocation<'_>,
    ) -> Result<Outcome, InvokeError> {
        let work = Work::of(invocation, self.no_counts());
        let session = Session::open(&self.records, form, &work, invocation.wait.is_some())
            .map_err(BalancerError::NotJournalled)?;
        let id = session.id();
        let (done, finished) = oneshot::channel();
        let (run, stay) = (self.run(form, work, session), self.gate.stay());
        self.tasks.spawn("sequence", async move {
            if let Some(Finished { record, .. }) = run.await {
                // Who does not wait any more finds the record in the store.
                let _ = done.send(record);
            }
            drop(stay);
        });
        let Some(wait) = invocation.wait else { return Ok(Outcome::Accepted(id)) };
        tokio::select! {
            biased;
            record = finished => Ok(record.map_or(Outcome::Accepted(id), Outcome::Finished)),
            () = sleep(wait) => Ok(Outcome::Accepted(id)),
            () = self.primitive.released.requested() => Ok(Outcome::Accepted(id)),
        }
    }

    /// Runs a component of a session to its end.
    pub(super) async fn step(self: &Arc<Self>, session: &mut Session, work: Work) -> (Step, Counts) {
        let counts = work.counts;
        if self.primitive.released.is_requested() {
            return (Step::Released, counts);
        }
        match Form::of(&work.action.action.entity) {
            Form::Primitive => (self.turn(session, work).await, counts),
            // As deep as compositions of the greatest length can call each other.
            Form::Sequence | Form::Composition if work.depth > self.limit.saturating_mul(2) => {
                (Step::TooDeep, counts)
            }
            form @ (Form::Sequence | Form::Composition) => self.nested(form, session, work).await,
        }
    }

    /// Has a container run an action, whatever its annotations say, for a session.
    pub(super) async fn turn(&self, session: &mut Session, work: Work) -> Step {
        let Work { action, origin: Origin { caller, key, transid, trace }, payload, .. } = work;
        let mut component = trace.span("component");
        if let Some(span) = component.recorded() {
            span.set("faas.invoked_name", action.fqn.to_string()).set("transid", transid.to_string());
        }
        let time_limit = Duration::from_millis(action.action.entity.limits.timeout);
        let span = span::transaction(&transid);
        let run = async {
            let invocation = Invocation {
                action: &action,
                caller: &caller,
                key: &key,
                transid: &transid,
                trace: component.trace(),
                payload: &payload,
                wait: Some(time_limit + MARGIN),
                cause: Some(session.id()),
            };
            let started = match self.primitive.start(&invocation).await {
                Ok(started) => started,
                Err(error) => return failed(session.id(), &error),
            };
            // It may be large, and the component may run long.
            drop(payload);
            let id = started.id();
            session.began(id);
            match self.primitive.finish(started).await {
                Ok(Some(record)) => {
                    session.ended(&record);
                    Step::Ended(record)
                }
                Ok(None) if self.primitive.released.is_requested() => Step::Released,
                Ok(None) => Step::Silent(id),
                Err(error) => failed(session.id(), &error),
            }
        };
        run.instrument(span).await
    }

    async fn nested(self: &Arc<Self>, form: Form, session: &mut Session, work: Work) -> (Step, Counts) {
        let counts = work.counts;
        let below = match Session::open(&self.records, form, &work, false) {
            Ok(below) => below,
            Err(error) => return (failed(session.id(), &BalancerError::NotJournalled(error)), counts),
        };
        session.began(below.id());
        match self.tasks.spawn("nested sequence", self.run(form, work, below)).await {
            Ok(Some(Finished { record, counts })) => {
                session.ended(&record);
                (Step::Ended(record), counts)
            }
            Ok(None) => (Step::Released, counts),
            Err(error) => {
                error!(activation.id = %session.id(), "a nested sequence came to grief: {error}");
                (Step::Failed, counts)
            }
        }
    }

    /// Runs a sequence or composition to its end; nothing comes of it if this process ends first.
    fn run(
        self: &Arc<Self>,
        form: Form,
        mut work: Work,
        mut session: Session,
    ) -> BoxFuture<'static, Option<Finished>> {
        let me = self.clone();
        let span = span::activation(&work.origin.transid, session.id(), &work.action.fqn);
        async move {
            let (id, fqn) = (session.id(), &work.action.fqn);
            let mut traced =
                work.origin.trace.span(if form == Form::Composition { "composition" } else { "sequence" });
            if let Some(span) = traced.recorded() {
                span.set("faas.invoked_name", fqn.to_string()).set("faas.invocation_id", id.to_string());
            }
            debug!(activation.id = %id, action.fqn = %fqn, "running {fqn} as {id}");
            work.origin.trace = traced.trace().clone();
            let mut counts = work.counts;
            let response = if form == Form::Composition {
                me.composition(&mut session, work, &mut counts).await?
            } else {
                me.sequence(&mut session, work, &mut counts).await?
            };
            if response.status != Status::Success {
                traced.fail(response.status.as_str());
            }
            Some(Finished { record: session.close(response, traced.trace()).await, counts })
        }
        .instrument(span)
        .boxed()
    }

    /// Those of something that nothing is above.
    pub(super) fn no_counts(&self) -> Counts {
        Counts { atomic: 0, budget: Budget::new(self.limit) }
    }
}

fn failed(session: ActivationId, error: &dyn std::error::Error) -> Step {
    let cause = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    warn!(activation.id = %session, "a component could not be run: {error}{cause}");
    Step::Failed
}
