//! The image that all of ours are put upon: Debian's own, or, where no container registry answers, a
//! stand-in of the same name made from Debian's packages by debootstrap.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context, bail};
use bollard::Docker;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures::TryStreamExt;
use tokio::process::Command;
use tokio_util::io::ReaderStream;

use super::registry;

/// What the Dockerfiles name.
pub const REFERENCE: &str = "debian:trixie-slim";
const NAME: &str = "debian";
const TAG: &str = "trixie-slim";
/// The Debian release it holds.
const RELEASE: &str = "trixie";
/// What the official slim image leaves out too, besides what apt has downloaded.
const SUPERFLUOUS: [&str; 8] = [
    "var/cache/apt/archives",
    "var/lib/apt/lists",
    "var/cache/debconf",
    "var/log",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/info",
    "usr/share/locale",
];

/// Makes sure that there is such an image, and returns its id.
pub async fn ensure(docker: &Docker) -> anyhow::Result<String> {
    if let Some(id) = id(docker).await {
        return Ok(id);
    }
    match registry::pull(docker, REFERENCE).await {
        Ok(()) => println!("pulled {REFERENCE}"),
        Err(error) => {
            println!("{error:#}");
            println!("making a stand-in of that name with debootstrap instead");
            stand_in(docker).await?;
        }
    }
    id(docker).await.with_context(|| format!("{REFERENCE} is still missing"))
}

async fn id(docker: &Docker) -> Option<String> {
    docker.inspect_image(REFERENCE).await.ok()?.id
}

async fn stand_in(docker: &Docker) -> anyhow::Result<()> {
    if !rooted().await {
        bail!("only root can make a stand-in: pull or import {REFERENCE} by other means");
    }
    if Command::new("debootstrap").arg("--version").stdout(Stdio::null()).status().await.is_err() {
        println!("installing debootstrap");
        run("apt-get", &["update", "--quiet"]).await?;
        run("apt-get", &["install", "--quiet", "--yes", "--no-install-recommends", "debootstrap"]).await?;
    }
    let folder = tempfile::tempdir()?;
    // Inside, since a private folder must not become the image's root.
    let system = folder.path().join("system");
    let path = system.to_str().context("the temporary folder has a strange name")?;
    run("debootstrap", &["--variant=minbase", RELEASE, path]).await?;
    for superfluous in SUPERFLUOUS {
        empty(&system.join(superfluous))?;
    }
    import(docker, &system).await
}

async fn rooted() -> bool {
    let output = Command::new("id").arg("-u").output().await;
    output.is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// Empties a folder; what writes to it later expects it to be there.
fn empty(folder: &Path) -> anyhow::Result<()> {
    if folder.exists() {
        std::fs::remove_dir_all(folder)?;
    }
    Ok(std::fs::create_dir_all(folder)?)
}

async fn import(docker: &Docker, system: &Path) -> anyhow::Result<()> {
    let mut tar = Command::new("tar")
        .args(["--create", "--numeric-owner", "--exclude=./proc/*", "--exclude=./sys/*", "--exclude=./dev/*"])
        .arg("--directory")
        .arg(system)
        .arg(".")
        .stdout(Stdio::piped())
        .spawn()
        .context("tar cannot be started")?;
    let output = tar.stdout.take().context("tar has no output")?;
    let options = CreateImageOptionsBuilder::default()
        .from_src("-")
        .repo(NAME)
        .tag(TAG)
        .changes(vec!["CMD [\"bash\"]".to_owned()])
        .build();
    let body = bollard::body_try_stream(ReaderStream::new(output));
    docker.create_image(Some(options), Some(body), None).try_for_each(|_| async { Ok(()) }).await?;
    if !tar.wait().await?.success() {
        bail!("tar failed");
    }
    Ok(())
}

async fn run(program: &str, arguments: &[&str]) -> anyhow::Result<()> {
    println!("+ {program} {}", arguments.join(" "));
    let status = Command::new(program)
        .args(arguments)
        .env("DEBIAN_FRONTEND", "noninteractive")
        .status()
        .await
        .with_context(|| format!("{program} cannot be started"))?;
    if !status.success() {
        bail!("{program} failed");
    }
    Ok(())
}
