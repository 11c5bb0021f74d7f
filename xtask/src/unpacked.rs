//! Programs of Debian's, taken out of their packages. They are not installed, since on a machine with an init system
//! the packages would start them.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, bail};

/// Sees to it that what a package holds is under `target/<package>`, unless it is there.
pub fn ensure(package: &str) -> anyhow::Result<()> {
    let target = std::path::absolute(Path::new(env!("CARGO_MANIFEST_DIR")).join("../target"))?;
    let folder = target.join(package);
    if folder.exists() {
        return Ok(());
    }
    println!("fetching {package}");
    // It gets its name only once all is there.
    let partial = target.join(format!("{package}.partial"));
    std::fs::create_dir_all(&partial)?;
    // A machine that is new has no list of packages yet.
    run(Command::new("apt-get").args(["update", "-qq"]))?;
    run(Command::new("apt-get").args(["download", "-qq", package]).current_dir(&partial))?;
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
