//! A plain HTTP client with credentials: no client library stands between a test and the wire.
//!
//! A path that begins with `/` is taken from the root of the server, any other from the caller's own
//! namespace, `/api/v1/namespaces/_/`.

use std::future::IntoFuture;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use futures::future::BoxFuture;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE};
use serde_json::Value;

use crate::answer::Answer;

/// Longer than any answer may take: a blocking invocation waits 60 s.
const PATIENCE: Duration = Duration::from_secs(120);

/// The bare library, which wants to be told whose cryptography it is to use, also where nothing is encrypted.
pub fn http() -> reqwest::ClientBuilder {
    // Only the first call of a process does anything.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder().no_proxy()
}

/// Sends requests to one server, with one pair of credentials or none.
#[derive(Clone, Debug)]
pub struct Client {
    http: reqwest::Client,
    url: String,
    auth: Option<String>,
}

impl Client {
    /// A client of the server at `url` with credentials `uuid:key`, or without any. Its connections
    /// belong to the runtime of the test that made it.
    pub fn new(url: &str, auth: Option<&str>) -> Self {
        Self::build(url, auth, |builder| builder)
    }

    /// A client that trusts this authority (PEM) alone, and shows that identity (certificate and key in PEM) if
    /// there is one.
    pub fn trusting(url: &str, auth: Option<&str>, authority: &str, identity: Option<&str>) -> Self {
        let authority = reqwest::Certificate::from_pem(authority.as_bytes()).expect("an authority in PEM");
        Self::build(url, auth, |builder| {
            let builder = builder.tls_certs_only([authority]);
            match identity {
                Some(pem) => {
                    builder.identity(reqwest::Identity::from_pem(pem.as_bytes()).expect("an identity in PEM"))
                }
                None => builder,
            }
        })
    }

    fn build(
        url: &str,
        auth: Option<&str>,
        set: impl FnOnce(reqwest::ClientBuilder) -> reqwest::ClientBuilder,
    ) -> Self {
        let builder = http().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none());
        let http = set(builder).build().expect("a client needs nothing of the machine");
        Self { http, url: url.trim_end_matches('/').to_owned(), auth: auth.map(str::to_owned) }
    }

    /// The address of the server.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// `GET`.
    pub fn get(&self, path: impl AsRef<str>) -> Call {
        self.request(Method::GET, path)
    }

    /// `PUT` with a JSON body.
    pub fn put(&self, path: impl AsRef<str>, body: &Value) -> Call {
        self.request(Method::PUT, path).json(body)
    }

    /// `POST` with a JSON body.
    pub fn post(&self, path: impl AsRef<str>, body: &Value) -> Call {
        self.request(Method::POST, path).json(body)
    }

    /// `DELETE`.
    pub fn delete(&self, path: impl AsRef<str>) -> Call {
        self.request(Method::DELETE, path)
    }

    /// Any method, without a body.
    pub fn request(&self, method: Method, path: impl AsRef<str>) -> Call {
        let path = path.as_ref();
        let path =
            if path.starts_with('/') { path.to_owned() } else { format!("/api/v1/namespaces/_/{path}") };
        let what = format!("{method} {path}");
        let authorization = self.auth.as_ref().map(|auth| basic(auth));
        let builder = self.http.request(method, format!("{}{path}", self.url));
        Call { builder, authorization, what }
    }
}

/// The value of an `Authorization` header for these credentials.
pub fn basic(credentials: &str) -> String {
    format!("Basic {}", BASE64_STANDARD.encode(credentials))
}

/// A request that is sent when it is awaited.
#[derive(Debug)]
#[must_use = "a call is sent when it is awaited"]
pub struct Call {
    builder: reqwest::RequestBuilder,
    authorization: Option<String>,
    what: String,
}

impl Call {
    /// Adds a header field.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.builder = self.builder.header(name, value);
        self
    }

    /// Sends this `Authorization` header in place of the client's.
    pub fn authorization(mut self, value: &str) -> Self {
        self.authorization = Some(value.to_owned());
        self
    }

    /// Sends no credentials.
    pub fn anonymous(mut self) -> Self {
        self.authorization = None;
        self
    }

    /// Sends a JSON body.
    pub fn json(mut self, body: &Value) -> Self {
        self.builder = self.builder.json(body);
        self
    }

    /// Sends these bytes with this content type.
    pub fn body(mut self, content_type: &str, body: impl Into<reqwest::Body>) -> Self {
        self.builder = self.builder.header(CONTENT_TYPE, content_type).body(body);
        self
    }

    /// Sends the request; an `Err` where no whole answer came, because the server was killed.
    pub async fn send(self) -> Result<Answer, reqwest::Error> {
        let mut builder = self.builder;
        if let Some(value) = self.authorization {
            builder = builder.header(AUTHORIZATION, value);
        }
        let response = builder.send().await?;
        let status = response.status().as_u16();
        let headers = response.headers().clone();
        Ok(Answer { status, headers, body: response.bytes().await?, request: self.what })
    }
}

impl IntoFuture for Call {
    type Output = Answer;
    type IntoFuture = BoxFuture<'static, Answer>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            let what = self.what.clone();
            self.send().await.unwrap_or_else(|error| panic!("{what} got no answer: {error:?}"))
        })
    }
}
