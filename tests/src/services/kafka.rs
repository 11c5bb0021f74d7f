//! A real Apache Kafka: one broker a test binary that is its own controller (KRaft), a prefix of topics a
//! test.
//!
//! The broker is Maven's jars, which `cargo xtask test` fetches once into the target folder. It keeps all it
//! has in a temporary folder and ends with the test process.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::config::kafka::KafkaConfig;
use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rustix::process::{Pid, Signal, kill_process};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::guard::Guard;
use crate::pki::Authority;
use crate::place;

/// How long the broker may take to answer, or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at it.
const POLL: Duration = Duration::from_millis(50);

/// How long an answer may take.
const ANSWER: Duration = Duration::from_secs(1);

/// What the machine for Java is told, if `OXWHISK_TEST_JAVA` says nothing else: the broker is small and lives
/// for minutes.
const JAVA: &str = "-Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1";

/// Written to `log4j2.properties`.
const LOG: &str = "rootLogger.level = info
rootLogger.appenderRef.out.ref = out
appender.out.type = Console
appender.out.name = out
appender.out.layout.type = PatternLayout
appender.out.layout.pattern = %d %p %c: %m%n
";

/// A running broker; dropped, it is killed.
pub struct Kafka {
    folder: PathBuf,
    port: u16,
    /// Where it speaks TLS: to whom it knows by a certificate, and to whom it knows by a password.
    secured: Option<(u16, u16)>,
    log: PathBuf,
    child: Option<Child>,
    guard: Option<Guard>,
}

/// Who may sign in to a secured broker: the name, the password.
pub const ACCOUNT: (&str, &str) = ("oxwhisk", "s3cret");

impl Kafka {
    /// The broker that the tests of this binary share. Whoever stops one starts its own.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Kafka> = OnceCell::const_new();
        SHARED.get_or_init(Self::start).await
    }

    /// Starts a broker without topics.
    ///
    /// # Panics
    ///
    /// If Kafka or Java is not there, or it does not start.
    pub async fn start() -> Self {
        let mut kafka = Self::prepare();
        kafka.start_again().await;
        kafka
    }

    /// Makes everything ready for a broker that [`Kafka::start_again`] starts.
    ///
    /// # Panics
    ///
    /// If Kafka or Java is not there.
    pub fn prepare() -> Self {
        Self::prepare_with(None)
    }

    /// Starts a broker that speaks TLS too, with a certificate of that authority, which is also its clients'.
    ///
    /// # Panics
    ///
    /// As [`Kafka::start`].
    pub async fn start_secured(authority: &Authority) -> Self {
        let mut kafka = Self::prepare_with(Some(authority));
        kafka.start_again().await;
        kafka
    }

    fn prepare_with(authority: Option<&Authority>) -> Self {
        let mut folder = tempfile::Builder::new()
            .prefix("oxwhisk-test-kafka-")
            .tempdir()
            .expect("a temporary folder can be made");
        // It outlives this value: the broker's guard removes it.
        folder.disable_cleanup(true);
        let folder = folder.path().to_owned();
        let port = place::free_port();
        let secured = authority.map(|authority| (authority, (place::free_port(), place::free_port())));
        fs::write(folder.join("server.properties"), settings(&folder, port, place::free_port(), secured))
            .expect("a new folder is writable");
        let secured = secured.map(|(_, ports)| ports);
        fs::write(folder.join("log4j2.properties"), LOG).expect("a new folder is writable");
        let mut format = java(&folder, "kafka.tools.StorageTool");
        // A cluster's id is a UUID in base 64; any does.
        format.args(["format", "--cluster-id", "b3h3aGlzay10ZXN0cy0tLQ", "--config"]);
        format.arg(folder.join("server.properties"));
        if secured.is_some() {
            for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-512"] {
                let account = format!("{mechanism}=[name={},password={}]", ACCOUNT.0, ACCOUNT.1);
                format.arg("--add-scram").arg(account);
            }
        }
        let made = format.output().expect("java can be run");
        assert!(made.status.success(), "no storage was made: {}", String::from_utf8_lossy(&made.stderr));
        Self { folder, port, secured, log: place::log_file(), child: None, guard: None }
    }

    /// Starts it again after [`Kafka::stop`] or [`Kafka::kill`], on the same port, with what it had.
    ///
    /// # Panics
    ///
    /// If it does not answer in time.
    pub async fn start_again(&mut self) {
        assert!(self.child.is_none(), "it runs");
        let child = self.child.insert(run(&self.folder, &self.log));
        let guard = Guard::over_service("kafka", child.id(), "KILL", &self.folder);
        self.guard = Some(guard.expect("the system has a shell"));
        let deadline = Instant::now() + PATIENCE;
        let hosts = self.hosts();
        while !answers(&hosts).await {
            let child = self.child.as_mut().expect("it was started");
            if let Some(status) = child.try_wait().expect("a child can be waited for") {
                panic!("kafka ended with {status}; see {}", self.log.display());
            }
            assert!(Instant::now() < deadline, "kafka does not answer; see {}", self.log.display());
            tokio::time::sleep(POLL).await;
        }
    }

    /// Ends it in good order.
    ///
    /// # Panics
    ///
    /// If it does not end in time.
    pub async fn stop(&mut self) {
        self.end(Signal::TERM).await;
    }

    /// Ends it as a crash would.
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub async fn kill(&mut self) {
        self.end(Signal::KILL).await;
    }

    async fn end(&mut self, signal: Signal) {
        let mut child = self.child.take().expect("it runs");
        kill_process(Pid::from_child(&child), signal).expect("the child was not waited for yet");
        let deadline = Instant::now() + PATIENCE;
        while child.try_wait().expect("a child can be waited for").is_none() {
            assert!(Instant::now() < deadline, "kafka did not end; see {}", self.log.display());
            tokio::time::sleep(POLL).await;
        }
        self.guard = None;
    }

    /// Where it listens.
    pub fn hosts(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Where it speaks TLS to whom it knows by a certificate, and to whom it knows by a password.
    ///
    /// # Panics
    ///
    /// If it is not secured.
    pub fn secured_hosts(&self) -> (String, String) {
        let (ssl, sasl) = self.secured.expect("it was started so");
        (format!("127.0.0.1:{ssl}"), format!("127.0.0.1:{sasl}"))
    }

    /// Settings for topics that nobody else has.
    pub fn settings(&self) -> KafkaConfig {
        let mut config = KafkaConfig { hosts: self.hosts(), ..KafkaConfig::default() };
        let prefix = format!("{}-", place::unique("test"));
        config.topics.user_event.prefix.clone_from(&prefix);
        config.topics.prefix = prefix;
        config
    }
}

