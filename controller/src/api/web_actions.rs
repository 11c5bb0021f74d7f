//! `/api/v1/web/{ns}/{package, or default}/{name}[.extension][/rest]`: actions that anybody may call, by any verb.
//!
//! An action runs on behalf of the namespace in the path, its owner here, who is charged for it and whose
//! limits hold. Who has signed in is only told to the action; credentials that are wrong are none. What is not
//! there, not exported or not anybody's looks alike. Upstream:
//! `core/controller/src/main/scala/org/apache/openwhisk/core/controller/WebActions.scala`.

pub mod accept;
pub mod context;
pub mod guard;
pub mod media;
pub mod path;
pub mod pretty;
pub mod render;

use std::borrow::Cow;
use std::sync::Arc;

use actix_web::http::header::{
    ACCEPT, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_ALLOW_ORIGIN,
    ACCESS_CONTROL_REQUEST_HEADERS, AUTHORIZATION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
};
use actix_web::http::{Method, StatusCode};
use actix_web::{FromRequest, HttpMessage, HttpRequest, HttpResponse, web};
use common::entity::action::{CONDUCTOR, FINAL};
use common::entity::activation::{Activation, Status};
use common::entity::exec::Exec;
use common::entity::id::TransactionId;
use common::entity::identity::Right;
use common::entity::json;
use common::store::{IdentityRecord, StoreError};
use common::trace::Trace;
use serde_json::value::RawValue;

use self::accept::Accept;
use self::context::Context;
use self::path::{Extension, WebPath};
use self::render::{Rendered, Unfit};
use super::app::App;
use super::body;
use super::caller::{Caller, trace_of};
use super::error::ApiError;
use super::frame::{ANYBODY, Finished, Layout, REQUEST_HEADERS, refusal};
use super::invoke::named;
use super::limits::payload_size;
use crate::entitlement::rights::Resource;
use crate::invoke::resolve::{ResolveError, Resolved};
use crate::invoke::{Invocation, Outcome};

const WEB_EXPORT: &str = "web-export";
const RAW_HTTP: &str = "raw-http";
const CUSTOM_OPTIONS: &str = "web-custom-options";

const VERBS: &str = "OPTIONS, GET, DELETE, POST, PUT, HEAD, PATCH";
const METHODS: HeaderValue = HeaderValue::from_static(VERBS);

/// A request for a web action that is there, and whose owner may run it.
struct Call<'a> {
    app: &'a App,
    request: &'a HttpRequest,
    transid: &'a TransactionId,
    trace: Trace,
    owner: Arc<IdentityRecord>,
    action: Resolved,
    path: &'a WebPath<'a>,
    body: bytes::Bytes,
}

/// Any verb.
pub async fn serve(
    app: web::Data<App>,
    request: HttpRequest,
    payload: web::Payload,
) -> Result<HttpResponse, ApiError> {
    let Some(path) = WebPath::parse(request.uri().path()) else {
        return super::unrouted(request).await;
    };
    if !VERBS.split(", ").any(|verb| verb == request.method().as_str()) {
        return Err(ApiError::MethodNotAllowed(VERBS));
    }
    let transid = request.extensions().get::<TransactionId>().cloned();
    let transid = transid.expect("the frame gives every request an id");
    let mut response = match admit(&app, &request, &transid, &path, payload).await {
        Ok(call) => call.answer().await,
        Err(error) => refusal(&error, &transid, Layout::Pretty),
    };
    response.extensions_mut().insert(Finished);
    Ok(response)
}

