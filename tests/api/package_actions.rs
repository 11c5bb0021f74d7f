//! Actions in packages of one's own, and through bindings.

use serde_json::{Value, json};
use tests::fixtures::{self, ECHO};
use tests::namespace::{Namespace, annotation, entry};
use tests::place::unique;
use tests::whisk::Whisk;

use crate::packages::{MISSING, OTHER_KIND};
use crate::packages_bindings::to;

const ON_BINDING: &str = "Operation not permitted on package binding.";

/// An entity with these parameters.
pub fn with_parameters(mut body: Value, parameters: &[(&str, &str)]) -> Value {
    body["parameters"] =
        parameters.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect();
    body
}

/// A package with the action `a`, and a binding to it.
async fn package_and_binding(me: &Namespace) -> (String, String) {
    let package =
        me.put_package("p", &with_parameters(json!({}), &[("x", "p"), ("y", "p"), ("z", "p")])).await;
    let action = with_parameters(fixtures::js(ECHO), &[("z", "a")]);
    me.put(format!("actions/{package}/a"), &action).await.expect(200);
    let binding = with_parameters(to("_", &package), &[("y", "b"), ("z", "b")]);
    (package, me.put_package("b", &binding).await)
}

#[tokio::test]
async fn case_231_a_new_action_in_a_package() {
    let me = Whisk::shared().await.namespace().await;
    let package = me.put_package("p", &json!({})).await;
    let path = format!("actions/{package}/a");
    let action = me.put(&path, &fixtures::js(ECHO)).await.expect(200).json();
    assert_eq!(action["namespace"], json!(format!("{}/{package}", me.name)));
    assert_eq!((&action["name"], &action["version"]), (&json!("a"), &json!("0.0.1")));
    me.put(&path, &fixtures::js(ECHO)).await.expect(409).error("resource already exists");
    let updated =
        me.put(format!("{path}?overwrite=true"), &json!({ "publish": true })).await.expect(200).json();
    assert_eq!((&updated["version"], &updated["namespace"]), (&json!("0.0.2"), &action["namespace"]));
    assert_eq!(me.get(&path).await.expect(200).json(), updated);
}

#[tokio::test]
async fn cases_232_240_what_is_not_there() {
    let me = Whisk::shared().await.namespace().await;
    let (package, binding) = package_and_binding(&me).await;
    let nothing = unique("nopkg");
    me.put(format!("actions/{nothing}/a"), &fixtures::js(ECHO)).await.expect(404).error(MISSING);
    for path in [format!("{nothing}/a"), format!("{package}/missing"), format!("{binding}/missing")] {
        me.get(format!("actions/{path}")).await.expect(404).error(MISSING);
        me.post(format!("actions/{path}"), &json!({})).await.expect(404).error(MISSING);
    }
    me.get(format!("actions/{nothing}/")).await.expect(404).error(MISSING);
}

#[tokio::test]
async fn cases_233_234_nothing_is_written_through_a_binding() {
    let me = Whisk::shared().await.namespace().await;
    let (package, binding) = package_and_binding(&me).await;
    for _ in 0..2 {
        for name in ["a", "new"] {
            let path = format!("actions/{binding}/{name}");
            me.put(&path, &fixtures::js(ECHO)).await.expect(400).error(ON_BINDING);
            me.put(format!("{path}?overwrite=true"), &fixtures::js(ECHO)).await.expect(400).error(ON_BINDING);
            me.delete(&path).await.expect(400).error(ON_BINDING);
        }
        // The second time what it is bound to is gone.
        me.delete(format!("packages/{package}?force=true")).await;
    }
}

#[tokio::test]
async fn cases_235_247_deletion() {
    let me = Whisk::shared().await.namespace().await;
    let (package, _) = package_and_binding(&me).await;
    let path = format!("actions/{package}/a");
    assert_eq!(me.delete(&path).await.expect(200).json()["name"], "a");
    for path in [path, format!("actions/{package}/missing"), format!("actions/{}/a", unique("nopkg"))] {
        me.delete(path).await.expect(404).error(MISSING);
    }
    me.delete(format!("actions/{package}/")).await.expect(404);
    me.put(format!("actions/{package}/"), &fixtures::js(ECHO)).await.expect(404);
}

