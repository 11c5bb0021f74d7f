//! The end: what runs is finished, and nothing stays behind.

use std::fs;
use std::path::Path;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use tests::docker::Instance;
use tests::fixtures::{ECHO, SLEEP};
use tests::namespace::Isolation;
use tests::processes;
use tests::server::{Options, Server};
use tests::wait;

/// The names of the files and folders in a folder.
fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut names: Vec<String> =
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    names
}

async fn leaves_nothing(signal: Signal) {
    let server = Server::start(Options::default()).await;
    let me = server.whisk().namespace().await;
    let echo = me.put_js("echo", ECHO).await;
    for number in 0..3 {
        me.result(&echo, &json!({ "number": number })).await;
    }
    let greeting = me.put_python("echo", "def main(args): return args\n").await;
    me.result(&greeting, &json!({})).await;

    let docker = match me.isolation().await {
        Isolation::Containers(id) => {
            let instance = Instance::of_container(&id).await;
            let networks = instance.networks().await;
            assert!(!instance.containers().await.is_empty());
            Some((instance, networks))
        }
        Isolation::Processes => None,
    };
    let processes = processes::of_server(server.process(), server.home().folder());
    if docker.is_none() {
        assert!(!processes.is_empty(), "actions run as processes, and there are none");
    }
    let home = server.stop_by(signal).await;

    let left = processes::left(&processes);
    assert!(left.is_empty(), "processes are left: {left:?}");
    if let Some((instance, networks)) = docker {
        let containers = instance.containers().await;
        assert!(containers.is_empty(), "containers are left: {containers:?}");
        let left = instance.networks().await;
        assert!(left.is_empty(), "networks are left: {left:?}");
        let rules = instance.firewall(&networks);
        assert!(rules.is_empty(), "firewall rules are left: {rules:?}");
    }
    let temporary = names(&home.temporary());
    assert!(temporary.is_empty(), "temporary files are left: {temporary:?}");
    assert_eq!(names(home.folder()), ["data", "tmp"], "and none beside the data");

    // What stays in the data directory is what the next start needs, not more with every run.
    let before = names(&home.data());
    let again = home.start().await;
    again.whisk().sign_in(&me.auth).await.result(&echo, &json!({})).await;
    assert_eq!(names(&again.stop().await.data()), before);
}

#[tokio::test]
async fn sigterm_leaves_nothing() {
    leaves_nothing(Signal::TERM).await;
}

#[tokio::test]
async fn sigint_leaves_nothing() {
    leaves_nothing(Signal::INT).await;
}

#[tokio::test]
async fn what_runs_is_finished_and_answered() {
    let server = Server::start(Options::default()).await;
    let me = server.whisk().namespace().await;
    let sleep = me.put_js("sleep", SLEEP).await;
    me.result(&sleep, &json!({ "ms": 1 })).await;
    let blocking = me.post(format!("actions/{sleep}?blocking=true"), &json!({ "ms": 3_000 }));
    let fired = me.fire(&sleep, &json!({ "ms": 3_000 })).await;
    let stop = async {
        // Nothing tells from outside that the request has arrived; a third of its run is enough.
        tokio::time::sleep(Duration::from_millis(1_000)).await;
        server.stop().await
    };
    let (answer, home) = futures::future::join(blocking.send(), stop).await;
    let answer = answer.unwrap_or_else(|error| panic!("a running activation is answered: {error}"));
    let id = answer.expect(200).activation_id();

    let server = home.start().await;
    let me = server.whisk().sign_in(&me.auth).await;
    for id in [id, fired] {
        let record = me.wait_for_activation(&id).await;
        assert_eq!(record["response"]["result"], json!({ "slept": 3_000 }), "{record}");
    }
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_room_is_answered_with_its_id_and_runs_at_the_next_start() {
    let options = Options { user_memory: "256m".to_owned(), ..Options::default() };
    let server = Server::start(options).await;
    let me = server.whisk().namespace().await;
    let sleep = me.put_js("sleep", SLEEP).await;
    me.result(&sleep, &json!({ "ms": 1 })).await;
    let mut calls = tokio::task::JoinSet::new();
    for _ in 0..4 {
        let call = me.post(format!("actions/{sleep}?blocking=true"), &json!({ "ms": 2_000 }));
        calls.spawn(async move { call.send().await.expect("every request is answered") });
    }
    // One runs, and there is no room for another.
    let anonymous = server.whisk().anonymous();
    wait::until("all of them are in flight", Duration::from_secs(10), || async {
        (anonymous.get("/activation/count").await.expect(200).json() == json!(4)).then_some(())
    })
    .await;
    let home = server.stop().await;
    let answers = calls.join_all().await;
    assert!(answers.iter().any(|answer| answer.status == 202), "some had no room");

    let server = home.start().await;
    let me = server.whisk().sign_in(&me.auth).await;
    for answer in answers {
        let id = answer.expect_any(&[200, 202]).activation_id();
        let record = me.wait_for_activation(&id).await;
        assert_eq!(record["response"]["result"], json!({ "slept": 2_000 }), "{record}");
    }
    server.stop().await;
}
