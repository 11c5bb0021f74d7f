//! The REST API's URL tree, whole, on one page.
//!
//! Upstream: `core/controller/src/main/scala/org/apache/openwhisk/core/controller/{Controller,RestAPIs}.scala`.
//! A known path with another verb is 405 with its verbs in `Allow`; any other path is 404, under the API
//! only for those who sign in. Names are taken from the raw path (`path`), not from the router, which has
//! decoded it by half. `frame` is around all: ids, CORS, errors, OPTIONS.

pub mod actions;
pub mod activations;
pub mod answer;
pub mod app;
pub mod body;
pub mod caller;
pub mod docs;
pub mod error;
pub mod fire;
pub mod frame;
pub mod invoke;
pub mod limits;
pub mod metrics;
pub mod namespaces;
pub mod packages;
pub mod path;
pub mod query;
pub mod root;
pub mod rules;
pub mod triggers;
pub mod waiting;
pub mod web_actions;

use std::sync::Arc;

use actix_web::middleware::from_fn;
use actix_web::web::{self, ServiceConfig};
use actix_web::{App as Application, FromRequest, HttpRequest, HttpResponse, Resource};
use common::shutdown::Shutdown;
use server::{Door, Server, Terms};

use self::app::App;
use self::caller::Caller;
use self::error::ApiError;
use self::metrics::Shown;

/// The root of the API.
pub const API: &str = "/api/v1";

/// Serves all of it behind these doors, and metrics if they are shown there.
pub fn serve(
    doors: Vec<Door>,
    terms: Terms,
    app: Arc<App>,
    shown: Option<Arc<Shown>>,
    tasks: &Shutdown,
) -> std::io::Result<Server> {
    server::serve(doors, terms, tasks, move || {
        let shown = shown.clone();
        Application::new()
            .app_data(web::Data::from(app.clone()))
            .configure(|config| {
                if let Some(shown) = shown {
                    config.app_data(web::Data::from(shown));
                }
            })
            .wrap(from_fn(frame::frame))
            .configure(routes)
    })
}

