//! Firing triggers: which actions run, what they are given, and what is recorded.

use serde_json::{Value, json};
use tests::fixtures::{APPLICATION_ERROR, ECHO};
use tests::namespace::{Namespace, RECORDED, rules_of};
use tests::place::unique;
use tests::wait;
use tests::whisk::Whisk;

const MISSING: &str = "The requested resource does not exist.";

/// The result of the activation that a rule began.
async fn result_of(me: &Namespace, line: &Value) -> Value {
    let id = line["activationId"].as_str().unwrap_or_else(|| panic!("an activation: {line}"));
    me.wait_for_activation(id).await["response"]["result"].clone()
}

/// A trigger with one rule for an echo: the trigger, the action, the rule.
async fn armed(me: &Namespace, parameters: Value) -> (String, String, String) {
    let echo = me.put_js("echo", ECHO).await;
    let trigger = me.put_trigger(&json!({ "parameters": parameters })).await;
    let rule = me.put_rule(&trigger, &echo).await;
    (trigger, echo, rule)
}

#[tokio::test]
async fn case_260_without_an_active_rule_nothing_happens() {
    let Some((me, _)) = Whisk::shared().await.fresh(260).await else { return };
    let (trigger, _, rule) = armed(&me, json!([])).await;
    let bare = me.put_trigger(&json!({})).await;
    me.post(format!("rules/{rule}"), &json!({ "status": "inactive" })).await.expect(200);
    for name in [&bare, &trigger] {
        let answer = me.post(format!("triggers/{name}"), &json!({ "a": 1 })).await.expect(204);
        assert!(answer.body.is_empty() && answer.header("x-openwhisk-activation-id").is_none());
    }
    // What is recorded later is recorded after what would have been before.
    me.post(format!("rules/{rule}"), &json!({ "status": "active" })).await.expect(200);
    me.fire_trigger(&trigger, &json!({})).await;
    me.wait_for_activation_count(2).await;
}

#[tokio::test]
async fn cases_262_265_266_267_268_the_activation_of_a_trigger() {
    let me = Whisk::shared().await.namespace().await;
    let (trigger, echo, rule) = armed(&me, json!([{ "key": "p", "value": 1 }])).await;
    let answer = me.post(format!("triggers/{trigger}"), &json!({ "a": 1 })).await.expect(202);
    let id = answer.activation_id();
    assert_eq!(answer.header("x-openwhisk-activation-id"), Some(id.as_str()));
    assert_eq!(answer.json(), json!({ "activationId": id }));
    let record = me.wait_for_activation(&id).await;
    for absent in ["end", "duration", "cause"] {
        assert!(record.get(absent).is_none(), "{absent}: {record}");
    }
    assert_eq!((&record["name"], &record["version"]), (&json!(trigger), &json!("0.0.1")));
    assert_eq!((&record["namespace"], &record["annotations"]), (&json!(me.name), &json!([])));
    let response = json!({ "status": "success", "success": true, "result": { "a": 1 } });
    assert_eq!(record["response"], response, "the payload, without the trigger's parameters");
    let lines = rules_of(&record);
    assert_eq!(lines.len(), 1, "{record}");
    let run = lines[0]["activationId"].as_str().expect("the id of what ran").to_owned();
    let line = json!({
        "statusCode": 0, "success": true, "activationId": run,
        "rule": format!("{}/{rule}", me.name), "action": format!("{}/{echo}", me.name)
    });
    assert_eq!(lines[0], line);
    let run = me.wait_for_activation(&run).await;
    assert_eq!(run["name"], json!(echo));
    assert!(run.get("cause").is_none(), "{run}");

    let record = me.request(reqwest::Method::POST, format!("triggers/{trigger}")).await.expect(202);
    let record = me.wait_for_activation(&record.activation_id()).await;
    assert_eq!(record["response"]["result"], json!({}));
}

