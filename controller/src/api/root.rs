//! What operators and clients ask without signing in: what this is, how it is, what it is doing.
//!
//! Upstream: `core/controller/src/main/scala/org/apache/openwhisk/core/controller/{Controller,RestAPIs}.scala`.

use std::collections::BTreeMap;

use actix_web::http::StatusCode;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{HttpRequest, HttpResponse, web};
use common::manifest::RuntimeKind;
use serde::Serialize;
use serde_json::json;

use super::app::App;
use super::error::ApiError;
use super::{answer, caller};
use crate::load_balancer::InvokerHealth;

type Data = web::Data<App>;

const MB: u64 = 1024 * 1024;

/// `GET /`
pub async fn info(app: Data) -> HttpResponse {
    let (throttles, ranges) = (&app.config.limits, app.config.action_limits());
    let (time, memory, logs) = (ranges.timeout, ranges.memory, ranges.logs);
    let runtimes: BTreeMap<&String, Vec<RuntimeView<'_>>> = app
        .manifest
        .families()
        .iter()
        .map(|(family, kinds)| (family, kinds.iter().map(RuntimeView::from).collect()))
        .collect();
    answer::json(&json!({
        "description": "OpenWhisk",
        "support": {
            "github": "https://github.com/apache/openwhisk/issues",
            "slack": "http://slack.openwhisk.org",
        },
        "api_paths": [super::API],
        "limits": {
            "actions_per_minute": throttles.invocations_per_minute,
            "triggers_per_minute": throttles.fires_per_minute,
            "concurrent_actions": throttles.concurrent_invocations,
            "sequence_length": throttles.sequence_length,
            "default_min_action_duration": time.min,
            "default_max_action_duration": time.max,
            "default_min_action_memory": memory.min * MB,
            "default_max_action_memory": memory.max * MB,
            "default_min_action_logs": logs.min * MB,
            "default_max_action_logs": logs.max * MB,
            "min_action_duration": time.min,
            "max_action_duration": time.max,
            "min_action_memory": memory.min * MB,
            "max_action_memory": memory.max * MB,
            "min_action_logs": logs.min * MB,
            "max_action_logs": logs.max * MB,
        },
        "runtimes": runtimes,
    }))
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct RuntimeView<'a> {
    kind: &'a str,
    image: String,
    deprecated: bool,
    default: bool,
    attached: bool,
    require_main: bool,
}

impl<'a> From<&'a RuntimeKind> for RuntimeView<'a> {
    fn from(runtime: &'a RuntimeKind) -> Self {
        Self {
            kind: &runtime.kind,
            image: runtime.image.reference(),
            deprecated: runtime.deprecated,
            default: runtime.default,
            // Code always lies apart from the action.
            attached: true,
            require_main: runtime.require_main,
        }
    }
}

/// `GET /api/v1`
pub async fn api(app: Data) -> HttpResponse {
    answer::json(&json!({
        "description": "OpenWhisk API",
        "api_version": "1.0.0",
        "api_version_path": "v1",
        "build": app.build,
        "buildno": env!("CARGO_PKG_VERSION"),
        "swagger_paths": { "ui": "/docs", "api-docs": "/api-docs" },
    }))
}

/// `GET /ping`
pub async fn ping() -> HttpResponse {
    answer::text("pong")
}

/// `GET /invokers`
pub async fn invokers(app: Data) -> HttpResponse {
    let invokers = app.balancer.invokers();
    let shown: BTreeMap<String, &str> =
        invokers.iter().map(|(id, health)| (id.to_string(), health.as_str())).collect();
    answer::json(&shown)
}

/// How many invokers take work, and how many there are.
fn healthy_of(app: &App) -> (usize, usize) {
    let invokers = app.balancer.invokers();
    let healthy = invokers.iter().filter(|(_, health)| *health == InvokerHealth::Up).count();
    (healthy, invokers.len())
}

/// `GET /invokers/healthy/count`
pub async fn healthy(app: Data) -> HttpResponse {
    answer::json(&healthy_of(&app).0)
}

/// `GET /invokers/ready`: whether there are invokers and all of them take work.
pub async fn ready(app: Data) -> HttpResponse {
    let (healthy, all) = healthy_of(&app);
    let share = format!("{healthy}/{all}");
    if all > 0 && healthy == all {
        answer::json(&json!({ "healthy": share }))
    } else {
        answer::json_with(StatusCode::INTERNAL_SERVER_ERROR, &json!({ "unhealthy": share }))
    }
}

/// `GET /ready`: whether this controller can do its work at present, and if not, why not (ours).
pub async fn can_serve(app: Data) -> HttpResponse {
    let mut why = app.readiness.troubles();
    if app.gate.is_shut() {
        why.push("no new work is taken".to_owned());
    }
    match why.is_empty() {
        true => answer::json(&json!({ "ready": true })),
        false => answer::json_with(StatusCode::SERVICE_UNAVAILABLE, &json!({ "ready": false, "why": why })),
    }
}

/// `POST /disable`: takes no new work from now on; what is in flight goes on. For those who sign in with
/// `whisk.controller`'s own credentials.
pub async fn disable(app: Data, request: HttpRequest) -> Result<HttpResponse, ApiError> {
    if !caller::is_operator(&request, &app.config.controller) {
        let is_somebody = request.headers().contains_key(AUTHORIZATION);
        return Err(if is_somebody { ApiError::NotTheOperator } else { ApiError::Unauthenticated });
    }
    app.gate.close();
    Ok(answer::text("controller is disabled"))
}

/// `GET /activation`
pub async fn in_flight(app: Data) -> HttpResponse {
    answer::json(&app.balancer.in_flight())
}

/// `GET /activation/count`
pub async fn in_flight_count(app: Data) -> HttpResponse {
    answer::json(&app.balancer.in_flight_count())
}
