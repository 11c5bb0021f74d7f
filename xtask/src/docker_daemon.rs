//! A Docker daemon for the tests: the one that answers, else one that is installed and started here, and
//! stopped afterwards.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use tokio::time::Instant;

/// How long a daemon may take to answer, and to end.
const PATIENCE: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(200);

/// A daemon that answers.
pub struct Daemon {
    started: Option<Child>,
}

/// Makes sure that a daemon answers.
pub fn ensure() -> anyhow::Result<Daemon> {
    if answers() {
        return Ok(Daemon { started: None });
    }
    if !Path::new("/usr/sbin/dockerd").exists() {
        install(&["docker.io", "iptables"])?;
        // On a machine with an init system the package has started it.
        if answers() {
            return Ok(Daemon { started: None });
        }
    }
    println!("starting a Docker daemon");
    let target = Path::new(env!("CARGO_MANIFEST_DIR")).join("../target");
    std::fs::create_dir_all(&target)?;
    let log = File::create(target.join("dockerd.log"))?;
    let mut child = Command::new("dockerd")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("dockerd cannot be started; start it yourself, or install Docker")?;
    let begun = Instant::now();
    while !answers() {
        if let Some(status) = child.try_wait()? {
            bail!("dockerd ended with {status}; see target/dockerd.log");
        }
        if begun.elapsed() > PATIENCE {
            child.kill()?;
            bail!("dockerd does not answer; see target/dockerd.log");
        }
        std::thread::sleep(POLL);
    }
    Ok(Daemon { started: Some(child) })
}

impl Daemon {
    /// Stops the daemon if it was started here.
    pub fn stop(self) -> anyhow::Result<()> {
        let Some(mut child) = self.started else { return Ok(()) };
        println!("stopping the Docker daemon");
        let status = Command::new("kill").arg(child.id().to_string()).status()?;
        if !status.success() {
            bail!("the Docker daemon cannot be stopped");
        }
        let begun = Instant::now();
        while child.try_wait()?.is_none() {
            if begun.elapsed() > PATIENCE {
                child.kill()?;
                bail!("the Docker daemon did not end and was killed");
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }
}

/// Installs Debian's packages, as root.
pub fn install(packages: &[&str]) -> anyhow::Result<()> {
    println!("installing {}", packages.join(", "));
    let apt = |arguments: &[&str]| -> anyhow::Result<()> {
        let status = Command::new("apt-get")
            .args(arguments)
            .env("DEBIAN_FRONTEND", "noninteractive")
            .stdout(Stdio::null())
            .status()
            .with_context(|| format!("there is no apt-get here; install {} yourself", packages.join(", ")))?;
        if !status.success() {
            bail!("apt-get {} failed; install {} yourself", arguments.join(" "), packages.join(", "));
        }
        Ok(())
    };
    apt(&["update", "-qq"])?;
    let mut arguments = vec!["install", "-y", "-qq", "--no-install-recommends"];
    arguments.extend(packages);
    apt(&arguments)
}

fn answers() -> bool {
    let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_all().build() else {
        return false;
    };
    runtime.block_on(async {
        let Ok(docker) = bollard::Docker::connect_with_defaults() else { return false };
        let ping = tokio::time::timeout(Duration::from_secs(2), docker.ping());
        matches!(ping.await, Ok(Ok(_)))
    })
}
