//! Runs that overlap in one container: each record has exactly its own lines, and each run its own end.

use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use tests::fixtures;
use tests::namespace::{Namespace, annotation};
use tests::server::{Options, Server};
use tests::wait;

const RUNS: usize = 50;
/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

/// All runs are there before one goes on; then they print in parts, on both streams, by timers and children.
const CHATTER: &str = "const { spawn } = require('child_process');
console.log('loaded');
const waiting = [];
async function main({ n, runs }) {
  console.log(`${n}: begins`);
  await new Promise(go => { waiting.push(go); if (waiting.length === runs) waiting.splice(0).forEach(f => f()); });
  for (let i = 0; i < 5; i++) {
    process.stdout.write(`${n}: out `);
    await new Promise(setImmediate);
    process.stdout.write(`${i}\\n`);
    console.error(`${n}: err ${i}`);
    await new Promise(done => setTimeout(done, n % 7));
  }
  if (n % 10 === 0) {
    await new Promise(done => spawn('sh', ['-c', `echo ${n}: child`], { stdio: 'inherit' }).on('close', done));
  }
  setTimeout(() => console.log(`${n}: too late`), 1);
  return { n, id: process.env.__OW_ACTIVATION_ID };
}";

/// Runs wait until one comes that lets them go, and fails in one of several ways.
const TROUBLE: &str = "const waiting = [];
function main({ n, how }) {
  if (how === 'count') return { waiting: waiting.length, pid: process.pid, host: require('os').hostname() };
  console.log(`${n}: begins`);
  if (how === 'throw') { waiting.forEach(go => setTimeout(go, 50)); throw new Error('on purpose'); }
  if (how === 'exit') process.exit(1);
  return new Promise(go => waiting.push(go)).then(() => { console.log(`${n}: ends`); return { n }; });
}";

async fn start() -> (Server, Namespace) {
    let config = format!("[whisk.concurrency-limit]\nmax = {RUNS}\n");
    let server = Server::start(Options { config: Some(config), ..Options::default() }).await;
    let me = server.whisk().namespace().await;
    (server, me)
}

async fn put(me: &Namespace, code: &str) -> String {
    let mut body = fixtures::js(code);
    body["limits"] = json!({ "memory": 256, "concurrency": RUNS });
    me.create("overlap", &body).await
}

/// The lines of one stream, without their times.
fn lines<'a>(record: &'a Value, stream: &str) -> Vec<&'a str> {
    let lines = record["logs"].as_array().into_iter().flatten().filter_map(Value::as_str);
    lines.filter_map(|line| line.get(31..)?.strip_prefix(stream)?.strip_prefix(": ")).collect()
}

fn has_own_lines_alone(record: &Value, n: usize) {
    let mut stdout = vec![format!("{n}: begins")];
    stdout.extend((0..5).map(|i| format!("{n}: out {i}")));
    stdout.extend(n.is_multiple_of(10).then(|| format!("{n}: child")));
    // What is printed while the module is loaded belongs to the run for which it was.
    if annotation(record, "initTime").is_some() {
        stdout.insert(0, "loaded".to_owned());
    }
    assert_eq!(lines(record, "stdout"), stdout, "run {n}");
    assert_eq!(
        lines(record, "stderr"),
        (0..5).map(|i| format!("{n}: err {i}")).collect::<Vec<_>>(),
        "run {n}"
    );
}

#[tokio::test]
async fn fifty_runs_at_once_have_their_own_lines_each() {
    let (server, me) = start().await;
    let name = put(&me, CHATTER).await;
    for round in 0..2 {
        let invoke = |n: usize| {
            let (me, name) = (&me, &name);
            async move {
                let answer = me.invoke(name, &json!({ "n": n, "runs": RUNS })).await.expect(200);
                let id = answer.activation_id();
                assert_eq!(answer.json()["response"]["result"], json!({ "n": n, "id": id }));
                me.wait_for_activation(&id).await
            }
        };
        let records = join_all((0..RUNS).map(invoke)).await;
        for (n, record) in records.iter().enumerate() {
            has_own_lines_alone(record, n);
        }
        let cold = records.iter().filter(|record| annotation(record, "initTime").is_some()).count();
        assert_eq!(cold, usize::from(round == 0), "all share one container");
    }
    // What they printed after their ends is in nobody's record.
    let record = me.record_of(&name, &json!({ "n": 1, "runs": 1 })).await;
    has_own_lines_alone(&record, 1);
    server.stop().await;
}

