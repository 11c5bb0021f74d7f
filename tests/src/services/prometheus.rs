//! A real Prometheus with the configuration and the rules that we ship, only faster.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use crate::client::Client;
use crate::guard::Guard;
use crate::{place, wait};

/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Seconds between two readings of each process, and between two evaluations of each rule.
pub const INTERVAL: u64 = 1;

/// A running server; dropped, it is killed.
pub struct Prometheus {
    folder: TempDir,
    port: u16,
    log: PathBuf,
    child: Child,
    guard: Option<Guard>,
}

/// One of the package's programs: what `cargo xtask test` has fetched, or what is installed.
///
/// # Panics
///
/// If it is not there.
pub fn program(name: &str) -> Command {
    let fetched = place::target().join("prometheus/usr/bin").join(name);
    let installed = PathBuf::from("/usr/bin").join(name);
    let found = [fetched, installed].into_iter().find(|path| path.is_file());
    Command::new(found.unwrap_or_else(|| panic!("{name} is not here: `cargo xtask test` fetches it")))
}

/// `docker/alerts.yml`.
pub fn rules() -> PathBuf {
    place::workspace().join("docker/alerts.yml")
}

impl Prometheus {
    /// Starts one that asks that address, as `host:port`, whom to read.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub async fn start(targets: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let port = place::free_port();
        let shipped = place::workspace().join("docker/prometheus.yml");
        let shipped = fs::read_to_string(shipped).expect("the configuration is there");
        let mut settings = shipped;
        for (ours, here) in [
            ("scrape_interval: 10s", format!("scrape_interval: {INTERVAL}s")),
            ("evaluation_interval: 10s", format!("evaluation_interval: {INTERVAL}s")),
            ("refresh_interval: 10s", format!("refresh_interval: {INTERVAL}s")),
            ("host.docker.internal:8888", targets.to_owned()),
            ("/etc/prometheus/alerts.yml", rules().display().to_string()),
            ("127.0.0.1:9090", format!("127.0.0.1:{port}")),
        ] {
            assert!(settings.contains(ours), "docker/prometheus.yml has {ours}");
            settings = settings.replace(ours, &here);
        }
        let file = folder.path().join("prometheus.yml");
        fs::write(&file, settings).expect("a new folder is writable");
        let log = place::log_file();
        let output = File::create(&log).expect("the log folder is writable");
        let mut command = program("prometheus");
        command.arg(format!("--config.file={}", file.display()));
        command.arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()));
        command.arg(format!("--web.listen-address=127.0.0.1:{port}"));
        command.stdin(Stdio::null()).stdout(output.try_clone().expect("a file can be shared")).stderr(output);
        let child = command.spawn().expect("Prometheus can be run");
        let guard = Guard::over_service("prometheus", child.id(), "TERM", folder.path());
        let guard = Some(guard.expect("the system has a shell"));
        let mut prometheus = Self { folder, port, log, child, guard };
        prometheus.wait_until_ready().await;
        prometheus
    }

    async fn wait_until_ready(&mut self) {
        let client = self.client();
        let what = format!("Prometheus is ready; see {}", self.log.display());
        wait::until(&what, PATIENCE, || {
            let ended = self.child.try_wait().expect("a child can be waited for");
            assert!(ended.is_none(), "Prometheus has ended; see {}", self.log.display());
            let ask = client.get("/-/ready").send();
            async { ask.await.ok().filter(|answer| answer.status == 200).map(drop) }
        })
        .await;
    }

    fn client(&self) -> Client {
        Client::new(&format!("http://127.0.0.1:{}", self.port), None)
    }

    /// What it answers to a question of its API, such as `rules`.
    ///
    /// # Panics
    ///
    /// If it refuses; it says why.
    pub async fn ask(&self, question: &str, parameters: &[(&str, &str)]) -> Value {
        let query: Vec<String> =
            parameters.iter().map(|(name, value)| format!("{name}={}", encoded(value))).collect();
        let answer = self.client().get(format!("/api/v1/{question}?{}", query.join("&"))).await;
        assert_eq!(answer.status, 200, "{question} {parameters:?}: {}", answer.text());
        answer.json()["data"].clone()
    }

    /// What an expression gives now: the value of each series.
    pub async fn values(&self, expression: &str) -> Vec<f64> {
        let answer = self.ask("query", &[("query", expression)]).await;
        let series = answer["result"].as_array().expect("a list of series");
        series.iter().map(|series| number(&series["value"][1])).collect()
    }

    /// What an expression gives over that time, in seconds since 1970, at each second: the values of each series.
    pub async fn ranges(&self, expression: &str, from: f64, to: f64) -> Vec<Vec<f64>> {
        // The last look is the one that matters.
        let from = to - ((to - from) / INTERVAL as f64).floor() * INTERVAL as f64;
        let (from, to, step) = (from.to_string(), to.to_string(), INTERVAL.to_string());
        let parameters = [("query", expression), ("start", &from), ("end", &to), ("step", &step)];
        let answer = self.ask("query_range", &parameters).await;
        let series = answer["result"].as_array().expect("a list of series");
        let values = |series: &Value| {
            let values = series["values"].as_array().expect("a list of values");
            values.iter().map(|value| number(&value[1])).collect()
        };
        series.iter().map(values).collect()
    }
}

fn number(value: &Value) -> f64 {
    value.as_str().and_then(|text| text.parse().ok()).expect("a value is a number in a text")
}

/// Percent-encoded, for a query.
fn encoded(text: &str) -> String {
    let encode = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'_' | b'-' | b'.' => char::from(byte).to_string(),
        other => format!("%{other:02X}"),
    };
    text.bytes().map(encode).collect()
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        // Its guard would wait for the end of the test.
        self.guard = None;
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(self.folder.path());
    }
}
