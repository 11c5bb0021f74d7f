//! Building one image from one context, if something of it has changed.
//!
//! Whether it has, a label of the image tells: the digest of all that it is made of.

use std::collections::HashMap;

use anyhow::{Context as _, bail};
use bollard::Docker;
use bollard::query_parameters::BuildImageOptionsBuilder;
use futures::TryStreamExt;

use super::context::Context;

/// Which digest an image was built from.
const DIGEST_LABEL: &str = "oxwhisk.context-digest";

/// What is built.
pub struct Build<'a> {
    /// The image's name and tag.
    pub tag: &'a str,
    /// The Dockerfile, by its name within the context.
    pub dockerfile: &'a str,
    /// The Dockerfile's arguments.
    pub arguments: &'a [(&'a str, &'a str)],
    /// The image's labels, beside the digest.
    pub labels: &'a [(&'a str, &'a str)],
    /// The digest of all that matters.
    pub digest: String,
}

/// The labels of an image, if there is one of that name.
pub async fn labels(docker: &Docker, tag: &str) -> Option<HashMap<String, String>> {
    let image = docker.inspect_image(tag).await.ok()?;
    Some(image.config.and_then(|config| config.labels).unwrap_or_default())
}

impl Build<'_> {
    /// Whether there is an image of this digest.
    pub async fn is_done(&self, docker: &Docker) -> bool {
        labels(docker, self.tag).await.is_some_and(|labels| labels.get(DIGEST_LABEL) == Some(&self.digest))
    }

    /// Builds it; with `afresh` without what the daemon remembers of earlier builds.
    pub async fn run(&self, docker: &Docker, context: Context, afresh: bool) -> anyhow::Result<()> {
        println!("building {}", self.tag);
        let mut labels = owned(self.labels);
        labels.insert(DIGEST_LABEL.to_owned(), self.digest.clone());
        let options = BuildImageOptionsBuilder::default()
            .t(self.tag)
            .dockerfile(self.dockerfile)
            .buildargs(&owned(self.arguments))
            .rm(true)
            .forcerm(true)
            .nocache(afresh)
            .labels(&labels)
            .build();
        let archive = bollard::body_full(context.into_tar()?.into());
        let mut progress = docker.build_image(options, None, Some(archive));
        let failed = || format!("{} cannot be built", self.tag);
        while let Some(info) = progress.try_next().await.with_context(failed)? {
            if let Some(text) = info.stream {
                print!("{text}");
            }
            if let Some(error) = info.error_detail {
                bail!("{}: {}", failed(), error.message.unwrap_or_default());
            }
        }
        let size = docker.inspect_image(self.tag).await?.size.unwrap_or_default();
        println!("built {}, {} MB", self.tag, size / 1_000_000);
        Ok(())
    }
}

fn owned(pairs: &[(&str, &str)]) -> HashMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}
