//! Who asks: HTTP Basic with the uuid and key of a namespace (an extractor).
//!
//! The key is found by its uuid and compared in constant time with its digest. The key itself is kept
//! here only, for actions that are given it. Upstream:
//! `core/controller/src/main/scala/org/apache/openwhisk/core/controller/BasicAuthenticationDirective.scala`.

use std::fmt;
use std::sync::Arc;

use actix_web::dev::Payload;
use actix_web::http::header::{AUTHORIZATION, HeaderMap};
use actix_web::{FromRequest, HttpMessage, HttpRequest, web};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use common::config::controller::ControllerConfig;
use common::entity::id::TransactionId;
use common::entity::identity::{AuthKey, KEY_LENGTH};
use common::entity::name::EntityName;
use common::operator;
use common::store::{IdentityRecord, seal};
use common::trace::Trace;
use futures::future::LocalBoxFuture;
use tokio::time::Instant;

use super::app::App;
use super::error::ApiError;

/// Somebody who has signed in, and the id of the request.
#[derive(Clone)]
pub struct Caller {
    /// The subject in one of its namespaces, with limits.
    pub identity: Arc<IdentityRecord>,
    /// The request.
    pub transid: TransactionId,
    /// Where in its trace it is.
    pub trace: Trace,
    key: String,
}

impl Caller {
    /// The caller's namespace.
    pub fn namespace(&self) -> &EntityName {
        &self.identity.key.namespace
    }

    /// The key that was given; never to be logged.
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Debug for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} as {}", self.identity.subject, self.namespace())
    }
}

impl FromRequest for Caller {
    type Error = ApiError;
    type Future = LocalBoxFuture<'static, Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let begun = Instant::now();
        let credentials = credentials(request.headers());
        let app = request.app_data::<web::Data<App>>().cloned();
        let transid = request.extensions().get::<TransactionId>().cloned();
        let trace = trace_of(request);
        Box::pin(async move {
            let app = app.expect("every server has an app");
            let transid = transid.expect("the frame gives every request an id");
            let authenticating = trace.span("authenticate");
            let found = find(&app, credentials).await;
            app.authentication.observe(begun.elapsed().as_secs_f64());
            drop(authenticating);
            let (identity, key) = found?;
            Ok(Self { identity, transid, trace, key })
        })
    }
}

/// Whose credentials these are, and the key.
async fn find(
    app: &App,
    credentials: Result<AuthKey, ApiError>,
) -> Result<(Arc<IdentityRecord>, String), ApiError> {
    let AuthKey { uuid, key } = credentials?;
    let identity = app.identities.by_uuid(&uuid).await?.ok_or(ApiError::BadCredentials)?;
    if !seal::matches(&identity.key.digest, &key) || identity.blocked {
        return Err(ApiError::BadCredentials);
    }
    Ok((identity, key))
}

/// Where in its trace a request is.
pub fn trace_of(request: &HttpRequest) -> Trace {
    request.extensions().get::<Trace>().cloned().unwrap_or_default()
}

/// Whether a request comes from the operator of this controller.
pub fn is_operator(request: &HttpRequest, config: &ControllerConfig) -> bool {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    operator::is_operator(header, &config.username, &config.password)
}

/// What the header says, if it has the form of a uuid and a key.
fn credentials(headers: &HeaderMap) -> Result<AuthKey, ApiError> {
    let header = headers.get(AUTHORIZATION).ok_or(ApiError::NoCredentials)?;
    let parse = || {
        let (scheme, encoded) = header.to_str().ok()?.trim().split_once(' ')?;
        let decoded = STANDARD.decode(encoded.trim()).ok()?;
        let key = AuthKey::parse(std::str::from_utf8(&decoded).ok()?)?;
        let legal = scheme.eq_ignore_ascii_case("basic")
            && !key.uuid.is_empty()
            && key.key.chars().count() == KEY_LENGTH;
        legal.then_some(key)
    };
    parse().ok_or(ApiError::BadCredentials)
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HeaderValue;

    use super::*;

    fn given(header: &str) -> Result<AuthKey, ApiError> {
        let mut headers = HeaderMap::new();
        headers.insert(AUTHORIZATION, HeaderValue::from_str(header).unwrap());
        credentials(&headers)
    }

    #[test]
    fn credentials_are_a_uuid_and_a_key_of_64_characters() {
        let encoded = |length: usize| STANDARD.encode(format!("u:{}", "k".repeat(length)));
        for scheme in ["Basic", "basic", "BASIC"] {
            let key = given(&format!("{scheme} {}", encoded(64))).unwrap();
            assert_eq!((key.uuid.as_str(), key.key.len()), ("u", 64));
        }
        for bad in [
            format!("Basic {}", encoded(63)),
            format!("Basic {}", encoded(65)),
            format!("Bearer {}", encoded(64)),
            format!("Basic {}", STANDARD.encode(format!(":{}", "k".repeat(64)))),
            format!("Basic {}", STANDARD.encode("nocolon")),
            "Basic ?".to_owned(),
            "Basic".to_owned(),
        ] {
            assert!(matches!(given(&bad), Err(ApiError::BadCredentials)), "{bad}");
        }
        assert!(matches!(credentials(&HeaderMap::new()), Err(ApiError::NoCredentials)));
    }
}
