//! What an invoker answers over HTTP: to Prometheus and to its operator, never to clients.
//!
//! Upstream: `core/invoker/src/main/scala/org/apache/openwhisk/core/invoker/DefaultInvokerServer.scala`.
//! `/ready` is ours. It answers from the first moment; what it can say grows with what there is.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use actix_web::http::header::AUTHORIZATION;
use actix_web::{App, HttpRequest, HttpResponse, web};
use common::config::containers::InvokerConfig;
use common::connection::Entrance;
use common::operator;
use common::readiness::Readiness;
use common::shutdown::Shutdown;
use prometheus::Registry;
use serde_json::json;
use server::{Door, Server, Terms};
use tokio::sync::watch;

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

/// What is in work when it stops is given so long.
const STOP: Duration = Duration::from_secs(2);

/// Answers behind that door until the server is told to stop.
pub fn serve(door: Door, subject: Arc<Subject>, tasks: &Shutdown) -> std::io::Result<Server> {
    let entrance = Entrance::new(subject.operator.http.clone());
    let terms = Terms { name: "http", workers: 1, grace: STOP, entrance };
    server::serve(vec![door], terms, tasks, move || {
        App::new()
            .app_data(web::Data::from(subject.clone()))
            .configure(|config| {
                if !subject.metrics_apart {
                    config.route("/metrics", web::get().to(metrics));
                }
            })
            .route("/ping", web::get().to(ping))
            .route("/ready", web::get().to(ready))
            .route("/enable", web::post().to(enable))
            .route("/disable", web::post().to(disable))
            .route("/isEnabled", web::get().to(is_enabled))
    })
}

/// Serves the metrics alone at an address until the shutdown, and says where.
pub fn serve_metrics(
    address: SocketAddr,
    subject: Arc<Subject>,
    tasks: &Shutdown,
) -> anyhow::Result<SocketAddr> {
    let limits = subject.operator.http.clone();
    server::metrics::serve(address, limits, tasks, move |config| {
        config.app_data(web::Data::from(subject.clone())).route("/metrics", web::get().to(metrics));
    })
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
    server::metrics::answer(&subject.registry)
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
