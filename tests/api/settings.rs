//! What settings change: which records are kept, what a new action gets.

use serde_json::json;
use tests::fixtures::{APPLICATION_ERROR, ECHO, THROW};
use tests::namespace::{Namespace, annotation};
use tests::platform::Platform;
use tests::server::Options;
use tests::whisk::Whisk;

async fn server(case: u16, name: &str, value: &str) -> Option<Platform> {
    let environment = vec![(format!("CONFIG_whisk_{name}"), value.to_owned())];
    Whisk::own_server(case, Options { environment, ..Options::default() }).await
}

/// Runs an action to its end; returns the activation's id.
async fn run(me: &Namespace, code: &str, status: u16) -> String {
    let name = me.put_js("a", code).await;
    me.post(format!("actions/{name}?blocking=true"), &json!({})).await.expect(status).activation_id()
}

#[tokio::test]
async fn case_452_a_new_action_may_be_left_without_the_annotation() {
    let Some(server) = server(452, "featureFlags_requireApiKeyAnnotation", "false").await else { return };
    let me = server.whisk().namespace().await;
    let name = me.put_js("a", ECHO).await;
    let action = me.get(format!("actions/{name}")).await.expect(200).json();
    assert_eq!(annotation(&action, "provide-api-key"), None);
    server.stop().await;
}

#[tokio::test]
async fn case_456_only_failures_may_be_stored() {
    let level = "activation_storeBlockingResultLevel";
    let Some(server) = server(456, level, "STORE_FAILURES").await else { return };
    let me = server.whisk().namespace().await;
    let success = run(&me, ECHO, 200).await;
    // Stored after it, so that by then it would be there.
    let failure = run(&me, APPLICATION_ERROR, 502).await;
    me.wait_for_activation(&failure).await;
    me.get(format!("activations/{success}")).await.expect(404);
    server.stop().await;
}

#[tokio::test]
async fn case_457_application_errors_may_be_left_out() {
    let level = "activation_storeBlockingResultLevel";
    let wanted = "STORE_FAILURES_NOT_APPLICATION_ERRORS";
    let Some(server) = server(457, level, wanted).await else { return };
    let me = server.whisk().namespace().await;
    let application = run(&me, APPLICATION_ERROR, 502).await;
    let developer = run(&me, THROW, 502).await;
    me.wait_for_activation(&developer).await;
    me.get(format!("activations/{application}")).await.expect(404);
    server.stop().await;
}
