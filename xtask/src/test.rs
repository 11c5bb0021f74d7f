//! `cargo xtask test`: brings up what the suites need, runs them, and takes down what it started.
//!
//! On a bare machine that is the Docker daemon, the runtime images, PostgreSQL's binaries, Kafka with its Java, and
//! clients from their package registries. Those that start and kill an embedded platform run twice, with containers
//! by Docker and by processes; those of the API and of what `wsk` does also against the distributed form.

use std::process::Command;

use anyhow::{Context, bail};

use crate::{clients, docker_daemon, images, kafka, postgres};

/// The suites that are about the embedded platform as a process.
const PLATFORM_SUITES: [&str; 2] = ["platform", "chaos"];

/// The suites that judge what users and clients see, and therefore both forms.
const BOTH_FORMS: [&str; 3] = ["api", "wsk", "wsk_wire"];

/// Runs everything, or everything but what takes long.
pub fn run(all: bool) -> anyhow::Result<()> {
    let daemon = docker_daemon::ensure()?;
    let outcome = suites(all).and_then(|()| if all { compose() } else { Ok(()) });
    daemon.stop()?;
    outcome
}

fn suites(all: bool) -> anyhow::Result<()> {
    // Packages and images are waited for, programs are computed: so both go on at once.
    std::thread::scope(|scope| {
        let needs = scope.spawn(move || ensure_services(all));
        // Always all of the workspace, so that nothing is built twice with other features.
        let built = cargo(&["build", "--workspace", "--bins"], &[])
            .and_then(|()| cargo(&["test", "--workspace", "--no-run", "--quiet"], &[]));
        needs.join().unwrap_or_else(|_| bail!("what the suites need could not be had"))?;
        built
    })?;
    cargo(
        &["test", "--workspace", "--no-fail-fast"],
        &[
            ("OXWHISK_TEST_RUNTIME", "docker"),
            ("OXWHISK_TEST_DOCKER", "required"),
            ("OXWHISK_TEST_IMAGES", if all { "all" } else { "usual" }),
        ],
    )?;
    cargo(
        &[&["test", "--workspace", "--no-fail-fast"], &tests(&BOTH_FORMS)[..]].concat(),
        &[("OXWHISK_TEST_RUNTIME", "docker"), ("OXWHISK_TEST_FORM", "distributed")],
    )?;
    cargo(
        &[&["test", "--workspace", "--no-fail-fast"], &tests(&PLATFORM_SUITES)[..]].concat(),
        &[("OXWHISK_TEST_RUNTIME", "process")],
    )
}

/// What is installed, downloaded and built besides our programs.
fn ensure_services(all: bool) -> anyhow::Result<()> {
    postgres::ensure()?;
    kafka::ensure()?;
    clients::ensure();
    images::run(false, if all { images::Wanted::All } else { images::Wanted::Usual })
}

/// The flags that choose these suites.
fn tests<'a>(suites: &[&'a str]) -> Vec<&'a str> {
    suites.iter().flat_map(|suite| ["--test", suite]).collect()
}

fn cargo(arguments: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<()> {
    println!(
        "+ {}cargo {}",
        environment.iter().map(|(k, v)| format!("{k}={v} ")).collect::<String>(),
        arguments.join(" ")
    );
    let program = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let status = Command::new(program)
        .args(arguments)
        .envs(environment.iter().copied())
        .status()
        .context("cargo cannot be started")?;
    if !status.success() {
        bail!("cargo {} failed", arguments.join(" "));
    }
    Ok(())
}

/// The stack of docker-compose.yml, with the programs that the suites have built.
fn compose() -> anyhow::Result<()> {
    let programs = [("docker-compose", "version"), ("docker", "compose")];
    let answers = |(program, argument)| {
        let output = Command::new(program).arg(argument).output();
        output.is_ok_and(|output| output.status.success())
    };
    if !programs.into_iter().any(answers) {
        docker_daemon::install(&["docker-compose"])?;
    }
    images::stand_ins::run(false, &[])?;
    cargo(&["test", "--workspace", "--test", "compose"], &[])
}
