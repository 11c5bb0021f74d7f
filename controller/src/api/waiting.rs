//! What a controller answers before it can serve: that it lives, that it is not ready, and why.

use std::sync::Arc;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::HeaderValue;
use actix_web::{App, HttpResponse, web};
use common::clock::{Clock, SystemClock};
use common::connection::Entrance;
use common::entity::id::TransactionId;
use common::readiness::Readiness;
use common::shutdown::Shutdown;
use serde_json::json;
use server::{Door, Server, Terms};

use super::{answer, frame, root};

/// Nobody's request takes long here.
const STOP: Duration = Duration::from_secs(1);

/// Does so behind doors that the real server takes over.
pub fn serve(
    doors: Vec<Door>,
    entrance: Arc<Entrance>,
    readiness: Readiness,
    tasks: &Shutdown,
) -> std::io::Result<Server> {
    let terms = Terms { name: "waiting", workers: 1, grace: STOP, entrance };
    server::serve(doors, terms, tasks, move || {
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
