//! What is around every request: its id, CORS, OPTIONS, what must be acceptable, and how errors look.
//!
//! Upstream: `common/scala/src/main/scala/org/apache/openwhisk/http/{BasicHttpService,CorsSettings}.scala`.
//! Handlers and extractors return an [`ApiError`]; only here is it logged, and given its body and headers.
//! Web actions answer OPTIONS themselves, and what they answer is [`Finished`] but for its id.

use std::error::Error as StdError;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{
    ACCEPT, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN, ALLOW,
    CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, USER_AGENT, WWW_AUTHENTICATE,
};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, HttpResponse, ResponseError, web};
use common::config::http::HttpLimits;
use common::entity::id::TransactionId;
use common::entity::json;
use common::telemetry::span;
use common::trace::Open;
use serde::Serialize;
use server::{Audience, Entered};
use tokio::time::Instant;
use tracing::{Instrument, debug, error, warn};

use super::app::App;
use super::error::ApiError;
use super::web_actions::path::{WEB, WebPath};
use super::web_actions::pretty::pretty;
use super::{answer, body, is_api};

/// The longest path and query.
const MAX_URI: usize = 8 * 1024;

/// Bodies up to this size are read before anybody is asked anything, so that a refusal keeps the
/// connection. Larger ones are read by those who want them.
const SMALL_BODY: u64 = 64 * 1024;

/// The header of a request's id, as upstream's `whisk.transactions.header`.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const EXTRA_LOGGING: HeaderName = HeaderName::from_static("x-ow-extra-logging");

const CHALLENGE: HeaderValue =
    HeaderValue::from_static(r#"Basic realm="OpenWhisk secure realm",charset=UTF-8"#);
/// Every origin.
pub const ANYBODY: HeaderValue = HeaderValue::from_static("*");
/// What browsers may send where nobody says otherwise.
pub const REQUEST_HEADERS: HeaderValue =
    HeaderValue::from_static("Authorization, Origin, X-Requested-With, Content-Type, Accept, User-Agent");
const API_METHODS: HeaderValue = HeaderValue::from_static("GET, DELETE, POST, PUT, HEAD");
const ROOT_METHODS: HeaderValue = HeaderValue::from_static("OPTIONS, GET, POST");

/// Marks a response that has all it needs, CORS and errors included, but its id.
#[derive(Clone, Copy, Debug)]
pub struct Finished;

/// How the JSON of an error is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// On one line.
    Compact,
    /// A member a line, as those of web actions.
    Pretty,
}

/// What actions may ask besides the API.
const PING: &str = "/ping";

/// How the connection of a request came in; one that is none, in tests, as everybody's.
fn entered(request: &HttpRequest) -> Entered {
    let everybody = Entered { audience: Audience::Everybody, encrypted: false };
    request.conn_data().copied().unwrap_or(everybody)
}

/// Gives a request its id, and its response what every response has.
pub async fn frame(
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let app = request.app_data::<web::Data<App>>().cloned().expect("every server has an app");
    let started = Instant::now();
    let transid = enter(&app, &mut request);
    let is_api = is_api(request.path());
    let method = request.method().clone();
    let accept = Accept::of(request.headers());
    let span = span::transaction(&transid);
    let mut traced = trace(&app, &mut request, is_api);
    let response = inside(&app, request, next, is_api).instrument(span.clone()).await?;
    let _entered = span.entered();
    let response = finish(response, &transid, accept, is_api);
    let status = response.status();
    app.http_metrics.answered(method.as_str(), status.as_str(), started.elapsed().as_secs_f64());
    debug!(status = status.as_u16(), "{method} {} {}", response.request().path(), status.as_u16());
    if let Some(span) = traced.recorded() {
        describe(span, response.request(), status, &transid);
    }
    Ok(response)
}

/// Begins the span of a request to the API; what the request asks for is below it.
fn trace(app: &App, request: &mut ServiceRequest, is_api: bool) -> Open {
    if !is_api {
        return Open::default();
    }
    let headers = request.headers();
    let trace = app.tracer.request(|name| headers.get(name).and_then(|value| value.to_str().ok()));
    let span = trace.server("HTTP");
    if span.trace().is_active() {
        request.extensions_mut().insert(span.trace().clone());
    }
    span
}

