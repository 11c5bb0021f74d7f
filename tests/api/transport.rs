//! Transport, meta and admin endpoints, transaction ids, CORS, content types.

use reqwest::Method;
use serde_json::{Value, json};
use tests::answer::Answer;
use tests::fixtures;
use tests::place::unique;
use tests::whisk::Whisk;

const ALLOWED_HEADERS: &str = "Authorization, Origin, X-Requested-With, Content-Type, Accept, User-Agent";

/// The words of a comma-separated header, in any order.
fn words(text: Option<&str>) -> Vec<String> {
    let mut words: Vec<String> =
        text.unwrap_or_default().split(',').map(|word| word.trim().to_ascii_lowercase()).collect();
    words.sort_unstable();
    words
}

#[track_caller]
fn expect_rest_cors(answer: &Answer) {
    assert_eq!(answer.header("access-control-allow-origin"), Some("*"), "{}", answer.story());
    assert_eq!(words(answer.header("access-control-allow-headers")), words(Some(ALLOWED_HEADERS)));
    let methods = words(answer.header("access-control-allow-methods"));
    assert_eq!(methods, words(Some("GET, DELETE, POST, PUT, HEAD")));
}

#[tokio::test]
async fn case_001_ping_answers_pong_to_anyone() {
    let whisk = Whisk::shared().await;
    let answer = whisk.anonymous().get("/ping").await.expect(200);
    assert_eq!(answer.text(), "pong");
}

#[tokio::test]
async fn case_002_the_root_describes_the_controller() {
    let whisk = Whisk::shared().await;
    let info = whisk.anonymous().get("/").await.expect(200).json();
    assert_eq!(info["api_paths"], json!(["/api/v1"]));
    for key in ["description", "support", "limits", "runtimes"] {
        assert!(!info[key].is_null(), "{key} is missing in {info}");
    }
}

#[tokio::test]
async fn cases_003_458_the_root_lists_the_configured_limits() {
    let whisk = Whisk::throttled().await;
    let limits = whisk.anonymous().get("/").await.expect(200).json()["limits"].clone();
    let keys = ["actions_per_minute", "triggers_per_minute", "concurrent_actions", "sequence_length"];
    for (key, default) in keys.into_iter().zip([60, 60, 30, 50]) {
        assert!(limits[key].is_u64(), "{key} is a number in {limits}");
        if whisk.is_ours() {
            assert_eq!(limits[key], default, "{key}");
        }
    }
}

#[tokio::test]
async fn case_458_the_well_known_guest_signs_in_to_the_embedded_form_alone() {
    let Some((_, _)) = Whisk::shared().await.fresh(458).await else { return };
    // Only where nobody but this machine reaches the platform; elsewhere the key must be refused.
    if let Some(guest) = Whisk::shared().await.guest().await {
        assert_eq!(guest.name, "guest");
    }
}

#[tokio::test]
async fn case_004_the_root_lists_the_system_limits() {
    let whisk = Whisk::shared().await;
    let limits = whisk.anonymous().get("/").await.expect(200).json()["limits"].clone();
    assert_eq!(limits["max_action_duration"], 300_000);
    assert_eq!(limits["min_action_duration"], 100);
    assert_eq!(limits["max_action_memory"], 536_870_912);
    assert_eq!(limits["max_action_logs"], 10_485_760);
}

#[tokio::test]
async fn case_006_the_api_describes_itself() {
    let whisk = Whisk::shared().await;
    for path in ["/api/v1", "/api/v1/"] {
        let info = whisk.anonymous().get(path).await.expect(200).json();
        assert_eq!(info["api_version"], "1.0.0");
        assert_eq!(info["api_version_path"], "v1");
        assert_eq!(info["swagger_paths"]["ui"], "/docs");
        assert_eq!(info["swagger_paths"]["api-docs"], "/api-docs");
    }
}

