//! Triggers as entities: what is created, shown, changed and refused.

use reqwest::Method;
use serde_json::{Value, json};
use tests::fixtures::{self, ECHO};
use tests::namespace::{annotation, entry};
use tests::place::unique;
use tests::whisk::Whisk;

const MISSING: &str = "The requested resource does not exist.";
const OTHER_KIND: &str = "Resource by this name exists but is not in this collection.";
const MEBI: usize = 1 << 20;

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    keys.sort_unstable();
    keys
}

fn list_of(size: usize) -> Value {
    json!([{ "key": "k", "value": "v".repeat(size) }])
}

#[tokio::test]
async fn case_252_defaults_of_a_new_trigger() {
    let me = Whisk::shared().await.namespace().await;
    let name = unique("t");
    let trigger = me.put(format!("triggers/{name}"), &json!({})).await.expect(200).json();
    let all = ["annotations", "limits", "name", "namespace", "parameters", "publish", "updated", "version"];
    assert_eq!(keys(&trigger), all, "no rules, and nothing of how it is stored: {trigger}");
    assert_eq!((&trigger["namespace"], &trigger["name"]), (&json!(me.name), &json!(name)));
    assert_eq!((&trigger["limits"], &trigger["version"]), (&json!({}), &json!("0.0.1")));
    assert_eq!((&trigger["parameters"], &trigger["annotations"]), (&json!([]), &json!([])));
    assert_eq!(trigger["publish"], false);
    assert_eq!(me.get(format!("triggers/{name}")).await.expect(200).json(), trigger);
}

#[tokio::test]
async fn cases_254_255_feeds() {
    let me = Whisk::shared().await.namespace().await;
    let with = |feed: &Value| json!({ "annotations": [{ "key": "feed", "value": feed }] });
    for feed in [json!("xyz"), json!("pkg/xyz"), json!("/whisk.system/alarms/alarm")] {
        let name = unique("t");
        let trigger = me.put(format!("triggers/{name}"), &with(&feed)).await.expect(200).json();
        assert_eq!(annotation(&trigger, "feed"), Some(&feed), "it is kept as it is");
    }
    for feed in [json!(""), json!("a,b"), json!(7), Value::Null] {
        let path = format!("triggers/{}", unique("t"));
        me.put(&path, &with(&feed)).await.expect(400).error("Feed name is not valid");
        me.get(&path).await.expect(404);
    }
    let name = me.put_trigger(&json!({})).await;
    let overwrite = format!("triggers/{name}?overwrite=true");
    me.put(&overwrite, &with(&json!("xyz"))).await.expect(200);
    me.put(&overwrite, &with(&json!("a,b"))).await.expect(200);
}

#[tokio::test]
async fn case_256_read_and_delete() {
    let me = Whisk::shared().await.namespace().await;
    let name = me.put_trigger(&json!({ "parameters": [{ "key": "a", "value": 1 }] })).await;
    let path = format!("triggers/{name}");
    let trigger = me.get(&path).await.expect(200).json();
    assert_eq!(entry(&trigger["parameters"], "a"), Some(&json!(1)));
    assert_eq!(me.delete(&path).await.expect(200).json(), trigger);
    me.get(&path).await.expect(404).error(MISSING);
    me.delete(&path).await.expect(404).error(MISSING);
}

#[tokio::test]
async fn case_257_nothing_is_in_a_trigger() {
    let me = Whisk::shared().await.namespace().await;
    let name = me.put_trigger(&json!({})).await;
    me.get(format!("triggers/{name}/bar")).await.expect(404);
    me.get("triggers/").await.expect(200);
    for method in [Method::PUT, Method::POST, Method::DELETE] {
        me.request(method, "triggers/").json(&json!({})).await.expect(404);
    }
    me.request(Method::PATCH, format!("triggers/{name}")).await.expect_any(&[404, 405]);
}

#[tokio::test]
async fn cases_258_440_a_name_is_one_entity_of_any_kind() {
    let me = Whisk::shared().await.namespace().await;
    let name = me.put_js("a", ECHO).await;
    let path = format!("triggers/{name}");
    me.get(&path).await.expect(409).error(OTHER_KIND);
    me.put(&path, &json!({})).await.expect(409).error(OTHER_KIND);
    me.put(format!("{path}?overwrite=true"), &json!({})).await.expect(409).error(OTHER_KIND);
    me.delete(&path).await.expect(409).error(OTHER_KIND);
    me.post(&path, &json!({})).await.expect(409).error(OTHER_KIND);
    me.delete(format!("actions/{name}")).await.expect(200);
    me.put(&path, &json!({})).await.expect(200);
    me.get(format!("actions/{name}")).await.expect(409).error(OTHER_KIND);
    me.get(format!("rules/{name}")).await.expect(409).error(OTHER_KIND);
}

