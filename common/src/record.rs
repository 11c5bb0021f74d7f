//! Activation records: what stands in them, and whether they are stored. Who stores them is [`writer`].

pub mod writer;

use serde::{Deserialize, Serialize};

use crate::clock::Millis;
use crate::config::activation::{ActivationConfig, StoreLevel};
use crate::entity::activation::{Activation, ActivationHead, PRESUMED, Response, Status};
use crate::entity::limits::ActionLimits;
use crate::entity::parameters::Parameters;
use crate::entity::version::SemVer;
use crate::message::activation::ActivationMessage;

/// When an activation ran.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    /// When its initialization, or its run if there was none, began.
    pub start: Millis,
    /// When it ended.
    pub end: Millis,
    /// How long the initialization took, ms; none on a warm start.
    pub init: Option<u64>,
    /// Whether it reached its time limit.
    pub timed_out: bool,
}

impl Times {
    /// Of an activation that never ran.
    pub fn never_ran(now: Millis) -> Self {
        Self { start: now, end: now, init: None, timed_out: false }
    }
}

/// The record of an activation of a known action.
pub fn of_run(
    message: &ActivationMessage,
    kind: &str,
    limits: &ActionLimits,
    times: Times,
    response: Response,
) -> Activation {
    let mut annotations = Parameters::new()
        .with("path", &message.action.id())
        .with("kind", kind)
        .with("limits", limits)
        .with("waitTime", &times.start.since(message.transid.start))
        .with("timeout", &times.timed_out);
    if let Some(init) = times.init {
        annotations = annotations.with("initTime", &init);
    }
    record(message, annotations, times, response)
}

/// The record of an activation whose action could not be had.
pub fn fallback(message: &ActivationMessage, now: Millis, response: Response) -> Activation {
    let annotations = Parameters::new().with("path", &message.action.id()).with("kind", "unknown");
    record(message, annotations, Times::never_ran(now), response)
}

/// The record of an activation of which nothing was heard in time, or nothing but its result.
pub fn presumed(message: &ActivationMessage, result: Option<Activation>, now: Millis) -> Activation {
    let silence = || {
        let response = Response::error(Status::WhiskError, "no completion or active ack received yet");
        fallback(message, now, response)
    };
    let mut record = result.unwrap_or_else(silence);
    record.head.annotations = record.head.annotations.with(PRESUMED, &true);
    record
}

fn record(
    message: &ActivationMessage,
    mut annotations: Parameters,
    times: Times,
    response: Response,
) -> Activation {
    if message.cause.is_some() {
        annotations = annotations.with("causedBy", "sequence");
    }
    if let Some(binding) = &message.action.binding {
        annotations = annotations.with("binding", binding.as_str());
    }
    let head = ActivationHead {
        namespace: message.user.namespace.name.clone(),
        name: message.action.name.clone(),
        version: message.action.version.unwrap_or(SemVer::FIRST),
        publish: false,
        subject: message.user.subject.to_string(),
        activation_id: message.activation_id,
        cause: message.cause,
        start: times.start,
        end: Some(times.end),
        duration: Some(times.end.since(times.start)),
        annotations,
    };
    Activation { head, response, logs: Vec::new() }
}

/// Whose wish it is that a record is stored, or is not.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wish {
    /// The client waited for the result.
    pub blocking: bool,
    /// The request asked for extra logging.
    pub extra_logging: bool,
    /// The namespace's own, if it has one.
    pub store_activations: Option<bool>,
}

impl Wish {
    /// That of an order.
    pub fn of(message: &ActivationMessage) -> Self {
        Self {
            blocking: message.blocking,
            extra_logging: message.transid.extra_logging,
            store_activations: message.user.limits.store_activations,
        }
    }

    /// Whether a record is stored: by the namespace's wish, the caller's extra logging, and the level.
    pub fn is_stored(&self, status: Status, config: &ActivationConfig) -> bool {
        let level = if self.blocking {
            config.store_blocking_result_level
        } else {
            config.store_non_blocking_result_level
        };
        let by_level = match level {
            StoreLevel::StoreAlways => true,
            StoreLevel::StoreFailures => status != Status::Success,
            StoreLevel::StoreFailuresNotApplicationErrors => status >= Status::DeveloperError,
        };
        self.store_activations != Some(false) && (self.extra_logging || by_level)
    }
}

/// Whether the record of an order is stored.
pub fn is_stored(message: &ActivationMessage, status: Status, config: &ActivationConfig) -> bool {
    Wish::of(message).is_stored(status, config)
}
