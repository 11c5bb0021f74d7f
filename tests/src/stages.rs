//! What builds of our Dockerfiles leave behind: images without a name, told apart by their label.

use std::collections::{BTreeSet, HashMap};

use bollard::Docker;
use bollard::query_parameters::{ListImagesOptionsBuilder, RemoveImageOptionsBuilder};

/// The label of build stages.
const LABEL: &str = "oxwhisk.stage=build";

/// The stages that were there before a build.
#[derive(Debug)]
pub struct Stages(BTreeSet<String>);

impl Stages {
    /// Notes what is there.
    pub async fn before(docker: &Docker) -> Self {
        Self(found(docker).await)
    }

    /// Removes what has come since.
    ///
    /// # Panics
    ///
    /// If the daemon refuses.
    pub async fn remove_later_ones(self, docker: &Docker) {
        for stage in found(docker).await.difference(&self.0) {
            let options = RemoveImageOptionsBuilder::default().build();
            docker.remove_image(stage, Some(options), None).await.expect("nobody uses it");
        }
    }
}

async fn found(docker: &Docker) -> BTreeSet<String> {
    let filters = [("dangling", "true"), ("label", LABEL)];
    let filters = filters.map(|(key, value)| (key.to_owned(), vec![value.to_owned()]));
    let options = ListImagesOptionsBuilder::default().filters(&HashMap::from(filters)).build();
    let listed = docker.list_images(Some(options)).await.expect("the Docker daemon answers");
    listed.into_iter().map(|image| image.id).collect()
}
