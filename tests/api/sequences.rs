//! Sequences that run: what goes from component to component, what ends them, and their records.

use std::time::Duration;

use serde_json::{Value, json};
use tests::fixtures::{self, APPLICATION_ERROR, ARRAY, ECHO, INCREMENT, SLEEP, sequence};
use tests::namespace::{Namespace, annotation, entry, rules_of};
use tests::whisk::Whisk;
use tokio::time::Instant;

/// A name with `_` for the namespace.
fn own(name: &str) -> String {
    format!("/_/{name}")
}

/// A sequence of these actions.
async fn of(me: &Namespace, components: &[&str]) -> String {
    let components: Vec<String> = components.iter().map(|name| own(name)).collect();
    me.create("s", &sequence(&components)).await
}

/// The ids in the logs of a sequence.
fn ids(record: &Value) -> Vec<String> {
    let logs = record["logs"].as_array().expect("logs are a list");
    logs.iter().map(|id| id.as_str().expect("an id is text").to_owned()).collect()
}

/// The records of a sequence's components.
async fn components(me: &Namespace, record: &Value) -> Vec<Value> {
    let mut components = Vec::new();
    for id in ids(record) {
        components.push(me.wait_for_activation(&id).await);
    }
    components
}

/// The record of a sequence that was answered is also what is stored.
async fn stored(me: &Namespace, answered: Value) -> Value {
    let id = answered["activationId"].as_str().expect("a record has an id").to_owned();
    assert_eq!(me.wait_for_activation(&id).await, answered);
    answered
}

#[tokio::test]
async fn cases_343_344_345_346_a_sequence_and_its_components() {
    let me = Whisk::shared().await.namespace().await;
    let a = me.put_js("a", INCREMENT).await;
    let mut body = fixtures::js(INCREMENT);
    body["limits"]["memory"] = json!(192);
    let b = me.create("b", &body).await;
    let name = of(&me, &[&a, &b]).await;
    let answer = me.invoke(&name, &json!({ "n": 1 })).await.expect(200);
    assert_eq!(answer.header("x-openwhisk-activation-id"), Some(answer.activation_id().as_str()));
    let record = stored(&me, answer.json()).await;
    assert_eq!(record["response"]["result"], json!({ "n": 3 }));
    assert_eq!((&record["name"], &record["version"]), (&json!(name), &json!("0.0.1")));
    assert_eq!(annotation(&record, "topmost"), Some(&json!(true)));
    assert_eq!(annotation(&record, "kind"), Some(&json!("sequence")));
    assert_eq!(annotation(&record, "path"), Some(&json!(format!("{}/{name}", me.name))));
    let limits = json!({ "timeout": 60_000, "memory": 192, "logs": 10, "concurrency": 1 });
    assert_eq!(annotation(&record, "limits"), Some(&limits));
    assert!(annotation(&record, "waitTime").is_some_and(Value::is_u64), "{record}");
    for absent in ["causedBy", "conductor", "binding"] {
        assert_eq!(annotation(&record, absent), None, "{absent}");
    }
    assert!(record.get("cause").is_none(), "{record}");

    let components = components(&me, &record).await;
    let names: Vec<_> = components.iter().map(|component| &component["name"]).collect();
    assert_eq!(names, [&json!(a), &json!(b)]);
    for component in &components {
        assert_eq!(component["cause"], record["activationId"]);
        assert_eq!(annotation(component, "causedBy"), Some(&json!("sequence")));
    }
    let sum: u64 = components.iter().map(|component| component["duration"].as_u64().expect("a number")).sum();
    assert_eq!(record["duration"], json!(sum));
    let list = me.get(format!("activations?name={name}")).await.expect(200).json();
    assert_eq!(list[0]["activationId"], record["activationId"]);
    assert_eq!(list[0]["statusCode"], 0);
}

#[tokio::test]
async fn case_347_a_nested_sequence_has_a_record_of_its_own() {
    let me = Whisk::shared().await.namespace().await;
    let a = me.put_js("a", INCREMENT).await;
    let inner = of(&me, &[&a, &a]).await;
    let outer = of(&me, &[&inner, &a]).await;
    let record = stored(&me, me.invoke(&outer, &json!({ "n": 0 })).await.expect(200).json()).await;
    assert_eq!(record["response"]["result"], json!({ "n": 3 }));
    let direct = components(&me, &record).await;
    assert_eq!(direct.len(), 2, "{record}");
    let nested = &direct[0];
    assert_eq!((&nested["name"], &nested["cause"]), (&json!(inner), &record["activationId"]));
    assert_eq!(annotation(nested, "topmost"), Some(&json!(false)));
    assert_eq!(annotation(nested, "causedBy"), Some(&json!("sequence")));
    let innermost = components(&me, nested).await;
    assert_eq!(innermost.len(), 2);
    assert!(innermost.iter().all(|component| component["cause"] == nested["activationId"]));
    let duration = |record: &Value| record["duration"].as_u64().expect("a number");
    assert_eq!(duration(&record), duration(nested) + duration(&direct[1]));
}

