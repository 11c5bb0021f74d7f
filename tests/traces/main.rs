//! One trace from a request over the bus to the container, in both forms, as a collector sees it.
#![expect(clippy::unwrap_used, reason = "what fails in a test fails the test")]

mod tls;

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::time::Duration;

use invoker::container::docker::daemon;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use serde_json::{Value, json};
use tests::daemon::{Daemon, NODEJS, PYTHON, Recipe};
use tests::deployment::Pair;
use tests::fixtures::{ECHO, sequence};
use tests::namespace::Namespace;
use tests::otlp::{Otlp, Span, tree};
use tests::server::{Options, Server};
use tests::wait;
use tests::whisk::Whisk;

/// The span that the tests' own requests are below.
const ABOVE: &str = "b7ad6b7169203331";
const STATE: &str = "vendor=of-the-test";
const SOON: Duration = Duration::from_secs(30);

/// Where nobody listens.
const NOWHERE: &str = "127.0.0.1:9";

/// An image whose server tells of the headers that it is sent.
struct Telltale {
    daemon: Daemon,
    image: String,
}

impl Telltale {
    /// Makes it; nothing if there is no Docker daemon to test with.
    async fn make() -> Option<Self> {
        if !daemon::has_images(None, &[PYTHON, NODEJS]).await {
            let missing = format!("no Docker daemon with the images {PYTHON} and {NODEJS}");
            assert_ne!(std::env::var("OXWHISK_TEST_DOCKER").as_deref(), Ok("required"), "{missing}");
            eprintln!("SKIPPED, NOT TESTED: {missing}");
            return None;
        }
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("traces");
        let recipe = Recipe {
            script: "cp /in/server.py /srv/server.py".to_owned(),
            binds: vec![format!("{}:/in:ro", folder.display())],
            command: ["python3", "-u", "/srv/server.py"].map(str::to_owned).to_vec(),
            user: "0".to_owned(),
            framing: "no",
        };
        let daemon = Daemon::connect().await;
        let image = format!("{NOWHERE}/traces/telltale:{}", uuid::Uuid::new_v4().simple());
        daemon.derive(&image, recipe).await;
        Some(Self { daemon, image })
    }

    /// An action of it.
    async fn action(&self, me: &Namespace) -> String {
        let exec = json!({ "kind": "blackbox", "image": self.image });
        me.create("telltale", &json!({ "exec": exec, "limits": { "memory": 128 } })).await
    }

    async fn clear(self) {
        self.daemon.forget(&self.image).await;
        self.daemon.clear().await;
    }
}

/// A trace of the test's own.
fn trace() -> String {
    uuid::Uuid::new_v4().simple().to_string()
}

/// A POST that belongs to a trace.
async fn post(me: &Namespace, path: String, trace: &str, body: &Value) -> tests::answer::Answer {
    let parent = format!("00-{trace}-{ABOVE}-01");
    me.post(path, body).header("traceparent", &parent).header("tracestate", STATE).await
}

/// The traces of what was done on a platform.
struct Done {
    alone: String,
    answer: Value,
    chained: String,
    fired: String,
}

/// Invokes, runs a sequence and fires a trigger, each in a trace; and something in none.
async fn work(whisk: Whisk, telltale: &Telltale) -> Done {
    let me = whisk.namespace().await;
    let telltale = telltale.action(&me).await;
    let echo = me.put_js("echo", ECHO).await;
    let chain = me.create("chain", &sequence(&[format!("_/{echo}"), format!("_/{echo}")])).await;
    let trigger = me.put_trigger(&json!({})).await;
    me.put_rule(&trigger, &echo).await;
    let (alone, chained, fired) = (trace(), trace(), trace());
    let blocking = |name: &str| format!("actions/{name}?blocking=true&result=true");
    let answer = post(&me, blocking(&telltale), &alone, &json!({})).await.expect(200).json();
    post(&me, blocking(&chain), &chained, &json!({ "a": 1 })).await.expect(200);
    let id = post(&me, format!("triggers/{trigger}"), &fired, &json!({})).await.expect(202).activation_id();
    let record = me.wait_for_activation(&id).await;
    let line: Value = serde_json::from_str(record["logs"][0].as_str().unwrap()).unwrap();
    me.wait_for_activation(line["activationId"].as_str().unwrap()).await;
    me.result(&echo, &json!({})).await;
    Done { alone, answer, chained, fired }
}

fn names(spans: &[Span]) -> BTreeMap<&str, usize> {
    let mut names = BTreeMap::new();
    for span in spans {
        *names.entry(span.name.as_str()).or_default() += 1;
    }
    names
}

/// Demands that all spans of a trace are one tree below that of the test, of both roles.
fn expect_tree(spans: &[Span]) {
    let shown = tree(spans, ABOVE);
    let ids: BTreeSet<&str> = spans.iter().map(|span| span.id.as_str()).collect();
    assert_eq!(ids.len(), spans.len(), "{shown}");
    let roots = spans.iter().filter(|span| span.parent == ABOVE).count();
    assert_eq!(roots, 1, "{shown}{spans:#?}");
    for span in spans.iter().filter(|span| span.parent != ABOVE) {
        assert!(ids.contains(span.parent.as_str()), "{} is below nothing\n{shown}", span.name);
    }
    let services: BTreeSet<&str> = spans.iter().map(|span| span.service.as_str()).collect();
    assert_eq!(services, BTreeSet::from(["oxwhisk-controller", "oxwhisk-invoker"]), "{shown}");
}

