//! Reading, listing and deleting actions.

use serde_json::{Value, json};
use tests::fixtures::{self, ECHO};
use tests::place::unique;
use tests::whisk::Whisk;

const MISSING: &str = "The requested resource does not exist.";

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    keys.sort_unstable();
    keys
}

#[tokio::test]
async fn cases_103_104_105_an_action_with_and_without_code() {
    let me = Whisk::shared().await.namespace().await;
    let name = me.put_js("a", ECHO).await;
    let all =
        ["annotations", "exec", "limits", "name", "namespace", "parameters", "publish", "updated", "version"];
    for query in ["", "?code=true"] {
        let action = me.get(format!("actions/{name}{query}")).await.expect(200).json();
        assert_eq!(keys(&action), all, "{action}");
        assert_eq!(action["exec"]["code"], ECHO);
    }
    let action = me.get(format!("actions/{name}?code=false")).await.expect(200).json();
    assert_eq!(keys(&action), all, "{action}");
    assert_eq!(action["exec"], json!({ "kind": "nodejs:20", "binary": false }));
}

#[tokio::test]
async fn case_106_a_missing_action() {
    let me = Whisk::shared().await.namespace().await;
    let path = format!("actions/{}", unique("missing"));
    me.get(&path).await.expect(404).error(MISSING);
    me.post(&path, &json!({})).await.expect(404).error(MISSING);
}

#[tokio::test]
async fn case_110_deletion() {
    let me = Whisk::shared().await.namespace().await;
    let name = me.put_js("a", ECHO).await;
    let path = format!("actions/{name}");
    let before = me.get(&path).await.expect(200).json();
    assert_eq!(me.delete(&path).await.expect(200).json(), before);
    me.get(&path).await.expect(404).error(MISSING);
    me.delete(&path).await.expect(404).error(MISSING);
    me.post(&path, &json!({})).await.expect(404).error(MISSING);
}

#[tokio::test]
async fn case_111_items_of_a_list() {
    let Some((me, _)) = Whisk::shared().await.fresh(111).await else { return };
    let name = me.put_js("a", ECHO).await;
    let list = me.get("actions").await.expect(200).json();
    let item = &list[0];
    let all = ["annotations", "exec", "limits", "name", "namespace", "publish", "updated", "version"];
    assert_eq!(keys(item), all, "{item}");
    assert_eq!(item["exec"], json!({ "binary": false }));
    let action = me.get(format!("actions/{name}")).await.expect(200).json();
    for key in all.into_iter().filter(|key| *key != "exec") {
        assert_eq!(item[key], action[key], "{key}");
    }
}

#[tokio::test]
async fn too_many_segments_are_no_action() {
    let me = Whisk::shared().await.namespace().await;
    me.put("actions/a/b/c", &fixtures::js(ECHO)).await.expect(404);
    me.get("actions/a/b/c").await.expect(404);
}

#[tokio::test]
async fn cases_107_108_the_name_of_something_else() {
    let me = Whisk::shared().await.namespace().await;
    let trigger = me.put_trigger(&json!({})).await;
    let told = "Resource by this name exists but is not in this collection.";
    let path = format!("actions/{trigger}");
    me.get(&path).await.expect(409).error(told);
    for query in ["", "?overwrite=true"] {
        let body = json!({ "exec": { "kind": "nodejs:default", "code": "function main(){}" } });
        me.put(format!("{path}{query}"), &body).await.expect(409).error(told);
    }
}
