//! Bindings: what they may be bound to, what they show, and who may see it.

use serde_json::{Value, json};
use tests::fixtures::ECHO;
use tests::namespace::{Namespace, annotation, entry};
use tests::place::unique;
use tests::whisk::Whisk;

use crate::packages::{MISSING, forbidden};

/// The body of a binding to that package.
pub fn to(namespace: &str, package: &str) -> Value {
    json!({ "binding": { "namespace": namespace, "name": package } })
}

#[tokio::test]
async fn cases_204_206_a_new_binding() {
    let me = Whisk::shared().await.namespace().await;
    let package = me.put_package("p", &json!({})).await;
    let bound = json!({ "namespace": me.name, "name": package });
    for namespace in [me.name.as_str(), "_"] {
        let name = unique("b");
        let path = format!("packages/{name}");
        let put = me.put(&path, &to(namespace, &package)).await.expect(200).json();
        let got = me.get(&path).await.expect(200).json();
        for binding in [put, got] {
            assert_eq!((&binding["name"], &binding["binding"]), (&json!(name), &bound));
            assert_eq!(annotation(&binding, "binding"), Some(&bound));
        }
    }
}

#[tokio::test]
async fn case_207_the_annotation_is_the_servers() {
    let me = Whisk::shared().await.namespace().await;
    let annotations = json!([{ "key": "binding", "value": "mine" }, { "key": "a", "value": 1 }]);
    let name = me.put_package("p", &json!({ "annotations": annotations })).await;
    let package = me.get(format!("packages/{name}")).await.expect(200).json();
    assert_eq!(package["annotations"], json!([{ "key": "a", "value": 1 }]));
}

#[tokio::test]
async fn cases_208_210_211_what_cannot_be_bound_to() {
    let me = Whisk::shared().await.namespace().await;
    let package = me.put_package("p", &json!({})).await;
    let binding = me.put_package("b", &to("_", &package)).await;
    let action = me.put_js("a", ECHO).await;
    let path = format!("packages/{}", unique("new"));
    for (target, status, text) in [
        (unique("missing"), 400, "Binding references a package that does not exist."),
        (binding.clone(), 400, "Cannot bind to another package binding."),
        (action, 409, "Cannot bind to a resource that is not a package."),
    ] {
        me.put(&path, &to("_", &target)).await.expect(status).error(text);
        me.put(format!("packages/{binding}?overwrite=true"), &to("_", &target))
            .await
            .expect(status)
            .error(text);
    }
    me.get(&path).await.expect(404);
}

#[tokio::test]
async fn case_209_binding_to_packages_of_others() {
    let whisk = Whisk::shared().await;
    let Some(other) = whisk.other(209).await else { return };
    let me = whisk.namespace().await;
    let private = other.put_package("private", &json!({})).await;
    let public = other.put_package("public", &json!({ "publish": true })).await;
    let path = format!("packages/{}", unique("b"));
    for name in [unique("missing"), private] {
        let text = forbidden(&format!("{}/{name}", other.name));
        me.put(&path, &to(&other.name, &name)).await.expect(403).error(&text);
    }
    let binding = me.put(&path, &to(&other.name, &public)).await.expect(200).json();
    assert_eq!(binding["binding"], json!({ "namespace": other.name, "name": public }));
}

#[tokio::test]
async fn cases_212_214_a_package_stays_a_package_and_a_binding_a_binding() {
    let me = Whisk::shared().await.namespace().await;
    let package = me.put_package("p", &json!({})).await;
    let second = me.put_package("q", &json!({})).await;
    let text = "Resource is a package and cannot be converted into a binding.";
    me.put(format!("packages/{package}?overwrite=true"), &to("_", &second)).await.expect(409).error(text);

    let binding = me.put_package("b", &to("_", &package)).await;
    let path = format!("packages/{binding}?overwrite=true");
    let annotations = json!({ "annotations": [{ "key": "a", "value": 1 }] });
    for (body, version) in [(annotations, "0.0.2"), (json!({ "binding": {} }), "0.0.3")] {
        let updated = me.put(&path, &body).await.expect(200).json();
        let bound = json!({ "namespace": me.name, "name": package });
        assert_eq!((&updated["binding"], &updated["version"]), (&bound, &json!(version)));
        assert_eq!(annotation(&updated, "binding"), Some(&bound));
        assert_eq!(annotation(&updated, "a"), Some(&json!(1)));
    }
    let moved = me.put(&path, &to("_", &second)).await.expect(200).json();
    assert_eq!(annotation(&moved, "binding"), Some(&moved["binding"]));
    assert_eq!(moved["binding"]["name"], json!(second));
    // To itself is to a binding.
    let text = "Cannot bind to another package binding.";
    me.put(&path, &to("_", &binding)).await.expect(400).error(text);
}

#[tokio::test]
async fn case_215_no_binding_and_an_empty_one() {
    let me = Whisk::shared().await.namespace().await;
    let path = format!("packages/{}", unique("p"));
    let malformed = "The request content was malformed:\n";
    for binding in
        [json!(null), json!("ns/p"), json!({ "name": "p" }), json!({ "namespace": "a b/", "name": "p" })]
    {
        me.put(&path, &json!({ "binding": binding })).await.expect(400).error_contains(malformed);
    }
    assert_eq!(me.put(&path, &json!({ "binding": {} })).await.expect(200).json()["binding"], json!({}));
}

