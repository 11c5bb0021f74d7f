//! Records: REST cases 300-330, as far as they are the controller's.

use common::clock::Millis;
use common::entity::activation::{Activation, ActivationHead, Response, Status};
use common::entity::id::ActivationId;
use common::entity::name::EntityName;
use common::entity::parameters::Parameters;
use common::entity::version::SemVer;
use serde_json::json;

use crate::harness::{Whisk, key};

fn record(path: &str, start: u64) -> Activation {
    let name = path.rsplit('/').next().unwrap();
    Activation {
        head: ActivationHead {
            namespace: EntityName::parse("guest").unwrap(),
            name: EntityName::parse(name).unwrap(),
            version: SemVer::FIRST,
            publish: false,
            subject: "guest".into(),
            activation_id: ActivationId::generate(),
            cause: None,
            start: Millis(start),
            end: Some(Millis(start + 7)),
            duration: Some(7),
            annotations: Parameters::new().with("path", path),
        },
        response: Response {
            status: Status::Success,
            result: Some(common::entity::json::raw(&json!({"a": 1}))),
            size: Some(7),
        },
        logs: vec!["2024-01-01T00:00:00.000000000Z stdout: hi".into()],
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_shown_whole_and_in_parts() {
    let whisk = Whisk::start().await;
    let record = record("guest/a", 1_000);
    let id = record.head.activation_id;
    whisk.stores.activations.store(&[record]).await.unwrap();
    let get = async |rest: &str| whisk.get(&format!("~activations/{id}{rest}")).await;
    for slash in ["", "/"] {
        let whole = get(slash).await.ok();
        assert_eq!(
            whole["response"],
            json!({"status": "success", "success": true, "result": {"a": 1}, "size": 7})
        );
        assert_eq!(
            (whole["duration"].as_u64(), whole["activationId"].as_str()),
            (Some(7), Some(&*id.to_string()))
        );
    }
    assert_eq!(get("/result").await.ok()["result"], json!({"a": 1}));
    assert_eq!(get("/logs").await.ok(), json!({"logs": ["2024-01-01T00:00:00.000000000Z stdout: hi"]}));
    assert_eq!(get("/bogus").await.status, 404);
    assert_eq!(whisk.call("DELETE", &format!("~activations/{id}"), "").await.status, 405);
    let unused = ActivationId::generate();
    for rest in ["", "/result", "/logs"] {
        assert_eq!(
            whisk.get(&format!("~activations/{unused}{rest}")).await.refused(404),
            "The requested resource does not exist."
        );
    }
    let short = whisk.get("~activations/0123456789abcdef0123456789abcde").await.refused(400);
    assert_eq!(short, "Activation id length is 31 but must be 32.");
    for bad in ["0123456789abcdef0123456789abcdeg", "0123456789abcdef0123456789abcdeF"] {
        assert_eq!(
            whisk.get(&format!("~activations/{bad}")).await.refused(400),
            "The activation id is not valid."
        );
    }
    let other = key("other");
    whisk.sign_up("other-subject", false, &[("other", &other)]).await;
    assert_eq!(
        whisk.call_as(&other, "GET", &format!("/api/v1/namespaces/guest/activations/{id}"), "").await.status,
        403
    );
    assert_eq!(whisk.call_as(&other, "GET", &format!("~activations/{id}"), "").await.status, 404);
    whisk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_are_filtered() {
    let whisk = Whisk::start().await;
    let records = [record("guest/a", 1_000), record("guest/p/a", 2_000), record("guest/b", 3_000)];
    whisk.stores.activations.store(&records).await.unwrap();
    let starts = async |query: &str| {
        let list = whisk.get(&format!("~activations?{query}")).await.ok();
        list.as_array().unwrap().iter().map(|item| item["start"].as_u64().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(starts("").await, [3_000, 2_000, 1_000]);
    assert_eq!(starts("name=").await.len(), 3);
    assert_eq!(starts("name=a").await, [1_000]);
    assert_eq!(starts("name=p/a").await, [2_000]);
    assert_eq!(starts("since=2000&upto=3000").await, [3_000, 2_000]);
    assert_eq!(starts("skip=1&limit=1").await, [2_000]);
    let item = whisk.get("~activations/?limit=1").await.ok()[0].clone();
    assert_eq!((item["statusCode"].as_u64(), item["duration"].as_u64()), (Some(0), Some(7)));
    assert!(["response", "logs", "subject"].iter().all(|key| item.get(key).is_none()), "{item}");
    let doc = whisk.get("~activations?docs=true&limit=1").await.ok()[0].clone();
    assert!(doc["response"]["success"] == json!(true) && doc["logs"].is_array());
    assert_eq!(whisk.get("~activations?count=true&since=2000&skip=1").await.ok(), json!({"activations": 1}));
    for (query, told) in [
        ("docs=true&count=true", "The parameter 'docs' is not permitted with 'count'."),
        (
            "since=xyz",
            "The query parameter 'since' was malformed:\nParameter is not a valid value for epoch seconds: xyz",
        ),
        (
            "name=a/b/c",
            "The query parameter 'name' was malformed:\nParameter may be a 'simple' name or 'package-name/simple' name: a/b/c",
        ),
        (
            "limit=201",
            "The query parameter 'limit' was malformed:\nThe value '201' is not in the range of 0 to 200 for activations.",
        ),
    ] {
        assert_eq!(whisk.get(&format!("~activations?{query}")).await.refused(400), told);
    }
    assert_eq!(whisk.get("~activations?name=$x").await.status, 400);
    whisk.stop().await;
}