impl Drop for Kafka {
    fn drop(&mut self) {
        // Its guard would wait for the end of the test.
        self.guard = None;
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Whether the broker knows itself, which is when it takes topics.
async fn answers(hosts: &str) -> bool {
    let client = ClientConfig::new()
        .set("bootstrap.servers", hosts)
        .set("reconnect.backoff.max.ms", "100")
        .create::<BaseConsumer>()
        .expect("these are settings");
    let asked = tokio::task::spawn_blocking(move || client.fetch_metadata(None, ANSWER));
    asked.await.expect("it does not panic").is_ok_and(|metadata| !metadata.brokers().is_empty())
}

/// `server.properties`. A killed broker is to be forgotten within seconds, so that its next life is let in.
fn settings(folder: &Path, port: u16, controller: u16, secured: Option<(&Authority, (u16, u16))>) -> String {
    let (mut listeners, mut protocols) =
        (format!("PLAINTEXT://127.0.0.1:{port}"), "PLAINTEXT:PLAINTEXT".to_owned());
    let mut security = String::new();
    if let Some((authority, (ssl, sasl))) = secured {
        listeners.push_str(&format!(",SSL://127.0.0.1:{ssl},SASL_SSL://127.0.0.1:{sasl}"));
        protocols.push_str(",SSL:SSL,SASL_SSL:SASL_SSL");
        let store = folder.join("broker.pem");
        fs::write(&store, authority.identity("broker").pem()).expect("a new folder is writable");
        let module = format!(
            "org.apache.kafka.common.security.plain.PlainLoginModule required user_{}=\"{}\";",
            ACCOUNT.0, ACCOUNT.1
        );
        security = format!(
            "ssl.keystore.type=PEM
ssl.keystore.location={}
ssl.truststore.type=PEM
ssl.truststore.location={}
listener.name.ssl.ssl.client.auth=required
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512
listener.name.sasl_ssl.plain.sasl.jaas.config={module}
listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config={SCRAM}
listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config={SCRAM}
",
            store.display(),
            authority.file().display(),
        );
    }
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
listeners={listeners},CONTROLLER://127.0.0.1:{controller}
advertised.listeners={listeners}
controller.listener.names=CONTROLLER
inter.broker.listener.name=PLAINTEXT
listener.security.protocol.map={protocols},CONTROLLER:PLAINTEXT
log.dirs={}
auto.create.topics.enable=false
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
group.initial.rebalance.delay.ms=0
broker.session.timeout.ms=2000
broker.heartbeat.interval.ms=500
{security}",
        folder.join("data").display()
    )
}

/// Who has a password that was stored when the storage was made.
const SCRAM: &str = "org.apache.kafka.common.security.scram.ScramLoginModule required;";

fn run(folder: &Path, log: &Path) -> Child {
    let log = File::options().create(true).append(true).open(log).expect("the log folder is writable");
    let mut broker = java(folder, "kafka.Kafka");
    broker.arg(folder.join("server.properties")).stdin(Stdio::null());
    broker.stdout(log.try_clone().expect("a file can be shared")).stderr(log);
    broker.spawn().expect("java can be run")
}

/// One of Kafka's programs.
fn java(folder: &Path, class: &str) -> Command {
    let mut command = Command::new("java");
    let log = folder.join("log4j2.properties");
    let told = std::env::var("OXWHISK_TEST_JAVA");
    command.args(told.as_deref().unwrap_or(JAVA).split_whitespace());
    command.arg(format!("-Dlog4j2.configurationFile=file:{}", log.display()));
    command.arg("-cp").arg(jars().join("*")).arg(class).current_dir(folder);
    command
}

/// The newest Kafka in the target folder.
fn jars() -> PathBuf {
    let found = fs::read_dir(place::target()).into_iter().flatten().flatten().filter_map(|entry| {
        let name = entry.file_name();
        let numbers = name.to_str()?.strip_prefix("kafka-")?.split('.').map(str::parse::<u32>);
        Some((numbers.collect::<Result<Vec<_>, _>>().ok()?, entry.path()))
    });
    let newest = found.max().map(|(_, path)| path);
    newest.unwrap_or_else(|| {
        panic!("Kafka is not in {}: `cargo xtask test` fetches it", place::target().display())
    })
}
