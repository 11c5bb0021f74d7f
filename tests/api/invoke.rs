//! Invoking actions that do well: statuses, bodies, waiting.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tests::fixtures::{self, ARRAY, ECHO, SLEEP};
use tests::whisk::Whisk;
use tokio::time::Instant;

#[tokio::test]
async fn case_150_result_alone_does_not_wait() {
    let me = Whisk::shared().await.namespace().await;
    let echo = me.put_js("echo", ECHO).await;
    for query in ["", "?result=true"] {
        let answer = me.post(format!("actions/{echo}{query}"), &json!({})).await.expect(202);
        assert_eq!(answer.json(), json!({ "activationId": answer.activation_id() }));
        let header = answer.header("x-openwhisk-activation-id").map(str::to_owned);
        assert_eq!(header, Some(answer.activation_id()));
    }
}

#[tokio::test]
async fn case_151_blocking_invoke_returns_the_record() {
    let me = Whisk::shared().await.namespace().await;
    let echo = me.put_js("echo", ECHO).await;
    let answer = me.invoke(&echo, &json!({ "a": 1 })).await.expect(200);
    let record = answer.json();
    assert_eq!(answer.header("x-openwhisk-activation-id"), record["activationId"].as_str());
    assert_eq!(record["activationId"], json!(answer.activation_id()));
    assert_eq!(record["response"]["success"], true);
    assert_eq!(record["response"]["status"], "success");
    assert_eq!(record["response"]["result"], json!({ "a": 1 }));
    assert_eq!(record["response"]["size"], 7);
    assert!(record["response"].get("statusCode").is_none(), "{record}");
    assert_eq!(record["logs"], json!([]));
    for key in ["start", "end", "duration", "annotations"] {
        assert!(!record[key].is_null(), "{key} is missing: {record}");
    }
}

#[tokio::test]
async fn case_152_blocking_with_result_returns_the_result() {
    let me = Whisk::shared().await.namespace().await;
    let echo = me.put_js("echo", ECHO).await;
    let call = me.post(format!("actions/{echo}?blocking=true&result=true"), &json!({ "a": [1, null] }));
    let answer = call.await.expect(200);
    assert_eq!(answer.json(), json!({ "a": [1, null] }));
    assert!(answer.header("x-openwhisk-activation-id").is_some(), "{}", answer.story());
}

#[tokio::test]
async fn cases_153_154_the_body_may_be_missing() {
    let me = Whisk::shared().await.namespace().await;
    let mut body = fixtures::js(ECHO);
    body["parameters"] = json!([{ "key": "stored", "value": 1 }]);
    let echo = me.create("echo", &body).await;
    let path = format!("actions/{echo}?blocking=true&result=true");
    let none = me.request(Method::POST, &path).await.expect(200);
    assert_eq!(none.json(), json!({ "stored": 1 }));
    let empty = me.request(Method::POST, &path).body("application/json", "").await.expect(200);
    assert_eq!(empty.json(), json!({ "stored": 1 }));
    assert_eq!(me.post(&path, &json!({})).await.expect(200).json(), json!({ "stored": 1 }));
}

#[tokio::test]
async fn case_155_the_payload_is_an_object() {
    let me = Whisk::shared().await.namespace().await;
    let echo = me.put_js("echo", ECHO).await;
    for payload in [json!([1, 2]), json!("x"), json!(1), json!(true)] {
        let answer = me.post(format!("actions/{echo}"), &payload).await.expect(400);
        answer.error_contains("JSON object expected");
    }
    let call = me.request(Method::POST, format!("actions/{echo}")).body("application/json", "{");
    call.await.expect(400).error_contains("The request content was malformed:\n");
}

#[tokio::test]
async fn case_156_the_payload_is_json() {
    let me = Whisk::shared().await.namespace().await;
    let echo = me.put_js("echo", ECHO).await;
    for text in ["{}", ""] {
        me.request(Method::POST, format!("actions/{echo}")).body("text/plain", text).await.expect(415);
    }
}

