//! Actions that behave badly end as they must, each alone, and the server goes on.

use futures::future::join_all;
use serde_json::{Value, json};
use tests::fixtures::{self, CHATTY, ECHO, EXIT, NUL, NUMBER, SLEEP, THROW};
use tests::namespace::{Namespace, annotation};
use tests::server::{Options, Server};

/// 20 MB in lines of 100 characters.
const LINES: usize = 200_000;
const CONCURRENT: usize = 200;

/// Runs one action and demands this status; then the server must serve another one.
async fn ends(code: &str, arguments: &Value, status: &str) -> Value {
    ends_as(&fixtures::js(code), arguments, status).await
}

async fn ends_as(body: &Value, arguments: &Value, status: &str) -> Value {
    let server = Server::start(Options::default()).await;
    let me = server.whisk().namespace().await;
    let name = me.create("bad", body).await;
    let record = me.record_of(&name, arguments).await;
    assert_eq!(record["response"]["status"], status, "{}", shortened(&record));
    goes_on(&me).await;
    server.stop().await;
    record
}

async fn goes_on(me: &Namespace) {
    let echo = me.put_js("echo", ECHO).await;
    assert_eq!(me.result(&echo, &json!({ "still": "here" })).await, json!({ "still": "here" }));
}

/// A record that can be printed.
fn shortened(record: &Value) -> String {
    record.to_string().chars().take(2_000).collect()
}

#[tokio::test]
async fn one_that_throws() {
    let record = ends(THROW, &json!({}), "action developer error").await;
    assert!(record["response"]["result"]["error"].is_string(), "{record}");
}

#[tokio::test]
async fn one_that_returns_no_object() {
    let record = ends(NUMBER, &json!({}), "action developer error").await;
    assert!(record["response"]["result"]["error"].is_string(), "{record}");
}

#[tokio::test]
async fn one_that_runs_past_its_limit() {
    let mut body = fixtures::js(SLEEP);
    body["limits"]["timeout"] = json!(1_000);
    let record = ends_as(&body, &json!({ "ms": 20_000 }), "action developer error").await;
    let error = "The action exceeded its time limits of 1000 milliseconds.";
    assert_eq!(record["response"]["result"], json!({ "error": error }));
    assert_eq!(annotation(&record, "timeout"), Some(&json!(true)));
}

#[tokio::test]
async fn one_that_exits() {
    let record = ends(EXIT, &json!({}), "action developer error").await;
    let error = "The action did not produce a valid response and exited unexpectedly.";
    assert_eq!(record["response"]["result"], json!({ "error": error }));
}

#[tokio::test]
async fn one_that_prints_20_megabytes() {
    let record = ends(CHATTY, &json!({ "lines": LINES }), "success").await;
    assert_eq!(record["response"]["result"], json!({ "lines": LINES }));
    let logs = record["logs"].as_array().cloned().unwrap_or_default();
    let text = "Logs were truncated because the total bytes size exceeds the limit of 10485760 bytes.";
    let last = logs.last().and_then(Value::as_str).unwrap_or_default();
    assert!(last.ends_with(&format!("stderr: {text}")), "{last}");
    let kept: usize = logs.iter().filter_map(Value::as_str).map(str::len).sum();
    assert!((2_000_000..20_000_000).contains(&kept), "{kept} bytes of logs are kept");
}

#[tokio::test]
async fn one_that_returns_a_nul_character() {
    let server = Server::start(Options::default()).await;
    let me = server.whisk().namespace().await;
    let name = me.put_js("nul", NUL).await;
    let answer = me.invoke(&name, &json!({})).await.expect(200);
    assert_eq!(answer.json()["response"]["result"], json!({ "nul": "\0" }));
    let id = answer.activation_id();
    let record = me.wait_for_activation(&id).await;
    assert_eq!(record["response"]["result"], json!({ "nul": "\0" }));

    // It is there for good, also in lists and after a restart.
    let server = server.stop().await.start().await;
    let me = server.whisk().sign_in(&me.auth).await;
    let listed = me.get("activations?docs=true").await.expect(200).json();
    assert_eq!(listed[0]["response"]["result"], json!({ "nul": "\0" }));
    goes_on(&me).await;
    server.stop().await;
}

#[tokio::test]
async fn two_hundred_at_once_queue_for_eight_places() {
    let server = Server::start(Options::default()).await;
    let me = server.whisk().namespace().await;
    let mut body = fixtures::js(SLEEP);
    body["limits"] = json!({ "memory": 256, "timeout": 120_000 });
    let name = me.create("sleep", &body).await;
    let path = format!("actions/{name}?blocking=true&result=true");
    let arguments = json!({ "ms": 50 });
    let calls = (0..CONCURRENT).map(|_| {
        let call = me.post(&path, &arguments);
        async move { call.await }
    });
    for answer in join_all(calls).await {
        assert_eq!(answer.expect(200).json(), json!({ "slept": 50 }));
    }
    me.wait_for_activation_count(CONCURRENT as u64).await;
    goes_on(&me).await;
    server.stop().await;
}
