//! Rules for actions in packages, in what a binding is bound to, and for sequences.

use serde_json::{Value, json};
use tests::fixtures::{ECHO, sequence};
use tests::namespace::{Namespace, rules_of};
use tests::place::unique;
use tests::whisk::Whisk;

const MISSING: &str = "The requested resource does not exist.";

/// A package with an action `a`, and a binding to it; both have parameters.
async fn packaged(owner: &Namespace, me: &Namespace) -> (String, String) {
    let parameters = json!([{ "key": "p", "value": "package" }, { "key": "q", "value": "package" }]);
    let package = owner.put_package("p", &json!({ "parameters": parameters, "publish": true })).await;
    owner.put_js_in(&package, "a", ECHO).await;
    let parameters = json!([{ "key": "q", "value": "binding" }]);
    let bound = json!({ "namespace": owner.name, "name": package });
    let binding = me.put_package("b", &json!({ "binding": bound, "parameters": parameters })).await;
    (package, binding)
}

async fn result_of(me: &Namespace, line: &Value) -> Value {
    let id = line["activationId"].as_str().unwrap_or_else(|| panic!("an activation: {line}"));
    me.wait_for_activation(id).await["response"]["result"].clone()
}

#[tokio::test]
async fn case_280_actions_in_packages_and_bindings() {
    let whisk = Whisk::shared().await;
    let me = whisk.namespace().await;
    let (package, binding) = packaged(&me, &me).await;
    for (path, q) in [(&package, "package"), (&binding, "binding")] {
        let trigger = me.put_trigger(&json!({ "parameters": [{ "key": "t", "value": 1 }] })).await;
        let body = json!({ "trigger": format!("/_/{trigger}"), "action": format!("/_/{path}/a") });
        let rule = me.put(format!("rules/{}", unique("r")), &body).await.expect(200).json();
        let action = json!({ "path": format!("{}/{path}", me.name), "name": "a" });
        assert_eq!(rule["action"], action, "as it was given");
        let lines = rules_of(&me.fire_trigger(&trigger, &json!({ "x": 2 })).await);
        assert_eq!(lines[0]["action"], json!(format!("{}/{path}/a", me.name)));
        let mut given = result_of(&me, &lines[0]).await;
        given.as_object_mut().map(|given| given.remove("__ow_headers"));
        assert_eq!(given, json!({ "p": "package", "q": q, "t": 1, "x": 2 }));
    }
    let trigger = me.put_trigger(&json!({})).await;
    let body = |action: &str| json!({ "trigger": format!("/_/{trigger}"), "action": action });
    let path = format!("rules/{}", unique("r"));
    let text = format!("action /{}/{binding}/none does not exist", me.name);
    me.put(&path, &body(&format!("/_/{binding}/none"))).await.expect(400).error(&text);
    me.put(&path, &body(&format!("/_/{}/a", unique("none")))).await.expect(404).error(MISSING);
}

#[tokio::test]
async fn cases_280_281_actions_of_others() {
    let whisk = Whisk::shared().await;
    let Some(other) = whisk.other(281).await else { return };
    let me = whisk.namespace().await;
    let (package, binding) = packaged(&other, &me).await;
    let trigger = me.put_trigger(&json!({})).await;
    let public = format!("{}/{package}", other.name);
    for action in [format!("/{public}/a"), format!("/_/{binding}/a")] {
        let body = json!({ "trigger": format!("/_/{trigger}"), "action": action });
        me.put(format!("rules/{}", unique("r")), &body).await.expect(200);
    }
    let lines = rules_of(&me.fire_trigger(&trigger, &json!({})).await);
    for line in &lines {
        assert_eq!(result_of(&me, line).await["p"], "package", "it runs in the namespace of who fires");
    }
    // What its owner takes back is told when the trigger is fired.
    let private = json!({ "publish": false });
    other.put(format!("packages/{package}?overwrite=true"), &private).await.expect(200);
    let body = json!({ "trigger": format!("/_/{trigger}"), "action": format!("/{public}/a") });
    let text = format!("The supplied authentication is not authorized to access '{public}'.");
    me.put(format!("rules/{}", unique("r")), &body).await.expect(403).error(&text);
    let lines = rules_of(&me.fire_trigger(&trigger, &json!({})).await);
    let direct = lines.iter().find(|line| line["action"] == json!(format!("{public}/a")));
    let direct = direct.unwrap_or_else(|| panic!("every rule has a line: {lines:?}"));
    assert_eq!((&direct["statusCode"], &direct["error"]), (&json!(1), &json!(text)));
}

#[tokio::test]
async fn case_358_a_sequence() {
    let me = Whisk::shared().await.namespace().await;
    let add = "function main({ t, x }) { return { sum: t + x }; }";
    let (add, echo) = (me.put_js("add", add).await, me.put_js("echo", ECHO).await);
    let sequence = me.create("s", &sequence(&[format!("/_/{add}"), format!("/_/{echo}")])).await;
    let trigger = me.put_trigger(&json!({ "parameters": [{ "key": "t", "value": 1 }] })).await;
    me.put_rule(&trigger, &sequence).await;
    let lines = rules_of(&me.fire_trigger(&trigger, &json!({ "x": 2 })).await);
    assert_eq!((&lines[0]["success"], lines.len()), (&json!(true), 1), "{lines:?}");
    assert_eq!(result_of(&me, &lines[0]).await, json!({ "sum": 3 }));
    let id = lines[0]["activationId"].as_str().unwrap_or_default();
    let record = me.wait_for_activation(id).await;
    assert!(record.get("cause").is_none(), "{record}");
    assert_eq!(record["logs"].as_array().map(Vec::len), Some(2), "{record}");
}