#[tokio::test]
async fn cases_238_239_an_action_through_a_binding() {
    let me = Whisk::shared().await.namespace().await;
    let (package, binding) = package_and_binding(&me).await;
    let provider = json!(format!("{}/{package}", me.name));
    for (path, y) in [(&package, "p"), (&binding, "b")] {
        for query in ["", "?code=false"] {
            let action = me.get(format!("actions/{path}/a{query}")).await.expect(200).json();
            assert_eq!(action["namespace"], provider);
            assert_eq!(action["parameters"].as_array().map(Vec::len), Some(3), "{action}");
            for (key, value) in [("x", "p"), ("y", y), ("z", "a")] {
                assert_eq!(entry(&action["parameters"], key), Some(&json!(value)), "{key} in {action}");
            }
            let shown =
                (path == &binding && !query.is_empty()).then(|| json!(format!("{}/{binding}", me.name)));
            assert_eq!(action.get("binding"), shown.as_ref());
        }
    }
    // PUT shows the action's own.
    let put = me.put(format!("actions/{package}/a?overwrite=true"), &json!({})).await.expect(200).json();
    assert_eq!(put["parameters"], json!([{ "key": "z", "value": "a" }]));
}

#[tokio::test]
async fn annotations_are_not_inherited() {
    let me = Whisk::shared().await.namespace().await;
    let package = me.put_package("p", &json!({ "annotations": [{ "key": "k", "value": 1 }] })).await;
    let path = me.put_js_in(&package, "a", ECHO).await;
    let action = me.get(format!("actions/{path}")).await.expect(200).json();
    assert_eq!(annotation(&action, "k"), None);
}

#[tokio::test]
async fn cases_246_248_lists() {
    let Some((me, _)) = Whisk::shared().await.fresh(246).await else { return };
    let (package, binding) = package_and_binding(&me).await;
    me.put_js_in(&package, "c", ECHO).await;
    let lone = me.put_js("lone", ECHO).await;
    let provider = json!(format!("{}/{package}", me.name));
    for path in [&package, &binding] {
        let list = me.get(format!("actions/{path}/")).await.expect(200).json();
        let list = list.as_array().expect("a list");
        assert_eq!(list.len(), 2);
        for item in list {
            assert_eq!(item["namespace"], provider);
            assert!(item.get("parameters").is_none() && item["exec"] == json!({ "binary": false }), "{item}");
        }
        let page = me.get(format!("actions/{path}/?limit=1&skip=1")).await.expect(200).json();
        assert_eq!(page, json!([list[1]]));
        let count = me.get(format!("actions/{path}/?count=true&skip=1")).await.expect(200).json();
        assert_eq!(count, json!({ "actions": 1 }));
        me.get(format!("actions/{path}/?limit=201")).await.expect(400);
    }
    let all = me.get("actions").await.expect(200).json();
    let mut places: Vec<_> =
        all.as_array().into_iter().flatten().map(|item| item["namespace"].clone()).collect();
    places.sort_by_key(Value::to_string);
    assert_eq!(places, [json!(me.name), provider.clone(), provider]);
    assert_eq!(all[0]["name"], json!(lone));
    let count = me.get("actions?count=true").await.expect(200).json();
    assert_eq!(count, json!({ "actions": 3 }));
}

#[tokio::test]
async fn cases_249_250_records() {
    let me = Whisk::shared().await.namespace().await;
    let (package, binding) = package_and_binding(&me).await;
    for (path, y, bound) in
        [(&package, "p", None), (&binding, "b", Some(json!(format!("{}/{binding}", me.name))))]
    {
        let name = format!("{path}/a");
        let record = me.invoke(&name, &json!({ "own": 1 })).await.expect(200).json();
        assert_eq!(record["response"]["result"], json!({ "x": "p", "y": y, "z": "a", "own": 1 }));
        assert_eq!((&record["namespace"], &record["name"]), (&json!(me.name), &json!("a")));
        assert_eq!(annotation(&record, "path"), Some(&json!(format!("{}/{package}/a", me.name))));
        assert_eq!(annotation(&record, "binding"), bound.as_ref());
        let id = record["activationId"].as_str().expect("a record has an id").to_owned();
        me.wait_for_activation(&id).await;
        // The list finds it by the name that it was called by.
        let found = me.get(format!("activations?name={}", name.replace('/', "%2F"))).await.expect(200).json();
        assert!(
            found.as_array().is_some_and(|list| list.iter().any(|item| item["activationId"] == json!(id)))
        );
    }
}

