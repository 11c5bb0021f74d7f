//! What is for the operator of a controller alone.

use serde_json::Value;
use tests::client::basic;
use tests::server::Options;
use tests::whisk::Whisk;

#[tokio::test]
async fn case_016_disabling_takes_the_operators_password() {
    let setting = |name: &str, value: &str| (format!("CONFIG_whisk_controller_{name}"), value.to_owned());
    let environment = vec![setting("username", "operator"), setting("password", "s3cret")];
    let Some(server) = Whisk::own_server(16, Options { environment, ..Options::default() }).await else {
        return;
    };
    let whisk = server.whisk();
    let client = whisk.anonymous();
    let call = || client.post("/disable", &Value::Null);
    call().authorization(&basic("operator:wrong")).await.expect(401).error("username or password are wrong.");
    call().await.expect(401).error("Authentication is possible but has failed or not yet been provided.");
    let answer = call().authorization(&basic("operator:s3cret")).await.expect(200);
    assert_eq!(answer.text(), "controller is disabled");
    server.stop().await;
}
