//! `cargo xtask images`: builds the images of the runtimes, those of which something has changed.
//!
//! The action proxy is linked statically into a target folder of its own, so that other builds keep theirs.
//! Images of other projects that the distributed form needs come from a registry, or are [`stand_ins`].

mod base;
mod build;
mod context;
mod registry;
mod runtimes;
pub mod stand_ins;

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, bail};
use bollard::Docker;

use build::Build;
use context::Context;
use runtimes::{IMAGES, Image};

/// Where Debian keeps the certificate authorities that this machine trusts.
const CERTIFICATE_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";
/// The action proxy as the Dockerfiles expect it: linked statically.
const PROXY: &str = "target/static/action-proxy";

/// Which images are wanted.
#[derive(Clone, Copy)]
pub enum Wanted<'a> {
    /// Those that every installation has.
    Usual,
    /// The large ones too.
    All,
    /// Those whose tag holds one of these words.
    Named(&'a [String]),
}

impl Wanted<'_> {
    fn holds(self, image: &Image) -> bool {
        match self {
            Self::Usual => !image.on_demand,
            Self::All => true,
            Self::Named(words) => words.iter().any(|word| image.tag.contains(word.as_str())),
        }
    }
}

/// Builds the images that are wanted and have changed. With `force` also those that are up to date, and from
/// nothing.
pub fn run(force: bool, wanted: Wanted<'_>) -> anyhow::Result<()> {
    let images: Vec<&Image> = IMAGES.iter().filter(|image| wanted.holds(image)).collect();
    if images.is_empty() {
        let tags: Vec<&str> = IMAGES.iter().map(|image| image.tag).collect();
        bail!("no such image; there are: {}", tags.join(", "));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let docker = connect().await?;
        let base = base::ensure(&docker).await?;
        if images.iter().any(|image| image.proxy) {
            build_proxy()?;
        }
        for image in images {
            build(&docker, image, &base, force).await?;
        }
        Ok(())
    })
}

/// A Docker daemon that answers, at the version of its API.
async fn connect() -> anyhow::Result<Docker> {
    let docker = Docker::connect_with_defaults().context("there is no way to a Docker daemon")?;
    docker.negotiate_version().await.context("the Docker daemon does not answer: is it running?")
}

/// Builds the action proxy as one file that runs on any Linux, for this machine's images and for those that
/// `OXWHISK_BUILDER=debian:trixie-slim docker-compose build` makes.
fn build_proxy() -> anyhow::Result<()> {
    let version = Command::new("rustc").arg("-vV").output().context("rustc cannot be started")?;
    let version = String::from_utf8(version.stdout)?;
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc has no host")?;
    println!("building the action proxy, statically linked");
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--quiet", "--release", "--package", "action-proxy"])
        .args(["--target", host, "--target-dir", "target/static"])
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .current_dir(root())
        .status()
        .context("cargo cannot be started")?;
    if !status.success() {
        bail!("the action proxy cannot be built");
    }
    let built = root().join("target/static").join(host).join("release/action-proxy");
    std::fs::copy(&built, root().join(PROXY)).with_context(|| format!("{} is missing", built.display()))?;
    Ok(())
}

/// The root of the repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

async fn build(docker: &Docker, image: &Image, base: &str, force: bool) -> anyhow::Result<()> {
    let mut context = Context::default();
    let proxy = [PROXY].into_iter().filter(|_| image.proxy);
    for name in [image.dockerfile].into_iter().chain(image.files.iter().copied()).chain(proxy) {
        context.add(name, &root().join(name))?;
    }
    let build = Build {
        tag: image.tag,
        dockerfile: image.dockerfile,
        // The image that it is put upon has no compiler: what is built here is taken as it is.
        arguments: &[("OXWHISK_BUILDER", base::REFERENCE)],
        labels: &[],
        digest: context.digest(base),
    };
    if !force && build.is_done(docker).await {
        println!("{} is up to date", image.tag);
        return Ok(());
    }
    // Not part of the digest: it says how to get the packages, which the lock file pins, not which.
    if image.downloads && Path::new(CERTIFICATE_AUTHORITIES).exists() {
        context.add("extra-ca.crt", Path::new(CERTIFICATE_AUTHORITIES))?;
    }
    build.run(docker, context, force).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_an_image_is_there() {
        for image in IMAGES {
            for name in [image.dockerfile].iter().chain(image.files) {
                assert!(root().join(name).is_file(), "{}: {name}", image.tag);
            }
        }
    }

    #[test]
    fn the_manifest_names_only_images_that_are_built() {
        let manifest = std::fs::read_to_string(root().join("runtimes/runtimes.json")).expect("the manifest");
        let name = |image: &Image| image.tag.split(['/', ':']).nth(1).expect("a name");
        for line in manifest.lines().filter(|line| line.contains("\"image\"")) {
            let built = |image: &Image| line.contains(&format!("\"{}\"", name(image)));
            assert!(IMAGES.iter().any(built), "{line}");
        }
    }

    #[test]
    fn the_lock_file_says_nothing_of_where_packages_come_from() {
        let lock =
            std::fs::read_to_string(root().join("runtimes/nodejs/package-lock.json")).expect("the lock file");
        assert!(lock.contains("\"integrity\""));
        assert!(!lock.contains("\"resolved\""));
    }
}
