//! Actions as entities: REST cases 62-148, and packaged paths while there is no package.

use common::config::Config;
use common::entity::limits::{ByteSize, UserLimits};
use common::store::EntityKind;
use serde_json::json;

use crate::harness::{Whisk, basic, key};

const ANOTHER_KIND: &str = "Resource by this name exists but is not in this collection.";

#[tokio::test(flavor = "multi_thread")]
async fn an_action_is_created_changed_and_deleted() {
    let whisk = Whisk::start().await;
    let mut created = whisk.put_action("a").await;
    let updated = created.as_object_mut().unwrap().remove("updated").unwrap().as_u64().unwrap();
    assert_eq!(
        created,
        json!({
            "namespace": "guest", "name": "a", "version": "0.0.1", "publish": false, "parameters": [],
            "exec": {"kind": "nodejs:20", "code": "function main(){}", "binary": false},
            "annotations": [{"key": "provide-api-key", "value": false}, {"key": "exec", "value": "nodejs:20"}],
            "limits": {"timeout": 60000, "memory": 256, "logs": 10, "concurrency": 1},
        })
    );
    let body = r#"{"exec":{"kind":"nodejs:20","code":"x"}}"#;
    assert_eq!(whisk.call("PUT", "~actions/a", body).await.refused(409), "resource already exists");
    let change = r#"{"parameters":[{"key":"p","value":{"ä":"<&>"},"init":true}],"publish":true,
        "annotations":[{"key":"k1","value":1},{"key":"exec","value":"foo"}],"limits":{"memory":128},"unknown":1}"#;
    let changed = whisk.call("PUT", "~actions/a?overwrite=true", change).await;
    assert!(changed.body.contains(r#"[{"key":"p","value":{"ä":"<&>"},"init":true}]"#), "{changed:?}");
    let changed = changed.ok();
    assert_eq!((changed["version"].as_str(), changed["publish"].as_bool()), (Some("0.0.2"), Some(true)));
    assert!(changed["updated"].as_u64().unwrap() > updated);
    assert_eq!(changed["exec"]["code"], "function main(){}");
    let again =
        r#"{"delAnnotations":["k1"],"exec":{"kind":"python:default","code":"def main"},"version":"0.0.1"}"#;
    let again = whisk.call("PUT", "~actions/a?overwrite=1", again).await.ok();
    assert_eq!(again["annotations"][1], json!({"key": "exec", "value": "python:3.10"}));
    assert_eq!(
        (again["annotations"].as_array().unwrap().len(), again["version"].as_str()),
        (2, Some("0.0.1"))
    );
    assert_eq!(
        (again["limits"]["memory"].as_u64(), again["parameters"][0]["key"].as_str()),
        (Some(128), Some("p"))
    );
    let bare = whisk.get("~actions/a?code=false").await.ok();
    assert_eq!(bare["exec"], json!({"kind": "python:3.10", "binary": false}));
    assert_eq!(whisk.get("~actions/a?code=true").await.ok()["exec"]["code"], "def main");
    assert_eq!(whisk.call("DELETE", "~actions/a", "").await.ok()["exec"]["code"], "def main");
    assert_eq!(whisk.call("DELETE", "~actions/a", "").await.status, 404);
    assert_eq!(whisk.get("~actions/a").await.status, 404);
    whisk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_with_a_put_is_told() {
    let whisk = Whisk::start().await;
    let malformed = |text: &str| format!("The request content was malformed:\n{text}");
    for (query, body, told) in [
        ("", "{}", "exec undefined".to_owned()),
        ("", "[]", malformed("JSON object expected")),
        ("", r#"{"exec":{}}"#, malformed("'kind' must be a string defined in 'exec'")),
        ("", r#"{"version":"xyz"}"#, malformed("semantic version malformed")),
        ("?overwrite=maybe", "{}", "The query parameter 'overwrite' was malformed:\n'maybe' is not a valid Boolean value".to_owned()),
        ("", r#"{"limits":{"memory":513}}"#, "requirement failed: memory size 513 MB exceeds allowed threshold of 512 MB".to_owned()),
        ("", r#"{"limits":{"instances":31}}"#, "Max action instance concurrency must not exceed your namespace concurrency of 30.".to_owned()),
        ("", r#"{"exec":{"kind":"nodejs:10","code":"x"}}"#, "The 'nodejs:10' runtime is no longer supported. You may read and delete but not update or invoke this action.".to_owned()),
    ] {
        assert_eq!(whisk.call("PUT", &format!("~actions/a{query}"), body).await.refused(400), told, "{body}");
    }
    let unexpected = whisk.call("PUT", "~actions/a", "{x").await.refused(400);
    assert!(unexpected.starts_with(&malformed("Unexpected character")), "{unexpected}");
    let signed = format!("Authorization: {}\r\n", basic(&whisk.key));
    let path = "/api/v1/namespaces/_/actions/a";
    assert_eq!(
        whisk.raw("PUT", path, &format!("{signed}Content-Type: text/plain\r\n"), "").await.status,
        415
    );
    assert_eq!(whisk.raw("PUT", path, &signed, "{}").await.status, 415);
    let empty = whisk.raw("PUT", path, &signed, "").await.refused(400);
    assert!(empty.starts_with(&malformed("Unexpected end-of-input")), "{empty}");
    assert_eq!(whisk.get(path).await.status, 404);
    whisk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_put_is_measured_and_kinds_are_restricted() {
    let own = UserLimits {
        max_parameter_size: Some(ByteSize::from_bytes(1000)),
        allowed_kinds: Some(vec!["nodejs:20".into()]),
        max_action_memory: Some(256),
        ..UserLimits::default()
    };
    let whisk = Whisk::with(Config::default(), own).await;
    let parameters =
        |size: usize| format!(r#"{{"parameters":[{{"key":"a","value":"{}"}}]}}"#, "x".repeat(size));
    let told = whisk.call("PUT", "~actions/a", &parameters(998)).await.refused(413);
    assert_eq!(told, "parameters larger than allowed: 1001 > 1000 bytes.");
    assert_eq!(whisk.call("PUT", "~actions/a", &parameters(997)).await.refused(400), "exec undefined");
    let code = |size: usize| format!(r#"{{"exec":{{"kind":"nodejs:20","code":"{}"}}}}"#, "x".repeat(size));
    let most = 48 * 1024 * 1024;
    let told = whisk.call("PUT", "~actions/a", &code(most + 1)).await.refused(413);
    assert_eq!(told, "exec larger than allowed: 50331649 > 50331648 bytes.");
    let large = whisk.call("PUT", "~actions/a", &code(most)).await.ok();
    assert_eq!(large["exec"]["code"].as_str().unwrap().len(), most);
    let told = whisk.call("PUT", "~actions/b", r#"{"exec":{"kind":"python:default","code":"x"}}"#).await;
    let forbidden = "The supplied authentication is not authorized to access actions of kind 'python:3.10'.";
    assert_eq!(told.refused(403), forbidden);
    let memory = r#"{"exec":{"kind":"nodejs:20","code":"x"},"limits":{"memory":512}}"#;
    let told = whisk.call("PUT", "~actions/b", memory).await.refused(400);
    assert!(told.ends_with("memory size 512 MB exceeds allowed threshold of 256 MB"), "{told}");
    whisk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_have_pages_and_summaries() {
    let whisk = Whisk::start().await;
    for n in 0..31 {
        whisk.put_action(&format!("a{n}")).await;
    }
    let listed = async |query: &str| whisk.get(&format!("~actions{query}")).await.ok();
    assert_eq!(listed("").await.as_array().unwrap().len(), 30);
    assert_eq!(listed("/?limit=0").await.as_array().unwrap().len(), 31);
    let page = listed("?skip=1&limit=2&docs=true").await;
    assert_eq!((page[0]["name"].as_str(), page[1]["name"].as_str()), (Some("a29"), Some("a28")));
    let mut keys: Vec<&String> = page[0].as_object().unwrap().keys().collect();
    keys.sort();
    assert_eq!(keys, ["annotations", "exec", "limits", "name", "namespace", "publish", "updated", "version"]);
    assert_eq!(page[0]["exec"], json!({"binary": false}));
    assert_eq!(listed("?count=true&skip=1").await, json!({"actions": 30}));
    assert_eq!(listed("?count=true&skip=99").await, json!({"actions": 0}));
    let told = whisk.get("~actions?limit=201").await.refused(400);
    assert_eq!(
        told,
        "The query parameter 'limit' was malformed:\nThe value '201' is not in the range of 0 to 200 for actions."
    );
    whisk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_shared_and_strangers_learn_nothing() {
    let whisk = Whisk::start().await;
    let other = key("other");
    whisk.sign_up("other-subject", false, &[("other", &other)]).await;
    whisk.put_document(EntityKind::Trigger, "t", "{}").await;
    whisk.put_document(EntityKind::Action, "broken", "{}").await;
    let body = r#"{"exec":{"kind":"nodejs:20","code":"x"}}"#;
    for method in ["GET", "DELETE", "POST"] {
        assert_eq!(whisk.call(method, "~actions/t", "").await.refused(409), ANOTHER_KIND);
        assert_eq!(whisk.call(method, "~actions/t/a", "").await.refused(409), ANOTHER_KIND);
    }
    assert_eq!(whisk.call("PUT", "~actions/t", body).await.refused(409), ANOTHER_KIND);
    for (method, body) in [("GET", ""), ("DELETE", ""), ("PUT", body)] {
        let told = whisk.call(method, "~actions/broken?overwrite=true", body).await.refused(500);
        assert_eq!(told, "Resource is corrupted and cannot be read.");
        assert_eq!(
            whisk.call(method, "~actions/nopkg/a", body).await.refused(404),
            "The requested resource does not exist."
        );
    }
    assert_eq!(whisk.get("~actions/nopkg/").await.refused(404), "The requested resource does not exist.");
    let denied = async |method: &str, path: &str, body: &str| {
        let path = format!("/api/v1/namespaces/guest/actions/{path}");
        let told = whisk.call_as(&other, method, &path, body).await.refused(403);
        let told = told.strip_prefix("The supplied authentication is not authorized to access '");
        told.and_then(|told| told.strip_suffix("'.")).unwrap().to_owned()
    };
    for method in ["GET", "DELETE", "POST"] {
        assert_eq!(denied(method, "t", "").await, "guest/t");
        assert_eq!(denied(method, "missing", "").await, "guest/missing");
    }
    assert_eq!(denied("PUT", "a", body).await, "guest/a");
    assert_eq!(denied("GET", "p/a", "").await, "guest/p");
    assert_eq!(denied("POST", "p/a", "").await, "guest/p");
    assert_eq!(denied("PUT", "p/a", body).await, "guest/p/a");
    assert_eq!(denied("DELETE", "p/a", "").await, "guest/p/a");
    assert_eq!(denied("GET", "p/", "").await, "guest/p");
    assert_eq!(whisk.call("DELETE", "~actions/p/", "").await.status, 404);
    whisk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_concurrent_changes_each_is_answered_and_none_is_lost() {
    let whisk = Whisk::start().await;
    whisk.put_action("a").await;
    let puts = (0..8).map(|_| whisk.call("PUT", "~actions/a?overwrite=true", "{}"));
    let answers = futures::future::join_all(puts).await;
    let written = answers.iter().filter(|answer| answer.status == 200).count();
    for answer in answers.iter().filter(|answer| answer.status != 200) {
        assert_eq!(answer.refused(409), "Concurrent modification to resource detected.");
    }
    let version = whisk.get("~actions/a").await.ok()["version"].clone();
    assert_eq!(version, format!("0.0.{}", written + 1));
    whisk.stop().await;
}
