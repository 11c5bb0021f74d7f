//! Sequences and conductors whose parts are in packages, reached by bindings or not.

use std::time::Duration;

use serde_json::{Value, json};
use tests::fixtures::{self, CONDUCTOR, ECHO, INCREMENT, conductor, sequence};
use tests::namespace::{Namespace, annotation};
use tests::place::unique;
use tests::whisk::Whisk;

const CYCLIC: &str = "Sequence may not refer to itself.";
const NO_COMPONENT: &str = "Sequence component does not exist.";

/// A name with `_` for the namespace.
fn own(name: &str) -> String {
    format!("/_/{name}")
}

/// A sequence of these actions.
async fn of(me: &Namespace, components: &[&str]) -> String {
    let components: Vec<String> = components.iter().map(|name| own(name)).collect();
    me.create("s", &sequence(&components)).await
}

/// The records of the activations directly below.
async fn below(me: &Namespace, record: &Value) -> Vec<Value> {
    let mut below = Vec::new();
    for id in record["logs"].as_array().expect("logs are a list") {
        below.push(me.wait_for_activation(id.as_str().expect("an id is text")).await);
    }
    below
}

async fn package(me: &Namespace) -> String {
    let package = unique("p");
    me.put(format!("packages/{package}"), &json!({})).await.expect(200);
    package
}

#[tokio::test]
async fn case_331_a_component_in_a_package() {
    let me = Whisk::shared().await.namespace().await;
    let package = package(&me).await;
    me.put(format!("actions/{package}/b"), &fixtures::js(ECHO)).await.expect(200);
    let name = me.create("s", &sequence(&[own(&format!("{package}/b"))])).await;
    let shown = me.get(format!("actions/{name}")).await.expect(200).json();
    assert_eq!(shown["exec"]["components"], json!([format!("/{}/{package}/b", me.name)]));
}

#[tokio::test]
async fn case_338_a_component_in_a_package_that_has_no_such_action() {
    let me = Whisk::shared().await.namespace().await;
    let component = own(&format!("{}/missing", package(&me).await));
    let path = format!("actions/{}", unique("s"));
    me.put(path, &sequence(&[component])).await.expect(400).error(NO_COMPONENT);
}

#[tokio::test]
async fn case_340_a_cycle_through_a_binding() {
    let me = Whisk::shared().await.namespace().await;
    let a = own(&me.put_js("a", ECHO).await);
    let package = package(&me).await;
    let binding = unique("b");
    let bound = json!({ "binding": { "namespace": me.name, "name": package } });
    me.put(format!("packages/{binding}"), &bound).await.expect(200);
    me.put(format!("actions/{package}/s"), &sequence(&[&a])).await.expect(200);
    let path = format!("actions/{package}/s?overwrite=true");
    let through = own(&format!("{binding}/s"));
    me.put(&path, &sequence(&[&a, &through])).await.expect(400).error(CYCLIC);
    let outer = me.create("outer", &sequence(&[&through])).await;
    me.put(&path, &sequence(&[&own(&outer)])).await.expect(400).error(CYCLIC);
}

