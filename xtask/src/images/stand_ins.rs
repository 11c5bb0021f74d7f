//! `cargo xtask images --stand-ins`: images of other projects that docker-compose.yml and `ansible/` name, made here
//! under their names where no container registry answers, so that the stack can be started all the same.
//!
//! They understand what these two tell them, and no more. Each is labelled as what it is; an image
//! without that label came from elsewhere and is never replaced.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use bollard::Docker;

use super::build::{Build, labels};
use super::context::Context;
use super::{base, connect, registry, root};
use crate::kafka;

/// The label of an image that we have made under another's name.
const LABEL: &str = "oxwhisk.stand-in";

/// One image.
struct StandIn {
    /// Whose name it takes.
    tag: &'static str,
    /// Its files, from the root of the repository.
    folder: &'static str,
    /// What it is.
    what: &'static str,
    /// What it takes from this machine.
    takes: Takes,
    /// Whether it is made only if it is named.
    on_demand: bool,
}

/// What an image takes from this machine, besides its files.
enum Takes {
    Nothing,
    /// Kafka's jars, as `libs`.
    Kafka,
    /// The compiler that runs this, as `toolchain`.
    Toolchain,
}

const STAND_INS: [StandIn; 6] = [
    StandIn {
        tag: "postgres:17",
        folder: "docker/stand-ins/postgres",
        what: "Debian's PostgreSQL",
        takes: Takes::Nothing,
        on_demand: false,
    },
    StandIn {
        tag: "apache/kafka:4.1.1",
        folder: "docker/stand-ins/kafka",
        what: "Kafka from Maven Central on Debian's Java",
        takes: Takes::Kafka,
        on_demand: false,
    },
    StandIn {
        tag: "prom/prometheus:v3.5.0",
        folder: "docker/stand-ins/prometheus",
        what: "Debian's Prometheus, an older one",
        takes: Takes::Nothing,
        on_demand: false,
    },
    StandIn {
        tag: "nginx:1.28",
        folder: "docker/stand-ins/nginx",
        what: "Debian's nginx, perhaps an older one",
        takes: Takes::Nothing,
        on_demand: false,
    },
    StandIn {
        tag: "grafana/grafana:12.1.1",
        folder: "docker/stand-ins/grafana",
        what: "a placeholder that does not run; use --scale grafana=0",
        takes: Takes::Nothing,
        on_demand: false,
    },
    StandIn {
        tag: "rust:1.95-slim-trixie",
        folder: "docker/stand-ins/rust",
        what: "this machine's Rust toolchain",
        takes: Takes::Toolchain,
        on_demand: true,
    },
];

/// Makes sure that there is an image of each name that holds one of `names`, or of each that is started
/// if there are none. With `force` also stand-ins that are up to date are made again.
pub fn run(force: bool, names: &[String]) -> anyhow::Result<()> {
    let wanted = |image: &&StandIn| match names {
        [] => !image.on_demand,
        names => names.iter().any(|name| image.tag.contains(name.as_str())),
    };
    let images: Vec<&StandIn> = STAND_INS.iter().filter(wanted).collect();
    if images.is_empty() {
        bail!("no such image; there are: {}", STAND_INS.map(|image| image.tag).join(", "));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let docker = connect().await?;
        let base = base::ensure(&docker).await?;
        for image in images {
            image.ensure(&docker, &base, force).await?;
        }
        Ok(())
    })
}

impl StandIn {
    async fn ensure(&self, docker: &Docker, base: &str, force: bool) -> anyhow::Result<()> {
        match labels(docker, self.tag).await {
            Some(labels) if !labels.contains_key(LABEL) => {
                println!("{} is there", self.tag);
                return Ok(());
            }
            // A registry that did not answer once is not waited for each time.
            Some(_) => {}
            None => match registry::pull(docker, self.tag).await {
                Ok(()) => {
                    println!("pulled {}", self.tag);
                    return Ok(());
                }
                Err(error) => println!("{error:#}"),
            },
        }
        let context = self.context()?;
        let build = Build {
            tag: self.tag,
            dockerfile: "Dockerfile",
            arguments: &[],
            labels: &[(LABEL, "true")],
            digest: context.digest(base),
        };
        println!("{} is a stand-in: {}", self.tag, self.what);
        if !force && build.is_done(docker).await {
            return Ok(());
        }
        build.run(docker, context, force).await
    }

    fn context(&self) -> anyhow::Result<Context> {
        let mut context = Context::default();
        for entry in std::fs::read_dir(root().join(self.folder))? {
            let entry = entry?;
            context.add(&entry.file_name().to_string_lossy(), &entry.path())?;
        }
        match self.takes {
            Takes::Nothing => {}
            Takes::Kafka => context.add_folder("libs", &kafka::jars()?, &|_| true)?,
            Takes::Toolchain => {
                let toolchain = toolchain()?;
                context.add_folder("toolchain/bin", &toolchain.join("bin"), &|_| true)?;
                // Neither sources nor debuggers.
                let used = |path: &Path| !path.ends_with("rustlib/src") && !path.ends_with("rustlib/etc");
                context.add_folder("toolchain/lib", &toolchain.join("lib"), &used)?;
            }
        }
        Ok(context)
    }
}

/// The folder of the toolchain that this was built with.
fn toolchain() -> anyhow::Result<PathBuf> {
    let output = Command::new("rustc").args(["--print", "sysroot"]).output().context("there is no rustc")?;
    Ok(PathBuf::from(String::from_utf8(output.stdout)?.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compose_file_the_dockerfiles_and_the_playbooks_name_the_stand_ins() {
        let files = ["docker-compose.yml", "docker/Dockerfile", "ansible/group_vars/all.yml"].map(|name| {
            std::fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
        });
        for image in &STAND_INS {
            assert!(root().join(image.folder).join("Dockerfile").is_file(), "{}", image.folder);
            assert!(files.iter().any(|text| text.contains(image.tag)), "nobody wants {}", image.tag);
        }
    }
}
