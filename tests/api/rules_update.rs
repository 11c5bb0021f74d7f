//! Changing rules: what stays, and where the link to a rule is afterwards.

use serde_json::{Value, json};
use tests::fixtures::ECHO;
use tests::namespace::{Namespace, rules_of};
use tests::place::unique;
use tests::whisk::Whisk;

struct World {
    me: Namespace,
    triggers: [String; 2],
    actions: [String; 2],
    rule: String,
}

impl World {
    /// Two triggers, two actions, and a rule between the first of each.
    async fn new() -> Self {
        let me = Whisk::shared().await.namespace().await;
        let triggers = [me.put_trigger(&json!({})).await, me.put_trigger(&json!({})).await];
        let actions = [me.put_js("a", ECHO).await, me.put_js("b", ECHO).await];
        let rule = me.put_rule(&triggers[0], &actions[0]).await;
        Self { me, triggers, actions, rule }
    }

    async fn update(&self, body: &Value) -> Value {
        self.me.put(format!("rules/{}?overwrite=true", self.rule), body).await.expect(200).json()
    }

    /// The name of the action and the status in the link from each trigger.
    async fn links(&self) -> [Option<(String, String)>; 2] {
        let mut links = [None, None];
        for (link, trigger) in links.iter_mut().zip(&self.triggers) {
            let trigger = self.me.get(format!("triggers/{trigger}")).await.expect(200).json();
            let found = trigger["rules"][format!("{}/{}", self.me.name, self.rule)].clone();
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            *link = found.is_object().then(|| (text(&found["action"]["name"]), text(&found["status"])));
        }
        links
    }

    fn name(&self, name: &str) -> Value {
        json!({ "path": self.me.name, "name": name })
    }
}

fn active(action: &str) -> Option<(String, String)> {
    Some((action.to_owned(), "active".to_owned()))
}

#[tokio::test]
async fn case_283_an_update_that_says_nothing() {
    let world = World::new().await;
    let path = format!("rules/{}", world.rule);
    let mut expected = world.me.get(&path).await.expect(200).json();
    for (version, status) in [("0.0.2", "active"), ("0.0.3", "inactive")] {
        world.me.post(&path, &json!({ "status": status })).await.expect(200);
        let updated = world.update(&json!({ "status": "active" })).await;
        expected["version"] = json!(version);
        expected["status"] = json!(status);
        expected["updated"] = updated["updated"].clone();
        assert_eq!(updated, expected);
        assert_eq!(world.me.get(&path).await.expect(200).json(), expected);
    }
    assert_eq!(world.links().await, [Some((world.actions[0].clone(), "inactive".into())), None]);
}

#[tokio::test]
async fn case_284_another_action_another_trigger_and_both() {
    let world = World::new().await;
    let World { me, triggers: [first, second], actions: [a, b], .. } = &world;
    let updated = world.update(&json!({ "action": format!("/_/{b}") })).await;
    assert_eq!((&updated["trigger"], &updated["action"]), (&world.name(first), &world.name(b)));
    assert_eq!(world.links().await, [active(b), None]);
    let updated = world.update(&json!({ "trigger": format!("/_/{second}") })).await;
    assert_eq!((&updated["trigger"], &updated["status"]), (&world.name(second), &json!("active")));
    assert_eq!(world.links().await, [None, active(b)]);
    let both = json!({ "trigger": format!("/_/{first}"), "action": format!("/_/{a}") });
    assert_eq!(world.update(&both).await["version"], "0.0.4");
    assert_eq!(world.links().await, [active(a), None]);
    me.post(format!("triggers/{second}"), &json!({})).await.expect(204);
    let lines = rules_of(&me.fire_trigger(first, &json!({})).await);
    assert_eq!(lines[0]["action"], json!(format!("{}/{a}", me.name)));
}

#[tokio::test]
async fn case_284_the_status_moves_with_the_rule() {
    let world = World::new().await;
    let path = format!("rules/{}", world.rule);
    world.me.post(&path, &json!({ "status": "inactive" })).await.expect(200);
    let moved = world.update(&json!({ "trigger": format!("/_/{}", world.triggers[1]) })).await;
    assert_eq!(moved["status"], "inactive");
    assert_eq!(world.links().await, [None, Some((world.actions[0].clone(), "inactive".into()))]);
}

#[tokio::test]
async fn an_update_restores_a_link_that_is_lost_as_inactive() {
    let world = World::new().await;
    let path = format!("triggers/{}", world.triggers[0]);
    world.me.delete(&path).await.expect(200);
    world.me.put(&path, &json!({})).await.expect(200);
    assert_eq!(world.update(&json!({})).await["status"], "inactive");
    assert_eq!(world.links().await, [Some((world.actions[0].clone(), "inactive".into())), None]);
    // A rule can leave a trigger that is gone.
    world.me.delete(&path).await.expect(200);
    world.update(&json!({ "trigger": format!("/_/{}", world.triggers[1]) })).await;
    world.me.put(&path, &json!({})).await.expect(200);
    assert_eq!(world.links().await, [None, Some((world.actions[0].clone(), "inactive".into()))]);
}

#[tokio::test]
async fn case_286_what_is_missing() {
    let world = World::new().await;
    let (me, missing) = (&world.me, unique("x"));
    let path = format!("rules/{}?overwrite=true", world.rule);
    for kind in ["trigger", "action"] {
        let answer = me.put(&path, &json!({ kind: format!("/_/{missing}") })).await.expect(400);
        answer.error(&format!("{kind} /{}/{missing} does not exist", me.name));
    }
    assert_eq!(world.links().await, [active(&world.actions[0]), None], "nothing has changed");
    me.delete(format!("actions/{}", world.actions[0])).await.expect(200);
    let text = format!("action /{}/{} does not exist", me.name, world.actions[0]);
    me.put(&path, &json!({})).await.expect(400).error(&text);
    me.delete(format!("triggers/{}", world.triggers[0])).await.expect(200);
    let text = format!("trigger /{}/{} does not exist", me.name, world.triggers[0]);
    me.put(&path, &json!({})).await.expect(400).error(&text);
}

#[tokio::test]
async fn annotations_version_and_publish_are_as_given() {
    let world = World::new().await;
    let annotations = json!([{ "key": "a", "value": { "b": 1 } }]);
    let body = json!({ "annotations": annotations, "version": "1.0", "publish": true });
    let updated = world.update(&body).await;
    assert_eq!((&updated["annotations"], &updated["publish"]), (&annotations, &json!(true)));
    assert_eq!(updated["version"], "1.0.0");
    let kept = world.update(&json!({})).await;
    assert_eq!((&kept["annotations"], &kept["publish"]), (&annotations, &json!(true)));
    assert_eq!(world.update(&json!({ "annotations": [] })).await["annotations"], json!([]));
    let path = format!("rules/{}?overwrite=true", world.rule);
    for (body, text) in [
        (json!({ "annotations": {} }), "parameters malformed!"),
        (json!({ "version": "x" }), "semantic version malformed"),
        (json!({ "publish": 1 }), "Expected JsBoolean"),
    ] {
        world.me.put(&path, &body).await.expect(400).error_contains(text);
    }
    let new = format!("rules/{}?overwrite=true", unique("new"));
    let body = json!({ "trigger": world.name(&world.triggers[0]), "action": world.name(&world.actions[0]) });
    let new = world.me.put(new, &body).await.expect(200).json();
    assert_eq!((&new["version"], &new["status"]), (&json!("0.0.1"), &json!("active")));
}
