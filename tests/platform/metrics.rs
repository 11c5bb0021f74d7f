//! What the embedded form counts: both roles in one, and where it is shown.

use std::time::Duration;

use serde_json::json;
use tests::client::Client;
use tests::fixtures::ECHO;
use tests::server::{Options, Server};
use tests::{place, wait};

/// How long the last stage of an activation may take.
const SOON: Duration = Duration::from_secs(10);

#[tokio::test]
async fn each_stage_of_an_activation_is_timed_and_shown_at_an_address_of_its_own() {
    let apart = format!("127.0.0.1:{}", place::free_port());
    let environment = vec![("OXWHISK_METRICS_ADDRESS".to_owned(), apart.clone())];
    let server = Server::start(Options { environment, ..Options::default() }).await;
    let me = server.whisk().namespace().await;
    let echo = me.put_js("echo", ECHO).await;
    me.result(&echo, &json!({})).await;

    for path in ["/metrics", "/metrics/targets"] {
        server.whisk().anonymous().get(path).await.expect(404);
    }
    let apart = Client::new(&format!("http://{apart}"), None);
    apart.get("/ping").await.expect(404);
    assert_eq!(apart.get("/metrics/targets").await.expect(200).json(), json!([]));
    let lines = [
        "counter_controller_startup_counter_total{controller_id=\"0\"} 1",
        "counter_invoker_startup_counter_total{invoker_id=\"0\"} 1",
        "gauge_loadbalancer_totalHealthyInvoker_counter 1",
        "oxwhisk_ready{role=\"controller\"} 1",
        "oxwhisk_journal_activations{role=\"controller\"} 0",
        "oxwhisk_journal_activations{role=\"invoker\"} 0",
        "histogram_controller_blockingActivation_finish_seconds_count 1",
        "oxwhisk_controller_schedule_seconds_count 1",
        "histogram_controller_loadbalancer_finish_count 1",
        "histogram_controller_kafka_finish_seconds_count 1",
        "oxwhisk_invoker_poolWait_seconds_count 1",
        "oxwhisk_containerCreate_seconds_count 1",
        "histogram_invoker_activationInit_finish_seconds_count 1",
        "histogram_invoker_activationRun_finish_seconds_count 1",
        "histogram_invoker_collectLogs_finish_seconds_count 1",
        "oxwhisk_record_seconds_count 1",
    ];
    wait::until("every stage is counted once", SOON, || async {
        let text = apart.get("/metrics").await.expect(200).text();
        let missing: Vec<_> =
            lines.iter().filter(|line| !text.lines().any(|other| other == **line)).collect();
        if !missing.is_empty() {
            eprintln!("not yet: {missing:?}");
        }
        missing.is_empty().then_some(())
    })
    .await;
    let text = apart.get("/metrics").await.expect(200).text();
    assert!(!text.contains("oxwhisk_controller_auth_seconds_count 0"), "{text}");
    assert!(!text.contains("oxwhisk_invoker_ack_seconds_count 0"), "{text}");
    server.stop().await;
}
