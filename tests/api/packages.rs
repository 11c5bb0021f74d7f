//! Packages: creating, changing, reading and deleting them.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use tests::fixtures::{self, ECHO};
use tests::namespace::{Namespace, annotation};
use tests::place::unique;
use tests::whisk::Whisk;

const MEBI: usize = 1 << 20;
pub const OTHER_KIND: &str = "Resource by this name exists but is not in this collection.";
pub const MISSING: &str = "The requested resource does not exist.";

/// What strangers read of whatever they may not.
pub fn forbidden(resource: &str) -> String {
    format!("The supplied authentication is not authorized to access '{resource}'.")
}

/// The names of the members of a document.
fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    keys.sort_unstable();
    keys
}

/// An action with these annotations.
fn annotated(annotations: Value) -> Value {
    let mut body = fixtures::js(ECHO);
    body["annotations"] = annotations;
    body
}

#[tokio::test]
async fn cases_193_194_a_new_package() {
    let me = Whisk::shared().await.namespace().await;
    let name = unique("p");
    let path = format!("packages/{name}");
    let package = me.put(&path, &json!({})).await.expect(200).json();
    let all = ["annotations", "binding", "name", "namespace", "parameters", "publish", "updated", "version"];
    assert_eq!(keys(&package), all, "no actions, no feeds: {package}");
    assert_eq!((&package["namespace"], &package["name"]), (&json!(me.name), &json!(name)));
    assert_eq!((&package["binding"], &package["version"]), (&json!({}), &json!("0.0.1")));
    assert_eq!((&package["publish"], &package["parameters"]), (&json!(false), &json!([])));
    assert_eq!(package["annotations"], json!([]));
    me.put(&path, &json!({})).await.expect(409).error("resource already exists");
}

#[tokio::test]
async fn case_195_an_update() {
    let me = Whisk::shared().await.namespace().await;
    let parameters = json!([{ "key": "a", "value": 1 }]);
    let annotations = json!([{ "key": "b", "value": 2 }]);
    let name = me.put_package("p", &json!({ "parameters": parameters, "annotations": annotations })).await;
    let path = format!("packages/{name}?overwrite=true");
    let package = me.put(&path, &json!({ "publish": true })).await.expect(200).json();
    assert_eq!((&package["version"], &package["publish"]), (&json!("0.0.2"), &json!(true)));
    assert_eq!((&package["parameters"], &package["annotations"]), (&parameters, &annotations));
    // What is given replaces all that was there.
    let body = json!({ "parameters": [], "annotations": [{ "key": "c", "value": 3 }], "version": "2.0.0" });
    let package = me.put(&path, &body).await.expect(200).json();
    assert_eq!((&package["version"], &package["publish"]), (&json!("2.0.0"), &json!(true)));
    assert_eq!(
        (&package["parameters"], &package["annotations"]),
        (&body["parameters"], &body["annotations"])
    );
}

#[tokio::test]
async fn case_196_the_name_default_is_reserved() {
    let me = Whisk::shared().await.namespace().await;
    let text = "Package name 'default' is reserved.";
    for query in ["", "?overwrite=true"] {
        for body in [json!({}), json!({ "binding": null })] {
            me.put(format!("packages/default{query}"), &body).await.expect(400).error(text);
        }
    }
    me.delete("packages/default").await.expect(404).error(MISSING);
}

#[tokio::test]
async fn case_198_actions_and_feeds() {
    let me = Whisk::shared().await.namespace().await;
    let name = me.put_package("p", &json!({})).await;
    me.put(format!("actions/{name}/plain"), &annotated(json!([]))).await.expect(200);
    let feed = json!([{ "key": "feed", "value": false }]);
    me.put(format!("actions/{name}/feed"), &annotated(feed)).await.expect(200);
    let package = me.get(format!("packages/{name}")).await.expect(200).json();
    for (list, expected) in [("actions", "plain"), ("feeds", "feed")] {
        let list = package[list].as_array().expect("a list");
        assert_eq!(list.len(), 1, "{package}");
        assert_eq!(keys(&list[0]), ["annotations", "name", "version"]);
        assert_eq!((&list[0]["name"], &list[0]["version"]), (&json!(expected), &json!("0.0.1")));
        assert_eq!(annotation(&list[0], "exec"), Some(&json!("nodejs:20")));
    }
    assert_eq!(annotation(&package["feeds"][0], "feed"), Some(&json!(false)));
}

#[tokio::test]
async fn a_package_shows_all_of_its_actions() {
    let me = Whisk::shared().await.namespace().await;
    let name = me.put_package("p", &json!({})).await;
    for number in 0..31 {
        me.put_js_in(&name, &format!("a{number}"), ECHO).await;
    }
    let package = me.get(format!("packages/{name}?limit=1")).await.expect(200).json();
    assert_eq!(package["actions"].as_array().map(Vec::len), Some(31), "there are no pages");
}

