//! `whisk.sqlite` (ours): what the embedded form keeps.

use std::time::Duration;

use serde::Deserialize;

/// `whisk.sqlite` (ours)
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct SqliteConfig {
    /// Activation records that are older are dropped; 0 keeps them for ever.
    #[serde(with = "humantime_serde")]
    pub retention: Duration,
}

impl Default for SqliteConfig {
    fn default() -> Self {
        Self { retention: Duration::from_secs(30 * 86_400) }
    }
}
