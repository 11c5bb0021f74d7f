//! `POST …/actions/[{package}/]{name}`: invoke, and answer with an id, a record or a result.
//!
//! Upstream: `core/controller/src/main/scala/org/apache/openwhisk/core/controller/Actions.scala` (`activate`).

use actix_web::http::StatusCode;
use actix_web::http::header::{HeaderName, HeaderValue};
use actix_web::{HttpRequest, HttpResponse, web};
use common::entity::activation::{Activation, ActivationView, Status};
use common::entity::id::ActivationId;
use common::entity::identity::Right;
use common::entity::json::{self, Shape};
use serde_json::json;
use serde_json::value::RawValue;

use super::app::App;
use super::caller::Caller;
use super::error::ApiError;
use super::limits::payload_size;
use super::path::{Place, check_action};
use super::query::Query;
use super::{answer, body};
use crate::invoke::{Invocation, Outcome};

const ACTIVATION_ID: HeaderName = HeaderName::from_static("x-openwhisk-activation-id");

/// What a blocking caller wants to see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Show {
    Record,
    Result,
}

/// `POST …/actions/[{package}/]{name}`
pub async fn invoke(
    app: web::Data<App>,
    caller: Caller,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let fqn = Place::of(&request, &caller)?.action()?;
    let authorizing = caller.trace.span("authorize");
    app.entitlement.charge_invocation(&caller.identity)?;
    check_action(&app, &caller, Right::Activate, &fqn).await?;
    drop(authorizing);
    let allowed = payload_size(&app.config, &caller.identity.limits).bytes();
    let body =
        body::read_at_most(request.headers(), &mut payload.into_inner(), allowed, app.body_timeout()).await?;
    let query = Query::of(&request)?;
    let is_blocking = query.flag("blocking", false)?;
    let show = if query.flag("result", false)? { Show::Result } else { Show::Record };
    let wait = query.wait(app.config.controller.activation.max_wait_for_blocking_activation)?;
    body::require_json(request.headers(), &body)?;
    let payload = body::payload(&body)?;
    drop(body);
    let action = app.invoke.resolver.resolve(&fqn).await?;
    let invocation = Invocation {
        action: &action,
        caller: &caller.identity,
        key: caller.key(),
        transid: &caller.transid,
        trace: &caller.trace,
        payload: &payload,
        wait: is_blocking.then_some(wait),
        cause: None,
    };
    Ok(match app.invoke.invoke(invocation).await? {
        Outcome::Accepted(id) => accepted(id),
        Outcome::Finished(record) => finished(&record, show),
    })
}

/// 202 with an id.
pub fn accepted(id: ActivationId) -> HttpResponse {
    named(answer::json_with(StatusCode::ACCEPTED, &json!({ "activationId": id })), id)
}

fn finished(record: &Activation, show: Show) -> HttpResponse {
    let status = match record.response.status {
        Status::Success => StatusCode::OK,
        Status::ApplicationError | Status::DeveloperError => StatusCode::BAD_GATEWAY,
        Status::WhiskError => StatusCode::INTERNAL_SERVER_ERROR,
    };
    let result = record.response.result.as_deref();
    // An array stands alone, whatever was asked for, as upstream has it.
    let is_array = result.is_some_and(|result| json::shape(result) == Shape::Array);
    let response = match show {
        Show::Record if !is_array => answer::json_with(status, &ActivationView::from(record)),
        _ => raw(status, result),
    };
    named(response, record.head.activation_id)
}

fn raw(status: StatusCode, result: Option<&RawValue>) -> HttpResponse {
    let text = result.map_or("{}", RawValue::get).to_owned();
    HttpResponse::build(status).content_type("application/json").body(text)
}

/// A response with the id of the activation that it is of.
pub fn named(mut response: HttpResponse, id: ActivationId) -> HttpResponse {
    if let Ok(id) = HeaderValue::from_str(&id.to_string()) {
        response.headers_mut().insert(ACTIVATION_ID, id);
    }
    response
}
