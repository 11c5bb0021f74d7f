//! Bus to pool: a message is journalled, then accepted, then resolved and run.
//!
//! Never more is taken than may wait: beyond that the bus refuses, and the caller is told that the
//! platform is overloaded.

use std::sync::Arc;

use common::bus::{Delivery, Receiver};
use common::journal::JournalError;
use common::message::activation::ActivationMessage;
use futures::FutureExt;
use tracing::{error, warn};

use crate::context::Context;
use crate::job::Job;
use crate::pool::Pool;
use common::record;

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
            return delivery.refuse("the message cannot be read");
        }
    };
    let max = context.config.container_pool.max_queued;
    if pool.waiting() >= max {
        return delivery.refuse(&format!("{max} activations wait already"));
    }
    let id = message.activation_id;
    match context.journal.accepted(id, context.clock.now(), delivery.message()) {
        Ok(()) => delivery.accept(),
        Err(JournalError::Duplicate(_)) => {
            warn!(activation.id = %id, "a second delivery is dropped");
            return delivery.accept();
        }
        Err(error) => {
            error!(activation.id = %id, "an activation is refused: {error}");
            return delivery.refuse(&error.to_string());
        }
    }
    submit(message, context, pool);
}

/// Finds the action of an accepted message and gives both to the pool. Mostly the action is at hand;
/// where it must be read, that does not hold up the messages behind.
pub fn submit(message: ActivationMessage, context: &Arc<Context>, pool: &Arc<Pool>) {
    let (message, context, pool) = (Arc::new(message), context.clone(), pool.clone());
    let tasks = context.tasks.clone();
    let mut work = Box::pin(async move {
        match context.actions.resolve(&message).await {
            Ok(executable) => pool.submit(Job::new(message, executable)),
            Err(response) => fail(&context, &message, response).await,
        }
    });
    if work.as_mut().now_or_never().is_none() {
        tasks.spawn("resolve", work);
    }
}

/// Ends an activation whose action could not be had.
async fn fail(
    context: &Context,
    message: &ActivationMessage,
    response: common::entity::activation::Response,
) {
    let record = record::fallback(message, context.clock.now(), response);
    let text = serde_json::to_vec(&record).expect("a record serializes");
    if let Err(error) = context.journal.outcome(message.activation_id, text.into()) {
        error!(activation.id = %message.activation_id, "the journal cannot be written: {error}");
    }
    context.acks.combined(message, &record);
    if record::is_stored(message, record.response.status, &context.config.activation) {
        context.records.store(record).await;
    } else {
        context.records.skip(message.activation_id).await;
    }
}
