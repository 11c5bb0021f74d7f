//! Settings: a struct a concern, upstream's keys, units in the types, unknown keys refused.
//!
//! Layers, later over earlier: defaults, a TOML file, the environment (`CONFIG_whisk_…` as upstream
//! spells it, `LIMITS_*`), flags. Upstream: `common/scala/src/main/resources/application.conf`.

pub mod activation;
pub mod compiler;
pub mod containers;
pub mod controller;
pub mod http;
pub mod images;
pub mod journal;
pub mod kafka;
pub mod limits;
pub mod load;
pub mod load_balancer;
pub mod parameter_storage;
pub mod postgres;
pub mod sqlite;
pub mod text;
pub mod tracing;
pub mod user_events;

use std::time::Duration;

use serde::Deserialize;

use self::activation::ActivationConfig;
use self::compiler::CompilerConfig;
use self::containers::{DockerConfig, InvokerConfig, PoolConfig, ProxyConfig};
use self::controller::{ControllerConfig, FeatureFlags};
use self::images::{ContainerFactoryConfig, RuntimesConfig};
use self::journal::JournalConfig;
use self::kafka::KafkaConfig;
use self::limits::{
    CountLimit, ExecSize, LogLimit, MemoryLimit, ParameterSize, QueryLimit, Throttles, TimeLimit,
};
use self::load_balancer::BalancerConfig;
use self::parameter_storage::ParameterStorage;
use self::postgres::PostgresConfig;
use self::sqlite::SqliteConfig;
use self::tracing::TracingConfig;
use self::user_events::UserEvents;
use crate::entity::limits::{ActionLimitRanges, ByteSize, Range};

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
    /// `whisk.limits`: the throttles.
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
    /// `whisk.sqlite`
    pub sqlite: SqliteConfig,
    /// `whisk.kafka`
    pub kafka: KafkaConfig,
    /// `whisk.user-events`
    pub user_events: UserEvents,
    /// `whisk.tracing`
    pub tracing: TracingConfig,
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
