//! The per-namespace throttles, on a server that holds them.

use common::clock::{Clock, SystemClock};
use serde_json::json;
use tests::admin::Admin;
use tests::answer::Answer;
use tests::fixtures::{ECHO, sequence};
use tests::namespace::Namespace;
use tests::place::unique;
use tests::whisk::Whisk;

/// A minute, in these tests and in those of triggers.
pub const ALLOWED: u64 = 5;
/// The window is the calendar minute; a test that met its end tries again so often.
pub const TRIES: u32 = 3;

/// A namespace that may invoke five times a minute.
async fn limited(case: u16) -> Option<(Namespace, Admin)> {
    let (me, admin) = Whisk::throttled().await.fresh(case).await?;
    admin.set_limits(&me.name, &["--invocationsPerMinute", &ALLOWED.to_string()]).await;
    me.wait_for_limit("invocationsPerMinute", &json!(ALLOWED)).await;
    Some((me, admin))
}

pub fn minute() -> u64 {
    SystemClock.now().0 / 60_000
}

/// Invokes or fires so often that the limit is exceeded by one, within one minute; returns all answers.
pub async fn exhaust(me: &Namespace, path: &str) -> Vec<Answer> {
    for _ in 0..TRIES {
        let begun = minute();
        let mut answers = Vec::new();
        for _ in 0..=ALLOWED {
            answers.push(me.post(path, &json!({})).await);
        }
        if minute() == begun {
            return answers;
        }
    }
    panic!("{ALLOWED} requests take more than a minute");
}

pub fn too_many(count: u64, allowed: u64) -> String {
    format!("Too many requests in the last minute (count: {count}, allowed: {allowed}).")
}

#[tokio::test]
async fn case_187_one_more_than_allowed() {
    let Some((me, _)) = limited(187).await else { return };
    let echo = me.put_js("echo", ECHO).await;
    let mut answers = exhaust(&me, &format!("actions/{echo}")).await;
    let last = answers.pop().expect("there was a last request");
    for answer in answers {
        answer.expect(202);
    }
    last.expect(429).error(&too_many(ALLOWED + 1, ALLOWED));
}

#[tokio::test]
async fn case_190_a_sequence_counts_once() {
    let Some((me, _)) = limited(190).await else { return };
    let echo = me.put_js("echo", ECHO).await;
    let components = vec![format!("/_/{echo}"); ALLOWED as usize];
    let name = me.create("s", &sequence(&components)).await;
    let mut answers = exhaust(&me, &format!("actions/{name}")).await;
    answers.pop().expect("there was a last request").expect(429).error(&too_many(ALLOWED + 1, ALLOWED));
    for answer in answers {
        let record = me.wait_for_activation(&answer.expect(202).activation_id()).await;
        assert_eq!(record["response"]["status"], "success", "{record}");
    }
}

#[tokio::test]
async fn case_188_none_allowed() {
    let Some((me, admin)) = Whisk::throttled().await.fresh(188).await else { return };
    let echo = me.put_js("echo", ECHO).await;
    admin.set_limits(&me.name, &["--invocationsPerMinute", "0"]).await;
    me.wait_for_limit("invocationsPerMinute", &json!(0)).await;
    let answer = me.post(format!("actions/{echo}"), &json!({})).await.expect(429);
    answer.error_contains("allowed: 0");
}

#[tokio::test]
async fn case_191_what_does_not_exist_counts_too() {
    let Some((me, _)) = limited(191).await else { return };
    let mut answers = exhaust(&me, &format!("actions/{}", unique("missing"))).await;
    let last = answers.pop().expect("there was a last request");
    for answer in answers {
        answer.expect(404);
    }
    last.expect(429).error(&too_many(ALLOWED + 1, ALLOWED));
}

#[tokio::test]
async fn case_192_namespaces_are_counted_apart() {
    let Some((me, _)) = limited(192).await else { return };
    let Some(other) = Whisk::throttled().await.other(192).await else { return };
    let mine = me.put_js("echo", ECHO).await;
    let theirs = other.put_js("echo", ECHO).await;
    let last = exhaust(&me, &format!("actions/{mine}")).await.pop().expect("there was a last request");
    last.expect(429);
    other.post(format!("actions/{theirs}"), &json!({})).await.expect(202);
}

#[tokio::test]
async fn as_many_as_are_allowed_run_at_once() {
    let Some((me, admin)) = Whisk::throttled().await.fresh(187).await else { return };
    let echo = me.put_js("echo", ECHO).await;
    admin.set_limits(&me.name, &["--concurrentInvocations", "0"]).await;
    me.wait_for_limit("concurrentInvocations", &json!(0)).await;
    let answer = me.post(format!("actions/{echo}"), &json!({})).await.expect(429);
    answer.error("Too many concurrent requests in flight (count: 0, allowed: 0).");
}