#[tokio::test]
async fn cases_199_202_203_223_what_is_not_there() {
    let me = Whisk::shared().await.namespace().await;
    let name = unique("missing");
    let text = format!("The requested resource '{}/{name}' does not exist.", me.name);
    me.get(format!("packages/{name}")).await.expect(404).error(&text);
    me.delete(format!("packages/{name}")).await.expect(404).error(MISSING);
    let there = me.put_package("p", &json!({})).await;
    me.get(format!("packages/{there}/bar")).await.expect(404);
    me.get(format!("packages/{there}/")).await.expect(404);
    me.post(format!("packages/{there}"), &json!({})).await.expect_any(&[404, 405]);
    // What `wsk package refresh` asks for, and what upstream tells it.
    let answer = me.post("packages/refresh", &json!({})).await.expect(403);
    answer.error(&forbidden(&format!("{}/refresh", me.name)));
}

#[tokio::test]
async fn cases_200_201_packages_of_others() {
    let whisk = Whisk::shared().await;
    let Some(other) = whisk.other(200).await else { return };
    let me = whisk.namespace().await;
    let private = other.put_package("private", &json!({})).await;
    let public = other.put_package("public", &json!({ "publish": true })).await;
    let missing = unique("missing");
    for (namespace, name) in [(&other.name, &private), (&other.name, &missing), (&unique("nobody"), &missing)]
    {
        let answer = me.get(format!("/api/v1/namespaces/{namespace}/packages/{name}")).await.expect(403);
        answer.error(&forbidden(&format!("{namespace}/{name}")));
    }
    let seen = me.get(other.path(&format!("packages/{public}"))).await.expect(200).json();
    assert_eq!(seen["name"], json!(public));
    for name in [public, private, missing] {
        let (path, text) =
            (other.path(&format!("packages/{name}")), forbidden(&format!("{}/{name}", other.name)));
        me.put(&path, &json!({})).await.expect(403).error(&text);
        me.put(format!("{path}?overwrite=true"), &json!({})).await.expect(403).error(&text);
        me.delete(&path).await.expect(403).error(&text);
    }
}

#[tokio::test]
async fn a_name_is_taken_by_one_entity_of_any_kind() {
    let me = Whisk::shared().await.namespace().await;
    let action = me.put_js("a", ECHO).await;
    let path = format!("packages/{action}");
    me.get(&path).await.expect(409).error(OTHER_KIND);
    me.put(format!("{path}?overwrite=true"), &json!({})).await.expect(409).error(OTHER_KIND);
    me.delete(&path).await.expect(409).error(OTHER_KIND);
    let package = me.put_package("p", &json!({})).await;
    let path = format!("actions/{package}");
    me.get(&path).await.expect(409).error(OTHER_KIND);
    me.put(format!("{path}?overwrite=true"), &fixtures::js(ECHO)).await.expect(409).error(OTHER_KIND);
    me.post(&path, &json!({})).await.expect(409).error(OTHER_KIND);
    me.delete(&path).await.expect(409).error(OTHER_KIND);
}

#[tokio::test]
async fn a_body_that_is_none() {
    let me = Whisk::shared().await.namespace().await;
    let path = format!("packages/{}", unique("p"));
    for (body, told) in [
        (json!([]), "JSON object expected"),
        (json!({ "parameters": { "a": "b" } }), "parameters malformed!"),
        (json!({ "annotations": [{ "key": "a" }] }), "parameters malformed!"),
        (json!({ "version": "xyz" }), "semantic version malformed"),
        (json!({ "publish": "yes" }), "publish"),
    ] {
        let answer = me.put(&path, &body).await.expect(400);
        let answer = answer.error_contains("The request content was malformed:\n");
        if told != "publish" {
            answer.error_contains(told);
        }
    }
    me.put(format!("{path}?overwrite=maybe"), &json!({})).await.expect(400);
    me.request(Method::PUT, &path).body("text/plain", "{}").await.expect(415);
}

#[tokio::test]
async fn case_219_deletion() {
    let me = Whisk::shared().await.namespace().await;
    let name = me.put_package("p", &json!({ "parameters": [{ "key": "a", "value": 1 }] })).await;
    let path = format!("packages/{name}");
    let mut before = me.get(&path).await.expect(200).json();
    for list in ["actions", "feeds"] {
        assert_eq!(before.as_object_mut().and_then(|package| package.remove(list)), Some(json!([])));
    }
    assert_eq!(me.delete(&path).await.expect(200).json(), before);
    me.get(&path).await.expect(404);
}

#[tokio::test]
async fn case_220_a_package_with_something_in_it() {
    let me = Whisk::shared().await.namespace().await;
    let name = me.put_package("p", &json!({})).await;
    let path = format!("packages/{name}");
    for (action, contains) in [("a", "1 entity"), ("b", "2 entities")] {
        me.put_js_in(&name, action, ECHO).await;
        let text =
            format!("Package not empty (contains {contains}). Set force param or delete package contents.");
        me.delete(&path).await.expect(409).error(&text);
        me.delete(format!("{path}?force=false")).await.expect(409).error(&text);
    }
    me.result(&format!("{name}/a"), &json!({})).await;
    me.delete(format!("{path}?force=maybe")).await.expect(400);
    assert_eq!(me.delete(format!("{path}?force=true")).await.expect(200).json()["name"], json!(name));
    me.get(&path).await.expect(404);
    me.get(format!("actions/{name}/a")).await.expect(404).error(MISSING);
    me.post(format!("actions/{name}/a"), &json!({})).await.expect(404).error(MISSING);
    // Nothing comes back with the name.
    me.put(&path, &json!({})).await.expect(200);
    assert_eq!(me.get(&path).await.expect(200).json()["actions"], json!([]));
}

