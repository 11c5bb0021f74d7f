//! What became of triggers when the server was killed while their rules' actions were being invoked.

use futures::future::join_all;
use serde_json::json;
use tests::fixtures::ECHO;
use tests::namespace::rules_of;
use tests::server::{Options, Server};

const RULES: usize = 24;
const FIRES: usize = 6;

#[tokio::test]
async fn every_activation_of_a_trigger_has_a_record_after_a_crash() {
    let server = Server::start(Options::default()).await;
    let me = server.whisk().namespace().await;
    let echo = me.put_js("echo", ECHO).await;
    let trigger = me.put_trigger(&json!({})).await;
    for _ in 0..RULES {
        me.put_rule(&trigger, &echo).await;
    }
    let fires = (0..FIRES).map(async |n| {
        let answer = me.post(format!("triggers/{trigger}"), &json!({ "n": n })).await;
        answer.expect(202).activation_id()
    });
    let ids = join_all(fires).await;
    let server = server.kill().await.start().await;
    let me = server.whisk().sign_in(&me.auth).await;
    for id in ids {
        let record = me.wait_for_activation(&id).await;
        assert_eq!(record["name"], json!(trigger));
        match record["response"]["status"].as_str() {
            // It was through, and so was what it tells of.
            Some("success") => {
                let lines = rules_of(&record);
                assert_eq!(lines.len(), RULES, "{record}");
                for line in lines {
                    let run = line["activationId"].as_str().unwrap_or_else(|| panic!("it ran: {line}"));
                    me.wait_for_activation(run).await;
                }
            }
            Some("whisk internal error") => {
                let error = record["response"]["result"]["error"].as_str().unwrap_or_default();
                assert!(error.contains("came to an end"), "{record}");
            }
            _ => panic!("neither through nor interrupted: {record}"),
        }
    }
    // And the trigger is as it was.
    assert_eq!(rules_of(&me.fire_trigger(&trigger, &json!({})).await).len(), RULES);
    server.stop().await;
}