#[tokio::test]
async fn activations_are_listed_by_the_name_of_their_trigger() {
    let me = Whisk::shared().await.namespace().await;
    let (trigger, _, _) = armed(&me, json!([])).await;
    let record = me.fire_trigger(&trigger, &json!({})).await;
    let list = me.get(format!("activations?name={trigger}")).await.expect(200).json();
    let items = list.as_array().cloned().unwrap_or_default();
    assert_eq!(items.len(), 1, "{list}");
    assert_eq!((&items[0]["activationId"], &items[0]["name"]), (&record["activationId"], &json!(trigger)));
    for absent in ["end", "duration", "statusCode"] {
        assert!(items[0].get(absent).is_none(), "{absent}: {list}");
    }
    let count = me.get(format!("activations?name={trigger}&count=true")).await.expect(200).json();
    assert_eq!(count, json!({ "activations": 1 }));
    let docs = me.get(format!("activations?name={trigger}&docs=true")).await.expect(200).json();
    assert_eq!(docs, json!([record]));
    let id = record["activationId"].as_str().unwrap_or_default();
    let logs = me.get(format!("activations/{id}/logs")).await.expect(200).json();
    assert_eq!(logs["logs"], record["logs"]);
    let result = me.get(format!("activations/{id}/result")).await.expect(200).json();
    assert_eq!(result, json!({ "result": {}, "status": "success", "success": true }));
}

#[tokio::test]
async fn case_263_a_trigger_that_is_missing() {
    let me = Whisk::shared().await.namespace().await;
    me.post(format!("triggers/{}", unique("t")), &json!({})).await.expect(404).error(MISSING);
}

#[tokio::test]
async fn case_264_a_payload_is_an_object_of_a_certain_size() {
    let me = Whisk::shared().await.namespace().await;
    let (trigger, _, _) = armed(&me, json!([])).await;
    for name in [trigger, unique("t")] {
        let path = format!("triggers/{name}");
        for body in [json!([1]), json!("x"), json!(1)] {
            me.post(&path, &body).await.expect(400).error_contains("The request content was malformed:");
        }
        let large = json!({ "a": "x".repeat(1 << 20) });
        let size = large.to_string().len();
        let text = format!("Request larger than allowed: {size} > 1048576 bytes.");
        me.post(&path, &large).await.expect(413).error(&text);
    }
}

#[tokio::test]
async fn case_270_an_inactive_rule_has_a_line_too() {
    let me = Whisk::shared().await.namespace().await;
    let (trigger, echo, active) = armed(&me, json!([])).await;
    let inactive = me.put_rule(&trigger, &echo).await;
    me.post(format!("rules/{inactive}"), &json!({ "status": "inactive" })).await.expect(200);
    let lines = rules_of(&me.fire_trigger(&trigger, &json!({})).await);
    assert_eq!(lines.len(), 2, "{lines:?}");
    let of = |rule: &str| {
        let id = format!("{}/{rule}", me.name);
        lines.iter().find(|line| line["rule"] == json!(id)).cloned().expect("every rule has a line")
    };
    assert_eq!(of(&active)["success"], true);
    let (rule, action) = (format!("{}/{inactive}", me.name), format!("{}/{echo}", me.name));
    let error = format!("Rule '{rule}' is inactive, action '{action}' was not activated.");
    let expected =
        json!({ "statusCode": 1, "success": false, "error": error, "rule": rule, "action": action });
    assert_eq!(of(&inactive), expected);
}

