//! `cargo xtask bench`: the table of docs/performance.md, measured on this machine.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use crate::{docker_daemon, images};

/// Builds what users run, and measures it.
pub fn run() -> anyhow::Result<()> {
    let daemon = docker_daemon::ensure()?;
    let outcome = measure();
    daemon.stop()?;
    outcome
}

fn measure() -> anyhow::Result<()> {
    if Command::new("wrk").arg("--version").output().is_err() {
        docker_daemon::install(&["wrk"])?;
    }
    images::run(false, &[])?;
    cargo(&["build", "--release", "--package", "standalone", "--package", "admin"])?;
    // The harness waits for wrk and needs no optimization; what it measures is the release build.
    cargo(&["test", "--quiet", "--package", "tests", "--bench", "load"])
}

fn cargo(arguments: &[&str]) -> anyhow::Result<()> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release");
    let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let status = Command::new(program)
        .args(arguments)
        .env("OXWHISK_BIN", target.join("oxwhisk"))
        .env("OXWHISK_WSKADMIN", target.join("wskadmin"))
        .env("OXWHISK_TEST_LOG", "warn")
        .status()
        .context("cargo cannot be started")?;
    if !status.success() {
        bail!("cargo {} failed", arguments.join(" "));
    }
    Ok(())
}
