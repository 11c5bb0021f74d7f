//! Web actions in packages and through bindings.

use reqwest::Method;
use serde_json::{Value, json};
use tests::fixtures::ECHO;
use tests::namespace::{Namespace, annotation};
use tests::place::unique;
use tests::whisk::Whisk;

use crate::packages::forbidden;
use crate::packages_bindings::to;
use crate::web::{INVOKING, METHOD, exported, refused};

const NOT_THERE: &str = "The requested resource does not exist.";
const NOT_ALLOWED: &str = "Request defines parameters that are not allowed (e.g., reserved properties).";

/// Creates an exported action in a package; returns its name.
async fn export_in(me: &Namespace, package: &str, body: &Value) -> String {
    let name = unique("web");
    me.put(format!("actions/{package}/{name}"), body).await.expect(200);
    name
}

/// The path of a web action in a package.
fn path(me: &Namespace, package: &str, name: &str) -> String {
    format!("/api/v1/web/{}/{package}/{name}", me.name)
}

/// A binding to a package, with parameters of its own.
fn bound(owner: &Namespace, package: &str, parameters: Value) -> Value {
    let mut body = to(&owner.name, package);
    body["parameters"] = parameters;
    body
}

#[tokio::test]
async fn case_377_an_action_in_a_package() {
    let me = Whisk::shared().await.namespace().await;
    let package = me.put_package("p", &json!({})).await;
    let name = export_in(&me, &package, &exported(METHOD, &[])).await;
    for method in INVOKING {
        me.request(method, path(&me, &package, &name)).anonymous().await.expect(204);
    }
    refused(me.get(path(&me, "default", &name)).await, 404, NOT_THERE);
    refused(me.get(path(&me, &package, &unique("missing"))).await, 404, NOT_THERE);
    // Upstream would take it for the default package.
    let package = me.put_package("defaults", &json!({})).await;
    let name = export_in(&me, &package, &exported(METHOD, &[])).await;
    me.get(path(&me, &package, &name)).anonymous().await.expect(204);
}

#[tokio::test]
async fn case_392_what_a_package_or_a_binding_fixes() {
    let me = Whisk::shared().await.namespace().await;
    let fixing = json!([{ "key": "x", "value": "X" }]);
    let package = me.put_package("p", &json!({ "parameters": fixing })).await;
    let plain = me.put_package("p", &json!({})).await;
    let binding = me.put_package("b", &bound(&me, &plain, fixing)).await;
    let mut body = exported(ECHO, &[("final", json!(true))]);
    body["parameters"] = json!([{ "key": "y", "value": "Y" }, { "key": "empty", "value": null }]);
    let in_package = export_in(&me, &package, &body).await;
    let in_plain = export_in(&me, &plain, &body).await;
    for path in [path(&me, &package, &in_package), path(&me, &binding, &in_plain)] {
        let path = format!("{path}.json");
        for name in ["x", "y"] {
            refused(me.get(format!("{path}?{name}=z")).await, 400, NOT_ALLOWED);
            refused(me.post(&path, &json!({ name: "z" })).await, 400, NOT_ALLOWED);
        }
        let given = me.get(format!("{path}?empty=z")).await.expect(200).json();
        assert_eq!((&given["x"], &given["y"], &given["empty"]), (&json!("X"), &json!("Y"), &json!("z")));
    }
    let path = format!("{}.json", path(&me, &plain, &in_plain));
    assert_eq!(me.get(format!("{path}?x=z")).await.expect(200).json()["x"], "z");
}

#[tokio::test]
async fn case_393_whose_parameters_count() {
    let me = Whisk::shared().await.namespace().await;
    let parameters = json!([{ "key": "a", "value": "A" }, { "key": "b", "value": "b" }]);
    let package = me.put_package("p", &json!({ "parameters": parameters })).await;
    let parameters =
        json!([{ "key": "a", "value": "a" }, { "key": "c", "value": "c" }, { "key": "y", "value": 1 }]);
    let binding = me.put_package("b", &bound(&me, &package, parameters)).await;
    let mut body = exported(ECHO, &[]);
    body["parameters"] = json!([{ "key": "y", "value": "Y" }]);
    let name = export_in(&me, &package, &body).await;
    let given = me.get(format!("{}.json?q=1", path(&me, &binding, &name))).await.expect(200).json();
    for (key, value) in [("a", "a"), ("b", "b"), ("c", "c"), ("y", "Y"), ("q", "1")] {
        assert_eq!(given[key], value, "{key} in {given}");
    }
    let given = me.get(format!("{}.json?a=q", path(&me, &binding, &name))).await.expect(200).json();
    assert_eq!(given["a"], "q");
}

