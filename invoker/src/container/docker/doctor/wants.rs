//! What an installation wants of Docker: the images of its manifest, memory, disk, addresses.

use common::config::Config;
use common::entity::limits::ByteSize;
use common::manifest::Manifest;

use super::super::firewall::Network;

/// The kinds without which nobody gets far.
const NEEDED: [&str; 2] = ["nodejs:default", "python:default"];

/// What the names of our images begin with. They are in no registry but the operator's.
const OURS: &str = "oxwhisk";

/// An image that is wanted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// Its name, with the registry if it is in one.
    pub image: String,
    /// The kinds that run in it.
    pub kinds: Vec<String>,
    /// Whether nothing much works without it.
    pub is_needed: bool,
    /// Whether a registry may have it, if it is not here.
    pub is_pulled: bool,
}

/// What we want of Docker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wants {
    /// Images.
    pub images: Vec<Wanted>,
    /// What all containers together may use.
    pub user_memory: ByteSize,
    /// What a container may write; 0 is no limit.
    pub disk: ByteSize,
    /// Where the bridge is to have its addresses.
    pub address_pool: Option<Network>,
}

impl Wants {
    /// What these settings and this manifest want.
    pub fn of(config: &Config, manifest: &Manifest) -> Self {
        let manifest = manifest.at_registry(&config.container_factory.runtimes_registry.url);
        let needed: Vec<&str> =
            NEEDED.iter().filter_map(|kind| Some(manifest.resolve(kind)?.kind.as_str())).collect();
        let mut images: Vec<Wanted> = Vec::new();
        for kind in manifest.kinds() {
            let image = kind.image.reference();
            let is_needed = needed.contains(&kind.kind.as_str());
            if let Some(wanted) = images.iter_mut().find(|wanted| wanted.image == image) {
                wanted.kinds.push(kind.kind.clone());
                wanted.is_needed |= is_needed;
                continue;
            }
            let is_pulled = kind.image.registry.is_some() || kind.image.prefix.as_deref() != Some(OURS);
            images.push(Wanted { image, kinds: vec![kind.kind.clone()], is_needed, is_pulled });
        }
        let address_pool = config.docker.address_pool.as_ref().and_then(|pool| pool.parse().ok());
        Self {
            images,
            user_memory: config.container_pool.user_memory,
            disk: config.docker.disk,
            address_pool,
        }
    }
}