#[tokio::test]
async fn cases_011_012_invokers_are_listed_and_the_healthy_ones_counted() {
    let whisk = Whisk::shared().await;
    let client = whisk.anonymous();
    let invokers = client.get("/invokers").await.expect(200).json();
    let states: Vec<&Value> = invokers.as_object().expect("an object").values().collect();
    for state in &states {
        let known = ["up", "unhealthy", "unresponsive", "down"];
        assert!(known.iter().any(|name| *state == name), "{state} is no state of an invoker");
    }
    let healthy = client.get("/invokers/healthy/count").await.expect(200).json();
    assert_eq!(healthy, json!(states.iter().filter(|state| **state == "up").count()));
}

#[tokio::test]
async fn case_017_a_transaction_id_comes_back() {
    let whisk = Whisk::shared().await;
    let me = whisk.namespace().await;
    for call in [
        me.get("/ping"),
        me.get("actions"),
        me.get("actions/missing"),
        me.get("actions").anonymous(),
        me.request(Method::OPTIONS, "actions"),
        me.get("/api/v1/no/such/path"),
    ] {
        let answer = call.header("X-Request-ID", "abc").await;
        assert_eq!(answer.header("x-request-id"), Some("abc"), "{}", answer.story());
    }
}

#[tokio::test]
async fn case_018_a_missing_transaction_id_is_made_up() {
    let whisk = Whisk::shared().await;
    for path in ["/ping", "/", "/api/v1/namespaces/_/actions"] {
        let answer = whisk.anonymous().get(path).await;
        let id = answer.header("x-request-id").expect("every response has a transaction id");
        assert!(id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
    }
}

#[tokio::test]
async fn case_019_a_system_transaction_id_is_not_taken() {
    let whisk = Whisk::shared().await;
    let answer = whisk.anonymous().get("/ping").header("X-Request-ID", "sid_x").await.expect(200);
    let id = answer.header("x-request-id").expect("every response has a transaction id");
    assert_ne!(id, "sid_x");
}

#[tokio::test]
async fn case_020_an_error_carries_its_transaction_id() {
    let whisk = Whisk::shared().await;
    let me = whisk.namespace().await;
    let call = me.get(format!("actions/{}", unique("missing"))).header("X-Request-ID", "abc");
    let answer = call.await.expect(404).error("The requested resource does not exist.");
    assert_eq!(answer.json()["code"], "abc");
}

#[tokio::test]
async fn case_022_options_is_answered_everywhere_under_the_api() {
    let whisk = Whisk::shared().await;
    let answer = whisk.anonymous().request(Method::OPTIONS, "/api/v1/no/such/path").await.expect(200);
    expect_rest_cors(&answer);
}

#[tokio::test]
async fn cases_023_024_answers_carry_the_cors_headers() {
    let whisk = Whisk::shared().await;
    let me = whisk.namespace().await;
    expect_rest_cors(&me.get("actions").await.expect(200));
    expect_rest_cors(&whisk.anonymous().get("/api/v1").await.expect(200));
}

#[tokio::test]
async fn cases_034_035_a_body_must_be_json() {
    let whisk = Whisk::shared().await;
    let me = whisk.namespace().await;
    let path = format!("actions/{}", unique("a"));
    let body = fixtures::js(fixtures::ECHO).to_string();
    for text in [body, String::new()] {
        let answer = me.request(Method::PUT, &path).body("text/plain", text).await.expect(415);
        answer.error_contains("is not supported. Expected:\napplication/json");
    }
    me.get(&path).await.expect(404);
}

#[tokio::test]
async fn case_036_json_must_be_acceptable() {
    let whisk = Whisk::shared().await;
    let me = whisk.namespace().await;
    me.get("actions").header("Accept", "text/html").await.expect(406);
    for accepted in ["application/json", "*/*", "text/html, application/*;q=0.5"] {
        me.get("actions").header("Accept", accepted).await.expect(200);
    }
}
