//! Clients for the tests, by their own package managers, into `target/clients`: npm's packages, Go's programs,
//! a Python program that makes requests of an API description, and Ansible.
//!
//! What cannot be had is told; the suites count what they skip for it.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::docker_daemon;

/// The JavaScript client and the composer.
const NPM: [&str; 2] = ["openwhisk@3.21.9", "openwhisk-composer@0.12.0"];

/// What makes requests of an API description.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";

/// What reads our playbooks; what runs them is pinned where they are.
const ANSIBLE_LINT: &str = "ansible-lint==26.10.1";
const REQUIREMENTS: &str = "ansible/requirements.txt";

/// Our program on the Go client library, in the module that also pins `wskdeploy`.
const GO_MODULE: &str = "tests/clients/go";

/// How one of them is installed.
type Install = fn() -> anyhow::Result<()>;

/// Installs what is not there yet.
pub fn ensure() {
    let parts: [(&str, Install); 3] =
        [("the Node.js clients", npm), ("the Go clients", go), ("schemathesis", schemathesis)];
    for (what, install) in parts {
        if let Err(error) = install() {
            println!("\nNO {}: what needs them is skipped: {error:#}\n", what.to_uppercase());
        }
    }
}

fn npm() -> anyhow::Result<()> {
    let folder = folder()?;
    once(&folder, "npm", &NPM.join(" "), || {
        if !runs("npm", "--version") {
            docker_daemon::install(&["nodejs", "npm"])?;
        }
        let quiet = ["--no-save", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"];
        run(Command::new("npm").arg("install").arg("--prefix").arg(&folder).args(quiet).args(NPM))
    })
}

fn go() -> anyhow::Result<()> {
    let (folder, module) = (folder()?, root().join(GO_MODULE));
    let text = |name: &str| std::fs::read_to_string(module.join(name));
    let version = format!("{}{}", text("go.mod")?, text("main.go")?);
    once(&folder, "go", &version, || {
        if !runs("go", "version") {
            docker_daemon::install(&["golang-go"])?;
        }
        for (program, package) in [("wskdeploy", "github.com/apache/openwhisk-wskdeploy"), ("go-client", ".")]
        {
            let output = folder.join("bin").join(program);
            // Not stamped with a commit: it is that of this repository, if any.
            let flags = ["build", "-buildvcs=false", "-o"];
            run(Command::new("go").current_dir(&module).args(flags).arg(output).arg(package))?;
        }
        Ok(())
    })
}

fn schemathesis() -> anyhow::Result<()> {
    let folder = folder()?;
    once(&folder, "python", SCHEMATHESIS, || venv(&folder.join("python"), &[SCHEMATHESIS]))
}

/// Installs Ansible into a folder of its own, for the suite that cannot do without it.
pub fn ansible() -> anyhow::Result<()> {
    let (folder, file) = (folder()?, root().join(REQUIREMENTS));
    let version = format!("{}{ANSIBLE_LINT}", std::fs::read_to_string(&file)?);
    let requirements = file.display().to_string();
    once(&folder, "ansible", &version, || {
        venv(&folder.join("ansible"), &["--requirement", &requirements, ANSIBLE_LINT])
    })
}

/// A Python environment with these packages.
fn venv(folder: &Path, packages: &[&str]) -> anyhow::Result<()> {
    let make = || run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(folder));
    if make().is_err() {
        docker_daemon::install(&["python3-venv"])?;
        make()?;
    }
    run(Command::new(folder.join("bin/pip")).args(["install", "--quiet"]).args(packages))
}

/// Does it unless it was done for that version.
fn once(
    folder: &Path,
    what: &str,
    version: &str,
    install: impl FnOnce() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mark = folder.join(format!("{what}.installed"));
    if std::fs::read_to_string(&mark).is_ok_and(|done| done == version) {
        return Ok(());
    }
    println!("installing clients by {what}");
    install()?;
    std::fs::write(mark, version).context("the folder of clients is not writable")
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let status =
        command.status().with_context(|| format!("{:?} cannot be started", command.get_program()))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}

fn runs(program: &str, argument: &str) -> bool {
    Command::new(program).arg(argument).output().is_ok_and(|output| output.status.success())
}

fn folder() -> anyhow::Result<PathBuf> {
    let folder = root().join("target/clients");
    std::fs::create_dir_all(folder.join("bin"))?;
    Ok(std::path::absolute(folder)?)
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
