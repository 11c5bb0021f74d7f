//! Sequences as entities: what may be a component, and what becomes of parameters.

use serde_json::json;
use tests::fixtures::{self, ECHO, sequence};
use tests::namespace::{annotation, entry};
use tests::place::unique;
use tests::whisk::Whisk;

/// The most actions in a sequence.
const LIMIT: usize = 50;

const TOO_LONG: &str = "Too many actions in the sequence.";
const EMPTY: &str = "No component specified for the sequence.";
const CYCLIC: &str = "Sequence may not refer to itself.";
const NO_COMPONENT: &str = "Sequence component does not exist.";

/// A name with `_` for the namespace.
fn own(name: &str) -> String {
    format!("/_/{name}")
}

#[tokio::test]
async fn case_331_components_are_shown_with_their_namespace() {
    let me = Whisk::shared().await.namespace().await;
    let (a, b) = (me.put_js("a", ECHO).await, me.put_js("b", ECHO).await);
    let name = me.create("s", &sequence(&[own(&a), format!("_/{b}"), format!("/{}/{a}", me.name)])).await;
    let full = |name: &str| format!("/{}/{name}", me.name);
    let components = json!([full(&a), full(&b), full(&a)]);
    let shown = me.get(format!("actions/{name}")).await.expect(200).json();
    assert_eq!(shown["exec"], json!({ "kind": "sequence", "components": components }));
    assert_eq!(shown["parameters"], json!([{ "key": "_actions", "value": components }]));
    assert_eq!(annotation(&shown, "exec"), Some(&json!("sequence")));
    assert_eq!(annotation(&shown, "provide-api-key"), Some(&json!(false)));
    assert_eq!((&shown["version"], &shown["publish"]), (&json!("0.0.1"), &json!(false)));
    let list = me.get("actions").await.expect(200).json();
    let item = list.as_array().expect("a list").iter().find(|item| item["name"] == json!(name));
    assert_eq!(item.expect("the sequence is listed")["exec"], json!({ "binary": false }));
    let gone = me.delete(format!("actions/{name}")).await.expect(200).json();
    assert_eq!(gone["exec"]["components"], components);
}

#[tokio::test]
async fn case_332_a_sequence_has_no_parameters_of_the_clients() {
    let me = Whisk::shared().await.namespace().await;
    let a = me.put_js("a", ECHO).await;
    let mut body = sequence(&[own(&a)]);
    body["parameters"] = json!([{ "key": "x", "value": 1 }]);
    let actions = json!([{ "key": "_actions", "value": [format!("/{}/{a}", me.name)] }]);
    let name = me.create("s", &body).await;
    assert_eq!(me.get(format!("actions/{name}")).await.json()["parameters"], actions);
    assert_eq!(me.update(&name, &body).await["parameters"], actions);
    let without_exec = json!({ "parameters": body["parameters"] });
    assert_eq!(me.update(&name, &without_exec).await["parameters"], actions);
}

#[tokio::test]
async fn case_334_nested_sequences_count_by_what_is_in_them() {
    let me = Whisk::shared().await.namespace().await;
    let a = own(&me.put_js("a", ECHO).await);
    let half = own(&me.create("half", &sequence(&vec![a.clone(); LIMIT / 2])).await);
    let whole = me.create("whole", &sequence(&[&half, &half])).await;
    let path = format!("actions/{whole}?overwrite=true");
    me.put(&path, &sequence(&[&half, &half, &a])).await.expect(400).error(TOO_LONG);
    let path = format!("actions/{}", unique("s"));
    me.put(&path, &sequence(&vec![a.clone(); LIMIT + 1])).await.expect(400).error(TOO_LONG);
    me.put(&path, &sequence(&[own(&whole), a.clone()])).await.expect(400).error(TOO_LONG);
    me.put(&path, &sequence(&vec![a; LIMIT])).await.expect(200);
}

#[tokio::test]
async fn case_335_a_sequence_has_components() {
    let me = Whisk::shared().await.namespace().await;
    let a = me.put_js("a", ECHO).await;
    let none = sequence(&[] as &[&str]);
    me.put(format!("actions/{}", unique("s")), &none).await.expect(400).error(EMPTY);
    let name = me.create("s", &sequence(&[own(&a)])).await;
    me.put(format!("actions/{name}?overwrite=true"), &none).await.expect(400).error(EMPTY);
}

