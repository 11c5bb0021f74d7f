//! The limits of an action, and what a namespace may make of them.

use serde_json::{Value, json};
use tests::fixtures::{self, ECHO};
use tests::namespace::Namespace;
use tests::place::unique;
use tests::whisk::Whisk;

use crate::actions_update::default_python;

fn with_limits(limits: Value) -> Value {
    let mut body = fixtures::js(ECHO);
    body["limits"] = limits;
    body
}

async fn refused(me: &Namespace, limits: Value, text: &str) {
    let answer = me.put(format!("actions/{}", unique("a")), &with_limits(limits)).await.expect(400);
    answer.error_contains(text);
}

#[tokio::test]
async fn cases_123_124_memory() {
    let me = Whisk::shared().await.namespace().await;
    let text = "memory size 127 MB below allowed threshold of 128 MB";
    refused(&me, json!({ "memory": 127 }), text).await;
    let text = "memory size 513 MB exceeds allowed threshold of 512 MB";
    refused(&me, json!({ "memory": 513 }), text).await;
}

#[tokio::test]
async fn case_126_time() {
    let me = Whisk::shared().await.namespace().await;
    let text = "duration 300001 milliseconds exceeds allowed threshold of 300000 milliseconds";
    refused(&me, json!({ "timeout": 300_001 }), text).await;
    let text = "duration 99 milliseconds below allowed threshold of 100 milliseconds";
    refused(&me, json!({ "timeout": 99 }), text).await;
}

#[tokio::test]
async fn case_127_logs() {
    let me = Whisk::shared().await.namespace().await;
    refused(&me, json!({ "logs": 11 }), "log size 11 MB exceeds allowed threshold of 10 MB").await;
    me.put(format!("actions/{}", unique("a")), &with_limits(json!({ "logs": 0 }))).await.expect(200);
}

#[tokio::test]
async fn case_128_concurrency() {
    let me = Whisk::shared().await.namespace().await;
    refused(&me, json!({ "concurrency": 2 }), "concurrency 2 exceeds allowed threshold of 1").await;
    refused(&me, json!({ "concurrency": 0 }), "concurrency 0 below allowed threshold of 1").await;
}

#[tokio::test]
async fn cases_129_130_instances() {
    let me = Whisk::throttled().await.namespace().await;
    let allowed = me.get("limits").await.expect(200).json()["concurrentInvocations"].clone();
    let allowed = allowed.as_u64().expect("a limit is a number");
    let body = with_limits(json!({ "instances": allowed + 1 }));
    let answer = me.put(format!("actions/{}", unique("a")), &body).await.expect(400);
    answer.error(&format!(
        "Max action instance concurrency must not exceed your namespace concurrency of {allowed}."
    ));
    let body = with_limits(json!({ "instances": 2 }));
    let action = me.put(format!("actions/{}", unique("a")), &body).await.expect(200).json();
    assert_eq!(action["limits"]["instances"], 2);
}

#[tokio::test]
async fn case_131_limits_are_whole_numbers() {
    let me = Whisk::shared().await.namespace().await;
    refused(&me, json!({ "timeout": 1000.5 }), "time limit must be whole number").await;
    refused(&me, json!({ "memory": 128.5 }), "memory limit must be whole number").await;
    refused(&me, json!({ "logs": 0.5 }), "log limit must be whole number").await;
    refused(&me, json!({ "timeout": "1000" }), "time limit malformed").await;
}

#[tokio::test]
async fn case_132_a_namespace_with_less_memory() {
    let Some((me, admin)) = Whisk::shared().await.fresh(132).await else { return };
    admin.set_limits(&me.name, &["--maxActionMemory", "128"]).await;
    me.wait_for_limit("maxActionMemory", &json!(128)).await;
    let text = "memory size 512 MB exceeds allowed threshold of 128 MB";
    refused(&me, json!({ "memory": 512 }), text).await;
    refused(&me, json!({ "memory": 1024 }), "exceeds allowed threshold of 128 MB").await;
    me.put(format!("actions/{}", unique("a")), &with_limits(json!({ "memory": 128 }))).await.expect(200);
}

#[tokio::test]
async fn case_134_a_namespace_with_longer_actions() {
    let Some((me, admin)) = Whisk::shared().await.fresh(134).await else { return };
    admin.set_limits(&me.name, &["--minActionTimeout", "1000"]).await;
    me.wait_for_limit("minActionTimeout", &json!(1000)).await;
    refused(&me, json!({ "timeout": 500 }), "below allowed threshold of 1000 milliseconds").await;
}

#[tokio::test]
async fn case_140_a_namespace_with_fewer_kinds() {
    let whisk = Whisk::shared().await;
    let Some((me, admin)) = whisk.fresh(140).await else { return };
    admin.set_limits(&me.name, &["--allowedKinds", "nodejs:20"]).await;
    me.wait_for_limit("allowedKinds", &json!(["nodejs:20"])).await;
    let kind = default_python(&whisk).await;
    let body = fixtures::python(fixtures::GREETING_PY);
    let answer = me.put(format!("actions/{}", unique("a")), &body).await.expect(403);
    answer
        .error(&format!("The supplied authentication is not authorized to access actions of kind '{kind}'."));
    me.put_js("a", ECHO).await;
}
