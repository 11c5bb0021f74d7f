//! Slow clients, by real sockets, beside others that are served all the time.
//!
//! The server's patience is shortened so that a test need not wait; what is asked is whether it ends.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use common::open_files;
use serde_json::json;
use tests::client::{Client, basic};
use tests::fixtures::ECHO;
use tests::namespace::Namespace;
use tests::pki::Authority;
use tests::server::{GUEST, Options, Server};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;

/// Far more than any patience of the server here.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two bytes of a client that trickles.
const TRICKLE: Duration = Duration::from_millis(200);

/// Clients with slow heads.
const CROWD: usize = 2_000;

/// What the crowd may cost the server in memory, in MB: some 40 KB each.
const MEMORY: u64 = 96;

async fn start(settings: &[(&str, &str)], tls: Option<tests::pki::Identity>) -> Server {
    let setting =
        |(name, value): &(&str, &str)| (format!("CONFIG_whisk_controller_http_{name}"), (*value).to_owned());
    let environment = settings.iter().map(setting).collect();
    Server::start(Options { environment, tls, ..Options::default() }).await
}

fn guest(server: &Server) -> Namespace {
    Namespace::new("guest", GUEST, Client::new(server.url(), Some(GUEST)))
}

/// Resident memory of a process, in MB.
fn memory(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("it has memory");
    line.trim().trim_end_matches(" kB").trim().parse::<u64>().expect("kilobytes") / 1024
}

/// Sends a byte now and then until the server closes the connection; returns what it said.
async fn trickle(mut stream: TcpStream) -> String {
    let mut said = Vec::new();
    let mut piece = [0; 512];
    loop {
        tokio::select! {
            read = stream.read(&mut piece) => match read {
                Ok(0) | Err(_) => return String::from_utf8_lossy(&said).into_owned(),
                Ok(count) => said.extend_from_slice(&piece[..count]),
            },
            () = tokio::time::sleep(TRICKLE) => {
                // Where it has been closed, the next read says so.
                let _ = stream.write_all(b"a").await;
            }
        }
    }
}

async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(("127.0.0.1", server.home().port())).await.expect("it listens")
}

/// Clients that invoke an action again and again until they are told to stop; none may fail.
struct Others {
    stop: Arc<AtomicBool>,
    served: Arc<AtomicUsize>,
    tasks: JoinSet<()>,
}

