//! Sequences and compositions whose controller ends in their midst, killed or in order: each has a record
//! that names what it had begun, and what it had begun has one, too.

use std::time::Duration;

use serde_json::{Value, json};
use tests::fixtures::{self, CONDUCTOR, ECHO, SLEEP, conductor, sequence};
use tests::namespace::{Namespace, annotation};
use tests::server::{Options, Server};
use tests::wait;

use crate::marks::{MARKING, Marks};

/// Longer than the server lives.
const RUN_MS: u64 = 60_000;
/// Until all are inside user code.
const UNDER_WAY: Duration = Duration::from_secs(90);
/// What the record of what a crash ended says.
const INTERRUPTED: &str = "The controller that ran this activation came to an end before it did.";

/// The records of the activations directly below.
async fn below(me: &Namespace, record: &Value) -> Vec<Value> {
    let mut below = Vec::new();
    for id in record["logs"].as_array().expect("logs are a list") {
        let record = me.wait_for_activation(id.as_str().expect("an id is text")).await;
        below.push(record);
    }
    below
}

/// Demands the record of a sequence or composition that a crash ended, with these parts, the last of which
/// it ended, too. Returns the last.
async fn interrupted(me: &Namespace, record: &Value, parts: &[&str]) -> Value {
    assert_eq!(record["response"]["status"], "whisk internal error", "{record}");
    assert_eq!(record["response"]["result"], json!({ "error": INTERRUPTED }));
    assert_eq!(annotation(record, "kind"), Some(&json!("sequence")));
    let mut below = below(me, record).await;
    let names: Vec<_> = below.iter().map(|part| part["name"].as_str().expect("a name")).collect();
    assert_eq!(names, parts, "{record}");
    assert!(below.iter().all(|part| part["cause"] == record["activationId"]), "{below:?}");
    let last = below.pop().expect("it had begun something");
    assert!(below.iter().all(|part| part["response"]["status"] == "success"), "{below:?}");
    assert_eq!(last["response"]["status"], "whisk internal error", "{last}");
    last
}

#[tokio::test(flavor = "multi_thread")]
async fn what_sigkill_cuts_short_has_a_record_with_what_it_had_begun() {
    let server = Server::start(Options::default()).await;
    let me = server.whisk().namespace().await;
    let echo = me.put_js("echo", ECHO).await;
    let mut body = fixtures::js(MARKING);
    body["limits"]["timeout"] = json!(90_000);
    let marking = me.create("marking", &body).await;
    let own = |name: &str| format!("/_/{name}");
    let inner = me.create("inner", &sequence(&[own(&marking), own(&echo)])).await;
    let outer = me.create("outer", &sequence(&[own(&echo), own(&inner), own(&echo)])).await;
    let conducts = me.create("conducts", &conductor(CONDUCTOR)).await;
    let marks = Marks::of(&me, server.home()).await;

    let arguments = json!({ "file": marks.path(), "ms": RUN_MS });
    let sequence_id = me.fire(&outer, &arguments).await;
    let with_action = json!({ "file": marks.path(), "ms": RUN_MS, "action": marking });
    let composition_id = me.fire(&conducts, &with_action).await;
    let ended = me.invoke(&outer, &json!({ "error": "x" })).await.expect(502).json();
    wait::until("two components are inside user code", UNDER_WAY, || async {
        (marks.read().await.len() >= 2).then_some(())
    })
    .await;
    let server = server.kill().await.start().await;

    let me = server.whisk().sign_in(&me.auth).await;
    let record = me.wait_for_activation(&sequence_id).await;
    let nested = interrupted(&me, &record, &[&echo, &inner]).await;
    assert_eq!(annotation(&record, "topmost"), Some(&json!(true)));
    interrupted(&me, &nested, &[&marking]).await;
    assert_eq!(annotation(&nested, "causedBy"), Some(&json!("sequence")));
    let record = me.wait_for_activation(&composition_id).await;
    interrupted(&me, &record, &[&conducts, &marking]).await;
    assert_eq!(annotation(&record, "conductor"), Some(&json!(true)));
    let id = ended["activationId"].as_str().expect("it has an id");
    assert_eq!(me.wait_for_activation(id).await, ended, "what was answered stands");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn at_sigterm_a_sequence_runs_to_its_end() {
    let server = Server::start(Options::default()).await;
    let me = server.whisk().namespace().await;
    let slow = me.put_js("slow", SLEEP).await;
    let pause = me.put_js("pause", "function main({ slept }) { return { ms: slept }; }").await;
    let own = |name: &str| format!("/_/{name}");
    let components = [own(&slow), own(&pause), own(&slow), own(&pause)];
    let name = me.create("s", &sequence(&components)).await;
    let id = me.fire(&name, &json!({ "ms": 1_500 })).await;
    let server = server.stop().await.start().await;
    let me = server.whisk().sign_in(&me.auth).await;
    let record = me.wait_for_activation(&id).await;
    assert_eq!(record["response"]["result"], json!({ "ms": 1_500 }), "{record}");
    assert_eq!(below(&me, &record).await.len(), 4);
    server.stop().await;
}
