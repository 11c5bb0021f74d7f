//! Activations counted by namespace and action, once an operator wants that.

use serde_json::json;
use tests::fixtures::{APPLICATION_ERROR, ECHO, sequence};
use tests::server::{Options, Server};

fn value(metrics: &str, series: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    let line = line.unwrap_or_else(|| panic!("{series} is not in\n{metrics}"));
    line.parse().expect("a sample is a number")
}

#[tokio::test]
async fn what_ends_is_counted_by_action_where_it_is_wanted() {
    let environment = vec![("CONFIG_whisk_userEvents_enabled".to_owned(), "true".to_owned())];
    let server = Server::start(Options { environment, throttled: true, ..Options::default() }).await;
    let (whisk, admin) = (server.whisk(), tests::admin::Admin::of(&server.home().data()));
    let me = whisk.namespace().await;
    let ns = me.name.as_str();
    let echo = me.put_js("echo", ECHO).await;
    let bad = me.put_js("bad", APPLICATION_ERROR).await;
    let chain = me.create("chain", &sequence(&[format!("_/{echo}")])).await;
    for _ in 0..3 {
        me.result(&echo, &json!({ "statusCode": 201 })).await;
    }
    me.invoke(&bad, &json!({})).await.expect(502);
    me.result(&chain, &json!({})).await;
    admin.set_limits(ns, &["--concurrentInvocations", "0"]).await;
    me.wait_for_limit("concurrentInvocations", &json!(0)).await;
    me.invoke(&echo, &json!({})).await.expect(429);

    let metrics = whisk.anonymous().get("/metrics").await.expect(200).text();
    let of = |action: &str| format!("action=\"{action}\",initiator=\"{ns}\"");
    let activations = |action: &str, kind: &str| {
        let labels = format!("{},kind=\"{kind}\",memory=\"128\",namespace=\"{ns}\"", of(action));
        value(&metrics, &format!("openwhisk_action_activations_total{{{labels}}}"))
    };
    assert_eq!(activations(&echo, "nodejs:20"), 4.0, "three, and one in the sequence");
    assert_eq!(activations(&chain, "sequence"), 1.0);
    let count = |metric: &str, action: &str, more: &str| {
        value(&metrics, &format!("{metric}{{{},namespace=\"{ns}\"{more}}}", of(action)))
    };
    assert_eq!(count("openwhisk_action_coldStarts_total", &echo, ""), 1.0);
    assert_eq!(count("openwhisk_action_duration_seconds_count", &echo, ""), 4.0);
    assert_eq!(count("openwhisk_action_status", &bad, ",status=\"application_error\""), 1.0);
    assert_eq!(count("openwhisk_action_status_code", &echo, ",status_code=\"201\""), 3.0);
    assert_eq!(
        value(&metrics, &format!("openwhisk_action_limit_concurrent_total{{namespace=\"{ns}\"}}")),
        1.0
    );
    server.stop().await;
}

#[tokio::test]
async fn nobody_is_named_where_it_is_not_wanted() {
    let server = Server::start(Options::default()).await;
    let me = server.whisk().namespace().await;
    let echo = me.put_js("echo", ECHO).await;
    me.result(&echo, &json!({})).await;
    let metrics = server.whisk().anonymous().get("/metrics").await.expect(200).text();
    assert!(metrics.contains("counter_invoker_containerStart_counter_total"));
    assert!(!metrics.contains("openwhisk_action") && !metrics.contains(&me.name), "{metrics}");
    server.stop().await;
}
