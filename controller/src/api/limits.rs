//! `/api/v1/namespaces/{ns}/limits`: what holds for a namespace, its own and the system's together.
//!
//! Upstream: `core/controller/src/main/scala/org/apache/openwhisk/core/controller/Limits.scala`.

use actix_web::{HttpRequest, HttpResponse, web};
use common::config::Config;
use common::entity::limits::{ByteSize, UserLimits};
use serde::Serialize;

use super::answer;
use super::app::App;
use super::caller::Caller;
use super::error::ApiError;
use super::path::{Place, check_collection};
use crate::entitlement::concurrent_invocations;

/// `GET …/limits`
pub async fn get(
    app: web::Data<App>,
    caller: Caller,
    request: HttpRequest,
) -> Result<HttpResponse, ApiError> {
    let place = Place::of(&request, &caller)?;
    check_collection(&app, &caller, &place.namespace).await?;
    Ok(answer::json(&LimitsView::new(&app.config, &caller.identity.limits)))
}

/// Any path below limits.
pub async fn inner(_: Caller) -> Result<HttpResponse, ApiError> {
    Err(ApiError::InnerLimits)
}

/// The most bytes that a namespace's parameters, and its annotations, may have.
pub fn parameter_size(config: &Config, own: &UserLimits) -> ByteSize {
    let system = config.parameter_size_limit.0;
    own.max_parameter_size.map_or(system, |own| own.min(system))
}

/// The most bytes that a namespace's request to invoke may have.
pub fn payload_size(config: &Config, own: &UserLimits) -> ByteSize {
    let system = config.activation.payload.max;
    own.max_payload_size.map_or(system, |own| own.min(system))
}

/// All that holds; what has no system's value is there only if the namespace has one.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct LimitsView<'a> {
    invocations_per_minute: u64,
    concurrent_invocations: u64,
    fires_per_minute: u64,
    max_action_memory: u64,
    min_action_memory: u64,
    max_action_logs: u64,
    min_action_logs: u64,
    max_action_timeout: u64,
    min_action_timeout: u64,
    max_action_concurrency: u64,
    min_action_concurrency: u64,
    max_parameter_size: ByteSize,
    max_action_instances: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    allowed_kinds: Option<&'a [String]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    store_activations: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_payload_size: Option<ByteSize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    truncation_size: Option<ByteSize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warmed_container_keeping_count: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    warmed_container_keeping_timeout: Option<&'a str>,
}

impl<'a> LimitsView<'a> {
    fn new(config: &Config, own: &'a UserLimits) -> Self {
        let (throttles, ranges) = (&config.limits, config.action_limits().for_namespace(own));
        let concurrent = concurrent_invocations(own, throttles);
        Self {
            invocations_per_minute: own.invocations_per_minute.unwrap_or(throttles.invocations_per_minute),
            concurrent_invocations: concurrent,
            fires_per_minute: own.fires_per_minute.unwrap_or(throttles.fires_per_minute),
            max_action_memory: ranges.memory.max,
            min_action_memory: ranges.memory.min,
            max_action_logs: ranges.logs.max,
            min_action_logs: ranges.logs.min,
            max_action_timeout: ranges.timeout.max,
            min_action_timeout: ranges.timeout.min,
            max_action_concurrency: ranges.concurrency.max,
            min_action_concurrency: ranges.concurrency.min,
            max_parameter_size: parameter_size(config, own),
            max_action_instances: concurrent,
            allowed_kinds: own.allowed_kinds.as_deref(),
            store_activations: own.store_activations,
            max_payload_size: own.max_payload_size,
            truncation_size: own.truncation_size,
            warmed_container_keeping_count: own.warmed_container_keeping_count,
            warmed_container_keeping_timeout: own.warmed_container_keeping_timeout.as_deref(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_systems_limits_hold_where_a_namespace_has_none() {
        let shown =
            serde_json::to_value(LimitsView::new(&Config::default(), &UserLimits::default())).unwrap();
        let expected = serde_json::json!({
            "invocationsPerMinute": 60, "concurrentInvocations": 30, "firesPerMinute": 60,
            "maxActionMemory": 512, "minActionMemory": 128, "maxActionLogs": 10, "minActionLogs": 0,
            "maxActionTimeout": 300_000, "minActionTimeout": 100,
            "maxActionConcurrency": 1, "minActionConcurrency": 1,
            "maxParameterSize": "1048576 B", "maxActionInstances": 30
        });
        assert_eq!(shown, expected);
    }

    #[test]
    fn a_namespaces_own_limits_narrow_and_are_shown() {
        let own = UserLimits {
            concurrent_invocations: Some(7),
            max_parameter_size: Some(ByteSize::from_mb(2)),
            max_payload_size: Some(ByteSize::from_bytes(9)),
            store_activations: Some(false),
            ..UserLimits::default()
        };
        let config = Config::default();
        let shown = serde_json::to_value(LimitsView::new(&config, &own)).unwrap();
        assert_eq!(
            (shown["maxActionInstances"].as_u64(), shown["storeActivations"].as_bool()),
            (Some(7), Some(false))
        );
        assert_eq!(shown["maxParameterSize"], "1048576 B");
        assert_eq!(payload_size(&config, &own), ByteSize::from_bytes(9));
    }
}
