//! Names of entities and namespaces in a path.

use reqwest::Method;
use serde_json::json;
use tests::fixtures::{self, ECHO};
use tests::place::unique;
use tests::whisk::Whisk;

const ILLEGAL: &str = "The name of the entity contains illegal characters.";

#[tokio::test]
async fn case_050_a_name_may_have_256_characters() {
    let me = Whisk::shared().await.namespace().await;
    let name = format!("{:a<256}", unique("long"));
    let created = me.put(format!("actions/{name}"), &fixtures::js(ECHO)).await.expect(200).json();
    assert_eq!(created["name"], json!(name));
    me.get(format!("actions/{name}")).await.expect(200);
}

#[tokio::test]
async fn case_051_and_no_more() {
    let me = Whisk::shared().await.namespace().await;
    let answer = me.get(format!("actions/{}", "a".repeat(257))).await.expect(400);
    answer.error("Name segement longer than allowed: 257 > 256.");
}

#[tokio::test]
async fn case_052_a_namespace_neither() {
    let me = Whisk::shared().await.namespace().await;
    let answer = me.get(format!("/api/v1/namespaces/{}/actions", "a".repeat(257))).await.expect(400);
    answer.error("Namespace longer than allowed: 257 > 256.");
}

#[tokio::test]
async fn cases_054_060_illegal_names() {
    let me = Whisk::shared().await.namespace().await;
    let case_54 = ["%24hola", "dora%3F", "%7Cdora%7Cdora%3F", "%20"];
    let case_60 = ["-abc", "%26abc", "abc%20", "x%23x", "a%28%29b"];
    for name in case_54.into_iter().chain(case_60) {
        let answer = me.put(format!("actions/{name}"), &fixtures::js(ECHO)).await.expect(400);
        answer.error(ILLEGAL);
    }
}

#[tokio::test]
async fn case_055_an_empty_name() {
    let me = Whisk::shared().await.namespace().await;
    me.put("actions/", &fixtures::js(ECHO)).await.expect(404);
}

#[tokio::test]
async fn case_056_an_illegal_namespace() {
    let me = Whisk::shared().await.namespace().await;
    let answer = me.get("/api/v1/namespaces/a%3Fb/actions").await.expect(400);
    answer.error("The namespace contains illegal characters.");
}

#[tokio::test]
async fn case_057_a_name_with_a_space() {
    let me = Whisk::shared().await.namespace().await;
    me.put("actions/a%20b?overwrite=true", &fixtures::js(ECHO)).await.expect(200);
    assert_eq!(me.get("actions/a%20b").await.expect(200).json()["name"], "a b");
    assert_eq!(me.result("a%20b", &json!({ "x": 1 })).await, json!({ "x": 1 }));
}

#[tokio::test]
async fn case_058_case_matters() {
    let me = Whisk::shared().await.namespace().await;
    for name in ["TWICE", "twice"] {
        let body = fixtures::js(&format!("function main() {{ return {{ name: '{name}' }}; }}"));
        me.put(format!("actions/{name}?overwrite=true"), &body).await.expect(200);
    }
    for name in ["TWICE", "twice"] {
        let action = me.get(format!("actions/{name}")).await.expect(200).json();
        assert_eq!(action["name"], name);
        assert!(action["exec"]["code"].as_str().is_some_and(|code| code.contains(name)), "{action}");
    }
}

#[tokio::test]
async fn case_059_odd_and_legal_names() {
    let me = Whisk::shared().await.namespace().await;
    for (path, name) in [("a%40b.c%26d", "a@b.c&d"), ("_a", "_a"), ("0.0.0", "0.0.0"), ("a0", "a0")] {
        let call = me.request(Method::PUT, format!("actions/{path}?overwrite=true"));
        assert_eq!(call.json(&fixtures::js(ECHO)).await.expect(200).json()["name"], name);
    }
}
