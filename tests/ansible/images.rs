//! The images of an installation and of its upgrade, made of the programs that cargo has built.
//!
//! The newer ones differ by a label, so that they are others for Docker and for Ansible.

use std::process::Stdio;

use bollard::Docker;
use bollard::query_parameters::RemoveImageOptionsBuilder;
use tests::place;
use tests::stages::Stages;
use tokio::process::Command;

/// What runs in a container of ours.
const PROGRAMS: [&str; 2] = ["controller", "invoker"];

/// Images that were built.
pub struct Images {
    /// The tag of those that are deployed first.
    pub old: String,
    /// The tag of those that come after them.
    pub new: String,
    stages: Stages,
}

impl Images {
    /// Builds them all.
    pub async fn build(docker: &Docker) -> Self {
        let stages = Stages::before(docker).await;
        let old = place::unique("ansible");
        let new = format!("{old}-next");
        for program in PROGRAMS {
            for tag in [&old, &new] {
                build(program, tag).await;
            }
        }
        Self { old, new, stages }
    }

    /// Removes them.
    pub async fn remove(self, docker: &Docker) {
        for program in PROGRAMS {
            for tag in [&self.old, &self.new] {
                let name = format!("oxwhisk/{program}:{tag}");
                let options = RemoveImageOptionsBuilder::default().build();
                docker.remove_image(&name, Some(options), None).await.expect("nobody uses it any more");
            }
        }
        self.stages.remove_later_ones(docker).await;
    }
}

async fn build(program: &str, tag: &str) {
    let tool = place::wskadmin();
    let binaries = tool.parent().and_then(|folder| folder.strip_prefix(place::workspace()).ok());
    let binaries = binaries.expect("what is tested lies in the target folder of the workspace").display();
    let output = Command::new("docker")
        // The default bridge is not needed for anything else, and is not everywhere.
        .args(["build", "--network=host", "--file=docker/Dockerfile"])
        .arg("--build-arg=OXWHISK_BUILDER=debian:trixie-slim")
        .arg(format!("--build-arg=BINARIES={binaries}"))
        .arg(format!("--target={program}"))
        .arg(format!("--label=oxwhisk.test={tag}"))
        .arg(format!("--tag=oxwhisk/{program}:{tag}"))
        .arg(".")
        .current_dir(place::workspace())
        .stdin(Stdio::null())
        .output()
        .await
        .expect("Docker's client is installed");
    assert!(
        output.status.success(),
        "the image of {program} cannot be built\n{}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
}
