//! How often triggers may be fired, and what is stored of it.

use serde_json::json;
use tests::fixtures::ECHO;
use tests::namespace::{RECORDED, rules_of};
use tests::place::unique;
use tests::server::Options;
use tests::wait;
use tests::whisk::Whisk;

use crate::throttles::{ALLOWED, TRIES, exhaust, minute, too_many};

#[tokio::test]
async fn case_273_one_more_than_allowed() {
    let Some((me, admin)) = Whisk::throttled().await.fresh(273).await else { return };
    admin.set_limits(&me.name, &["--firesPerMinute", &ALLOWED.to_string()]).await;
    me.wait_for_limit("firesPerMinute", &json!(ALLOWED)).await;
    let trigger = me.put_trigger(&json!({})).await;
    for (name, status) in [(trigger, 204), (unique("missing"), 404)] {
        // The second of them begins where the first one ended, unless the minute is over.
        let mut answers = exhaust(&me, &format!("triggers/{name}")).await;
        let last = answers.pop().expect("there was a last request").expect(429);
        last.error_contains(&format!("allowed: {ALLOWED}"));
        answers.into_iter().for_each(|answer| drop(answer.expect_any(&[status, 429])));
    }
    // Actions are another account.
    let echo = me.put_js("echo", ECHO).await;
    me.post(format!("actions/{echo}"), &json!({})).await.expect(202);
}

#[tokio::test]
async fn the_count_is_told() {
    let Some((me, admin)) = Whisk::throttled().await.fresh(273).await else { return };
    admin.set_limits(&me.name, &["--firesPerMinute", "0"]).await;
    me.wait_for_limit("firesPerMinute", &json!(0)).await;
    let trigger = me.put_trigger(&json!({})).await;
    me.post(format!("triggers/{trigger}"), &json!({})).await.expect(429).error(&too_many(1, 0));
}

#[tokio::test]
async fn actions_of_rules_count_as_invocations() {
    let Some((me, admin)) = Whisk::throttled().await.fresh(273).await else { return };
    admin.set_limits(&me.name, &["--invocationsPerMinute", "2"]).await;
    me.wait_for_limit("invocationsPerMinute", &json!(2)).await;
    let echo = me.put_js("echo", ECHO).await;
    let trigger = me.put_trigger(&json!({})).await;
    for _ in 0..3 {
        me.put_rule(&trigger, &echo).await;
    }
    for _ in 0..TRIES {
        let begun = minute();
        let lines = rules_of(&me.fire_trigger(&trigger, &json!({})).await);
        if minute() != begun {
            continue;
        }
        let refused: Vec<_> = lines.iter().filter(|line| line["success"] == false).collect();
        assert_eq!(refused.len(), 1, "{lines:?}");
        assert_eq!(refused[0]["statusCode"], 1);
        assert_eq!(refused[0]["error"], json!(too_many(3, 2)));
        return;
    }
    panic!("one request takes more than a minute");
}

#[tokio::test]
async fn a_namespace_may_want_no_records_and_its_rules_run_all_the_same() {
    let Some((me, admin)) = Whisk::shared().await.fresh(265).await else { return };
    let echo = me.put_js("echo", ECHO).await;
    let trigger = me.put_trigger(&json!({})).await;
    me.put_rule(&trigger, &echo).await;
    admin.set_limits(&me.name, &["--storeActivations", "false"]).await;
    me.wait_for_limit("storeActivations", &json!(false)).await;
    let unseen = me.post(format!("triggers/{trigger}"), &json!({})).await.expect(202).activation_id();
    admin.set_limits(&me.name, &["--storeActivations", "true"]).await;
    me.wait_for_limit("storeActivations", &json!(true)).await;
    me.fire_trigger(&trigger, &json!({})).await;
    me.wait_for_activation_count(2).await;
    me.get(format!("activations/{unseen}")).await.expect(404);
}

#[tokio::test]
async fn a_level_of_storing_holds_for_triggers() {
    let level =
        ("CONFIG_whisk_activation_storeNonBlockingResultLevel".to_owned(), "STORE_FAILURES".to_owned());
    let options = Options { environment: vec![level], ..Options::default() };
    let Some(server) = Whisk::own_server(456, options).await else { return };
    let me = server.whisk().namespace().await;
    let failing = me.put_js("failing", "function main() { return { error: 'x' }; }").await;
    let trigger = me.put_trigger(&json!({})).await;
    me.put_rule(&trigger, &failing).await;
    let id = me.post(format!("triggers/{trigger}"), &json!({})).await.expect(202).activation_id();
    wait::until("the failure is recorded", RECORDED, || async {
        let count = me.get(format!("activations?name={failing}&count=true")).await.expect(200).json();
        (count["activations"] == 1).then_some(())
    })
    .await;
    me.get(format!("activations/{id}")).await.expect(404);
    let call = me.post(format!("triggers/{trigger}"), &json!({})).header("X-OW-EXTRA-LOGGING", "on");
    me.wait_for_activation(&call.await.expect(202).activation_id()).await;
    server.stop().await;
}
