//! The benchmark behind docs/performance.md: one run, one table, each figure beside its baseline.
//!
//! Warm: wrk with keep-alive directly against the very container that the platform uses, then against a
//! blocking invoke of the same action through the API, with 1 and with 64 connections. Cold: an action
//! that never ran, against the same image through Docker's API alone, in turn. Load generator, container
//! and platform share the machine's cores. Run by `cargo xtask bench`, with the release build.

#![allow(clippy::print_stdout, reason = "the table is what it is for")]

mod raw;
mod wrk;

use std::time::Duration;

use anyhow::Context;
use bollard::Docker;
use bollard::query_parameters::ListContainersOptions;
use serde_json::json;
use tests::client::{Client, basic};
use tests::server::{GUEST, Home, Options, Server};
use tokio::time::Instant;

use wrk::{Figures, Load};

const SOURCE: &str = "function main(args) { return { greeting: 'Hello ' + args.name } }";
const PAYLOAD: &str = r#"{"name":"Ada"}"#;
const COLD_STARTS: usize = 12;
const STARTS: usize = 10;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let duration = Duration::from_secs(
        std::env::var("OXWHISK_BENCH_SECONDS").ok().and_then(|text| text.parse().ok()).unwrap_or(8),
    );
    let options = Options { container_runtime: "docker".to_owned(), ..Options::default() };
    let start_ms = start_times(&options).await?;
    let server = Server::start(options).await;
    let rest_mib = resident_mib(server.process())?;
    let whisk = Warm::prepare(&server).await?;

    println!("machine: {}", machine()?);
    println!();
    cold(&server, &whisk).await?;
    println!();
    println!(
        "| warm, Node.js | clients | p50 µs | p99 µs | requests/s | p50 over direct | share of direct |"
    );
    println!("| --- | ---: | ---: | ---: | ---: | ---: | ---: |");
    for connections in [1, 64] {
        // So that all containers that this many clients need are there.
        whisk.through(connections, Duration::from_secs(5)).await?;
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
    let peak_mib = resident_mib(server.process())?;
    println!("| process | |");
    println!("| --- | ---: |");
    println!("| from exec to the first answer, median of {STARTS} | {start_ms:.0} ms |");
    println!("| resident memory at rest | {rest_mib:.1} MiB |");
    println!("| resident memory after the load | {peak_mib:.1} MiB |");
    server.stop().await;
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

fn middle(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
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
}

impl Warm {
    async fn prepare(server: &Server) -> anyhow::Result<Self> {
        let client = Client::new(server.url(), Some(GUEST));
        let body = json!({"exec": {"kind": "nodejs:default", "code": SOURCE}});
        client.put("/api/v1/namespaces/_/actions/warm", &body).await.expect(200);
        let path = "/api/v1/namespaces/_/actions/warm?blocking=true&result=true";
        client.post(path, &serde_json::from_str(PAYLOAD)?).await.expect(200);
        let docker = Docker::connect_with_defaults()?.negotiate_version().await?;
        let all = docker.list_containers(None::<ListContainersOptions>).await?;
        let named = |name: &String| name.starts_with("/wsk") && name.ends_with("_guest_warm");
        let mut found = all.into_iter().filter(|container| container.names.iter().flatten().any(named));
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
            url: format!("{}{path}", server.url()),
            authorization: basic(GUEST),
        })
    }

    async fn direct(&self, connections: usize, duration: Duration) -> anyhow::Result<Figures> {
        let body = run_body();
        let load = Load { url: &self.container, body: &body, authorization: None, connections, duration };
        wrk::run(&load).await
    }

    async fn through(&self, connections: usize, duration: Duration) -> anyhow::Result<Figures> {
        let authorization = Some(self.authorization.as_str());
        wrk::run(&Load { url: &self.url, body: PAYLOAD, authorization, connections, duration }).await
    }
}

/// What the platform itself sends to `/run`.
fn run_body() -> String {
    let value: serde_json::Value = serde_json::from_str(PAYLOAD).expect("it is JSON");
    json!({
        "value": value, "namespace": "guest", "action_name": "/guest/warm", "action_version": "0.0.1",
        "activation_id": "0".repeat(32), "transaction_id": "0".repeat(32), "deadline": "4000000000000"
    })
    .to_string()
}

async fn cold(server: &Server, warm: &Warm) -> anyhow::Result<()> {
    let client = Client::new(server.url(), Some(GUEST));
    let init = json!({"value": {"name": "cold", "main": "main", "code": SOURCE, "binary": false, "env": {}}})
        .to_string();
    let (mut ours, mut raws) = (Vec::new(), Vec::new());
    for n in 0..COLD_STARTS {
        raws.push(raw::cold_start(&warm.docker, &warm.image, &warm.network, &init, &run_body()).await?);
        // Small enough that all of them fit: no container has to go first.
        let body = json!({"exec": {"kind": "nodejs:default", "code": SOURCE}, "limits": {"memory": 128}});
        client.put(format!("/api/v1/namespaces/_/actions/cold{n}"), &body).await.expect(200);
        let begun = Instant::now();
        let path = format!("/api/v1/namespaces/_/actions/cold{n}?blocking=true&result=true");
        client.post(path, &serde_json::from_str(PAYLOAD)?).await.expect(200);
        ours.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    let (ours, raws) = (middle(ours), middle(raws));
    println!("| cold, Node.js, median of {COLD_STARTS} | ms | ratio |");
    println!("| --- | ---: | ---: |");
    println!("| Docker's API alone: create, start, first answer | {raws:.0} | |");
    println!("| blocking invoke through the API | {ours:.0} | {:.2} |", ours / raws);
    Ok(())
}

/// From exec to the first answer, in ms, median.
async fn start_times(options: &Options) -> anyhow::Result<f64> {
    let mut all = Vec::new();
    let mut home = Home::new(options.clone());
    for _ in 0..STARTS {
        let url = format!("http://127.0.0.1:{}/ping", home.port());
        let begun = Instant::now();
        let server = home.spawn();
        let client = reqwest::Client::new();
        while client.get(&url).send().await.is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        all.push(begun.elapsed().as_secs_f64() * 1e3);
        home = server.stop().await;
    }
    Ok(middle(all))
}

fn resident_mib(process: u32) -> anyhow::Result<f64> {
    let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
    let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
    Ok(kib / 1024.0)
}

fn machine() -> anyhow::Result<String> {
    let cpus = std::thread::available_parallelism()?;
    let info = std::fs::read_to_string("/proc/cpuinfo")?;
    let model = info
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or("")
        .trim_start_matches([' ', '\t', ':']);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease")?;
    Ok(format!("{cpus} cores of {model}, Linux {}", kernel.trim().split('-').next().unwrap_or_default()))
}
