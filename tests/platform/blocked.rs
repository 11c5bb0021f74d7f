//! A subject that is blocked while its activations wait.

use std::time::Duration;

use serde_json::json;
use tests::admin::Admin;
use tests::fixtures::{self, ECHO};
use tests::server::{Options, Server};
use tests::wait;

const SOON: Duration = Duration::from_secs(30);

/// Runs until its namespace has a package.
const UNTIL_A_PACKAGE: &str = "const openwhisk = require('openwhisk');
async function main() {
  while (!(await openwhisk().packages.list()).length) await new Promise(done => setTimeout(done, 50));
  return { found: true };
}";

const CONTAINERS: &str = "gauge_containerPool_activeCount_counter";
const WAITING: &str = "gauge_containerPool_runBufferCount_counter";

async fn wait_for(server: &Server, gauge: &str, count: u64) {
    let line = format!("{gauge} {count}");
    wait::until(&line, SOON, || async {
        let metrics = server.whisk().anonymous().get("/metrics").await.expect(200).text();
        metrics.lines().any(|found| found == line).then_some(())
    })
    .await;
}

#[tokio::test]
async fn what_waits_of_a_blocked_subject_is_not_run_and_has_a_record() {
    let server = Server::start(Options { user_memory: "128m".to_owned(), ..Options::default() }).await;
    let (me, other) = (server.whisk().namespace().await, server.whisk().namespace().await);
    let admin = Admin::of(&server.home().data());
    let echo = me.put_js("echo", ECHO).await;
    let mut body = fixtures::js(UNTIL_A_PACKAGE);
    body["annotations"] = json!([{ "key": "provide-api-key", "value": true }]);
    let holding = other.create("holding", &body).await;
    let held = other.fire(&holding, &json!({})).await;
    wait_for(&server, CONTAINERS, 1).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(me.fire(&echo, &json!({})).await);
    }
    wait_for(&server, WAITING, 3).await;
    admin.run(&["user", "block", &me.name]).await;
    wait_for(&server, WAITING, 0).await;
    wait::until("nobody is let in", SOON, || async { (me.get("actions").await.status == 401).then_some(()) })
        .await;

    admin.run(&["user", "unblock", &me.name]).await;
    let late = wait::until("it is let in again", SOON, || async {
        let answer = me.post(format!("actions/{echo}"), &json!({ "late": true })).await;
        (answer.status == 202).then(|| answer.activation_id())
    })
    .await;
    for id in ids {
        let record = me.wait_for_activation(&id).await;
        let error = json!({ "error": "The action was not invoked due to a blacklisted namespace." });
        assert_eq!(record["response"]["status"], "application error", "{record}");
        assert_eq!((&record["response"]["result"], &record["duration"]), (&error, &json!(0)), "{record}");
    }
    other.put_package("go", &json!({})).await;
    let record = other.wait_for_activation(&held).await;
    assert_eq!(record["response"]["result"], json!({ "found": true }), "{record}");
    let record = me.wait_for_activation(&late).await;
    assert_eq!(record["response"]["result"], json!({ "late": true }), "what comes after that runs: {record}");
    server.stop().await;
}
