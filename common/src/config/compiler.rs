//! `whisk.compiler` (ours): how source of compiled kinds is made into programs.

use std::time::Duration;

use serde::Deserialize;

use crate::entity::limits::ByteSize;

/// `whisk.compiler` (ours)
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct CompilerConfig {
    /// How long compiling one action may take.
    #[serde(with = "humantime_serde")]
    pub timeout: Duration,
    /// What one builder container may use; it counts in `container-pool.user-memory`.
    pub memory: ByteSize,
    /// How many processors a builder container may use.
    pub cpus: u32,
    /// The most builder containers at once.
    pub parallel: usize,
    /// What compiled actions may take in the folder `compiled` of the state folder; what was not used for longest
    /// goes first.
    pub cache: ByteSize,
}

impl Default for CompilerConfig {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(120),
            memory: ByteSize::from_mb(1024),
            cpus: 2,
            parallel: 2,
            cache: ByteSize::from_mb(1024),
        }
    }
}