#[tokio::test]
async fn case_230_parameters_that_are_too_large() {
    let me = Whisk::shared().await.namespace().await;
    let package = me.put_package("p", &json!({})).await;
    let binding = me.put_package("b", &json!({ "binding": { "namespace": "_", "name": package } })).await;
    for field in ["parameters", "annotations"] {
        let body = json!({ field: [{ "key": "k", "value": "v".repeat(MEBI) }] });
        for name in [unique("new"), format!("{package}?overwrite=true"), format!("{binding}?overwrite=true")]
        {
            let answer = me.put(format!("packages/{name}"), &body).await.expect(413);
            let answer = answer.error_contains(&format!("{field} larger than allowed:"));
            answer.error_contains("> 1048576 bytes.");
        }
    }
}

#[tokio::test]
async fn case_138_a_namespace_with_smaller_parameters() {
    let Some((me, admin)) = Whisk::shared().await.fresh(138).await else { return };
    admin.set_limits(&me.name, &["--maxParameterSize", "1024 B"]).await;
    me.wait_for_limit("maxParameterSize", &json!("1024 B")).await;
    let body = json!({ "parameters": [{ "key": "k", "value": "v".repeat(2_000) }] });
    let answer = me.put(format!("packages/{}", unique("p")), &body).await.expect(413);
    answer.error_contains("parameters larger than allowed:").error_contains("> 1024 bytes.");
}

#[tokio::test]
async fn case_143_an_unreadable_package() {
    let whisk = Whisk::shared().await;
    let Some((me, admin)) = whisk.fresh(143).await else { return };
    let name = me.put_package("p", &json!({ "publish": true })).await;
    admin.corrupt_entity(&format!("{}/{name}", me.name)).await;
    let text = "Resource is corrupted and cannot be read.";
    let path = format!("packages/{name}");
    me.get(&path).await.expect(500).error(text);
    me.put(format!("{path}?overwrite=true"), &json!({})).await.expect(500).error(text);
    me.delete(&path).await.expect(500).error(text);
    me.put(format!("actions/{name}/a"), &fixtures::js(ECHO)).await.expect(500).error(text);
    me.get(format!("actions/{name}/a")).await.expect(500).error(text);
    let stranger = whisk.namespace().await;
    stranger.get(me.path(&path)).await.expect(403).error(&forbidden(&format!("{}/{name}", me.name)));
}

#[tokio::test]
async fn cases_050_051_054_060_names() {
    let me = Whisk::shared().await.namespace().await;
    let name = format!("{:a<256}", unique("long"));
    assert_eq!(me.put(format!("packages/{name}"), &json!({})).await.expect(200).json()["name"], json!(name));
    let answer = me.get(format!("packages/{}", "a".repeat(257))).await.expect(400);
    answer.error("Name segement longer than allowed: 257 > 256.");
    for name in ["%24hola", "-abc", "abc%20", "a%2Fb"] {
        let answer = me.put(format!("packages/{name}"), &json!({})).await.expect(400);
        answer.error("The name of the entity contains illegal characters.");
    }
    me.put("packages/", &json!({})).await.expect(404);
}

/// What PUT, GET and the list show of a package.
async fn shown(me: &Namespace, name: &str) -> [tests::answer::Answer; 3] {
    [
        me.put(format!("packages/{name}?overwrite=true"), &json!({})).await.expect(200),
        me.get(format!("packages/{name}")).await.expect(200),
        me.get("packages").await.expect(200),
    ]
}

#[tokio::test]
async fn cases_438_439_440_442_what_holds_everywhere() {
    let me = Whisk::shared().await.namespace().await;
    let name = unique("p");
    let mut last = 0;
    for _ in 0..5 {
        let [put, get, list] = shown(&me, &name).await;
        for answer in [&put, &get, &list] {
            for field in ["\"_id\"", "\"_rev\"", "\"entityType\""] {
                assert!(!answer.text().contains(field), "{field} in {}", answer.story());
            }
        }
        let updated = put.json()["updated"].as_u64().expect("a time is a number");
        assert!(updated > last, "{updated} after {last}");
        assert_eq!(get.json()["updated"], updated, "a write is seen at once");
        last = updated;
        // The unit is a millisecond.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    me.delete(format!("packages/{name}")).await.expect(200);
    me.put(format!("actions/{name}"), &fixtures::js(ECHO)).await.expect(200);
    me.delete(format!("actions/{name}")).await.expect(200);
    me.put(format!("packages/{name}"), &json!({ "unknown": 1, "name": "x" })).await.expect(200);
}
