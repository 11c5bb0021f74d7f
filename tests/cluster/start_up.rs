//! Numbers, membership, and what each node says of itself.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use tests::client::Client;
use tests::deployment::{Node, Role, Site};
use tests::fixtures::ECHO;
use tests::server::Options;
use tests::services::kafka::Kafka;
use tests::services::postgres::Postgres;
use tests::wait;
use tests::whisk::Whisk;

use crate::world::World;

/// Longer than a lease.
const SOON: Duration = Duration::from_secs(15);

/// Until a node has noticed that a service is away, or is back.
const NOTICED: Duration = Duration::from_secs(60);

/// Waits until a node says that it is not ready, for this reason.
async fn until_it_lacks(node: &Node, what: &str) {
    wait::until(&format!("{} lacks {what}", node.url()), NOTICED, || async {
        let answer = node.client().get("/ready").send().await.ok()?;
        let why = answer.json()["why"].to_string();
        (answer.status == 503 && why.contains(what)).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_node_has_a_number_and_everybody_knows_it() {
    let world = World::start().await;
    for controller in &world.controllers {
        let client = controller.client();
        let invokers = client.get("/invokers").await.expect(200).json();
        let names: BTreeSet<_> = invokers.as_object().expect("a map").keys().cloned().collect();
        assert_eq!(names, ["invoker0", "invoker1", "invoker2"].map(str::to_owned).into());
        client.get("/invokers/ready").await.expect(200);
        let targets = wait::until("all nodes are found by Prometheus", SOON, || async {
            let targets = client.get("/metrics/targets").await.expect(200).json();
            (targets.as_array().expect("a list").len() == 5).then_some(targets)
        })
        .await;
        for target in targets.as_array().expect("a list") {
            let address = target["targets"][0].as_str().expect("an address");
            let node = Client::new(&format!("http://{address}"), None);
            let answer = node.get("/metrics").await.expect(200);
            assert!(!answer.text().is_empty(), "{target}");
        }
    }
    // What one controller is told, the other knows.
    let [one, other] = &world.namespace().await[..] else { panic!("there are two controllers") };
    let name = one.put_js("echo", ECHO).await;
    assert_eq!(other.result(&name, &json!({ "a": 1 })).await, json!({ "a": 1 }));
    let answer = one.invoke(&name, &json!({ "b": 2 })).await.expect(200);
    let record = other.wait_for_activation(&answer.activation_id()).await;
    assert_eq!(record["response"]["result"], json!({ "b": 2 }));
    // A change at one is seen at the other within a second.
    one.update(
        &name,
        &json!({ "exec": { "kind": "nodejs:default", "code": "function main() { return { new: true }; }" } }),
    )
    .await;
    wait::until("the other controller runs the new code", SOON, || async {
        (other.result(&name, &json!({})).await == json!({ "new": true })).then_some(())
    })
    .await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_wait_for_what_is_away_and_say_so() {
    let (mut kafka, mut postgres) = (Kafka::prepare(), Postgres::start().await);
    let site = Site::on(kafka.hosts(), postgres.database().await, Options::default());
    postgres.stop().await;
    let mut nodes = [site.spawn(Role::Controller), site.spawn(Role::Invoker)];
    for node in &nodes {
        until_it_lacks(node, "PostgreSQL").await;
        node.client().get("/ping").await.expect(200);
    }
    nodes[0].client().get("/api/v1/namespaces").await.expect(503).error_contains("PostgreSQL");
    postgres.start_again().await;
    for node in &nodes {
        until_it_lacks(node, "Kafka").await;
    }
    kafka.start_again().await;
    for node in &mut nodes {
        node.wait_until_ready().await;
    }
    nodes[0].wait_for_invokers(1).await;
    let whisk = Whisk::of_our_own(nodes[0].url(), site.admin());
    let me = whisk.namespace().await;
    let name = me.put_js("echo", ECHO).await;
    me.result(&name, &json!({})).await;

    // The same while they run, and they go on by themselves.
    kafka.stop().await;
    for node in &nodes {
        until_it_lacks(node, "Kafka").await;
    }
    kafka.start_again().await;
    postgres.stop().await;
    for node in &nodes {
        until_it_lacks(node, "PostgreSQL").await;
    }
    postgres.start_again().await;
    for node in &mut nodes {
        node.wait_until_ready().await;
    }
    nodes[0].wait_for_invokers(1).await;
    assert_eq!(me.result(&name, &json!({ "still": "here" })).await, json!({ "still": "here" }));
    let [controller, invoker] = nodes;
    invoker.stop().await;
    controller.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_told_to_stop_while_it_waits_does_so() {
    let (kafka, postgres) = (Kafka::prepare(), Postgres::start().await);
    let site = Site::on(kafka.hosts(), postgres.database().await, Options::default());
    for role in [Role::Controller, Role::Invoker] {
        let node = site.spawn(role);
        until_it_lacks(&node, "Kafka").await;
        node.stop().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_keeps_its_number() {
    let site = Site::shared(Options::default()).await;
    let named =
        |name: &'static str| site.spawn_on(Role::Controller, tests::place::free_port(), &["--name", name]);
    let mut first = named("a");
    first.wait_until_ready().await;
    let mut second = named("b");
    second.wait_until_ready().await;
    let numbers = async |node: &Node| node.client().get("/metrics/targets").await.expect(200).json();
    let of = |targets: &serde_json::Value, port: u16| {
        let address = format!("127.0.0.1:{port}");
        let target =
            targets.as_array().expect("a list").iter().find(|target| target["targets"][0] == address);
        target.map(|target| target["labels"]["instance_id"].as_str().expect("a number").to_owned())
    };
    let targets = numbers(&second).await;
    assert_eq!(of(&targets, second.port()).as_deref(), Some("1"));
    first.stop().await;
    second.stop().await;
    let mut again = named("b");
    again.wait_until_ready().await;
    assert_eq!(of(&numbers(&again).await, again.port()).as_deref(), Some("1"), "though 0 is free");
    again.stop().await;
}
