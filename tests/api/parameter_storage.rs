//! Parameters at rest: what is stored sealed, what actions receive.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use tests::fixtures::{self, ECHO, ENVIRONMENT};
use tests::platform::Platform;
use tests::server::Options;
use tests::whisk::Whisk;

use crate::package_actions::with_parameters;
use crate::packages_bindings::to;

/// A server that stores parameters under this cipher; it has keys for both.
async fn server(case: u16, current: &str) -> Option<Platform> {
    Whisk::own_server(case, Options { environment: settings(current), ..Options::default() }).await
}

fn settings(current: &str) -> Vec<(String, String)> {
    let setting = |key: &str, value: &str| (format!("CONFIG_whisk_parameterStorage_{key}"), value.to_owned());
    vec![
        setting("current", current),
        setting("aes128", &BASE64_STANDARD.encode([1; 16])),
        setting("aes256", &BASE64_STANDARD.encode([2; 32])),
    ]
}

/// Demands that an entry is sealed under that cipher, and returns what is stored.
#[track_caller]
fn sealed(document: &Value, key: &str, cipher: &str) -> String {
    let entries = document["parameters"].as_array().expect("a list");
    let entry = entries.iter().find(|entry| entry["key"] == key).expect("the parameter is there");
    assert_eq!(entry["encryption"], json!(cipher), "{document}");
    let value = entry["value"].as_str().expect("what is sealed is a text").to_owned();
    assert!(BASE64_STANDARD.decode(&value).is_ok_and(|bytes| bytes.len() > 16), "{document}");
    value
}

#[tokio::test]
async fn cases_449_450_451_parameters_are_sealed() {
    for cipher in ["aes-128", "aes-256"] {
        let Some(server) = server(449, cipher).await else { return };
        let me = server.whisk().namespace().await;
        let package = me.put_package("p", &with_parameters(json!({}), &[("p", "P"), ("q", "P")])).await;
        let binding = me.put_package("b", &with_parameters(to("_", &package), &[("q", "B")])).await;
        let mut body = fixtures::js(ECHO);
        body["parameters"] =
            json!([{ "key": "a", "value": { "b": [1, "ü"] } }, { "key": "n", "value": null }]);
        let path = format!("actions/{package}/a");
        me.put(&path, &body).await.expect(200);

        let action = me.get(&path).await.expect(200).json();
        for key in ["a", "p", "q"] {
            sealed(&action, key, cipher);
        }
        let text = me.get(format!("packages/{binding}")).await.expect(200).text();
        assert!(!text.contains("\"P\"") && !text.contains("\"B\""), "{text}");
        sealed(&me.get(format!("packages/{package}")).await.expect(200).json(), "p", cipher);

        // Those of triggers are not.
        let plain = json!([{ "key": "t", "value": "T" }]);
        let trigger = me.put_trigger(&json!({ "parameters": plain })).await;
        assert_eq!(me.get(format!("triggers/{trigger}")).await.expect(200).json()["parameters"], plain);

        let name = format!("{binding}/a");
        let stored = json!({ "a": { "b": [1, "ü"] }, "n": null, "p": "P", "q": "B" });
        assert_eq!(me.result(&name, &json!({})).await, stored);
        let given = json!({ "a": "mine", "p": [1], "q": null, "n": 1, "x": 2 });
        assert_eq!(me.result(&name, &given).await, given, "what an invocation brings is not touched");
        server.stop().await;
    }
}

#[tokio::test]
async fn an_update_leaves_what_is_sealed_and_a_server_opens_what_another_cipher_sealed() {
    let Some(server) = server(449, "aes-128").await else { return };
    let me = server.whisk().namespace().await;
    let name = me.create("a", &with_parameters(fixtures::js(ECHO), &[("a", "x")])).await;
    let path = format!("actions/{name}");
    let stored = sealed(&me.get(&path).await.expect(200).json(), "a", "aes-128");
    let server = server.stop().await.with(|options| options.environment = settings("aes-256")).start().await;
    let me = server.whisk().sign_in(&me.auth).await;
    me.update(&name, &json!({ "publish": true })).await;
    assert_eq!(sealed(&me.get(&path).await.expect(200).json(), "a", "aes-128"), stored);
    assert_eq!(me.result(&name, &json!({})).await, json!({ "a": "x" }));

    let server = server.stop().await.with(|options| options.environment = settings("off")).start().await;
    let me = server.whisk().sign_in(&me.auth).await;
    assert_eq!(me.result(&name, &json!({})).await, json!({ "a": "x" }));
    me.update(&name, &with_parameters(json!({}), &[("a", "y")])).await;
    let plain = json!([{ "key": "a", "value": "y" }]);
    assert_eq!(me.get(&path).await.expect(200).json()["parameters"], plain);
    server.stop().await;
}

#[tokio::test]
async fn init_parameters_are_opened_and_a_foreign_seal_is_a_whisk_error() {
    let Some(server) = server(449, "aes-128").await else { return };
    let me = server.whisk().namespace().await;
    let mut body = fixtures::js(ENVIRONMENT);
    body["parameters"] = json!([{ "key": "TOK", "value": "t", "init": true }]);
    let name = me.create("env", &body).await;
    let result = me.result(&name, &json!({})).await;
    assert_eq!((&result["env"]["TOK"], &result["args"]), (&json!("t"), &json!({})));

    let mut body = fixtures::js(ECHO);
    body["parameters"] = json!([{ "key": "a", "value": "AAAA", "encryption": "aes-128" }]);
    let name = me.create("foreign", &body).await;
    let record = me.invoke(&name, &json!({})).await.expect(500).json();
    assert_eq!(record["response"]["status"], "whisk internal error");
    let result = &record["response"]["result"];
    assert_eq!(*result, json!({ "error": "A parameter of the action could not be decrypted." }));
    assert_eq!(me.result(&name, &json!({ "a": 1 })).await, json!({ "a": 1 }));
    server.stop().await;
}
