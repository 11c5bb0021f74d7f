//! What a controller answers before it can serve: that it lives, that it is not ready, and why.

use std::net::TcpListener;

use actix_web::dev::Server;
use actix_web::http::StatusCode;
use actix_web::http::header::HeaderValue;
use actix_web::{App, HttpResponse, HttpServer, web};
use common::clock::{Clock, SystemClock};
use common::entity::id::TransactionId;
use common::readiness::Readiness;
use serde_json::json;

use super::{answer, frame, root};

/// A server that does so on a listener, which the real one takes over.
pub fn server(listener: TcpListener, readiness: Readiness) -> std::io::Result<Server> {
    let server = HttpServer::new(move || {
        App::new()
            .app_data(web::Data::new(readiness.clone()))
            .route("/ping", web::get().to(root::ping))
            .route("/ready", web::get().to(not_ready))
            .default_service(web::to(unavailable))
    });
    Ok(server.workers(1).disable_signals().shutdown_timeout(1).listen(listener)?.run())
}

async fn not_ready(readiness: web::Data<Readiness>) -> HttpResponse {
    let answer = json!({ "ready": false, "why": readiness.troubles() });
    answer::json_with(StatusCode::SERVICE_UNAVAILABLE, &answer)
}

async fn unavailable(readiness: web::Data<Readiness>) -> HttpResponse {
    let transid = TransactionId::enter(None, SystemClock.now(), false);
    let why = readiness.troubles().join("; ");
    let error = format!("The controller cannot serve yet: {why}.");
    let mut response =
        answer::json_with(StatusCode::SERVICE_UNAVAILABLE, &json!({ "error": error, "code": transid.id }));
    if let Ok(id) = HeaderValue::from_str(&transid.id) {
        response.headers_mut().insert(frame::REQUEST_ID, id);
    }
    response
}
