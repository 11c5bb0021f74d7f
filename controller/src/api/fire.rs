//! `POST …/triggers/{name}`: fire a trigger, which invokes the action of each of its active rules.
//!
//! Upstream: `core/controller/src/main/scala/org/apache/openwhisk/core/controller/Triggers.scala` (`activate`), which
//! posts each invocation to itself by HTTP. Here the same checks are made without HTTP, and what a caller
//! would be answered stands in the trigger's log. The activation is in the journal before its id leaves, and
//! the actions are invoked by a task of their own: whether the caller stays for the answer does not matter.

use std::collections::BTreeMap;

use actix_web::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, TRANSFER_ENCODING};
use actix_web::{HttpRequest, HttpResponse, ResponseError, web};
use anyhow::anyhow;
use common::entity::activation::Status;
use common::entity::id::ActivationId;
use common::entity::identity::Right;
use common::entity::trigger::{Link, RuleStatus, Trigger};
use common::telemetry::span;
use common::trace::Trace;
use futures::{StreamExt, stream};
use serde_json::value::RawValue;
use tracing::{Instrument, debug, error};

use super::app::App;
use super::body;
use super::caller::Caller;
use super::error::ApiError;
use super::invoke::accepted;
use super::limits::payload_size;
use super::path::{Place, check_action};
use crate::invoke::trigger::{self, RULES_OF_ONE};
use crate::invoke::{Invocation, Outcome};

/// `POST …/triggers/{name}`
pub async fn fire(
    app: web::Data<App>,
    mut caller: Caller,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let fqn = Place::of(&request, &caller)?.simple()?;
    let authorizing = caller.trace.span("authorize");
    app.entitlement.charge_fire(&caller.identity)?;
    check_action(&app, &caller, Right::Activate, &fqn).await?;
    drop(authorizing);
    let allowed = payload_size(&app.config, &caller.identity.limits).bytes();
    let body =
        body::read_at_most(request.headers(), &mut payload.into_inner(), allowed, app.body_timeout()).await?;
    body::require_json(request.headers(), &body)?;
    let payload = body::payload(&body)?;
    drop(body);
    let found = app.triggers.recall(&fqn).await?;
    if !found.entity.is_armed() {
        return Ok(HttpResponse::NoContent().finish());
    }
    let room =
        app.firing.fire().ok_or_else(|| ApiError::Unavailable(anyhow!("too many triggers are fired")))?;
    let arguments = trigger::arguments(&found.entity.parameters, &headers(request.headers()), &payload);
    let begun =
        trigger::begun(&found.entity, &caller.identity, caller.transid.extra_logging, app.clock.now());
    app.records.open(&begun).map_err(|error| ApiError::Unavailable(error.into()))?;
    let id = begun.head.activation_id;
    let (here, visit) = (app.clone(), app.gate.stay());
    let span = span::activation(&caller.transid, id, &fqn);
    let mut firing = caller.trace.span("fire");
    if let Some(span) = firing.recorded() {
        span.set("faas.invoked_name", fqn.to_string()).set("faas.invocation_id", id.to_string());
    }
    caller.trace = firing.trace().clone();
    let work = async move {
        let logs = set_off(&here, &caller, &found.entity, &arguments).await;
        let record = trigger::record(begun.head, payload, logs);
        here.records.store(record, &begun.wish, firing.trace()).await;
        drop((visit, room));
    };
    app.firing.tasks.spawn("fire", work.instrument(span));
    Ok(accepted(id))
}

/// The request's headers, as actions are given them: those of its body are left out. Of several of one name
/// the last counts.
fn headers(headers: &HeaderMap) -> BTreeMap<String, String> {
    let of_body = [CONTENT_TYPE, CONTENT_LENGTH, TRANSFER_ENCODING];
    let named = headers.iter().filter(|(name, _)| !of_body.contains(name));
    let text = |value: &[u8]| String::from_utf8_lossy(value).into_owned();
    named.map(|(name, value)| (name.as_str().to_owned(), text(value.as_bytes()))).collect()
}

/// Invokes the actions of all active rules; returns what is told of each rule, in the order of their names.
async fn set_off(app: &App, caller: &Caller, trigger: &Trigger, arguments: &RawValue) -> Vec<String> {
    let mut lines = Vec::new();
    for (rule, link) in trigger.rules.iter().flatten() {
        lines.push(follow(app, caller, rule, link, arguments));
    }
    stream::iter(lines).buffered(RULES_OF_ONE).collect().await
}

/// Does what a rule says, and returns what is told of it.
async fn follow(app: &App, caller: &Caller, rule: &str, link: &Link, arguments: &RawValue) -> String {
    if link.status != RuleStatus::Active {
        return trigger::inactive(rule, link);
    }
    let _room = app.firing.rule().await;
    let mut following = caller.trace.span("rule");
    if let Some(span) = following.recorded() {
        span.set("rule", rule.to_owned());
    }
    match invoke(app, caller, following.trace(), link, arguments).await {
        Ok(id) => {
            debug!(activation.id = %id, "rule {rule} invoked {} as {id}", link.action);
            trigger::invoked(rule, link, id)
        }
        Err(refusal) => {
            following.fail("the action was not invoked");
            refused(rule, link, refusal)
        }
    }
}

/// Invokes an action as if the caller had asked for it, with all that this costs.
async fn invoke(
    app: &App,
    caller: &Caller,
    trace: &Trace,
    link: &Link,
    arguments: &RawValue,
) -> Result<ActivationId, ApiError> {
    let authorizing = trace.span("authorize");
    app.entitlement.charge_invocation(&caller.identity)?;
    check_action(app, caller, Right::Activate, &link.action).await?;
    drop(authorizing);
    let allowed = payload_size(&app.config, &caller.identity.limits).bytes();
    let size = arguments.get().len() as u64;
    if size > allowed {
        return Err(ApiError::TooLarge { part: "Request", size, allowed });
    }
    let action = app.invoke.resolver.resolve(&link.action).await?;
    let invocation = Invocation {
        action: &action,
        caller: &caller.identity,
        key: caller.key(),
        transid: &caller.transid,
        trace,
        payload: arguments,
        wait: None,
        cause: None,
    };
    Ok(match app.invoke.invoke(invocation).await? {
        Outcome::Accepted(id) => id,
        Outcome::Finished(record) => record.head.activation_id,
    })
}

fn refused(rule: &str, link: &Link, refusal: ApiError) -> String {
    let text = refusal.to_string();
    let status = if refusal.status_code().is_server_error() {
        let cause = anyhow::Error::from(refusal);
        error!("rule {rule} could not invoke {}: {cause:#}", link.action);
        Status::WhiskError
    } else {
        debug!("rule {rule} did not invoke {}: {text}", link.action);
        Status::ApplicationError
    };
    trigger::refused(rule, link, status, &text)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::{HeaderName, HeaderValue};

    use super::*;

    #[test]
    fn headers_but_those_of_the_body_are_passed_on_in_lower_case() {
        let mut given = HeaderMap::new();
        for (name, value) in [
            ("X-Custom", "v"),
            ("Content-Type", "application/json"),
            ("Content-Length", "2"),
            ("Authorization", "Basic x"),
        ] {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            given.insert(name, HeaderValue::from_static(value));
        }
        let expected = [("authorization", "Basic x"), ("x-custom", "v")];
        let expected = expected.map(|(name, value)| (name.to_owned(), value.to_owned()));
        assert_eq!(headers(&given), BTreeMap::from(expected));
    }
}