#[tokio::test]
async fn cases_271_272_what_an_action_is_given() {
    let me = Whisk::shared().await.namespace().await;
    let (trigger, _, _) =
        armed(&me, json!([{ "key": "a", "value": 1 }, { "key": "c", "value": ["x"] }])).await;
    let call = me.post(format!("triggers/{trigger}"), &json!({ "a": 2, "b": 3 })).header("X-Custom", "v");
    let record = me.wait_for_activation(&call.await.expect(202).activation_id()).await;
    let given = result_of(&me, &rules_of(&record)[0]).await;
    assert_eq!((&given["a"], &given["b"], &given["c"]), (&json!(2), &json!(3), &json!(["x"])));
    let headers = &given["__ow_headers"];
    assert_eq!(headers["x-custom"], "v");
    assert_eq!(headers["authorization"], json!(tests::client::basic(&me.auth)));
    for absent in ["content-type", "content-length"] {
        assert!(headers.get(absent).is_none(), "{headers}");
    }
    let record = me.fire_trigger(&trigger, &json!({ "__ow_headers": "mine" })).await;
    assert_eq!(result_of(&me, &rules_of(&record)[0]).await["__ow_headers"], "mine");
}

#[tokio::test]
async fn case_274_many_rules_and_many_triggers() {
    let Some((me, _)) = Whisk::shared().await.fresh(274).await else { return };
    let (first, one, _) = armed(&me, json!([])).await;
    let two = me.put_js("two", ECHO).await;
    me.put_rule(&first, &two).await;
    let second = me.put_trigger(&json!({})).await;
    me.put_rule(&second, &one).await;
    let lines = rules_of(&me.fire_trigger(&first, &json!({})).await);
    let mut ran: Vec<String> = Vec::new();
    for line in &lines {
        result_of(&me, line).await;
        ran.push(line["action"].as_str().unwrap_or_default().to_owned());
    }
    ran.sort_unstable();
    let mut expected = [format!("{}/{one}", me.name), format!("{}/{two}", me.name)];
    expected.sort_unstable();
    assert_eq!(ran, expected);
    for line in rules_of(&me.fire_trigger(&second, &json!({})).await) {
        result_of(&me, &line).await;
    }
    let count = me.get(format!("activations?name={one}&count=true")).await.expect(200).json();
    assert_eq!(count, json!({ "activations": 2 }));
}

#[tokio::test]
async fn what_cannot_be_invoked_is_told_in_the_log() {
    let me = Whisk::shared().await.namespace().await;
    let trigger = me.put_trigger(&json!({})).await;
    let gone = me.put_js("gone", ECHO).await;
    let mut fixed = tests::fixtures::js(ECHO);
    fixed["parameters"] = json!([{ "key": "a", "value": 1 }]);
    fixed["annotations"] = json!([{ "key": "final", "value": true }]);
    let fixed = me.create("fixed", &fixed).await;
    let failing = me.put_js("failing", APPLICATION_ERROR).await;
    for action in [&gone, &fixed, &failing] {
        me.put_rule(&trigger, action).await;
    }
    me.delete(format!("actions/{gone}")).await.expect(200);
    let lines = rules_of(&me.fire_trigger(&trigger, &json!({ "a": 2 })).await);
    let of = |action: &str| {
        let id = format!("{}/{action}", me.name);
        lines.iter().find(|line| line["action"] == json!(id)).cloned().expect("every rule has a line")
    };
    assert_eq!((&of(&gone)["statusCode"], &of(&gone)["error"]), (&json!(1), &json!(MISSING)));
    let text = "Request defines parameters that are not allowed (e.g., reserved properties).";
    assert_eq!((&of(&fixed)["statusCode"], &of(&fixed)["error"]), (&json!(1), &json!(text)));
    assert_eq!(of(&failing)["statusCode"], 0, "how it ends is its own affair");
    // A name that has become that of something else is no action either.
    me.put(format!("triggers/{gone}"), &json!({})).await.expect(200);
    let lines = rules_of(&me.fire_trigger(&trigger, &json!({})).await);
    let other = lines.iter().find(|line| line["action"] == json!(format!("{}/{gone}", me.name)));
    let text = "Resource by this name exists but is not in this collection.";
    assert_eq!(other.map(|line| &line["error"]), Some(&json!(text)));
}

