//! Bus to pool: a message is journalled, then accepted, then resolved and run.
//!
//! Never more is taken than may wait: beyond that the bus refuses, and the caller is told that the
//! platform is overloaded, or the message waits in the bus. What comes after its completion time-out is
//! not run: its controller has given it up.

use std::sync::Arc;
use std::time::Duration;

use common::bus::{Delivery, Receiver};
use common::clock::Millis;
use common::entity::activation::{Response, Status};
use common::journal::JournalError;
use common::message::activation::ActivationMessage;
use futures::FutureExt;
use tracing::{Instrument, Span, error, warn};

use crate::compile::NoCode;
use crate::context::Context;
use crate::job::Job;
use crate::pool::Pool;
use crate::proxy::activation;
use crate::traced::Traced;
use common::record;
use common::store::Certainty;
use common::telemetry::span;

/// Between two questions to a store that is away.
const RETRY: Duration = Duration::from_millis(250);

const TOO_LATE: &str = "The action was not run: its time was over before it could begin.";

/// Takes orders for a pool.
pub struct Feed {
    /// What the invoker is made of.
    pub context: Arc<Context>,
    /// Where jobs go.
    pub pool: Arc<Pool>,
}

impl Receiver for Feed {
    fn receive(&self, delivery: Box<dyn Delivery>) {
        take(delivery, &self.context, &self.pool);
    }
}

fn take(delivery: Box<dyn Delivery>, context: &Arc<Context>, pool: &Arc<Pool>) {
    let message: ActivationMessage = match serde_json::from_slice(delivery.message()) {
        Ok(message) => message,
        Err(error) => {
            error!("a message cannot be read and is dropped: {error}");
            return delivery.discard("the message cannot be read");
        }
    };
    let max = context.config.container_pool.max_queued;
    if pool.waiting() >= max {
        return delivery.refuse(&format!("{max} activations wait already"));
    }
    let (id, at) = (message.activation_id, delivery.written().unwrap_or_else(|| context.clock.now()));
    let span = span::activation(&message.transid, id, &message.action);
    let _entered = span.enter();
    match context.journal.accepted(id, at, delivery.message()) {
        Ok(()) => {}
        Err(JournalError::Duplicate(_)) => {
            warn!(activation.id = %id, "a second delivery is dropped");
            return delivery.accept();
        }
        Err(error) => {
            error!(activation.id = %id, "an activation is refused: {error}");
            return delivery.refuse(&error.to_string());
        }
    }
    // Messages come in their order, and none after one that was refused.
    if let Some(position) = delivery.position()
        && let Err(error) = context.journal.reached(position + 1)
    {
        warn!(activation.id = %id, "the journal cannot be written: {error}");
    }
    context.metrics.handled.inc();
    delivery.accept();
    submit(message, at, context, pool, &span);
}

/// Finds the action of an accepted message and gives both to the pool. Mostly the action is at hand;
/// where it must be read, that does not hold up the messages behind. The span is the activation's.
pub fn submit(message: ActivationMessage, at: Millis, context: &Arc<Context>, pool: &Arc<Pool>, span: &Span) {
    let arriving = pool.arriving();
    let of_job = span.clone();
    let (topic, system) = &context.source;
    let traced = Traced::begin(&context.tracer, &message, topic.as_str(), system);
    let (message, context, pool) = (Arc::new(message), context.clone(), pool.clone());
    let tasks = context.tasks.clone();
    let mut work = Box::pin(async move {
        let _arriving = arriving;
        // What was there before us may be what an earlier run has finished.
        if at < context.started && is_done(&message, &context).await {
            return;
        }
        let resolving = traced.trace().span("resolve action");
        let executable = context.actions.resolve(&message).await;
        drop(resolving);
        // Compiled before it asks for a container, which would only wait.
        if let Ok(executable) = &executable
            && executable.preparation.get().is_none()
        {
            let _preparing = traced.trace().span("prepare code");
            let begun = context.clock.now();
            match context.compiler.code(&context.actions, executable, Some(&pool)).await {
                Ok(_) => {}
                Err(NoCode::Answer(response)) => {
                    let job = Job::new(message, executable.clone(), of_job, traced);
                    return activation::answer_uncompiled(&context, &job, begun, response).await;
                }
                Err(NoCode::Stopping) => return,
            }
        }
        match executable {
            Ok(executable) if context.clock.now() > deadline(at, executable.time_limit(), &context) => {
                let response = Response::error(Status::WhiskError, TOO_LATE);
                fail(&context, &message, &traced, response).await;
            }
            Ok(executable) => pool.submit(Job::new(message, executable, of_job, traced)),
            Err(response) => fail(&context, &message, &traced, response).await,
        }
    });
    let begun = span.in_scope(|| work.as_mut().now_or_never());
    if begun.is_none() {
        tasks.spawn("resolve", work.instrument(span.clone()));
    }
}

/// When the controller counts an activation as lost, so that it is not begun any more.
fn deadline(at: Millis, limit: Duration, context: &Context) -> Millis {
    let standard = context.config.time_limit.std;
    let timeout = context.config.loadbalancer.completion_timeout(limit, standard);
    Millis(at.0 + timeout.as_millis() as u64)
}

/// Whether an activation of an earlier run is done with. One that has its record is, unless that is only
/// what its controller presumed: the controller is told, in case it was not, and the journal forgets it. The
/// store is waited for; if this invoker ends before it answers, the activation stays in the journal.
pub async fn is_done(message: &ActivationMessage, context: &Context) -> bool {
    let id = message.activation_id;
    let mut told = false;
    loop {
        match context.activations.certainty(id).await {
            Ok(Some(Certainty::Known)) => {
                context.acks.recorded(message);
                context.records.skip(id).await;
                return true;
            }
            Ok(Some(Certainty::Presumed) | None) => return false,
            Err(error) if !std::mem::replace(&mut told, true) => {
                let error = anyhow::Error::from(error);
                warn!(activation.id = %id, "whether {id} has a record cannot be asked now: {error:#}");
            }
            Err(_) => {}
        }
        tokio::select! {
            () = context.patience.requested() => return true,
            () = tokio::time::sleep(RETRY) => {}
        }
    }
}

/// Ends an activation whose action could not be had.
async fn fail(context: &Context, message: &ActivationMessage, traced: &Traced, response: Response) {
    traced.ended(response.status, false);
    let record = record::fallback(message, context.clock.now(), response);
    let text = serde_json::to_vec(&record).expect("a record serializes");
    if let Err(error) = context.journal.outcome(message.activation_id, text.into()) {
        error!(activation.id = %message.activation_id, "the journal cannot be written: {error}");
    }
    context.acks.combined(message, &record, traced.trace());
    context.metrics.ended(record.response.status);
    if record::is_stored(message, record.response.status, &context.config.activation) {
        context.records.store(record, traced.trace()).await;
    } else {
        context.records.skip(message.activation_id).await;
    }
}
