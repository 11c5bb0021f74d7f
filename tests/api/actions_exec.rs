//! `exec` in its forms: managed kinds, blackbox images, archives, `main`.

use serde_json::{Value, json};
use tests::fixtures;
use tests::place::{unique, workspace};
use tests::server::Options;
use tests::whisk::Whisk;

const IMAGE: &str = "openwhisk/dockerskeleton:nightly";

/// The manifest that ships with the server.
pub fn shipped_manifest() -> Value {
    let file = workspace().join("runtimes/runtimes.json");
    let text = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

#[tokio::test]
async fn case_092_java_needs_main() {
    let mut manifest = shipped_manifest();
    manifest["runtimes"]["java"] = json!([{
        "kind": "java:21",
        "default": true,
        "deprecated": false,
        "requireMain": true,
        "image": { "prefix": "openwhisk", "name": "java8action", "tag": "nightly" }
    }]);
    let options = Options { manifest: Some(manifest), ..Options::default() };
    let Some(server) = Whisk::own_server(92, options).await else { return };
    let me = server.whisk().namespace().await;
    let path = format!("actions/{}", unique("a"));
    let without = json!({ "exec": { "kind": "java:default", "code": "eA==" } });
    let answer = me.put(&path, &without).await.expect(400);
    answer.error_contains("'main' must be a string defined in 'exec' for");

    let with = json!({ "exec": { "kind": "java:default", "code": "eA==", "main": "Hello" } });
    assert_eq!(me.put(&path, &with).await.expect(200).json()["exec"]["kind"], "java:21");
    server.stop().await;
}

#[tokio::test]
async fn case_097_a_blackbox_without_code() {
    let me = Whisk::shared().await.namespace().await;
    for code in ["", "  "] {
        let body = json!({ "exec": { "kind": "blackbox", "image": IMAGE, "code": code } });
        let action = me.put(format!("actions/{}", unique("a")), &body).await.expect(200).json();
        assert_eq!(action["exec"], json!({ "kind": "blackbox", "image": IMAGE, "binary": false }));
    }
}

#[tokio::test]
async fn case_098_a_blackbox_with_code() {
    let me = Whisk::shared().await.namespace().await;
    let body = json!({ "exec": { "kind": "blackbox", "image": IMAGE, "code": "some code;" } });
    let name = me.create("a", &body).await;
    let action = me.get(format!("actions/{name}")).await.expect(200).json();
    assert_eq!(action["exec"]["code"], "some code;");
    assert_eq!(action["exec"]["image"], IMAGE);
}

#[tokio::test]
async fn case_100_an_archive_is_binary() {
    let me = Whisk::shared().await.namespace().await;
    let name = me.put_js("zip", &fixtures::node_zip()).await;
    let action = me.get(format!("actions/{name}")).await.expect(200).json();
    assert_eq!(action["exec"]["binary"], true);
    assert_eq!(action["exec"]["code"], json!(fixtures::node_zip()));

    let mut claimed = fixtures::js("function main() {}");
    claimed["exec"]["binary"] = json!(true);
    let name = me.create("text", &claimed).await;
    let action = me.get(format!("actions/{name}")).await.expect(200).json();
    assert_eq!(action["exec"]["binary"], false, "what the client claims is ignored");
}

#[tokio::test]
async fn case_102_another_entry_point() {
    let me = Whisk::shared().await.namespace().await;
    let mut body = fixtures::js("function niam(args) { return { niam: true }; }");
    body["exec"]["main"] = json!("niam");
    let name = me.create("a", &body).await;
    let action = me.get(format!("actions/{name}")).await.expect(200).json();
    assert_eq!(action["exec"]["main"], "niam");
    assert_eq!(me.result(&name, &json!({})).await, json!({ "niam": true }));
}

#[tokio::test]
async fn a_kind_is_read_without_blanks_and_case() {
    let me = Whisk::shared().await.namespace().await;
    let body = json!({ "exec": { "kind": " NodeJS:20 ", "code": "x;" } });
    let action = me.put(format!("actions/{}", unique("a")), &body).await.expect(200).json();
    assert_eq!(action["exec"]["kind"], "nodejs:20");
}
