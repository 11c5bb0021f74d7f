//! HTTP: two routes on keep-alive connections, each response in one write.
//!
//! A request is worked on by a task of its own, so that a caller that hangs up does not leave half a run
//! in the launcher's channel. Where the service has no answer the connection is dropped without one.

use std::net::TcpListener;
use std::path::PathBuf;
use std::rc::Rc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::{CONTENT_LENGTH, CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::service::service_fn;
use hyper::{Method, Request, Response};
use hyper_util::rt::TokioIo;
use hyper_util::server::graceful::GracefulShutdown;
use rustix::process::{Pid, WaitOptions, waitpid};
use tokio::net::TcpStream;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::LocalSet;

use crate::launcher::{Gone, LaunchCommand};
use crate::service::{Answer, Service, not_found, unreadable};

/// The longest request body: more than 48 MiB of code in base64.
const MAX_BODY: usize = 80 * 1024 * 1024;
/// How long responses may take to leave once the action's process has ended.
const GRACE: Duration = Duration::from_secs(1);
/// How many bytes went out on stdout and stderr since the response before.
const LOG_BYTES: HeaderName = HeaderName::from_static("x-oxwhisk-log-bytes");

/// Serves until the action's process ends or SIGTERM arrives; says with which code to end.
pub fn run(listener: TcpListener, workdir: PathBuf, command: LaunchCommand) -> anyhow::Result<u8> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    LocalSet::new().block_on(&runtime, serve(listener, workdir, command))
}

async fn serve(listener: TcpListener, workdir: PathBuf, command: LaunchCommand) -> anyhow::Result<u8> {
    listener.set_nonblocking(true).context("cannot use the socket")?;
    let listener = tokio::net::TcpListener::from_std(listener).context("cannot use the socket")?;
    let (ending, mut ended) = watch::channel(None);
    let service = Service::new(command, workdir, ending);
    service.start_waiting();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut child = signal(SignalKind::child())?;
    let connections = GracefulShutdown::new();
    let code = loop {
        tokio::select! {
            code = ended.wait_for(Option::is_some) => break code.map_or(None, |code| *code).unwrap_or(1),
            _ = terminate.recv() => return Ok(0),
            _ = child.recv() => reap_strangers(service.launcher_id()),
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => accept(stream, &service, &connections),
                // Out of descriptors, perhaps: those of the connections there are become free some time.
                Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
            },
        }
    };
    // A timeout only means that somebody does not read the response.
    tokio::time::timeout(GRACE, connections.shutdown()).await.ok();
    Ok(code)
}

/// The first process of a container inherits every orphan, and has to bury them; its own child is
/// tokio's to wait for.
fn reap_strangers(own: Option<u32>) {
    if std::process::id() != 1 {
        return;
    }
    let children = std::fs::read_to_string("/proc/1/task/1/children").unwrap_or_default();
    let children = children.split_whitespace().filter_map(|id| id.parse().ok());
    for id in children.filter(|id: &i32| own.map(i64::from) != Some(i64::from(*id))).filter_map(Pid::from_raw)
    {
        waitpid(Some(id), WaitOptions::NOHANG).ok();
    }
}

fn accept(stream: TcpStream, service: &Rc<Service>, connections: &GracefulShutdown) {
    stream.set_nodelay(true).ok();
    let service = service.clone();
    let connection = hyper::server::conn::http1::Builder::new()
        .auto_date_header(false)
        .header_read_timeout(None)
        .serve_connection(TokioIo::new(stream), service_fn(move |request| handle(service.clone(), request)));
    let connection = connections.watch(connection);
    // An error is a caller that hung up, or a run without an answer: either way there is nobody to tell.
    tokio::task::spawn_local(async move { connection.await.ok() });
}

async fn handle(service: Rc<Service>, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Gone> {
    let (head, body) = request.into_parts();
    let body = match Limited::new(body, MAX_BODY).collect().await {
        Ok(body) => body.to_bytes(),
        Err(error) => return Ok(respond(&service, unreadable(&error))),
    };
    let worker = service.clone();
    let answer = tokio::task::spawn_local(async move {
        match (&head.method, head.uri.path()) {
            (&Method::POST, "/init") => worker.init(body).await,
            (&Method::POST, "/run") => worker.run(body).await,
            _ => Ok(not_found()),
        }
    });
    let answer = answer.await.unwrap_or(Err(Gone))?;
    Ok(respond(&service, answer))
}

fn respond(service: &Service, answer: Answer) -> Response<Full<Bytes>> {
    let (stdout, stderr) = service.take_counts();
    let length = answer.body.len();
    let mut response = Response::new(Full::new(answer.body));
    *response.status_mut() = answer.status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CONTENT_LENGTH, length.into());
    if let Ok(counts) = HeaderValue::try_from(format!("{stdout} {stderr}")) {
        headers.insert(LOG_BYTES, counts);
    }
    response
}
