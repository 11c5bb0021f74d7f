//! What holds everywhere.

use std::time::Duration;

use serde_json::json;
use tests::fixtures::{self, ECHO};
use tests::place::unique;
use tests::whisk::Whisk;

#[tokio::test]
async fn case_438_a_write_is_seen_at_once() {
    let me = Whisk::shared().await.namespace().await;
    for _ in 0..10 {
        let name = me.put_js("a", ECHO).await;
        let path = format!("actions/{name}");
        me.get(&path).await.expect(200);
        let updated = me.update(&name, &json!({ "publish": true })).await;
        assert_eq!(me.get(&path).await.expect(200).json(), updated);
        me.delete(&path).await.expect(200);
        me.get(&path).await.expect(404);
    }
}

#[tokio::test]
async fn an_invocation_sees_the_update_before_it() {
    let me = Whisk::shared().await.namespace().await;
    let name = me.put_js("a", ECHO).await;
    me.result(&name, &json!({})).await;
    for number in 1..=3 {
        let code = format!("function main() {{ return {{ number: {number} }}; }}");
        me.update(&name, &fixtures::js(&code)).await;
        assert_eq!(me.result(&name, &json!({})).await, json!({ "number": number }));
    }
}

#[tokio::test]
async fn case_439_nothing_of_the_store_is_shown() {
    let me = Whisk::shared().await.namespace().await;
    let name = unique("a");
    let path = format!("actions/{name}");
    for answer in [
        me.put(&path, &fixtures::js(ECHO)).await.expect(200),
        me.get(&path).await.expect(200),
        me.get("actions").await.expect(200),
        me.delete(&path).await.expect(200),
    ] {
        for field in ["\"_id\"", "\"_rev\"", "\"entityType\""] {
            assert!(!answer.text().contains(field), "{field} in {}", answer.story());
        }
    }
}

#[tokio::test]
async fn case_440_a_deleted_name_is_free() {
    let me = Whisk::shared().await.namespace().await;
    let path = format!("actions/{}", unique("a"));
    me.put(&path, &fixtures::js(ECHO)).await.expect(200);
    me.put(format!("{path}?overwrite=true"), &json!({ "publish": true })).await.expect(200);
    me.delete(&path).await.expect(200);
    let again = me.put(&path, &fixtures::python(fixtures::GREETING_PY)).await.expect(200).json();
    assert_eq!(again["version"], "0.0.1");
    assert_eq!(again["publish"], false);
}

#[tokio::test]
async fn case_442_updated_grows() {
    let me = Whisk::shared().await.namespace().await;
    let name = unique("a");
    let first = me.put(format!("actions/{name}"), &fixtures::js(ECHO)).await.expect(200).json();
    let mut last = first["updated"].as_u64().expect("a time is a number");
    for _ in 0..3 {
        // The unit is a millisecond.
        tokio::time::sleep(Duration::from_millis(2)).await;
        let updated = me.update(&name, &json!({})).await["updated"].as_u64().expect("a time is a number");
        assert!(updated > last, "{updated} after {last}");
        last = updated;
    }
}

#[tokio::test]
async fn case_443_forms_of_a_boolean() {
    let me = Whisk::shared().await.namespace().await;
    let echo = me.put_js("echo", ECHO).await;
    for (form, status) in [
        ("1", 200),
        ("TRUE", 200),
        ("yes", 200),
        ("On", 200),
        ("", 202),
        ("0", 202),
        ("False", 202),
        ("no", 202),
        ("off", 202),
    ] {
        me.post(format!("actions/{echo}?blocking={form}"), &json!({})).await.expect(status);
    }
    let answer = me.post(format!("actions/{echo}?blocking=x"), &json!({})).await.expect(400);
    answer.error_contains("The query parameter 'blocking' was malformed:\n");
}

#[tokio::test]
async fn case_444_what_is_unknown_is_ignored() {
    let me = Whisk::shared().await.namespace().await;
    let mut body = fixtures::js(ECHO);
    body["unknown"] = json!({ "x": 1 });
    body["namespace"] = json!("elsewhere");
    body["name"] = json!("somebody");
    let name = unique("a");
    let action = me.put(format!("actions/{name}?unknown=1"), &body).await.expect(200).json();
    assert_eq!(action["name"], json!(name));
    assert_eq!(action["namespace"], json!(me.name));
    assert!(action.get("unknown").is_none(), "{action}");
    me.get(format!("actions/{name}?unknown=1")).await.expect(200);
    me.get("activations?unknown=1").await.expect(200);
}
