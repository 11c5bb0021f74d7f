//! What an invoker answers over HTTP: to Prometheus and to its operator, never to clients.
//!
//! Upstream: `core/invoker/src/main/scala/org/apache/openwhisk/core/invoker/DefaultInvokerServer.scala`.
//! `/ready` is ours. It answers from the first moment; what it can say grows with what there is.

use std::net::TcpListener;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix_http::{HttpService, KeepAlive};
use actix_server::{Server, ServerBuilder};
use actix_service::{ServiceFactoryExt, fn_service, map_config};
use actix_web::body::MessageBody;
use actix_web::dev::{AppConfig, ServiceRequest, ServiceResponse};
use actix_web::http::header::AUTHORIZATION;
use actix_web::middleware::{Next, from_fn};
use actix_web::web::ServiceConfig;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use common::config::containers::InvokerConfig;
use common::connection::{Activity, Entrance, Stream};
use common::operator;
use common::readiness::Readiness;
use common::shutdown::Shutdown;
use common::tls::Tls;
use prometheus::Registry;
use serde_json::json;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tracing::error;

/// What the server speaks of.
pub struct Subject {
    /// Who may disable it.
    pub operator: InvokerConfig,
    /// What `/metrics` shows.
    pub registry: Registry,
    /// Whether that has an address of its own.
    pub metrics_apart: bool,
    /// What it waits for before it has a place in the installation.
    pub waiting: Readiness,
    /// Once it runs.
    pub running: OnceLock<Running>,
}

impl Subject {
    /// Why it cannot do its work at present, if it cannot.
    pub fn troubles(&self) -> Vec<String> {
        let Some(running) = self.running.get() else { return self.waiting.troubles() };
        let mut why = running.readiness.troubles();
        if !*running.enabled.borrow() {
            why.push("it is disabled".to_owned());
        }
        why
    }
}

/// What there is once the invoker runs.
pub struct Running {
    /// Its name in full, as `/enable` says it.
    pub name: String,
    /// Whether it wants work.
    pub enabled: watch::Sender<bool>,
    /// What must be in order.
    pub readiness: Readiness,
}

type Data = web::Data<Subject>;

/// What is in work when it stops is given so long, in seconds.
const STOP: u64 = 2;

/// A connection that is closed is given so long to take its last answer.
const LINGER: Duration = Duration::from_secs(2);

/// The server, on a listener, over TLS if there is something to show; it runs while it is awaited.
pub fn server(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    subject: Arc<Subject>,
) -> std::io::Result<Server> {
    let shows_metrics = !subject.metrics_apart;
    let entrance = Entrance::new(subject.operator.http.clone());
    let server = ServerBuilder::new()
        .workers(1)
        .max_concurrent_connections(entrance.limits().max_connections)
        .disable_signals()
        .shutdown_timeout(STOP);
    let stopping = server.graceful_shutdown_signal();
    let server = server.listen("http", listener, move || {
        let metrics_too = |config: &mut ServiceConfig| {
            if shows_metrics {
                config.route("/metrics", web::get().to(metrics));
            }
        };
        let app = App::new()
            .app_data(web::Data::from(subject.clone()))
            .configure(metrics_too)
            .wrap(from_fn(in_work))
            .route("/ping", web::get().to(ping))
            .route("/ready", web::get().to(ready))
            .route("/enable", web::post().to(enable))
            .route("/disable", web::post().to(disable))
            .route("/isEnabled", web::get().to(is_enabled));
        let (limits, stopping) = (entrance.limits().clone(), stopping.clone());
        let http = HttpService::build()
            .keep_alive(KeepAlive::Timeout(limits.idle_timeout))
            .client_request_timeout(limits.head_timeout)
            .client_disconnect_timeout(LINGER)
            .graceful_shutdown_signal(move || {
                let stopping = stopping.clone();
                async move { stopping.notified().await }
            })
            .on_connect_ext(|stream: &Stream, data| {
                data.insert(stream.activity());
            })
            .h1(map_config(app, |()| AppConfig::default()));
        let (entrance, tls) = (entrance.clone(), tls.clone());
        fn_service(move |io: TcpStream| {
            let (entrance, tls) = (entrance.clone(), tls.clone());
            async move {
                let (stream, address) = entrance.admit(io, tls).await?;
                Ok((stream, Some(address)))
            }
        })
        .and_then(http)
    });
    Ok(server?.run())
}

/// Says that a request is in work.
async fn in_work(
    request: ServiceRequest,
    next: Next<impl MessageBody>,
) -> Result<ServiceResponse<impl MessageBody>, actix_web::Error> {
    let _serving = request.conn_data::<Activity>().map(Activity::serve);
    next.call(request).await
}

/// Serves the metrics alone on a listener until the shutdown.
pub fn serve_metrics(
    listener: TcpListener,
    subject: Arc<Subject>,
    shutdown: &Shutdown,
) -> std::io::Result<()> {
    let server = HttpServer::new(move || {
        let subject = web::Data::from(subject.clone());
        App::new().app_data(subject).route("/metrics", web::get().to(metrics))
    });
    let server = server.workers(1).disable_signals().shutdown_timeout(1).listen(listener)?.run();
    let (handle, stop) = (server.handle(), shutdown.clone());
    shutdown.spawn("metrics", async move {
        let stopping = async {
            stop.requested().await;
            handle.stop(false).await;
        };
        tokio::select! {
            served = server => if let Err(error) = served {
                error!("the metrics are not served any more: {error}");
            },
            () = stopping => {}
        }
    });
    Ok(())
}

async fn ping() -> &'static str {
    "pong"
}

async fn ready(subject: Data) -> HttpResponse {
    let why = subject.troubles();
    match why.is_empty() {
        true => HttpResponse::Ok().json(json!({ "ready": true })),
        false => HttpResponse::ServiceUnavailable().json(json!({ "ready": false, "why": why })),
    }
}

async fn metrics(subject: Data) -> HttpResponse {
    match common::metrics::text(&subject.registry) {
        Ok(text) => HttpResponse::Ok().content_type(common::metrics::CONTENT_TYPE).body(text),
        Err(error) => HttpResponse::InternalServerError().body(error.to_string()),
    }
}

async fn enable(subject: Data, request: HttpRequest) -> HttpResponse {
    set(&subject, &request, true)
}

async fn disable(subject: Data, request: HttpRequest) -> HttpResponse {
    set(&subject, &request, false)
}

fn set(subject: &Subject, request: &HttpRequest, enabled: bool) -> HttpResponse {
    if !is_operator(subject, request) {
        return HttpResponse::Unauthorized().finish();
    }
    let Some(running) = subject.running.get() else { return HttpResponse::ServiceUnavailable().finish() };
    let word = if enabled { "enabled" } else { "disabled" };
    let before = running.enabled.send_replace(enabled);
    let now = if before == enabled { "already" } else { "now" };
    HttpResponse::Ok().body(format!("{} is {now} {word}.", running.name))
}

async fn is_enabled(subject: Data, request: HttpRequest) -> HttpResponse {
    if !is_operator(&subject, &request) {
        return HttpResponse::Unauthorized().finish();
    }
    let enabled = subject.running.get().is_some_and(|running| *running.enabled.borrow());
    HttpResponse::Ok().json(json!({ "enabled": enabled }))
}

fn is_operator(subject: &Subject, request: &HttpRequest) -> bool {
    let header = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    operator::is_operator(header, &subject.operator.username, &subject.operator.password)
}
