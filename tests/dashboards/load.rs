//! What is done to a platform so that every panel has something to show, and how much of it there was.

use reqwest::Method;
use serde_json::json;
use tests::fixtures::{APPLICATION_ERROR, ECHO, EXIT, js, sequence};
use tests::namespace::Namespace;
use tests::place::unique;

use crate::world::World;

/// What is done so many times, with a look of Prometheus in between.
const ROUNDS: u64 = 3;
/// Successful runs of each round for which somebody waits.
const BLOCKING: u64 = 6;
/// Those for which nobody does.
const FIRED: u64 = 2;
/// Invocations beyond each of two limits.
const REFUSED: u64 = 2;

/// What was done.
pub struct Done {
    namespace: String,
    echo: String,
    bad: String,
    chain: String,
}

/// Runs it, to its last record.
pub async fn run(world: &World) -> Done {
    let [me, there] = world.namespace().await;
    let name = me.name.clone();
    let echo = me.put_js("echo", ECHO).await;
    let bad = me.put_js("bad", APPLICATION_ERROR).await;
    let broken = me.put_js("broken", EXIT).await;
    let chain = me.create("chain", &sequence(&[format!("_/{echo}")])).await;
    for round in 1..=ROUNDS {
        // Other code, other containers.
        let code = format!("// {round}\n{ECHO}");
        me.update(&echo, &js(&code)).await;
        for _ in 0..BLOCKING / 2 {
            me.result(&echo, &json!({ "statusCode": 201 })).await;
            there.result(&echo, &json!({ "statusCode": 201 })).await;
        }
        for _ in 0..FIRED {
            let id = there.fire(&echo, &json!({})).await;
            there.wait_for_activation(&id).await;
        }
        me.result(&chain, &json!({})).await;
        me.invoke(&bad, &json!({})).await.expect(502);
        me.invoke(&broken, &json!({})).await.expect(502);
        me.get("actions").await.expect(200);
        me.request(Method::OPTIONS, "actions").await.expect(200);
        let short = unique("short");
        me.put(format!("actions/{short}"), &js(ECHO)).await.expect(200);
        me.delete(format!("actions/{short}")).await.expect(200);
        let of_all = format!("sum(openwhisk_action_activations_total{{namespace=\"{name}\"}})");
        world.until_read(&of_all, (round * (BLOCKING + FIRED + 4)) as f64).await;
    }
    refuse(world, &me, &echo).await;
    Done { namespace: name, echo, bad, chain }
}

/// Invokes beyond what the namespace may have in flight, and beyond what it may have in a minute.
async fn refuse(world: &World, me: &Namespace, action: &str) {
    let admin = world.site.admin();
    for (flag, limit, metric) in [
        ("--concurrentInvocations", "concurrentInvocations", "concurrent"),
        ("--invocationsPerMinute", "invocationsPerMinute", "timed"),
    ] {
        admin.set_limits(&me.name, &[flag, "0"]).await;
        me.wait_for_limit(limit, &json!(0)).await;
        for _ in 0..REFUSED {
            me.invoke(action, &json!({})).await.expect(429);
        }
        let counted = format!("sum(openwhisk_action_limit_{metric}_total{{namespace=\"{}\"}})", me.name);
        world.until_read(&counted, REFUSED as f64).await;
    }
    // A rate needs to be read twice.
    world.until_read("min(count_over_time(openwhisk_action_limit_timed_total[1m]) > bool 1)", 1.0).await;
}

