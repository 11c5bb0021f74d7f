//! `/metrics`: what is answered there, and a server of nothing else, on an address of its own.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_web::web::ServiceConfig;
use actix_web::{App, HttpResponse};
use anyhow::Context;
use common::config::http::HttpLimits;
use common::connection::Entrance;
use common::metrics::{self, CONTENT_TYPE};
use common::shutdown::Shutdown;
use prometheus::Registry;
use tracing::{error, info};

use crate::{Audience, Door, Terms};

/// Nobody's request takes long here.
const STOP: Duration = Duration::from_secs(1);

/// All that is registered, as Prometheus reads it.
pub fn answer(registry: &Registry) -> HttpResponse {
    match metrics::text(registry) {
        Ok(text) => HttpResponse::Ok().content_type(CONTENT_TYPE).body(text),
        Err(error) => {
            error!("the metrics cannot be shown: {error}");
            HttpResponse::InternalServerError().finish()
        }
    }
}

/// Serves these routes at an address of their own, without TLS, until the shutdown; says where, as the port may
/// be chosen.
///
/// # Errors
///
/// If it cannot be listened at.
pub fn serve(
    address: SocketAddr,
    limits: HttpLimits,
    tasks: &Shutdown,
    routes: impl Fn(&mut ServiceConfig) + Clone + Send + 'static,
) -> anyhow::Result<SocketAddr> {
    let listener = TcpListener::bind(address)
        .with_context(|| format!("cannot listen on {address}; choose another with --metrics-address"))?;
    let address = listener.local_addr()?;
    info!("metrics are at {address}");
    let terms = Terms { name: "metrics", workers: 1, grace: STOP, entrance: Entrance::new(limits) };
    let app = move || App::new().configure(&routes);
    let server =
        crate::serve(vec![Door { listener, tls: None, audience: Audience::Everybody }], terms, tasks, app)?;
    let stop = tasks.clone();
    tasks.spawn("metrics", async move {
        stop.requested().await;
        server.cut_off().await;
    });
    Ok(address)
}