fn judge(collector: &Otlp, done: &Done, system: &str) {
    let spans = collector.of(&done.alone);
    expect_tree(&spans);
    let shown = tree(&spans, ABOVE);
    let request = "POST /api/v1/namespaces/{ns}/actions/{name}";
    let expected = [
        request,
        "authenticate",
        "authorize",
        "schedule",
        "send order",
        "wait",
        "process order",
        "resolve action",
        "wait for container",
        "create container",
        "POST /init",
        "POST /run",
        "collect logs",
        "send acknowledgement",
        "record",
    ];
    for name in expected {
        assert!(spans.iter().any(|span| span.name == name), "there is no span '{name}'\n{shown}");
    }
    let only = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    let server = only(request);
    assert_eq!(
        (server.kind, server.attributes["http.response.status_code"].as_str()),
        (SpanKind::Server, "200")
    );
    assert_eq!(server.attributes["http.request.method"], "POST");
    // Over the bus.
    let (sent, taken) = (only("send order"), only("process order"));
    assert_eq!((sent.kind, taken.kind), (SpanKind::Producer, SpanKind::Consumer));
    assert_eq!(taken.parent, sent.id);
    assert_eq!(
        (&*sent.attributes["messaging.system"], &*taken.attributes["messaging.system"]),
        (system, system)
    );
    assert_eq!(taken.attributes["faas.coldstart"], "true");
    assert_eq!(taken.attributes["transid"], server.attributes["transid"]);
    // To the container.
    for (told, name) in [("init", "POST /init"), ("run", "POST /run")] {
        let call = only(name);
        assert_eq!(call.kind, SpanKind::Client);
        let parent = format!("00-{}-{}-01", done.alone, call.id);
        assert_eq!(done.answer[told], json!({ "traceparent": parent, "tracestate": STATE }));
    }

    let spans = collector.of(&done.chained);
    expect_tree(&spans);
    let counts = names(&spans);
    for (name, count) in [("sequence", 1), ("component", 2), ("process order", 2), ("POST /run", 2)] {
        assert_eq!(counts.get(name), Some(&count), "{name}\n{}", tree(&spans, ABOVE));
    }
    let spans = collector.of(&done.fired);
    expect_tree(&spans);
    let counts = names(&spans);
    for (name, count) in [("fire", 1), ("rule", 1), ("process order", 1), ("record", 2)] {
        assert_eq!(counts.get(name), Some(&count), "{name}\n{}", tree(&spans, ABOVE));
    }
    // Nothing else was asked for.
    let known = [&done.alone, &done.chained, &done.fired];
    assert!(collector.spans().iter().all(|span| known.contains(&&span.trace)));
}

/// What brings a trace is recorded, and nothing else.
fn options(collector: &Otlp) -> Options {
    let environment = [
        ("CONFIG_whisk_tracing_otlp_endpoint", collector.url()),
        ("CONFIG_whisk_tracing_otlp_sampleRate", "0"),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    Options { environment, ..docker() }
}

fn docker() -> Options {
    Options { container_runtime: "docker".to_owned(), ..Options::default() }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_trace_goes_from_the_request_to_the_container() {
    let Some(telltale) = Telltale::make().await else { return };

    // Controller and invoker as two processes, over Kafka.
    let collector = Otlp::start().await;
    let pair = Pair::start(options(&collector)).await;
    let done = work(pair.whisk(), &telltale).await;
    drop(pair.stop().await);
    judge(&collector, &done, "kafka");

    // Both in one.
    let collector = Otlp::start().await;
    let server = Server::start(options(&collector)).await;
    let done = work(server.whisk(), &telltale).await;
    drop(server.stop().await);
    judge(&collector, &done, "oxwhisk");
    telltale.clear().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_others_trace_is_passed_on_and_a_collector_that_is_away_disturbs_nobody() {
    let Some(telltale) = Telltale::make().await else { return };

    // Nothing is exported: who brings a trace finds it in the container, and nobody else anything.
    let server = Server::start(docker()).await;
    let me = server.whisk().namespace().await;
    let action = telltale.action(&me).await;
    let nothing = json!({ "init": {}, "run": {} });
    assert_eq!(me.result(&action, &json!({})).await, nothing);
    let (path, trace) = (format!("actions/{action}?blocking=true&result=true"), trace());
    let answer = post(&me, path, &trace, &json!({})).await.expect(200).json();
    let given = json!({ "traceparent": format!("00-{trace}-{ABOVE}-01"), "tracestate": STATE });
    assert_eq!(answer["run"], given);
    assert_eq!(me.result(&action, &json!({})).await, nothing);
    let home = server.stop().await;

    // The collector is away.
    let endpoint = ("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), format!("http://{NOWHERE}"));
    let server = home.with(|options| options.environment.push(endpoint)).start().await;
    let me = server.whisk().sign_in(&me.auth).await;
    let answer = me.result(&action, &json!({})).await;
    assert!(answer["run"]["traceparent"].as_str().unwrap().ends_with("-01"), "all are recorded: {answer}");
    wait::until("the log says so", SOON, || async {
        server.output().contains("traces cannot be exported").then_some(())
    })
    .await;
    assert_eq!(me.result(&action, &json!({})).await["init"], answer["init"], "it goes on");
    server.stop().await;
    telltale.clear().await;
}
