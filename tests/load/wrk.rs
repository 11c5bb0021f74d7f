//! wrk against one URL, and what it found.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail};
use serde::Deserialize;
use tokio::process::Command;

/// What wrk measured.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Figures {
    requests: u64,
    microseconds: u64,
    /// Median latency, µs.
    pub p50: u64,
    /// 99th percentile, µs.
    pub p99: u64,
    failed: u64,
}

impl Figures {
    /// Requests a second.
    pub fn rate(&self) -> f64 {
        self.requests as f64 * 1e6 / self.microseconds as f64
    }
}

/// What is asked of wrk.
pub struct Load<'a> {
    /// Where to.
    pub url: &'a str,
    /// What is posted.
    pub body: &'a str,
    /// The `Authorization` header, if any.
    pub authorization: Option<&'a str>,
    /// Connections, kept alive.
    pub connections: usize,
    /// For how long.
    pub duration: Duration,
}

/// Runs wrk with one thread. Any failed request fails the measurement.
pub async fn run(load: &Load<'_>) -> anyhow::Result<Figures> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("load/wrk.lua");
    let mut command = Command::new("wrk");
    command
        .args(["--threads", "1", "--timeout", "30s"])
        .args(["--connections", &load.connections.to_string()])
        .args(["--duration", &format!("{}s", load.duration.as_secs())])
        .arg("--script")
        .arg(script)
        .arg(load.url)
        .env("BODY", load.body)
        .env_remove("AUTH");
    if let Some(authorization) = load.authorization {
        command.env("AUTH", authorization);
    }
    let output = command.output().await.context("wrk cannot be started; cargo xtask bench installs it")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().find_map(|line| line.strip_prefix("FIGURES "));
    let line = line.with_context(|| format!("wrk gave no figures: {text}"))?;
    let figures: Figures = serde_json::from_str(line)?;
    if figures.failed > 0 {
        bail!("{} of {} requests to {} failed", figures.failed, figures.requests, load.url);
    }
    Ok(figures)
}
