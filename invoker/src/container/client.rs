//! Speaks to one container: `POST /init` once, `POST /run` as often as it lives.
//!
//! The calling task drives its connection itself, because handing a request to another task costs more
//! than sending it. Connections are kept for the next call, one a concurrent call; a kept one is not used
//! after three seconds, since Node closes idle ones after five and a request must not meet the end.
//! `/init` is tried until the container listens. `/run` starts user code, so it is sent again only while
//! it is certain that no byte left. Bodies are read into bounded memory with or without a declared
//! length (upstream's client reads chunked ones as no answer at all). Where the activation is part of a trace, and only
//! there, a call has the trace's headers.

use std::future::{Future, poll_fn};
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::pin::{Pin, pin};
use std::sync::Mutex;
use std::task::Poll;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use common::trace::Trace;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderMap, HeaderValue};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout, timeout_at};

/// Between attempts to reach a container that does not listen yet: doubled from the first to the last.
const RETRY_FIRST: Duration = Duration::from_millis(1);
const RETRY_LAST: Duration = Duration::from_millis(25);
/// How long one attempt to connect may take while a container starts, doubled as well: its first packet
/// may come before the bridge forwards, and the kernel repeats it only after a second.
const CONNECT_FIRST: Duration = Duration::from_millis(10);
/// For a container that has listened before.
const CONNECT: Duration = Duration::from_secs(3);
/// A kept connection older than this is not used again.
const KEPT_FOR: Duration = Duration::from_secs(3);
/// So many idle connections are kept at most.
const KEPT: usize = 256;
/// How long the rest of an answer that is too long is read, so that its writer does not fail.
const DRAIN_LIMIT: Duration = Duration::from_secs(5);
/// Where our images say how many bytes of output the call caused: `<stdout> <stderr>`.
const LOG_BYTES: &str = "x-oxwhisk-log-bytes";

/// How much of an answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseLimits {
    /// Longer answers are cut.
    pub max: u64,
    /// What is left of them.
    pub truncation: u64,
}

