//! Spans that go to a collector over TLS, if its certificate is one to be trusted.

use std::path::Path;

use serde_json::json;
use tests::fixtures::ECHO;
use tests::otlp::Otlp;
use tests::pki::{Authority, Identity};
use tests::server::{Home, Options, Server};
use tests::wait;

use crate::SOON;

/// A platform that traces everything.
fn options(collector: &str, ca: &Path) -> Options {
    let environment = [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.to_owned()),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", ca.display().to_string()),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value)).to_vec();
    Options { environment, ..Options::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_collector_of_the_named_authority_is_sent_spans() {
    let authority = Authority::new("collectors");
    let collector = Otlp::start_with_tls(&authority.identity_for("collector", &["localhost"])).await;
    let server = Server::start(options(collector.url(), &authority.file())).await;
    let me = server.whisk().namespace().await;
    let echo = me.put_js("echo", ECHO).await;
    me.result(&echo, &json!({})).await;
    server.stop().await;
    let spans = collector.spans();
    assert!(spans.iter().any(|span| span.name == "POST /run"), "{spans:#?}");
}

/// Demands that no span goes to a collector with this certificate, that the log says why, and that the platform goes on.
async fn refused(identity: Identity, trusted: &Authority, why: &str) {
    let collector = Otlp::start_with_tls(&identity).await;
    let server = Server::start(options(collector.url(), &trusted.file())).await;
    let me = server.whisk().namespace().await;
    let echo = me.put_js("echo", ECHO).await;
    me.result(&echo, &json!({})).await;
    let told = format!("traces cannot be exported to {}", collector.url());
    wait::until("the log says so", SOON, || async {
        server.output().lines().any(|line| line.contains(&told) && line.contains(why)).then_some(())
    })
    .await;
    assert_eq!(me.result(&echo, &json!({ "a": 1 })).await, json!({ "a": 1 }));
    server.stop().await;
    assert!(collector.spans().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn any_other_collector_is_sent_nothing_and_disturbs_nobody() {
    let (authority, stranger) = (Authority::new("collectors"), Authority::new("stranger"));
    let elsewhere = authority.identity_for("elsewhere", &["elsewhere.example"]);
    tokio::join!(
        refused(stranger.identity("collector"), &authority, "UnknownIssuer"),
        refused(elsewhere, &authority, "not valid for name \"localhost\""),
    );
}

#[test]
fn what_is_wrong_with_the_authorities_is_said_at_the_start() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "no PEM at all\n").unwrap();
    let none = format!("{}: it holds no certificate in PEM", file.path().display());
    for (ca, why) in
        [(Path::new("/nowhere/ca.pem"), "/nowhere/ca.pem: it cannot be read"), (file.path(), &none)]
    {
        let home = Home::new(options("https://localhost:4318", ca));
        let output = home.command().output().expect("it can be run");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(
            !output.status.success() && said.contains("whisk.tracing.otlp.ca") && said.contains(why),
            "{said}"
        );
    }
}
