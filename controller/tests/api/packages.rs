//! Packages as they may be stored and never written here: bindings that lead back to themselves, and
//! changes of other processes.

use common::store::EntityKind;
use serde_json::json;

use crate::harness::{Whisk, echo};

fn package(name: &str, binding: Option<&str>, parameters: serde_json::Value) -> String {
    let mut package = json!({
        "namespace": "guest", "name": name, "parameters": parameters, "annotations": [], "version": "0.0.1",
        "publish": false, "updated": 1,
    });
    if let Some(name) = binding {
        package["binding"] = json!({ "namespace": "guest", "name": name });
    }
    package.to_string()
}

// apache/openwhisk: tests/src/test/scala/org/apache/openwhisk/core/controller/test/PackagesApiTests.scala
#[tokio::test(flavor = "multi_thread")]
async fn bindings_that_lead_back_to_themselves_are_unprocessable() {
    let whisk = Whisk::start().await;
    for (name, to) in [("self", "self"), ("one", "two"), ("two", "one")] {
        whisk.put_document(EntityKind::Package, name, &package(name, Some(to), json!([]))).await;
    }
    for (name, told) in [("self", "self"), ("one", "one")] {
        let text = format!("Package binding 'guest/{told}' contains a circular reference.");
        assert_eq!(whisk.get(&format!("~packages/{name}")).await.refused(422), text);
        for method in ["GET", "POST"] {
            let answer = whisk.call(method, &format!("~actions/{name}/a"), "{}").await;
            assert_eq!(answer.refused(422), text);
        }
        let to_it = json!({ "binding": { "namespace": "_", "name": name } }).to_string();
        assert_eq!(whisk.call("PUT", "~packages/new", &to_it).await.refused(422), text);
        // It can be deleted.
        assert_eq!(whisk.call("DELETE", &format!("~packages/{name}"), "").await.ok()["name"], name);
    }
    whisk.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_package_that_another_process_wrote_is_found_at_once() {
    let whisk = Whisk::start().await;
    whisk.play(echo).await;
    let body = r#"{"exec":{"kind":"nodejs:20","code":"x"}}"#;
    assert_eq!(
        whisk.call("PUT", "~actions/p/a", body).await.refused(404),
        "The requested resource does not exist."
    );
    let parameters = json!([{ "key": "a", "value": 1 }]);
    whisk.put_document(EntityKind::Package, "p", &package("p", None, parameters)).await;
    whisk.call("PUT", "~actions/p/a", body).await.ok();
    let result = whisk.call("POST", "~actions/p/a?blocking=true&result=true", "{}").await.ok();
    assert_eq!(result, json!({ "a": 1 }));
    whisk.stop().await;
}
