//! How much a client may send, and how often it may connect.

use std::time::Duration;

use tests::client::Client;
use tests::server::{Options, Server};
use tests::wait;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const PATIENCE: Duration = Duration::from_secs(30);

async fn start(settings: &[(&str, &str)]) -> Server {
    let setting =
        |(name, value): &(&str, &str)| (format!("CONFIG_whisk_controller_http_{name}"), (*value).to_owned());
    Server::start(Options { environment: settings.iter().map(setting).collect(), ..Options::default() }).await
}

/// What a server says to this before it closes the connection.
async fn said(server: &Server, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(("127.0.0.1", server.home().port())).await.expect("it listens");
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(PATIENCE, stream.read_to_end(&mut answer)).await.expect("it ends");
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_head_has_bounds() {
    let server = start(&[]).await;
    let client = Client::new(server.url(), None);
    let long = |length: usize| "x".repeat(length);
    client.get("/ping").header("x-long", &long(8_192)).await.expect(200);
    client.get("/ping").header("x-long", &long(8_193)).await.expect(431).error_contains("header field");
    client.get(format!("/ping?{}", long(8_192))).await.expect(414);
    let mut many = client.get("/ping");
    for number in 0..70 {
        many = many.header(&format!("x-{number}"), "x");
    }
    many.await.expect(431);
    // What never ends as a head is not kept.
    let endless = format!("GET /ping HTTP/1.1\r\nx: {}", long(200_000));
    let answer = said(&server, endless.as_bytes()).await;
    assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 431"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn an_address_has_so_many_connections_and_no_more() {
    let server = start(&[("maxConnectionsPerAddress", "20")]).await;
    let address = ("127.0.0.1", server.home().port());
    // The harness has left one or two behind.
    let mut held = Vec::new();
    let refused = loop {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        stream.write_all(b"GET /ping HTTP/1.1\r\nhost: x\r\n\r\n").await.ok();
        let mut answer = [0; 12];
        match tokio::time::timeout(PATIENCE, stream.read_exact(&mut answer)).await.expect("it is heard") {
            Ok(_) => held.push(stream),
            Err(_) => break held.len(),
        }
        assert!(held.len() <= 20, "{} connections of one address were let in", held.len());
    };
    assert!((15..=20).contains(&refused), "the connection after {refused} was refused");
    assert!(server.output().contains("max-connections-per-address"), "{}", server.story());
    drop(held);
    wait::until("there is room again", PATIENCE, || async {
        Client::new(server.url(), None).get("/ping").send().await.ok()
    })
    .await;
    server.stop().await;
}

#[tokio::test]
async fn whoever_comes_when_all_connections_are_taken_waits_for_one() {
    let server = start(&[("maxConnections", "8"), ("idleTimeout", "60 s")]).await;
    let address = ("127.0.0.1", server.home().port());
    let mut held = Vec::new();
    // More than it takes: the others are in the system's queue.
    for _ in 0..24 {
        let mut stream = TcpStream::connect(address).await.expect("it listens");
        stream.write_all(b"GET /ping HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("the system takes it");
        held.push(stream);
    }
    let mut last = held.pop().expect("there are some");
    let mut answer = [0; 12];
    drop(held);
    let heard = tokio::time::timeout(PATIENCE, last.read_exact(&mut answer)).await;
    heard.expect("it is heard once others have gone").expect("it is answered");
    assert_eq!(&answer, b"HTTP/1.1 200");
    server.stop().await;
}
