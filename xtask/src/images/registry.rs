//! Asking a container registry for an image that others make.

use std::time::Duration;

use anyhow::{Context, bail};
use bollard::Docker;
use bollard::query_parameters::CreateImageOptionsBuilder;
use futures::TryStreamExt;

/// How long a registry may take to deliver an image.
const PATIENCE: Duration = Duration::from_secs(120);

/// Pulls an image, `name:tag`.
///
/// # Errors
///
/// Says why in one line.
pub async fn pull(docker: &Docker, reference: &str) -> anyhow::Result<()> {
    let (name, tag) = reference.rsplit_once(':').with_context(|| format!("{reference} has no tag"))?;
    let options = CreateImageOptionsBuilder::default().from_image(name).tag(tag).build();
    let pulling = docker.create_image(Some(options), None, None).try_for_each(|_| async { Ok(()) });
    match tokio::time::timeout(PATIENCE, pulling).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => bail!("{reference} cannot be pulled ({error})"),
        Err(_) => {
            bail!("{reference} cannot be pulled (nothing came within {} seconds)", PATIENCE.as_secs())
        }
    }
}
