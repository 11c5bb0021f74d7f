//! Settings: a struct a concern, upstream's keys, units in the types, unknown keys refused.
//!
//! Layers, later over earlier: defaults, a TOML file, the environment (`CONFIG_whisk_…` as upstream
//! spells it, `LIMITS_*`), flags. Upstream: `common/scala/src/main/resources/application.conf`.

pub mod compiler;
pub mod images;
pub mod kafka;
pub mod load;
pub mod parameter_storage;
pub mod postgres;
pub mod user_events;

use std::time::Duration;

use serde::Deserialize;

use self::compiler::CompilerConfig;
use self::images::{ContainerFactoryConfig, RuntimesConfig};
use self::kafka::KafkaConfig;
use self::parameter_storage::ParameterStorage;
use self::postgres::PostgresConfig;
use self::user_events::UserEvents;
use crate::entity::limits::{ActionLimitRanges, ByteSize, Range};
use crate::operator::Password;

/// `whisk`: everything that controllers and invokers share or own.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Config {
    /// `whisk.time-limit`
    pub time_limit: TimeLimit,
    /// `whisk.memory`
    pub memory: MemoryLimit,
    /// `whisk.log-limit`
    pub log_limit: LogLimit,
    /// `whisk.concurrency-limit`
    pub concurrency_limit: CountLimit,
    /// `whisk.limits`: the throttles, upstream's `LIMITS_*`.
    pub limits: Throttles,
    /// `whisk.exec-size-limit`: the code of an action.
    pub exec_size_limit: ExecSize,
    /// `whisk.parameter-size-limit`: parameters and annotations, each.
    pub parameter_size_limit: ParameterSize,
    /// `whisk.parameter-storage`: parameters of actions and packages at rest.
    pub parameter_storage: ParameterStorage,
    /// `whisk.shared-packages-execute-only`: what is in a public package may be run by strangers, and not read.
    pub shared_packages_execute_only: bool,
    /// `whisk.activation`
    pub activation: ActivationConfig,
    /// `whisk.query-limit`
    pub query_limit: QueryLimit,
    /// `whisk.controller`
    pub controller: ControllerConfig,
    /// `whisk.invoker`
    pub invoker: InvokerConfig,
    /// `whisk.feature-flags`
    pub feature_flags: FeatureFlags,
    /// `whisk.loadbalancer`
    pub loadbalancer: BalancerConfig,
    /// `whisk.runtimes`
    pub runtimes: RuntimesConfig,
    /// `whisk.container-factory`
    pub container_factory: ContainerFactoryConfig,
    /// `whisk.container-pool`
    pub container_pool: PoolConfig,
    /// `whisk.container-proxy`
    pub container_proxy: ProxyConfig,
    /// `whisk.docker`
    pub docker: DockerConfig,
    /// `whisk.compiler`
    pub compiler: CompilerConfig,
    /// `whisk.journal`
    pub journal: JournalConfig,
    /// `whisk.postgres`
    pub postgres: PostgresConfig,
    /// `whisk.kafka`
    pub kafka: KafkaConfig,
    /// `whisk.user-events`
    pub user_events: UserEvents,
}

impl Config {
    /// The most bytes of a message on the bus: what it carries, and what is around that.
    pub fn max_message(&self) -> usize {
        let sum = self.activation.payload.max.bytes() + self.activation.serdes_overhead.bytes();
        usize::try_from(sum).unwrap_or(usize::MAX)
    }

    /// The system's ranges of action limits.
    pub fn action_limits(&self) -> ActionLimitRanges {
        let millis = |duration: Duration| u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        let mb = |min: ByteSize, max: ByteSize, std: ByteSize| Range {
            min: min.mb(),
            max: max.mb(),
            std: std.mb(),
        };
        let time = &self.time_limit;
        ActionLimitRanges {
            timeout: Range { min: millis(time.min), max: millis(time.max), std: millis(time.std) },
            memory: mb(self.memory.min, self.memory.max, self.memory.std),
            logs: mb(self.log_limit.min, self.log_limit.max, self.log_limit.std),
            concurrency: Range {
                min: self.concurrency_limit.min,
                max: self.concurrency_limit.max,
                std: self.concurrency_limit.std,
            },
        }
    }
}

/// `whisk.time-limit`: how long an init or a run may take.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TimeLimit {
    /// The least an action may name.
    #[serde(with = "humantime_serde")]
    pub min: Duration,
    /// The most an action may name.
    #[serde(with = "humantime_serde")]
    pub max: Duration,
    /// What an action has that names none.
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
    /// The least an action may name.
    pub min: ByteSize,
    /// The most an action may name.
    pub max: ByteSize,
    /// What an action has that names none.
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
    /// The least an action may name.
    pub min: ByteSize,
    /// The most an action may name.
    pub max: ByteSize,
    /// What an action has that names none.
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
    /// The least an action may name.
    pub min: u64,
    /// The most an action may name.
    pub max: u64,
    /// What an action has that names none.
    pub std: u64,
}

impl Default for CountLimit {
    fn default() -> Self {
        Self { min: 1, max: 1, std: 1 }
    }
}

