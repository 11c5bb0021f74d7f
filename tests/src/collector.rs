//! The proof that user code ran, and how often: the action itself says so to a server of the test.
//!
//! It listens where containers reach the API (the gateway of their bridge, at the port that the invoker
//! is told), so what an action said is known also when its container is gone.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Says when it begins and when it ends, under the number that it is given.
pub const TELLING: &str = "const http = require('http');
const agent = new http.Agent({ keepAlive: true });
const tell = path => new Promise((done, failed) => {
  const request = http.get(process.env.__OW_API_HOST + path, { agent }, answer => {
    answer.resume();
    answer.on('end', done);
  });
  request.on('error', failed);
});
async function main({ number, ms }) {
  await tell(`/begin/${number}`);
  await new Promise(done => setTimeout(done, ms));
  await tell(`/end/${number}`);
  return { number };
}";

/// How often something began and ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Run {
    /// Beginnings of user code.
    pub begun: usize,
    /// Ends of user code.
    pub ended: usize,
}

type Runs = Arc<Mutex<BTreeMap<u64, Run>>>;

/// A running collector; it ends with the value.
#[derive(Debug)]
pub struct Collector {
    port: u16,
    runs: Runs,
    serving: JoinHandle<()>,
}

impl Collector {
    /// Starts one.
    pub async fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).await.expect("some port is free");
        let port = listener.local_addr().expect("it is bound").port();
        let runs = Runs::default();
        let serving = spawn(accept(listener, runs.clone()));
        Self { port, runs, serving }
    }

    /// What the invoker is to be told as the API's port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// All that was said.
    pub fn runs(&self) -> BTreeMap<u64, Run> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The numbers of those that began and did not end.
    pub fn inside(&self) -> Vec<u64> {
        self.runs().iter().filter(|(_, run)| run.begun > run.ended).map(|(number, _)| *number).collect()
    }
}

impl Drop for Collector {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

#[expect(clippy::disallowed_methods, reason = "a test's task ends with its runtime")]
fn spawn(work: impl Future<Output = ()> + Send + 'static) -> JoinHandle<()> {
    tokio::spawn(work)
}

async fn accept(listener: TcpListener, runs: Runs) {
    while let Ok((stream, _)) = listener.accept().await {
        let runs = runs.clone();
        spawn(async move {
            // A container that is killed in the middle of a word has not said it.
            let _ = serve(stream, &runs).await;
        });
    }
}

/// Reads requests without bodies and answers each with nothing.
async fn serve(mut stream: TcpStream, runs: &Runs) -> std::io::Result<()> {
    let mut received = Vec::new();
    let mut piece = [0; 1024];
    loop {
        let length = stream.read(&mut piece).await?;
        if length == 0 {
            return Ok(());
        }
        received.extend_from_slice(&piece[..length]);
        while let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&received[..end]).into_owned();
            received.drain(..end + 4);
            hear(&head, runs);
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await?;
        }
    }
}

fn hear(head: &str, runs: &Runs) {
    let path = head.split(' ').nth(1).unwrap_or_default();
    let mut runs = runs.lock().unwrap_or_else(PoisonError::into_inner);
    match path.trim_start_matches('/').split_once('/') {
        Some(("begin", number)) => runs.entry(number.parse().expect("a number")).or_default().begun += 1,
        Some(("end", number)) => runs.entry(number.parse().expect("a number")).or_default().ended += 1,
        _ => panic!("nobody says {path:?}"),
    }
}
