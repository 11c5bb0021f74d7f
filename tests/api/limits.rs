//! The limits of a namespace, as the caller reads them.

use reqwest::Method;
use serde_json::Value;
use tests::whisk::Whisk;

async fn limits() -> (Whisk, Value) {
    let whisk = Whisk::throttled().await;
    let limits = whisk.namespace().await.get("limits").await.expect(200).json();
    (whisk, limits)
}

#[tokio::test]
async fn case_041_throttles_are_the_systems() {
    let (whisk, limits) = limits().await;
    let system = whisk.anonymous().get("/").await.expect(200).json()["limits"].clone();
    assert_eq!(limits["invocationsPerMinute"], system["actions_per_minute"]);
    assert_eq!(limits["concurrentInvocations"], system["concurrent_actions"]);
    assert_eq!(limits["firesPerMinute"], system["triggers_per_minute"]);
}

#[tokio::test]
async fn case_042_action_limits_are_the_systems() {
    let (_, limits) = limits().await;
    let expected = [
        ("maxActionMemory", 512),
        ("minActionMemory", 128),
        ("maxActionLogs", 10),
        ("minActionLogs", 0),
        ("maxActionTimeout", 300_000),
        ("minActionTimeout", 100),
        ("maxActionConcurrency", 1),
        ("minActionConcurrency", 1),
    ];
    for (key, value) in expected {
        assert_eq!(limits[key], value, "{key} in {limits}");
    }
}

#[tokio::test]
async fn case_043_sizes_are_text_and_instances_follow_concurrency() {
    let (_, limits) = limits().await;
    assert_eq!(limits["maxParameterSize"], "1048576 B");
    assert_eq!(limits["maxActionInstances"], limits["concurrentInvocations"]);
}

#[tokio::test]
async fn case_044_what_is_not_set_is_not_shown() {
    let (_, limits) = limits().await;
    for key in ["allowedKinds", "storeActivations"] {
        assert!(limits.get(key).is_none(), "{key} in {limits}");
    }
}

#[tokio::test]
async fn case_046_a_trailing_slash_is_fine() {
    let me = Whisk::shared().await.namespace().await;
    me.get("limits/").await.expect(200);
}

#[tokio::test]
async fn case_047_limits_are_read_only() {
    let me = Whisk::shared().await.namespace().await;
    for method in [Method::PUT, Method::POST, Method::DELETE] {
        me.request(method, "limits").await.expect_any(&[404, 405]);
    }
}

#[tokio::test]
async fn case_048_limits_have_no_parts() {
    let me = Whisk::shared().await.namespace().await;
    let answer = me.get("limits/x").await.expect(400);
    answer.error("Inner entity level routes for limits are not yet implemented.");
}

#[tokio::test]
async fn case_049_limits_of_others_are_theirs() {
    let whisk = Whisk::shared().await;
    let Some(other) = whisk.other(49).await else { return };
    let me = whisk.namespace().await;
    let answer = me.get(format!("/api/v1/namespaces/{}/limits", other.name)).await.expect(403);
    let name = &other.name;
    answer.error(&format!("The supplied authentication is not authorized to access '{name}'."));
}
