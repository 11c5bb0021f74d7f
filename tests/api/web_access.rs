//! Who may call a web action, from where, how often, and on whose behalf it runs.

use reqwest::Method;
use serde_json::{Value, json};
use tests::answer::Answer;
use tests::fixtures::{ECHO, LENGTH};
use tests::namespace::RECORDED;
use tests::wait;
use tests::whisk::Whisk;

use crate::web::{INVOKING, METHOD, export, export_with, refused};

const DENIED: &str = "Authentication is possible but has failed or not yet been provided.";
const SECRET: &str = "X-Require-Whisk-Auth";
const METHODS: &str = "OPTIONS, GET, DELETE, POST, PUT, HEAD, PATCH";
const HEADERS: &str = "Authorization, Origin, X-Requested-With, Content-Type, Accept, User-Agent";
/// An action that answers OPTIONS itself.
const OPTIONS: &str =
    "function main() { return { headers: { 'Access-Control-Allow-Methods': 'OPTIONS, GET, PATCH' } }; }";

#[track_caller]
fn expect_cors(answer: &Answer, headers: &str) {
    for (name, value) in [
        ("access-control-allow-origin", "*"),
        ("access-control-allow-methods", METHODS),
        ("access-control-allow-headers", headers),
    ] {
        let found: Vec<_> = answer.headers.get_all(name).iter().collect();
        assert_eq!(found, [value], "{name}: {}", answer.story());
    }
}

#[tokio::test]
async fn case_426_credentials_may_be_required() {
    let me = Whisk::shared().await.namespace().await;
    let path = export_with(&me, METHOD, &[("require-whisk-auth", json!(true))]).await;
    let answer = refused(me.get(&path).anonymous().await, 401, DENIED);
    expect_cors(&answer, HEADERS);
    refused(me.get(&path).authorization("Basic eDp5").await, 401, DENIED);
    me.get(&path).await.expect(204);
    let answer = me.request(Method::OPTIONS, &path).anonymous().await.expect(200);
    expect_cors(&answer, HEADERS);
}

#[tokio::test]
async fn cases_427_428_a_secret_may_be_required() {
    let me = Whisk::shared().await.namespace().await;
    for (required, secret) in [(json!("secret"), "secret"), (json!(123), "123")] {
        let path = export_with(&me, METHOD, &[("require-whisk-auth", required)]).await;
        for call in [me.get(&path), me.get(&path).anonymous(), me.get(&path).header(SECRET, "wrong")] {
            refused(call.await, 401, DENIED);
        }
        me.get(&path).header(SECRET, secret).await.expect(204);
        me.get(&path).header(SECRET, secret).anonymous().await.expect(204);
    }
    let open = export_with(&me, METHOD, &[("require-whisk-auth", json!(false))]).await;
    me.get(&open).anonymous().await.expect(204);
    for nonsense in [Value::Null, json!([]), json!({})] {
        let path = export_with(&me, METHOD, &[("require-whisk-auth", nonsense)]).await;
        refused(me.get(&path).await, 401, DENIED);
    }
}

#[tokio::test]
async fn case_430_cors() {
    let me = Whisk::shared().await.namespace().await;
    let path = export(&me, METHOD).await;
    for method in INVOKING.into_iter().chain([Method::OPTIONS]) {
        // What it returns suits one of the two only.
        for path in [format!("{path}.http"), format!("{path}.html")] {
            let call = || me.request(method.clone(), &path).anonymous();
            expect_cors(&call().await, HEADERS);
            let asking = call().header("Access-Control-Request-Headers", "x-custom-header").await;
            expect_cors(&asking, "x-custom-header");
        }
    }
    let answer = me.request(Method::OPTIONS, &path).header("Accept", "image/png").await.expect(200);
    assert!(answer.body.is_empty() && answer.header("x-openwhisk-activation-id").is_none());
}

#[tokio::test]
async fn case_431_an_action_may_answer_options_itself() {
    let me = Whisk::shared().await.namespace().await;
    for required in [json!(false), json!(true)] {
        let own = [("web-custom-options", json!(true)), ("require-whisk-auth", required.clone())];
        let path = export_with(&me, OPTIONS, &own).await;
        let call = me.request(Method::OPTIONS, &path).anonymous();
        let answer = call.header("Access-Control-Request-Headers", "x-custom-header").await.expect(204);
        assert_eq!(answer.header("access-control-allow-methods"), Some("OPTIONS, GET, PATCH"));
        for name in ["access-control-allow-origin", "access-control-allow-headers"] {
            assert_eq!(answer.header(name), None);
        }
        if required == json!(true) {
            let answer = refused(me.get(&path).anonymous().await, 401, DENIED);
            assert_eq!(answer.header("access-control-allow-origin"), None);
        }
    }
}