impl Others {
    async fn begin(server: &Server) -> Self {
        let guest = guest(server);
        let name = guest.put_js("echo", ECHO).await;
        guest.result(&name, &json!({})).await;
        let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut tasks = JoinSet::new();
        for number in 0..4 {
            let (stop, served, name) = (stop.clone(), served.clone(), name.clone());
            let guest = Namespace::new("guest", GUEST, Client::new(server.url(), Some(GUEST)));
            tasks.spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let arguments = json!({ "number": number });
                    assert_eq!(guest.result(&name, &arguments).await, arguments);
                    served.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        Self { stop, served, tasks }
    }

    fn served(&self) -> usize {
        self.served.load(Ordering::Relaxed)
    }

    async fn end(mut self) {
        self.stop.store(true, Ordering::Relaxed);
        while let Some(done) = self.tasks.join_next().await {
            done.expect("every request was answered");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_heads_are_cut_off_while_others_are_served() {
    open_files::raise_limit();
    let server = start(&[("headTimeout", "6 s")], None).await;
    let others = Others::begin(&server).await;
    let before = memory(server.process());
    let mut crowd = JoinSet::new();
    for number in 0..CROWD {
        let mut stream = connect(&server).await;
        // Every other one is a good client at first: its second head is as slow as the first of the others.
        if number % 2 == 0 {
            stream.write_all(b"GET /ping HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("it listens");
        }
        stream.write_all(b"GET /ping HTTP/1.1\r\nhost: x\r\nx-slow: ").await.expect("it listens");
        crowd.spawn(trickle(stream));
    }
    let served = others.served();
    let mut most = 0;
    let mut pongs = 0;
    let ended = async {
        while let Some(said) = crowd.join_next().await {
            let said = said.expect("it is a client");
            most = most.max(memory(server.process()));
            pongs += usize::from(said.contains("pong"));
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.expect("the server closes every one of them");
    assert_eq!(pongs, CROWD / 2, "{}", server.story());
    assert!(others.served() > served, "nobody was served beside them");
    others.end().await;
    assert!(most < before + MEMORY, "{before} MB became {most} MB");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_bodies_end_in_408_while_others_are_served() {
    let server = start(&[("bodyTimeout", "2 s")], None).await;
    let others = Others::begin(&server).await;
    let mut crowd = JoinSet::new();
    for number in 0..300 {
        let mut stream = connect(&server).await;
        // Small ones are read before anybody is asked who it is, large ones by who wants them.
        let length = if number % 2 == 0 { 1_000 } else { 1_000_000 };
        let authorization = basic(GUEST);
        let head = format!(
            "PUT /api/v1/namespaces/_/actions/slow?overwrite=true HTTP/1.1\r\nhost: x\r\n\
             authorization: {authorization}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.expect("it listens");
        crowd.spawn(trickle(stream));
    }
    let served = others.served();
    let ended = async {
        while let Some(said) = crowd.join_next().await {
            let said = said.expect("it is a client");
            assert!(said.starts_with("HTTP/1.1 408"), "{said}");
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.expect("the server answers every one of them");
    assert!(others.served() > served, "nobody was served beside them");
    others.end().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_readers_are_cut_off_and_steady_ones_are_not() {
    let server = start(&[("slowReaderTimeout", "3 s")], None).await;
    let guest = guest(&server);
    let code = format!("// {}\n{ECHO}", "x".repeat(10 << 20));
    let name = guest.put_js("large", &code).await;
    let others = Others::begin(&server).await;
    let ask = async |window: u32| {
        let socket = TcpSocket::new_v4().expect("there are sockets");
        socket.set_recv_buffer_size(window).expect("the system takes it");
        let address = format!("127.0.0.1:{}", server.home().port()).parse().expect("an address");
        let mut stream = socket.connect(address).await.expect("it listens");
        let request = format!(
            "GET /api/v1/namespaces/_/actions/{name} HTTP/1.1\r\nhost: x\r\nauthorization: {}\r\nconnection: close\r\n\r\n",
            basic(GUEST)
        );
        stream.write_all(request.as_bytes()).await.expect("it listens");
        stream
    };
    let served = others.served();
    let mut crowd = JoinSet::new();
    for number in 0..10 {
        let mut stream = ask(4_096).await;
        crowd.spawn(async move {
            let (mut all, mut piece) = (0, [0; 256]);
            loop {
                tokio::time::sleep(TRICKLE).await;
                if number % 2 == 0 {
                    // It takes nothing at all; what it sends is refused once it is cut off.
                    if stream.write_all(b"x").await.is_err() {
                        return all;
                    }
                } else if let Ok(count @ 1..) = stream.read(&mut piece).await {
                    all += count;
                } else {
                    return all;
                }
            }
        });
    }
    // This one takes a megabyte or two a second, and so longer than the patience in all.
    let mut stream = ask(65_536).await;
    let steady = async {
        let (mut all, mut piece) = (0, vec![0; 256 << 10]);
        loop {
            match stream.read(&mut piece).await.expect("it is not cut off") {
                0 => return all,
                count => all += count,
            }
            tokio::time::sleep(Duration::from_millis(60)).await;
        }
    };
    let all = tokio::time::timeout(PATIENCE, steady).await.expect("it comes to its end");
    assert!(all > code.len(), "{all} of {} bytes came", code.len());
    let ended = async {
        while let Some(all) = crowd.join_next().await {
            assert!(all.expect("it is a client") < code.len(), "it was not cut off");
        }
    };
    tokio::time::timeout(PATIENCE, ended).await.expect("the server cuts off every one of them");
    assert!(others.served() > served, "nobody was served beside them");
    others.end().await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_does_not_shake_hands_is_cut_off() {
    let authority = Authority::new("handshake");
    let server = start(&[("handshakeTimeout", "2 s")], Some(authority.identity("api"))).await;
    let mut crowd = JoinSet::new();
    for number in 0..200 {
        let mut stream = connect(&server).await;
        if number % 2 == 0 {
            // The beginning of a record of TLS, whose rest comes byte by byte.
            stream.write_all(&[0x16, 0x03, 0x01, 0x02, 0x00, 0x01]).await.expect("it listens");
        }
        crowd.spawn(trickle(stream));
    }
    let client = Client::trusting(server.url(), None, &authority.pem(), None);
    assert_eq!(client.get("/ping").await.text(), "pong");
    let ended = async { while crowd.join_next().await.is_some() {} };
    tokio::time::timeout(PATIENCE, ended).await.expect("the server closes every one of them");
    server.stop().await;
}
