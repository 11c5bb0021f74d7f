//! Updating actions: what is replaced, merged or kept.

use serde_json::{Value, json};
use tests::fixtures::{self, ECHO, LENGTH};
use tests::namespace::{Namespace, annotation};
use tests::whisk::Whisk;

/// An action with a parameter, annotations and limits, to be updated.
async fn stored() -> (Namespace, String, Value) {
    let me = Whisk::shared().await.namespace().await;
    let mut body = fixtures::js(ECHO);
    body["parameters"] = json!([{ "key": "x", "value": { "deep": 1 } }]);
    body["annotations"] = json!([{ "key": "k1", "value": 1 }, { "key": "k0", "value": 0 }]);
    let name = me.create("a", &body).await;
    let action = me.get(format!("actions/{name}")).await.expect(200).json();
    (me, name, action)
}

#[tokio::test]
async fn cases_112_114_what_is_absent_is_kept() {
    let (me, name, before) = stored().await;
    let after = me.update(&name, &json!({})).await;
    for key in ["exec", "parameters", "annotations", "limits", "publish"] {
        assert_eq!(after[key], before[key], "{key}");
    }
    assert_eq!(after["version"], "0.0.2");
    assert_eq!(me.get(format!("actions/{name}")).await.expect(200).json(), after);
}

#[tokio::test]
async fn case_113_parameters_are_replaced() {
    let (me, name, _) = stored().await;
    let parameters = json!([{ "key": "y", "value": 1 }]);
    let after = me.update(&name, &json!({ "parameters": parameters })).await;
    assert_eq!(after["parameters"], parameters);
}

#[tokio::test]
async fn case_115_annotations_are_merged() {
    let (me, name, _) = stored().await;
    let annotations = json!([{ "key": "k2", "value": 2 }, { "key": "k0", "value": "new" }]);
    let after = me.update(&name, &json!({ "annotations": annotations })).await;
    assert_eq!(annotation(&after, "k1"), Some(&json!(1)));
    assert_eq!(annotation(&after, "k2"), Some(&json!(2)));
    assert_eq!(annotation(&after, "k0"), Some(&json!("new")), "the given one wins");
}

#[tokio::test]
async fn case_116_annotations_are_deleted_by_name() {
    let (me, name, _) = stored().await;
    let after = me.update(&name, &json!({ "delAnnotations": ["k1"] })).await;
    assert_eq!(annotation(&after, "k1"), None);
    for (key, value) in [("k0", json!(0)), ("provide-api-key", json!(false)), ("exec", json!("nodejs:20"))] {
        assert_eq!(annotation(&after, key), Some(&value), "{key}");
    }
}

#[tokio::test]
async fn case_118_publish_is_kept() {
    let (me, name, before) = stored().await;
    assert_eq!(before["publish"], false);
    assert_eq!(me.update(&name, &json!({ "publish": true })).await["publish"], true);
    assert_eq!(me.update(&name, &json!({})).await["publish"], true);
}

#[tokio::test]
async fn case_121_the_key_annotation_is_added_only_at_creation() {
    let (me, name, _) = stored().await;
    let without = me.update(&name, &json!({ "delAnnotations": ["provide-api-key"] })).await;
    assert_eq!(annotation(&without, "provide-api-key"), None);
    let after = me.update(&name, &fixtures::js(LENGTH)).await;
    assert_eq!(annotation(&after, "provide-api-key"), None, "{after}");
}

#[tokio::test]
async fn case_122_the_exec_annotation_follows_the_kind() {
    let whisk = Whisk::shared().await;
    let (me, name, _) = stored().await;
    let after = me.update(&name, &fixtures::python(fixtures::GREETING_PY)).await;
    let kind = default_python(&whisk).await;
    assert_eq!(after["exec"]["kind"], json!(kind));
    assert_eq!(annotation(&after, "exec"), Some(&json!(kind)));
}

#[tokio::test]
async fn limits_are_merged_field_by_field() {
    let (me, name, _) = stored().await;
    let after = me.update(&name, &json!({ "limits": { "timeout": 5_000 } })).await;
    let limits = json!({ "timeout": 5_000, "memory": 128, "logs": 10, "concurrency": 1 });
    assert_eq!(after["limits"], limits);
}

/// The kind that `python:default` means: ours, or what a foreign server says.
pub async fn default_python(whisk: &Whisk) -> String {
    if whisk.is_ours() {
        return "python:3.13".to_owned();
    }
    let info = whisk.anonymous().get("/").await.expect(200).json();
    let kinds = info["runtimes"]["python"].as_array().cloned().unwrap_or_default();
    let default = kinds.iter().find(|kind| kind["default"] == true).expect("a family has a default");
    default["kind"].as_str().expect("a kind is text").to_owned()
}