/// The three throttles of a namespace, and the length of sequences.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct Throttles {
    /// `LIMITS_ACTIONS_INVOKES_PERMINUTE`
    pub invocations_per_minute: u64,
    /// `LIMITS_ACTIONS_INVOKES_CONCURRENT`
    pub concurrent_invocations: u64,
    /// `LIMITS_TRIGGERS_FIRES_PERMINUTE`
    pub fires_per_minute: u64,
    /// `LIMITS_ACTIONS_SEQUENCE_MAXLENGTH`
    pub sequence_length: u64,
    /// No throttle at all, whatever the numbers say: for load tests.
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

/// `whisk.controller`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ControllerConfig {
    /// How invocations are waited for.
    pub activation: WaitConfig,
    /// Who may disable a controller.
    pub username: String,
    /// With this; without one nobody may.
    pub password: Password,
}

/// `whisk.invoker`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct InvokerConfig {
    /// Who may disable and enable an invoker.
    pub username: String,
    /// With this; without one nobody may.
    pub password: Password,
}

/// `whisk.controller.activation`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct WaitConfig {
    /// Whether results that did not fit a message are read from the store.
    pub polling_from_db: bool,
    /// The longest, and the default, that a blocking invocation waits.
    #[serde(with = "humantime_serde")]
    pub max_wait_for_blocking_activation: Duration,
}

impl Default for WaitConfig {
    fn default() -> Self {
        Self { polling_from_db: true, max_wait_for_blocking_activation: Duration::from_secs(60) }
    }
}

/// `whisk.feature-flags`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct FeatureFlags {
    /// New actions get `provide-api-key: false` unless they say otherwise.
    pub require_api_key_annotation: bool,
    /// PUT and DELETE answer with the entity.
    pub require_response_payload: bool,
}

impl Default for FeatureFlags {
    fn default() -> Self {
        Self { require_api_key_annotation: true, require_response_payload: true }
    }
}

/// `whisk.loadbalancer`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct BalancerConfig {
    /// The completion time-out is the time limit (at least the standard one) times this …
    pub timeout_factor: u32,
    /// … plus this.
    #[serde(with = "humantime_serde")]
    pub timeout_addon: Duration,
    /// The share of invokers that run actions of the manifest's kinds.
    pub managed_fraction: Fraction,
    /// The share of invokers that run users' images; at least what the other share leaves.
    pub blackbox_fraction: Fraction,
}

impl Default for BalancerConfig {
    fn default() -> Self {
        Self {
            timeout_factor: 2,
            timeout_addon: Duration::from_secs(60),
            managed_fraction: Fraction(0.9),
            blackbox_fraction: Fraction(0.1),
        }
    }
}

/// A part of a whole: `0.9` or `"90%"`.
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Fraction(pub f64);

impl Fraction {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        let value = match text.strip_suffix('%') {
            Some(percent) => percent.trim_end().parse::<f64>().ok()? / 100.0,
            None => text.parse().ok()?,
        };
        Some(value).filter(|value| value.is_finite() && *value >= 0.0).map(Self)
    }
}

impl<'de> Deserialize<'de> for Fraction {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Wire {
            Number(f64),
            Text(String),
        }
        let read = match Wire::deserialize(deserializer)? {
            Wire::Number(number) => Self::parse(&number.to_string()),
            Wire::Text(text) => Self::parse(&text),
        };
        read.ok_or_else(|| serde::de::Error::custom("a fraction is written 0.9 or 90%"))
    }
}

impl BalancerConfig {
    /// How long after its start an activation of that time limit counts as lost.
    pub fn completion_timeout(&self, time_limit: Duration, standard: Duration) -> Duration {
        time_limit.max(standard) * self.timeout_factor + self.timeout_addon
    }
}

/// `whisk.container-pool`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PoolConfig {
    /// What all containers together may use.
    pub user_memory: ByteSize,
    /// The most jobs that wait for room; beyond, the bus refuses (ours).
    pub max_queued: usize,
    /// Whether containers wait for their first action as the runtimes manifest says (ours).
    pub stem_cells: bool,
    /// Until stem cells are looked over for the first time: what expired is replaced, their number follows
    /// the demand.
    #[serde(with = "humantime_serde")]
    pub prewarm_expiration_check_init_delay: Duration,
    /// Between two such looks.
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

/// `whisk.docker`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct DockerConfig {
    /// The most containers that are created at once.
    pub parallel_runs: usize,
    /// Networks, beside the host's own addresses, that actions must not reach: `10.1.0.0/16`. As one text
    /// they stand between commas.
    #[serde(deserialize_with = "texts")]
    pub denied_networks: Vec<String>,
    /// Processes and threads of a container.
    pub pids: i64,
    /// Open files of a process.
    pub open_files: i64,
    /// The largest file that a container may write.
    pub file_size: ByteSize,
    /// What a container may write to disk in all; 0 is no limit.
    pub disk: ByteSize,
}

/// A list, or one text with commas, as the environment has it.
fn texts<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Wire {
        List(Vec<String>),
        Text(String),
    }
    Ok(match Wire::deserialize(deserializer)? {
        Wire::List(list) => list,
        Wire::Text(text) => {
            text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
        }
    })
}

impl Default for DockerConfig {
    fn default() -> Self {
        Self {
            parallel_runs: 10,
            denied_networks: Vec::new(),
            pids: 1024,
            open_files: 1024,
            file_size: ByteSize::from_mb(512),
            disk: ByteSize::from_mb(1024),
        }
    }
}

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
