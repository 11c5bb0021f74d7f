//! A collector of traces: it takes OTLP over HTTP, plain or over TLS, keeps every span, and shows those of a trace as a tree.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use common::tls::{Files, Tls};
use http_body_util::{BodyExt, Full};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::common::v1::KeyValue;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use prost::Message;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::pki::Identity;

/// One span as it was received.
#[derive(Clone, Debug)]
pub struct Span {
    /// Of which service.
    pub service: String,
    /// The trace, in hexadecimal digits.
    pub trace: String,
    /// Its id.
    pub id: String,
    /// The span above; empty if there is none.
    pub parent: String,
    /// What it is called.
    pub name: String,
    /// On which side of what it is.
    pub kind: SpanKind,
    /// What is said of it, as text.
    pub attributes: BTreeMap<String, String>,
}

/// A running collector.
#[derive(Debug)]
pub struct Otlp {
    url: String,
    spans: Arc<Mutex<Vec<Span>>>,
    serving: JoinHandle<()>,
}

impl Drop for Otlp {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Otlp {
    /// Starts one on a free port.
    ///
    /// # Panics
    ///
    /// If there is none.
    pub async fn start() -> Self {
        Self::listen(None).await
    }

    /// The same over TLS, as `localhost`.
    ///
    /// # Panics
    ///
    /// If there is no port, or the identity's files are gone.
    pub async fn start_with_tls(identity: &Identity) -> Self {
        let (certificate, key) = (identity.certificate().to_owned(), identity.key().to_owned());
        let tls = Tls::load(Files { certificate, key, client_ca: None });
        Self::listen(Some(tls.expect("the identity's files are there"))).await
    }

    async fn listen(tls: Option<Tls>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = listener.local_addr().expect("it is bound");
        let url = match &tls {
            Some(_) => format!("https://localhost:{}", address.port()),
            None => format!("http://{address}"),
        };
        let spans = Arc::<Mutex<Vec<Span>>>::default();
        let serving = spawn(serve(listener, tls, spans.clone()));
        Self { url, spans, serving }
    }

    /// Where it is: what exporters are given as their endpoint.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// All spans so far.
    pub fn spans(&self) -> Vec<Span> {
        lock(&self.spans).clone()
    }

    /// Those of a trace.
    pub fn of(&self, trace: &str) -> Vec<Span> {
        self.spans().into_iter().filter(|span| span.trace == trace).collect()
    }
}

/// Spans of one trace as an indented tree below the span `above`, for whoever reads a failure.
pub fn tree(spans: &[Span], above: &str) -> String {
    fn grow(spans: &[Span], above: &str, depth: usize, text: &mut String) {
        for span in spans.iter().filter(|span| span.parent == above) {
            let Span { name, service, kind, .. } = span;
            let _ = writeln!(text, "{}{name} ({service}, {kind:?})", "  ".repeat(depth));
            grow(spans, &span.id, depth + 1, text);
        }
    }
    let mut text = String::new();
    grow(spans, above, 0, &mut text);
    text
}

#[expect(clippy::disallowed_methods, reason = "a test's task ends with its runtime")]
fn spawn(work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(work)
}

async fn serve(listener: TcpListener, tls: Option<Tls>, spans: Arc<Mutex<Vec<Span>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let spans = spans.clone();
        let Some(tls) = &tls else {
            spawn(converse(stream, spans));
            continue;
        };
        let handshake = tls.acceptor().accept(stream);
        spawn(async move {
            if let Ok(stream) = handshake.await {
                converse(stream, spans).await;
            }
        });
    }
}

async fn converse(stream: impl AsyncRead + AsyncWrite + Unpin + 'static, spans: Arc<Mutex<Vec<Span>>>) {
    let service = service_fn(move |request| take(request, spans.clone()));
    let connection = hyper::server::conn::http1::Builder::new();
    // An exporter that ends closes its connection as it likes.
    let _ = connection.serve_connection(TokioIo::new(stream), service).await;
}

async fn take(
    request: Request<Incoming>,
    spans: Arc<Mutex<Vec<Span>>>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let is_right = request.uri().path() == "/v1/traces"
        && request.headers().get("content-type").is_some_and(|kind| kind == "application/x-protobuf");
    let answer = |status: u16, body: Vec<u8>| {
        let response = Response::builder().status(status).body(Full::new(body.into()));
        Ok(response.expect("a status and a body are a response"))
    };
    let Ok(body) = request.into_body().collect().await else { return answer(400, Vec::new()) };
    let message = ExportTraceServiceRequest::decode(body.to_bytes());
    let (true, Ok(message)) = (is_right, message) else { return answer(400, Vec::new()) };
    let mut kept = lock(&spans);
    for of_service in message.resource_spans {
        let resource =
            attributes(of_service.resource.map(|resource| resource.attributes).unwrap_or_default());
        for span in of_service.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            kept.push(Span {
                service: resource.get("service.name").cloned().unwrap_or_default(),
                trace: hexadecimal(&span.trace_id),
                id: hexadecimal(&span.span_id),
                parent: hexadecimal(&span.parent_span_id),
                kind: span.kind(),
                name: span.name,
                attributes: attributes(span.attributes),
            });
        }
    }
    answer(200, ExportTraceServiceResponse::default().encode_to_vec())
}

fn attributes(given: Vec<KeyValue>) -> BTreeMap<String, String> {
    let text = |value: Option<Value>| match value {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(flag)) => flag.to_string(),
        other => format!("{other:?}"),
    };
    given.into_iter().map(|pair| (pair.key, text(pair.value.and_then(|value| value.value)))).collect()
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn lock(spans: &Mutex<Vec<Span>>) -> MutexGuard<'_, Vec<Span>> {
    spans.lock().unwrap_or_else(PoisonError::into_inner)
}
