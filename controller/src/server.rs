//! How the API listens: plain or over TLS, HTTP/1.1 alone, with bounds on all that a client may take.
//!
//! It is what actix-web's own server does, but for the connections, which are ours ([`common::connection`]): a
//! head that comes slowly, an answer that is taken slowly, and too many connections of one address are cut off.

use std::fmt::Debug;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_http::{HttpService, KeepAlive, Request, Response};
use actix_server::{Server, ServerBuilder};
use actix_service::{IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::body::MessageBody;
use actix_web::dev::AppConfig;
use common::connection::{Entrance, Stream};
use common::tls::Tls;
use tokio::net::TcpStream;

/// A connection that is closed is given so long to take its last answer.
const LINGER: Duration = Duration::from_secs(2);

/// One place where the API listens.
pub struct Door {
    /// Its socket.
    pub listener: TcpListener,
    /// What it shows to clients; plain without.
    pub tls: Option<Arc<Tls>>,
}

/// A server of what `app` makes, with so many threads, which gives requests `stop` to end; it runs while it is
/// awaited.
pub fn server<F, I, S, B>(
    doors: Vec<Door>,
    workers: usize,
    stop: Duration,
    entrance: &Arc<Entrance>,
    app: F,
) -> std::io::Result<Server>
where
    F: Fn() -> I + Send + Clone + 'static,
    I: IntoServiceFactory<S, Request>,
    S: ServiceFactory<Request, Config = AppConfig> + 'static,
    S::Error: Into<actix_web::Error> + 'static,
    S::InitError: Debug,
    S::Response: Into<Response<B>> + 'static,
    <S::Service as Service<Request>>::Future: 'static,
    S::Service: 'static,
    B: MessageBody + 'static,
{
    let workers = workers.max(1);
    let mut server = ServerBuilder::new()
        .workers(workers)
        .max_concurrent_connections(entrance.limits().max_connections.div_ceil(workers))
        .shutdown_timeout(stop.as_secs())
        .disable_signals();
    for Door { listener, tls } in doors {
        let (entrance, app) = (entrance.clone(), app.clone());
        let stopping = server.graceful_shutdown_signal();
        server = server.listen("http", listener, move || {
            let (limits, stopping) = (entrance.limits().clone(), stopping.clone());
            let app = app().into_factory().map_err(|error| error.into().error_response());
            let http = HttpService::build()
                .keep_alive(KeepAlive::Timeout(limits.idle_timeout))
                .client_request_timeout(limits.head_timeout)
                .client_disconnect_timeout(LINGER)
                .graceful_shutdown_signal(move || {
                    let stopping = stopping.clone();
                    async move { stopping.notified().await }
                })
                .on_connect_ext(|stream: &Stream, data| {
                    data.insert(stream.activity());
                })
                .h1(map_config(app, |()| AppConfig::default()));
            let (entrance, tls) = (entrance.clone(), tls.clone());
            fn_service(move |io: TcpStream| {
                let (entrance, tls) = (entrance.clone(), tls.clone());
                async move {
                    let (stream, address) = entrance.admit(io, tls).await?;
                    Ok((stream, Some(address)))
                }
            })
            .and_then(http)
        })?;
    }
    Ok(server.run())
}
