//! The images of a stack, built by docker-compose from what lies in the target folder.
//!
//! The runtime images have the names that everybody uses: those that were there get their names back.

use std::fs;
use std::path::{Path, PathBuf};

use bollard::query_parameters::{RemoveImageOptionsBuilder, TagImageOptionsBuilder};
use tests::place;
use tests::stages::Stages;

use crate::daemon::Daemon;
use crate::stack::Stack;

/// Whom this machine trusts; builds that download may have to.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// The runtime images.
const RUNTIMES: [&str; 8] = [
    "oxwhisk/action-nodejs-v20",
    "oxwhisk/action-python-v3.13",
    "oxwhisk/action-ruby-v3.3",
    "oxwhisk/action-php-v8.4",
    "oxwhisk/action-golang-v1.24",
    "oxwhisk/action-golang-v1.24-builder",
    "oxwhisk/action-java-v21",
    "oxwhisk/action-java-v21-builder",
];

/// Images that were built.
pub struct Images {
    ours: [String; 2],
    before: Vec<(&'static str, String)>,
    stages: Stages,
}

impl Images {
    /// Builds them all.
    pub async fn build(stack: &Stack, daemon: &Daemon) -> Self {
        let mut before = Vec::new();
        for name in RUNTIMES {
            if let Ok(image) = daemon.docker.inspect_image(&format!("{name}:latest")).await {
                before.push((name, image.id.expect("an image has an id")));
            }
        }
        let stages = Stages::before(&daemon.docker).await;
        let authorities = Authorities::lend();
        stack.run(&["build"]).await;
        drop(authorities);
        let ours = ["controller", "invoker"].map(|name| format!("oxwhisk/{name}:{}", stack.project()));
        Self { ours, before, stages }
    }

    /// Leaves everything as it was.
    pub async fn put_back(self, daemon: &Daemon) {
        for (name, id) in &self.before {
            let options = TagImageOptionsBuilder::default().repo(name).tag("latest").build();
            daemon.docker.tag_image(id, Some(options)).await.expect("an image can be named");
        }
        for image in &self.ours {
            let options = RemoveImageOptionsBuilder::default().build();
            daemon.docker.remove_image(image, Some(options), None).await.expect("nobody uses it any more");
        }
        self.stages.remove_later_ones(&daemon.docker).await;
    }
}

/// `extra-ca.crt`, where nobody has put one.
struct Authorities(Option<PathBuf>);

impl Authorities {
    fn lend() -> Self {
        let file = place::workspace().join("extra-ca.crt");
        if file.exists() || !Path::new(AUTHORITIES).exists() {
            return Self(None);
        }
        fs::copy(AUTHORITIES, &file).expect("the tree is writable");
        Self(Some(file))
    }
}

impl Drop for Authorities {
    fn drop(&mut self) {
        if let Some(file) = &self.0 {
            let _ = fs::remove_file(file);
        }
    }
}
