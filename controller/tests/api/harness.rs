//! A controller on a port of its own, an HTTP client that adds nothing, and a played invoker.

use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use common::bus::memory::MemoryBus;
use common::bus::{Inbox, MessageBus, Topic};
use common::clock::{Millis, SystemClock};
use common::config::Config;
use common::entity::activation::{Activation, ActivationHead, Response, Status};
use common::entity::id::{ControllerId, InvokerId};
use common::entity::identity::AuthKey;
use common::entity::json;
use common::entity::limits::{ByteSize, UserLimits};
use common::entity::name::EntityName;
use common::entity::parameters::Parameters;
use common::journal::Journal;
use common::manifest::Manifest;
use common::message::ack::{Ack, AckResult};
use common::message::activation::ActivationMessage;
use common::message::ping::PingMessage;
use common::readiness::Readiness;
use common::shutdown::Shutdown;
use common::store::seal::Secret;
use common::store::sqlite::SqliteStores;
use common::store::{ArtifactStore, Document, EntityKind, SubjectRecord};
use controller::{Controller, Invokers, Parts};
use serde_json::Value;
use server::{Audience, Door, Server};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const MANIFEST: &str = r#"{"runtimes":{
    "nodejs":[{"kind":"nodejs:20","default":true,"image":{"name":"n"}},
              {"kind":"nodejs:10","deprecated":true,"image":{"name":"o"}}],
    "python":[{"kind":"python:3.10","image":{"prefix":"openwhisk","name":"p","tag":"nightly"}}],
    "java":[{"kind":"java:8","requireMain":true,"image":{"name":"j"}}]}}"#;

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    pub fn error(&self) -> String {
        let body = self.json();
        assert_eq!(body.as_object().unwrap().len(), 2, "{self:?}");
        assert_eq!(body["code"].as_str(), self.header("x-request-id"), "{self:?}");
        body["error"].as_str().unwrap().to_owned()
    }

    /// The sentence of a refusal with that status.
    pub fn refused(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        self.error()
    }

    /// The JSON of a success.
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, 200, "{self:?}");
        assert_eq!(self.header("content-type"), Some("application/json"));
        self.json()
    }
}

/// A controller, and somebody who has signed up.
pub struct Whisk {
    pub address: SocketAddr,
    pub stores: SqliteStores,
    pub bus: Arc<MemoryBus>,
    pub controller: Controller,
    pub key: AuthKey,
    shutdown: Shutdown,
    server: Server,
    _folder: TempDir,
}

impl Whisk {
    pub async fn start() -> Self {
        Self::with(Config::default(), UserLimits::default()).await
    }

    /// Without throttles, for tests that invoke a lot.
    pub async fn unthrottled() -> Self {
        let mut config = Config::default();
        config.limits.unthrottled = true;
        Self::with(config, UserLimits::default()).await
    }

    pub async fn with(config: Config, limits: UserLimits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let stores = SqliteStores::open(folder.path()).await.unwrap();
        let shutdown = Shutdown::new();
        let bus = Arc::new(MemoryBus::default());
        let key = AuthKey { uuid: "uuid-guest".into(), key: "k".repeat(64) };
        sign_up(&stores, &folder, "guest", false, &[("guest", &key)]).await;
        stores.subjects.put_limits("guest", &limits).await.unwrap();
        let registry = prometheus::Registry::new();
        let parts = Parts {
            config: Arc::new(config),
            manifest: Arc::new(Manifest::parse(MANIFEST).unwrap()),
            artifacts: stores.artifacts.clone(),
            subjects: stores.subjects.clone(),
            secret: Some(Secret::load_or_create(&folder.path().join("secret")).unwrap()),
            activations: stores.activations.clone(),
            bus: bus.clone(),
            clock: Arc::new(SystemClock),
            registry: registry.clone(),
            shown: controller::api::metrics::Shown::new(registry),
            metrics_apart: false,
            shared_metrics: common::metrics::shared::SharedMetrics::default(),
            id: ControllerId::new("0"),
            build: "2026-01-31".into(),
            invokers: Invokers::One,
            readiness: Readiness::default(),
            journal: Arc::new(Journal::create(&folder.path().join("state"), 1 << 20, 1 << 24).unwrap()),
            abandoned: Vec::new(),
            events: common::events::Events::default(),
        };
        let controller = Controller::start(parts, shutdown.clone()).await.unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let server =
            controller.serve(vec![Door { listener, tls: None, audience: Audience::Everybody }], 1).unwrap();
        Self { address, stores, bus, controller, key, shutdown, server, _folder: folder }
    }