/// Finds the action and its owner, charges the owner, and reads the body.
async fn admit<'a>(
    app: &'a App,
    request: &'a HttpRequest,
    transid: &'a TransactionId,
    path: &'a WebPath<'a>,
    payload: web::Payload,
) -> Result<Call<'a>, ApiError> {
    let namespace = path.fqn.namespace();
    let owner = app.identities.by_namespace(namespace.as_str()).await.map_err(unreadable)?;
    let owner = owner.ok_or(ApiError::NotFound)?;
    let action = app.invoke.resolver.resolve(&path.fqn).await.map_err(hidden)?;
    if !action.action.entity.annotations.is_true(WEB_EXPORT) {
        return Err(ApiError::NotFound);
    }
    let trace = trace_of(request);
    let authorizing = trace.span("authorize");
    app.entitlement.charge_invocation(&owner)?;
    let (namespace, package) = (action.fqn.namespace(), action.fqn.path.package());
    let name = Some(action.fqn.name.as_str());
    let resource = Resource { namespace: &namespace, package: package.as_ref(), name };
    app.entitlement.check(&owner, Right::Activate, &resource).await?;
    drop(authorizing);
    let allowed = payload_size(&app.config, &owner.limits).bytes();
    let body =
        body::read_at_most(request.headers(), &mut payload.into_inner(), allowed, app.body_timeout()).await?;
    Ok(Call { app, request, transid, trace, owner, action, path, body })
}

/// Why there is no action is not told.
fn hidden(error: ResolveError) -> ApiError {
    match error {
        ResolveError::Missing | ResolveError::OtherKind => ApiError::NotFound,
        ResolveError::Store(error) => unreadable(error),
    }
}

/// What cannot be read is not there; a store that is away is another matter.
fn unreadable(error: StoreError) -> ApiError {
    if error.is_retryable() { error.into() } else { ApiError::NotFound }
}

