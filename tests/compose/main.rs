//! docker-compose.yml as an operator meets it: the whole stack started, used, scaled, hurt and taken away.
//!
//! The programs are those that cargo has built; images that no registry has are stand-ins. Both are made by
//! `cargo xtask test --all`, which alone runs this suite. Grafana is left out, since it cannot be had everywhere.

mod daemon;
mod images;
mod load;
mod stack;

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Duration;

use futures::FutureExt;
use serde_json::{Value, json};
use tests::client::Client;
use tests::docker::Instance;
use tests::namespace::Namespace;
use tests::{fixtures, wait};

use crate::daemon::Daemon;
use crate::images::Images;
use crate::load::Load;
use crate::stack::Stack;

/// How long the platform may take to notice who has come or gone.
const NOTICED: Duration = Duration::from_secs(60);

#[tokio::test]
async fn the_file_is_read_without_a_warning() {
    let stack = Stack::new();
    let (_, complaints) = stack.run(&["config", "--quiet"]).await;
    assert_eq!(complaints, "");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stack_starts_runs_actions_scales_and_leaves_nothing() {
    let stack = Stack::new();
    let daemon = Daemon::of(stack.project()).await;
    let images = Images::build(&stack, &daemon).await;
    let outcome = AssertUnwindSafe(live(&stack, &daemon)).catch_unwind().await;
    if outcome.is_err() {
        stack.keep_logs().await;
    }
    stack.run(&["down", "--volumes"]).await;
    images.put_back(&daemon).await;
    let invokers = outcome.unwrap_or_else(|cause| resume_unwind(cause));
    assert_eq!(daemon.left(&invokers).await, Vec::<String>::new(), "something is left");
}

/// What is done with a stack; returns the invokers that have run actions.
async fn live(stack: &Stack, daemon: &Daemon) -> Vec<Instance> {
    start(stack, daemon, 1).await;
    it_came_up_in_order(daemon).await;
    let namespace = first_namespace(stack).await;
    let hello = greet(&namespace).await;
    an_action_reaches_the_api(&namespace).await;
    no_secret_is_logged(stack).await;

    start(stack, daemon, 3).await;
    wait_for_invokers(stack, &["up"; 3]).await;
    prometheus_finds_all(stack, 3).await;
    let invokers = the_others_take_over(stack, daemon, &namespace).await;
    boards_and_alerts_have_what_they_need(stack).await;

    // What volumes keep outlives the containers.
    stack.run(&["down"]).await;
    assert_eq!(daemon.containers().await, BTreeSet::new());
    start(stack, daemon, 1).await;
    wait_for_invokers(stack, &["up"]).await;
    assert_eq!(namespace.result(&hello, &json!({})).await, json!({ "greeting": "Hello stranger!" }));
    invokers
}

/// Starts all that runs everywhere, and waits until each is healthy.
async fn start(stack: &Stack, daemon: &Daemon, invokers: usize) {
    let invokers_wanted = format!("invoker={invokers}");
    stack.run(&["up", "--detach", "--scale", &invokers_wanted, "--scale", "grafana=0"]).await;
    let services = 4 + invokers;
    let what = format!("{services} healthy services");
    wait::until(&what, stack::STARTED, || async { (daemon.healthy().await == services).then_some(()) }).await;
}

async fn it_came_up_in_order(daemon: &Daemon) {
    let started = daemon.started("invoker").await;
    for service in ["secrets", "runtime-nodejs", "runtime-python", "runtime-golang", "runtime-java-builder"] {
        let ended = daemon.ended_well(service).await;
        assert!(ended < started, "{service} ended at {ended}, the invoker started at {started}");
    }
    for service in ["postgres", "kafka", "controller"] {
        assert!(daemon.started(service).await < started, "{service} starts before the invoker");
    }
}

/// Makes the first subject, as docs/compose.md says.
async fn first_namespace(stack: &Stack) -> Namespace {
    let name = "alice";
    let admin = ["exec", "-T", "controller", "wskadmin"];
    let (auth, _) = stack.run(&[&admin[..], &["user", "create", name]].concat()).await;
    let limits =
        ["limits", "set", name, "--invocationsPerMinute", "100000", "--concurrentInvocations", "1000"];
    stack.run(&[&admin[..], &limits].concat()).await;
    let namespace = Namespace::new(name, auth.trim(), Client::new(&stack.api(), Some(auth.trim())));
    wait::until("the new subject may sign in", NOTICED, || async {
        (namespace.get("actions").await.status == 200).then_some(())
    })
    .await;
    namespace.wait_for_limit("invocationsPerMinute", &json!(100_000)).await;
    namespace
}

async fn greet(namespace: &Namespace) -> String {
    let name = namespace.put_python("hello", fixtures::GREETING_PY).await;
    let greeting = namespace.result(&name, &json!({ "name": "Ada" })).await;
    assert_eq!(greeting, json!({ "greeting": "Hello Ada!" }));
    name
}

async fn an_action_reaches_the_api(namespace: &Namespace) {
    let echo = namespace.put_js("echo", fixtures::ECHO).await;
    let mut body = fixtures::js(fixtures::CALL_BACK);
    body["annotations"] = json!([{ "key": "provide-api-key", "value": true }]);
    let caller = namespace.create("caller", &body).await;
    let result = namespace.result(&caller, &json!({ "action": echo, "params": { "x": 1 } })).await;
    assert_eq!(result, json!({ "x": 1 }));
}

async fn no_secret_is_logged(stack: &Stack) {
    let file = "/secrets/postgres/password";
    let (password, _) = stack.run(&["exec", "-T", "controller", "cat", file]).await;
    assert!(password.len() >= 32, "the password is long");
    let (logs, complaints) = stack.run(&["logs"]).await;
    assert!(logs.contains("postgres") && !logs.contains(&password) && !complaints.contains(&password));
}

async fn wait_for_invokers(stack: &Stack, states: &[&str]) {
    let what = format!("invokers that are {states:?}");
    let client = Client::new(&stack.api(), None);
    wait::until(&what, NOTICED, || async {
        let answer = client.get("/invokers").await.json();
        let mut found: Vec<&str> = answer.as_object()?.values().filter_map(Value::as_str).collect();
        found.sort_unstable();
        (found == states).then_some(())
    })
    .await;
}

async fn prometheus_finds_all(stack: &Stack, invokers: usize) {
    let client = Client::new(&stack.prometheus(), None);
    let wanted = BTreeSet::from_iter(
        (0..invokers)
            .map(|number| format!("invoker {number}"))
            .chain(["controller 0".to_owned(), "prometheus ".to_owned()]),
    );
    wait::until("Prometheus reads from all", NOTICED, || async {
        let answer = client.get("/api/v1/targets").await.json();
        let targets = answer["data"]["activeTargets"].as_array()?;
        let up = targets.iter().filter(|target| target["health"] == "up").map(|target| {
            let label = |name: &str| target["labels"][name].as_str().unwrap_or_default();
            format!("{} {}", label("job"), label("instance_id"))
        });
        (up.collect::<BTreeSet<_>>() == wanted).then_some(())
    })
    .await;
}

/// All three invokers run activations; one is stopped meanwhile, no activation fails, and two go on.
/// Returns the three.
async fn the_others_take_over(stack: &Stack, daemon: &Daemon, namespace: &Namespace) -> Vec<Instance> {
    let mut load = Load::start(namespace).await;
    let all = load.until_run_by(daemon, 3).await;
    let invokers = load.instances().await;
    daemon.stop_one("invoker").await;
    load.forget().await;
    let rest = load.until_run_by(daemon, 2).await;
    assert!(rest.is_subset(&all), "{rest:?} of {all:?}");
    load.finish(daemon, &rest).await;
    let client = Client::new(&stack.api(), None);
    let healthy = client.get("/invokers/healthy/count").await.text().trim().to_owned();
    assert_eq!(healthy, "2");
    invokers
}

/// Prometheus reads what the boards want, namespaces and actions included, and evaluates the alerts: `tests/dashboards`
/// tries each of them.
async fn boards_and_alerts_have_what_they_need(stack: &Stack) {
    let client = Client::new(&stack.prometheus(), None);
    for name in ["oxwhisk_invoker_activations_total", "openwhisk_action_activations_total"] {
        let answer = client.get(format!("/api/v1/query?query={name}")).await.expect(200).json();
        assert!(!answer["data"]["result"].as_array().expect("a list").is_empty(), "nobody has {name}");
    }
    let answer = client.get("/api/v1/rules").await.expect(200).json();
    let groups = answer["data"]["groups"].as_array().expect("groups of rules");
    let rules: Vec<&Value> = groups.iter().filter_map(|group| group["rules"].as_array()).flatten().collect();
    assert!(!rules.is_empty() && rules.iter().all(|rule| rule["health"] == "ok"), "{rules:?}");
}
