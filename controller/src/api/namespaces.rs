//! `/api/v1/namespaces`: the one namespace that credentials select.

use actix_web::HttpResponse;

use super::answer;
use super::caller::Caller;

/// `GET /api/v1/namespaces`
pub async fn list(caller: Caller) -> HttpResponse {
    answer::json(&[caller.namespace()])
}
