//! One activation: its record, result and logs.

use regex::Regex;
use reqwest::Method;
use serde_json::{Value, json};
use tests::fixtures::{self, CHATTY, ECHO, LOG, SYNTAX_ERROR};
use tests::namespace::{Isolation, annotation};
use tests::whisk::Whisk;

const MISSING: &str = "The requested resource does not exist.";
const UNUSED: &str = "0123456789abcdef0123456789abcdef";
/// The pool may evict an idle container, so a warm run is tried for so often.
const TRIES: u32 = 10;

fn keys(value: &Value) -> Vec<&str> {
    let mut keys: Vec<&str> = value.as_object().into_iter().flatten().map(|(key, _)| key.as_str()).collect();
    keys.sort_unstable();
    keys
}

#[tokio::test]
async fn case_300_the_record() {
    let me = Whisk::shared().await.namespace().await;
    let echo = me.put_js("echo", ECHO).await;
    let record = me.record_of(&echo, &json!({ "a": 1 })).await;
    let all = [
        "activationId",
        "annotations",
        "duration",
        "end",
        "logs",
        "name",
        "namespace",
        "publish",
        "response",
        "start",
        "subject",
        "version",
    ];
    assert_eq!(keys(&record), all, "{record}");
    assert_eq!(keys(&record["response"]), ["result", "size", "status", "success"], "{record}");
    assert_eq!(record["namespace"], json!(me.name));
    assert_eq!(record["name"], json!(echo));
    assert_eq!(record["version"], "0.0.1");
    assert_eq!(record["publish"], false);
    let number = |key: &str| record[key].as_u64().unwrap_or_else(|| panic!("{key} in {record}"));
    assert_eq!(number("end") - number("start"), number("duration"));
    let id = record["activationId"].as_str().unwrap_or_default();
    assert_eq!(me.get(format!("activations/{id}/")).await.expect(200).json(), record);
}

#[tokio::test]
async fn cases_302_303_304_parts_of_the_record() {
    let me = Whisk::shared().await.namespace().await;
    let log = me.put_js("log", LOG).await;
    let record = me.record_of(&log, &json!({ "text": "hi" })).await;
    let path = format!("activations/{}", record["activationId"].as_str().unwrap_or_default());
    let result = me.get(format!("{path}/result")).await.expect(200).json();
    assert_eq!(keys(&result), ["result", "size", "status", "success"], "{result}");
    assert_eq!(result["result"], json!({ "text": "hi" }));
    assert_eq!(result["status"], "success");
    assert_eq!(result["success"], true);
    let logs = me.get(format!("{path}/logs")).await.expect(200).json();
    assert_eq!(logs, json!({ "logs": record["logs"] }));
    me.get(format!("{path}/bogus")).await.expect(404);
}

#[tokio::test]
async fn cases_305_306_ids_that_are_none() {
    let me = Whisk::shared().await.namespace().await;
    for (id, length) in [(&UNUSED[1..], 31), (&format!("{UNUSED}0"), 33)] {
        let text = format!("Activation id length is {length} but must be 32.");
        me.get(format!("activations/{id}")).await.expect(400).error(&text);
    }
    for last in ["g", "A"] {
        let id = format!("{}{last}", &UNUSED[1..]);
        me.get(format!("activations/{id}")).await.expect(400).error("The activation id is not valid.");
    }
}

#[tokio::test]
async fn case_307_an_id_that_is_not_used() {
    let me = Whisk::shared().await.namespace().await;
    for part in ["", "/result", "/logs"] {
        me.get(format!("activations/{UNUSED}{part}")).await.expect(404).error(MISSING);
    }
}

#[tokio::test]
async fn case_308_records_are_only_read() {
    let me = Whisk::shared().await.namespace().await;
    for method in [Method::PUT, Method::POST, Method::DELETE] {
        me.request(method, format!("activations/{UNUSED}")).json(&json!({})).await.expect_any(&[404, 405]);
    }
}

#[tokio::test]
async fn records_of_others_are_theirs() {
    let whisk = Whisk::shared().await;
    let Some(other) = whisk.other(76).await else { return };
    let me = whisk.namespace().await;
    let echo = other.put_js("echo", ECHO).await;
    let id = other.fire(&echo, &json!({})).await;
    other.wait_for_activation(&id).await;
    me.get(format!("/api/v1/namespaces/{}/activations/{id}", other.name)).await.expect(403);
    me.get(format!("activations/{id}")).await.expect(404).error(MISSING);
}

#[tokio::test]
async fn cases_322_323_annotations_of_a_run() {
    let me = Whisk::shared().await.namespace().await;
    let mut body = fixtures::js(ECHO);
    body["limits"] = json!({ "timeout": 30_000, "memory": 128, "logs": 1 });
    let echo = me.create("echo", &body).await;
    let first = me.record_of(&echo, &json!({})).await;
    assert!(annotation(&first, "initTime").is_some_and(Value::is_u64), "{first}");
    assert!(annotation(&first, "waitTime").is_some_and(Value::is_u64), "{first}");
    assert_eq!(annotation(&first, "path"), Some(&json!(format!("{}/{echo}", me.name))));
    assert_eq!(annotation(&first, "kind"), Some(&json!("nodejs:20")));
    assert_eq!(annotation(&first, "timeout"), Some(&json!(false)));
    let limits = json!({ "timeout": 30_000, "memory": 128, "logs": 1, "concurrency": 1 });
    assert_eq!(annotation(&first, "limits"), Some(&limits));

    for _ in 0..TRIES {
        let next = me.record_of(&echo, &json!({})).await;
        if annotation(&next, "initTime").is_none() {
            assert!(annotation(&next, "waitTime").is_some_and(Value::is_u64), "{next}");
            return;
        }
    }
    panic!("{TRIES} runs in a row, and none found a warm container");
}