#[tokio::test]
async fn changes_of_a_package_are_seen_by_the_next_invocation() {
    let me = Whisk::shared().await.namespace().await;
    let (package, binding) = package_and_binding(&me).await;
    let path = format!("{binding}/a");
    assert_eq!(me.result(&path, &json!({})).await["x"], "p");
    let body = with_parameters(json!({}), &[("x", "new")]);
    me.put(format!("packages/{package}?overwrite=true"), &body).await.expect(200);
    assert_eq!(me.result(&path, &json!({})).await, json!({ "x": "new", "y": "b", "z": "a" }));
    let body = with_parameters(json!({}), &[("y", "new")]);
    me.put(format!("packages/{binding}?overwrite=true"), &body).await.expect(200);
    assert_eq!(me.result(&path, &json!({})).await, json!({ "x": "new", "y": "new", "z": "a" }));
    me.delete(format!("packages/{binding}")).await.expect(200);
    me.post(format!("actions/{path}"), &json!({})).await.expect(404).error(MISSING);
}

#[tokio::test]
async fn case_176_final_counts_parameters_of_packages() {
    let me = Whisk::shared().await.namespace().await;
    let body = json!({ "parameters": [{ "key": "x", "value": 1 }, { "key": "n", "value": null }] });
    let package = me.put_package("p", &body).await;
    let mut body = fixtures::js(ECHO);
    body["annotations"] = json!([{ "key": "final", "value": true }]);
    me.put(format!("actions/{package}/a"), &body).await.expect(200);
    let text = "Request defines parameters that are not allowed (e.g., reserved properties).";
    me.post(format!("actions/{package}/a"), &json!({ "x": 2 })).await.expect(400).error(text);
    assert_eq!(me.result(&format!("{package}/a"), &json!({ "n": 2 })).await, json!({ "x": 1, "n": 2 }));
}

#[tokio::test]
async fn case_183_init_parameters_of_packages() {
    let me = Whisk::shared().await.namespace().await;
    let package =
        me.put_package("p", &json!({ "parameters": [{ "key": "TOK", "value": "t", "init": true }] })).await;
    let path = me.put_js_in(&package, "a", fixtures::ENVIRONMENT).await;
    let result = me.result(&path, &json!({ "a": 1 })).await;
    assert_eq!((&result["env"]["TOK"], &result["args"]), (&json!("t"), &json!({ "a": 1 })));
}

#[tokio::test]
async fn case_251_something_else_in_place_of_a_package() {
    let me = Whisk::shared().await.namespace().await;
    let other = me.put_js("a", ECHO).await;
    let path = format!("actions/{other}/a");
    me.get(&path).await.expect(409).error(OTHER_KIND);
    me.put(&path, &fixtures::js(ECHO)).await.expect(409).error(OTHER_KIND);
    me.post(&path, &json!({})).await.expect(409).error(OTHER_KIND);
    me.delete(&path).await.expect(409).error(OTHER_KIND);
    me.get(format!("actions/{other}/")).await.expect(409).error(OTHER_KIND);
}

#[tokio::test]
async fn names_of_packages_and_actions_are_judged() {
    let me = Whisk::shared().await.namespace().await;
    let illegal = "The name of the entity contains illegal characters.";
    for path in ["a%3F/a", "p/a%3F", "-p/a"] {
        me.get(format!("actions/{path}")).await.expect(400).error(illegal);
    }
    me.get(format!("actions/{}/", "a".repeat(257))).await.expect(400);
}
