//! After a crash: the containers of the runs that are gone are removed, and every activation they had
//! accepted gets its record, or runs if it never began.

use std::sync::Arc;

use common::entity::activation::{Activation, Response, Status};
use common::journal::{Abandoned, OpenEntry};
use common::message::activation::ActivationMessage;
use tracing::{Instrument, error, info, warn};

use crate::context::Context;
use crate::feed;
use crate::logs;
use crate::pool::Pool;
use crate::response::ABNORMAL_RUN;
use common::record;
use common::telemetry::span;
use common::trace::Trace;

/// Finishes what an earlier run left. Its journal goes once this one holds what was open.
pub async fn recover(mut abandoned: Abandoned, context: &Arc<Context>, pool: &Arc<Pool>) {
    match context.runtime.remove_run(abandoned.run()).await {
        Ok(0) => {}
        Ok(count) => info!(run = abandoned.run(), "removed {count} containers of an earlier run"),
        Err(error) => {
            let error = anyhow::Error::from(error);
            error!(run = abandoned.run(), "containers of an earlier run cannot be removed: {error:#}");
        }
    }
    let entries = abandoned.take_entries();
    if !entries.is_empty() {
        info!(run = abandoned.run(), "an earlier run left {} activations without a record", entries.len());
    }
    // All of it is here before any of it is gone, and before anything is waited for.
    for entry in &entries {
        if let Err(error) = context.journal.inherit(entry) {
            return error!(run = abandoned.run(), "what an earlier run left stays where it is: {error}");
        }
    }
    if let Err(error) = abandoned.remove() {
        warn!("the journal of an earlier run cannot be removed: {error}");
    }
    for entry in entries {
        take_up(entry, context, pool).await;
    }
}

async fn take_up(entry: OpenEntry, context: &Arc<Context>, pool: &Arc<Pool>) {
    let id = entry.id;
    let message: ActivationMessage = match serde_json::from_slice(&entry.message) {
        Ok(message) => message,
        Err(error) => {
            error!(activation.id = %id, "a journalled message cannot be read: {error}");
            return context.records.skip(id).await;
        }
    };
    let span = span::activation(&message.transid, id, &message.action);
    if !entry.started && entry.outcome.is_none() {
        return feed::submit(message, entry.at, context, pool, &span);
    }
    finish(&message, entry, context).instrument(span).await;
}

async fn finish(message: &ActivationMessage, entry: OpenEntry, context: &Context) {
    let id = entry.id;
    // Stored, perhaps, and the process ended before its journal knew.
    if feed::is_done(message, context).await {
        return;
    }
    let now = context.clock.now();
    let record = match entry.outcome.as_deref().map(serde_json::from_slice::<Activation>) {
        Some(Ok(mut record)) => {
            record.logs.push(logs::failure_line(&*context.clock));
            record
        }
        _ => record::fallback(message, now, Response::error(Status::WhiskError, ABNORMAL_RUN)),
    };
    let text = serde_json::to_vec(&record).expect("a record serializes");
    if let Err(error) = context.journal.outcome(id, text.into()) {
        error!(activation.id = %id, "the journal cannot be written: {error}");
    }
    context.acks.recovered(message, &record);
    if record::is_stored(message, record.response.status, &context.config.activation) {
        context.records.store(record, &Trace::default()).await;
    } else {
        context.records.skip(id).await;
    }
}