/// Says of a request what OpenTelemetry's conventions for HTTP want to be said.
fn describe(span: &mut Open, request: &HttpRequest, status: StatusCode, transid: &TransactionId) {
    let (method, code) = (request.method().to_string(), status.as_u16());
    let route = request.match_pattern();
    span.rename(route.as_ref().map_or_else(|| method.clone(), |route| format!("{method} {route}")));
    span.set("http.request.method", method)
        .set("url.path", request.path().to_owned())
        .set("url.scheme", if entered(request).encrypted { "https" } else { "http" })
        .set("http.response.status_code", i64::from(code))
        .set("transid", transid.to_string());
    if let Some(route) = route {
        span.set("http.route", route);
    }
    if let Some(address) = request.peer_addr() {
        span.set("client.address", address.ip().to_string());
    }
    if let Some(agent) = request.headers().get(USER_AGENT).and_then(|agent| agent.to_str().ok()) {
        span.set("user_agent.original", agent.to_owned());
    }
    if status.is_server_error() {
        span.set("error.type", code.to_string()).fail("");
    }
}

/// The id that the caller gave, or a new one. What asks for extra logging is for us only.
fn enter(app: &App, request: &mut ServiceRequest) -> TransactionId {
    let extra =
        request.headers_mut().remove(EXTRA_LOGGING).any(|value| value.as_bytes().eq_ignore_ascii_case(b"on"));
    let given = request.headers().get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let transid = TransactionId::enter(given, app.clock.now(), extra);
    request.extensions_mut().insert(transid.clone());
    transid
}

async fn inside(
    app: &App,
    mut request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
    is_api: bool,
) -> Result<ServiceResponse<BoxBody>, Error> {
    if *request.method() == Method::OPTIONS && WebPath::parse(request.uri().path()).is_none() {
        return Ok(request.into_response(answer::text("OK")));
    }
    if !is_api && request.path() != PING && entered(request.request()).audience == Audience::Actions {
        return Ok(request.error_response(ApiError::Unrouted));
    }
    if request.uri().path_and_query().is_some_and(|uri| uri.as_str().len() > MAX_URI) {
        return Ok(request.error_response(ApiError::UriTooLong));
    }
    if is_head_too_large(request.headers(), &app.config.controller.http) {
        return Ok(request.error_response(ApiError::HeadTooLarge));
    }
    let mut visit = None;
    if is_api && (*request.method() != Method::GET || request.path().starts_with(WEB)) {
        visit = app.gate.enter();
        if visit.is_none() {
            return Ok(request.error_response(ApiError::Unavailable(anyhow::anyhow!("draining"))));
        }
    }
    if body::announced(request.headers()).is_some_and(|size| size > 0 && size <= SMALL_BODY) {
        let mut payload = request.take_payload();
        match body::read(request.headers(), &mut payload, app.body_timeout()).await {
            Ok(body) => request.set_payload(Payload::from(body)),
            Err(error) => return Ok(request.error_response(error)),
        }
    }
    let response = next.call(request).await?.map_into_boxed_body();
    drop(visit);
    Ok(response)
}

fn is_head_too_large(headers: &HeaderMap, limits: &HttpLimits) -> bool {
    headers.len() > limits.max_header_count
        || headers.iter().any(|(_, value)| value.len() > limits.max_header_value_length)
}

