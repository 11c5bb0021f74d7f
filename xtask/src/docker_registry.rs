//! A registry of images for the tests: Debian's program, taken out of its package. It is not installed, since on a
//! machine with an init system the package would start it.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

const PACKAGE: &str = "docker-registry";

/// Fetches it unless it is there; the suite says what it skips without it.
pub fn ensure() {
    if let Err(error) = fetch() {
        println!("\nNO {PACKAGE}: what needs it is skipped: {error:#}\n");
    }
}

fn fetch() -> anyhow::Result<()> {
    let target = std::path::absolute(Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"))?;
    let folder = target.join(PACKAGE);
    if folder.exists() {
        return Ok(());
    }
    println!("fetching {PACKAGE}");
    // It gets its name only once all is there.
    let partial = target.join(format!("{PACKAGE}.partial"));
    std::fs::create_dir_all(&partial)?;
    // A machine that is new has no list of packages yet.
    run(Command::new("apt-get").args(["update", "-qq"]))?;
    run(Command::new("apt-get").args(["download", "-qq", PACKAGE]).current_dir(&partial))?;
    for entry in std::fs::read_dir(&partial)? {
        let file = entry?.path();
        if file.extension().is_some_and(|extension| extension == "deb") {
            run(Command::new("dpkg").arg("--extract").arg(&file).arg(&partial))?;
        }
    }
    std::fs::rename(&partial, &folder).context("its folder cannot be renamed")
}

fn run(command: &mut Command) -> anyhow::Result<()> {
    let status = command.stdout(Stdio::null()).status();
    let status = status.with_context(|| format!("{:?} cannot be started", command.get_program()))?;
    if !status.success() {
        bail!("{command:?} ended with {status}");
    }
    Ok(())
}
