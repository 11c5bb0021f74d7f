//! Creating actions: what comes back, what is refused.

use common::clock::{Clock, SystemClock};
use serde_json::{Value, json};
use tests::fixtures::{self, ECHO};
use tests::namespace::annotation;
use tests::place::unique;
use tests::whisk::Whisk;

fn default_js() -> Value {
    json!({ "exec": { "kind": "nodejs:default", "code": "function main(){}" } })
}

#[tokio::test]
async fn cases_078_079_080_defaults_of_a_new_action() {
    let me = Whisk::shared().await.namespace().await;
    let name = unique("a");
    let action = me.put(format!("actions/{name}"), &default_js()).await.expect(200).json();
    assert_eq!(action["namespace"], json!(me.name));
    assert_eq!(action["name"], json!(name));
    assert_eq!(action["exec"]["kind"], "nodejs:20");
    assert_eq!(action["exec"]["binary"], false);
    assert_eq!(action["version"], "0.0.1");
    assert_eq!(action["publish"], false);
    let limits = json!({ "timeout": 60_000, "memory": 256, "logs": 10, "concurrency": 1 });
    assert_eq!(action["limits"], limits, "and no instances");
    assert_eq!(action["parameters"], json!([]));
    assert_eq!(action["annotations"].as_array().map(Vec::len), Some(2), "{action}");
    assert_eq!(annotation(&action, "provide-api-key"), Some(&json!(false)));
    assert_eq!(annotation(&action, "exec"), Some(&json!("nodejs:20")));
}

#[tokio::test]
async fn case_081_the_server_sets_the_time() {
    let me = Whisk::shared().await.namespace().await;
    let mut body = default_js();
    body["updated"] = json!(12_345);
    let name = unique("a");
    let action = me.put(format!("actions/{name}"), &body).await.expect(200).json();
    let updated = action["updated"].as_u64().expect("a time is a number");
    assert!(SystemClock.now().0.abs_diff(updated) < 60_000, "{updated}");
}

#[tokio::test]
async fn cases_082_083_084_overwrite() {
    let me = Whisk::shared().await.namespace().await;
    let path = format!("actions/{}", unique("a"));
    me.put(&path, &default_js()).await.expect(200);
    me.put(&path, &default_js()).await.expect(409).error("resource already exists");
    me.put(format!("{path}?overwrite=false"), &default_js()).await.expect(409);
    let updated = me.put(format!("{path}?overwrite=true"), &default_js()).await.expect(200).json();
    assert_eq!(updated["version"], "0.0.2");
    let new = me.put(format!("actions/{}?overwrite=true", unique("new")), &default_js()).await.expect(200);
    assert_eq!(new.json()["version"], "0.0.1");
}

#[tokio::test]
async fn case_086_a_malformed_version() {
    let me = Whisk::shared().await.namespace().await;
    for version in [json!("xyz"), json!("0.0.0"), json!("1.-1.0"), json!(1)] {
        let mut body = default_js();
        body["version"] = version;
        let answer = me.put(format!("actions/{}", unique("a")), &body).await.expect(400);
        answer.error_contains("semantic version malformed");
    }
}

#[tokio::test]
async fn a_version_may_be_chosen() {
    let me = Whisk::shared().await.namespace().await;
    for (sent, kept) in [("3.2.1", "3.2.1"), ("1", "1.0.0"), ("01.02", "1.2.0")] {
        let mut body = default_js();
        body["version"] = json!(sent);
        let action = me.put(format!("actions/{}", unique("a")), &body).await.expect(200).json();
        assert_eq!(action["version"], kept);
    }
}

#[tokio::test]
async fn case_087_a_boolean_that_is_none() {
    let me = Whisk::shared().await.namespace().await;
    let answer = me.put(format!("actions/{}?overwrite=maybe", unique("a")), &default_js()).await.expect(400);
    answer.error_contains("The query parameter 'overwrite' was malformed:\n");
}

#[tokio::test]
async fn case_088_an_action_needs_code() {
    let me = Whisk::shared().await.namespace().await;
    me.put(format!("actions/{}", unique("a")), &json!({})).await.expect(400).error("exec undefined");
}

/// A PUT of this `exec` is refused with this text.
async fn refused(exec: Value, text: &str) {
    let me = Whisk::shared().await.namespace().await;
    let answer = me.put(format!("actions/{}", unique("a")), &json!({ "exec": exec })).await.expect(400);
    answer.error_contains("The request content was malformed:\n").error_contains(text);
}

#[tokio::test]
async fn case_089_a_kind_is_needed() {
    let text = "'kind' must be a string defined in 'exec'";
    refused(json!({ "code": "x" }), text).await;
    refused(json!({ "kind": 1, "code": "x" }), text).await;
}

#[tokio::test]
async fn case_090_an_unknown_kind() {
    let text = "The specified runtime 'foobar' is not supported by this platform. Valid values are: '";
    refused(json!({ "kind": "foobar", "code": "x" }), text).await;
}

#[tokio::test]
async fn case_091_code_is_needed() {
    let text = "'code' must be a string or attachment object defined in 'exec' for 'nodejs:20' actions";
    refused(json!({ "kind": "nodejs:20" }), text).await;
}

