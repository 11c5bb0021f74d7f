//! What is measured: a platform in either form, one of its namespaces, and its processes.

use std::time::Duration;

use anyhow::Context;
use serde_json::json;
use tests::client::Client;
use tests::namespace::Namespace;
use tests::platform::{self, Platform};
use tests::server::{Home, Options};
use tests::wait;
use tokio::time::Instant;

use crate::report::middle;

/// How often a start is measured.
const STARTS: usize = 10;

/// A running platform, with a namespace of its own.
pub struct Subject {
    /// Whose actions are measured.
    pub namespace: Namespace,
    platform: Platform,
    start_ms: Option<f64>,
    rest_mib: Vec<f64>,
}

impl Subject {
    /// Starts the form that `OXWHISK_TEST_FORM` names.
    pub async fn start() -> anyhow::Result<Self> {
        let options = Options { container_runtime: "docker".to_owned(), ..Options::default() };
        let start_ms = match platform::is_distributed() {
            // It waits for its neighbours, so that would tell little of it.
            true => None,
            // As users start it, with its stem cells.
            false => Some(start_time(&Options { stem_cells: true, ..options.clone() }).await?),
        };
        let platform = Platform::start(options).await;
        let rest_mib = resident_mib(&platform)?;
        let namespace = platform.whisk().namespace().await;
        Ok(Self { namespace, platform, start_ms, rest_mib })
    }

    /// Prints what is known of the processes, after the load.
    pub fn print_processes(&self) -> anyhow::Result<()> {
        println!("| process | at rest, MiB | after the load, MiB |");
        println!("| --- | ---: | ---: |");
        let loaded_mib = resident_mib(&self.platform)?;
        for (((what, _), rest), loaded) in
            processes(&self.platform).iter().zip(&self.rest_mib).zip(loaded_mib)
        {
            println!("| resident memory of {what} | {rest:.1} | {loaded:.1} |");
        }
        if let Some(start_ms) = self.start_ms {
            println!();
            println!("From exec to the first answer: {start_ms:.0} ms, median of {STARTS}.");
        }
        Ok(())
    }

    /// Stops it in good order.
    pub async fn stop(self) {
        self.platform.stop().await;
    }
}

/// The first runs of actions for which a stem cell waits, each in ms, on a platform of its own.
pub async fn with_stem_cells(count: usize, source: &str, payload: &str) -> anyhow::Result<Vec<f64>> {
    let options = Options { container_runtime: "docker".to_owned(), stem_cells: true, ..Options::default() };
    let platform = Platform::start(options).await;
    let namespace = platform.whisk().namespace().await;
    let invoker = match &platform {
        Platform::Embedded(server) => server.url().to_owned(),
        Platform::Distributed(pair) => pair.invoker().url().to_owned(),
    };
    let metrics = Client::new(&invoker, None);
    let mut all = Vec::new();
    for n in 0..count {
        let body = json!({"exec": {"kind": "nodejs:default", "code": source}, "limits": {"memory": 128}});
        namespace.put(format!("actions/spared{n}"), &body).await.expect(200);
        wait::until("stem cells wait", Duration::from_secs(30), || async {
            let text = metrics.get("/metrics").await.expect(200).text();
            text.lines().any(|line| line == "gauge_containerPool_prewarmCount_counter 2").then_some(())
        })
        .await;
        let begun = Instant::now();
        let path = format!("actions/spared{n}?blocking=true&result=true");
        namespace.post(path, &serde_json::from_str(payload)?).await.expect(200);
        all.push(begun.elapsed().as_secs_f64() * 1e3);
    }
    platform.stop().await;
    Ok(all)
}

/// The processes that users run, by name.
fn processes(platform: &Platform) -> Vec<(&'static str, u32)> {
    match platform {
        Platform::Embedded(server) => vec![("oxwhisk", server.process())],
        Platform::Distributed(pair) => vec![
            ("oxwhisk-controller", pair.controller().process()),
            ("oxwhisk-invoker", pair.invoker().process()),
        ],
    }
}

fn resident_mib(platform: &Platform) -> anyhow::Result<Vec<f64>> {
    let resident = |(_, process): (&str, u32)| {
        let status = std::fs::read_to_string(format!("/proc/{process}/status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib: f64 = line.trim().trim_end_matches(" kB").parse()?;
        Ok(kib / 1024.0)
    };
    processes(platform).into_iter().map(resident).collect()
}

/// From exec to the first answer of the embedded form, in ms, median.
async fn start_time(options: &Options) -> anyhow::Result<f64> {
    let mut all = Vec::new();
    let mut home = Home::new(options.clone());
    for _ in 0..STARTS {
        let url = format!("http://127.0.0.1:{}/ping", home.port());
        let begun = Instant::now();
        let server = home.spawn();
        let client = tests::client::http().build().expect("a client needs nothing of the machine");
        while client.get(&url).send().await.is_err() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        all.push(begun.elapsed().as_secs_f64() * 1e3);
        home = server.stop().await;
    }
    Ok(middle(all))
}