/// Every route.
fn routes(config: &mut ServiceConfig) {
    config
        // Where most requests go: patterns are tried in this order.
        .service(
            signed("/api/v1/namespaces/{ns}/actions/{name}", "GET, PUT, DELETE, POST")
                .get(actions::get)
                .put(actions::put)
                .delete(actions::delete)
                .post(invoke::invoke),
        )
        .service(
            web::resource([
                "/api/v1/web/{ns}/{package}/{name}",
                "/api/v1/web/{ns}/{package}/{name}/{rest:.*}",
            ])
            .to(web_actions::serve),
        )
        // For operators.
        .service(open("/").get(root::info))
        .service(open("/ping").get(root::ping))
        .service(open("/ready").get(root::can_serve))
        .service(open("/metrics").get(metrics::show))
        .service(open("/metrics/targets").get(metrics::targets))
        .service(open("/invokers").get(root::invokers))
        .service(open("/invokers/healthy/count").get(root::healthy))
        .service(open("/invokers/ready").get(root::ready))
        .service(operated("/disable").post(root::disable))
        .service(open("/activation").get(root::in_flight))
        .service(open("/activation/count").get(root::in_flight_count))
        .service(open("/api-docs").get(docs::root))
        .service(open("/docs").get(docs::show_root))
        // For everybody.
        .service(open("/api/v1/api-docs").get(docs::api))
        .service(open("/api/v1/docs").get(docs::show_api))
        .service(open("/api/v1").get(root::api))
        .service(open("/api/v1/").get(root::api))
        // For those who sign in.
        .service(signed("/api/v1/namespaces", "GET").get(namespaces::list))
        .service(signed("/api/v1/namespaces/", "GET").get(namespaces::list))
        .service(signed("/api/v1/namespaces/{ns}/limits", "GET").get(limits::get))
        .service(signed("/api/v1/namespaces/{ns}/limits/", "GET").get(limits::get))
        .service(signed("/api/v1/namespaces/{ns}/limits/{inner:.+}", "GET").get(limits::inner))
        .service(signed("/api/v1/namespaces/{ns}/actions", "GET").get(actions::list))
        .service(absent("/api/v1/namespaces/{ns}/actions/").get(actions::list))
        .service(absent("/api/v1/namespaces/{ns}/actions/{package}/").get(actions::list_package))
        .service(
            signed("/api/v1/namespaces/{ns}/actions/{package}/{name}", "GET, PUT, DELETE, POST")
                .get(actions::get)
                .put(actions::put)
                .delete(actions::delete)
                .post(invoke::invoke),
        )
        .service(signed("/api/v1/namespaces/{ns}/packages", "GET").get(packages::list))
        .service(absent("/api/v1/namespaces/{ns}/packages/").get(packages::list))
        .service(
            signed("/api/v1/namespaces/{ns}/packages/{name}", "GET, PUT, DELETE")
                .get(packages::get)
                .put(packages::put)
                .delete(packages::delete)
                .post(packages::post),
        )
        .service(signed("/api/v1/namespaces/{ns}/triggers", "GET").get(triggers::list))
        .service(absent("/api/v1/namespaces/{ns}/triggers/").get(triggers::list))
        .service(
            signed("/api/v1/namespaces/{ns}/triggers/{name}", "GET, PUT, DELETE, POST")
                .get(triggers::get)
                .put(triggers::put)
                .delete(triggers::delete)
                .post(fire::fire),
        )
        .service(signed("/api/v1/namespaces/{ns}/rules", "GET").get(rules::list))
        .service(absent("/api/v1/namespaces/{ns}/rules/").get(rules::list))
        .service(
            signed("/api/v1/namespaces/{ns}/rules/{name}", "GET, PUT, DELETE, POST")
                .get(rules::get)
                .put(rules::put)
                .delete(rules::delete)
                .post(rules::set_status),
        )
        .service(signed("/api/v1/namespaces/{ns}/activations", "GET").get(activations::list))
        .service(signed("/api/v1/namespaces/{ns}/activations/", "GET").get(activations::list))
        .service(signed("/api/v1/namespaces/{ns}/activations/{id}", "GET").get(activations::get))
        .service(signed("/api/v1/namespaces/{ns}/activations/{id}/", "GET").get(activations::get))
        .service(signed("/api/v1/namespaces/{ns}/activations/{id}/logs", "GET").get(activations::logs))
        .service(signed("/api/v1/namespaces/{ns}/activations/{id}/result", "GET").get(activations::result))
        .default_service(web::to(unrouted));
}

/// A path that nobody signs in for; other verbs are refused.
fn open(path: &str) -> Resource {
    only(path, "GET, OPTIONS")
}

/// A path of the operator's orders; other verbs are refused.
fn operated(path: &str) -> Resource {
    only(path, "POST, OPTIONS")
}

fn only(path: &str, verbs: &'static str) -> Resource {
    let refuse = move || async move { Err::<HttpResponse, _>(ApiError::MethodNotAllowed(verbs)) };
    web::resource(path).default_service(web::to(refuse))
}

/// A path for those who sign in; other verbs than those are refused.
fn signed(path: &str, verbs: &'static str) -> Resource {
    let refuse = move |_: Caller| async move { Err::<HttpResponse, _>(ApiError::MethodNotAllowed(verbs)) };
    web::resource(path).default_service(web::to(refuse))
}

/// A path for those who sign in that is no path at all with other verbs: an entity with an empty name.
fn absent(path: &str) -> Resource {
    web::resource(path).default_service(web::to(unrouted))
}

/// Whether a path is of the API, not of the operators.
pub fn is_api(path: &str) -> bool {
    path.strip_prefix(API).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// No path at all: those who have not signed in are asked to.
pub async fn unrouted(request: HttpRequest) -> Result<HttpResponse, ApiError> {
    if is_api(request.path()) {
        Caller::extract(&request).await?;
    }
    Err(ApiError::Unrouted)
}
