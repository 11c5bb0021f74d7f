//! The way of ended spans to the collector: a bounded queue, and a task that sends what is in it in batches.
//!
//! A collector that is away or slow costs nobody time. Its spans are dropped once the queue is full, which
//! the log says once, and again when it is over.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use hyper::{Request, StatusCode, Uri};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use opentelemetry::Context;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use prost::Message;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use tracing::{info, warn};

use crate::config::tracing::{OtlpConfig, OtlpProtocol};
use crate::doctor::Finding;
use crate::shutdown::Shutdown;
use crate::tls::client::{Connector, connector};
use crate::tls::doctor::{Library, authorities};

/// Spans that wait to be sent; one more is dropped.
const QUEUE: usize = 8192;
/// Spans in one request.
const BATCH: usize = 1024;
/// How long the first span of a batch waits for others.
const GATHER: Duration = Duration::from_secs(1);
/// How long a collector may take for one batch.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between attempts to send the same batch; after the last it is dropped.
const PAUSES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(4)];
/// How long what is left may take at the end.
const LAST: Duration = Duration::from_secs(2);
/// Whom a collector's certificate must be of.
const AUTHORITIES: &str = "the collector's authorities (whisk.tracing.otlp.ca)";
/// What is read of an answer.
const ANSWER: usize = 64 * 1024;

/// Looks at what it would take to export spans. No collector is called.
pub fn examine(config: &OtlpConfig) -> Option<Finding> {
    if config.endpoint.is_empty() {
        return None;
    }
    let remedy = "mend whisk.tracing.otlp (docs/traces.md)";
    let collector = match Collector::new(config, &Resource::builder_empty().build()) {
        Ok(collector) => collector,
        Err(error) => return Some(Finding::fail(format!("{error:#}"), remedy)),
    };
    let ca = config.ca.as_ref().filter(|_| collector.endpoint.scheme_str() == Some("https"))?;
    Some(authorities(Library::Rustls, AUTHORITIES, ca, remedy))
}

/// Takes spans that have ended.
pub(super) struct Queue {
    spans: mpsc::Sender<SpanData>,
    dropped: Arc<AtomicU64>,
}

impl Queue {
    /// Starts the task that sends.
    pub(super) fn start(config: &OtlpConfig, resource: &Resource, tasks: &Shutdown) -> anyhow::Result<Self> {
        let collector = Collector::new(config, resource)?;
        let (spans, ended) = mpsc::channel(QUEUE);
        let dropped = Arc::new(AtomicU64::new(0));
        tasks.spawn("traces", export(collector, ended, dropped.clone(), tasks.clone()));
        Ok(Self { spans, dropped })
    }
}