fn finish(
    response: ServiceResponse<BoxBody>,
    transid: &TransactionId,
    accept: Accept,
    is_api: bool,
) -> ServiceResponse<BoxBody> {
    let (request, response) = response.into_parts();
    let is_finished = response.extensions().get::<Finished>().is_some();
    let mut response = match response.error() {
        Some(error) => match error.as_error::<ApiError>() {
            Some(error) => refusal(error, transid, Layout::Compact),
            None => {
                let (status, text) = (error.as_response_error().status_code(), error.to_string());
                envelope(status, &text, transid, Layout::Compact)
            }
        },
        None if !is_finished && accept == Accept::NoJson && is_json(&response) => {
            refusal(&ApiError::NotAcceptable, transid, Layout::Compact)
        }
        None => response,
    };
    let headers = response.headers_mut();
    if let Ok(id) = HeaderValue::from_str(&transid.id) {
        headers.insert(REQUEST_ID, id);
    }
    if is_finished {
        return ServiceResponse::new(request, response);
    }
    headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, ANYBODY);
    headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, REQUEST_HEADERS);
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, if is_api { API_METHODS } else { ROOT_METHODS });
    ServiceResponse::new(request, response)
}

/// What a caller is told of an error; what went wrong on our side is logged.
pub fn refusal(error: &ApiError, transid: &TransactionId, layout: Layout) -> HttpResponse {
    let chain = || {
        let causes = std::iter::successors(error.source(), |cause: &&dyn StdError| (*cause).source());
        causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
    };
    match error {
        ApiError::Internal(_) | ApiError::Corrupt(_) => error!(cause = chain(), "{error}"),
        ApiError::Unavailable(_) | ApiError::CorruptReference(_) => {
            warn!(cause = chain(), "{error}")
        }
        _ => {}
    }
    let mut response = envelope(error.status_code(), &error.to_string(), transid, layout);
    match error {
        ApiError::NoCredentials | ApiError::BadCredentials => {
            response.headers_mut().insert(WWW_AUTHENTICATE, CHALLENGE);
        }
        ApiError::MethodNotAllowed(verbs) => {
            response.headers_mut().insert(ALLOW, HeaderValue::from_static(verbs));
        }
        _ => {}
    }
    response
}

fn envelope(status: StatusCode, text: &str, transid: &TransactionId, layout: Layout) -> HttpResponse {
    #[derive(Serialize)]
    struct Envelope<'a> {
        error: &'a str,
        code: &'a str,
    }
    let envelope = Envelope { error: text.trim(), code: &transid.id };
    match layout {
        Layout::Compact => answer::json_with(status, &envelope),
        Layout::Pretty => {
            let body = pretty(json::raw(&envelope).get());
            HttpResponse::build(status).content_type("application/json").body(body)
        }
    }
}

fn is_json(response: &HttpResponse) -> bool {
    response.status().is_success()
        && response.headers().get(CONTENT_TYPE).is_some_and(|kind| kind == "application/json")
}

/// Whether a caller takes JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Accept {
    Json,
    NoJson,
}

impl Accept {
    /// By the `Accept` headers; without any, everything is taken.
    fn of(headers: &HeaderMap) -> Self {
        let mut ranges =
            headers.get_all(ACCEPT).flat_map(|value| value.as_bytes().split(|b| *b == b',')).peekable();
        if ranges.peek().is_none() || ranges.any(Self::covers_json) { Self::Json } else { Self::NoJson }
    }

    fn covers_json(range: &[u8]) -> bool {
        let range = String::from_utf8_lossy(range);
        let mut parts = range.split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default();
        let named =
            ["*/*", "application/*", "application/json"].iter().any(|json| kind.eq_ignore_ascii_case(json));
        let refused = parts.any(|part| {
            let quality = part.strip_prefix("q=").or_else(|| part.strip_prefix("Q="));
            quality.and_then(|quality| quality.trim().parse::<f32>().ok()) == Some(0.0)
        });
        named && !refused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_acceptable_unless_every_range_leaves_it_out() {
        for (accept, expected) in [
            (None, Accept::Json),
            (Some("*/*"), Accept::Json),
            (Some("text/html, application/json;q=0.5"), Accept::Json),
            (Some("Application/*"), Accept::Json),
            (Some("text/html"), Accept::NoJson),
            (Some("text/html, application/json;q=0"), Accept::NoJson),
        ] {
            let mut headers = HeaderMap::new();
            if let Some(accept) = accept {
                headers.insert(ACCEPT, HeaderValue::from_static(accept));
            }
            assert_eq!(Accept::of(&headers), expected, "{accept:?}");
        }
    }
}
