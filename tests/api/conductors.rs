//! Conductors: what their answers mean, and the records of compositions.

use serde_json::{Value, json};
use tests::answer::Answer;
use tests::fixtures::{self, CONDUCTOR, ECHO, INCREMENT, conductor, sequence};
use tests::namespace::{Namespace, annotation};
use tests::place::unique;
use tests::whisk::Whisk;

/// The number of activations in the logs of a record.
fn parts(record: &Value) -> usize {
    record["logs"].as_array().expect("logs are a list").len()
}

/// The records of the activations directly below.
async fn below(me: &Namespace, record: &Value) -> Vec<Value> {
    let mut below = Vec::new();
    for id in record["logs"].as_array().expect("logs are a list") {
        below.push(me.wait_for_activation(id.as_str().expect("an id is text")).await);
    }
    below
}

/// Demands success with that result after so many activations directly below.
#[track_caller]
fn ended(answer: Answer, result: &Value, logs: usize) -> Value {
    let record = answer.expect(200).json();
    assert_eq!((&record["response"]["result"], parts(&record)), (result, logs), "{record}");
    record
}

/// Demands an application error of that text after so many activations directly below.
#[track_caller]
fn failed(answer: Answer, text: &str, logs: usize) -> Value {
    let record = answer.expect(502).json();
    assert_eq!(record["response"]["status"], "application error", "{record}");
    assert_eq!(record["response"]["result"], json!({ "error": text }));
    assert_eq!(parts(&record), logs, "{record}");
    record
}

#[tokio::test]
async fn case_359_a_conductor_without_steps() {
    let me = Whisk::shared().await.namespace().await;
    let name = me.create("echo", &conductor(ECHO)).await;
    let answer = me.invoke(&name, &json!({ "payload": "x" })).await;
    let record = ended(answer, &json!({ "payload": "x" }), 1);
    for (key, value) in [
        ("conductor", json!(true)),
        ("kind", json!("sequence")),
        ("topmost", json!(true)),
        ("path", json!(format!("{}/{name}", me.name))),
        ("limits", json!({ "timeout": 60_000, "memory": 128, "logs": 10, "concurrency": 1 })),
    ] {
        assert_eq!(annotation(&record, key), Some(&value), "{key}");
    }
    assert!(annotation(&record, "waitTime").is_some_and(Value::is_u64), "{record}");
    assert!(annotation(&record, "causedBy").is_none() && record.get("cause").is_none(), "{record}");
    let id = record["activationId"].as_str().expect("an id");
    assert_eq!(me.wait_for_activation(id).await, record);
    let turn = &below(&me, &record).await[0];
    assert_eq!((&turn["cause"], &turn["name"]), (&json!(id), &json!(name)));
    assert_eq!(annotation(turn, "causedBy"), Some(&json!("sequence")));
    assert_eq!(annotation(turn, "kind"), Some(&json!("nodejs:20")));
    assert_eq!(turn["duration"], record["duration"]);
}

#[tokio::test]
async fn cases_360_361_results_and_errors_of_a_conductor() {
    let me = Whisk::shared().await.namespace().await;
    let echo = me.create("echo", &conductor(ECHO)).await;
    let wrapped = json!({ "params": { "payload": "x" }, "other": 1 });
    ended(me.invoke(&echo, &wrapped).await, &json!({ "payload": "x" }), 1);
    ended(me.invoke(&echo, &json!({ "params": 7 })).await, &json!({ "value": 7 }), 1);
    let state = json!({ "state": { "a": 1 }, "b": 2 });
    ended(me.invoke(&echo, &state).await, &state, 1);
    failed(me.invoke(&echo, &json!({ "error": "x" })).await, "x", 1);
    let result = me.post(format!("actions/{echo}?blocking=true&result=true"), &wrapped).await.expect(200);
    assert_eq!(result.json(), json!({ "payload": "x" }));
    let id = me.fire(&echo, &wrapped).await;
    assert_eq!(me.wait_for_activation(&id).await["response"]["result"], json!({ "payload": "x" }));
}