#[tokio::test]
async fn cases_336_337_what_is_no_list_of_components() {
    let me = Whisk::shared().await.namespace().await;
    let unqualified = "The fully qualified name of the entity must contain at least";
    let name = me.put_js("a", ECHO).await;
    for (components, text) in [
        (json!(null), "'components' must be defined for sequence kind"),
        (json!("/_/a"), "'components' must be an array"),
        (json!({}), "'components' must be an array"),
        (json!(["a"]), unqualified),
        (json!(["/_/a", "/b"]), unqualified),
        (json!([7]), "fully qualified name malformed"),
    ] {
        let body = json!({ "exec": { "kind": "sequence", "components": components } });
        for path in [format!("actions/{}", unique("s")), format!("actions/{name}?overwrite=true")] {
            let answer = me.put(path, &body).await.expect(400);
            answer.error_contains("The request content was malformed:\n").error_contains(text);
        }
    }
}

#[tokio::test]
async fn case_338_components_must_be_there() {
    let me = Whisk::shared().await.namespace().await;
    let a = own(&me.put_js("a", ECHO).await);
    let path = format!("actions/{}", unique("s"));
    let missing = own(&unique("missing"));
    me.put(&path, &sequence(&[&a, &missing])).await.expect(400).error(NO_COMPONENT);
    let packaged = own(&format!("{}/a", unique("p")));
    let answer = me.put(&path, &sequence(&[&a, &packaged])).await.expect(404);
    answer.error("The requested resource does not exist.");
    let Some(other) = Whisk::shared().await.other(338).await else { return };
    let b = other.put_js("b", ECHO).await;
    for foreign in [b.clone(), unique("missing")] {
        let id = format!("{}/{foreign}", other.name);
        let answer = me.put(&path, &sequence(&[&a, &format!("/{id}")])).await.expect(403);
        answer.error(&format!("The supplied authentication is not authorized to access '{id}'."));
    }
    let both = [format!("/{}/z", other.name), format!("/{}/y", other.name), a];
    let answer = me.put(&path, &sequence(&both)).await.expect(403);
    answer.error_contains(&format!("'{0}/y, {0}/z'", other.name));
}

#[tokio::test]
async fn case_339_a_sequence_is_no_component_of_its_own() {
    let me = Whisk::shared().await.namespace().await;
    let a = own(&me.put_js("a", ECHO).await);
    let name = unique("s");
    for components in [vec![own(&name)], vec![a.clone(), own(&name), a.clone()]] {
        me.put(format!("actions/{name}"), &sequence(&components)).await.expect(400).error(CYCLIC);
    }
    // What is no sequence yet becomes one.
    let name = me.put_js("b", ECHO).await;
    let path = format!("actions/{name}?overwrite=true");
    me.put(path, &sequence(&[own(&name)])).await.expect(400).error(CYCLIC);
}

#[tokio::test]
async fn case_340_a_cycle_through_another_sequence() {
    let me = Whisk::shared().await.namespace().await;
    let a = own(&me.put_js("a", ECHO).await);
    let first = me.create("s1", &sequence(&[&a])).await;
    let second = me.create("s2", &sequence(&[&a, &own(&first)])).await;
    let third = me.create("s3", &sequence(&[&own(&second)])).await;
    let before = me.get(format!("actions/{first}")).await.expect(200).json();
    for through in [&first, &second, &third] {
        let path = format!("actions/{first}?overwrite=true");
        me.put(path, &sequence(&[&a, &own(through)])).await.expect(400).error(CYCLIC);
    }
    assert_eq!(me.get(format!("actions/{first}")).await.expect(200).json(), before);
}

#[tokio::test]
async fn case_342_a_sequence_that_becomes_code_keeps_no_components() {
    let me = Whisk::shared().await.namespace().await;
    let a = own(&me.put_js("a", ECHO).await);
    let name = me.create("s", &sequence(&[&a])).await;
    let js = me.update(&name, &fixtures::js(ECHO)).await;
    assert_eq!((&js["parameters"], &js["exec"]["kind"]), (&json!([]), &json!("nodejs:20")));
    assert_eq!(annotation(&js, "exec"), Some(&json!("nodejs:20")));
    let back = me.update(&name, &sequence(&[&a])).await;
    assert!(entry(&back["parameters"], "_actions").is_some(), "{back}");
    let mut body = fixtures::js(ECHO);
    body["parameters"] = json!([{ "key": "x", "value": 1 }]);
    assert_eq!(me.update(&name, &body).await["parameters"], body["parameters"]);
}
