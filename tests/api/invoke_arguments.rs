//! What an action receives: merged parameters, final ones, the environment.

use serde_json::{Value, json};
use tests::fixtures::{self, ECHO, ENVIRONMENT};
use tests::whisk::Whisk;

const RESERVED: &str = "Request defines parameters that are not allowed (e.g., reserved properties).";

fn with_parameters(code: &str, parameters: Value) -> Value {
    let mut body = fixtures::js(code);
    body["parameters"] = parameters;
    body
}

#[tokio::test]
async fn case_175_the_payload_wins_over_stored_parameters() {
    let me = Whisk::shared().await.namespace().await;
    let echo = me.create("echo", &with_parameters(ECHO, json!([{ "key": "a", "value": 1 }]))).await;
    assert_eq!(me.result(&echo, &json!({ "b": 2 })).await, json!({ "a": 1, "b": 2 }));
    assert_eq!(me.result(&echo, &json!({ "a": 3 })).await, json!({ "a": 3 }));
}

#[tokio::test]
async fn cases_176_177_final_parameters() {
    let me = Whisk::shared().await.namespace().await;
    let parameters = json!([{ "key": "x", "value": "X" }, { "key": "empty", "value": null }]);
    let mut body = with_parameters(ECHO, parameters);
    body["annotations"] = json!([{ "key": "final", "value": true }]);
    let echo = me.create("echo", &body).await;
    let path = format!("actions/{echo}");
    me.post(&path, &json!({ "x": 1 })).await.expect(400).error(RESERVED);
    me.post(&path, &json!({ "z": 1 })).await.expect(202);
    me.post(&path, &json!({ "empty": 1 })).await.expect(202);
    let result = me.result(&echo, &json!({ "z": 1, "empty": 1 })).await;
    assert_eq!(result, json!({ "x": "X", "z": 1, "empty": 1 }));
}

#[tokio::test]
async fn final_must_be_a_boolean() {
    let me = Whisk::shared().await.namespace().await;
    let mut body = with_parameters(ECHO, json!([{ "key": "x", "value": "X" }]));
    body["annotations"] = json!([{ "key": "final", "value": "true" }]);
    let echo = me.create("echo", &body).await;
    assert_eq!(me.result(&echo, &json!({ "x": 1 })).await, json!({ "x": 1 }));
}

#[tokio::test]
async fn case_182_the_key_is_given_only_where_it_is_asked_for() {
    let me = Whisk::shared().await.namespace().await;
    let without = me.put_js("env", ENVIRONMENT).await;
    let result = me.result(&without, &json!({})).await;
    assert!(result["env"].get("__OW_API_KEY").is_none(), "the key is given away");

    let mut body = fixtures::js(ENVIRONMENT);
    body["annotations"] = json!([{ "key": "provide-api-key", "value": true }]);
    let with = me.create("env", &body).await;
    let result = me.result(&with, &json!({})).await;
    assert!(result["env"]["__OW_API_KEY"] == json!(me.auth), "the key is the caller's");
}

#[tokio::test]
async fn the_environment_tells_the_activation() {
    let me = Whisk::shared().await.namespace().await;
    let name = me.put_js("env", ENVIRONMENT).await;
    let answer = me.invoke(&name, &json!({})).await.expect(200);
    let env = answer.json()["response"]["result"]["env"].clone();
    assert_eq!(env["__OW_NAMESPACE"], json!(me.name));
    assert_eq!(env["__OW_ACTION_NAME"], json!(format!("/{}/{name}", me.name)));
    assert_eq!(env["__OW_ACTION_VERSION"], "0.0.1");
    assert_eq!(env["__OW_ACTIVATION_ID"], json!(answer.activation_id()));
    assert_eq!(env["__OW_TRANSACTION_ID"].as_str(), answer.header("x-request-id"));
    assert!(env["__OW_API_HOST"].as_str().is_some_and(|host| !host.is_empty()), "{env}");
    let deadline: u64 = env["__OW_DEADLINE"].as_str().and_then(|text| text.parse().ok()).unwrap_or_default();
    let start = answer.json()["start"].as_u64().unwrap_or_default();
    assert!((start..start + 70_000).contains(&deadline), "{deadline} is no deadline for {start}");
}

#[tokio::test]
async fn case_183_init_parameters_go_to_the_environment() {
    let me = Whisk::shared().await.namespace().await;
    let parameters = json!([
        { "key": "GREETING", "value": "hello", "init": true },
        { "key": "STRUCTURE", "value": { "a": [1] }, "init": true },
        { "key": "NOTHING", "value": null, "init": true },
        { "key": "plain", "value": 1 },
    ]);
    let body = with_parameters(ENVIRONMENT, parameters);
    let name = me.create("env", &body).await;
    let result = me.result(&name, &json!({})).await;
    assert_eq!(result["env"]["GREETING"], "hello");
    assert_eq!(result["env"]["STRUCTURE"], r#"{"a":[1]}"#);
    assert_eq!(result["env"]["NOTHING"], "");
    assert_eq!(result["args"], json!({ "plain": 1 }));

    let cold = me.create("env", &body).await;
    let result = me.result(&cold, &json!({ "GREETING": "bye" })).await;
    assert_eq!(result["env"]["GREETING"], "bye");
    assert_eq!(result["args"], json!({ "plain": 1 }));
}
