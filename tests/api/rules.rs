//! Rules: what is created, shown, made active or inactive, and deleted.

use reqwest::Method;
use serde_json::{Value, json};
use tests::fixtures::ECHO;
use tests::namespace::Namespace;
use tests::place::unique;
use tests::whisk::Whisk;

const MISSING: &str = "The requested resource does not exist.";
const CORRUPT: &str = "Resource is corrupted and cannot be read.";
const MEBI: usize = 1 << 20;

/// A trigger, an action, and a rule between them.
async fn world(me: &Namespace) -> (String, String, String) {
    let echo = me.put_js("echo", ECHO).await;
    let trigger = me.put_trigger(&json!({})).await;
    let rule = me.put_rule(&trigger, &echo).await;
    (trigger, echo, rule)
}

/// The link of a rule in its trigger; null without one.
async fn link(me: &Namespace, trigger: &str, rule: &str) -> Value {
    let trigger = me.get(format!("triggers/{trigger}")).await.expect(200).json();
    trigger["rules"][format!("{}/{rule}", me.name)].clone()
}

async fn status(me: &Namespace, rule: &str) -> Value {
    me.get(format!("rules/{rule}")).await.expect(200).json()["status"].clone()
}

#[tokio::test]
async fn cases_275_276_287_a_new_rule() {
    let me = Whisk::shared().await.namespace().await;
    let (echo, trigger) = (me.put_js("echo", ECHO).await, me.put_trigger(&json!({})).await);
    let name = unique("rule");
    let body = json!({ "name": "other", "status": "", "trigger": format!("/_/{trigger}"), "action": format!("/_/{echo}") });
    let rule = me.put(format!("rules/{name}"), &body).await.expect(200).json();
    let updated = rule["updated"].clone();
    let action = json!({ "path": me.name, "name": echo });
    let expected = json!({
        "namespace": me.name, "name": name, "status": "active",
        "trigger": { "path": me.name, "name": trigger }, "action": action,
        "version": "0.0.1", "publish": false, "annotations": [], "updated": updated
    });
    assert_eq!(rule, expected);
    assert_eq!(me.get(format!("rules/{name}")).await.expect(200).json(), expected);
    assert_eq!(link(&me, &trigger, &name).await, json!({ "action": action, "status": "active" }));
}

#[tokio::test]
async fn names_are_taken_in_every_form() {
    let me = Whisk::shared().await.namespace().await;
    let (trigger, echo, _) = world(&me).await;
    let own = &me.name;
    for (trigger, action) in [
        (json!(format!("/{own}/{trigger}")), json!(format!("{own}/{echo}"))),
        (json!(format!("_/{trigger}")), json!({ "path": "_", "name": echo })),
        (json!({ "path": own, "name": trigger }), json!(format!("/_/{echo}"))),
    ] {
        let body = json!({ "trigger": trigger, "action": action });
        let rule = me.put(format!("rules/{}", unique("r")), &body).await.expect(200).json();
        assert_eq!(rule["action"], json!({ "path": own, "name": echo }));
    }
    let unqualified = "The request content was malformed:\nrequirement failed: The fully qualified name of the entity must contain at least the namespace and the name of the entity.";
    let malformed = "The request content was malformed:\nfully qualified name malformed";
    for (given, text) in [
        (json!(trigger), unqualified),
        (json!("/a"), unqualified),
        (json!(7), malformed),
        (json!({}), malformed),
    ] {
        let path = format!("rules/{}", unique("r"));
        let body = json!({ "trigger": given, "action": format!("/_/{echo}") });
        me.put(&path, &body).await.expect(400).error(text);
        let body = json!({ "trigger": format!("/_/{trigger}"), "action": given });
        me.put(&path, &body).await.expect(400).error(text);
        me.get(&path).await.expect(404);
    }
}

