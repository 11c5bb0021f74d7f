//! A controller and an invoker that speak TLS to everybody: to clients, to Kafka with a password, to PostgreSQL.

use std::process::Command;

use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use tests::client::{Client, basic};
use tests::deployment::{Pair, Role, Site};
use tests::docker::bridge_address;
use tests::fixtures::ECHO;
use tests::namespace::Namespace;
use tests::pki::Authority;
use tests::place;
use tests::server::Options;
use tests::services::kafka::{ACCOUNT, Kafka};
use tests::services::postgres::Postgres;

use crate::api_tls::expect_calls_back;

#[tokio::test(flavor = "multi_thread")]
async fn everybody_speaks_tls_and_nobody_is_the_operator_without_a_password() {
    let authority = Authority::new("site");
    let (kafka, postgres) = (
        Kafka::start_secured(&authority).await,
        Postgres::start_with_tls(&authority.identity("postgres")).await,
    );
    let ca = authority.file().display().to_string();
    let url = postgres.database().await;
    let folder = tempfile::tempdir().unwrap();
    let environment = [
        ("CONFIG_whisk_kafka_common_securityProtocol", "SASL_SSL"),
        ("CONFIG_whisk_kafka_common_sslCaLocation", &ca),
        ("CONFIG_whisk_kafka_common_saslMechanism", "SCRAM-SHA-512"),
        ("CONFIG_whisk_kafka_common_saslUsername", ACCOUNT.0),
        ("CONFIG_whisk_kafka_common_saslPassword", ACCOUNT.1),
        ("CONFIG_whisk_postgres_sslMode", "verify-full"),
        ("CONFIG_whisk_postgres_sslRootCert", &ca),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let options = Options {
        tls: Some(authority.identity("node")),
        environment,
        user_memory: "512m".to_owned(),
        ..Options::default()
    };
    let pair = Pair::start_on(Site::on(kafka.secured_hosts().1, url.clone(), options)).await;

    let key = pair.site().admin().create_user("somebody").await;
    let client = Client::trusting(pair.controller().url(), Some(&key), &authority.pem(), None);
    let somebody = Namespace::new("somebody", &key, client);
    let name = somebody.put_js("echo", ECHO).await;
    assert_eq!(somebody.result(&name, &json!({ "a": 1 })).await, json!({ "a": 1 }));

    let mut own = PgConnection::connect(&url).await.unwrap();
    let count = "SELECT count(*) FILTER (WHERE ssl), count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                 WHERE application_name = 'oxwhisk'";
    let (encrypted, all): (i64, i64) = sqlx::query_as(count).fetch_one(&mut own).await.unwrap();
    assert!(encrypted == all && all >= 4, "{encrypted} of {all} connections are encrypted");

    // No password is set: nobody is let in, whatever they say.
    let nobody = [None, Some(basic(":")), Some(basic("admin:admin")), Some(basic("invoker:"))];
    for (node, paths) in
        [(pair.controller(), &["/disable"][..]), (pair.invoker(), &["/disable", "/enable"][..])]
    {
        for (path, says) in paths.iter().flat_map(|path| nobody.iter().map(move |says| (path, says))) {
            let call = node.client().post(path, &Value::Null);
            let call = if let Some(says) = says { call.authorization(says) } else { call };
            call.await.expect(401);
        }
    }

    // A probe asks over TLS.
    for (program, node) in [(place::controller(), pair.controller()), (place::invoker(), pair.invoker())] {
        let file = folder.path().join("address");
        let probe = || {
            let mut probe = Command::new(&program);
            probe.arg("--probe").arg("--address-file").arg(&file);
            probe.output().expect("it can be run")
        };
        std::fs::write(&file, format!("https://127.0.0.1:{}", node.port())).unwrap();
        let answer = probe();
        assert!(answer.status.success(), "{}", String::from_utf8_lossy(&answer.stderr));
        std::fs::write(&file, format!("127.0.0.1:{}", node.port())).unwrap();
        assert!(!probe().status.success(), "it does not speak plainly");
    }

    // What a look before the start finds.
    let found = pair.site().check(Role::Controller, place::free_port(), &[]);
    found.expect_health();
    for what in ["the TLS certificate", "the authorities of Kafka", "the authorities of PostgreSQL"] {
        found.expect("ok", &[what, "good until"]);
    }
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_reach_the_api_plainly_where_it_has_an_address_for_them() {
    let authority = Authority::new("actions");
    let options = Options {
        tls: Some(authority.identity("node")),
        user_memory: "512m".to_owned(),
        ..Options::default()
    };
    // An address of this machine that is not their bridge's gateway: the firewall would close it to actions.
    let at = format!("{}:{}", bridge_address(), place::free_port());
    let url = format!("http://{at}");
    let site = Site::shared(options).await;
    let pair = Pair::start_with(site, [&["--actions-address", &at], &["--api-host", &url]]).await;

    let key = pair.site().admin().create_user("caller").await;
    let over_tls = Client::trusting(pair.controller().url(), Some(&key), &authority.pem(), None);
    expect_calls_back(&Namespace::new("caller", &key, over_tls)).await;
    // Each of the two is what it is said to be.
    let plain = |url: &str| Client::new(&url.replace("https", "http"), None);
    assert!(plain(pair.controller().url()).get("/ping").send().await.is_err());
    assert_eq!(plain(&url).get("/ping").await.text(), "pong");
    pair.stop().await;
}