#[tokio::test]
async fn case_324_a_line_of_log() {
    let me = Whisk::shared().await.namespace().await;
    let log = me.put_js("log", LOG).await;
    let pattern = Regex::new(r"^\d{4}-\d\d-\d\dT\S+Z +stdout: one line$").expect("a pattern");
    for _ in 0..2 {
        let record = me.record_of(&log, &json!({ "text": "one line" })).await;
        let logs = record["logs"].as_array().cloned().unwrap_or_default();
        assert_eq!(logs.len(), 1, "{record}");
        let line = logs[0].as_str().unwrap_or_default();
        assert!(pattern.is_match(line), "{line:?}");
        assert_eq!(line.find(" stdout: "), Some(30), "the time has 30 columns: {line:?}");
    }
}

#[tokio::test]
async fn lines_keep_their_stream_and_order() {
    let me = Whisk::shared().await.namespace().await;
    let py = "import sys\ndef main(args):\n    print(\"out 1\")\n    print(\"out 2\")\n    print(\"err 1\", file=sys.stderr)\n    return {}\n";
    let name = me.put_python("streams", py).await;
    let record = me.record_of(&name, &json!({})).await;
    let lines: Vec<&str> =
        record["logs"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    let of = |stream: &str| {
        let mark = format!(" {stream}: ");
        lines.iter().filter_map(|line| line.split_once(&mark)).map(|(_, text)| text).collect::<Vec<_>>()
    };
    assert_eq!(of("stdout"), ["out 1", "out 2"], "{record}");
    assert_eq!(of("stderr"), ["err 1"], "{record}");
}

#[tokio::test]
async fn case_326_without_logs() {
    let me = Whisk::shared().await.namespace().await;
    let mut body = fixtures::js(LOG);
    body["limits"]["logs"] = json!(0);
    let log = me.create("log", &body).await;
    assert_eq!(me.record_of(&log, &json!({ "text": "unseen" })).await["logs"], json!([]));
}

#[tokio::test]
async fn logs_end_at_their_limit() {
    let me = Whisk::shared().await.namespace().await;
    let mut body = fixtures::js(CHATTY);
    body["limits"]["logs"] = json!(1);
    let chatty = me.create("chatty", &body).await;
    let record = me.record_of(&chatty, &json!({ "lines": 20_000 })).await;
    assert_eq!(record["response"]["status"], "success");
    let logs = record["logs"].as_array().cloned().unwrap_or_default();
    let text = "Logs were truncated because the total bytes size exceeds the limit of 1048576 bytes.";
    let last = logs.last().and_then(Value::as_str).unwrap_or_default();
    assert!(last.ends_with(&format!("stderr: {text}")), "{last}");
    assert!((1_000..20_000).contains(&logs.len()), "{} lines", logs.len());
}

#[tokio::test]
async fn case_327_logs_of_a_developer_error() {
    let me = Whisk::shared().await.namespace().await;
    let broken = me.put_js("broken", SYNTAX_ERROR).await;
    let record = me.record_of(&broken, &json!({})).await;
    let text = "The action did not initialize or run as expected. Log data might be missing.";
    let last = record["logs"].as_array().and_then(|logs| logs.last()).and_then(Value::as_str);
    assert!(last.is_some_and(|line| line.contains(text)), "{record}");
}

#[tokio::test]
async fn case_328_a_run_without_a_word() {
    let me = Whisk::shared().await.namespace().await;
    let echo = me.put_js("echo", ECHO).await;
    let record = me.record_of(&echo, &json!({})).await;
    assert_eq!(record["response"]["result"], json!({}));
    assert_eq!(record["logs"], json!([]));
}

#[tokio::test]
async fn case_329_a_namespace_that_stores_nothing() {
    let whisk = Whisk::shared().await;
    let Some((me, admin)) = whisk.fresh(329).await else { return };
    let neighbour = whisk.namespace().await;
    let echo = me.put_js("echo", ECHO).await;
    let theirs = neighbour.put_js("echo", ECHO).await;
    admin.set_limits(&me.name, &["--storeActivations", "false"]).await;
    me.wait_for_limit("storeActivations", &json!(false)).await;
    let id = me.invoke(&echo, &json!({})).await.expect(200).activation_id();
    // Once a later record of somebody else can be read, this one would be there too.
    neighbour.record_of(&theirs, &json!({})).await;
    me.get(format!("activations/{id}")).await.expect(404).error(MISSING);
    assert_eq!(me.activation_count().await, 0);
}

#[tokio::test]
async fn the_harness_knows_where_actions_run() {
    let me = Whisk::shared().await.namespace().await;
    match me.isolation().await {
        Isolation::Containers(id) => assert!(!id.is_empty()),
        Isolation::Processes => {}
    }
}
