//! `oxwhisk-controller --check` and `oxwhisk-invoker --check`: healthy services, and broken ones.

use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer};
use sqlx::{Connection, PgConnection};
use tests::deployment::{Pair, Role, Site};
use tests::pki::Authority;
use tests::place;
use tests::server::Options;
use tests::services::kafka::Kafka;
use tests::services::postgres::Postgres;

/// How long the broker may take to answer.
const ANSWER: Duration = Duration::from_secs(10);

/// The names of a site's topics.
fn topics(hosts: &str, prefix: &str) -> Vec<String> {
    let client = ClientConfig::new().set("bootstrap.servers", hosts).create::<BaseConsumer>();
    let metadata = client.expect("these are settings").fetch_metadata(None, ANSWER).expect("it answers");
    let names = metadata.topics().iter().map(|topic| topic.name().to_owned());
    names.filter(|name| name.starts_with(prefix)).collect()
}

async fn tables(database: &str) -> i64 {
    let mut connection = PgConnection::connect(database).await.expect("the server answers");
    let count = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'";
    sqlx::query_scalar(count).fetch_one(&mut connection).await.expect("it can be counted")
}

#[tokio::test(flavor = "multi_thread")]
async fn healthy_services_are_left_as_they_are() {
    let site = Site::shared(Options::default()).await;
    for role in [Role::Controller, Role::Invoker] {
        let found = site.check(role, place::free_port(), &[]);
        found.expect_health();
        found.expect("ok", &["Kafka lets our topics be made"]);
        found.expect("ok", &["the database has no tables yet"]);
    }
    let hosts = Kafka::shared().await.hosts();
    assert!(topics(&hosts, site.prefix()).is_empty(), "no topic was made");
    assert_eq!(tables(site.database()).await, 0, "no table was made");

    let pair = Pair::start_on(site).await;
    let found = pair.site().check(Role::Controller, pair.controller().port(), &[]);
    found.expect_health();
    found.expect("ok", &["the database has the tables of this version"]);
    found.expect("ok", &["2 processes may open 16 connections"]);
    let process = pair.controller().process().to_string();
    found.expect("warn", &["is held by oxwhisk-controller", &process, "--port"]);
    found.expect("ok", &["secret", "is closed to others"]);
    pair.site().check(Role::Invoker, place::free_port(), &[]).expect_health();
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_services_are_named_with_the_remedy() {
    let good = Postgres::shared().await.database().await;
    let hosts = Kafka::shared().await.hosts();
    let check = |hosts: &str, database: &str| {
        let site = Site::on(hosts.to_owned(), database.to_owned(), Options::default());
        site.check(Role::Controller, place::free_port(), &[])
    };
    let mut broker = Kafka::start().await;
    broker.stop().await;
    let found = check(&broker.hosts(), &good);
    found.expect_only_failure(&["Kafka at", &broker.hosts(), "does not answer", "refused", "KAFKA_HOSTS"]);

    let (before, place) = good.rsplit_once('@').expect("an address has a user");
    let wrong = format!("{before}-not@{place}");
    let found = check(&hosts, &wrong);
    let line = found.expect_only_failure(&["PostgreSQL at", "does not let us in", "password"]);
    assert!(!line.contains(before.rsplit_once(':').expect("a password").1), "{line}");
    let found = check(&hosts, &format!("{good}_not"));
    found.expect_only_failure(&["has no such database", "createdb"]);
    let found = check(&hosts, "postgres://oxwhisk@127.0.0.1:1/oxwhisk");
    found.expect_only_failure(&["PostgreSQL at", "does not answer", "whisk.postgres.url"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_files_of_tls_are_looked_at() {
    let authority = Authority::new("doctor");
    let (soon, other) = (authority.identity_until("soon", 13), authority.identity("other"));
    let gone = authority.identity_until("gone", -1);
    let site = Site::shared(Options::default()).await;
    let set = |options: &mut Options, name: &str, file: &Path| {
        options.environment.push((format!("CONFIG_whisk_{name}"), file.display().to_string()));
    };
    let site = site.with(|options| {
        options.tls = Some(other.clone());
        set(options, "postgres_sslRootCert", &authority.file());
        set(options, "postgres_sslCert", soon.certificate());
        set(options, "postgres_sslKey", soon.key());
    });
    for role in [Role::Controller, Role::Invoker] {
        let found = site.check(role, 0, &[]);
        found.expect_health();
        found.expect("ok", &["the TLS certificate", "other.cert.pem: good until"]);
        found.expect("ok", &["the authorities of PostgreSQL", "ca.pem: good until"]);
        found.expect("warn", &["our certificate for PostgreSQL", "soon.cert.pem: expires on", "renew it"]);
        found.expect("ok", &["our key for PostgreSQL", "is closed to others"]);
    }
    let site = site.with(|options| set(options, "postgres_sslKey", other.key()));
    let words = ["our key for PostgreSQL", "other.key.pem: it is not the key of", "soon.cert.pem", "ssl-key"];
    site.check(Role::Controller, 0, &[]).expect_only_failure(&words);
    let site = site.with(|options| {
        set(options, "postgres_sslKey", soon.key());
        set(options, "kafka_common_securityProtocol", Path::new("SSL"));
        set(options, "kafka_common_sslCaLocation", gone.certificate());
    });
    let found = site.check(Role::Controller, 0, &[]);
    found.expect("FAIL", &["the authorities of Kafka", "gone.cert.pem: expired on", "renew it"]);
    found.expect("FAIL", &["Kafka at", "does not answer"]);
    let site = site.with(|options| set(options, "kafka_common_sslCaLocation", Path::new("/nowhere/ca.pem")));
    let words = ["ssl-ca-location: the file /nowhere/ca.pem cannot be read", "mend whisk.kafka.common"];
    site.check(Role::Controller, 0, &[]).expect_only_failure(&words);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_else_is_broken_is_named_with_its_remedy() {
    let site = Site::shared(Options::default()).await;
    let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, place::free_port())).expect("the port was free");
    let port = taken.local_addr().expect("a bound socket has an address").port();
    site.check(Role::Invoker, port, &[]).expect_only_failure(&[&port.to_string(), "is held by cluster"]);
    let held = format!("127.0.0.1:{port}");
    let found = site.check(Role::Controller, 0, &["--metrics-address", &held]);
    found.expect_only_failure(&["is held by cluster", "--metrics-address"]);
    let found = site.check(Role::Controller, 0, &["--actions-address", &held]);
    found.expect_only_failure(&["is held by cluster", "--actions-address"]);

    let state = site.folder().join("state");
    fs::remove_dir(&state).expect("it is empty");
    fs::write(&state, "not a folder").expect("the folder is writable");
    let found = site.check(Role::Controller, 0, &[]);
    found.expect_only_failure(&["the state folder", "is no folder", "--state-dir"]);
    fs::remove_file(&state).expect("it is ours");

    let secret = site.folder().join("secret");
    fs::write(&secret, [7; 32]).expect("a new folder is writable");
    fs::set_permissions(&secret, fs::Permissions::from_mode(0o604)).expect("it is ours");
    site.check(Role::Controller, 0, &[]).expect_only_failure(&["secret", "(mode 604)", "chmod 600"]);
    fs::remove_file(&secret).expect("it is ours");

    // A topic that somebody else made, too narrow for what we send.
    let hosts = Kafka::shared().await.hosts();
    let admin: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", &hosts).create().expect("these are settings");
    let name = format!("{}invoker0", site.prefix());
    let topic = NewTopic::new(&name, 1, TopicReplication::Fixed(1)).set("max.message.bytes", "100000");
    let made = admin.create_topics([&topic], &AdminOptions::new()).await.expect("the broker answers");
    assert!(made[0].is_ok(), "{made:?}");
    let found = site.check(Role::Controller, 0, &[]);
    found.expect_only_failure(&[&name, "takes messages of 100000 bytes", "max.message.bytes"]);
    let site = site.with(|options| {
        options.config = Some("[whisk.kafka]\nreplication-factor = 3\n".to_owned());
    });
    site.check(Role::Controller, 0, &[]).expect("FAIL", &["3 brokers", "replication-factor"]);

    // The database of a version to come.
    let pair = Pair::start(Options::default()).await;
    let site = pair.stop().await;
    let mut connection = PgConnection::connect(site.database()).await.expect("the server answers");
    let newer = "INSERT INTO _sqlx_migrations SELECT 99, description, installed_on, success, checksum, \
        execution_time FROM _sqlx_migrations LIMIT 1";
    sqlx::query(newer).execute(&mut connection).await.expect("the table is there");
    site.check(Role::Invoker, 0, &[]).expect_only_failure(&["the database is of a newer version", "backup"]);
}
