//! Lists of activations: items, filters, order.

use serde_json::{Value, json};
use tests::fixtures::ECHO;
use tests::namespace::Namespace;
use tests::whisk::Whisk;

/// A namespace with `count` stored runs of one action; returns its name.
async fn with_runs(case: u16, count: u64) -> Option<(Namespace, String)> {
    let (me, _) = Whisk::shared().await.fresh(case).await?;
    let echo = me.put_js("echo", ECHO).await;
    for number in 0..count {
        me.invoke(&echo, &json!({ "number": number })).await.expect(200);
    }
    me.wait_for_activation_count(count).await;
    Some((me, echo))
}

async fn list(me: &Namespace, query: &str) -> Vec<Value> {
    let answer = me.get(format!("activations{query}")).await.expect(200);
    answer.json().as_array().cloned().unwrap_or_else(|| panic!("expected a list: {}", answer.story()))
}

#[tokio::test]
async fn case_310_items_are_summaries() {
    let Some((me, echo)) = with_runs(310, 1).await else { return };
    let items = list(&me, "").await;
    let mut keys: Vec<&str> =
        items[0].as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    keys.sort_unstable();
    let all = [
        "activationId",
        "annotations",
        "duration",
        "end",
        "name",
        "namespace",
        "publish",
        "start",
        "statusCode",
        "version",
    ];
    assert_eq!(keys, all, "{items:?}");
    assert_eq!(items[0]["statusCode"], 0);
    assert_eq!(items[0]["name"], json!(echo));
}

#[tokio::test]
async fn case_311_items_may_be_whole_records() {
    let Some((me, _)) = with_runs(311, 1).await else { return };
    let items = list(&me, "?docs=true").await;
    assert!(items[0]["response"]["result"].is_object() && items[0]["logs"].is_array(), "{items:?}");
    let id = items[0]["activationId"].as_str().unwrap_or_default();
    assert_eq!(me.get(format!("activations/{id}")).await.expect(200).json(), items[0]);
}

#[tokio::test]
async fn case_312_records_are_not_counted() {
    let me = Whisk::shared().await.namespace().await;
    let answer = me.get("activations?docs=true&count=true").await.expect(400);
    answer.error("The parameter 'docs' is not permitted with 'count'.");
}

#[tokio::test]
async fn case_313_a_count() {
    let Some((me, _)) = with_runs(313, 2).await else { return };
    let answer = me.get("activations?count=true").await.expect(200);
    assert_eq!(answer.json(), json!({ "activations": 2 }));
}

#[tokio::test]
async fn cases_314_316_since_and_upto() {
    let Some((me, _)) = with_runs(314, 4).await else { return };
    let items = list(&me, "").await;
    let starts: Vec<u64> = items.iter().filter_map(|item| item["start"].as_u64()).collect();
    let count = |from: u64, to: u64| starts.iter().filter(|start| (from..=to).contains(start)).count();
    let (newest, oldest) = (starts[0], starts[3]);
    for (query, expected) in [
        (format!("since={newest}"), count(newest, u64::MAX)),
        (format!("upto={oldest}"), count(0, oldest)),
        (format!("since={}&upto={}", starts[2], starts[1]), count(starts[2], starts[1])),
        (format!("since={oldest}&upto={newest}"), 4),
        (format!("since={}", newest + 1), 0),
        (format!("upto={}", oldest - 1), 0),
    ] {
        assert_eq!(list(&me, &format!("?{query}")).await.len(), expected, "{query}");
        let counted = me.get(format!("activations?count=true&{query}")).await.expect(200).json();
        assert_eq!(counted, json!({ "activations": expected }), "{query}");
    }
}

#[tokio::test]
async fn case_315_times_are_numbers() {
    let me = Whisk::shared().await.namespace().await;
    for parameter in ["since", "upto"] {
        let answer = me.get(format!("activations?{parameter}=xyz")).await.expect(400);
        answer.error_contains("Parameter is not a valid value for epoch seconds: xyz");
    }
}

#[tokio::test]
async fn case_320_a_filter_by_name() {
    let Some((me, echo)) = with_runs(320, 2).await else { return };
    let other = me.put_js("other", ECHO).await;
    me.record_of(&other, &json!({})).await;
    me.wait_for_activation_count(3).await;
    assert_eq!(list(&me, &format!("?name={echo}")).await.len(), 2);
    assert_eq!(list(&me, &format!("?name={other}")).await.len(), 1);
    assert_eq!(list(&me, &format!("?name=package/{other}")).await.len(), 0);
    assert_eq!(list(&me, "?name=").await.len(), 3);
    let counted = me.get(format!("activations?name={echo}&count=true")).await.expect(200).json();
    assert_eq!(counted, json!({ "activations": 2 }));
    for name in ["a/b/c", "$x"] {
        let text = format!("Parameter may be a 'simple' name or 'package-name/simple' name: {name}");
        me.get(format!("activations?name={name}")).await.expect(400).error_contains(&text);
    }
}

#[tokio::test]
async fn case_321_newest_first() {
    let Some((me, _)) = with_runs(321, 5).await else { return };
    let items = list(&me, "").await;
    let starts: Vec<u64> = items.iter().filter_map(|item| item["start"].as_u64()).collect();
    assert!(starts.is_sorted_by(|newer, older| newer >= older), "{starts:?}");
    assert_eq!(list(&me, "?skip=1&limit=3").await, items[1..4]);
    assert_eq!(list(&me, "?skip=4").await, items[4..]);
    assert_eq!(list(&me, "?skip=5").await, Vec::<Value>::new());
}

#[tokio::test]
async fn cases_318_319_330_packages_and_strangers() {
    let Some((me, _)) = with_runs(318, 0).await else { return };
    let Some(stranger) = Whisk::shared().await.other(330).await else { return };
    let package = me.put_package("p", &json!({ "publish": true })).await;
    let binding = me.put_package("b", &json!({ "binding": { "namespace": "_", "name": package } })).await;
    let action = me.put_js("a", ECHO).await;
    me.put_js_in(&package, &action, ECHO).await;
    for name in [action.clone(), format!("{package}/{action}"), format!("{binding}/{action}")] {
        me.invoke(&name, &json!({})).await.expect(200);
    }
    me.wait_for_activation_count(3).await;
    for name in [action.clone(), format!("{package}/{action}"), format!("{binding}/{action}")] {
        assert_eq!(list(&me, &format!("?name={name}")).await.len(), 1, "{name}");
    }

    let path = format!("/api/v1/namespaces/{}/actions/{package}/{action}?blocking=true", me.name);
    let id = stranger.post(path, &json!({})).await.expect(200).activation_id();
    let record = stranger.wait_for_activation(&id).await;
    assert_eq!((&record["namespace"], &record["subject"]), (&json!(stranger.name), &json!(stranger.name)));
    me.get(format!("activations/{id}")).await.expect(404);
}