#[tokio::test]
async fn what_an_action_is_given_has_a_size_too() {
    let me = Whisk::shared().await.namespace().await;
    let half = "x".repeat(600 * 1024);
    let (trigger, _, _) = armed(&me, json!([{ "key": "a", "value": half }])).await;
    let record = me.fire_trigger(&trigger, &json!({ "b": half })).await;
    let line = &rules_of(&record)[0];
    assert_eq!(line["statusCode"], 1, "{line}");
    let error = line["error"].as_str().unwrap_or_default();
    assert!(
        error.starts_with("Request larger than allowed: ") && error.ends_with(" > 1048576 bytes."),
        "{error}"
    );
}

#[tokio::test]
async fn a_trigger_without_its_rules_runs_nothing() {
    let me = Whisk::shared().await.namespace().await;
    let (trigger, _, rule) = armed(&me, json!([])).await;
    me.delete(format!("triggers/{trigger}")).await.expect(200);
    me.post(format!("triggers/{trigger}"), &json!({})).await.expect(404);
    me.put(format!("triggers/{trigger}"), &json!({})).await.expect(200);
    me.post(format!("triggers/{trigger}"), &json!({})).await.expect(204);
    me.post(format!("rules/{rule}"), &json!({ "status": "active" })).await.expect(200);
    assert_eq!(rules_of(&me.fire_trigger(&trigger, &json!({})).await).len(), 1);
}

#[tokio::test]
async fn case_297_a_rule_that_is_deleted_and_made_again() {
    let Some((me, _)) = Whisk::shared().await.fresh(297).await else { return };
    let (trigger, echo, rule) = armed(&me, json!([])).await;
    me.fire_trigger(&trigger, &json!({})).await;
    me.delete(format!("rules/{rule}")).await.expect(200);
    me.post(format!("triggers/{trigger}"), &json!({})).await.expect(204);
    let body = json!({ "trigger": format!("/_/{trigger}"), "action": format!("/_/{echo}") });
    me.put(format!("rules/{rule}"), &body).await.expect(200);
    let lines = rules_of(&me.fire_trigger(&trigger, &json!({ "a": 7 })).await);
    assert_eq!(result_of(&me, &lines[0]).await["a"], 7);
}

#[tokio::test]
async fn more_rules_than_are_invoked_at_once_are_all_invoked() {
    let me = Whisk::shared().await.namespace().await;
    let (trigger, echo, _) = armed(&me, json!([])).await;
    for _ in 0..23 {
        me.put_rule(&trigger, &echo).await;
    }
    let lines = rules_of(&me.fire_trigger(&trigger, &json!({})).await);
    assert_eq!(lines.iter().filter(|line| line["success"] == true).count(), 24, "{lines:?}");
    let names: Vec<_> = lines.iter().map(|line| line["rule"].as_str().unwrap_or_default()).collect();
    assert!(names.is_sorted(), "{names:?}");
}

#[tokio::test]
async fn whoever_fires_need_not_stay() {
    use tokio::io::AsyncWriteExt;
    let Some((me, _)) = Whisk::shared().await.fresh(268).await else { return };
    let (trigger, echo, _) = armed(&me, json!([])).await;
    let address = me.url().trim_start_matches("http://").to_owned();
    let mut request = format!(
        "POST /api/v1/namespaces/_/triggers/{trigger} HTTP/1.1\r\nHost: {address}\r\nAuthorization: {}\r\n\
         Content-Type: application/json\r\nContent-Length: 2\r\n\r\n",
        tests::client::basic(&me.auth)
    );
    request.push_str("{}");
    let mut stream = tokio::net::TcpStream::connect(&address).await.expect("the server listens");
    stream.write_all(request.as_bytes()).await.expect("it takes a request");
    // Not a word of the answer is read but that there is one.
    stream.readable().await.expect("it answers");
    drop(stream);
    wait::until("the rule's action has run", RECORDED, || async {
        let count = me.get(format!("activations?name={echo}&count=true")).await.expect(200).json();
        (count["activations"] == 1).then_some(())
    })
    .await;
    me.wait_for_activation_count(2).await;
}
