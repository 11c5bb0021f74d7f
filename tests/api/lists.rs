//! Lists and paging, for actions and activations.

use reqwest::Method;
use serde_json::{Value, json};
use tests::fixtures::{self, ECHO};
use tests::namespace::Namespace;
use tests::place::unique;
use tests::whisk::Whisk;

const COLLECTIONS: [&str; 4] = ["actions", "activations", "rules", "triggers"];
/// More than a page.
const MANY: usize = 31;

async fn refused(query: &str, text: &str) {
    let me = Whisk::shared().await.namespace().await;
    for collection in COLLECTIONS {
        let answer = me.get(format!("{collection}?{query}")).await.expect(400);
        answer.error_contains(&format!("{text} for {collection}."));
    }
}

/// Creates as many actions as do not fit on a page.
async fn fill(me: &Namespace) {
    for _ in 0..MANY {
        me.create("one", &fixtures::js(ECHO)).await;
    }
}

async fn length(me: &Namespace, path: &str) -> usize {
    me.get(path).await.expect(200).json().as_array().map_or(0, Vec::len)
}

#[tokio::test]
async fn cases_062_073_a_limit_above_200() {
    refused("limit=201", "The value '201' is not in the range of 0 to 200").await;
}

#[tokio::test]
async fn case_063_a_limit_below_0() {
    refused("limit=-1", "The value '-1' is not in the range of 0 to 200").await;
}

#[tokio::test]
async fn case_064_a_limit_that_is_no_number() {
    refused("limit=xyz", "The value 'xyz' is not an integer").await;
}

#[tokio::test]
async fn case_065_a_skip_below_0() {
    refused("skip=-1", "The value '-1' is not greater than or equal to 0").await;
}

#[tokio::test]
async fn case_066_a_skip_that_is_no_number() {
    refused("skip=xyz", "The value 'xyz' is not an integer").await;
}

#[tokio::test]
async fn cases_067_068_070_071_pages_and_counts_of_actions() {
    let Some((me, _)) = Whisk::shared().await.fresh(67).await else { return };
    assert_eq!(me.get("actions").await.expect(200).json(), json!([]));
    fill(&me).await;
    pages_and_counts(&me, "actions").await;

    let names: Vec<Value> = list_names(&me, "actions?limit=0").await;
    assert_eq!(list_names(&me, "actions?skip=3&limit=4").await, names[3..7]);
}

#[tokio::test]
async fn cases_067_068_070_071_pages_and_counts_of_activations() {
    let Some((me, _)) = Whisk::shared().await.fresh(67).await else { return };
    assert_eq!(me.get("activations").await.expect(200).json(), json!([]));
    let echo = me.put_js("echo", ECHO).await;
    for _ in 0..MANY {
        me.invoke(&echo, &json!({})).await.expect(200);
    }
    me.wait_for_activation_count(MANY as u64).await;
    pages_and_counts(&me, "activations").await;
}

#[tokio::test]
async fn cases_067_068_070_071_pages_and_counts_of_triggers_and_rules() {
    let Some((me, _)) = Whisk::shared().await.fresh(67).await else { return };
    for collection in ["triggers", "rules"] {
        assert_eq!(me.get(collection).await.expect(200).json(), json!([]));
    }
    let echo = me.put_js("echo", ECHO).await;
    for _ in 0..MANY {
        let trigger = me.put_trigger(&json!({})).await;
        me.put_rule(&trigger, &echo).await;
    }
    for collection in ["triggers", "rules"] {
        pages_and_counts(&me, collection).await;
        let names = list_names(&me, &format!("{collection}?limit=0")).await;
        assert_eq!(list_names(&me, &format!("{collection}?skip=3&limit=4")).await, names[3..7]);
        let plain = me.get(collection).await.expect(200).json();
        assert_eq!(me.get(format!("{collection}?docs=true")).await.expect(200).json(), plain);
    }
}

/// What the four cases say of a collection with 31 members.
async fn pages_and_counts(me: &Namespace, collection: &str) {
    assert_eq!(length(me, &format!("{collection}?limit=0")).await, MANY, "limit=0 means 200");
    assert_eq!(length(me, collection).await, 30, "a page has 30");
    for (query, count) in [("", MANY), ("&skip=1", MANY - 1), ("&skip=100", 0), ("&limit=2", MANY)] {
        let answer = me.get(format!("{collection}?count=true{query}")).await.expect(200);
        assert_eq!(answer.json(), json!({ collection: count }), "{}", answer.story());
    }
}

async fn list_names(me: &Namespace, path: &str) -> Vec<Value> {
    let list = me.get(path).await.expect(200).json();
    list.as_array().into_iter().flatten().map(|item| item["name"].clone()).collect()
}

#[tokio::test]
async fn actions_come_newest_update_first() {
    let Some((me, _)) = Whisk::shared().await.fresh(68).await else { return };
    let mut names = Vec::new();
    for stem in ["a", "b", "c"] {
        names.insert(0, json!(me.put_js(stem, ECHO).await));
        // The order is by milliseconds: two writes in the same one have none.
        tokio::time::sleep(std::time::Duration::from_millis(2)).await;
    }
    assert_eq!(list_names(&me, "actions").await, names);
    let last = names[2].as_str().expect("names are text").to_owned();
    me.update(&last, &json!({ "publish": true })).await;
    assert_eq!(list_names(&me, "actions").await[0], json!(last));
}

#[tokio::test]
async fn case_072_docs_is_not_for_actions() {
    let Some((me, _)) = Whisk::shared().await.fresh(72).await else { return };
    me.put_js("a", ECHO).await;
    let plain = me.get("actions").await.expect(200).json();
    assert_eq!(me.get("actions?docs=true").await.expect(200).json(), plain);
}

#[tokio::test]
async fn case_074_a_collection_is_only_read() {
    let me = Whisk::shared().await.namespace().await;
    for collection in COLLECTIONS {
        for method in [Method::POST, Method::PUT, Method::DELETE] {
            me.request(method, collection).json(&json!({})).await.expect_any(&[404, 405]);
        }
    }
}

#[tokio::test]
async fn cases_075_076_lists_of_others_are_theirs() {
    let whisk = Whisk::shared().await;
    let Some(other) = whisk.other(75).await else { return };
    let me = whisk.namespace().await;
    for name in [other.name.clone(), unique("nobody")] {
        for collection in COLLECTIONS {
            let answer = me.get(format!("/api/v1/namespaces/{name}/{collection}")).await.expect(403);
            answer.error(&format!("The supplied authentication is not authorized to access '{name}'."));
        }
    }
}
