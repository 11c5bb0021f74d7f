//! Invoking actions that do badly: each way to fail has its status class, text and record.

use serde_json::{Value, json};
use tests::answer::Answer;
use tests::fixtures::{
    self, APPLICATION_ERROR, BIG_RESULT, ECHO, EXIT, HANG_IN_INIT, HOG, NUMBER, SLEEP, SYNTAX_ERROR, THROW,
};
use tests::namespace::{Isolation, annotation};
use tests::whisk::Whisk;

const DEVELOPER: &str = "action developer error";
const APPLICATION: &str = "application error";
const DIED: &str = "The action did not produce a valid response and exited unexpectedly.";

/// Demands a failure of this class; returns the error.
#[track_caller]
fn failed(answer: &Answer, class: &str) -> Value {
    assert_eq!(answer.status, 502, "{}", answer.story());
    let response = answer.json()["response"].clone();
    assert_eq!(response["status"], class, "{}", answer.story());
    assert_eq!(response["success"], false);
    let error = response["result"]["error"].clone();
    assert!(!error.is_null(), "a failure has an error: {}", answer.story());
    error
}

/// A body with this time limit.
fn limited(code: &str, milliseconds: u64) -> Value {
    let mut body = fixtures::js(code);
    body["limits"]["timeout"] = json!(milliseconds);
    body
}

#[tokio::test]
async fn case_161_an_application_error() {
    let me = Whisk::shared().await.namespace().await;
    let name = me.put_js("bad", APPLICATION_ERROR).await;
    let answer = me.invoke(&name, &json!({})).await;
    assert_eq!(failed(&answer, APPLICATION), "x");
    assert_eq!(answer.json()["response"]["result"], json!({ "error": "x" }));
}

#[tokio::test]
async fn case_162_an_application_error_as_result() {
    let me = Whisk::shared().await.namespace().await;
    let name = me.put_js("bad", APPLICATION_ERROR).await;
    let answer = me.post(format!("actions/{name}?blocking=true&result=true"), &json!({})).await.expect(502);
    assert_eq!(answer.json(), json!({ "error": "x" }));
}

#[tokio::test]
async fn case_163_an_action_that_throws() {
    let me = Whisk::shared().await.namespace().await;
    let py = "def main(args): raise ValueError(\"on purpose\")\n";
    for name in [me.put_js("throw", THROW).await, me.put_python("raise", py).await] {
        let answer = me.invoke(&name, &json!({})).await.expect(502);
        let response = answer.json()["response"].clone();
        assert!(response["status"] == DEVELOPER || response["status"] == APPLICATION, "{}", answer.story());
        assert!(!response["result"]["error"].is_null(), "{}", answer.story());
    }
}

#[tokio::test]
async fn case_164_a_syntax_error() {
    let me = Whisk::shared().await.namespace().await;
    let py = "def main(args: return 1\n";
    for name in [me.put_js("broken", SYNTAX_ERROR).await, me.put_python("broken", py).await] {
        failed(&me.invoke(&name, &json!({})).await, DEVELOPER);
    }
}

#[tokio::test]
async fn an_entry_point_that_is_missing() {
    let me = Whisk::shared().await.namespace().await;
    for name in [me.put_js("none", "let x = 1;").await, me.put_python("none", "x = 1\n").await] {
        failed(&me.invoke(&name, &json!({})).await, DEVELOPER);
    }
}

#[tokio::test]
async fn an_archive_that_is_none() {
    let me = Whisk::shared().await.namespace().await;
    // Base64 by its looks, and no zip.
    for name in [me.put_js("zip", "bm90IGEgemlw").await, me.put_python("zip", "bm90IGEgemlw").await] {
        failed(&me.invoke(&name, &json!({})).await, DEVELOPER);
    }
}

#[tokio::test]
async fn case_166_an_action_that_ends_its_process() {
    let me = Whisk::shared().await.namespace().await;
    let py = "import os\ndef main(args): os._exit(1)\n";
    for name in [me.put_js("exit", EXIT).await, me.put_python("exit", py).await] {
        let answer = me.invoke(&name, &json!({})).await;
        assert_eq!(failed(&answer, DEVELOPER), DIED);
    }
}