#[tokio::test]
async fn case_216_a_binding_shows_what_it_is_bound_to() {
    let me = Whisk::shared().await.namespace().await;
    let parameters = json!([{ "key": "a", "value": "A" }, { "key": "b", "value": "b" }]);
    let annotations = json!([{ "key": "description", "value": "x" }]);
    let body =
        json!({ "parameters": parameters, "annotations": annotations, "version": "3.0.0", "publish": true });
    let package = me.put_package("p", &body).await;
    me.put_js_in(&package, "hello", ECHO).await;
    let mut body = to("_", &package);
    body["parameters"] = json!([{ "key": "a", "value": "a" }, { "key": "c", "value": "c" }]);
    let name = me.put_package("b", &body).await;
    let binding = me.get(format!("packages/{name}")).await.expect(200).json();
    assert_eq!(binding["parameters"].as_array().map(Vec::len), Some(3), "{binding}");
    for key in ["a", "b", "c"] {
        assert_eq!(entry(&binding["parameters"], key), Some(&json!(key)));
    }
    assert_eq!(binding["actions"].as_array().map(Vec::len), Some(1), "{binding}");
    assert_eq!((&binding["actions"][0]["name"], &binding["feeds"]), (&json!("hello"), &json!([])));
    assert_eq!((&binding["version"], &binding["publish"]), (&json!("0.0.1"), &json!(false)));
    assert_eq!(annotation(&binding, "description"), None);
    // What is stored is the binding's own.
    let put = me.put(format!("packages/{name}?overwrite=true"), &json!({})).await.expect(200).json();
    assert_eq!(put["parameters"], body["parameters"]);
}

/// A public package of another namespace and a binding of the caller's to it.
async fn bound(me: &Namespace, other: &Namespace) -> (String, String) {
    let package = other.put_package("p", &json!({ "publish": true })).await;
    let binding = me.put_package("b", &to(&other.name, &package)).await;
    (package, binding)
}

#[tokio::test]
async fn case_217_a_binding_is_its_owners() {
    let whisk = Whisk::shared().await;
    let Some(other) = whisk.other(217).await else { return };
    let me = whisk.namespace().await;
    let (_, binding) = bound(&other, &me).await;
    other.put(format!("packages/{binding}?overwrite=true"), &json!({ "publish": true })).await.expect(200);
    let answer = me.get(other.path(&format!("packages/{binding}"))).await.expect(403);
    answer.error(&forbidden(&format!("{}/{binding}", other.name)));
}

#[tokio::test]
async fn case_218_what_is_bound_to_turned_private() {
    let whisk = Whisk::shared().await;
    let Some(other) = whisk.other(218).await else { return };
    let me = whisk.namespace().await;
    let (package, binding) = bound(&me, &other).await;
    let path = format!("packages/{binding}");
    me.get(&path).await.expect(200);
    other.put(format!("packages/{package}?overwrite=true"), &json!({ "publish": false })).await.expect(200);
    me.get(&path).await.expect(403).error(&forbidden(&format!("{}/{binding}", me.name)));
    me.get(format!("actions/{binding}/")).await.expect(403);
    // Its owner may still change and delete it.
    me.put(format!("{path}?overwrite=true"), &json!({ "publish": true })).await.expect(200);
    me.delete(&path).await.expect(200);
}

#[tokio::test]
async fn case_222_what_is_bound_to_is_gone() {
    let whisk = Whisk::shared().await;
    let me = whisk.namespace().await;
    let package = me.put_package("p", &json!({})).await;
    let binding = me.put_package("b", &to("_", &package)).await;
    me.delete(format!("packages/{package}")).await.expect(200);
    let path = format!("packages/{binding}");
    let text = format!("The requested resource '{}/{binding}' does not exist.", me.name);
    me.get(&path).await.expect(404).error(&text);
    me.get(format!("actions/{binding}/")).await.expect(404).error(MISSING);
    assert_eq!(me.delete(&path).await.expect(200).json()["binding"]["name"], json!(package));

    let Some(other) = whisk.other(222).await else { return };
    let (package, binding) = bound(&me, &other).await;
    other.delete(format!("packages/{package}")).await.expect(200);
    let path = format!("packages/{binding}");
    me.get(&path).await.expect(403).error(&forbidden(&format!("{}/{binding}", me.name)));
    me.delete(&path).await.expect(200);
}

#[tokio::test]
async fn what_is_bound_to_came_back_as_a_binding() {
    let me = Whisk::shared().await.namespace().await;
    let package = me.put_package("p", &json!({})).await;
    let binding = me.put_package("b", &to("_", &package)).await;
    me.delete(format!("packages/{package}")).await.expect(200);
    let third = me.put_package("q", &json!({})).await;
    me.put_js_in(&third, "a", ECHO).await;
    me.put(format!("packages/{package}"), &to("_", &third)).await.expect(200);
    // It shows nothing: only one binding is followed.
    assert_eq!(me.get(format!("packages/{binding}")).await.expect(200).json()["actions"], json!([]));
    me.get(format!("actions/{binding}/a")).await.expect(404).error(MISSING);
    me.post(format!("actions/{binding}/a"), &json!({})).await.expect(404).error(MISSING);
    let text = "Cannot bind to another package binding.";
    me.put(format!("packages/{package}?overwrite=true"), &to("_", &binding)).await.expect(400).error(text);
}