#[tokio::test]
async fn case_394_what_a_binding_may_be_bound_to() {
    let whisk = Whisk::shared().await;
    let me = whisk.namespace().await;
    let package = me.put_package("p", &json!({})).await;
    let name = export_in(&me, &package, &exported(METHOD, &[])).await;
    let binding = me.put_package("b", &to(&me.name, &package)).await;
    me.get(path(&me, &binding, &name)).anonymous().await.expect(204);

    let Some(other) = whisk.other(394).await else { return };
    let package = other.put_package("p", &json!({ "publish": true })).await;
    let name = export_in(&other, &package, &exported(METHOD, &[])).await;
    let binding = me.put_package("b", &to(&other.name, &package)).await;
    let path = path(&me, &binding, &name);
    let answer = me.get(&path).anonymous().await.expect(204);
    // It ran for the owner of the binding, from where it really is.
    let id = answer.header("x-openwhisk-activation-id").expect("it has run").to_owned();
    let record = me.wait_for_activation(&id).await;
    assert_eq!(annotation(&record, "path"), Some(&json!(format!("{}/{package}/{name}", other.name))));
    assert_eq!(annotation(&record, "binding"), Some(&json!(format!("{}/{binding}", me.name))));
    other.put(format!("packages/{package}?overwrite=true"), &json!({ "publish": false })).await.expect(200);
    let denied = forbidden(&format!("{}/{package}", other.name));
    for method in INVOKING.into_iter().chain([Method::OPTIONS]) {
        // Who signs in makes no difference: the owner of the binding may not.
        let answer = other.request(method.clone(), &path).await.expect(403);
        if method != Method::HEAD {
            refused(answer, 403, &denied);
        }
    }
}

#[tokio::test]
async fn case_395_what_is_missing() {
    let me = Whisk::shared().await.namespace().await;
    let package = me.put_package("p", &json!({})).await;
    let binding = me.put_package("b", &to(&me.name, &package)).await;
    let name = export_in(&me, &package, &exported(METHOD, &[])).await;
    me.get(path(&me, &binding, &name)).await.expect(204);
    refused(me.get(path(&me, &binding, &unique("missing"))).await, 404, NOT_THERE);
    refused(me.get(path(&me, &unique("missing"), &name)).await, 404, NOT_THERE);
    let no_package = me.put_js("a", ECHO).await;
    refused(me.get(path(&me, &no_package, &name)).await, 404, NOT_THERE);
    me.delete(format!("actions/{package}/{name}")).await.expect(200);
    refused(me.get(path(&me, &binding, &name)).await, 404, NOT_THERE);
    me.delete(format!("packages/{package}")).await.expect(200);
    refused(me.get(path(&me, &binding, &name)).await, 404, NOT_THERE);
}

#[tokio::test]
async fn case_396_annotations_are_the_actions_own() {
    let me = Whisk::shared().await.namespace().await;
    let annotated = |value: Value| json!([{ "key": "web-export", "value": value }]);
    let package = me.put_package("p", &json!({ "annotations": annotated(json!(true)) })).await;
    let mut body = to(&me.name, &package);
    body["annotations"] = annotated(json!(false));
    let binding = me.put_package("b", &body).await;
    let name = export_in(&me, &package, &exported(METHOD, &[])).await;
    me.get(path(&me, &binding, &name)).await.expect(204);
    let hidden = unique("hidden");
    me.put(format!("actions/{package}/{hidden}"), &tests::fixtures::js(METHOD)).await.expect(200);
    refused(me.get(path(&me, &package, &hidden)).await, 404, NOT_THERE);
}