/// Demands that each counter tells what was done, to the last one.
pub async fn is_counted(world: &World, done: &Done) {
    let Done { namespace, echo, bad, chain } = done;
    let of =
        |action: &str| format!("namespace=\"{namespace}\", initiator=\"{namespace}\", action=\"{action}\"");
    // The chain's component is an invocation of its own, and one that somebody waits for.
    let (runs, blocking) = (ROUNDS * (BLOCKING + FIRED + 1), ROUNDS * (BLOCKING + 3));
    let orders = blocking + ROUNDS * FIRED;
    for (expression, count) in [
        (format!("sum(openwhisk_action_activations_total{{{}}})", of(echo)), runs),
        (format!("sum(openwhisk_action_activations_total{{{}, kind=\"sequence\"}})", of(chain)), ROUNDS),
        (format!("sum(openwhisk_action_coldStarts_total{{{}}}) >= bool {ROUNDS}", of(echo)), 1),
        (format!("sum(openwhisk_action_duration_seconds_count{{{}}})", of(echo)), runs),
        (format!("sum(openwhisk_action_status{{{}, status=\"success\"}})", of(echo)), runs),
        (format!("sum(openwhisk_action_status{{{}, status=\"application_error\"}})", of(bad)), ROUNDS),
        (format!("sum(openwhisk_action_status_code{{{}, status_code=\"201\"}})", of(echo)), ROUNDS * BLOCKING),
        (format!("sum(openwhisk_namespace_activations_total{{namespace=\"{namespace}\"}})"), runs + 3 * ROUNDS),
        ("sum(counter_controller_blockingActivation_start_total)".to_owned(), blocking),
        ("sum(histogram_controller_blockingActivation_finish_seconds_count)".to_owned(), blocking),
        ("sum(counter_controller_activation_start_total)".to_owned(), ROUNDS * FIRED),
        ("sum(counter_controller_loadbalancer_start_total)".to_owned(), orders),
        ("sum(histogram_controller_loadbalancer_finish_count)".to_owned(), orders),
        ("sum(histogram_controller_kafka_finish_seconds_count)".to_owned(), orders),
        ("sum(oxwhisk_controller_schedule_seconds_count)".to_owned(), orders),
        ("sum(counter_loadbalancer_activations_counter_total)".to_owned(), orders),
        (
            "sum(counter_loadbalancer_completionAck_counter_total{type=\"regular\"})".to_owned(),
            orders,
        ),
        ("sum(counter_http_post_counter_total{statusCode=\"200\"})".to_owned(), ROUNDS * (BLOCKING + 1)),
        ("sum(counter_http_post_counter_total{statusCode=\"202\"})".to_owned(), ROUNDS * FIRED),
        ("sum(counter_http_post_counter_total{statusCode=\"429\"})".to_owned(), 2 * REFUSED),
        ("sum(counter_http_post_counter_total{statusCode=\"502\"})".to_owned(), 2 * ROUNDS),
        ("sum(counter_http_delete_counter_total{statusCode=\"200\"})".to_owned(), ROUNDS),
        (
            "sum(oxwhisk_invoker_activations_total{status=\"application_error\"})".to_owned(),
            ROUNDS,
        ),
        (
            "sum(oxwhisk_invoker_activations_total{status=\"action_developer_error\"})".to_owned(),
            ROUNDS,
        ),
        // Everybody's, those that try an invoker included: each was taken, found a container, ran, and has ended.
        (
            "sum(counter_invoker_activation_start_total) == bool sum(oxwhisk_invoker_activations_total)".to_owned(),
            1,
        ),
        (
            "sum(counter_invoker_containerStart_counter_total) == bool sum(counter_invoker_activationRun_start_total) + sum(counter_containerPool_rescheduledActivation_counter_total)".to_owned(),
            1,
        ),
        ("sum(counter_controller_startup_counter_total)".to_owned(), 2),
        ("sum(counter_invoker_startup_counter_total)".to_owned(), 2),
        ("min(gauge_loadbalancer_totalHealthyInvoker_counter)".to_owned(), 2),
        ("min(gauge_loadbalancer_totalHealthyInvokerManaged_counter)".to_owned(), 2),
        ("min(gauge_loadbalancer_totalCapacity_counter)".to_owned(), 2 * 2048),
        ("sum(oxwhisk_ready)".to_owned(), 4),
    ] {
        world.until_read(&expression, count as f64).await;
    }
}