    /// Another subject with one namespace, or with several.
    pub async fn sign_up(&self, subject: &str, blocked: bool, keys: &[(&str, &AuthKey)]) {
        sign_up(&self.stores, &self._folder, subject, blocked, keys).await;
    }

    pub async fn stop(self) {
        self.server.stop().await;
        assert!(self.shutdown.finish(Duration::from_secs(5)).await);
    }

    /// Signed in as the guest; a body is JSON.
    pub async fn call(&self, method: &str, path: &str, body: &str) -> Answer {
        self.call_as(&self.key, method, path, body).await
    }

    pub async fn call_as(&self, key: &AuthKey, method: &str, path: &str, body: &str) -> Answer {
        let path =
            path.strip_prefix('~').map_or(path.to_owned(), |rest| format!("/api/v1/namespaces/_/{rest}"));
        let authorization = format!("Authorization: {}\r\n", basic(key));
        let kind = if body.is_empty() { "" } else { "Content-Type: application/json\r\n" };
        self.raw(method, &path, &format!("{authorization}{kind}"), body).await
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call("GET", path, "").await
    }

    /// A small action of the default kind.
    pub async fn put_action(&self, name: &str) -> Value {
        let body = r#"{"exec":{"kind":"nodejs:default","code":"function main(){}"}}"#;
        self.call("PUT", &format!("~actions/{name}"), body).await.ok()
    }

    /// Any request: header lines end with CRLF each.
    pub async fn raw(&self, method: &str, path: &str, headers: &str, body: &str) -> Answer {
        let length =
            if body.is_empty() { String::new() } else { format!("Content-Length: {}\r\n", body.len()) };
        let head =
            format!("{method} {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{length}{headers}\r\n");
        let mut stream = TcpStream::connect(self.address).await.unwrap();
        let (mut reading, mut writing) = stream.split();
        writing.write_all(head.as_bytes()).await.unwrap();
        writing.write_all(body.as_bytes()).await.unwrap();
        let mut text = Vec::new();
        reading.read_to_end(&mut text).await.unwrap();
        parse(&String::from_utf8(text).unwrap())
    }

    /// A document as if somebody else had written it.
    pub async fn put_document(&self, kind: EntityKind, name: &str, json: &str) {
        let document = Document {
            kind,
            path: common::entity::name::EntityPath::parse("guest").unwrap(),
            name: EntityName::parse(name).unwrap(),
            updated: Millis(1),
            publish: false,
            json: json.to_owned(),
            code: None,
        };
        let artifacts: &Arc<dyn ArtifactStore> = &self.stores.artifacts;
        artifacts.put(&document, None).await.unwrap();
    }