#[tokio::test]
async fn case_435_the_owners_payload_limit() {
    let whisk = Whisk::shared().await;
    let Some((me, admin)) = whisk.fresh(435).await else { return };
    let Some(caller) = whisk.other(435).await else { return };
    admin.set_limits(&me.name, &["--maxPayloadSize", "1024 B"]).await;
    me.wait_for_some_limit("maxPayloadSize").await;
    let path = format!("{}.json", export(&me, LENGTH).await);
    let answer = caller.post(&path, &json!({ "text": "x".repeat(1_100) })).await;
    refused(answer, 413, "Request larger than allowed: 1111 > 1024 bytes.");
    let form = |length: usize| {
        let text = format!("text={}", "x".repeat(length));
        caller.request(Method::POST, &path).body("application/x-www-form-urlencoded", text)
    };
    refused(form(1_100).await, 413, "Request larger than allowed: 1105 > 1024 bytes.");
    assert_eq!(form(1_000).await.expect(200).json(), json!({ "length": 1_000 }));
    let fits = caller.post(&path, &json!({ "text": "x".repeat(1_000) })).await.expect(200);
    assert_eq!(fits.json(), json!({ "length": 1_000 }));
}

#[tokio::test]
async fn case_436_the_owner_is_charged() {
    let whisk = Whisk::throttled().await;
    let Some((me, admin)) = whisk.fresh(436).await else { return };
    let Some(caller) = whisk.other(436).await else { return };
    let path = export(&me, METHOD).await;
    admin.set_limits(&caller.name, &["--invocationsPerMinute", "0"]).await;
    caller.wait_for_limit("invocationsPerMinute", &json!(0)).await;
    caller.get(&path).await.expect(204);
    admin.set_limits(&me.name, &["--invocationsPerMinute", "0"]).await;
    wait::until("the owner's limit is noticed", RECORDED, || async {
        (caller.get(&path).await.status == 429).then_some(())
    })
    .await;
    for method in INVOKING.into_iter().chain([Method::OPTIONS]) {
        let answer = caller.request(method.clone(), &path).await.expect(429);
        if method != Method::HEAD {
            answer
                .error_contains("Too many requests in the last minute (count: ")
                .error_contains("allowed: 0");
        }
    }
    admin.set_limits(&me.name, &["--invocationsPerMinute", "60", "--concurrentInvocations", "0"]).await;
    let text = "Too many concurrent requests in flight (count: 0, allowed: 0).";
    let answer = wait::until("the other limit is noticed", RECORDED, || async {
        let answer = caller.get(&path).await;
        answer.text().contains("concurrent").then_some(answer)
    });
    refused(answer.await, 429, text);
}

#[tokio::test]
async fn it_runs_as_its_owner() {
    let whisk = Whisk::shared().await;
    let me = whisk.namespace().await;
    let Some(caller) = whisk.other(382).await else { return };
    let code = "function main() { return { namespace: process.env.__OW_NAMESPACE, key: process.env.__OW_API_KEY }; }";
    let keyless = format!("{}.json", export(&me, code).await);
    let answer = caller.get(&keyless).await.expect(200);
    assert_eq!(answer.json(), json!({ "namespace": me.name }));
    let id = answer.header("x-openwhisk-activation-id").expect("it has run").to_owned();
    let record = me.wait_for_activation(&id).await;
    assert_eq!((&record["namespace"], &record["subject"]), (&json!(me.name), &json!(me.name)));
    caller.get(format!("activations/{id}")).await.expect(404);
    let keyed = export_with(&me, code, &[("provide-api-key", json!(true))]).await;
    let given = caller.get(format!("{keyed}.json")).await.expect(200).json();
    assert_eq!(given, json!({ "namespace": me.name, "key": me.auth }));
}

#[tokio::test]
async fn nobody_runs_for_who_is_locked_out() {
    let Some((me, admin)) = Whisk::shared().await.fresh(376).await else { return };
    let path = export(&me, ECHO).await;
    me.get(format!("{path}.json")).anonymous().await.expect(200);
    admin.run(&["user", "block", &me.name]).await;
    let gone = wait::until("the block is noticed", RECORDED, || async {
        let answer = me.get(format!("{path}.json")).anonymous().await;
        (answer.status != 200).then_some(answer)
    });
    refused(gone.await, 404, "The requested resource does not exist.");
}