#[tokio::test]
async fn cases_278_279_what_a_rule_is_about() {
    let me = Whisk::shared().await.namespace().await;
    let (trigger, echo, _) = world(&me).await;
    let (trigger, action) = (format!("/_/{trigger}"), format!("/_/{echo}"));
    let missing = unique("x");
    let nobody = format!("/_/{missing}");
    let incomplete = "rule requires a valid trigger and a valid action".to_owned();
    let no_action = format!("action /{}/{missing} does not exist", me.name);
    let no_trigger = format!("trigger /{}/{missing} does not exist", me.name);
    for (body, text) in [
        (json!({}), &incomplete),
        (json!({ "trigger": trigger }), &incomplete),
        (json!({ "action": action, "trigger": null }), &incomplete),
        (json!({ "trigger": trigger, "action": nobody }), &no_action),
        (json!({ "trigger": nobody, "action": action }), &no_trigger),
        (json!({ "trigger": nobody, "action": nobody }), &no_trigger),
        // What has that name is something else.
        (
            json!({ "trigger": action, "action": action }),
            &format!("trigger /{}/{echo} does not exist", me.name),
        ),
    ] {
        let path = format!("rules/{}", unique("r"));
        me.put(&path, &body).await.expect(400).error(text);
        me.get(&path).await.expect(404);
    }
}

#[tokio::test]
async fn case_281_what_is_others_is_theirs() {
    let whisk = Whisk::shared().await;
    let Some(other) = whisk.other(281).await else { return };
    let me = whisk.namespace().await;
    let (trigger, echo, _) = world(&me).await;
    let (mine, my_echo) = (format!("/_/{trigger}"), format!("/_/{echo}"));
    let (theirs, their_echo, _) = world(&other).await;
    let id = |name: &str| format!("{}/{name}", other.name);
    let mut both = [id(&theirs), id(&their_echo)];
    both.sort_unstable();
    for (trigger, action, named) in [
        (format!("/{}", id(&theirs)), my_echo, id(&theirs)),
        (mine, format!("/{}", id(&their_echo)), id(&their_echo)),
        (format!("/{}", id(&theirs)), format!("/{}", id(&their_echo)), both.join(", ")),
    ] {
        let body = json!({ "trigger": trigger, "action": action });
        let answer = me.put(format!("rules/{}", unique("r")), &body).await.expect(403);
        answer.error(&format!("The supplied authentication is not authorized to access '{named}'."));
    }
}

#[tokio::test]
async fn case_282_a_rule_that_is_there() {
    let me = Whisk::shared().await.namespace().await;
    let (trigger, echo, rule) = world(&me).await;
    let body = json!({ "trigger": format!("/_/{trigger}"), "action": format!("/_/{echo}") });
    me.put(format!("rules/{rule}"), &body).await.expect(409).error("resource already exists");
    me.put(format!("rules/{rule}?overwrite=false"), &body).await.expect(409);
    me.put(format!("rules/{trigger}"), &body)
        .await
        .expect(409)
        .error("Resource by this name exists but is not in this collection.");
}

#[tokio::test]
async fn case_287_without_a_trigger_or_a_link_a_rule_is_inactive() {
    let me = Whisk::shared().await.namespace().await;
    let (trigger, _, rule) = world(&me).await;
    me.delete(format!("triggers/{trigger}")).await.expect(200);
    assert_eq!(status(&me, &rule).await, "inactive");
    me.put(format!("triggers/{trigger}"), &json!({})).await.expect(200);
    assert_eq!(status(&me, &rule).await, "inactive");
    me.delete(format!("triggers/{trigger}")).await.expect(200);
    // Something else has the name now.
    me.put(format!("actions/{trigger}"), &tests::fixtures::js(ECHO)).await.expect(200);
    assert_eq!(status(&me, &rule).await, "inactive");
}