#[tokio::test]
async fn case_348_an_error_ends_a_sequence() {
    let me = Whisk::shared().await.namespace().await;
    let (error, echo) = (me.put_js("error", APPLICATION_ERROR).await, me.put_js("echo", ECHO).await);
    let name = of(&me, &[&error, &echo]).await;
    let record = me.invoke(&name, &json!({})).await.expect(502).json();
    assert_eq!(ids(&record).len(), 1);
    assert_eq!(record["response"]["result"], json!({ "error": "x" }));
    assert_eq!(record["response"]["status"], "application error");
    let result = me.post(format!("actions/{name}?blocking=true&result=true"), &json!({})).await.expect(502);
    assert_eq!(result.json(), json!({ "error": "x" }));
    // What comes in is no answer of a component.
    let clear = me.put_js("clear", "function main({ error }) { return { was: error }; }").await;
    let name = of(&me, &[&clear]).await;
    assert_eq!(me.result(&name, &json!({ "error": "y" })).await, json!({ "was": "y" }));
}

#[tokio::test]
async fn case_350_a_component_that_times_out() {
    let me = Whisk::shared().await.namespace().await;
    let mut body = fixtures::js(SLEEP);
    body["limits"]["timeout"] = json!(500);
    let (slow, echo) = (me.create("slow", &body).await, me.put_js("echo", ECHO).await);
    let name = of(&me, &[&slow, &echo]).await;
    let record = me.invoke(&name, &json!({ "ms": 20_000 })).await.expect(502).json();
    assert_eq!(record["response"]["status"], "action developer error");
    let text = "The action exceeded its time limits of 500 milliseconds";
    let told = record["response"]["result"]["error"].as_str().unwrap_or_default();
    assert!(told.starts_with(text), "{record}");
    assert_eq!(ids(&record).len(), 1);
}

#[tokio::test]
async fn case_351_a_component_that_is_gone() {
    let me = Whisk::shared().await.namespace().await;
    let (a, b) = (me.put_js("a", INCREMENT).await, me.put_js("b", INCREMENT).await);
    let name = of(&me, &[&a, &b]).await;
    me.delete(format!("actions/{b}")).await.expect(200);
    let text = json!({ "error": "Sequence component does not exist." });
    let record = tests::wait::until("the deletion is known", Duration::from_secs(10), || async {
        let answer = me.invoke(&name, &json!({ "n": 0 })).await;
        (answer.status == 502).then(|| answer.json())
    })
    .await;
    assert_eq!(record["response"]["result"], text);
    assert_eq!(record["response"]["status"], "application error");
    assert_eq!(ids(&record).len(), 1, "the first one ran");
    let answer = me.post(format!("actions/{name}?blocking=true&result=true"), &json!({})).await.expect(502);
    assert_eq!(answer.json()["error"], "missing parameter", "the first one ends it");
}

#[tokio::test]
async fn case_352_a_component_that_has_grown() {
    let me = Whisk::shared().await.namespace().await;
    let a = me.put_js("a", INCREMENT).await;
    let grows = me.put_js("grows", INCREMENT).await;
    let name = of(&me, &[&a, &grows, &a]).await;
    let long = sequence(&vec![own(&a); 50]);
    me.update(&grows, &long).await;
    let record = tests::wait::until("the update is known", Duration::from_secs(60), || async {
        let answer = me.invoke(&name, &json!({ "n": 0 })).await;
        (answer.status == 502).then(|| answer.json())
    })
    .await;
    assert_eq!(record["response"]["result"], json!({ "error": "Too many actions in the sequence." }));
    assert_eq!(record["response"]["status"], "application error");
    let direct = components(&me, &record).await;
    assert_eq!(direct.len(), 2);
    assert_eq!(ids(&direct[1]).len(), 49, "one of fifty had run before");
}

#[tokio::test]
async fn case_353_a_sequence_longer_than_the_wait() {
    let me = Whisk::shared().await.namespace().await;
    let mut body = fixtures::js(
        "function main({ ms }) { return new Promise(done => setTimeout(() => done({ ms }), ms)); }",
    );
    body["limits"]["timeout"] = json!(60_000);
    let slow = me.create("slow", &body).await;
    let name = of(&me, &[&slow, &slow]).await;
    let begun = Instant::now();
    let answer = me.invoke(&name, &json!({ "ms": 32_000 })).await.expect(202);
    assert!(begun.elapsed() >= Duration::from_secs(59), "waited {:?}", begun.elapsed());
    assert_eq!(answer.json(), json!({ "activationId": answer.activation_id() }));
    let record = me.wait_for_activation(&answer.activation_id()).await;
    assert_eq!(record["response"]["status"], "success");
    assert_eq!(ids(&record).len(), 2);
}

