//! `cargo xtask images`: builds the images of the runtimes, those of which something has changed.
//!
//! Whether it has, a label of the image tells: the digest of all that it is made of. The action proxy is
//! linked statically into a target folder of its own, so that other builds keep theirs.

mod base;
mod context;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use bollard::Docker;
use bollard::query_parameters::BuildImageOptionsBuilder;
use futures::TryStreamExt;

use context::Context;

/// Which digest an image was built from.
const DIGEST_LABEL: &str = "oxwhisk.context-digest";
/// Where Debian keeps the certificate authorities that this machine trusts.
const CERTIFICATE_AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

/// One image of a runtime.
struct Image {
    /// What the runtimes manifest calls it.
    tag: &'static str,
    /// Where its Dockerfile and the files beside it lie, from the root of the repository.
    folder: &'static str,
    /// What it is made of, besides the Dockerfile.
    files: &'static [&'static str],
    /// Whether the action proxy goes in.
    proxy: bool,
    /// Whether something is downloaded while it is built by a program that has to be told whom to trust.
    downloads: bool,
}

const IMAGES: [Image; 2] = [
    Image {
        tag: "oxwhisk/action-nodejs-v20:latest",
        folder: "runtimes/nodejs",
        files: &["server.js", "loader.js", "logs.js", "zip.js", "package.json", "package-lock.json"],
        proxy: false,
        downloads: true,
    },
    Image {
        tag: "oxwhisk/action-python-v3.13:latest",
        folder: "runtimes/python",
        files: &["launcher.py"],
        proxy: true,
        downloads: false,
    },
];

/// Builds the images whose tag holds one of `names`, or all if there are none. With `force` also those
/// that are up to date, and from nothing.
pub fn run(force: bool, names: &[String]) -> anyhow::Result<()> {
    let wanted =
        |image: &&Image| names.is_empty() || names.iter().any(|name| image.tag.contains(name.as_str()));
    let images: Vec<&Image> = IMAGES.iter().filter(wanted).collect();
    if images.is_empty() {
        bail!("no such image; there are: {}", IMAGES.map(|image| image.tag).join(", "));
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let docker = connect().await?;
        let base = base::ensure(&docker).await?;
        let proxy = match images.iter().any(|image| image.proxy) {
            true => Some(build_proxy()?),
            false => None,
        };
        for image in images {
            build(&docker, image, &base, proxy.as_deref().filter(|_| image.proxy), force).await?;
        }
        Ok(())
    })
}

/// A Docker daemon that answers, at the version of its API.
async fn connect() -> anyhow::Result<Docker> {
    let docker = Docker::connect_with_defaults().context("there is no way to a Docker daemon")?;
    docker.negotiate_version().await.context("the Docker daemon does not answer: is it running?")
}

/// Builds the action proxy as one file that runs on any Linux, and tells where it is.
fn build_proxy() -> anyhow::Result<PathBuf> {
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
    Ok(root().join("target/static").join(host).join("release/action-proxy"))
}

/// The root of the repository.
fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."))
}

async fn build(
    docker: &Docker,
    image: &Image,
    base: &str,
    proxy: Option<&Path>,
    force: bool,
) -> anyhow::Result<()> {
    let mut context = Context::default();
    let folder = root().join(image.folder);
    for name in ["Dockerfile"].iter().chain(image.files) {
        context.add(name, &folder.join(name))?;
    }
    if let Some(proxy) = proxy {
        context.add("action-proxy", proxy)?;
    }
    let digest = context.digest(base);
    let built_from = docker.inspect_image(image.tag).await.ok().and_then(|found| found.config?.labels);
    if !force && built_from.as_ref().and_then(|labels| labels.get(DIGEST_LABEL)) == Some(&digest) {
        println!("{} is up to date", image.tag);
        return Ok(());
    }
    // Not part of the digest: it says how to get the packages, which the lock file pins, not which.
    if image.downloads && Path::new(CERTIFICATE_AUTHORITIES).exists() {
        context.add("extra-ca.crt", Path::new(CERTIFICATE_AUTHORITIES))?;
    }
    println!("building {}", image.tag);
    let options = BuildImageOptionsBuilder::default()
        .t(image.tag)
        .rm(true)
        .forcerm(true)
        .nocache(force)
        .labels(&HashMap::from([(DIGEST_LABEL.to_owned(), digest)]))
        .build();
    let mut progress =
        docker.build_image(options, None, Some(bollard::body_full(context.into_tar()?.into())));
    while let Some(info) =
        progress.try_next().await.with_context(|| format!("{} cannot be built", image.tag))?
    {
        if let Some(text) = info.stream {
            print!("{text}");
        }
        if let Some(error) = info.error_detail {
            bail!("{} cannot be built: {}", image.tag, error.message.unwrap_or_default());
        }
    }
    let size = docker.inspect_image(image.tag).await?.size.unwrap_or_default();
    println!("built {}, {} MB", image.tag, size / 1_000_000);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_an_image_is_there() {
        for image in &IMAGES {
            for name in ["Dockerfile"].iter().chain(image.files) {
                assert!(root().join(image.folder).join(name).is_file(), "{}: {name}", image.tag);
            }
        }
    }

    #[test]
    fn the_manifest_names_only_images_that_are_built() {
        let manifest = std::fs::read_to_string(root().join("runtimes/runtimes.json")).expect("the manifest");
        let names = IMAGES.map(|image| image.tag.split(['/', ':']).nth(1).expect("a name"));
        for line in manifest.lines().filter(|line| line.contains("\"image\"")) {
            assert!(names.iter().any(|name| line.contains(&format!("\"{name}\""))), "{line}");
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