#[tokio::test]
async fn case_288_a_list_does_not_tell_the_status() {
    let Some((me, _)) = Whisk::shared().await.fresh(288).await else { return };
    let (_, _, rule) = world(&me).await;
    let mut expected = me.get(format!("rules/{rule}")).await.expect(200).json();
    expected.as_object_mut().map(|rule| rule.remove("status"));
    assert_eq!(me.get("rules").await.expect(200).json(), json!([expected]));
}

#[tokio::test]
async fn cases_289_290_active_and_inactive() {
    let me = Whisk::shared().await.namespace().await;
    let (trigger, echo, rule) = world(&me).await;
    let before = me.get(format!("rules/{rule}")).await.expect(200).json();
    let path = format!("rules/{rule}");
    for wanted in ["inactive", "inactive", "active", "active"] {
        // As `wsk` sends it.
        let body = json!({ "status": wanted, "trigger": null, "action": null });
        let answer = me.post(&path, &body).await.expect(200);
        assert_eq!(answer.text(), "OK");
        assert!(answer.header("content-type").is_some_and(|kind| kind.starts_with("text/plain")));
        assert_eq!(status(&me, &rule).await, wanted);
        let action = json!({ "path": me.name, "name": echo });
        assert_eq!(link(&me, &trigger, &rule).await, json!({ "action": action, "status": wanted }));
    }
    assert_eq!(me.get(&path).await.expect(200).json(), before, "nothing else has changed");
}

#[tokio::test]
async fn case_291_a_status_that_is_none() {
    let me = Whisk::shared().await.namespace().await;
    let (_, _, rule) = world(&me).await;
    // The body is looked at before the rule is.
    for path in [format!("rules/{rule}"), format!("rules/{}", unique("none"))] {
        let missing = "The request content was malformed:\nkey not found: status";
        me.post(&path, &json!({})).await.expect(400).error(missing);
        let unknown =
            "The request content was malformed:\nrequirement failed: foo is not a recognized rule state";
        me.post(&path, &json!({ "status": "foo" })).await.expect(400).error(unknown);
        let answer = me.request(Method::POST, &path).await.expect(400);
        answer.error_contains("The request content was malformed:");
        me.post(&path, &json!({ "status": 7 })).await.expect(400);
    }
    me.post(format!("rules/{}", unique("none")), &json!({ "status": "active" }))
        .await
        .expect(404)
        .error(MISSING);
}

#[tokio::test]
async fn case_292_a_rule_that_has_lost_its_trigger() {
    let me = Whisk::shared().await.namespace().await;
    let (trigger, _, rule) = world(&me).await;
    me.delete(format!("triggers/{trigger}")).await.expect(200);
    let path = format!("rules/{rule}");
    let text = "Only rules with existing triggers can be activated";
    me.post(&path, &json!({ "status": "active" })).await.expect(404).error(text);
    me.post(&path, &json!({ "status": "inactive" })).await.expect(200);
    me.put(format!("triggers/{trigger}"), &json!({})).await.expect(200);
    me.post(&path, &json!({ "status": "inactive" })).await.expect(200);
    assert_eq!(link(&me, &trigger, &rule).await, Value::Null, "it was inactive already");
    me.post(&path, &json!({ "status": "active" })).await.expect(200);
    assert_eq!(link(&me, &trigger, &rule).await["status"], "active");
}

#[tokio::test]
async fn case_294_an_active_rule_can_be_deleted() {
    let me = Whisk::shared().await.namespace().await;
    let (trigger, _, rule) = world(&me).await;
    let mut expected = me.get(format!("rules/{rule}")).await.expect(200).json();
    expected["status"] = json!("inactive");
    assert_eq!(me.delete(format!("rules/{rule}")).await.expect(200).json(), expected);
    let trigger = me.get(format!("triggers/{trigger}")).await.expect(200).json();
    assert_eq!(trigger["rules"], json!({}));
    me.delete(format!("rules/{rule}")).await.expect(404).error(MISSING);
}