    /// An invoker that is up and answers each order as the function says; it runs until the bus closes.
    pub async fn play(&self, answer: impl Fn(&ActivationMessage) -> Played + Send + 'static) {
        let mut inbox = Inbox::open(self.bus.as_ref(), &Topic::invoker(0), "invoker0").await.unwrap();
        let ping = PingMessage { name: invoker(), is_enabled: true };
        let ping = bytes::Bytes::from(serde_json::to_vec(&ping).unwrap());
        self.bus.publish(&Topic::health(), ping.clone()).await.unwrap();
        let mut pings = tokio::time::interval(Duration::from_secs(1));
        let (bus, shutdown) = (self.bus.clone(), self.shutdown.clone());
        let activations = self.stores.activations.clone();
        self.shutdown.spawn("invoker", async move {
            loop {
                let delivery = tokio::select! {
                    () = shutdown.requested() => return,
                    _ = pings.tick() => {
                        bus.publish(&Topic::health(), ping.clone()).await.unwrap();
                        continue;
                    }
                    delivery = inbox.next() => delivery.unwrap(),
                };
                let order: ActivationMessage = serde_json::from_slice(delivery.message()).unwrap();
                delivery.accept();
                let (response, stored) = match answer(&order) {
                    Played::Never => continue,
                    Played::Ends(response) => (AckResult::Record(Box::new(record(&order, response))), None),
                    Played::EndsInStore(response) => {
                        (AckResult::Id(order.activation_id), Some(record(&order, response)))
                    }
                };
                let transid = order.transid.clone();
                let ack = Ack::Combined { transid, response, is_system_error: false, instance: invoker() };
                let ack = serde_json::to_vec(&ack).unwrap();
                bus.publish(&Topic::completed("0"), ack.into()).await.unwrap();
                if let Some(record) = stored {
                    tokio::time::sleep(Duration::from_millis(30)).await;
                    activations.store(&[record]).await.unwrap();
                }
            }
        });
    }
}

/// What the played invoker does with an order.
pub enum Played {
    /// It takes it, and is not heard of again.
    Never,
    /// The record comes by message.
    Ends(Response),
    /// The message brings the id only; the record is stored a little later.
    EndsInStore(Response),
}

impl Played {
    pub fn ends(status: Status, result: &str) -> Self {
        let result = Some(serde_json::from_str(result).unwrap());
        Self::Ends(Response { status, result, size: None })
    }
}

pub fn basic(key: &AuthKey) -> String {
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(key.reveal()))
}

pub fn key(uuid: &str) -> AuthKey {
    AuthKey { uuid: uuid.into(), key: "z".repeat(64) }
}

fn invoker() -> InvokerId {
    InvokerId::new(0, ByteSize::from_mb(1024))
}

/// The record of an order that has run.
pub fn record(order: &ActivationMessage, response: Response) -> Activation {
    Activation {
        head: ActivationHead {
            namespace: order.user.namespace.name.clone(),
            name: order.action.name.clone(),
            version: order.action.version.unwrap(),
            publish: false,
            subject: order.user.subject.to_string(),
            activation_id: order.activation_id,
            cause: None,
            start: order.transid.start,
            end: Some(Millis(order.transid.start.0 + 5)),
            duration: Some(5),
            annotations: Parameters::new().with("path", &order.action.id()),
        },
        response,
        logs: Vec::new(),
    }
}

/// What an order carries, as a result.
pub fn echo(order: &ActivationMessage) -> Played {
    let result = Some(order.content.clone().unwrap_or_else(json::empty_object));
    Played::Ends(Response { status: Status::Success, result, size: None })
}

async fn sign_up(
    stores: &SqliteStores,
    folder: &TempDir,
    subject: &str,
    blocked: bool,
    keys: &[(&str, &AuthKey)],
) {
    let secret = Secret::load_or_create(&folder.path().join("secret")).unwrap();
    let keys = keys.iter().map(|(name, key)| secret.record(EntityName::parse(name).unwrap(), key)).collect();
    let record = SubjectRecord { subject: subject.to_owned(), blocked, keys };
    stores.subjects.put_subject(&record).await.unwrap();
}

fn parse(text: &str) -> Answer {
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {text:?}"));
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let header = |line: &str| {
        let (key, value) = line.split_once(": ").unwrap();
        (key.to_ascii_lowercase(), value.to_owned())
    };
    Answer { status, headers: lines.map(header).collect(), body: body.to_owned() }
}
