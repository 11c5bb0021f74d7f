//! A connection of a client, plain or over TLS, and what keeps a slow one from staying: for the servers.
//!
//! HTTP libraries bound the first head of a connection at best. Here every head is bounded, from its first byte
//! on, and so is how slowly an answer may be taken. Whoever serves requests says when one is in work
//! ([`Activity`]): then it is for that one to bound what it waits for.
//!
//! One timer a connection and direction is set seldom and looked at when it fires: a request that comes and goes
//! in time costs a reading of the clock.

use std::cell::Cell;
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_rustls::server::TlsStream;
use tracing::{debug, warn};

use crate::config::http::HttpLimits;
use crate::tls::Tls;

/// So many bytes a second of an answer keep a client from being slow.
const SLOW: u32 = 4_096;

/// Between two words in the log about addresses with too many connections.
const REMINDER: Duration = Duration::from_secs(60);

/// What a server lets in, over all its listeners.
pub struct Entrance {
    limits: HttpLimits,
    connections: Mutex<HashMap<IpAddr, usize>>,
    told: Mutex<Option<Instant>>,
}

impl Entrance {
    /// With nobody inside.
    pub fn new(limits: HttpLimits) -> Arc<Self> {
        Arc::new(Self { limits, connections: Mutex::default(), told: Mutex::default() })
    }

    /// What it was made with.
    pub fn limits(&self) -> &HttpLimits {
        &self.limits
    }

    /// Lets a client in: its address must have few enough connections, and its handshake must succeed in time.
    ///
    /// # Errors
    ///
    /// If it is not let in.
    pub async fn admit(
        self: Arc<Self>,
        io: TcpStream,
        tls: Option<Arc<Tls>>,
    ) -> io::Result<(Stream, SocketAddr)> {
        let address = io.peer_addr()?;
        let place = self.clone().place(address.ip()).ok_or(io::ErrorKind::ConnectionRefused)?;
        io.set_nodelay(true)?;
        let activity = Activity::default();
        let io = Watched::new(io, activity.clone(), &self.limits, place);
        let transport = match tls {
            None => Transport::Plain(io),
            Some(tls) => {
                let handshake = timeout(self.limits.handshake_timeout, tls.acceptor().accept(io)).await;
                let done = handshake.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
                Transport::Tls(Box::new(done.inspect_err(|error| debug!("no TLS with {address}: {error}"))?))
            }
        };
        Ok((Stream { transport, activity }, address))
    }

    fn place(self: Arc<Self>, address: IpAddr) -> Option<Place> {
        let most = self.limits.max_connections_per_address;
        if most == 0 {
            return Some(Place(None));
        }
        let key = key(address);
        let mut connections = self.connections.lock().unwrap_or_else(PoisonError::into_inner);
        let count = connections.entry(key).or_default();
        if *count >= most {
            drop(connections);
            self.tell(address, most);
            return None;
        }
        *count += 1;
        drop(connections);
        Some(Place(Some((self, key))))
    }

    fn tell(&self, address: IpAddr, most: usize) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        if told.is_none_or(|told| told.elapsed() >= REMINDER) {
            warn!("{address} has {most} connections; more are closed (http.max-connections-per-address)");
            *told = Some(Instant::now());
        }
    }
}

