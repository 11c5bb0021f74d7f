//! Invoking: REST cases 150-192, as far as they are the controller's.

use std::time::Duration;

use common::config::Config;
use common::entity::activation::{Response, Status};
use common::entity::limits::{ByteSize, UserLimits};
use serde_json::json;

use crate::harness::{Played, Whisk, basic, echo};

#[tokio::test(flavor = "multi_thread")]
async fn answers_follow_from_the_end() {
    let whisk = Whisk::unthrottled().await;
    whisk
        .play(|order| {
            let content = order.content.as_ref().unwrap().get();
            match content {
                "{\"as\":\"error\"}" => Played::ends(Status::ApplicationError, r#"{"error":"x"}"#),
                "{\"as\":\"whisk\"}" => Played::ends(Status::WhiskError, r#"{"error":"y"}"#),
                "{\"as\":\"array\"}" => Played::ends(Status::Success, r#"["a", 1.0]"#),
                _ => echo(order),
            }
        })
        .await;
    whisk.put_action("a").await;
    let invoke =
        async |query: &str, body: &str| whisk.call("POST", &format!("~actions/a{query}"), body).await;
    let accepted = invoke("?result=true", "").await;
    assert_eq!(accepted.status, 202);
    assert_eq!(accepted.json()["activationId"].as_str(), accepted.header("x-openwhisk-activation-id"));
    let record = invoke("?blocking=true", r#"{"n": 1.0, "x":"&<ä>"}"#).await;
    assert_eq!(record.header("x-openwhisk-activation-id"), record.ok()["activationId"].as_str());
    assert!(record.body.contains(r#""result":{"n": 1.0, "x":"&<ä>"}"#), "{record:?}");
    let response = &record.json()["response"];
    assert_eq!((response["success"].as_bool(), response["status"].as_str()), (Some(true), Some("success")));
    assert!(response.get("statusCode").is_none() && record.json()["logs"] == json!([]));
    assert_eq!(invoke("?blocking=1&result=yes", r#"{"b":2}"#).await.body, r#"{"b":2}"#);
    for (body, status, result) in [
        (r#"{"as":"error"}"#, 502, r#"{"error":"x"}"#),
        (r#"{"as":"whisk"}"#, 500, r#"{"error":"y"}"#),
        (r#"{"as":"array"}"#, 200, r#"["a", 1.0]"#),
    ] {
        let answer = invoke("?blocking=true&result=true", body).await;
        assert_eq!((answer.status, answer.body.as_str()), (status, result));
    }
    assert_eq!(invoke("?blocking=true", r#"{"as":"array"}"#).await.body, r#"["a", 1.0]"#);
    let error = invoke("?blocking=true", r#"{"as":"error"}"#).await;
    assert_eq!((error.status, error.json()["response"]["status"].as_str()), (502, Some("application error")));
    whisk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_an_invocation_is_told() {
    let own = UserLimits { max_payload_size: Some(ByteSize::from_bytes(100)), ..UserLimits::default() };
    let mut config = Config::default();
    config.limits.unthrottled = true;
    let whisk = Whisk::with(config, own).await;
    whisk.put_action("a").await;
    for body in ["[1,2]", "\"x\"", "1"] {
        let told = whisk.call("POST", "~actions/a", body).await.refused(400);
        assert_eq!(told, "The request content was malformed:\nJSON object expected");
    }
    for query in ["timeout=0", "timeout=60001", "timeout=xyz&blocking=true", "timeout=-1"] {
        let told = whisk.call("POST", &format!("~actions/a?{query}"), "").await.refused(400);
        let timeout = "The query parameter 'timeout' was malformed:\nTimeout must be number of milliseconds up to 60000.";
        assert_eq!(told, timeout);
    }
    assert_eq!(whisk.call("POST", "~actions/a?blocking=x", "").await.status, 400);
    let signed = format!("Authorization: {}\r\nContent-Type: text/plain\r\n", basic(&whisk.key));
    for body in ["", "x"] {
        assert_eq!(whisk.raw("POST", "/api/v1/namespaces/_/actions/a", &signed, body).await.status, 415);
    }
    let large = format!(r#"{{"x":"{}"}}"#, "y".repeat(200));
    for action in ["a", "missing"] {
        let told = whisk.call("POST", &format!("~actions/{action}"), &large).await.refused(413);
        assert_eq!(told, "Request larger than allowed: 208 > 100 bytes.");
    }
    // One that nobody has read when it is refused, from a client that listens only when it has sent all.
    let huge = format!(r#"{{"x":"{}"}}"#, "y".repeat(8 * 1024 * 1024));
    let told = whisk.call("POST", "~actions/a", &huge).await.refused(413);
    assert_eq!(told, "Request larger than allowed: 8388616 > 100 bytes.");
    assert_eq!(whisk.call("POST", "~actions/missing", "{}").await.status, 404);
    // Nobody runs it: first there is no invoker, and that takes a moment to be sure of.
    let told = whisk.call("POST", "~actions/a", "{}").await.refused(503);
    assert!(told.starts_with("The server is currently unavailable"), "{told}");
    whisk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_invoker_gets_merged_parameters_and_no_key() {
    let whisk = Whisk::unthrottled().await;
    whisk.play(|order| {
        let key = if order.user.authkey.key.is_empty() { "" } else { "key" };
        let result = json!({
            "content": order.content, "init": order.init_args, "action": order.action.to_string(), "key": key,
            "transid": &*order.transid.id, "extra": order.transid.extra_logging,
        });
        Played::ends(Status::Success, &result.to_string())
    })
    .await;
    let put = r#"{"exec":{"kind":"nodejs:20","code":"x"},"parameters":[{"key":"a","value":1},{"key":"e","value":null},
        {"key":"i","value":0,"init":true}],"annotations":[{"key":"final","value":true}]}"#;
    whisk.call("PUT", "~actions/a", put).await.ok();
    let path = "/api/v1/namespaces/_/actions/a?blocking=true&result=true";
    let headers = format!(
        "Authorization: {}\r\nContent-Type: application/json\r\nX-Request-ID: abc\r\nX-OW-EXTRA-LOGGING: On\r\n",
        basic(&whisk.key)
    );
    let seen = whisk.raw("POST", path, &headers, r#"{"z":1,"e":2}"#).await.ok();
    let content = json!({"a": 1, "i": 0, "z": 1, "e": 2});
    let expected = json!({
        "content": content, "init": ["i"], "action": "guest/a@0.0.1", "key": "", "transid": "abc", "extra": true,
    });
    assert_eq!(seen, expected);
    let told = whisk.call("POST", "~actions/a", r#"{"a":2}"#).await.refused(400);
    assert_eq!(told, "Request defines parameters that are not allowed (e.g., reserved properties).");
    let change = r#"{"annotations":[{"key":"provide-api-key","value":true},{"key":"final","value":false}]}"#;
    whisk.call("PUT", "~actions/a?overwrite=true", change).await.ok();
    let seen = whisk.call("POST", path, r#"{"a":2}"#).await.ok();
    assert_eq!((seen["key"].as_str(), seen["action"].as_str()), (Some("key"), Some("guest/a@0.0.2")));
    assert_eq!(seen["content"]["a"], 2);
    whisk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn throttles_are_charged_before_anything_is_looked_up() {
    let own = UserLimits {
        invocations_per_minute: Some(1_000_000),
        concurrent_invocations: Some(1),
        ..UserLimits::default()
    };
    let whisk = Whisk::with(Config::default(), own).await;
    whisk.play(|_| Played::Never).await;
    whisk.put_action("a").await;
    assert_eq!(whisk.call("POST", "~actions/a?blocking=true&timeout=10", "{}").await.status, 202);
    let in_flight = whisk.raw("GET", "/activation", "", "").await.ok();
    assert_eq!(in_flight[0][1], "guest/a@0.0.1");
    let told = whisk.call("POST", "~actions/missing", "{}").await.refused(429);
    assert_eq!(told, "Too many concurrent requests in flight (count: 1, allowed: 1).");
    let limits = UserLimits { invocations_per_minute: Some(0), ..UserLimits::default() };
    whisk.stores.subjects.put_limits("guest", &limits).await.unwrap();
    let told = loop {
        // The change of limits is noticed in a moment.
        let told = whisk.call("POST", "~actions/missing", "{}").await.refused(429);
        if told.starts_with("Too many requests") {
            break told;
        }
    };
    assert!(
        told.starts_with("Too many requests in the last minute (count: ") && told.ends_with(", allowed: 0).")
    );
    whisk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn cases_454_455_a_result_too_large_for_a_message_is_read_from_the_store() {
    let whisk = Whisk::unthrottled().await;
    whisk
        .play(|_| {
            let result = Some(serde_json::from_str(r#"{"large":1}"#).unwrap());
            Played::EndsInStore(Response { status: Status::Success, result, size: Some(11) })
        })
        .await;
    whisk.put_action("a").await;
    let answer = whisk.call("POST", "~actions/a?blocking=true&result=true", "{}").await;
    assert_eq!((answer.status, answer.body.as_str()), (200, r#"{"large":1}"#));
    whisk.stop().await;
    let mut config = Config::default();
    config.controller.activation.polling_from_db = false;
    let whisk = Whisk::with(config, UserLimits::default()).await;
    whisk.play(|_| Played::EndsInStore(Response::error(Status::Success, "x"))).await;
    whisk.put_action("a").await;
    assert_eq!(whisk.call("POST", "~actions/a?blocking=true", "{}").await.status, 202);
    whisk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_draining_controller_finishes_and_takes_nothing_new() {
    let whisk = Whisk::unthrottled().await;
    whisk.play(|_| Played::Never).await;
    whisk.put_action("a").await;
    let waiting = whisk.call("POST", "~actions/a?blocking=true&timeout=300", "{}");
    let draining = async {
        while whisk.raw("GET", "/activation/count", "", "").await.body != "1" {}
        assert!(!whisk.controller.drain(Duration::from_millis(1)).await);
        assert_eq!(whisk.call("POST", "~actions/a", "{}").await.status, 503);
        assert_eq!(whisk.get("~actions/a").await.status, 200);
        whisk.controller.drain(Duration::from_secs(5)).await
    };
    let (waited, drained) = tokio::join!(waiting, draining);
    assert_eq!((waited.status, drained), (202, true));
    whisk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_callers_wait_at_once() {
    let whisk = Whisk::unthrottled().await;
    whisk.play(echo).await;
    whisk.put_action("a").await;
    let bodies: Vec<String> = (0..200).map(|n| format!(r#"{{"n":{n}}}"#)).collect();
    let calls = bodies.iter().map(|body| whisk.call("POST", "~actions/a?blocking=true&result=true", body));
    for (answer, body) in futures::future::join_all(calls).await.iter().zip(&bodies) {
        assert_eq!(&answer.body, body);
    }
    assert_eq!(whisk.raw("GET", "/activation/count", "", "").await.body, "0");
    whisk.stop().await;
}
