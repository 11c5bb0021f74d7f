//! The benchmark behind docs/performance.md: one run, one table, each figure beside its baseline.
//!
//! Warm: wrk with keep-alive directly against the very container that the platform uses, then against a
//! blocking invoke of the same action through the API, with 1 and with 64 connections. Cold: an action
//! that never ran, against the same image through Docker's API alone, in turn. Load generator, container,
//! platform and the services that it needs share the machine's cores. Run by `cargo xtask bench`, with the
//! release build; with `--storm` many cold starts at once are measured in place of all that.

#![allow(clippy::print_stdout, reason = "the table is what it is for")]

mod raw;
mod report;
mod storm;
mod subject;
mod wrk;

use std::collections::HashMap;
use std::time::Duration;

use anyhow::Context;
use bollard::Docker;
use bollard::query_parameters::ListContainersOptions;
use serde_json::json;
use tests::client::basic;
use tests::namespace::Namespace;
use tokio::time::Instant;

use report::middle;
use subject::Subject;
use wrk::{Figures, Load};

const SOURCE: &str = "function main(args) { return { greeting: 'Hello ' + args.name } }";
const PAYLOAD: &str = r#"{"name":"Ada"}"#;
/// How the harness runs them.
const SERVICES: &str = "PostgreSQL, which waits for no disk (fsync=off); Kafka, one broker with 1 GB of heap";
/// Until all containers that the clients need are there.
const WARM_UP: Duration = Duration::from_secs(5);
/// Until Java has compiled what the broker does all the time.
const WARM_UP_DISTRIBUTED: Duration = Duration::from_secs(30);
const COLD_STARTS: usize = 12;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let duration = Duration::from_secs(
        std::env::var("OXWHISK_BENCH_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(8),
    );
    if let Some(count) = std::env::var("OXWHISK_BENCH_STORM").ok().and_then(|text| text.parse().ok()) {
        return storm::run(count).await;
    }
    let subject = Subject::start().await?;
    let whisk = Warm::prepare(&subject.namespace).await?;

    println!("machine: {}", report::machine()?);
    if tests::platform::is_distributed() {
        println!("services: {SERVICES}");
    }
    println!();
    cold(&subject.namespace, &whisk).await?;
    println!();
    println!(
        "| warm, Node.js | clients | p50 µs | p99 µs | requests/s | p50 over direct | share of direct |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    let warm_up = if tests::platform::is_distributed() { WARM_UP_DISTRIBUTED } else { WARM_UP };
    for connections in [1, 64] {
        whisk.through(connections, warm_up).await?;
        // In turn, so that a drift of the machine's speed meets both.
        let mut direct = Vec::new();
        let mut through = Vec::new();
        for _ in 0..3 {
            direct.push(whisk.direct(connections, duration).await?);
            through.push(whisk.through(connections, duration).await?);
        }
        let (direct, through) = (median(direct), median(through));
        row("directly to the container", connections, &direct, None);
        row("blocking invoke through the API", connections, &through, Some(&direct));
    }
    println!();
    subject.print_processes()?;
    subject.stop().await;
    Ok(())
}

fn row(what: &str, connections: usize, figures: &Figures, direct: Option<&Figures>) {
    let (over, share) = match direct {
        None => (String::new(), String::new()),
        Some(direct) => (
            format!("+ {} µs", figures.p50.saturating_sub(direct.p50)),
            format!("{:.0} %", 100.0 * figures.rate() / direct.rate()),
        ),
    };
    let Figures { p50, p99, .. } = figures;
    println!("| {what} | {connections} | {p50} | {p99} | {:.0} | {over} | {share} |", figures.rate());
}

fn median(mut all: Vec<Figures>) -> Figures {
    all.sort_by_key(|figures| figures.p50);
    all[all.len() / 2]
}

/// An action that is warm, and the container that it is warm in.
struct Warm {
    docker: Docker,
    network: String,
    image: String,
    container: String,
    url: String,
    authorization: String,
    run: String,
}

impl Warm {
    async fn prepare(namespace: &Namespace) -> anyhow::Result<Self> {
        let body = json!({"exec": {"kind": "nodejs:default", "code": SOURCE}});
        namespace.put("actions/warm", &body).await.expect(200);
        let path = "/api/v1/namespaces/_/actions/warm?blocking=true&result=true";
        namespace.post(path, &serde_json::from_str(PAYLOAD)?).await.expect(200);
        let docker = Docker::connect_with_defaults()?.negotiate_version().await?;
        let all = docker.list_containers(None::<ListContainersOptions>).await?;
        // The invoker leaves out what Docker would not take everywhere in a name.
        let end = format!("_{}_warm", namespace.name.replace('-', ""));
        let named = |labels: &HashMap<String, String>| {
            labels.get("oxwhisk.name").is_some_and(|name| name.starts_with("wsk") && name.ends_with(&end))
        };
        let mut found = all.into_iter().filter(|container| container.labels.as_ref().is_some_and(named));
        let container = found.next().context("the warm container is not there")?;
        let networks = container.network_settings.and_then(|settings| settings.networks).unwrap_or_default();
        let network = networks.into_keys().next().context("the warm container has no network")?;
        let id = container.id.context("a container has an id")?;
        let address = raw::address(&docker, &id, &network).await?;
        Ok(Self {
            docker,
            network,
            image: container.image.context("a container has an image")?,
            container: format!("http://{address}:8080/run"),
            url: format!("{}{path}", namespace.url()),
            authorization: basic(&namespace.auth),
            run: run_body(&namespace.name),
        })
    }

    async fn direct(&self, connections: usize, duration: Duration) -> anyhow::Result<Figures> {
        let (url, body) = (&self.container, &self.run);
        wrk::run(&Load { url, body, authorization: None, connections, duration }).await
    }

    async fn through(&self, connections: usize, duration: Duration) -> anyhow::Result<Figures> {
        let authorization = Some(self.authorization.as_str());
        wrk::run(&Load { url: &self.url, body: PAYLOAD, authorization, connections, duration }).await
    }
}

/// What the platform itself sends to `/run`.
fn run_body(namespace: &str) -> String {
    let value: serde_json::Value = serde_json::from_str(PAYLOAD).expect("it is JSON");
    json!({
        "value": value, "namespace": namespace, "action_name": format!("/{namespace}/warm"),
        "action_version": "0.0.1",
        "activation_id": "0".repeat(32), "transaction_id": "0".repeat(32), "deadline": "4000000000000"
    })
    .to_string()
}

async fn cold(namespace: &Namespace, warm: &Warm) -> anyhow::Result<()> {
    let init = json!({"value": {"name": "cold", "main": "main", "code": SOURCE, "binary": false, "env": {}}})
        .to_string();
    let (mut ours, mut raws) = (Vec::new(), Vec::new());
    for n in 0..COLD_STARTS {
        raws.push(raw::cold_start(&warm.docker, &warm.image, &warm.network, &init, &warm.run).await?);
        // Small enough that all of them fit: no container has to go first.
        let body = json!({"exec": {"kind": "nodejs:default", "code": SOURCE}, "limits": {"memory": 128}});
        namespace.put(format!("actions/cold{n}"), &body).await.expect(200);
        let begun = Instant::now();
        let path = format!("actions/cold{n}?blocking=true&result=true");
        namespace.post(path, &serde_json::from_str(PAYLOAD)?).await.expect(200);
        ours.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    let spared = subject::with_stem_cells(COLD_STARTS, SOURCE, PAYLOAD).await?;
    let (ours, raws, spared) = (middle(ours), middle(raws), middle(spared));
    println!("| cold, Node.js, median of {COLD_STARTS} | ms | ratio |");
    println!("| --- | ---: | ---: |");
    println!("| Docker's API alone: create, start, first answer | {raws:.0} | |");
    println!("| blocking invoke through the API | {ours:.0} | {:.2} |", ours / raws);
    println!("| the same with a stem cell | {spared:.0} | {:.2} |", spared / raws);
    Ok(())
}
