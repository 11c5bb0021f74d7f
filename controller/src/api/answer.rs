//! Successful answers: JSON as compact UTF-8, or plain text.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use serde::Serialize;

/// 200 with JSON.
pub fn json<T: Serialize + ?Sized>(value: &T) -> HttpResponse {
    json_with(StatusCode::OK, value)
}

/// Any status with JSON.
pub fn json_with<T: Serialize + ?Sized>(status: StatusCode, value: &T) -> HttpResponse {
    let body = serde_json::to_vec(value).expect("our own types serialize to JSON");
    HttpResponse::build(status).content_type("application/json").body(body)
}

/// 200 with a text.
pub fn text(text: &'static str) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=UTF-8").body(text)
}
