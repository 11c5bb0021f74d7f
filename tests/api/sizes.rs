//! How large code, parameters, annotations and payloads may be.

use serde_json::{Value, json};
use tests::fixtures::{self, ECHO, LENGTH};
use tests::place::unique;
use tests::whisk::Whisk;

const MEBI: usize = 1 << 20;

/// An action whose code is one byte too long.
fn oversized() -> Value {
    fixtures::js(&"x".repeat(48 * MEBI + 1))
}

/// A list with one entry of about so many bytes.
fn list_of(size: usize) -> Value {
    json!([{ "key": "k", "value": "v".repeat(size) }])
}

#[tokio::test]
async fn case_135_code() {
    let me = Whisk::shared().await.namespace().await;
    let path = format!("actions/{}", unique("a"));
    let answer = me.put(&path, &oversized()).await.expect(413);
    answer.error_contains("exec larger than allowed:").error_contains("> 50331648 bytes.");
    me.get(&path).await.expect(404);
}

#[tokio::test]
async fn cases_136_137_parameters_and_annotations() {
    let me = Whisk::shared().await.namespace().await;
    for field in ["parameters", "annotations"] {
        let mut body = fixtures::js(ECHO);
        body[field] = list_of(MEBI);
        let answer = me.put(format!("actions/{}", unique("a")), &body).await.expect(413);
        let answer = answer.error_contains(&format!("{field} larger than allowed:"));
        answer.error_contains("> 1048576 bytes.");
    }
}

#[tokio::test]
async fn case_138_a_namespace_with_smaller_parameters() {
    let Some((me, admin)) = Whisk::shared().await.fresh(138).await else { return };
    admin.set_limits(&me.name, &["--maxParameterSize", "1024 B"]).await;
    me.wait_for_limit("maxParameterSize", &json!("1024 B")).await;
    let mut body = fixtures::js(ECHO);
    body["parameters"] = list_of(2_000);
    let path = format!("actions/{}", unique("a"));
    let answer = me.put(&path, &body).await.expect(413);
    answer.error_contains("parameters larger than allowed:").error_contains("> 1024 bytes.");
    // The key counts one byte, the value its two quotes.
    body["parameters"] = list_of(1_024 - 3);
    me.put(&path, &body).await.expect(200);
}

#[tokio::test]
async fn case_139_code_of_an_update() {
    let me = Whisk::shared().await.namespace().await;
    let name = me.put_js("a", ECHO).await;
    let answer = me.put(format!("actions/{name}?overwrite=true"), &oversized()).await.expect(413);
    answer.error_contains("exec larger than allowed:");
    let action = me.get(format!("actions/{name}")).await.expect(200).json();
    assert_eq!(action["version"], "0.0.1");
}

#[tokio::test]
async fn case_178_a_payload() {
    let me = Whisk::shared().await.namespace().await;
    let name = me.put_js("echo", ECHO).await;
    for name in [name, unique("missing")] {
        let payload = json!({ "text": "x".repeat(MEBI) });
        let answer = me.post(format!("actions/{name}"), &payload).await.expect(413);
        answer.error_contains("Request larger than allowed:").error_contains("> 1048576 bytes.");
    }
}

#[tokio::test]
async fn case_179_a_namespace_with_smaller_payloads() {
    let Some((me, admin)) = Whisk::shared().await.fresh(179).await else { return };
    admin.set_limits(&me.name, &["--maxPayloadSize", "1024 B"]).await;
    me.wait_for_some_limit("maxPayloadSize").await;
    let name = me.put_js("echo", ECHO).await;
    let payload = json!({ "text": "x".repeat(1_500) });
    let answer = me.post(format!("actions/{name}"), &payload).await.expect(413);
    answer.error_contains("Request larger than allowed:").error_contains("> 1024 bytes.");
    me.post(format!("actions/{name}"), &json!({ "text": "x" })).await.expect(202);
}

#[tokio::test]
async fn case_180_a_payload_that_just_fits() {
    let me = Whisk::shared().await.namespace().await;
    let name = me.put_js("length", LENGTH).await;
    let length = MEBI - 100;
    let result = me.result(&name, &json!({ "text": "x".repeat(length) })).await;
    assert_eq!(result, json!({ "length": length }));
}
