//! Many who change rules and triggers at once: no link is lost, and none is left without its rule.

use futures::future::{join, join_all};
use serde_json::{Value, json};
use tests::fixtures::ECHO;
use tests::namespace::Namespace;
use tests::place::unique;
use tests::whisk::Whisk;

const RACERS: usize = 8;
const ROUNDS: usize = 6;

async fn links(me: &Namespace, trigger: &str) -> Vec<String> {
    let trigger = me.get(format!("triggers/{trigger}")).await.expect(200).json();
    let mut links: Vec<String> =
        trigger["rules"].as_object().into_iter().flatten().map(|(rule, _)| rule.clone()).collect();
    links.sort_unstable();
    links
}

fn body(trigger: &str, action: &str) -> Value {
    json!({ "trigger": format!("/_/{trigger}"), "action": format!("/_/{action}") })
}

#[tokio::test]
async fn rules_of_one_trigger_are_made_and_deleted_at_once() {
    let me = Whisk::shared().await.namespace().await;
    let (echo, trigger) = (me.put_js("echo", ECHO).await, me.put_trigger(&json!({})).await);
    let mut rules = join_all((0..RACERS).map(|_| me.put_rule(&trigger, &echo))).await;
    let id = |rule: &String| format!("{}/{rule}", me.name);
    rules.sort_unstable();
    assert_eq!(links(&me, &trigger).await, rules.iter().map(id).collect::<Vec<_>>());
    let (gone, kept) = rules.split_at(RACERS / 2);
    let delete = gone.iter().map(async |rule| me.delete(format!("rules/{rule}")).await.expect(200));
    let inactive = json!({ "status": "inactive" });
    let disable = kept.iter().map(async |rule| me.post(format!("rules/{rule}"), &inactive).await.expect(200));
    let (delete, disable) = (join_all(delete), join_all(disable));
    join(delete, disable).await;
    assert_eq!(links(&me, &trigger).await, kept.iter().map(id).collect::<Vec<_>>());
    me.post(format!("triggers/{trigger}"), &json!({})).await.expect(204);
}

#[tokio::test]
async fn of_many_who_make_the_same_rule_one_does() {
    let me = Whisk::shared().await.namespace().await;
    let echo = me.put_js("echo", ECHO).await;
    for _ in 0..ROUNDS {
        let triggers = join_all((0..RACERS).map(|_| async { me.put_trigger(&json!({})).await })).await;
        let name = unique("rule");
        let make = |trigger: &str| me.put(format!("rules/{name}"), &body(trigger, &echo));
        let answers = join_all(triggers.iter().map(async |trigger| make(trigger).await)).await;
        let made = answers.into_iter().filter(|answer| match answer.status {
            200 => true,
            409 => false,
            _ => panic!("{}", answer.story()),
        });
        assert_eq!(made.count(), 1);
        let rule = me.get(format!("rules/{name}")).await.expect(200).json();
        for trigger in &triggers {
            let linked = !links(&me, trigger).await.is_empty();
            assert_eq!(
                linked,
                rule["trigger"]["name"] == json!(trigger),
                "only the trigger of the rule has a link"
            );
        }
        assert_eq!(rule["status"], "active");
    }
}

#[tokio::test]
async fn a_rule_that_moves_is_linked_once() {
    let me = Whisk::shared().await.namespace().await;
    let echo = me.put_js("echo", ECHO).await;
    let triggers = [me.put_trigger(&json!({})).await, me.put_trigger(&json!({})).await];
    let rule = me.put_rule(&triggers[0], &echo).await;
    let path = format!("rules/{rule}");
    for _ in 0..ROUNDS {
        let moves = join_all((0..RACERS).map(|racer| {
            let call = me.put(format!("{path}?overwrite=true"), &body(&triggers[racer % 2], &echo));
            async { call.await.expect_any(&[200, 409]) }
        }));
        let toggles = join_all((0..RACERS).map(|racer| {
            let status = if racer % 2 == 0 { "active" } else { "inactive" };
            let call = me.post(&path, &json!({ "status": status }));
            async { call.await.expect_any(&[200, 409]) }
        }));
        join(moves, toggles).await;
        let rule = me.get(&path).await.expect(200).json();
        let own = usize::from(rule["trigger"]["name"] == json!(triggers[1]));
        assert_eq!(links(&me, &triggers[own]).await.len(), 1);
        assert!(links(&me, &triggers[1 - own]).await.is_empty());
    }
}

#[tokio::test]
async fn what_is_deleted_while_it_is_made_active_leaves_no_link() {
    let me = Whisk::shared().await.namespace().await;
    let echo = me.put_js("echo", ECHO).await;
    let trigger = me.put_trigger(&json!({})).await;
    for _ in 0..ROUNDS {
        let rule = me.put_rule(&trigger, &echo).await;
        // Without its link, as after the trigger was made anew.
        me.delete(format!("triggers/{trigger}")).await.expect(200);
        me.put(format!("triggers/{trigger}"), &json!({})).await.expect(200);
        let activate = json!({ "status": "active" });
        let activations = join_all((0..RACERS).map(|_| {
            let call = me.post(format!("rules/{rule}"), &activate);
            async { call.await.expect_any(&[200, 404]) }
        }));
        join(activations, async { me.delete(format!("rules/{rule}")).await.expect(200) }).await;
        assert!(links(&me, &trigger).await.is_empty());
    }
}

#[tokio::test]
async fn a_change_of_the_trigger_loses_no_link() {
    let me = Whisk::shared().await.namespace().await;
    let (echo, trigger) = (me.put_js("echo", ECHO).await, me.put_trigger(&json!({})).await);
    let changes = join_all((0..RACERS).map(|n| {
        let body = json!({ "parameters": [{ "key": "n", "value": n }] });
        let call = me.put(format!("triggers/{trigger}?overwrite=true"), &body);
        async { call.await.expect_any(&[200, 409]) }
    }));
    let rules = join_all((0..RACERS).map(|_| me.put_rule(&trigger, &echo)));
    join(changes, rules).await;
    assert_eq!(links(&me, &trigger).await.len(), RACERS);
}
