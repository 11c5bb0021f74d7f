//! Sequences and compositions as web actions.

use serde_json::{Value, json};
use tests::fixtures::{self, ECHO};
use tests::namespace::{Namespace, annotation};
use tests::whisk::Whisk;

use crate::web::{exported, refused};

/// Greets by name, as an answer.
const GREET: &str =
    "function main({ name, __ow_method }) { return { statusCode: 201, body: `${__ow_method} ${name}` }; }";
/// A conductor with one step, the action that its argument `greeter` names.
const CONDUCT: &str = "function main({ greeter, ...params }) {
  return greeter ? { action: greeter, params } : params;
}";

/// Creates an exported sequence; returns its path.
async fn export_sequence(me: &Namespace, components: &[&str]) -> String {
    let components: Vec<String> = components.iter().map(|name| format!("/_/{name}")).collect();
    let mut body = exported(ECHO, &[]);
    body["exec"] = json!({ "kind": "sequence", "components": components });
    body.as_object_mut().expect("a body is an object").remove("limits");
    let name = me.create("sequence", &body).await;
    format!("/api/v1/web/{}/default/{name}", me.name)
}

/// The record of what answered.
async fn record(me: &Namespace, answer: &tests::answer::Answer) -> Value {
    let id = answer.header("x-openwhisk-activation-id").expect("it has run").to_owned();
    me.wait_for_activation(&id).await
}

#[tokio::test]
async fn case_379_a_sequence() {
    let me = Whisk::shared().await.namespace().await;
    let echo = me.put_js("echo", ECHO).await;
    let greet = me.put_js("greet", GREET).await;
    let path = export_sequence(&me, &[&echo, &greet]).await;
    let answer = me.get(format!("{path}?name=you")).anonymous().await.expect(201);
    assert_eq!(answer.text(), "get you");
    let record = record(&me, &answer).await;
    assert_eq!(annotation(&record, "kind"), Some(&json!("sequence")));
    assert_eq!(record["logs"].as_array().map(Vec::len), Some(2), "{record}");
    let failing = me.put_js("failing", fixtures::APPLICATION_ERROR).await;
    let path = export_sequence(&me, &[&failing, &greet]).await;
    let answer = me.get(format!("{path}.json")).await;
    refused(answer, 400, "Response is not valid 'application/json'.");
}

#[tokio::test]
async fn case_379_a_composition() {
    let me = Whisk::shared().await.namespace().await;
    let greet = me.put_js("greet", GREET).await;
    let name = me.create("conductor", &exported(CONDUCT, &[("conductor", json!(true))])).await;
    let path = format!("/api/v1/web/{}/default/{name}", me.name);
    let answer = me.post(&path, &json!({ "greeter": greet, "name": "you" })).anonymous().await.expect(201);
    assert_eq!(answer.text(), "post you");
    let record = record(&me, &answer).await;
    assert_eq!(annotation(&record, "conductor"), Some(&json!(true)));
}

#[tokio::test]
async fn components_are_given_the_owners_key() {
    let whisk = Whisk::shared().await;
    let me = whisk.namespace().await;
    let code = "function main() { return { key: process.env.__OW_API_KEY }; }";
    let mut body = fixtures::js(code);
    body["annotations"] = json!([{ "key": "provide-api-key", "value": true }]);
    let keyed = me.create("keyed", &body).await;
    let path = export_sequence(&me, &[&keyed]).await;
    let given = me.get(format!("{path}.json")).anonymous().await.expect(200).json();
    assert_eq!(given, json!({ "key": me.auth }));
}
