//! `whisk.runtimes` and `whisk.container-factory`: which images may run, and where they come from.

use serde::Deserialize;

use super::text;
use crate::operator::Password;

/// `whisk.runtimes`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct RuntimesConfig {
    /// The kinds that every namespace may use; absent: all.
    #[serde(deserialize_with = "text::optional_list")]
    pub whitelist: Option<Vec<String>>,
    /// Whether users' images whose prefix is `local-image-prefix` count as the platform's own: they are not
    /// pulled, and their logs end with sentinels.
    pub bypass_pull_for_local_images: bool,
    /// That prefix: all before the last `/` of an image without registry.
    pub local_image_prefix: String,
}

impl Default for RuntimesConfig {
    fn default() -> Self {
        Self { whitelist: None, bypass_pull_for_local_images: false, local_image_prefix: "whisk".to_owned() }
    }
}

/// `whisk.container-factory`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ContainerFactoryConfig {
    /// Where the manifest's images are that name no registry themselves.
    pub runtimes_registry: Registry,
    /// Where users' images are that name no registry themselves.
    pub user_images_registry: Registry,
}

/// A registry of images.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Registry {
    /// What these images' names are put behind, such as `registry.example:5000` or `registry.example/team`; empty:
    /// the daemon's default registry.
    pub url: String,
    /// Who we are there; absent: nobody.
    pub credentials: Option<RegistryCredentials>,
}

/// How we sign in to a registry.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RegistryCredentials {
    /// Who we are there.
    #[serde(deserialize_with = "text::text")]
    pub user: String,
    /// With which password; it is sent to that registry alone.
    pub password: Password,
}