#[tokio::test]
async fn cases_354_355_parameters_of_packages_and_bindings() {
    let me = Whisk::shared().await.namespace().await;
    let parameters = |pairs: &[(&str, &str)]| -> Value {
        pairs.iter().map(|(key, value)| json!({ "key": key, "value": value })).collect()
    };
    let (package, binding) = (unique("p"), unique("b"));
    let own_parameters =
        parameters(&[("a", "package"), ("b", "package"), ("c", "package"), ("d", "package")]);
    me.put(format!("packages/{package}"), &json!({ "parameters": own_parameters })).await.expect(200);
    let bound = json!({
        "binding": { "namespace": me.name, "name": package },
        "parameters": parameters(&[("b", "binding"), ("c", "binding"), ("d", "binding")]),
    });
    me.put(format!("packages/{binding}"), &bound).await.expect(200);
    let mut body = fixtures::js(ECHO);
    body["parameters"] = parameters(&[("c", "action"), ("d", "action")]);
    me.put(format!("actions/{package}/echo"), &body).await.expect(200);

    let name = of(&me, &[&format!("{package}/echo")]).await;
    let result = me.result(&name, &json!({ "d": "payload" })).await;
    assert_eq!(result, json!({ "a": "package", "b": "package", "c": "action", "d": "payload" }));
    let name = of(&me, &[&format!("{binding}/echo")]).await;
    let record = me.invoke(&name, &json!({ "d": "payload" })).await.expect(200).json();
    let result = json!({ "a": "package", "b": "binding", "c": "action", "d": "payload" });
    assert_eq!(record["response"]["result"], result);
    assert_eq!(annotation(&record, "binding"), None);
    let component = &below(&me, &record).await[0];
    assert_eq!(annotation(component, "binding"), Some(&json!(format!("{}/{binding}", me.name))));
    assert_eq!(annotation(component, "path"), Some(&json!(format!("{}/{package}/echo", me.name))));

    // A sequence in a package passes on nothing of it, and is reached by a binding, too.
    let b = me.put_js("b", ECHO).await;
    me.put(format!("actions/{package}/s"), &sequence(&[own(&b)])).await.expect(200);
    let record = me.invoke(&format!("{binding}/s"), &json!({ "x": 1 })).await.expect(200).json();
    assert_eq!(record["response"]["result"], json!({ "x": 1 }));
    assert_eq!(annotation(&record, "binding"), Some(&json!(format!("{}/{binding}", me.name))));
    assert_eq!(annotation(&record, "path"), Some(&json!(format!("{}/{package}/s", me.name))));
}

#[tokio::test]
async fn a_component_that_may_not_be_run_any_more() {
    let whisk = Whisk::shared().await;
    let me = whisk.namespace().await;
    let Some(other) = whisk.other(338).await else { return };
    let package = unique("p");
    other.put(format!("packages/{package}"), &json!({ "publish": true })).await.expect(200);
    other.put(format!("actions/{package}/a"), &fixtures::js(ECHO)).await.expect(200);
    let component = format!("/{}/{package}/a", other.name);
    let name = me.create("s", &sequence(&[&component])).await;
    let record = me.invoke(&name, &json!({ "x": 1 })).await.expect(200).json();
    assert_eq!(record["response"]["result"], json!({ "x": 1 }));
    let component_record = &below(&me, &record).await[0];
    assert_eq!(component_record["namespace"], json!(me.name));
    let path = format!("packages/{package}?overwrite=true");
    other.put(path, &json!({ "publish": false })).await.expect(200);
    let text = format!("The supplied authentication is not authorized to access '{}/{package}'.", other.name);
    let refused = tests::wait::until("the package is private", Duration::from_secs(10), || async {
        let answer = me.invoke(&name, &json!({})).await;
        (answer.status == 403).then_some(answer)
    })
    .await;
    refused.error(&text);
}

#[tokio::test]
async fn case_374_a_conductor_through_a_binding() {
    let me = Whisk::shared().await.namespace().await;
    let (package, binding) = (unique("p"), unique("b"));
    me.put(format!("packages/{package}"), &json!({})).await.expect(200);
    let bound = json!({ "binding": { "namespace": me.name, "name": package } });
    me.put(format!("packages/{binding}"), &bound).await.expect(200);
    me.put(format!("actions/{package}/c"), &conductor(CONDUCTOR)).await.expect(200);
    me.put(format!("actions/{package}/step"), &fixtures::js(INCREMENT)).await.expect(200);
    let arguments = json!({ "action": format!("{binding}/step"), "n": 1 });
    let record = me.invoke(&format!("{binding}/c"), &arguments).await.expect(200).json();
    assert_eq!(record["response"]["result"], json!({ "n": 2 }));
    let name = json!(format!("{}/{binding}", me.name));
    assert_eq!(annotation(&record, "binding"), Some(&name));
    assert_eq!(annotation(&record, "path"), Some(&json!(format!("{}/{package}/c", me.name))));
    assert!(below(&me, &record).await.iter().all(|part| annotation(part, "binding") == Some(&name)));
}
