//! SIGKILL while a hundred activations are on their way, at least twenty of them inside user code.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tests::answer::Answer;
use tests::fixtures::{self, ECHO};
use tests::processes;
use tests::server::{Options, Server};
use tests::wait;
use tokio::task::JoinSet;

use crate::marks::{MARKING, Marks, Run};

const INVOCATIONS: usize = 100;
const INSIDE: usize = 20;
/// Longer than it takes to start so many containers, so that the first is still inside with the last.
const RUN_MS: u64 = 20_000;
/// Until so many are inside.
const UNDER_WAY: Duration = Duration::from_secs(90);
/// Until every activation has a record: those that never began run now, in a few rounds.
const RECORDED: Duration = Duration::from_secs(300);

fn inside(runs: &BTreeMap<String, Run>) -> Vec<String> {
    runs.iter().filter(|(_, run)| run.begun > run.ended).map(|(id, _)| id.clone()).collect()
}

/// The answers that came before the server died.
async fn answered(mut calls: JoinSet<Option<Answer>>) -> Vec<Answer> {
    let mut answers = Vec::new();
    while let Some(call) = calls.join_next().await {
        answers.extend(call.expect("a call does not panic"));
    }
    answers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_server_loses_nothing_and_runs_nothing_twice() {
    let options = Options { user_memory: "4g".to_owned(), ..Options::default() };
    let server = Server::start(options).await;
    let me = server.whisk().namespace().await;
    let echo = me.put_js("echo", ECHO).await;
    let mut body = fixtures::js(MARKING);
    body["limits"]["timeout"] = json!(60_000);
    let marking = me.create("marking", &body).await;
    let action = me.get(format!("actions/{marking}")).await.expect(200).json();
    let marks = Marks::of(&me, server.home()).await;

    let arguments = json!({ "file": marks.path(), "ms": RUN_MS });
    let mut calls = JoinSet::new();
    for number in 0..INVOCATIONS {
        let blocking = number % 2 == 0;
        let call = me.post(format!("actions/{marking}?blocking={blocking}"), &arguments);
        calls.spawn(async move { call.send().await.ok() });
    }
    let proven = wait::until("enough activations are inside user code", UNDER_WAY, || async {
        let proven = inside(&marks.read().await);
        (proven.len() >= INSIDE).then_some(proven)
    })
    .await;
    let old_processes = processes::of_server(server.process(), server.home().folder());
    let home = server.kill().await;
    let answers = answered(calls).await;

    // The containers of the dead server are still there, and what they know is read before they go.
    let mut runs = BTreeMap::new();
    let old_containers = match &marks {
        Marks::Containers(instance) => {
            marks.read_into(&mut runs).await;
            instance.containers().await
        }
        Marks::File(_) => Default::default(),
    };

    let server = home.start().await;
    let me = server.whisk().sign_in(&me.auth).await;
    assert_eq!(me.get(format!("actions/{marking}")).await.expect(200).json(), action);
    assert_eq!(me.result(&echo, &json!({ "still": "here" })).await, json!({ "still": "here" }));
    let left = processes::left(&old_processes);
    assert!(left.is_empty(), "processes of the killed run are left: {left:?}");
    if let Marks::Containers(instance) = &marks {
        let now = instance.containers().await;
        let left: Vec<_> = old_containers.intersection(&now).collect();
        assert!(left.is_empty(), "containers of the killed run are left: {left:?}");
    }

    let fired = answers.iter().filter(|answer| answer.status == 202).count();
    assert!(fired > 0, "the non-blocking ones were answered before the kill");
    for answer in &answers {
        let id = answer.activation_id();
        let record = me.wait_for_activation_within(&id, RECORDED).await;
        if answer.status == 200 {
            assert_eq!(record["response"], answer.json()["response"], "a record agrees with the answer");
        }
        is_an_outcome(&record);
    }
    for id in &proven {
        is_an_outcome(&me.wait_for_activation_within(id, RECORDED).await);
    }

    Marks::of(&me, server.home()).await.read_into(&mut runs).await;
    for id in &proven {
        assert!(runs.contains_key(id), "{id} was inside user code");
    }
    let twice: Vec<_> = runs.iter().filter(|(_, run)| run.begun > 1 || run.ended > 1).collect();
    assert!(twice.is_empty(), "activations ran twice: {twice:?}");
    // Some began only now, and their callers were cut off.
    for id in runs.keys() {
        is_an_outcome(&me.wait_for_activation_within(id, RECORDED).await);
    }
    server.stop().await;
}

/// Either it ran to its end, or the platform says that it was cut off.
#[track_caller]
fn is_an_outcome(record: &Value) {
    let status = &record["response"]["status"];
    assert!(status == "success" || status == "whisk internal error", "{record}");
}
