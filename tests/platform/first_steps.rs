//! What a newcomer does first, with the guest key alone.

use std::time::Duration;

use serde_json::{Value, json};
use tests::fixtures::{self, CALL_BACK, GREETING_JS, GREETING_PY};
use tests::namespace::{Isolation, Namespace, annotation};
use tests::server::{GUEST, Options, Server};
use tests::wait;

/// The pool may evict an idle container, but not in a row.
const TRIES: u32 = 5;

async fn start() -> (Server, Namespace) {
    let server = Server::start(Options::default()).await;
    let guest = server.whisk().guest().await.expect("the embedded form has a guest");
    (server, guest)
}

/// The action greets Ada, twice: cold with `initTime`, then warm without.
async fn greets(me: &Namespace, name: &str) -> Value {
    let mut record = me.record_of(name, &json!({ "name": "Ada" })).await;
    assert_eq!(record["response"]["result"], json!({ "greeting": "Hello Ada!" }));
    assert!(annotation(&record, "initTime").is_some(), "the first run is cold: {record}");
    for _ in 0..TRIES {
        record = me.record_of(name, &json!({ "name": "Ada" })).await;
        assert_eq!(record["response"]["result"], json!({ "greeting": "Hello Ada!" }));
        if annotation(&record, "initTime").is_none() {
            return record;
        }
    }
    panic!("the second run finds a warm container: {record}");
}

#[tokio::test]
async fn the_ready_line_tells_all_that_a_newcomer_needs() {
    let (server, guest) = start().await;
    let output = server.output();
    for needed in [server.url(), GUEST, "wsk property set", "curl"] {
        assert!(output.contains(needed), "{needed:?} is missing in:\n{output}");
    }
    assert!(output.contains("unthrottled"), "that throttles are off is said:\n{output}");
    let runtime = match guest.isolation().await {
        Isolation::Containers(_) => "docker",
        Isolation::Processes => "process",
    };
    assert!(output.to_lowercase().contains(runtime), "{runtime} is missing in:\n{output}");
    server.stop().await;
}

#[tokio::test]
async fn ready_means_that_an_action_runs() {
    let (server, guest) = start().await;
    let name = guest.put_js("greeting", GREETING_JS).await;
    guest.result(&name, &json!({})).await;
    // After a crash there is most to do before the first action can run.
    let server = server.kill().await.spawn();
    let said = || async { server.output().contains("oxwhisk is ready").then_some(()) };
    wait::until("the ready line", Duration::from_secs(60), said).await;
    // Without the patience that the harness has when it starts a server.
    assert_eq!(guest.result(&name, &json!({ "name": "Ada" })).await, json!({ "greeting": "Hello Ada!" }));
    server.stop().await;
}

#[tokio::test]
async fn the_line_to_paste_invokes_something() {
    let (server, _) = start().await;
    let output = server.output();
    let line = output.lines().map(str::trim).find(|line| line.starts_with("curl "));
    let line = line.unwrap_or_else(|| panic!("there is a line with curl in:\n{output}"));
    let pasted = tokio::process::Command::new("sh").args(["-c", line]).output().await;
    let pasted = pasted.expect("the system has a shell");
    let answer: Value = serde_json::from_slice(&pasted.stdout).unwrap_or_default();
    assert!(pasted.status.success() && answer["greeting"] == "Hello Ada!", "{line}\n{pasted:?}");
    server.stop().await;
}

#[tokio::test]
async fn a_python_action_greets() {
    let (server, guest) = start().await;
    let name = guest.put_python("greeting", GREETING_PY).await;
    greets(&guest, &name).await;
    assert_eq!(guest.result(&name, &json!({})).await, json!({ "greeting": "Hello stranger!" }));
    server.stop().await;
}

#[tokio::test]
async fn a_node_action_greets_and_logs() {
    let (server, guest) = start().await;
    let name = guest.put_js("greeting", GREETING_JS).await;
    let record = greets(&guest, &name).await;
    let logs = record["logs"].as_array().cloned().unwrap_or_default();
    assert_eq!(logs.len(), 1, "{record}");
    assert!(logs[0].as_str().is_some_and(|line| line.ends_with(" stdout: greeting Ada")), "{record}");
    server.stop().await;
}

#[tokio::test]
async fn archives_bring_their_dependencies() {
    let (server, guest) = start().await;
    let node = guest.put_js("zip", &fixtures::node_zip()).await;
    greets(&guest, &node).await;
    let python = guest.put_python("zip", &fixtures::python_zip()).await;
    greets(&guest, &python).await;
    server.stop().await;
}

#[tokio::test]
async fn an_action_calls_another_one() {
    let (server, guest) = start().await;
    let greeting = guest.put_js("greeting", GREETING_JS).await;
    let mut body = fixtures::js(CALL_BACK);
    body["annotations"] = json!([{ "key": "provide-api-key", "value": true }]);
    let caller = guest.create("caller", &body).await;
    let result = guest.result(&caller, &json!({ "action": greeting, "params": { "name": "Ada" } })).await;
    assert_eq!(result, json!({ "greeting": "Hello Ada!" }));
    server.stop().await;
}