#[tokio::test]
async fn the_annotation_counts_if_it_is_truthy_and_no_sequence_has_it() {
    let me = Whisk::shared().await.namespace().await;
    for (value, is_conductor) in
        [(json!("no"), true), (json!({}), true), (json!(0), false), (json!(""), false)]
    {
        let mut body = fixtures::js(ECHO);
        body["annotations"] = json!([{ "key": "conductor", "value": value }]);
        let name = me.create("a", &body).await;
        let record = me.invoke(&name, &json!({})).await.expect(200).json();
        assert_eq!(annotation(&record, "conductor").is_some(), is_conductor, "{value}");
    }
    let a = me.put_js("a", ECHO).await;
    let mut body = sequence(&[format!("/_/{a}")]);
    body["annotations"] = json!([{ "key": "conductor", "value": true }]);
    let name = me.create("s", &body).await;
    let record = me.invoke(&name, &json!({ "action": "x" })).await.expect(200).json();
    assert_eq!(record["response"]["result"], json!({ "action": "x" }));
    assert_eq!(annotation(&record, "conductor"), None);
}

#[tokio::test]
async fn case_362_a_name_that_is_none() {
    let me = Whisk::shared().await.namespace().await;
    let echo = me.create("echo", &conductor(ECHO)).await;
    for name in [json!("invalid#Action"), json!("/a"), json!("a/b/c/d"), json!(""), json!([1, null])] {
        let text = format!("Failed to parse action name from json value {name} during composition.");
        failed(me.invoke(&echo, &json!({ "payload": "x", "action": name })).await, &text, 2);
    }
}

#[tokio::test]
async fn case_363_a_step_that_is_missing() {
    let me = Whisk::shared().await.namespace().await;
    let echo = me.create("echo", &conductor(ECHO)).await;
    let missing = unique("missing");
    for name in [missing.clone(), format!("/_/{missing}"), format!("/{}/{missing}", me.name)] {
        let text = format!("Failed to resolve action with name '{}/{missing}' during composition.", me.name);
        failed(me.invoke(&echo, &json!({ "action": name })).await, &text, 2);
    }
    // What a conductor is told it may recover from.
    let code = "function main({ error, tried }) {
      return error ? { params: { recovered: error } } : { action: 'missing-as-well' };
    }";
    let recovers = me.create("recovers", &conductor(code)).await;
    let record = me.invoke(&recovers, &json!({})).await.expect(200).json();
    let text =
        format!("Failed to resolve action with name '{}/missing-as-well' during composition.", me.name);
    assert_eq!(record["response"]["result"], json!({ "recovered": text }));
}

#[tokio::test]
async fn case_364_a_step_that_is_forbidden() {
    let whisk = Whisk::shared().await;
    let me = whisk.namespace().await;
    let Some(other) = whisk.other(364).await else { return };
    let step = other.put_js("step", INCREMENT).await;
    let echo = me.create("echo", &conductor(ECHO)).await;
    for name in [format!("{}/{step}", other.name), format!("{}/missing", other.name)] {
        let text = format!("Failed entitlement check for action with name '{name}' during composition.");
        failed(me.invoke(&echo, &json!({ "action": format!("/{name}") })).await, &text, 2);
    }
    let name = format!("{}/nopackage/a", me.name);
    let text = format!("Failed entitlement check for action with name '{name}' during composition.");
    failed(me.invoke(&echo, &json!({ "action": "nopackage/a" })).await, &text, 2);
}

#[tokio::test]
async fn cases_366_367_368_steps() {
    let me = Whisk::shared().await.namespace().await;
    let (conducts, step) = (me.create("c", &conductor(CONDUCTOR)).await, me.put_js("step", INCREMENT).await);
    let answer = me.invoke(&conducts, &json!({ "action": step, "params": { "n": 1 } })).await;
    let record = ended(answer, &json!({ "n": 2 }), 3);
    let below = below(&me, &record).await;
    let names: Vec<_> = below.iter().map(|part| &part["name"]).collect();
    assert_eq!(names, [&json!(conducts), &json!(step), &json!(conducts)]);
    assert!(below.iter().all(|part| part["cause"] == record["activationId"]));
    assert!(below.iter().all(|part| annotation(part, "causedBy") == Some(&json!("sequence"))));
    let sum: u64 = below.iter().map(|part| part["duration"].as_u64().expect("a number")).sum();
    assert_eq!(record["duration"], json!(sum));

    failed(me.invoke(&conducts, &json!({ "action": step })).await, "missing parameter", 3);
    let remembering = json!({ "action": step, "state": { "witness": 42 }, "n": 1 });
    ended(me.invoke(&conducts, &remembering).await, &json!({ "n": 2, "witness": 42 }), 3);
    let twice = json!({ "action": step, "state": { "action": step }, "n": 1 });
    ended(me.invoke(&conducts, &twice).await, &json!({ "n": 3 }), 5);
}