impl Call<'_> {
    /// The whole answer. Unless the action answers OPTIONS itself it has our CORS headers.
    async fn answer(&self) -> HttpResponse {
        let annotations = &self.action.action.entity.annotations;
        let has_own_options = annotations.is_true(CUSTOM_OPTIONS);
        let is_options = *self.request.method() == Method::OPTIONS;
        if is_options && !has_own_options {
            return self.with_cors(HttpResponse::Ok().finish());
        }
        let response = self.run(is_options).await.unwrap_or_else(|error| self.refuse(&error));
        if has_own_options { response } else { self.with_cors(response) }
    }

    fn refuse(&self, error: &ApiError) -> HttpResponse {
        refusal(error, self.transid, Layout::Pretty)
    }

    fn with_cors(&self, mut response: HttpResponse) -> HttpResponse {
        let asked = self.request.headers().get(ACCESS_CONTROL_REQUEST_HEADERS);
        let headers = response.headers_mut();
        headers.append(ACCESS_CONTROL_ALLOW_ORIGIN, ANYBODY);
        headers.append(ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        headers.append(ACCESS_CONTROL_ALLOW_HEADERS, asked.cloned().unwrap_or(REQUEST_HEADERS));
        response
    }

    /// Invokes the action. Its answer to OPTIONS is for everybody.
    async fn run(&self, is_open: bool) -> Result<HttpResponse, ApiError> {
        let caller = self.caller().await?;
        let secret = text(self.request.headers(), guard::AUTH_HEADER);
        let annotations = &self.action.action.entity.annotations;
        if !is_open && !guard::admits(annotations, secret.as_deref(), caller.is_some()) {
            return Err(ApiError::Unauthenticated);
        }
        let payload = self.arguments(caller.as_ref())?;
        let key = self.key();
        let invocation = Invocation {
            action: &self.action,
            caller: &self.owner,
            key: key.as_deref().unwrap_or_default(),
            transid: self.transid,
            trace: &self.trace,
            payload: &payload,
            wait: Some(self.app.config.controller.activation.max_wait_for_blocking_activation),
            cause: None,
        };
        Ok(match self.app.invoke.invoke(invocation).await? {
            Outcome::Accepted(id) => named(self.refuse(&ApiError::NotYetReady), id),
            Outcome::Finished(record) => {
                let response = self.finished(&record).unwrap_or_else(|error| self.refuse(&error));
                named(response, record.head.activation_id)
            }
        })
    }

    /// Who has signed in, if anybody has.
    async fn caller(&self) -> Result<Option<Caller>, ApiError> {
        if !self.request.headers().contains_key(AUTHORIZATION) {
            return Ok(None);
        }
        match Caller::extract(self.request).await {
            Ok(caller) => Ok(Some(caller)),
            Err(ApiError::NoCredentials | ApiError::BadCredentials) => Ok(None),
            Err(error) => Err(error),
        }
    }

    fn arguments(&self, caller: Option<&Caller>) -> Result<Box<RawValue>, ApiError> {
        let headers = self.request.headers().iter();
        let context = Context {
            method: self.request.method().as_str(),
            headers: headers.map(|(name, value)| (name.as_str(), lossy(value))).collect(),
            path: self.path.rest,
            query: self.request.query_string(),
            user: caller.map(|caller| caller.namespace().as_str()),
            body: &self.body,
        };
        let annotations = &self.action.action.entity.annotations;
        if annotations.is_true(RAW_HTTP) {
            return Ok(context.raw_arguments());
        }
        if !annotations.is_true(FINAL) {
            return Ok(context.arguments(|_| false)?);
        }
        let parameters = self.action.parameters();
        Ok(context.arguments(|name| parameters.immutable_keys().any(|key| key == name))?)
    }

    /// The owner's key, if anything that runs may be given it.
    fn key(&self) -> Option<String> {
        let action = &self.action.action.entity;
        let is_needed = match action.exec {
            Exec::Sequence { .. } => true,
            Exec::Code { .. } | Exec::Blackbox { .. } => {
                action.provides_api_key() || action.annotations.is_truthy(CONDUCTOR, false)
            }
        };
        if !is_needed {
            return None;
        }
        Some(self.app.secret.as_ref()?.reveal(&self.owner.key)?.key)
    }

    fn finished(&self, record: &Activation) -> Result<HttpResponse, ApiError> {
        let nothing = json::empty_object();
        let result = record.response.result.as_deref().unwrap_or(&nothing);
        let result = match record.response.status {
            Status::Success => result,
            Status::ApplicationError => json::member(result, "error").ok_or(Unfit::NoProperty)?,
            Status::DeveloperError | Status::WhiskError => return Err(ApiError::NotProcessed),
        };
        let rendered = render::render(self.path.extension, result)?;
        if let Some(entity) = &rendered.entity
            && rendered.status < 300
        {
            let accept: Vec<_> = self.request.headers().get_all(ACCEPT).map(lossy).collect();
            if !Accept::parse(accept.iter().map(Cow::as_ref)).takes(&entity.media) {
                return Err(ApiError::OnlyAvailableAs(entity.content_type.clone()));
            }
        }
        respond(rendered).ok_or_else(|| Unfit::Media(expected(self.path.extension)).into())
    }
}

/// What an extension needs of a result, for those who are told that it is not.
fn expected(extension: Extension) -> &'static str {
    match extension {
        Extension::Http => "message/http",
        Extension::Json => "application/json",
        Extension::Html => "text/html",
        Extension::Svg => "image/svg+xml",
        Extension::Text => "text/plain",
    }
}

fn respond(rendered: Rendered) -> Option<HttpResponse> {
    let mut response = HttpResponse::build(StatusCode::from_u16(rendered.status).ok()?);
    for (name, value) in rendered.headers {
        let name = HeaderName::from_bytes(name.as_bytes()).ok()?;
        response.append_header((name, HeaderValue::from_bytes(value.as_bytes()).ok()?));
    }
    Some(match rendered.entity {
        None => response.finish(),
        Some(entity) => {
            response
                .insert_header((CONTENT_TYPE, HeaderValue::from_bytes(entity.content_type.as_bytes()).ok()?));
            response.body(entity.body)
        }
    })
}

fn lossy(value: &HeaderValue) -> Cow<'_, str> {
    String::from_utf8_lossy(value.as_bytes())
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<Cow<'a, str>> {
    headers.get(name).map(lossy)
}
