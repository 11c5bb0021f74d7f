//! What a controller answers before it can serve: that it lives, that it is not ready, and why.

use std::sync::Arc;
use std::time::Duration;

use actix_web::dev::Server;
use actix_web::http::StatusCode;
use actix_web::http::header::HeaderValue;
use actix_web::{App, HttpResponse, web};
use common::clock::{Clock, SystemClock};
use common::connection::Entrance;
use common::entity::id::TransactionId;
use common::readiness::Readiness;
use serde_json::json;

use super::{answer, frame, root};
use crate::server::{self, Door};

/// Nobody's request takes long here.
const STOP: Duration = Duration::from_secs(1);

/// A server that does so behind a door, which the real one takes over.
pub fn server(door: Door, entrance: &Arc<Entrance>, readiness: Readiness) -> std::io::Result<Server> {
    server::server(vec![door], 1, STOP, entrance, move || {
        App::new()
            .app_data(web::Data::new(readiness.clone()))
            .route("/ping", web::get().to(root::ping))
            .route("/ready", web::get().to(not_ready))
            .default_service(web::to(unavailable))
    })
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
