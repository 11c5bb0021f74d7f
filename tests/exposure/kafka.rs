//! TLS and SASL to a real broker.

use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use common::bus::kafka::KafkaBus;
use common::bus::{BusError, Inbox, MessageBus, Topic};
use common::config::kafka::KafkaConfig;
use common::metrics::shared::SharedMetrics;
use common::shutdown::Shutdown;
use tests::pki::Authority;
use tests::services::kafka::{ACCOUNT, Kafka};

const PATIENCE: Duration = Duration::from_secs(60);
const MAX_MESSAGE: usize = 1 << 20;

/// Settings for a listener of the broker, with these of its clients.
fn settings(kafka: &Kafka, hosts: &str, clients: &str) -> KafkaConfig {
    let common = toml::from_str(clients).expect("these are settings");
    KafkaConfig { hosts: hosts.to_owned(), common, ..kafka.settings() }
}

/// Why the broker cannot be used.
async fn complaint(config: &KafkaConfig, wanted: &str) -> String {
    let (shutdown, told) = (Shutdown::new(), Mutex::new(String::new()));
    let metrics = SharedMetrics::default();
    let tell = |why: String| {
        if why.contains(wanted) {
            shutdown.request();
        }
        *told.lock().expect("nobody panics with it") = why;
    };
    let connecting = KafkaBus::connect(config, MAX_MESSAGE, &metrics.bus, &shutdown, tell);
    let outcome = tokio::time::timeout(PATIENCE, connecting).await;
    let told = told.lock().expect("nobody panics with it").clone();
    assert!(matches!(outcome, Ok(Err(BusError::Closed))), "it did not say '{wanted}' but '{told}'");
    told
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_go_over_tls_to_whom_the_broker_knows() {
    let authority = Authority::new("kafka");
    let kafka = Kafka::start_secured(&authority).await;
    let (ssl, sasl) = kafka.secured_hosts();
    let client = authority.identity("client");
    let word = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(word.path(), format!("{}\n", ACCOUNT.1)).unwrap();
    let store = tempfile::Builder::new().suffix(".pem").tempfile().unwrap();
    std::fs::write(store.path(), client.pem()).unwrap();
    let ca = format!("ssl-ca-location = '{}'\n", authority.file().display());
    let (certificate, key) = (client.certificate().display(), client.key().display());
    let with_files = format!(
        "security-protocol = 'SSL'\n{ca}ssl-certificate-location = '{certificate}'\nssl-key-location = '{key}'\n"
    );
    let as_java = format!(
        "security-protocol = 'SSL'\nssl-truststore-location = '{}'\nssl-truststore-type = 'PEM'\n\
         ssl-keystore-location = '{}'\nssl-keystore-type = 'PEM'\n",
        authority.file().display(),
        store.path().display()
    );
    let by_password = |mechanism: &str, word: &str| {
        format!(
            "security-protocol = 'SASL_SSL'\n{ca}sasl-mechanism = '{mechanism}'\nsasl-username = '{}'\n{word}\n",
            ACCOUNT.0
        )
    };
    let file = format!("sasl-password-file = '{}'", word.path().display());
    let clients = [
        (&ssl, with_files),
        (&ssl, as_java),
        (&sasl, by_password("PLAIN", &format!("sasl-password = '{}'", ACCOUNT.1))),
        (&sasl, by_password("SCRAM-SHA-256", &file)),
        (&sasl, by_password("SCRAM-SHA-512", &file)),
    ];
    for (hosts, clients) in &clients {
        let config = settings(&kafka, hosts, clients);
        let (shutdown, metrics) = (Shutdown::new(), SharedMetrics::default());
        let connecting =
            KafkaBus::connect(&config, MAX_MESSAGE, &metrics.bus, &shutdown, |why| eprintln!("{why}"));
        let bus = tokio::time::timeout(PATIENCE, connecting).await.expect("it answers").unwrap();
        let topic = Topic::completed("0");
        let mut inbox = Inbox::open(&bus, &topic, "test").await.unwrap();
        bus.publish(&topic, Bytes::from_static(b"hello")).await.unwrap();
        let delivery = tokio::time::timeout(PATIENCE, inbox.next()).await.expect("it comes").unwrap();
        assert_eq!(delivery.message(), "hello", "{clients}");
        delivery.accept();
        assert_eq!(bus.trouble(), None);
        bus.close().await;
    }

    let wrong = settings(&kafka, &sasl, &by_password("SCRAM-SHA-256", "sasl-password = 'wrong'"));
    let told = complaint(&wrong, "invalid credentials").await;
    assert!(told.contains(&sasl), "{told}");
    let stranger = Authority::new("stranger");
    let untrusted = by_password("PLAIN", &file)
        .replace(&authority.file().display().to_string(), &stranger.file().display().to_string());
    let told = complaint(&settings(&kafka, &sasl, &untrusted), "certificate verify failed").await;
    assert!(told.contains("ssl.ca.location"), "{told}");
    complaint(&settings(&kafka, &ssl, &format!("security-protocol = 'SSL'\n{ca}")), "SSL").await;
}

#[tokio::test]
async fn settings_that_no_client_takes_end_the_start() {
    for (clients, named) in [
        ("no-such-thing = 1", "no.such.thing"),
        ("security-protocol = 'TLS'", "security.protocol"),
        ("ssl-truststore-location = '/conf/kafka.jks'", "ssl-ca-location"),
        ("sasl-password-file = '/nowhere'", "/nowhere"),
    ] {
        let config = KafkaConfig { common: toml::from_str(clients).unwrap(), ..KafkaConfig::default() };
        let refused =
            KafkaBus::connect(&config, MAX_MESSAGE, &SharedMetrics::default().bus, &Shutdown::new(), drop)
                .await;
        let error = format!("{:#}", anyhow::Error::from(refused.err().expect("it is refused")));
        assert!(error.contains(named), "{error}");
    }
}