/// What a container answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body, or its beginning.
    pub body: Bytes,
    /// The body's real length if it was cut.
    pub truncated: Option<u64>,
    /// Bytes written to stdout and stderr since the last answer, from containers that count them.
    pub log_bytes: Option<(u64, u64)>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// Nothing was sent: the same call may go to another container.
    #[error("the container does not take connections")]
    Refused(#[source] anyhow::Error),
    /// The time was over first.
    #[error("the container did not answer in time")]
    Timeout,
    /// The connection broke after something was sent.
    #[error("the connection to the container was lost")]
    Lost(#[source] anyhow::Error),
}

/// The client of one container.
#[derive(Debug)]
pub struct RuntimeClient {
    address: SocketAddr,
    headers: HeaderMap,
    kept: Mutex<Vec<Kept>>,
}

#[derive(Debug)]
struct Kept {
    connection: Connection,
    since: Instant,
}

impl RuntimeClient {
    /// A client without a connection.
    pub fn new(address: SocketAddr) -> Self {
        let json = HeaderValue::from_static("application/json");
        let mut headers = HeaderMap::new();
        if let Ok(host) = HeaderValue::from_str(&address.to_string()) {
            headers.insert(HOST, host);
        }
        headers.insert(CONTENT_TYPE, json.clone());
        headers.insert(ACCEPT, json);
        Self { address, headers, kept: Mutex::default() }
    }

    /// Where the container listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Waits until the container listens. Cancel safe.
    pub async fn listens(&self) {
        let (mut pause, mut connect) = (RETRY_FIRST, CONNECT_FIRST);
        while !matches!(timeout(connect, TcpStream::connect(self.address)).await, Ok(Ok(_))) {
            sleep(pause).await;
            pause = RETRY_LAST.min(pause * 2);
            connect = CONNECT.min(connect * 2);
        }
    }

    /// Sends the code to a container that has listened before.
    pub async fn init_listening(
        &self,
        body: Bytes,
        limit: Duration,
        max: ResponseLimits,
        trace: &Trace,
    ) -> Result<Answer, CallError> {
        self.call(Uri::from_static("/init"), body, CONNECT, Instant::now() + limit, max, trace).await
    }

    /// Sends the code. Waits within `limit` for the container to listen.
    pub async fn init(
        &self,
        body: Bytes,
        limit: Duration,
        max: ResponseLimits,
        trace: &Trace,
    ) -> Result<Answer, CallError> {
        let deadline = Instant::now() + limit;
        let (mut pause, mut connect) = (RETRY_FIRST, CONNECT_FIRST);
        loop {
            match self.call(Uri::from_static("/init"), body.clone(), connect, deadline, max, trace).await {
                Err(CallError::Refused(_)) if Instant::now() + pause < deadline => sleep(pause).await,
                Err(CallError::Refused(_)) => return Err(CallError::Timeout),
                done => return done,
            }
            pause = RETRY_LAST.min(pause * 2);
            connect = CONNECT.min(connect * 2);
        }
    }

    /// Runs the action once.
    pub async fn run(
        &self,
        body: Bytes,
        limit: Duration,
        max: ResponseLimits,
        trace: &Trace,
    ) -> Result<Answer, CallError> {
        self.call(Uri::from_static("/run"), body, CONNECT, Instant::now() + limit, max, trace).await
    }

    /// Drops the kept connections: before the container is suspended.
    pub fn close(&self) {
        self.kept().clear();
    }

    async fn call(
        &self,
        path: Uri,
        body: Bytes,
        connect: Duration,
        deadline: Instant,
        max: ResponseLimits,
        trace: &Trace,
    ) -> Result<Answer, CallError> {
        let exchange = async {
            let mut request = Request::post(path).body(Full::new(body)).expect("the parts are constants");
            *request.headers_mut() = self.headers.clone();
            for (name, value) in trace.headers() {
                if let Ok(value) = HeaderValue::from_str(&value) {
                    request.headers_mut().insert(name, value);
                }
            }
            while let Some(mut connection) = self.take_kept() {
                match connection.send(request).await {
                    Ok(response) => return Ok((connection, response)),
                    Err(Unsent::Yes(returned, _)) => request = returned,
                    Err(Unsent::No(error)) => return Err(CallError::Lost(error.into())),
                }
            }
            let mut connection = Connection::open(self.address, connect).await.map_err(CallError::Refused)?;
            match connection.send(request).await {
                Ok(response) => Ok((connection, response)),
                Err(Unsent::Yes(_, error)) => Err(CallError::Refused(error.into())),
                Err(Unsent::No(error)) => Err(CallError::Lost(error.into())),
            }
        };
        let late = |_| CallError::Timeout;
        let (mut connection, response) = timeout_at(deadline, exchange).await.map_err(late)??;
        let (head, body) = response.into_parts();
        let read = connection.read(body, max, deadline).await?;
        if read.complete && connection.is_usable() {
            self.keep(connection);
        }
        Ok(Answer {
            status: head.status.as_u16(),
            body: read.body,
            truncated: read.truncated,
            log_bytes: head.headers.get(LOG_BYTES).and_then(log_bytes),
        })
    }

    /// A kept connection that is not known to be closed.
    fn take_kept(&self) -> Option<Connection> {
        loop {
            let Kept { mut connection, since } = self.kept().pop()?;
            if since.elapsed() < KEPT_FOR && connection.is_usable() {
                return Some(connection);
            }
        }
    }

    fn keep(&self, connection: Connection) {
        let mut kept = self.kept();
        if kept.len() < KEPT {
            kept.push(Kept { connection, since: Instant::now() });
        }
    }

    fn kept(&self) -> std::sync::MutexGuard<'_, Vec<Kept>> {
        self.kept.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

/// One connection and what moves it; nobody else does.
#[derive(Debug)]
struct Connection {
    sender: http1::SendRequest<Full<Bytes>>,
    /// `None` once it has ended.
    driver: Option<http1::Connection<TokioIo<TcpStream>, Full<Bytes>>>,
    /// The same socket, to ask the kernel.
    socket: std::net::TcpStream,
}

/// Whether a request that failed is certain never to have left.
#[expect(clippy::large_enum_variant, reason = "lives for one match")]
enum Unsent {
    Yes(Request<Full<Bytes>>, hyper::Error),
    No(hyper::Error),
}

/// A body that was read.
struct Read {
    body: Bytes,
    truncated: Option<u64>,
    complete: bool,
}

impl Connection {
    async fn open(address: SocketAddr, limit: Duration) -> anyhow::Result<Self> {
        let stream = timeout(limit, TcpStream::connect(address)).await??;
        stream.set_nodelay(true)?;
        let socket = stream.as_fd().try_clone_to_owned()?.into();
        let (sender, driver) = http1::handshake(TokioIo::new(stream)).await?;
        Ok(Self { sender, driver: Some(driver), socket })
    }

    /// Polls `work` while moving the connection.
    async fn drive<F: Future>(driver: &mut Option<Driver>, work: F) -> F::Output {
        let mut work = pin!(work);
        poll_fn(|cx| {
            // First the work, which may ask the connection for more; then again, for what came of it.
            if let Poll::Ready(done) = work.as_mut().poll(cx) {
                return Poll::Ready(done);
            }
            if let Some(connection) = driver
                && Pin::new(connection).poll(cx).is_ready()
            {
                *driver = None; // ends what still waits for it
            }
            work.as_mut().poll(cx)
        })
        .await
    }

    /// Whether it can take a request; sees an end that the other side has announced.
    fn is_usable(&mut self) -> bool {
        let ready = Self::drive(&mut self.driver, self.sender.ready());
        let ready = futures::FutureExt::now_or_never(ready);
        matches!(ready, Some(Ok(()))) && self.driver.is_some() && self.is_open()
    }

    /// Whether the other side has not closed it. The runtime may not have been told yet by the kernel that it
    /// has, and a request to a dead container would look as if it had killed it.
    fn is_open(&self) -> bool {
        // It does not block: the flag is the socket's.
        matches!(self.socket.peek(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    async fn send(&mut self, request: Request<Full<Bytes>>) -> Result<Response<Incoming>, Unsent> {
        let answer = self.sender.try_send_request(request);
        Self::drive(&mut self.driver, answer).await.map_err(|mut error| match error.take_message() {
            Some(request) => Unsent::Yes(request, error.into_error()),
            None => Unsent::No(error.into_error()),
        })
    }

    async fn read(
        &mut self,
        mut body: Incoming,
        max: ResponseLimits,
        deadline: Instant,
    ) -> Result<Read, CallError> {
        let declared = hyper::body::Body::size_hint(&body).exact();
        let too_long = declared.is_some_and(|length| length > max.max);
        // One more than is left of it shows whether a character is cut.
        let keep = if too_long { max.truncation.saturating_add(1) } else { max.max };
        let mut kept = Assembled::default();
        let mut length = 0_u64;
        // Past the limit the rest is only counted, and not for ever.
        let mut until = deadline;
        loop {
            let frame = Self::drive(&mut self.driver, body.frame());
            let cut = |kept: Assembled, length: u64, complete| Read {
                body: cut_at_character(kept.into_bytes(), max.truncation),
                truncated: Some(declared.unwrap_or(length).max(length)),
                complete,
            };
            match timeout_at(until, frame).await {
                Ok(Some(Ok(frame))) => {
                    let Ok(data) = frame.into_data() else { continue };
                    let room = usize::try_from(keep.saturating_sub(length)).unwrap_or(usize::MAX);
                    kept.push(data.slice(..data.len().min(room)));
                    length += data.len() as u64;
                    if length > max.max {
                        until = until.min(Instant::now() + DRAIN_LIMIT);
                    }
                }
                Ok(None) if too_long || length > max.max => return Ok(cut(kept, length, true)),
                Ok(None) => return Ok(Read { body: kept.into_bytes(), truncated: None, complete: true }),
                Ok(Some(Err(_))) | Err(_) if length > max.max => return Ok(cut(kept, length, false)),
                Ok(Some(Err(error))) => return Err(CallError::Lost(error.into())),
                Err(_) => return Err(CallError::Timeout),
            }
        }
    }
}

type Driver = http1::Connection<TokioIo<TcpStream>, Full<Bytes>>;

/// Frames put together; one alone is not copied.
#[derive(Default)]
struct Assembled {
    first: Bytes,
    all: BytesMut,
}

impl Assembled {
    fn push(&mut self, data: Bytes) {
        if data.is_empty() {
        } else if self.first.is_empty() && self.all.is_empty() {
            self.first = data;
        } else {
            if self.all.is_empty() {
                self.all.extend_from_slice(&std::mem::take(&mut self.first));
            }
            self.all.extend_from_slice(&data);
        }
    }

    fn into_bytes(self) -> Bytes {
        if self.all.is_empty() { self.first } else { self.all.freeze() }
    }
}

/// At most `length` bytes, without the beginning of a character whose end is cut off.
fn cut_at_character(bytes: Bytes, length: u64) -> Bytes {
    let mut end = usize::try_from(length).unwrap_or(usize::MAX);
    if bytes.len() <= end {
        return bytes;
    }
    let floor = end.saturating_sub(3);
    while end > floor && bytes[end] & 0b1100_0000 == 0b1000_0000 {
        end -= 1;
    }
    bytes.slice(..end)
}

fn log_bytes(value: &HeaderValue) -> Option<(u64, u64)> {
    let (stdout, stderr) = value.to_str().ok()?.trim().split_once(' ')?;
    Some((stdout.parse().ok()?, stderr.trim().parse().ok()?))
}

#[cfg(test)]
mod tests;