/// Who counts as one: an address, or a network of IPv6, which is what one machine is given.
fn key(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

/// One of an address's connections.
struct Place(Option<(Arc<Entrance>, IpAddr)>);

impl Drop for Place {
    fn drop(&mut self) {
        let Some((entrance, key)) = self.0.take() else { return };
        let mut connections = entrance.connections.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = connections.get_mut(&key) {
            *count -= 1;
            if *count == 0 {
                connections.remove(&key);
            }
        }
    }
}

/// Whether a request of a connection is in work; one for the connection and for who serves it.
#[derive(Clone, Default)]
pub struct Activity(Rc<Work>);

#[derive(Default)]
struct Work {
    now: Cell<usize>,
    done: Cell<u64>,
}

impl Activity {
    /// A request is in work until the value is dropped.
    pub fn serve(&self) -> Serving {
        self.0.now.set(self.0.now.get() + 1);
        Serving(self.clone())
    }

    fn is_serving(&self) -> bool {
        self.0.now.get() > 0
    }
}

/// A request in work.
pub struct Serving(Activity);

impl Drop for Serving {
    fn drop(&mut self) {
        let Work { now, done } = &*self.0.0;
        now.set(now.get() - 1);
        done.set(done.get().wrapping_add(1));
    }
}

/// A connection that was let in.
pub struct Stream {
    transport: Transport,
    activity: Activity,
}

enum Transport {
    Plain(Watched),
    Tls(Box<TlsStream<Watched>>),
}

impl Stream {
    /// For who serves its requests.
    pub fn activity(&self) -> Activity {
        self.activity.clone()
    }
}

macro_rules! through {
    ($self:ident, $method:ident, $($argument:expr),*) => {
        match &mut $self.get_mut().transport {
            Transport::Plain(io) => Pin::new(io).$method($($argument),*),
            Transport::Tls(io) => Pin::new(io).$method($($argument),*),
        }
    };
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        through!(self, poll_read, cx, buf)
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        through!(self, poll_write, cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        through!(self, poll_flush, cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        through!(self, poll_shutdown, cx)
    }
}

/// A socket with its two bounds.
struct Watched {
    io: TcpStream,
    reading: Reading,
    writing: Writing,
    _place: Place,
}

impl Watched {
    fn new(io: TcpStream, activity: Activity, limits: &HttpLimits, place: Place) -> Self {
        let reading = Reading {
            activity,
            head: limits.head_timeout,
            idle: limits.idle_timeout,
            done: 0,
            deadline: None,
            begun: false,
            timer: None,
        };
        let patience = limits.slow_reader_timeout;
        let writing = Writing { patience, credit: patience, blocked: None, timer: None };
        Self { io, reading, writing, _place: place }
    }

    /// Cuts it off: what the system holds for it is not sent any more.
    fn cut(&self) -> io::Error {
        let _ = rustix::net::sockopt::set_socket_linger(&self.io, Some(Duration::ZERO));
        io::ErrorKind::TimedOut.into()
    }
}

/// How long a connection may be silent while no request of it is in work.
struct Reading {
    activity: Activity,
    head: Duration,
    idle: Duration,
    /// How many requests were done when the wait began.
    done: u64,
    deadline: Option<Instant>,
    /// Whether a first byte of the next request has come.
    begun: bool,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Reading {
    /// Bytes have come.
    fn came(&mut self) {
        self.forget_what_is_done();
        if !self.begun && !self.activity.is_serving() {
            self.begun = true;
            self.deadline = Some(Instant::now() + self.head);
        }
    }

    fn forget_what_is_done(&mut self) {
        let done = self.activity.0.done.get();
        if self.done != done {
            (self.done, self.deadline, self.begun) = (done, None, false);
        }
    }

    /// Ready if nothing has come for too long.
    fn poll_late(&mut self, cx: &mut Context<'_>, writes: bool) -> Poll<()> {
        if writes || self.activity.is_serving() {
            self.deadline = None;
            return Poll::Pending;
        }
        self.forget_what_is_done();
        let patience = self.idle + self.head;
        let deadline = *self.deadline.get_or_insert_with(|| Instant::now() + patience);
        poll_deadline(&mut self.timer, deadline, cx)
    }
}

/// How slowly a client may take what it is sent: it has credit, which it uses up while it takes nothing, and gets
/// back by taking.
struct Writing {
    patience: Duration,
    credit: Duration,
    blocked: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
}

impl Writing {
    fn took(&mut self, bytes: usize) {
        if let Some(blocked) = self.blocked.take() {
            self.credit = self.credit.saturating_sub(blocked.elapsed());
        }
        if self.credit < self.patience {
            let earned = Duration::from_secs_f64(bytes as f64 / f64::from(SLOW));
            self.credit = (self.credit + earned).min(self.patience);
        }
    }

    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let blocked = *self.blocked.get_or_insert_with(Instant::now);
        poll_deadline(&mut self.timer, blocked + self.credit, cx)
    }
}

/// Ready once the deadline has passed. A timer that is set for earlier is left to fire first.
fn poll_deadline(timer: &mut Option<Pin<Box<Sleep>>>, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
    let timer = timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
    if timer.deadline() > deadline {
        timer.as_mut().reset(deadline);
    }
    loop {
        ready!(timer.as_mut().poll(cx));
        if timer.deadline() >= deadline {
            return Poll::Ready(());
        }
        timer.as_mut().reset(deadline);
    }
}

impl AsyncRead for Watched {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buf.filled().len();
        match Pin::new(&mut this.io).poll_read(cx, buf) {
            Poll::Ready(result) => {
                if buf.filled().len() > before {
                    this.reading.came();
                }
                Poll::Ready(result)
            }
            Poll::Pending => {
                ready!(this.reading.poll_late(cx, this.writing.blocked.is_some()));
                Poll::Ready(Err(this.cut()))
            }
        }
    }
}

impl AsyncWrite for Watched {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let this = &mut *self;
        match Pin::new(&mut this.io).poll_write(cx, buf) {
            Poll::Ready(result) => {
                if let Ok(bytes) = result {
                    this.writing.took(bytes);
                }
                Poll::Ready(result)
            }
            Poll::Pending => {
                ready!(this.writing.poll_late(cx));
                Poll::Ready(Err(this.cut()))
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_its_places_and_gives_them_back() {
        let entrance = Entrance::new(HttpLimits { max_connections_per_address: 2, ..HttpLimits::default() });
        let place = |address: &str| entrance.clone().place(address.parse().unwrap());
        let held = [place("10.0.0.1"), place("::ffff:10.0.0.1")];
        assert!(held.iter().all(Option::is_some) && place("10.0.0.1").is_none());
        assert!(place("10.0.0.2").is_some());
        drop(held);
        assert!(place("10.0.0.1").is_some());
        assert!(entrance.connections.lock().unwrap().is_empty());
        // A machine has a network of IPv6 to itself.
        let held = [place("2001:db8::1"), place("2001:db8::2")];
        assert!(held.iter().all(Option::is_some) && place("2001:db8::3").is_none());
        assert!(place("2001:db8:0:1::1").is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn credit_is_used_up_by_taking_nothing_and_earned_by_taking() {
        let patience = Duration::from_secs(30);
        let mut writing = Writing { patience, credit: patience, blocked: None, timer: None };
        let mut wait = async |seconds: u64, bytes: usize| {
            writing.blocked = Some(Instant::now());
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            writing.took(bytes);
            writing.credit.as_secs()
        };
        assert_eq!(wait(10, 8_192).await, 22);
        assert_eq!(wait(20, 0).await, 2);
        assert_eq!(wait(1, 1 << 30).await, 30, "never more than at first");
        assert_eq!(wait(60, 0).await, 0);
    }
}
