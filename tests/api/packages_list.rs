//! Lists of packages: paging, and what strangers are shown.

use reqwest::Method;
use serde_json::{Value, json};
use tests::namespace::{Namespace, annotation};
use tests::place::unique;
use tests::whisk::Whisk;

use crate::packages_bindings::to;

/// More than a page.
const MANY: usize = 31;

async fn list(me: &Namespace, path: &str) -> Vec<Value> {
    me.get(path).await.expect(200).json().as_array().expect("a list").clone()
}

fn names(list: &[Value]) -> Vec<Value> {
    list.iter().map(|item| item["name"].clone()).collect()
}

#[tokio::test]
async fn cases_062_063_064_065_066_073_bad_pages() {
    let me = Whisk::shared().await.namespace().await;
    for (query, text) in [
        ("limit=201", "The value '201' is not in the range of 0 to 200 for packages."),
        ("limit=-1", "The value '-1' is not in the range of 0 to 200 for packages."),
        ("limit=xyz", "The value 'xyz' is not an integer for packages."),
        ("skip=-1", "The value '-1' is not greater than or equal to 0 for packages."),
        ("skip=xyz", "The value 'xyz' is not an integer for packages."),
    ] {
        me.get(format!("packages?{query}")).await.expect(400).error_contains(text);
    }
}

#[tokio::test]
async fn cases_067_068_070_071_072_pages_and_counts() {
    let Some((me, _)) = Whisk::shared().await.fresh(67).await else { return };
    assert!(list(&me, "packages").await.is_empty());
    for _ in 0..MANY {
        me.put_package("p", &json!({})).await;
    }
    let all = names(&list(&me, "packages?limit=0").await);
    assert_eq!(all.len(), MANY, "limit=0 means 200");
    assert_eq!(list(&me, "packages").await.len(), 30, "a page has 30");
    assert_eq!(names(&list(&me, "packages?skip=3&limit=4&docs=true").await), all[3..7]);
    for (query, count) in [("", MANY), ("&skip=1", MANY - 1), ("&skip=100", 0), ("&limit=2", MANY)] {
        let answer = me.get(format!("packages?count=true{query}")).await.expect(200);
        assert_eq!(answer.json(), json!({ "packages": count }), "{}", answer.story());
    }
}

#[tokio::test]
async fn case_074_a_collection_is_only_read() {
    let me = Whisk::shared().await.namespace().await;
    for method in [Method::POST, Method::PUT, Method::DELETE] {
        me.request(method, "packages").json(&json!({})).await.expect_any(&[404, 405]);
    }
}

#[tokio::test]
async fn cases_224_227_items_of_a_list() {
    let Some((me, _)) = Whisk::shared().await.fresh(224).await else { return };
    let package = me.put_package("p", &json!({ "parameters": [{ "key": "a", "value": 1 }] })).await;
    // The order is by milliseconds: two writes in the same one have none.
    tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    let binding = me.put_package("b", &to("_", &package)).await;
    let bound = json!({ "namespace": me.name, "name": package });
    for path in ["packages", "packages/", "packages?public=true"] {
        let list = list(&me, path).await;
        assert_eq!(names(&list), [json!(binding), json!(package)], "newest change first");
        assert_eq!((&list[0]["binding"], &list[1]["binding"]), (&bound, &json!(false)));
        assert_eq!(annotation(&list[0], "binding"), Some(&bound));
        let mut keys: Vec<_> =
            list[1].as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["annotations", "binding", "name", "namespace", "publish", "updated", "version"]);
    }
}

#[tokio::test]
async fn cases_225_226_228_what_strangers_are_shown() {
    let whisk = Whisk::shared().await;
    let Some((other, _)) = whisk.fresh(225).await else { return };
    let me = whisk.namespace().await;
    let private = other.put_package("private", &json!({})).await;
    let public = other.put_package("public", &json!({ "publish": true })).await;
    let mut binding = to("_", &public);
    binding["publish"] = json!(true);
    other.put_package("b", &binding).await;
    let path = other.path("packages");
    let seen = list(&me, &path).await;
    assert_eq!(names(&seen), [json!(public)]);
    assert_eq!(seen[0]["binding"], json!(false));
    let count = |path: String| me.get(format!("{path}?count=true"));
    assert_eq!(count(path.clone()).await.expect(200).json(), json!({ "packages": 1 }));
    assert_eq!(list(&other, &path).await.len(), 3, "the owner sees all");

    other.put(format!("packages/{private}?overwrite=true"), &json!({ "publish": true })).await.expect(200);
    assert_eq!(list(&me, &path).await.len(), 2);
    let nobody = format!("/api/v1/namespaces/{}/packages", unique("nobody"));
    assert_eq!(list(&me, &nobody).await, Vec::<Value>::new());
    assert_eq!(count(nobody).await.expect(200).json(), json!({ "packages": 0 }));
}
