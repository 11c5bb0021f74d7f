//! Numbers, membership, and what each node says of itself.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::json;
use tests::fixtures::ECHO;
use tests::wait;

use crate::world::World;

/// Longer than a lease.
const SOON: Duration = Duration::from_secs(15);

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
            let text = reqwest::get(format!("http://{address}/metrics")).await.expect("it answers");
            assert!(text.status().is_success(), "{target}");
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