#[tokio::test]
async fn case_259_what_a_list_shows() {
    let Some((me, _)) = Whisk::shared().await.fresh(259).await else { return };
    let body =
        json!({ "parameters": [{ "key": "a", "value": 1 }], "annotations": [{ "key": "b", "value": 2 }] });
    let name = me.put_trigger(&body).await;
    let echo = me.put_js("echo", ECHO).await;
    me.put_rule(&name, &echo).await;
    let list = me.get("triggers").await.expect(200).json();
    let item = &list[0];
    assert_eq!(keys(item), ["annotations", "name", "namespace", "publish", "updated", "version"]);
    assert_eq!((&item["name"], annotation(item, "b")), (&json!(name), Some(&json!(2))));
}

#[tokio::test]
async fn what_an_update_leaves_out_stays() {
    let me = Whisk::shared().await.namespace().await;
    let body =
        json!({ "parameters": [{ "key": "a", "value": 1 }], "annotations": [{ "key": "b", "value": 2 }] });
    let name = me.put_trigger(&body).await;
    let echo = me.put_js("echo", ECHO).await;
    let rule = me.put_rule(&name, &echo).await;
    let path = format!("triggers/{name}");
    me.put(&path, &json!({})).await.expect(409).error("resource already exists");
    let before = me.get(&path).await.expect(200).json();
    let overwrite = format!("{path}?overwrite=true");
    let after = me.put(&overwrite, &json!({ "rules": {}, "x": 1 })).await.expect(200).json();
    assert_eq!(after["version"], "0.0.2");
    for kept in ["parameters", "annotations", "publish", "rules"] {
        assert_eq!(after[kept], before[kept], "{kept}");
    }
    assert!(after["rules"][format!("{}/{rule}", me.name)].is_object(), "{after}");
    assert!(after["updated"].as_u64() > before["updated"].as_u64());
    let body = json!({ "parameters": [], "annotations": [], "version": "2", "publish": true });
    let last = me.put(&overwrite, &body).await.expect(200).json();
    assert_eq!((&last["parameters"], &last["annotations"]), (&json!([]), &json!([])));
    assert_eq!((&last["version"], &last["publish"]), (&json!("2.0.0"), &json!(true)));
    let new = me.put(format!("triggers/{}?overwrite=true", unique("t")), &json!({})).await.expect(200);
    assert_eq!(new.json()["version"], "0.0.1");
}

#[tokio::test]
async fn case_442_the_time_of_every_change_grows() {
    let me = Whisk::shared().await.namespace().await;
    let echo = me.put_js("echo", ECHO).await;
    let trigger = me.put_trigger(&json!({})).await;
    let rule = me.put_rule(&trigger, &echo).await;
    for path in [format!("triggers/{trigger}"), format!("rules/{rule}")] {
        let mut last = me.get(&path).await.expect(200).json()["updated"].as_u64();
        for _ in 0..3 {
            let now =
                me.put(format!("{path}?overwrite=true"), &json!({})).await.expect(200).json()["updated"]
                    .as_u64();
            assert!(now > last, "{path}");
            last = now;
        }
    }
}

#[tokio::test]
async fn each_fault_of_a_body_has_its_sentence() {
    let me = Whisk::shared().await.namespace().await;
    let path = format!("triggers/{}", unique("t"));
    for (body, text) in [
        (json!([]), "JSON object expected"),
        (json!({ "parameters": { "a": 1 } }), "parameters malformed!"),
        (json!({ "annotations": [{ "key": "a" }] }), "parameters malformed!"),
        (json!({ "version": "x" }), "semantic version malformed"),
        (json!({ "publish": "yes" }), "Expected JsBoolean"),
        (json!({ "limits": 7 }), "Object expected"),
    ] {
        let answer =
            me.put(&path, &body).await.expect(400).error_contains("The request content was malformed:\n");
        answer.error_contains(text);
    }
    me.request(Method::PUT, &path).body("text/plain", "{}").await.expect(415);
    me.put(format!("{path}?overwrite=x"), &json!({})).await.expect(400);
    me.get(&path).await.expect(404);
}

