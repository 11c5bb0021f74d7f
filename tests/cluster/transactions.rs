//! One request in the logs of all processes that it went through, as whoever looks for it finds it.

use std::path::Path;

use serde_json::json;
use tests::admin::Admin;
use tests::deployment::Pair;
use tests::fixtures::{ECHO, sequence};
use tests::namespace::Namespace;
use tests::server::Options;

/// The lines of a transaction, in both logs.
struct Found {
    controller: Vec<String>,
    invoker: Vec<String>,
}

impl Found {
    async fn of(transid: &str, admin: &Admin, logs: &Path) -> Self {
        let folder = logs.to_str().expect("a plain path");
        let text = admin.run(&["syslog", "get", "-t", transid, "--log-dir", folder]).await;
        let of =
            |target: &str| text.lines().filter(|line| line.contains(target)).map(str::to_owned).collect();
        Self { controller: of("[controller::"), invoker: of("[invoker::") }
    }

    /// Demands that there are lines of both and that all are marked so.
    fn expect(&self, mark: &str) {
        for lines in [&self.controller, &self.invoker] {
            assert!(!lines.is_empty(), "{:#?} {:#?}", self.controller, self.invoker);
            assert!(lines.iter().all(|line| line.contains(mark)), "{lines:#?}");
        }
    }
}

async fn invoke(me: &Namespace, action: &str, transid: &str) -> serde_json::Value {
    let call = me.post(format!("actions/{action}?blocking=true"), &json!({}));
    let answer = call.header("X-Request-ID", transid).await.expect(200);
    assert_eq!(answer.headers["x-request-id"], transid);
    answer.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_line_of_a_request_names_its_transaction() {
    let logs = tempfile::tempdir().expect("a temporary folder can be made");
    let environment = [
        ("OXWHISK_LOG_LEVEL", "info,controller=debug,invoker=debug"),
        ("OXWHISK_LOG_DIR", logs.path().to_str().expect("a plain path")),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let pair = Pair::start(Options { environment, ..Options::default() }).await;
    let me = pair.whisk().namespace().await;
    let echo = me.put_js("echo", ECHO).await;
    let chain = me.create("chain", &sequence(&[format!("_/{echo}"), format!("_/{echo}")])).await;
    let alone = invoke(&me, &echo, "alone").await;
    let chained = invoke(&me, &chain, "chained").await;
    let admin = pair.site().admin();
    let site = pair.stop().await;

    Found::of("alone", &admin, logs.path()).await.expect("[#tid_alone] [");
    let found = Found::of("chained", &admin, logs.path()).await;
    found.expect("[#tid_chained] ");
    // Each component is a transaction of its own below that of the request.
    let mut components = Vec::new();
    for line in &found.invoker {
        let (_, below) = line.split_once("[#tid_chained] [#tid_").expect("that of a component");
        let (component, _) = below.split_once(']').expect("its end");
        components.push(component.to_owned());
    }
    components.sort();
    components.dedup();
    assert_eq!(components.len(), 2, "{:#?}", found.invoker);
    for component in &components {
        let mark = format!("[#tid_chained] [#tid_{component}] [");
        Found::of(component, &admin, logs.path()).await.expect(&mark);
    }

    // No line names one of these activations without its transaction.
    let ids = chained["logs"].as_array().expect("its components").iter().chain([&chained["activationId"]]);
    let chained = ids.map(|id| (id, "[#tid_chained] "));
    let mut text = String::new();
    for component in ["controller0", "invoker0"] {
        let log = common::telemetry::log_file(logs.path(), component);
        text += &std::fs::read_to_string(log).expect("each process has a log");
    }
    for (id, mark) in chained.chain([(&alone["activationId"], "[#tid_alone] ")]) {
        let id = id.as_str().expect("an id");
        let mut lines = text.lines().filter(|line| line.contains(id)).peekable();
        assert!(lines.peek().is_some(), "{id} is in no line");
        for line in lines {
            assert!(line.contains(mark), "{line}");
        }
    }
    for own in ["[#tid_sid_controller] ", "[#tid_sid_invoker] ", "[#tid_sid_invokerHealth] "] {
        assert!(text.contains(own), "{own}");
    }
    drop(site);
}