impl fmt::Debug for Queue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Queue({} of {QUEUE} free)", self.spans.capacity())
    }
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &Context) {}

    fn on_end(&self, span: SpanData) {
        if self.spans.try_send(span).is_err() {
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// The task has its own time.
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    /// The task ends with those it is among.
    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

async fn export(
    collector: Collector,
    mut ended: mpsc::Receiver<SpanData>,
    dropped: Arc<AtomicU64>,
    stop: Shutdown,
) {
    let mut told = false;
    while let Some(batch) = gather(&mut ended, &stop).await {
        let count = batch.len() as u64;
        let delivered = tokio::select! {
            delivered = collector.deliver(collector.encode(batch), &stop) => delivered,
            () = async { stop.requested().await; sleep(LAST).await } => return,
        };
        match delivered {
            Ok(()) => {
                let lost = dropped.swap(0, Ordering::Relaxed);
                if std::mem::take(&mut told) {
                    info!(spans = lost, "traces are exported again; {lost} spans were dropped");
                } else if lost > 0 {
                    warn!(spans = lost, "{lost} spans were dropped: there are more than the collector takes");
                }
            }
            Err(error) => {
                dropped.fetch_add(count, Ordering::Relaxed);
                if !std::mem::replace(&mut told, true) {
                    let endpoint = &collector.endpoint;
                    warn!("traces cannot be exported to {endpoint} and are dropped: {error:#}");
                }
            }
        }
    }
    let late = |_| anyhow!("it takes longer than {} s", LAST.as_secs());
    let last = timeout(LAST, collector.send_rest(&mut ended)).await.map_err(late).flatten();
    if let Err(error) = last
        && !told
    {
        warn!("the last traces cannot be exported: {error:#}");
    }
}

/// The next batch; nothing at the end.
async fn gather(ended: &mut mpsc::Receiver<SpanData>, stop: &Shutdown) -> Option<Vec<SpanData>> {
    let mut batch = Vec::with_capacity(BATCH);
    tokio::select! {
        biased;
        () = stop.requested() => return None,
        count = ended.recv_many(&mut batch, BATCH) => if count == 0 { return None },
    }
    let until = Instant::now() + GATHER;
    while batch.len() < BATCH {
        tokio::select! {
            () = stop.requested() => break,
            more = timeout_at(until, ended.recv()) => match more {
                Ok(Some(span)) => batch.push(span),
                Ok(None) | Err(_) => break,
            },
        }
    }
    Some(batch)
}

/// Whoever takes spans by OTLP over HTTP.
struct Collector {
    client: Client<Connector, Full<Bytes>>,
    endpoint: Uri,
    headers: HeaderMap,
    resource: ResourceAttributesWithSchema,
}

/// Why a batch was not taken.
enum Refusal {
    /// It may be another time.
    Now(anyhow::Error),
    /// It never will be.
    Ever(anyhow::Error),
}

impl Collector {
    fn new(config: &OtlpConfig, resource: &Resource) -> anyhow::Result<Self> {
        let OtlpProtocol::HttpProtobuf = config.protocol;
        let base = config.endpoint.trim_end_matches('/');
        let endpoint =
            if base.ends_with("/v1/traces") { base.to_owned() } else { format!("{base}/v1/traces") };
        let endpoint: Uri = endpoint
            .parse()
            .with_context(|| format!("whisk.tracing.otlp.endpoint '{}' is no URL", config.endpoint))?;
        if !matches!(endpoint.scheme_str(), Some("http" | "https")) || endpoint.authority().is_none() {
            bail!(
                "whisk.tracing.otlp.endpoint '{}' begins neither with http:// nor with https://",
                config.endpoint
            );
        }
        let mut headers = HeaderMap::new();
        for (name, value) in &config.headers.0 {
            let wrong =
                || format!("whisk.tracing.otlp.headers: '{name}' is no header, or has no legal value");
            let value = HeaderValue::from_str(value).with_context(wrong)?;
            headers.insert(HeaderName::from_bytes(name.as_bytes()).with_context(wrong)?, value);
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/x-protobuf"));
        let client = Client::builder(TokioExecutor::new()).build(connector(
            &endpoint,
            config.ca.as_deref(),
            AUTHORITIES,
        )?);
        Ok(Self { client, endpoint, headers, resource: resource.into() })
    }

    fn encode(&self, batch: Vec<SpanData>) -> Bytes {
        let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
        ExportTraceServiceRequest { resource_spans }.encode_to_vec().into()
    }

    /// Sends a batch, several times if need be, unless there is no time for that.
    async fn deliver(&self, body: Bytes, stop: &Shutdown) -> anyhow::Result<()> {
        let mut pauses = PAUSES.into_iter();
        loop {
            let error = match self.send(body.clone()).await {
                Ok(()) => return Ok(()),
                Err(Refusal::Ever(error)) => return Err(error),
                Err(Refusal::Now(error)) => error,
            };
            let Some(pause) = pauses.next() else { return Err(error) };
            tokio::select! {
                () = stop.requested() => return Err(error),
                () = sleep(pause) => {}
            }
        }
    }

    /// Sends what is in the queue, each batch once.
    async fn send_rest(&self, ended: &mut mpsc::Receiver<SpanData>) -> anyhow::Result<()> {
        let mut batch = Vec::new();
        while let Ok(span) = ended.try_recv() {
            batch.push(span);
            if batch.len() == BATCH || ended.is_empty() {
                let sent = self.send(self.encode(std::mem::take(&mut batch))).await;
                sent.map_err(|(Refusal::Now(error) | Refusal::Ever(error))| error)?;
            }
        }
        Ok(())
    }

    async fn send(&self, body: Bytes) -> Result<(), Refusal> {
        let mut request = Request::post(&self.endpoint).body(Full::new(body)).expect("a URL that was parsed");
        *request.headers_mut() = self.headers.clone();
        let exchange = async {
            let (head, body) = self.client.request(request).await?.into_parts();
            let body = Limited::new(body, ANSWER).collect().await.map_err(|error| anyhow!(error))?;
            anyhow::Ok((head.status, body.to_bytes()))
        };
        let late = |_| anyhow!("no answer within {} s", PATIENCE.as_secs());
        let (status, body) =
            timeout(PATIENCE, exchange).await.map_err(late).flatten().map_err(Refusal::Now)?;
        let refused = || anyhow!("it answers {status}");
        match status {
            _ if status.is_success() => {}
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
                return Err(Refusal::Now(refused()));
            }
            _ if status.is_server_error() => return Err(Refusal::Now(refused())),
            _ => return Err(Refusal::Ever(refused())),
        }
        // What a collector says of a part that it did not take.
        let answer = ExportTraceServiceResponse::decode(body).unwrap_or_default();
        match answer.partial_success.filter(|partial| partial.rejected_spans > 0) {
            Some(partial) => Err(Refusal::Ever(anyhow!(
                "it refuses {} of a batch: {}",
                partial.rejected_spans,
                partial.error_message
            ))),
            None => Ok(()),
        }
    }
}
