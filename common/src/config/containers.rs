//! What an invoker may do, and what its containers are given.

use std::time::Duration;

use serde::Deserialize;

use super::http::{HttpLimits, HttpsConfig, Protocol};
use super::text;
use crate::entity::limits::ByteSize;
use crate::operator::Password;

/// `whisk.invoker`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct InvokerConfig {
    /// Whether it answers over TLS; by default it does where a certificate is named.
    pub protocol: Option<Protocol>,
    /// Its certificate.
    pub https: HttpsConfig,
    /// What it bears of its clients (ours).
    pub http: HttpLimits,
    /// Who may disable and enable an invoker.
    #[serde(deserialize_with = "text::text")]
    pub username: String,
    /// The password of who may disable and enable an invoker; without one nobody may.
    pub password: Password,
}

/// `whisk.container-pool`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PoolConfig {
    /// What all containers together may use; the flag `--user-memory` wins.
    pub user_memory: ByteSize,
    /// The most jobs that wait for room; beyond, the bus refuses (ours).
    pub max_queued: usize,
    /// Whether containers wait for their first action as the runtimes manifest says (ours).
    pub stem_cells: bool,
    /// How long until stem cells are looked over for the first time: what expired is replaced, their number
    /// follows the demand.
    #[serde(with = "humantime_serde")]
    pub prewarm_expiration_check_init_delay: Duration,
    /// How long between two such looks.
    #[serde(with = "humantime_serde")]
    pub prewarm_expiration_check_interval: Duration,
    /// The interval is longer by up to so much, for each invoker another.
    #[serde(with = "humantime_serde")]
    pub prewarm_expiration_check_interval_variance: Duration,
    /// The most that are replaced at one look.
    pub prewarm_expiration_limit: usize,
}

impl Default for PoolConfig {
    fn default() -> Self {
        Self {
            user_memory: ByteSize::from_mb(2048),
            max_queued: 16_384,
            stem_cells: true,
            prewarm_expiration_check_init_delay: Duration::from_secs(600),
            prewarm_expiration_check_interval: Duration::from_secs(600),
            prewarm_expiration_check_interval_variance: Duration::from_secs(10),
            prewarm_expiration_limit: 100,
        }
    }
}

/// `whisk.container-proxy`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ProxyConfig {
    /// How long a container may live without work.
    pub timeouts: ProxyTimeouts,
}

/// `whisk.container-proxy.timeouts`: how long a container may live without work.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ProxyTimeouts {
    /// A warm container is paused this long after its last activation.
    #[serde(with = "humantime_serde")]
    pub pause_grace: Duration,
    /// A paused container is removed after this long.
    #[serde(with = "humantime_serde")]
    pub idle_container: Duration,
}

impl Default for ProxyTimeouts {
    fn default() -> Self {
        Self { pause_grace: Duration::from_secs(10), idle_container: Duration::from_secs(600) }
    }
}

/// `whisk.docker` (ours): what Docker's containers are given. Upstream gives arguments of `docker run`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct DockerConfig {
    /// The most containers that are created at once.
    pub parallel_runs: usize,
    /// Networks, beside the host's own addresses, that actions must not reach, such as `10.1.0.0/16`: those of
    /// PostgreSQL, Kafka and the other nodes.
    #[serde(deserialize_with = "text::list")]
    pub denied_networks: Vec<String>,
    /// Where the bridge of the containers has its addresses, such as `10.89.0.0/16`: a /22 of it that nobody has, or
    /// all of a smaller one. Without it Docker chooses.
    pub address_pool: Option<String>,
    /// Processes and threads of a container.
    pub pids: i64,
    /// Open files of a process; also where actions run as processes.
    pub open_files: i64,
    /// The largest file that a container may write; also where actions run as processes.
    pub file_size: ByteSize,
    /// What a container may write to disk in all; 0 is no limit.
    pub disk: ByteSize,
}

impl Default for DockerConfig {
    fn default() -> Self {
        Self {
            parallel_runs: 10,
            denied_networks: Vec::new(),
            address_pool: None,
            pids: 1024,
            open_files: 1024,
            file_size: ByteSize::from_mb(512),
            disk: ByteSize::from_mb(1024),
        }
    }
}