#[tokio::test]
async fn case_099_a_blackbox_needs_an_image() {
    let text = "'image' must be a string defined in 'exec' for 'blackbox' actions";
    refused(json!({ "kind": "blackbox", "code": "x" }), text).await;
}

#[tokio::test]
async fn cases_094_095_malformed_parameters() {
    let me = Whisk::shared().await.namespace().await;
    let malformed = [
        json!({ "a": "b" }),
        json!([{ "key": "a" }]),
        json!([{ "key": 1, "value": 1 }]),
        json!([{ "key": "a", "value": 1, "init": "yes" }]),
    ];
    for field in ["parameters", "annotations"] {
        for value in &malformed {
            let mut body = default_js();
            body[field] = value.clone();
            let answer = me.put(format!("actions/{}", unique("a")), &body).await.expect(400);
            answer.error_contains("The request content was malformed:\nparameters malformed!");
        }
    }
}

#[tokio::test]
async fn case_096_a_body_that_is_no_object() {
    let me = Whisk::shared().await.namespace().await;
    for text in ["[]", "{", "not json", "\"text\"", ""] {
        let call = me.request(reqwest::Method::PUT, format!("actions/{}", unique("a")));
        let answer = call.body("application/json", text).await.expect(400);
        answer.error_contains("The request content was malformed:");
    }
}

#[tokio::test]
async fn case_119_the_key_annotation_is_the_clients() {
    let me = Whisk::shared().await.namespace().await;
    for value in [json!(true), json!("xxx")] {
        let mut body = default_js();
        body["annotations"] = json!([{ "key": "provide-api-key", "value": value }]);
        let action = me.put(format!("actions/{}", unique("a")), &body).await.expect(200).json();
        assert_eq!(annotation(&action, "provide-api-key"), Some(&value));
    }
}

#[tokio::test]
async fn case_120_the_exec_annotation_is_the_servers() {
    let me = Whisk::shared().await.namespace().await;
    let mut body = default_js();
    body["annotations"] = json!([{ "key": "exec", "value": "foo" }, { "key": "k", "value": [1] }]);
    let action = me.put(format!("actions/{}", unique("a")), &body).await.expect(200).json();
    assert_eq!(annotation(&action, "exec"), Some(&json!("nodejs:20")));
    assert_eq!(annotation(&action, "k"), Some(&json!([1])));
}

#[tokio::test]
async fn case_147_parameters_survive_unchanged() {
    let me = Whisk::shared().await.namespace().await;
    let value = json!({ "ü": ["<&>", "日本", { "deep": [null, true, 1.5, -0.001] }], "quote": "\"\\\n" });
    let mut body = fixtures::js(ECHO);
    body["parameters"] = json!([{ "key": "p & <q>", "value": value }]);
    let name = unique("a");
    for answer in [
        me.put(format!("actions/{name}"), &body).await.expect(200),
        me.get(format!("actions/{name}")).await.expect(200),
    ] {
        assert_eq!(answer.json()["parameters"], body["parameters"]);
        for part in ["p & <q>", "\"ü\"", "<&>", "日本"] {
            assert!(answer.text().contains(part), "{part} is escaped: {}", answer.story());
        }
    }
}

#[tokio::test]
async fn case_148_init_parameters_are_marked() {
    let me = Whisk::shared().await.namespace().await;
    let mut body = fixtures::js(ECHO);
    body["parameters"] =
        json!([{ "key": "a", "value": 1, "init": true }, { "key": "b", "value": 2, "init": false }]);
    let action = me.put(format!("actions/{}", unique("a")), &body).await.expect(200).json();
    let parameters = action["parameters"].as_array().expect("a list");
    assert_eq!(parameters.len(), 2);
    assert!(parameters.contains(&json!({ "key": "a", "value": 1, "init": true })), "{action}");
    assert!(parameters.contains(&json!({ "key": "b", "value": 2 })), "{action}");
}

#[tokio::test]
async fn of_two_parameters_of_one_name_the_last_wins() {
    let me = Whisk::shared().await.namespace().await;
    let mut body = fixtures::js(ECHO);
    body["parameters"] = json!([{ "key": "a", "value": 1 }, { "key": "a", "value": 2 }]);
    let action = me.put(format!("actions/{}", unique("a")), &body).await.expect(200).json();
    assert_eq!(action["parameters"], json!([{ "key": "a", "value": 2 }]));
}

#[tokio::test]
async fn cases_145_146_actions_of_others_are_theirs() {
    let whisk = Whisk::shared().await;
    let Some(other) = whisk.other(145).await else { return };
    let me = whisk.namespace().await;
    let there = other.put_js("a", ECHO).await;
    for name in [there, unique("nothing")] {
        let path = format!("/api/v1/namespaces/{}/actions/{name}", other.name);
        let resource = format!("{}/{name}", other.name);
        let text = format!("The supplied authentication is not authorized to access '{resource}'.");
        me.put(&path, &default_js()).await.expect(403).error(&text);
        me.get(&path).await.expect(403).error(&text);
        me.delete(&path).await.expect(403).error(&text);
        me.post(&path, &json!({})).await.expect(403).error(&text);
    }
}
