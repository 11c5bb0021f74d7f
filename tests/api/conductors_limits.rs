//! How long compositions may be. An action of 50 steps takes a hundred activations, so these are few.

use serde_json::{Value, json};
use tests::fixtures::{CONDUCTOR, INCREMENT, conductor, sequence};
use tests::whisk::Whisk;

/// The most components of a composition, nested ones included.
const LIMIT: usize = 50;

const TOO_LONG: &str = "Too many actions in the composition.";

/// What makes a conductor take so many steps, one after the other.
fn steps(step: &str, count: usize) -> Value {
    (0..count).fold(json!({}), |rest, _| json!({ "action": step, "state": rest }))
}

/// The same with a first number.
fn counting(mut arguments: Value) -> Value {
    arguments["n"] = json!(0);
    arguments
}

#[tokio::test]
async fn case_371_fifty_steps_and_no_more() {
    let me = Whisk::shared().await.namespace().await;
    let conducts = me.create("c", &conductor(CONDUCTOR)).await;
    let step = me.put_js("step", INCREMENT).await;
    let record = me.invoke(&conducts, &counting(steps(&step, LIMIT))).await.expect(200).json();
    assert_eq!(record["response"]["result"], json!({ "n": LIMIT }));
    assert_eq!(record["logs"].as_array().map(Vec::len), Some(2 * LIMIT + 1));
    let record = me.invoke(&conducts, &counting(steps(&step, LIMIT + 1))).await.expect(502).json();
    assert_eq!(record["response"]["status"], "application error");
    assert_eq!(record["response"]["result"], json!({ "error": TOO_LONG }));
}

#[tokio::test]
async fn case_372_nested_steps_count_as_well() {
    let me = Whisk::shared().await.namespace().await;
    let conducts = me.create("c", &conductor(CONDUCTOR)).await;
    let step = me.put_js("step", INCREMENT).await;
    let nested = |count| counting(json!({ "action": conducts, "params": steps(&step, count) }));
    let record = me.invoke(&conducts, &nested(LIMIT)).await.expect(200).json();
    assert_eq!(record["response"]["result"], json!({ "n": LIMIT }));
    let record = me.invoke(&conducts, &nested(LIMIT + 1)).await.expect(502).json();
    assert_eq!(record["response"]["result"], json!({ "error": TOO_LONG }));
}

#[tokio::test]
async fn case_372_a_conductor_that_calls_itself() {
    let me = Whisk::shared().await.namespace().await;
    let conducts = me.create("c", &conductor(CONDUCTOR)).await;
    let recursion = |depth| {
        counting((0..depth).fold(json!({}), |params, _| json!({ "action": conducts, "params": params })))
    };
    let record = me.invoke(&conducts, &recursion(LIMIT)).await.expect(200).json();
    assert_eq!(record["response"]["result"], json!({ "n": 0 }));
    let record = me.invoke(&conducts, &recursion(LIMIT + 1)).await.expect(502).json();
    assert_eq!(record["response"]["result"], json!({ "error": TOO_LONG }));
}

#[tokio::test]
async fn sequences_and_conductors_that_contain_each_other_come_to_an_end() {
    let me = Whisk::shared().await.namespace().await;
    // It is called again and again by the sequence that it calls.
    let code = "function main(args) {
      if (args.error) return args;
      return { action: args.sequence, params: { sequence: args.sequence } };
    }";
    let conducts = me.create("c", &conductor(code)).await;
    let around = me.create("s", &sequence(&[format!("/_/{conducts}")])).await;
    let record = me.invoke(&around, &json!({ "sequence": around })).await.expect(502).json();
    let told = record["response"]["result"]["error"].as_str().unwrap_or_default();
    assert!(told.starts_with("Too many actions in the "), "{record}");
}
