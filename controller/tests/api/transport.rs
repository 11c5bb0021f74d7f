//! Ids, envelopes, CORS, signing in, meta routes, namespaces and limits: REST cases 1-60.

use common::config::Config;
use common::entity::limits::UserLimits;

use crate::harness::{Whisk, basic, key};

#[tokio::test(flavor = "multi_thread")]
async fn meta_routes_answer_without_credentials() {
    let whisk = Whisk::start().await;
    let open = async |path| whisk.raw("GET", path, "", "").await;
    assert_eq!(open("/ping").await.body, "pong");
    let info = open("/").await.ok();
    assert_eq!(info["api_paths"], serde_json::json!(["/api/v1"]));
    assert_eq!(info["limits"]["max_action_memory"], 536_870_912);
    assert_eq!(info["limits"]["sequence_length"], 50);
    assert_eq!(info["runtimes"]["python"][0]["image"], "openwhisk/p:nightly");
    assert_eq!(info["runtimes"]["python"][0]["default"], true);
    for path in ["/api/v1", "/api/v1/"] {
        let api = open(path).await;
        assert_eq!(api.header("access-control-allow-methods"), Some("GET, DELETE, POST, PUT, HEAD"));
        assert_eq!(api.ok()["swagger_paths"]["api-docs"], "/api-docs");
        assert_eq!(api.json()["build"], "2026-01-31");
    }
    assert_eq!(open("/invokers").await.ok(), serde_json::json!({}));
    assert_eq!(open("/invokers/ready").await.body, r#"{"unhealthy":"0/0"}"#);
    whisk.play(|_| crate::harness::Played::Never).await;
    while open("/invokers/healthy/count").await.body != "1" {}
    assert_eq!(open("/invokers").await.ok(), serde_json::json!({"invoker0": "up"}));
    assert_eq!(open("/invokers/ready").await.ok(), serde_json::json!({"healthy": "1/1"}));
    assert_eq!(open("/activation").await.ok(), serde_json::json!([]));
    assert_eq!(open("/activation/count").await.ok(), 0);
    let metrics = open("/metrics").await;
    assert!(metrics.body.contains("counter_http_get_counter_total{statusCode=\"200\"}"), "{metrics:?}");
    whisk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_may_close_a_controller_if_there_is_one() {
    let whisk = Whisk::start().await;
    assert_eq!(whisk.raw("GET", "/ready", "", "").await.ok(), serde_json::json!({ "ready": true }));
    assert_eq!(whisk.raw("GET", "/metrics/targets", "", "").await.ok(), serde_json::json!([]));
    assert_eq!(whisk.raw("GET", "/disable", "", "").await.status, 405);
    // Without a password nobody is the operator, whatever is given.
    for header in ["", "Authorization: Basic Og==\r\n"] {
        assert_eq!(whisk.raw("POST", "/disable", header, "").await.status, 401);
    }
    whisk.stop().await;

    let mut config = Config::default();
    config.controller.username = "operator".into();
    config.controller.password = common::operator::Password("s3cret".into());
    let whisk = Whisk::with(config, UserLimits::default()).await;
    let wrong = "Authorization: Basic b3BlcmF0b3I6d3Jvbmc=\r\n"; // operator:wrong
    assert_eq!(whisk.raw("POST", "/disable", wrong, "").await.status, 401);
    assert_eq!(whisk.raw("GET", "/ready", "", "").await.status, 200);
    let right = "Authorization: Basic b3BlcmF0b3I6czNjcmV0\r\n"; // operator:s3cret
    assert_eq!(whisk.raw("POST", "/disable", right, "").await.body, "controller is disabled");
    let answer = whisk.raw("GET", "/ready", "", "").await;
    assert_eq!((answer.status, &answer.json()["ready"]), (503, &serde_json::json!(false)));
    assert_eq!(whisk.call("POST", "~actions/hello", "{}").await.status, 503);
    whisk.get("~actions").await.ok();
    whisk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_response_has_an_id_and_every_error_an_envelope() {
    let whisk = Whisk::start().await;
    let ping = async |header: &str| {
        let answer = whisk.raw("GET", "/ping", header, "").await;
        answer.header("x-request-id").unwrap().to_owned()
    };
    assert_eq!(ping("X-Request-ID: abc\r\n").await, "abc");
    for header in ["", "X-Request-ID: sid_x\r\n"] {
        let id = ping(header).await;
        assert!(id.len() == 32 && id.bytes().all(|b| b.is_ascii_alphanumeric()), "{id}");
    }
    let missing = whisk.get("~actions/missing").await;
    assert_eq!(missing.refused(404), "The requested resource does not exist.");
    assert_eq!(missing.header("content-type"), Some("application/json"));
    assert_eq!(
        whisk.raw("GET", "/nothing", "", "").await.refused(404),
        "The requested resource could not be found."
    );
    let post = whisk.raw("POST", "/ping", "", "").await;
    assert_eq!(post.refused(405), "HTTP method not allowed, supported methods: GET, OPTIONS");
    assert_eq!(whisk.raw("GET", "/api/v1/nothing", "", "").await.status, 401);
    assert_eq!(whisk.get("/api/v1/nothing").await.status, 404);
    assert_eq!(whisk.call("POST", "~actions", "{}").await.header("allow"), Some("GET"));
    let long = format!("~actions?x={}", "y".repeat(9000));
    assert_eq!(whisk.get(&long).await.status, 414);
    let options = whisk.raw("OPTIONS", "/api/v1/no/such/path", "", "").await;
    assert_eq!((options.status, options.body.as_str()), (200, "OK"));
    assert_eq!(options.header("access-control-allow-origin"), Some("*"));
    let html = format!("Authorization: {}\r\nAccept: text/html\r\n", basic(&whisk.key));
    let html = whisk.raw("GET", "/api/v1/namespaces/_/actions", &html, "").await;
    assert!(html.refused(406).starts_with("Resource representation is only available with these types:\n"));
    whisk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_select_one_namespace() {
    let whisk = Whisk::start().await;
    let (one, two, out) = (key("one"), key("two"), key("out"));
    whisk.sign_up("carol", false, &[("carol1", &one), ("carol2", &two)]).await;
    whisk.sign_up("mallory", true, &[("mallory", &out)]).await;
    let none = whisk.raw("GET", "/api/v1/namespaces", "", "").await;
    assert!(none.header("www-authenticate").unwrap().starts_with("Basic realm=\"OpenWhisk secure realm\""));
    assert!(none.refused(401).starts_with("The resource requires authentication"));
    let wrong = common::entity::identity::AuthKey { uuid: "one".into(), key: "y".repeat(64) };
    for bad in [&out, &wrong, &key("nobody")] {
        let answer = whisk.call_as(bad, "GET", "/api/v1/namespaces", "").await;
        assert_eq!(answer.refused(401), "The supplied authentication is invalid");
    }
    for path in ["/api/v1/namespaces", "/api/v1/namespaces/"] {
        assert_eq!(whisk.call_as(&one, "GET", path, "").await.ok(), serde_json::json!(["carol1"]));
        assert_eq!(whisk.call_as(&two, "GET", path, "").await.ok(), serde_json::json!(["carol2"]));
    }
    let foreign = "The supplied authentication is not authorized to access 'carol2'.";
    for collection in ["actions", "activations", "limits"] {
        let path = format!("/api/v1/namespaces/carol2/{collection}");
        assert_eq!(whisk.call_as(&one, "GET", &path, "").await.refused(403), foreign);
    }
    for method in ["GET", "PUT", "POST", "DELETE"] {
        assert_eq!(whisk.call(method, "/api/v1/namespaces/guest", "").await.status, 404);
    }
    whisk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_the_systems_and_the_namespaces() {
    let own = UserLimits { invocations_per_minute: Some(7), ..UserLimits::default() };
    let whisk = Whisk::with(Config::default(), own).await;
    for path in ["~limits", "~limits/"] {
        let limits = whisk.get(path).await.ok();
        assert_eq!(
            (limits["invocationsPerMinute"].as_u64(), limits["firesPerMinute"].as_u64()),
            (Some(7), Some(60))
        );
    }
    let inner = "Inner entity level routes for limits are not yet implemented.";
    assert_eq!(whisk.get("~limits/x").await.refused(400), inner);
    assert_eq!(whisk.call("PUT", "~limits", "{}").await.status, 405);
    whisk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_decoded_and_judged() {
    let whisk = Whisk::start().await;
    for name in ["a%20b", "a@b.c%26d", "_a", "0.0.0", "TWICE", "twice"] {
        whisk.put_action(name).await;
    }
    assert_eq!(whisk.get("~actions/a%20b").await.ok()["name"], "a b");
    assert_eq!(whisk.get("~actions?count=true").await.ok(), serde_json::json!({"actions": 6}));
    for name in ["%24hola", "dora%3F", "%20", "-abc", "x%23x", "a%2Fb", "a%20"] {
        let told = whisk.call("PUT", &format!("~actions/{name}"), "{}").await.refused(400);
        assert_eq!(told, "The name of the entity contains illegal characters.", "{name}");
    }
    let long = "a".repeat(257);
    let told = whisk.get(&format!("/api/v1/namespaces/{long}/actions")).await.refused(400);
    assert_eq!(told, "Namespace longer than allowed: 257 > 256.");
    assert_eq!(whisk.call("PUT", "~actions/", "{}").await.status, 404);
    assert_eq!(whisk.get("~actions/a/b/c").await.status, 404);
    whisk.stop().await;
}
