//! The API and the invoker over TLS, by certificates of an authority that is made here.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::json;
use tests::client::Client;
use tests::namespace::Namespace;
use tests::pki::Authority;
use tests::server::{GUEST, Home, Options, Server};
use tests::{clients, wait};

const PATIENCE: Duration = Duration::from_secs(30);

/// An action that calls the API as its platform tells it to, and returns the names that it finds and what becomes of
/// other paths.
const CALLER: &str = "
const http = require('http');
function get(path) {
  const auth = 'Basic ' + Buffer.from(process.env.__OW_API_KEY).toString('base64');
  return new Promise((done, failed) => {
    http.get(process.env.__OW_API_HOST + path, { headers: { authorization: auth } }, answer => {
      let text = '';
      answer.on('data', piece => { text += piece; });
      answer.on('end', () => done({ status: answer.statusCode, text }));
    }).on('error', failed);
  });
}
async function main({ paths }) {
  const actions = JSON.parse((await get('/api/v1/namespaces/_/actions')).text);
  const statuses = [];
  for (const path of paths) statuses.push((await get(path)).status);
  return { names: actions.map(action => action.name), statuses };
}";

/// Demands that an action of this namespace reaches the API, and nothing that operators ask.
pub async fn expect_calls_back(namespace: &Namespace) {
    let action = json!({
        "exec": { "kind": "nodejs:default", "code": CALLER },
        "annotations": [{ "key": "provide-api-key", "value": true }],
    });
    let name = namespace.create("caller", &action).await;
    let paths =
        ["/ping", "/api/v1", "/metrics", "/metrics/targets", "/invokers", "/ready", "/api/v1/../metrics"];
    let result = namespace.result(&name, &json!({ "paths": paths })).await;
    assert_eq!(result["names"], json!([name]), "{result}");
    assert_eq!(result["statuses"], json!([200, 200, 404, 404, 404, 404, 404]), "{result}");
}

fn guest(server: &Server, authority: &Authority) -> Namespace {
    Namespace::new("guest", GUEST, Client::trusting(server.url(), Some(GUEST), &authority.pem(), None))
}