#[tokio::test]
async fn case_369_compositions_in_compositions() {
    let me = Whisk::shared().await.namespace().await;
    let (outer, step) = (me.create("c", &conductor(CONDUCTOR)).await, me.put_js("step", INCREMENT).await);
    let one = json!({ "action": outer, "params": { "action": step }, "n": 1 });
    let record = ended(me.invoke(&outer, &one).await, &json!({ "n": 2 }), 3);
    let direct = below(&me, &record).await;
    let nested = &direct[1];
    assert_eq!((parts(nested), &nested["cause"]), (3, &record["activationId"]));
    assert_eq!(annotation(nested, "topmost"), Some(&json!(false)));
    assert_eq!(annotation(nested, "conductor"), Some(&json!(true)));
    assert_eq!(annotation(nested, "causedBy"), Some(&json!("sequence")));
    let duration = |record: &Value| record["duration"].as_u64().expect("a number");
    assert_eq!(duration(&record), direct.iter().map(duration).sum::<u64>());
    let then = json!({
        "action": outer, "state": { "action": step }, "params": { "action": step }, "n": 1
    });
    ended(me.invoke(&outer, &then).await, &json!({ "n": 3 }), 5);
    let deep = json!({
        "action": outer, "state": { "action": step }, "n": 1,
        "params": { "action": outer, "state": { "action": step }, "params": { "action": step } }
    });
    ended(me.invoke(&outer, &deep).await, &json!({ "n": 4 }), 5);
}

#[tokio::test]
async fn case_370_the_most_memory_of_all() {
    let me = Whisk::shared().await.namespace().await;
    let conducts = me.create("c", &conductor(CONDUCTOR)).await;
    let mut body = fixtures::js(INCREMENT);
    body["limits"]["memory"] = json!(192);
    let step = me.create("step", &body).await;
    let record = ended(me.invoke(&conducts, &json!({ "action": step, "n": 1 })).await, &json!({ "n": 2 }), 3);
    assert_eq!(annotation(&record, "limits").expect("it is there")["memory"], 192);
}

#[tokio::test]
async fn sequences_in_compositions_and_the_other_way_round() {
    let me = Whisk::shared().await.namespace().await;
    let (conducts, step) = (me.create("c", &conductor(CONDUCTOR)).await, me.put_js("step", INCREMENT).await);
    let twice = me.create("s", &sequence(&[format!("/_/{step}"), format!("/_/{step}")])).await;
    let record =
        ended(me.invoke(&conducts, &json!({ "action": twice, "n": 1 })).await, &json!({ "n": 3 }), 3);
    let nested = &below(&me, &record).await[1];
    assert_eq!((parts(nested), annotation(nested, "topmost")), (2, Some(&json!(false))));

    let calls = format!(
        "function main(args) {{
      return 'done' in args ? {{ params: {{ n: args.n }} }}
        : {{ action: '{step}', params: {{ n: args.n }}, state: {{ done: 1 }} }};
    }}"
    );
    let calls = me.create("calls", &conductor(&calls)).await;
    let around = me.create("s", &sequence(&[format!("/_/{calls}"), format!("/_/{step}")])).await;
    let record = ended(me.invoke(&around, &json!({ "n": 1 })).await, &json!({ "n": 3 }), 2);
    let nested = &below(&me, &record).await[0];
    assert_eq!((parts(nested), annotation(nested, "conductor")), (3, Some(&json!(true))));
    assert_eq!(annotation(&record, "conductor"), None);
}

#[tokio::test]
async fn arrays_in_compositions_are_boxed() {
    let me = Whisk::shared().await.namespace().await;
    let (conducts, array) =
        (me.create("c", &conductor(CONDUCTOR)).await, me.put_js("a", fixtures::ARRAY).await);
    let record = me.invoke(&conducts, &json!({ "action": array })).await;
    ended(record, &json!({ "value": ["a", "b"] }), 3);
}