#[tokio::test]
async fn case_158_the_wait_is_bounded() {
    let me = Whisk::shared().await.namespace().await;
    let echo = me.put_js("echo", ECHO).await;
    for timeout in ["0", "60001", "xyz", "-1"] {
        for blocking in ["true", "false"] {
            let path = format!("actions/{echo}?blocking={blocking}&timeout={timeout}");
            let answer = me.post(path, &json!({})).await.expect(400);
            answer.error_contains("Timeout must be number of milliseconds up to 60000.");
        }
    }
    me.post(format!("actions/{echo}?blocking=true&timeout=60000"), &json!({})).await.expect(200);
}

#[tokio::test]
async fn case_159_a_wait_that_ends_before_the_action() {
    let me = Whisk::shared().await.namespace().await;
    let sleep = me.put_js("sleep", SLEEP).await;
    let begun = Instant::now();
    let path = format!("actions/{sleep}?blocking=true&timeout=500");
    let answer = me.post(path, &json!({ "ms": 5_000 })).await.expect(202);
    let waited = begun.elapsed();
    assert_eq!(answer.json(), json!({ "activationId": answer.activation_id() }));
    let about = Duration::from_millis(450)..Duration::from_millis(3_000);
    assert!(about.contains(&waited), "waited {waited:?}");
    let record = me.wait_for_activation(&answer.activation_id()).await;
    assert_eq!(record["response"]["status"], "success");
    assert_eq!(record["response"]["result"], json!({ "slept": 5_000 }));
}

#[tokio::test]
async fn case_160_a_wait_ends_after_a_minute() {
    let me = Whisk::shared().await.namespace().await;
    let mut body = fixtures::js(SLEEP);
    body["limits"]["timeout"] = json!(90_000);
    let sleep = me.create("sleep", &body).await;
    let begun = Instant::now();
    let answer = me.invoke(&sleep, &json!({ "ms": 63_000 })).await.expect(202);
    assert!(begun.elapsed() >= Duration::from_secs(59), "waited {:?}", begun.elapsed());
    let record = me.wait_for_activation(&answer.activation_id()).await;
    assert_eq!(record["response"]["status"], "success");
}

#[tokio::test]
async fn case_174_an_array_is_answered_bare() {
    let me = Whisk::shared().await.namespace().await;
    let array = me.put_js("array", ARRAY).await;
    for query in ["blocking=true", "blocking=true&result=true"] {
        let answer = me.post(format!("actions/{array}?{query}"), &json!({})).await.expect(200);
        assert_eq!(answer.json(), json!(["a", "b"]));
        let id = answer.header("x-openwhisk-activation-id").expect("every activation has an id");
        let record = me.wait_for_activation(id).await;
        assert_eq!(record["response"]["result"], json!(["a", "b"]));
    }
}

#[tokio::test]
async fn case_184_unicode_is_preserved() {
    let me = Whisk::shared().await.namespace().await;
    let text = "¡Grüße, 世界 🚀!";
    let py =
        "def main(args):\n    print(args[\"text\"])\n    return {\"text\": args[\"text\"], \"ö\": \"ü\"}\n";
    let js = "function main({ text }) { console.log(text); return { text, 'ö': 'ü' }; }";
    let expected: Value = json!({ "text": text, "ö": "ü" });
    for name in [me.put_js("js", js).await, me.put_python("py", py).await] {
        let record = me.record_of(&name, &json!({ "text": text })).await;
        assert_eq!(record["response"]["result"], expected);
        let line = record["logs"][0].as_str().unwrap_or_default().to_owned();
        assert!(line.ends_with(&format!("stdout: {text}")), "{record}");
    }
}

#[tokio::test]
async fn case_185_markup_is_not_escaped() {
    let me = Whisk::shared().await.namespace().await;
    let echo = me.put_js("echo", ECHO).await;
    let path = format!("actions/{echo}?blocking=true&result=true");
    let answer = me.post(path, &json!({ "text": "a & b < c > d" })).await.expect(200);
    assert_eq!(answer.text(), r#"{"text":"a & b < c > d"}"#);
}