#[tokio::test]
async fn a_shorter_wait_and_no_wait() {
    let me = Whisk::shared().await.namespace().await;
    let slow = me.put_js("slow", SLEEP).await;
    let name = of(&me, &[&slow]).await;
    let path = format!("actions/{name}?blocking=true&timeout=300");
    let waited = me.post(path, &json!({ "ms": 2_000 })).await.expect(202);
    let fired = me.fire(&name, &json!({ "ms": 1 })).await;
    for (id, ms) in [(waited.activation_id(), 2_000), (fired, 1)] {
        let record = me.wait_for_activation(&id).await;
        assert_eq!(record["response"]["result"], json!({ "slept": ms }));
    }
}

#[tokio::test]
async fn case_354_the_payload_goes_over_the_parameters_of_the_first() {
    let me = Whisk::shared().await.namespace().await;
    let mut body = fixtures::js(ECHO);
    body["parameters"] = json!([{ "key": "x", "value": "mine" }, { "key": "y", "value": "mine" }]);
    let a = me.create("a", &body).await;
    body["parameters"] = json!([{ "key": "y", "value": "b" }, { "key": "z", "value": "b" }]);
    let b = me.create("b", &body).await;
    let name = of(&me, &[&a, &b]).await;
    let result = me.result(&name, &json!({ "x": "given" })).await;
    assert_eq!(result, json!({ "x": "given", "y": "mine", "z": "b" }));
}

#[tokio::test]
async fn case_356_arrays_go_from_component_to_component() {
    let me = Whisk::shared().await.namespace().await;
    let array = me.put_js("array", ARRAY).await;
    // Stored parameters are for objects.
    let mut body = fixtures::js("function main(args) { return args.concat([args.length]); }");
    body["parameters"] = json!([{ "key": "x", "value": 1 }]);
    let append = me.create("append", &body).await;
    let name = of(&me, &[&array, &append]).await;
    for query in ["blocking=true", "blocking=true&result=true"] {
        let answer = me.post(format!("actions/{name}?{query}"), &json!({})).await.expect(200);
        assert_eq!(answer.json(), json!(["a", "b", 2]));
        let id = answer.header("x-openwhisk-activation-id").expect("every activation has an id").to_owned();
        let record = me.wait_for_activation(&id).await;
        assert_eq!(record["response"]["result"], json!(["a", "b", 2]));
    }
    let count =
        me.put_js("count", "function main(args) { return { is: Array.isArray(args), n: args.length }; }");
    let name = of(&me, &[&array, &count.await]).await;
    assert_eq!(me.result(&name, &json!({})).await, json!({ "is": true, "n": 2 }));
    me.post(format!("actions/{name}"), &json!([1, 2]))
        .await
        .expect(400)
        .error_contains("JSON object expected");
}

#[tokio::test]
async fn case_358_a_rule_fires_a_sequence() {
    let me = Whisk::shared().await.namespace().await;
    let (echo, a) = (me.put_js("echo", ECHO).await, me.put_js("a", INCREMENT).await);
    let name = of(&me, &[&echo, &a]).await;
    let parameters = json!([{ "key": "n", "value": 7 }]);
    let trigger = me.put_trigger(&json!({ "parameters": parameters })).await;
    me.put_rule(&trigger, &name).await;
    for (payload, result) in [(json!({}), json!({ "n": 8 })), (json!({ "n": 1 }), json!({ "n": 2 }))] {
        let fired = me.fire_trigger(&trigger, &payload).await;
        let id = rules_of(&fired)[0]["activationId"].as_str().expect("the id of what ran").to_owned();
        let record = me.wait_for_activation(&id).await;
        assert_eq!((&record["name"], &record["response"]["result"]), (&json!(name), &result), "{record}");
        assert_eq!(annotation(&record, "topmost"), Some(&json!(true)));
        assert!(record.get("cause").is_none(), "{record}");
        assert_eq!(ids(&record).len(), 2);
    }
}

#[tokio::test]
async fn a_large_result_reaches_the_next_component() {
    let me = Whisk::shared().await.namespace().await;
    let big = me.put_js("big", "function main({ size }) { return { text: 'x'.repeat(size) }; }").await;
    let length = me.put_js("length", fixtures::LENGTH).await;
    let name = of(&me, &[&big, &length]).await;
    let size = 1_000_000;
    assert_eq!(me.result(&name, &json!({ "size": size })).await, json!({ "length": size }));
}

#[tokio::test]
async fn the_definitions_at_the_start_count() {
    let me = Whisk::shared().await.namespace().await;
    let (slow, a) =
        (me.put_js("slow", SLEEP).await, me.put_js("a", "function main() { return { old: 1 }; }").await);
    let name = of(&me, &[&slow, &a]).await;
    let version = me.get(format!("actions/{a}")).await.expect(200).json()["version"].clone();
    let id = me.fire(&name, &json!({ "ms": 3_000 })).await;
    me.update(&name, &sequence(&[own(&slow)])).await;
    let record = me.wait_for_activation(&id).await;
    assert_eq!(record["version"], "0.0.1");
    let last = &components(&me, &record).await[1];
    assert_eq!(last["version"], version);
    assert_eq!(entry(&last["annotations"], "causedBy"), Some(&json!("sequence")));
}