#[tokio::test]
async fn parameters_and_annotations_have_a_size() {
    let me = Whisk::shared().await.namespace().await;
    let name = me.put_trigger(&json!({})).await;
    for path in [format!("triggers/{}", unique("t")), format!("triggers/{name}?overwrite=true")] {
        for field in ["parameters", "annotations"] {
            let answer = me.put(&path, &json!({ field: list_of(MEBI) })).await.expect(413);
            let answer = answer.error_contains(&format!("{field} larger than allowed:"));
            answer.error_contains("> 1048576 bytes.");
        }
    }
}

#[tokio::test]
async fn cases_050_060_names() {
    let me = Whisk::shared().await.namespace().await;
    let long = format!("{:a<256}", unique("long"));
    for collection in ["triggers", "rules"] {
        let told = me.get(format!("{collection}/{}", "a".repeat(257))).await.expect(400);
        told.error("Name segement longer than allowed: 257 > 256.");
        for name in ["%24hola", "dora%3F", "%7Cdora%7Cdora%3F", "%20", "-abc", "%26abc", "abc%20", "x%23x"] {
            let answer = me.put(format!("{collection}/{name}"), &json!({})).await.expect(400);
            answer.error("The name of the entity contains illegal characters.");
        }
    }
    for name in [long.as_str(), "a%20b", "a%40b.c%26d", "_a", "0.0.0", "TWICE", "twice"] {
        me.put(format!("triggers/{name}?overwrite=true"), &json!({})).await.expect(200);
        me.get(format!("triggers/{name}")).await.expect(200);
        me.delete(format!("triggers/{name}")).await.expect(200);
    }
}

#[tokio::test]
async fn what_is_others_is_theirs() {
    let whisk = Whisk::shared().await;
    let Some(other) = whisk.other(76).await else { return };
    let me = whisk.namespace().await;
    let echo = other.put_js("echo", ECHO).await;
    let trigger = other.put_trigger(&json!({})).await;
    let rule = other.put_rule(&trigger, &echo).await;
    for (collection, name) in [("triggers", trigger), ("rules", rule), ("triggers", unique("none"))] {
        let path = format!("/api/v1/namespaces/{}/{collection}/{name}", other.name);
        let id = format!("{}/{name}", other.name);
        let text = format!("The supplied authentication is not authorized to access '{id}'.");
        me.get(&path).await.expect(403).error(&text);
        me.put(&path, &json!({})).await.expect(403).error(&text);
        me.post(&path, &json!({})).await.expect(403).error(&text);
        me.delete(&path).await.expect(403).error(&text);
    }
}

#[tokio::test]
async fn an_unreadable_trigger() {
    let Some((me, admin)) = Whisk::shared().await.fresh(299).await else { return };
    let name = me.put_trigger(&json!({})).await;
    let kept = me.put_trigger(&json!({})).await;
    admin.corrupt_entity(&format!("{}/{name}", me.name)).await;
    let text = "Resource is corrupted and cannot be read.";
    let path = format!("triggers/{name}");
    me.get(&path).await.expect(500).error(text);
    me.put(format!("{path}?overwrite=true"), &json!({})).await.expect(500).error(text);
    me.delete(&path).await.expect(500).error(text);
    me.post(&path, &json!({})).await.expect(500).error(text);
    let list = me.get("triggers").await.expect(200).json();
    assert_eq!(list.as_array().map(Vec::len), Some(1), "it hides no other: {list}");
    assert_eq!(list[0]["name"], json!(kept));
}

#[tokio::test]
async fn cases_438_439_444_what_is_written_is_read_at_once_and_shows_no_more() {
    let me = Whisk::shared().await.namespace().await;
    let echo = me.create("echo", &fixtures::js(ECHO)).await;
    let trigger = me.put_trigger(&json!({ "unknown": 1 })).await;
    let rule = me.put_rule(&trigger, &echo).await;
    for path in [format!("triggers/{trigger}"), format!("rules/{rule}"), format!("actions/{echo}")] {
        let entity = me.get(format!("{path}?unknown=1")).await.expect(200).json();
        for hidden in ["_id", "_rev", "entityType", "unknown"] {
            assert!(entity.get(hidden).is_none(), "{hidden}: {entity}");
        }
    }
}
