//! What may wait on disk.

use serde::Deserialize;

use crate::entity::limits::ByteSize;

/// `whisk.journal` (ours): what may wait on disk while the store is away.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct JournalConfig {
    /// A file is closed at this size.
    pub segment: ByteSize,
    /// With so much that is not yet stored, no new work is taken.
    pub max: ByteSize,
}

impl Default for JournalConfig {
    fn default() -> Self {
        Self { segment: ByteSize::from_mb(16), max: ByteSize::from_mb(512) }
    }
}
