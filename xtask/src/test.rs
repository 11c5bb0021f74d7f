//! `cargo xtask test`: brings up what the suites need, runs them, and takes down what it started.
//!
//! On a bare machine that is the Docker daemon, the runtime images, PostgreSQL's binaries, Kafka with its Java,
//! and clients from their package registries. What users and clients see is judged in both forms, the
//! embedded one with actions as local processes where the distributed one has containers; all else runs with containers.
//! With `--all` everything about the embedded form runs with both.

use std::process::Command;

use anyhow::{Context, bail};

use crate::{clients, docker_daemon, docker_registry, images, kafka, openssl, postgres, prometheus};

/// The suites about the embedded platform that run with processes too, if everything is to be run.
const PLATFORM: [&str; 2] = ["platform", "chaos"];

/// The suite of the REST API: the longest, so each run of it has another kind of containers.
const API: [&str; 1] = ["api"];

/// Suites that run only if everything is to be run: they wait long for what they have killed, or for Prometheus, or need
/// what few have.
const LONG: [&str; 3] = ["chaos_distributed", "dashboards", "foreign"];

/// The suites that judge what users and clients see of the distributed form.
const DISTRIBUTED: [&str; 3] = ["api", "wsk", "wsk_wire"];

/// Runs everything, or everything but what takes long.
pub fn run(all: bool) -> anyhow::Result<()> {
    beside_a_daemon(|| {
        suites(all)?;
        if all { stacks() } else { Ok(()) }
    })
}

/// Runs only the suites that deploy whole stacks.
pub fn run_stacks() -> anyhow::Result<()> {
    beside_a_daemon(|| {
        cargo(&["build", "--workspace", "--bins"], &[])?;
        images::run(false, images::Wanted::Usual)?;
        stacks()
    })
}

/// Does what needs Docker, and a build; stops the daemon if it was started for that.
fn beside_a_daemon(work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<()> {
    openssl::ensure()?;
    let daemon = docker_daemon::ensure()?;
    let outcome = work();
    daemon.stop()?;
    outcome
}

fn suites(all: bool) -> anyhow::Result<()> {
    let process = [("OXWHISK_TEST_RUNTIME", "process")];
    // Packages and images are waited for, programs are computed: so both go on at once.
    std::thread::scope(|scope| {
        let needs = scope.spawn(move || ensure_services(all));
        // Always all of the workspace, so that nothing is built twice with other features.
        let built = cargo(&["build", "--workspace", "--bins"], &[])
            .and_then(|()| cargo(&["test", "--workspace", "--no-run", "--quiet"], &[]));
        // What needs nothing but the programs goes on while images are built.
        let tested = built.and_then(|()| {
            test(&["--lib", "--bins"], &[], &[])?;
            test(&[], &API, &process)
        });
        needs.join().unwrap_or_else(|_| bail!("what the suites need could not be had"))?;
        tested
    })?;
    let images = if all { "all" } else { "usual" };
    let docker = [
        ("OXWHISK_TEST_RUNTIME", "docker"),
        ("OXWHISK_TEST_DOCKER", "required"),
        ("OXWHISK_TEST_IMAGES", images),
    ];
    let distributed = [docker[0], ("OXWHISK_TEST_FORM", "distributed")];
    let left_out: Vec<&str> = API.into_iter().chain(LONG.into_iter().filter(|_| !all)).collect();
    let others = suites_but(&left_out)?;
    let others: Vec<&str> = others.iter().map(String::as_str).collect();
    test(&[], &others, &docker)?;
    test(&[], &DISTRIBUTED, &distributed)?;
    if all {
        test(&[], &API, &docker)?;
        test(&[], &PLATFORM, &process)?;
    }
    Ok(())
}

/// Runs suites, and what else the flags choose.
fn test(flags: &[&str], suites: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<()> {
    let suites = suites.iter().flat_map(|suite| ["--test", suite]);
    let arguments: Vec<&str> = ["test", "--workspace", "--no-fail-fast"]
        .into_iter()
        .chain(flags.iter().copied())
        .chain(suites)
        .collect();
    cargo(&arguments, environment)
}

/// The names of all suites that `cargo test` would run, but for these.
fn suites_but(left_out: &[&str]) -> anyhow::Result<Vec<String>> {
    let output = Command::new(cargo_program())
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output()
        .context("cargo cannot be started")?;
    let metadata: serde_json::Value =
        serde_json::from_slice(&output.stdout).context("cargo says nothing of this workspace")?;
    let packages = metadata["packages"].as_array().into_iter().flatten();
    let targets = packages.flat_map(|package| package["targets"].as_array().into_iter().flatten());
    let suites = targets.filter(|target| target["kind"][0] == "test" && target["test"] == true);
    let mut names: Vec<String> =
        suites.filter_map(|target| target["name"].as_str()).map(str::to_owned).collect();
    names.retain(|name| !left_out.contains(&name.as_str()));
    names.sort_unstable();
    names.dedup();
    Ok(names)
}

/// What is installed, downloaded and built besides our programs.
fn ensure_services(all: bool) -> anyhow::Result<()> {
    postgres::ensure()?;
    kafka::ensure()?;
    clients::ensure();
    if Command::new("mkfs.btrfs").arg("--version").output().is_err() {
        docker_daemon::install(&["btrfs-progs"])?;
    }
    if all {
        prometheus::ensure()?;
        docker_registry::ensure();
    }
    images::run(false, if all { images::Wanted::All } else { images::Wanted::Usual })
}

fn cargo_program() -> String {
    std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned())
}

fn cargo(arguments: &[&str], environment: &[(&str, &str)]) -> anyhow::Result<()> {
    println!(
        "+ {}cargo {}",
        environment.iter().map(|(k, v)| format!("{k}={v} ")).collect::<String>(),
        arguments.join(" ")
    );
    let status = Command::new(cargo_program())
        .args(arguments)
        .envs(environment.iter().copied())
        .status()
        .context("cargo cannot be started")?;
    if !status.success() {
        bail!("cargo {} failed", arguments.join(" "));
    }
    Ok(())
}

/// The whole stack by docker-compose and by Ansible, with the programs that the suites have built.
fn stacks() -> anyhow::Result<()> {
    let programs = [("docker-compose", "version"), ("docker", "compose")];
    let answers = |(program, argument)| {
        let output = Command::new(program).arg(argument).output();
        output.is_ok_and(|output| output.status.success())
    };
    if !programs.into_iter().any(answers) {
        docker_daemon::install(&["docker-compose"])?;
    }
    images::stand_ins::run(false, &[])?;
    clients::ansible()?;
    test(&[], &["compose", "ansible"], &[])
}
