//! `/metrics` and `/metrics/targets`: on the API's port, or alone on an address of their own, where whoever reaches the
//! API is not to read them.

use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

use actix_web::{HttpResponse, web};
use common::config::http::HttpLimits;
use common::nodes::Members;
use common::shutdown::Shutdown;
use prometheus::Registry;
use serde_json::json;
use tokio::sync::watch;

use super::answer;
use super::error::ApiError;

/// What is shown. It can be read before the controller has its place.
pub struct Shown {
    registry: Registry,
    members: OnceLock<watch::Receiver<Members>>,
}

impl Shown {
    /// What is registered there, by this process and by none other yet.
    pub fn new(registry: Registry) -> Arc<Self> {
        Arc::new(Self { registry, members: OnceLock::new() })
    }

    /// From now on it is known who else is there.
    pub fn know(&self, members: watch::Receiver<Members>) {
        // Who tells it twice says the same.
        let _ = self.members.set(members);
    }

    /// Prometheus keeps what it knew as long as nobody answers.
    fn targets(&self) -> HttpResponse {
        let Some(members) = self.members.get() else { return HttpResponse::ServiceUnavailable().finish() };
        let members = members.borrow().clone();
        let targets = members.iter().map(|member| {
            let (job, id) = (member.kind.as_str(), member.id.to_string());
            json!({ "targets": [member.address], "labels": { "job": job, "instance_id": id } })
        });
        answer::json(&targets.collect::<Vec<_>>())
    }
}

/// `GET /metrics`; no path at all where that has an address of its own.
pub async fn show(shown: Option<web::Data<Shown>>) -> Result<HttpResponse, ApiError> {
    shown.map(|shown| server::metrics::answer(&shown.registry)).ok_or(ApiError::Unrouted)
}

/// `GET /metrics/targets`: where Prometheus finds every controller and invoker, in the form of its HTTP
/// service discovery (ours).
pub async fn targets(shown: Option<web::Data<Shown>>) -> Result<HttpResponse, ApiError> {
    shown.map(|shown| shown.targets()).ok_or(ApiError::Unrouted)
}

/// Serves them alone at an address until the shutdown, and says where.
pub fn serve(
    address: SocketAddr,
    limits: HttpLimits,
    shown: Arc<Shown>,
    tasks: &Shutdown,
) -> anyhow::Result<SocketAddr> {
    server::metrics::serve(address, limits, tasks, move |config| {
        config
            .app_data(web::Data::from(shown.clone()))
            .route("/metrics", web::get().to(show))
            .route("/metrics/targets", web::get().to(targets));
    })
}
