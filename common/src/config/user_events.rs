//! `whisk.user-events`: whether activations are told to whoever measures, and counted by action.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::text;

/// `whisk.user-events`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct UserEvents {
    /// Whether events go to the topic `events`, and `/metrics` counts by namespace and action: it names them.
    pub enabled: bool,
    /// Namespaces whose actions are not counted by name.
    #[serde(deserialize_with = "text::list")]
    pub ignored_namespaces: Vec<String>,
    /// Other names for the labels `namespace`, `initiator`, `action`, `kind`, `memory`, `status`, `status_code`.
    pub rename_tags: BTreeMap<String, String>,
}