#[tokio::test]
async fn case_295_a_rule_without_a_link_can_be_deleted() {
    let me = Whisk::shared().await.namespace().await;
    let (gone, echo, first) = world(&me).await;
    let (again, _, second) = world(&me).await;
    let (other, _, third) = world(&me).await;
    for trigger in [&gone, &again, &other] {
        me.delete(format!("triggers/{trigger}")).await.expect(200);
    }
    me.put(format!("triggers/{again}"), &json!({})).await.expect(200);
    me.put(format!("actions/{other}"), &tests::fixtures::js(ECHO)).await.expect(200);
    for rule in [first, second, third] {
        let deleted = me.delete(format!("rules/{rule}")).await.expect(200).json();
        assert_eq!(deleted["status"], "inactive");
        me.get(format!("rules/{rule}")).await.expect(404);
    }
    me.get(format!("actions/{echo}")).await.expect(200);
}

#[tokio::test]
async fn case_296_nothing_is_in_a_rule() {
    let me = Whisk::shared().await.namespace().await;
    let (_, _, rule) = world(&me).await;
    me.get(format!("rules/{rule}/bar")).await.expect(404);
    me.get(format!("rules/{}", unique("none"))).await.expect(404).error(MISSING);
    for method in [Method::PUT, Method::POST, Method::DELETE] {
        me.request(method, "rules/").json(&json!({})).await.expect(404);
    }
}

#[tokio::test]
async fn case_298_annotations_have_a_size() {
    let me = Whisk::shared().await.namespace().await;
    let (trigger, echo, rule) = world(&me).await;
    for path in [format!("rules/{}", unique("r")), format!("rules/{rule}?overwrite=true")] {
        let body = json!({
            "trigger": format!("/_/{trigger}"), "action": format!("/_/{echo}"),
            "annotations": [{ "key": "k", "value": "v".repeat(MEBI) }]
        });
        let answer =
            me.put(&path, &body).await.expect(413).error_contains("annotations larger than allowed:");
        answer.error_contains("> 1048576 bytes.");
    }
}

#[tokio::test]
async fn case_299_what_cannot_be_read() {
    let Some((me, admin)) = Whisk::shared().await.fresh(299).await else { return };
    let (trigger, echo, rule) = world(&me).await;
    let broken_trigger = me.put_trigger(&json!({})).await;
    let broken_action = me.put_js("broken", ECHO).await;
    for name in [&broken_trigger, &broken_action] {
        admin.corrupt_entity(&format!("{}/{name}", me.name)).await;
    }
    for (trigger, action) in [(&broken_trigger, &echo), (&trigger, &broken_action)] {
        let body = json!({ "trigger": format!("/_/{trigger}"), "action": format!("/_/{action}") });
        me.put(format!("rules/{}", unique("r")), &body).await.expect(400).error(CORRUPT);
        me.put(format!("rules/{rule}?overwrite=true"), &body).await.expect(400).error(CORRUPT);
    }
    // A rule outlives the trigger that it cannot read any more.
    admin.corrupt_entity(&format!("{}/{trigger}", me.name)).await;
    assert_eq!(status(&me, &rule).await, "inactive");
    me.post(format!("rules/{rule}"), &json!({ "status": "inactive" })).await.expect(200);
    me.post(format!("rules/{rule}"), &json!({ "status": "active" })).await.expect(500).error(CORRUPT);
    me.delete(format!("rules/{rule}")).await.expect(200);

    let (_, _, rule) = world(&me).await;
    admin.corrupt_entity(&format!("{}/{rule}", me.name)).await;
    let path = format!("rules/{rule}");
    me.get(&path).await.expect(500).error(CORRUPT);
    me.put(format!("{path}?overwrite=true"), &json!({})).await.expect(500).error(CORRUPT);
    me.post(&path, &json!({ "status": "active" })).await.expect(500).error(CORRUPT);
    me.delete(&path).await.expect(500).error(CORRUPT);
}