#[tokio::test]
async fn case_167_an_initialization_that_hangs() {
    let me = Whisk::shared().await.namespace().await;
    let name = me.create("hang", &limited(HANG_IN_INIT, 2_000)).await;
    let answer = me.invoke(&name, &json!({})).await;
    let text = "The action exceeded its time limits of 2000 milliseconds during initialization.";
    assert_eq!(failed(&answer, DEVELOPER), text);
}

#[tokio::test]
async fn cases_168_169_an_action_beyond_its_time() {
    let me = Whisk::shared().await.namespace().await;
    let name = me.create("slow", &limited(SLEEP, 1_000)).await;
    let answer = me.invoke(&name, &json!({ "ms": 20_000 })).await;
    let text = "The action exceeded its time limits of 1000 milliseconds.";
    assert_eq!(failed(&answer, DEVELOPER), text);
    let record = answer.json();
    assert!(record["duration"].as_u64().is_some_and(|duration| duration >= 1_000), "{record}");
    assert_eq!(annotation(&record, "timeout"), Some(&json!(true)));

    let result = me.result(&name, &json!({ "ms": 1 })).await;
    assert_eq!(result, json!({ "slept": 1 }), "the next one is served again");
}

#[tokio::test]
async fn case_170_an_image_that_does_not_exist() {
    let me = Whisk::shared().await.namespace().await;
    // Nobody serves images there, and no traffic leaves the machine.
    let image = "localhost:1/oxwhisk/missing:1";
    let body = json!({ "exec": { "kind": "blackbox", "image": image }, "limits": { "memory": 128 } });
    let name = me.create("image", &body).await;
    let answer = me.invoke(&name, &json!({})).await;
    let error = failed(&answer, DEVELOPER);
    let limits = json!({ "timeout": 60_000, "memory": 128, "logs": 10, "concurrency": 1 });
    assert_eq!(annotation(&answer.json(), "limits"), Some(&limits));
    if me.isolation().await != Isolation::Processes {
        assert_eq!(error, json!(format!("Failed to pull container image '{image}'.")));
    }
}

#[tokio::test]
async fn case_171_a_result_that_is_too_large() {
    let me = Whisk::shared().await.namespace().await;
    let name = me.put_js("big", BIG_RESULT).await;
    let answer = me.invoke(&name, &json!({ "size": 2 << 20 })).await;
    let error = failed(&answer, APPLICATION);
    let text = error.as_str().unwrap_or_default();
    let beginning = "The action produced a response that exceeded the allowed length: ";
    assert!(text.starts_with(beginning), "{}", answer.story());
    assert!(
        text.contains("> 1048576 bytes. The truncated response was: {\"big\":\"xxx"),
        "{}",
        answer.story()
    );
    let fits = me.result(&name, &json!({ "size": 1_000_000 })).await;
    assert_eq!(fits["big"].as_str().map(str::len), Some(1_000_000));
}

#[tokio::test]
async fn case_172_an_action_beyond_its_memory() {
    let me = Whisk::shared().await.namespace().await;
    let name = me.put_js("hog", HOG).await;
    let answer = me.invoke(&name, &json!({})).await;
    let error = failed(&answer, DEVELOPER);
    let exhausted = "The action exhausted its memory and was aborted.";
    match me.isolation().await {
        Isolation::Containers(_) => assert_eq!(error, exhausted),
        // Without a container nothing tells that memory was the reason.
        Isolation::Processes => assert!(error == exhausted || error == DIED, "{}", answer.story()),
    }
    let echo = me.put_js("echo", ECHO).await;
    assert_eq!(me.result(&echo, &json!({ "still": "here" })).await, json!({ "still": "here" }));
}

#[tokio::test]
async fn a_result_that_is_no_object() {
    let me = Whisk::shared().await.namespace().await;
    let py = "def main(args): return 42\n";
    for name in [me.put_js("number", NUMBER).await, me.put_python("number", py).await] {
        failed(&me.invoke(&name, &json!({})).await, DEVELOPER);
    }
}
