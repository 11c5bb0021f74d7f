//! Apache Kafka for the tests: its jars come from Maven once, into a folder under `target`; the suites
//! start the broker themselves.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, bail};

use crate::docker_daemon;

/// What to fetch, for Maven.
const POM: &str = "tests/services/kafka/pom.xml";

/// Makes sure that there are a Java and the jars.
pub fn ensure() -> anyhow::Result<()> {
    if !runs("java", "-version") {
        docker_daemon::install(&["default-jre-headless"])?;
    }
    jars().map(drop)
}

/// Makes sure that there are the jars, and tells in which folder.
pub fn jars() -> anyhow::Result<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let pom = std::fs::read_to_string(root.join(POM))?;
    let version = version(&pom).with_context(|| format!("{POM} names no version of Kafka"))?;
    let folder = root.join(format!("target/kafka-{version}"));
    if folder.exists() {
        return Ok(folder);
    }
    if !runs("mvn", "-version") {
        docker_daemon::install(&["maven"])?;
    }
    println!("fetching Kafka {version}");
    // It gets its name only once all is there.
    let partial = root.join(format!("target/kafka-{version}.partial"));
    fetch(&root.join(POM), &partial)?;
    std::fs::rename(&partial, &folder).context("the folder of Kafka cannot be renamed")?;
    Ok(folder)
}

fn fetch(pom: &Path, folder: &PathBuf) -> anyhow::Result<()> {
    let status = Command::new("mvn")
        .args(["--quiet", "--batch-mode", "--file"])
        .arg(pom)
        .arg("dependency:copy-dependencies")
        .arg(format!("-DoutputDirectory={}", std::path::absolute(folder)?.display()))
        .status()
        .context("mvn cannot be started")?;
    if !status.success() {
        bail!("Maven cannot fetch Kafka; it says why above");
    }
    Ok(())
}

/// The version of the dependency `kafka_2.13`.
fn version(pom: &str) -> Option<&str> {
    let (_, rest) = pom.split_once("<artifactId>kafka_2.13</artifactId>")?;
    let (_, rest) = rest.split_once("<version>")?;
    rest.split_once("</version>").map(|(version, _)| version)
}

fn runs(program: &str, argument: &str) -> bool {
    Command::new(program).arg(argument).output().is_ok_and(|output| output.status.success())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pom_names_a_version() {
        let pom = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(POM);
        let pom = std::fs::read_to_string(pom).expect("the pom");
        let version = version(&pom).expect("a version");
        assert!(version.split('.').all(|number| number.parse::<u32>().is_ok()), "{version}");
    }
}
