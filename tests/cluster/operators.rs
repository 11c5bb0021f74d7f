//! What operators do to a running cluster: disable and enable nodes, add and remove controllers.

use std::time::Duration;

use serde_json::{Value, json};
use tests::client::basic;
use tests::deployment::{Node, Role, Site};
use tests::fixtures::ECHO;
use tests::server::Options;
use tests::wait;
use tests::whisk::Whisk;

use crate::world::World;

const SOON: Duration = Duration::from_secs(20);

fn options() -> Options {
    let environment = [
        ("CONFIG_whisk_controller_username", "operator"),
        ("CONFIG_whisk_controller_password", "of-controllers"),
        ("CONFIG_whisk_invoker_username", "operator"),
        ("CONFIG_whisk_invoker_password", "of-invokers"),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Options { environment, throttled: true, user_memory: "512m".to_owned(), ..Options::default() }
}

async fn order(node: &Node, path: &str, password: &str) -> tests::answer::Answer {
    let authorization = basic(&format!("operator:{password}"));
    node.client().post(path, &Value::Null).authorization(&authorization).await
}

async fn is_up(controller: &Node, invoker: &str) -> bool {
    controller.client().get("/invokers").await.expect(200).json()[invoker] == "up"
}

#[tokio::test(flavor = "multi_thread")]
async fn nodes_are_disabled_and_enabled_and_controllers_share_the_throttles() {
    let mut world = World::with(options()).await;

    // An invoker that wants no work is down at once, and comes back.
    let invoker = &world.invokers[0];
    for wrong in ["", "of-controllers"] {
        order(invoker, "/disable", wrong).await.expect(401);
    }
    invoker.client().get("/isEnabled").await.expect(401);
    let text = order(invoker, "/disable", "of-invokers").await.expect(200).text();
    let name = text.split(' ').next().expect("a name").to_owned();
    assert_eq!(text, format!("{name} is now disabled."));
    let text = order(invoker, "/disable", "of-invokers").await.expect(200).text();
    assert_eq!(text, format!("{name} is already disabled."));
    invoker.client().get("/ready").await.expect(503);
    for controller in &world.controllers {
        wait::until("the disabled one is down", SOON, || async {
            (!is_up(controller, &name).await).then_some(())
        })
        .await;
        controller.client().get("/invokers/ready").await.expect(500);
    }
    let text = order(invoker, "/enable", "of-invokers").await.expect(200).text();
    assert_eq!(text, format!("{name} is now enabled."));
    world.wait_for_invokers(3).await;

    // Two controllers share a limit, with a fifth to spare.
    let admin = world.site.admin();
    let me = world.namespace().await;
    let echo = me[0].put_js("echo", ECHO).await;
    let trigger = me[0].put_trigger(&json!({})).await;
    admin.set_limits(&me[0].name, &["--invocationsPerMinute", "10", "--firesPerMinute", "10"]).await;
    for at in &me {
        at.wait_for_limit("invocationsPerMinute", &json!(10)).await;
        refused_beyond(at, &format!("actions/{echo}"), 6).await;
        refused_beyond(at, &format!("triggers/{trigger}"), 6).await;
    }

    // A disabled controller takes no new work and says so; the other has all of the limit once it is gone.
    let controller = world.controllers.remove(0);
    order(&controller, "/disable", "of-invokers").await.expect(401);
    let text = order(&controller, "/disable", "of-controllers").await.expect(200).text();
    assert_eq!(text, "controller is disabled");
    me[0].post(format!("actions/{echo}"), &json!({})).await.expect(503);
    me[0].get("actions").await.expect(200);
    let why = controller.client().get("/ready").await.expect(503).json();
    assert_eq!(why["ready"], false);
    controller.stop().await;
    wait::until("the other has the whole limit", SOON, || async {
        let answer = me[1].post(format!("actions/{echo}"), &json!({})).await;
        answer.text().contains("allowed: 10)").then_some(())
    })
    .await;
    let late = world.site.start(Role::Controller).await;
    late.wait_for_invokers(3).await;
    world.controllers.push(late);
    world.stop().await;
}

/// Invokes or fires until it is refused, and demands that so many are allowed here.
async fn refused_beyond(me: &tests::namespace::Namespace, path: &str, allowed: u64) {
    for _ in 0..=10 {
        let answer = me.post(path, &json!({})).await;
        if answer.status == 429 {
            answer.error_contains(&format!("allowed: {allowed})"));
            return;
        }
        // Without a rule a trigger does nothing.
        answer.expect_any(&[202, 204]);
    }
    panic!("more than ten a minute were allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn cases_014_015_186_an_installation_without_invokers_and_with_half_of_them() {
    let site = Site::shared(options()).await;
    let controller = site.start(Role::Controller).await;
    let told = controller.client().get("/invokers/ready").await.expect(500).json();
    assert_eq!(told, json!({ "unhealthy": "0/0" }));
    let me = Whisk::of_our_own(controller.url(), site.admin()).namespace().await;
    let echo = me.put_js("echo", ECHO).await;
    me.post(format!("actions/{echo}?blocking=true"), &json!({})).await.expect(503).json();

    let (one, other) = (site.start(Role::Invoker).await, site.start(Role::Invoker).await);
    controller.wait_for_invokers(2).await;
    order(&one, "/disable", "of-invokers").await.expect(200);
    wait::until("one of two is up", SOON, || async {
        let told = controller.client().get("/invokers/ready").await.expect_any(&[200, 500]).json();
        (told == json!({ "unhealthy": "1/2" })).then_some(())
    })
    .await;
    me.result(&echo, &json!({})).await;
    for invoker in [one, other] {
        invoker.stop().await;
    }
    controller.stop().await;
}