/// Fails with what an error and its causes say.
async fn refused(client: &Client) -> String {
    let error = client.get("/ping").send().await.expect_err("the server is not trusted");
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(&error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[tokio::test]
async fn clients_that_trust_the_authority_are_served_and_actions_call_back() {
    let authority = Authority::new("api");
    let options = Options { tls: Some(authority.identity("api")), ..Options::default() };
    let server = Server::start(options).await;
    expect_calls_back(&guest(&server, &authority)).await;
    let stranger = Client::trusting(server.url(), None, &Authority::new("other").pem(), None);
    let error = refused(&stranger).await;
    assert!(error.contains("UnknownIssuer"), "{error}");
    // Without TLS nobody is heard there.
    let plain = Client::new(&server.url().replace("https", "http"), None);
    assert!(plain.get("/ping").send().await.is_err());
    server.stop().await;
}

#[tokio::test]
async fn the_command_line_client_works_with_the_authority_and_without() {
    let Some(wsk) = clients::wsk() else {
        eprintln!("skipped: there is no wsk (OXWHISK_WSK)");
        return;
    };
    let authority = Authority::new("wsk");
    let server = Server::start(Options { tls: Some(authority.identity("wsk")), ..Options::default() }).await;
    let run = |arguments: &[&str], trusted: Option<&Path>| {
        let mut command = Command::new(&wsk);
        command
            .args(["--apihost", server.url(), "--auth", GUEST])
            .args(arguments)
            .env_remove("SSL_CERT_FILE");
        command.env("WSK_CONFIG_FILE", server.home().folder().join("wskprops"));
        command.envs(trusted.map(|file| ("SSL_CERT_FILE", file)));
        let output = command.output().expect("wsk can be run");
        let said = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned());
        (output.status.success(), said.concat())
    };
    let (done, said) = run(&["-i", "action", "list"], None);
    assert!(done, "{said}");
    let (done, said) = run(&["action", "list"], Some(&authority.file()));
    assert!(done, "{said}");
    let (done, said) = run(&["action", "list"], None);
    assert!(!done && said.contains("certificate"), "{said}");
    server.stop().await;
}

#[tokio::test]
async fn a_new_certificate_is_served_without_a_restart() {
    let old = Authority::new("old");
    let identity = old.identity("api");
    let server = Server::start(Options { tls: Some(identity.clone()), ..Options::default() }).await;
    let new = Authority::new("new");
    let renewed = new.identity("api");
    // What cannot be used is told, and changes nothing.
    std::fs::copy(renewed.key(), identity.key()).unwrap();
    wait::until("the wrong key is told", PATIENCE, || async {
        server.output().contains("the TLS certificate stays as it was").then_some(())
    })
    .await;
    let trusts_old = || Client::trusting(server.url(), None, &old.pem(), None);
    assert_eq!(trusts_old().get("/ping").await.text(), "pong");
    std::fs::copy(renewed.certificate(), identity.certificate()).unwrap();
    wait::until("the new certificate is served", PATIENCE, || async {
        let client = Client::trusting(server.url(), None, &new.pem(), None);
        client.get("/ping").send().await.ok()
    })
    .await;
    assert!(refused(&trusts_old()).await.contains("UnknownIssuer"));
    server.stop().await;
}

#[tokio::test]
async fn where_client_authorities_are_named_clients_show_a_certificate() {
    let (authority, stranger) = (Authority::new("mutual"), Authority::new("stranger"));
    let identity = authority.identity("api");
    let environment = [("OXWHISK_TLS_CLIENT_CA".to_owned(), authority.file().display().to_string())];
    let options = Options { tls: Some(identity), environment: environment.into(), ..Options::default() };
    // The harness shows none, so it cannot find out when the server is ready.
    let server = Home::new(options).spawn();
    let shows = |pem: &str| Client::trusting(server.url(), None, &authority.pem(), Some(pem));
    let known = authority.identity("client").pem();
    wait::until("the server answers", PATIENCE, || async { shows(&known).get("/ping").send().await.ok() })
        .await;
    assert!(shows(&stranger.identity("client").pem()).get("/ping").send().await.is_err());
    assert!(Client::trusting(server.url(), None, &authority.pem(), None).get("/ping").send().await.is_err());
    server.stop().await;
}

#[test]
fn what_is_wrong_with_the_files_is_said_at_the_start() {
    let authority = Authority::new("wrong");
    let (one, other) = (authority.identity("one"), authority.identity("other"));
    let home = Home::new(Options::default());
    let said = |arguments: &[&Path], config: &str| {
        let file = home.folder().join("oxwhisk.toml");
        std::fs::write(&file, config).unwrap();
        let mut command = home.command();
        for (flag, path) in ["--tls-cert", "--tls-key"].iter().zip(arguments) {
            command.arg(flag).arg(path);
        }
        let output = command.arg("--config").arg(&file).output().expect("it can be run");
        assert!(!output.status.success(), "{config}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let text = said(&[one.certificate(), other.key()], "");
    assert!(text.contains("other.key.pem: it is not the key of") && text.contains("one.cert.pem"), "{text}");
    let text = said(&[Path::new("/nowhere.pem"), one.key()], "");
    assert!(text.contains("/nowhere.pem: it cannot be read"), "{text}");
    let text = said(&[one.certificate()], "");
    assert!(text.contains("--tls-key"), "{text}");
    let text = said(&[], "[whisk.controller]\nprotocol = 'https'\n");
    assert!(text.contains("--tls-cert"), "{text}");
    let store = "[whisk.controller.https]\nkeystore-flavor = 'PKCS12'\nkeystore-path = '/conf/a.p12'\nkeystore-password = 'x'\n";
    let text = said(&[], store);
    assert!(text.contains("/conf/a.p12") && text.contains("openssl pkcs12"), "{text}");
}
