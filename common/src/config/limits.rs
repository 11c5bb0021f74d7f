//! What the system allows at most: of time, memory, logs, code, parameters, items of a list, and how often.

use std::time::Duration;

use serde::Deserialize;

use crate::entity::limits::ByteSize;

/// `whisk.time-limit`: how long an init or a run may take.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TimeLimit {
    /// The least time limit that an action may name.
    #[serde(with = "humantime_serde")]
    pub min: Duration,
    /// The largest time limit that an action may name.
    #[serde(with = "humantime_serde")]
    pub max: Duration,
    /// The time limit of an action that names none.
    #[serde(with = "humantime_serde")]
    pub std: Duration,
}

impl Default for TimeLimit {
    fn default() -> Self {
        Self { min: Duration::from_millis(100), max: Duration::from_secs(300), std: Duration::from_secs(60) }
    }
}

/// `whisk.memory`: what a container may use.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct MemoryLimit {
    /// The least memory limit that an action may name.
    pub min: ByteSize,
    /// The largest memory limit that an action may name.
    pub max: ByteSize,
    /// The memory limit of an action that names none.
    pub std: ByteSize,
}

impl Default for MemoryLimit {
    fn default() -> Self {
        Self { min: ByteSize::from_mb(128), max: ByteSize::from_mb(512), std: ByteSize::from_mb(256) }
    }
}

/// `whisk.log-limit`: how much log of one activation is kept.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct LogLimit {
    /// The least log limit that an action may name.
    pub min: ByteSize,
    /// The largest log limit that an action may name.
    pub max: ByteSize,
    /// The log limit of an action that names none.
    pub std: ByteSize,
}

impl Default for LogLimit {
    fn default() -> Self {
        Self { min: ByteSize::from_mb(0), max: ByteSize::from_mb(10), std: ByteSize::from_mb(10) }
    }
}

/// `whisk.concurrency-limit`: activations at once in one container.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct CountLimit {
    /// The least concurrency limit that an action may name.
    pub min: u64,
    /// The largest concurrency limit that an action may name.
    pub max: u64,
    /// The concurrency limit of an action that names none.
    pub std: u64,
}

impl Default for CountLimit {
    fn default() -> Self {
        Self { min: 1, max: 1, std: 1 }
    }
}

/// `whisk.limits`: the three throttles of a namespace, and the length of sequences.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Throttles {
    /// How often a minute a namespace may invoke actions.
    pub invocations_per_minute: u64,
    /// How many activations a namespace may have under way.
    pub concurrent_invocations: u64,
    /// How often a minute a namespace may fire triggers.
    pub fires_per_minute: u64,
    /// How many actions a sequence may have.
    pub sequence_length: u64,
    /// No throttle at all, whatever the numbers say: for load tests (ours).
    pub unthrottled: bool,
}

impl Default for Throttles {
    fn default() -> Self {
        Self {
            invocations_per_minute: 60,
            concurrent_invocations: 30,
            fires_per_minute: 60,
            sequence_length: 50,
            unthrottled: false,
        }
    }
}

/// The most bytes of an action's code: 48 MB.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct ExecSize(pub ByteSize);

impl Default for ExecSize {
    fn default() -> Self {
        Self(ByteSize::from_mb(48))
    }
}

/// The most bytes of parameters, and of annotations: 1 MB.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct ParameterSize(pub ByteSize);

impl Default for ParameterSize {
    fn default() -> Self {
        Self(ByteSize::from_mb(1))
    }
}

/// `whisk.query-limit`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct QueryLimit {
    /// The most items of a list.
    pub max_list_limit: u64,
    /// The items of a list that names no limit.
    pub default_list_limit: u64,
}

impl Default for QueryLimit {
    fn default() -> Self {
        Self { max_list_limit: 200, default_list_limit: 30 }
    }
}
