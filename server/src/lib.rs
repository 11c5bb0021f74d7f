//! How controllers and invokers listen: plain or over TLS, HTTP/1.1 alone, with bounds on all that a client may take.
//!
//! It is what actix-web's own server does, but for the connections, which are ours ([`common::connection`]): a
//! head that comes slowly, an answer that is taken slowly, and too many connections of one address are cut off.
//! Both roles listen so; as they never meet and `common` knows no HTTP, it stands between. What is answered is theirs:
//! there is no route in here.

pub mod metrics;

use std::fmt::Debug;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use actix_http::{HttpService, KeepAlive, Request, Response};
use actix_server::{ServerBuilder, ServerHandle};
use actix_service::{
    IntoServiceFactory, Service, ServiceFactory, ServiceFactoryExt, apply_fn_factory, fn_service, map_config,
};
use actix_web::body::MessageBody;
use actix_web::dev::AppConfig;
use common::connection::{Activity, Entrance, Stream};
use common::shutdown::Shutdown;
use common::tls::Tls;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tracing::error;

/// A connection that is closed is given so long to take its last answer.
const LINGER: Duration = Duration::from_secs(2);

/// One place where a server listens.
pub struct Door {
    /// Its socket.
    pub listener: TcpListener,
    /// What it shows to clients; plain without.
    pub tls: Option<Arc<Tls>>,
    /// Whom it is for.
    pub audience: Audience,
}

/// Whom a door is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Audience {
    /// Clients, operators, and who else gets there.
    Everybody,
    /// Actions: for them there is the API and nothing that operators ask.
    Actions,
}

/// How a connection came in, among its data.
#[derive(Clone, Copy, Debug)]
pub struct Entered {
    /// Whom its door is for.
    pub audience: Audience,
    /// Whether it speaks TLS.
    pub encrypted: bool,
}

impl Door {
    /// The same place again, for a server that another takes over from.
    ///
    /// # Errors
    ///
    /// If the process may open no more files.
    pub fn again(&self) -> std::io::Result<Self> {
        let listener = self.listener.try_clone()?;
        Ok(Self { listener, tls: self.tls.clone(), audience: self.audience })
    }
}

/// What a server is like.
pub struct Terms {
    /// What it serves, for the log.
    pub name: &'static str,
    /// So many threads.
    pub workers: usize,
    /// When it stops, requests in work are given so long to end.
    pub grace: Duration,
    /// Whom it lets in.
    pub entrance: Arc<Entrance>,
}

/// A server that runs, as one of its role's tasks.
pub struct Server(ServerHandle);

impl Server {
    /// Stops it: requests in work may end, within the grace of its terms.
    pub async fn stop(&self) {
        self.0.stop(true).await;
    }

    /// The same, within another grace.
    pub async fn stop_within(&self, grace: Duration) {
        if timeout(grace, self.stop()).await.is_err() {
            self.cut_off().await;
        }
    }

    /// Stops it and whoever is in it.
    pub async fn cut_off(&self) {
        self.0.stop(false).await;
    }
}

/// Serves what `app` makes behind these doors, until the server is told to stop.
///
/// # Errors
///
/// If one of the doors cannot be listened at.
pub fn serve<F, I, S, B>(doors: Vec<Door>, terms: Terms, tasks: &Shutdown, app: F) -> std::io::Result<Server>
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
    let Terms { name, workers, grace, entrance } = terms;
    let workers = workers.max(1);
    let mut server = ServerBuilder::new()
        .workers(workers)
        .max_concurrent_connections(entrance.limits().max_connections.div_ceil(workers))
        .shutdown_timeout(grace.as_secs())
        .disable_signals();
    for Door { listener, tls, audience } in doors {
        let entered = Entered { audience, encrypted: tls.is_some() };
        let (entrance, app) = (entrance.clone(), app.clone());
        let stopping = server.graceful_shutdown_signal();
        server = server.listen(name, listener, move || {
            let (limits, stopping) = (entrance.limits().clone(), stopping.clone());
            // Who serves a request says that it is in work.
            let app = apply_fn_factory(app().into_factory(), |request: Request, app: &S::Service| {
                let serving = request.conn_data::<Activity>().map(Activity::serve);
                let answer = app.call(request);
                async move {
                    let _serving = serving;
                    answer.await
                }
            });
            let app = app.map_err(|error: S::Error| error.into().error_response());
            let http = HttpService::build()
                .keep_alive(KeepAlive::Timeout(limits.idle_timeout))
                .client_request_timeout(limits.head_timeout)
                .client_disconnect_timeout(LINGER)
                .graceful_shutdown_signal(move || {
                    let stopping = stopping.clone();
                    async move { stopping.notified().await }
                })
                .on_connect_ext(move |stream: &Stream, data| {
                    data.insert(stream.activity());
                    data.insert(entered);
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
    let server = server.run();
    let running = Server(server.handle());
    tasks.spawn(name, async move {
        if let Err(error) = server.await {
            error!("the server of '{name}' has stopped: {error}");
        }
    });
    Ok(running)
}
