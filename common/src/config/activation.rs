//! How large payloads and results may be, and which records are stored.

use serde::Deserialize;

use crate::entity::limits::ByteSize;

/// `whisk.activation`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ActivationConfig {
    /// Sizes of payloads and results.
    pub payload: PayloadConfig,
    /// What a message may have beside its payload.
    pub serdes_overhead: ByteSize,
    /// Which records of blocking invocations are stored.
    pub store_blocking_result_level: StoreLevel,
    /// Which records of other invocations are stored.
    pub store_non_blocking_result_level: StoreLevel,
}

impl Default for ActivationConfig {
    fn default() -> Self {
        Self {
            payload: PayloadConfig::default(),
            serdes_overhead: ByteSize::from_bytes(6068),
            store_blocking_result_level: StoreLevel::StoreAlways,
            store_non_blocking_result_level: StoreLevel::StoreAlways,
        }
    }
}

/// `whisk.activation.payload`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PayloadConfig {
    /// The most of a request to invoke and of a result.
    pub max: ByteSize,
    /// How much of a result that is too large is kept.
    pub truncation: ByteSize,
}

impl Default for PayloadConfig {
    fn default() -> Self {
        Self { max: ByteSize::from_mb(1), truncation: ByteSize::from_mb(1) }
    }
}

/// Which records are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StoreLevel {
    /// All.
    StoreAlways,
    /// All but successes.
    StoreFailures,
    /// Developer and whisk errors.
    StoreFailuresNotApplicationErrors,
}
