//! What an invoker answers over HTTP: to Prometheus and to its operator, never to clients.
//!
//! Upstream: `core/invoker/src/main/scala/org/apache/openwhisk/core/invoker/DefaultInvokerServer.scala`.
//! `/ready` is ours. It answers from the first moment; what it can say grows with what there is.

use std::net::TcpListener;
use std::sync::{Arc, OnceLock};

use actix_web::dev::Server;
use actix_web::http::header::AUTHORIZATION;
use actix_web::{App, HttpRequest, HttpResponse, HttpServer, web};
use common::config::containers::InvokerConfig;
use common::operator;
use common::readiness::Readiness;
use prometheus::Registry;
use serde_json::json;
use tokio::sync::watch;

/// What the server speaks of.
pub struct Subject {
    /// Who may disable it.
    pub operator: InvokerConfig,
    /// What `/metrics` shows.
    pub registry: Registry,
    /// What it waits for before it has a place in the installation.
    pub waiting: Readiness,
    /// Once it runs.
    pub running: OnceLock<Running>,
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

/// The server, on a listener; it runs while it is awaited.
pub fn server(listener: TcpListener, subject: Arc<Subject>) -> std::io::Result<Server> {
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::from(subject.clone()))
            .route("/ping", web::get().to(ping))
            .route("/ready", web::get().to(ready))
            .route("/metrics", web::get().to(metrics))
            .route("/enable", web::post().to(enable))
            .route("/disable", web::post().to(disable))
            .route("/isEnabled", web::get().to(is_enabled))
    });
    Ok(server.workers(1).disable_signals().shutdown_timeout(2).listen(listener)?.run())
}

async fn ping() -> &'static str {
    "pong"
}

async fn ready(subject: Data) -> HttpResponse {
    let mut why = match subject.running.get() {
        Some(running) => running.readiness.troubles(),
        None => subject.waiting.troubles(),
    };
    if subject.running.get().is_some_and(|running| !*running.enabled.borrow()) {
        why.push("it is disabled".to_owned());
    }
    match why.is_empty() {
        true => HttpResponse::Ok().json(json!({ "ready": true })),
        false => HttpResponse::ServiceUnavailable().json(json!({ "ready": false, "why": why })),
    }
}

async fn metrics(subject: Data) -> HttpResponse {
    match prometheus::TextEncoder::new().encode_to_string(&subject.registry.gather()) {
        Ok(text) => HttpResponse::Ok().content_type("text/plain; version=0.0.4; charset=UTF-8").body(text),
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
