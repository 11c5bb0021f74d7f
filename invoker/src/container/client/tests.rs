//! The client against servers that misbehave: sockets are real, so waiting is for conditions.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::shutdown::Shutdown;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

const LIMITS: ResponseLimits = ResponseLimits { max: 100, truncation: 10 };
const LONG: Duration = Duration::from_secs(10);

/// Answers each request on each connection with what `answer` says (`None`: closes); returns the address
/// and how many connections there were. Asserts that head and body of a request arrive in one piece.
async fn serve(answer: fn(usize) -> Option<String>) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counter = connections.clone();
    let tasks = Shutdown::new();
    tasks.clone().spawn("server", async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            counter.fetch_add(1, Ordering::SeqCst);
            tasks.spawn("connection", async move {
                let mut buffer = vec![0; 64 * 1024];
                for count in 0.. {
                    let length = stream.read(&mut buffer).await.unwrap_or(0);
                    if length == 0 {
                        return;
                    }
                    let text = String::from_utf8_lossy(&buffer[..length]).to_string();
                    assert!(text.starts_with("POST /"), "{text}");
                    assert!(text.ends_with("\r\n\r\n{\"value\":{}}"), "head and body in one: {text}");
                    assert!(text.contains("content-type: application/json\r\n"), "{text}");
                    let Some(answer) = answer(count) else { return };
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            });
        }
    });
    (address, connections)
}

fn body() -> Bytes {
    Bytes::from_static(b"{\"value\":{}}")
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

#[tokio::test]
async fn calls_share_a_connection_until_it_is_closed() {
    let (address, connections) = serve(|_| Some(ok("{}"))).await;
    let client = RuntimeClient::new(address);
    for _ in 0..3 {
        let answer = client.run(body(), LONG, LIMITS, &Trace::default()).await.unwrap();
        assert_eq!((answer.status, &answer.body[..], answer.truncated), (200, &b"{}"[..], None));
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
    client.close();
    client.run(body(), LONG, LIMITS, &Trace::default()).await.unwrap();
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn what_was_sent_and_not_answered_is_lost() {
    let (address, connections) = serve(|_| None).await;
    let lost = RuntimeClient::new(address).run(body(), LONG, LIMITS, &Trace::default()).await;
    assert!(matches!(lost, Err(CallError::Lost(_))), "{lost:?}");
    assert_eq!(connections.load(Ordering::SeqCst), 1, "it was not sent again");
}

#[tokio::test]
async fn a_kept_connection_that_was_closed_is_replaced_unseen() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = RuntimeClient::new(listener.local_addr().unwrap());
    for _ in 0..3 {
        let server = async {
            let (mut stream, _) = listener.accept().await.unwrap();
            assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
            stream.write_all(ok("{}").as_bytes()).await.unwrap();
            stream
        };
        let none = Trace::default();
        let (answer, stream) = tokio::join!(client.run(body(), LONG, LIMITS, &none), server);
        assert_eq!(answer.unwrap().status, 200);
        assert_eq!(client.kept().len(), 1);
        // Once the end is acknowledged it has arrived; a turn of the reactor later it is known.
        drop(stream);
        sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn the_other_side_may_close_between_calls() {
    let (address, connections) =
        serve(|_| Some("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}".to_owned()))
            .await;
    let client = RuntimeClient::new(address);
    client.run(body(), LONG, LIMITS, &Trace::default()).await.unwrap();
    client.run(body(), LONG, LIMITS, &Trace::default()).await.unwrap();
    assert_eq!(connections.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn a_body_without_a_length_is_an_answer_too() {
    let (address, _) = serve(|_| {
        Some(
            "HTTP/1.1 502 Bad\r\ntransfer-encoding: chunked\r\n\r\n3\r\n{\"e\r\n4\r\n\":1}\r\n0\r\n\r\n"
                .to_owned(),
        )
    })
    .await;
    let answer = RuntimeClient::new(address).init(body(), LONG, LIMITS, &Trace::default()).await.unwrap();
    assert_eq!((answer.status, &answer.body[..]), (502, &b"{\"e\":1}"[..]));
}

#[tokio::test]
async fn what_is_too_long_is_cut_and_its_length_is_told() {
    // With a declared length, and chunked; each é is two bytes, and the tenth byte is the first of one.
    let (declared, _) = serve(|_| Some(ok(&format!("x{}", "é".repeat(100))))).await;
    let (chunked, _) = serve(|_| {
        let body = format!("x{}", "é".repeat(100));
        Some(format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nc9\r\n{body}\r\n0\r\n\r\n"))
    })
    .await;
    for address in [declared, chunked] {
        let client = RuntimeClient::new(address);
        for _ in 0..2 {
            let answer = client.run(body(), LONG, LIMITS, &Trace::default()).await.unwrap();
            assert_eq!(answer.truncated, Some(201));
            assert_eq!(std::str::from_utf8(&answer.body).unwrap(), "xéééé");
        }
    }
}

#[tokio::test]
async fn the_header_tells_how_much_was_written() {
    let (address, _) = serve(|_| {
        Some("HTTP/1.1 200 OK\r\nX-Oxwhisk-Log-Bytes: 12 345\r\ncontent-length: 2\r\n\r\n{}".to_owned())
    })
    .await;
    let answer = RuntimeClient::new(address).run(body(), LONG, LIMITS, &Trace::default()).await.unwrap();
    assert_eq!(answer.log_bytes, Some((12, 345)));
}

#[tokio::test]
async fn init_waits_for_the_container_to_listen_and_run_does_not() {
    let (address, _) = serve(|_| None).await;
    let free = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let refused = RuntimeClient::new(free).run(body(), LONG, LIMITS, &Trace::default()).await;
    assert!(matches!(refused, Err(CallError::Refused(_))), "{refused:?}");
    let late =
        RuntimeClient::new(free).init(body(), Duration::from_millis(80), LIMITS, &Trace::default()).await;
    assert!(matches!(late, Err(CallError::Timeout)), "{late:?}");
    assert_ne!(address, free);

    let tasks = Shutdown::new();
    let init = tasks.spawn("init", async move {
        RuntimeClient::new(free).init(body(), LONG, LIMITS, &Trace::default()).await
    });
    sleep(Duration::from_millis(30)).await;
    let listener = TcpListener::bind(free).await.unwrap();
    let (mut stream, _) = listener.accept().await.unwrap();
    assert!(stream.read(&mut [0; 1024]).await.unwrap() > 0);
    stream.write_all(ok("{\"ok\":true}").as_bytes()).await.unwrap();
    assert_eq!(init.await.unwrap().unwrap().status, 200);
}

#[tokio::test]
async fn no_answer_in_time_is_a_timeout() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let client = RuntimeClient::new(listener.local_addr().unwrap());
    let late = client.run(body(), Duration::from_millis(50), LIMITS, &Trace::default()).await;
    assert!(matches!(late, Err(CallError::Timeout)), "{late:?}");
}

#[test]
fn cuts_never_split_a_character() {
    for (text, length, expected) in [
        ("abc", 5, "abc"),
        ("abcdef", 3, "abc"),
        ("aé", 2, "a"),
        ("aé", 3, "aé"),
        ("€€", 5, "€"),
        ("😀😀", 7, "😀"),
        ("é", 0, ""),
    ] {
        let cut = cut_at_character(Bytes::from_static(text.as_bytes()), length);
        assert_eq!(&cut[..], expected.as_bytes(), "{text} at {length}");
    }
}
