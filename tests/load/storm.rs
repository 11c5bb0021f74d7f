//! Many distinct actions at once, all of them cold: what `cargo xtask bench --storm` measures, beside as many
//! containers through Docker's API alone, so many at a time as the platform makes.

use anyhow::ensure;
use common::config::containers::DockerConfig;
use futures::stream::{self, StreamExt};
use serde_json::json;
use tests::platform::Platform;
use tests::server::Options;
use tokio::time::Instant;

use crate::{PAYLOAD, SOURCE, Warm, raw, report, run_body};

/// The last of many, the one in the middle, and all of them.
struct Storm {
    p50: f64,
    p99: f64,
    seconds: f64,
    count: usize,
}

impl Storm {
    /// Of times since the beginning, in ms.
    fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)];
        let seconds = times.last().map_or(0.0, |last| last / 1e3);
        Self { p50: at(50), p99: at(99), seconds, count: times.len() }
    }

    fn row(&self, what: &str, beside: Option<&Self>) {
        let rate = self.count as f64 / self.seconds;
        let ratio = beside.map_or(String::new(), |raw| format!("{:.2}", self.p99 / raw.p99));
        println!("| {what} | {:.0} | {:.0} | {rate:.1} | {ratio} |", self.p50, self.p99);
    }
}

/// Prints the table.
pub async fn run(count: usize) -> anyhow::Result<()> {
    // Room for all of them: no container has to go first.
    let user_memory = format!("{}m", 128 * (count + 4));
    let options = Options { container_runtime: "docker".to_owned(), user_memory, ..Options::default() };
    let platform = Platform::start(options).await;
    let me = platform.whisk().namespace().await;
    let warm = Warm::prepare(&me).await?;
    for n in 0..count {
        let body = json!({"exec": {"kind": "nodejs:default", "code": SOURCE}, "limits": {"memory": 128}});
        me.put(format!("actions/storm{n}"), &body).await.expect(200);
    }
    let raws = directly(count, &warm, &me.name).await?;
    let begun = Instant::now();
    let calls = (0..count).map(|n| {
        let path = format!("actions/storm{n}?blocking=true&result=true");
        let call = me.post(path, &serde_json::from_str(PAYLOAD).expect("it is JSON"));
        async move {
            let answer = call.await;
            (answer.status, begun.elapsed().as_secs_f64() * 1e3)
        }
    });
    let answers = futures::future::join_all(calls).await;
    platform.stop().await;
    let failed = answers.iter().filter(|(status, _)| *status != 200).count();
    let ours = Storm::of(answers.into_iter().map(|(_, took)| took).collect());

    println!("machine: {}\n", report::machine()?);
    println!("| {count} cold Node.js actions at once | p50 ms | p99 ms | starts/s | p99 over Docker's |");
    println!("| --- | ---: | ---: | ---: | ---: |");
    let parallel = DockerConfig::default().parallel_runs;
    raws.row(&format!("Docker's API alone, {parallel} at a time: create, start, first answer"), None);
    ours.row("blocking invokes through the API", Some(&raws));
    println!("\n{failed} of {count} failed.");
    ensure!(failed == 0, "{failed} of {count} failed");
    Ok(())
}

async fn directly(count: usize, warm: &Warm, namespace: &str) -> anyhow::Result<Storm> {
    let init =
        json!({"value": {"name": "storm", "main": "main", "code": SOURCE, "binary": false, "env": {}}});
    let (init, run) = (init.to_string(), run_body(namespace));
    let begun = Instant::now();
    let starts = (0..count).map(|_| async {
        let id = raw::create(&warm.docker, &warm.image, &warm.network).await?;
        let answered = raw::answer(&warm.docker, &id, &warm.network, &init, &run).await;
        anyhow::Ok((id, answered.map(|()| begun.elapsed().as_secs_f64() * 1e3)))
    });
    let starts = stream::iter(starts).buffer_unordered(DockerConfig::default().parallel_runs);
    let started: Vec<_> = starts.collect().await;
    let mut times = Vec::new();
    let mut outcome = Ok(());
    // What was made goes, whatever came of the others.
    for start in started {
        match start {
            Ok((id, time)) => {
                raw::remove(&warm.docker, &id).await?;
                match time {
                    Ok(time) => times.push(time),
                    Err(error) => outcome = Err(error),
                }
            }
            Err(error) => outcome = Err(error),
        }
    }
    outcome.map(|()| Storm::of(times))
}
