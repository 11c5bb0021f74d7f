//! `cargo xtask bench`: the tables of docs/performance.md, measured on this machine.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, bail};

use crate::{docker_daemon, images, kafka, openssl, postgres};

/// What is measured.
#[derive(clap::Args)]
pub struct Arguments {
    /// The distributed form, on a Kafka and a PostgreSQL of its own, in place of the embedded one.
    #[arg(long)]
    distributed: bool,
    /// Lists and reads of activation records in PostgreSQL, in place of invocations.
    #[arg(long, conflicts_with = "distributed")]
    listing: bool,
    /// So many distinct actions at once, all of them cold, in place of the rest.
    #[arg(long, conflicts_with_all = ["distributed", "listing"], num_args = 0..=1, default_missing_value = "100")]
    storm: Option<u32>,
    /// How many records the lists go over.
    #[arg(long, requires = "listing", default_value_t = 10_000_000)]
    rows: u32,
}

/// Builds what users run, and measures it.
pub fn run(arguments: &Arguments) -> anyhow::Result<()> {
    if arguments.listing {
        postgres::ensure()?;
        // Here the store is measured from inside, so this is the release build as well.
        let listing = ["bench", "--quiet", "--package", "tests", "--bench", "listing"];
        return cargo(&listing, &[("OXWHISK_BENCH_ROWS", &arguments.rows.to_string())]);
    }
    if arguments.distributed {
        postgres::ensure()?;
        kafka::ensure()?;
    }
    let daemon = docker_daemon::ensure()?;
    let form = if arguments.distributed { "distributed" } else { "embedded" };
    let outcome = invocations(form, arguments.storm);
    daemon.stop()?;
    outcome
}

fn invocations(form: &str, storm: Option<u32>) -> anyhow::Result<()> {
    if Command::new("wrk").arg("--version").output().is_err() {
        docker_daemon::install(&["wrk"])?;
    }
    images::run(false, images::Wanted::Usual)?;
    openssl::ensure()?;
    cargo(&["build", "--release", "--workspace", "--bins"], &[])?;
    // The harness waits for wrk and needs no optimization; what it measures is the release build.
    let load = ["test", "--quiet", "--package", "tests", "--bench", "load"];
    // A broker as operators run it, not as tests do, which want it to be there soon.
    let storm = storm.map(|count| count.to_string()).unwrap_or_default();
    let environment = [
        ("OXWHISK_TEST_FORM", form),
        ("OXWHISK_TEST_JAVA", "-Xmx1g"),
        ("OXWHISK_BENCH_STORM", storm.as_str()),
    ];
    cargo(&load, &environment)
}

fn cargo(arguments: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<()> {
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/release");
    let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let status = Command::new(program)
        .args(arguments)
        .env("OXWHISK_BIN", target.join("oxwhisk"))
        .env("OXWHISK_CONTROLLER", target.join("oxwhisk-controller"))
        .env("OXWHISK_INVOKER", target.join("oxwhisk-invoker"))
        .env("OXWHISK_WSKADMIN", target.join("wskadmin"))
        .env("OXWHISK_TEST_LOG", "warn")
        .envs(environment.iter().copied())
        .status()
        .context("cargo cannot be started")?;
    if !status.success() {
        bail!("cargo {} failed", arguments.join(" "));
    }
    Ok(())
}