/// Three runs that wait in one container; their activation ids.
async fn three_waiting(me: &Namespace, name: &str) -> (Vec<String>, Value) {
    let mut ids = Vec::new();
    for n in 0..3 {
        ids.push(me.fire(name, &json!({ "n": n })).await);
    }
    let count = || async {
        let seen = me.result(name, &json!({ "how": "count" })).await;
        (seen["waiting"] == 3).then_some(seen)
    };
    let place = wait::until("three runs wait", LONG, count).await;
    (ids, place)
}

#[tokio::test]
async fn a_run_that_throws_lets_the_others_end_and_the_next_has_a_new_container() {
    let (server, me) = start().await;
    let name = put(&me, TROUBLE).await;
    let (ids, place) = three_waiting(&me, &name).await;
    let record = me.record_of(&name, &json!({ "n": 9, "how": "throw" })).await;
    assert_eq!(record["response"]["status"], "action developer error", "{record}");
    assert_eq!(lines(&record, "stdout"), ["9: begins"]);
    for (n, id) in ids.iter().enumerate() {
        let record = me.wait_for_activation(id).await;
        assert_eq!(record["response"]["result"], json!({ "n": n }), "{record}");
        assert_eq!(lines(&record, "stdout"), [format!("{n}: begins"), format!("{n}: ends")]);
        assert_eq!(lines(&record, "stderr"), [""; 0]);
    }
    let next = me.result(&name, &json!({ "how": "count" })).await;
    assert_eq!(next["waiting"], 0);
    assert_ne!((&next["host"], &next["pid"]), (&place["host"], &place["pid"]));
    server.stop().await;
}

#[tokio::test]
async fn a_run_that_exits_takes_the_others_along_with_the_lines_they_had() {
    let (server, me) = start().await;
    let name = put(&me, TROUBLE).await;
    let (mut ids, _) = three_waiting(&me, &name).await;
    let answer = me.invoke(&name, &json!({ "n": 3, "how": "exit" })).await.expect(502);
    ids.push(answer.activation_id());
    for (n, id) in ids.iter().enumerate() {
        let record = me.wait_for_activation(id).await;
        let error = "The action did not produce a valid response and exited unexpectedly.";
        assert_eq!(record["response"]["result"], json!({ "error": error }), "{record}");
        assert_eq!(lines(&record, "stdout"), [format!("{n}: begins")]);
        let told = "The action did not initialize or run as expected. Log data might be missing.";
        assert_eq!(lines(&record, "stderr"), [told]);
    }
    assert_eq!(me.result(&name, &json!({ "how": "count" })).await["waiting"], 0);
    server.stop().await;
}

#[tokio::test]
async fn namespaces_are_allowed_less_and_never_share_a_container() {
    let (server, me) = start().await;
    let (other, admin) = server.whisk().fresh(0).await.expect("the server is ours");
    let package = me.put_package("shared", &json!({ "publish": true })).await;
    let mut body = fixtures::js(TROUBLE);
    body["limits"] = json!({ "memory": 256, "concurrency": RUNS });
    me.put(format!("actions/{package}/trouble"), &body).await.expect(200);
    let path = format!("/api/v1/namespaces/{}/actions/{package}/trouble", me.name);
    let waiting = me.post(&path, &json!({ "n": 1 })).await.expect(202).activation_id();
    let count = async |by: &Namespace| {
        let path = format!("{path}?blocking=true&result=true");
        by.post(&path, &json!({ "how": "count" })).await.expect(200).json()
    };
    wait::until("a run waits", LONG, || async { (count(&me).await["waiting"] == 1).then_some(()) }).await;
    assert_eq!(count(&other).await["waiting"], 0, "another namespace has a container of its own");

    admin.set_limits(&other.name, &["--maxActionConcurrency", "5"]).await;
    other.wait_for_limit("maxActionConcurrency", &json!(5)).await;
    let text = format!("concurrency {RUNS} exceeds allowed threshold of 5");
    other.put("actions/mine", &body).await.expect(400).error_contains(&text);
    let answer = other.post(format!("{path}?blocking=true"), &json!({ "how": "count" })).await.expect(502);
    let error = answer.json()["response"]["result"]["error"].as_str().unwrap_or_default().to_owned();
    assert!(error.contains(&text), "{error}");

    let path = format!("{path}?blocking=true");
    me.post(&path, &json!({ "n": 2, "how": "throw" })).await.expect(502);
    let record = me.wait_for_activation(&waiting).await;
    assert_eq!(lines(&record, "stdout"), ["1: begins", "1: ends"]);
    server.stop().await;
}
