//! `wskadmin limits`: what a namespace may have beside the system's limits.

use clap::{Args, Subcommand};
use common::entity::limits::{ByteSize, UserLimits};
use common::store::SubjectStore;

use crate::output::Outcome;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// set limits for a given namespace
    Set(Box<Set>),
    /// get limits for a given namespace (if none exist, system defaults apply)
    Get(Named),
    /// delete limits for a given namespace (system defaults apply)
    Delete(Named),
}

#[derive(Debug, Args)]
pub(crate) struct Named {
    /// the namespace
    namespace: String,
}

#[derive(Debug, Args)]
#[command(rename_all = "camelCase")]
pub(crate) struct Set {
    /// the namespace to set limits for
    namespace: String,
    /// invocations per minute allowed
    #[arg(long, value_name = "N")]
    invocations_per_minute: Option<u64>,
    /// trigger fires per minute allowed
    #[arg(long, value_name = "N")]
    fires_per_minute: Option<u64>,
    /// concurrent invocations allowed for this namespace
    #[arg(long, value_name = "N")]
    concurrent_invocations: Option<u64>,
    /// list of runtime kinds allowed in this namespace
    #[arg(long, value_name = "KIND", num_args = 1..)]
    allowed_kinds: Option<Vec<String>>,
    /// enable or disable storing of activations to datastore for this namespace
    #[arg(long, value_name = "true|false", value_parser = read_bool)]
    store_activations: Option<bool>,
    /// minimum action memory size for this namespace, MB
    #[arg(long, value_name = "N")]
    min_action_memory: Option<u64>,
    /// maximum action memory size for this namespace, MB
    #[arg(long, value_name = "N")]
    max_action_memory: Option<u64>,
    /// minimum activation log size for this namespace, MB
    #[arg(long, value_name = "N")]
    min_action_logs: Option<u64>,
    /// maximum activation log size for this namespace, MB
    #[arg(long, value_name = "N")]
    max_action_logs: Option<u64>,
    /// minimum action time limit for this namespace, ms
    #[arg(long, value_name = "N")]
    min_action_timeout: Option<u64>,
    /// maximum action time limit for this namespace, ms
    #[arg(long, value_name = "N")]
    max_action_timeout: Option<u64>,
    /// minimum action concurrency limit for this namespace
    #[arg(long, value_name = "N")]
    min_action_concurrency: Option<u64>,
    /// maximum action concurrency limit for this namespace
    #[arg(long, value_name = "N")]
    max_action_concurrency: Option<u64>,
    /// maximum parameter size for this namespace, such as "1 MB"
    #[arg(long, value_name = "SIZE")]
    max_parameter_size: Option<ByteSize>,
    /// maximum payload size for this namespace, such as "1 MB"
    #[arg(long, value_name = "SIZE")]
    max_payload_size: Option<ByteSize>,
    /// activation truncation size for this namespace, such as "1 MB"
    #[arg(long, value_name = "SIZE")]
    truncation_size: Option<ByteSize>,
}

fn read_bool(text: &str) -> Result<bool, String> {
    match text.to_lowercase().as_str() {
        "yes" | "true" => Ok(true),
        "no" | "false" => Ok(false),
        _ => Err(format!("{text} is not a valid boolean.")),
    }
}

pub(crate) async fn run(command: Command, subjects: &dyn SubjectStore) -> anyhow::Result<Outcome> {
    match command {
        Command::Set(set) => {
            let namespace = set.namespace.clone();
            let limits = set.over(subjects.limits(&namespace).await?.unwrap_or_default());
            subjects.put_limits(&namespace, &limits).await?;
            Ok(Outcome::done([format!("Limits successfully set for \"{namespace}\"")]))
        }
        Command::Get(Named { namespace }) => Ok(match subjects.limits(&namespace).await? {
            Some(limits) => Outcome::done(lines(&limits)),
            None => Outcome::done(["No limits found, default system limits apply".to_owned()]),
        }),
        Command::Delete(Named { namespace }) => Ok(if subjects.delete_limits(&namespace).await? {
            Outcome::done(["Limits deleted".to_owned()])
        } else {
            Outcome::refused("Failed to delete limits (missing)")
        }),
    }
}

impl Set {
    /// What is given here, and else what was set before.
    fn over(self, before: UserLimits) -> UserLimits {
        UserLimits {
            invocations_per_minute: self.invocations_per_minute.or(before.invocations_per_minute),
            fires_per_minute: self.fires_per_minute.or(before.fires_per_minute),
            concurrent_invocations: self.concurrent_invocations.or(before.concurrent_invocations),
            allowed_kinds: self.allowed_kinds.or(before.allowed_kinds),
            store_activations: self.store_activations.or(before.store_activations),
            min_action_memory: self.min_action_memory.or(before.min_action_memory),
            max_action_memory: self.max_action_memory.or(before.max_action_memory),
            min_action_logs: self.min_action_logs.or(before.min_action_logs),
            max_action_logs: self.max_action_logs.or(before.max_action_logs),
            min_action_timeout: self.min_action_timeout.or(before.min_action_timeout),
            max_action_timeout: self.max_action_timeout.or(before.max_action_timeout),
            min_action_concurrency: self.min_action_concurrency.or(before.min_action_concurrency),
            max_action_concurrency: self.max_action_concurrency.or(before.max_action_concurrency),
            max_parameter_size: self.max_parameter_size.or(before.max_parameter_size),
            max_payload_size: self.max_payload_size.or(before.max_payload_size),
            truncation_size: self.truncation_size.or(before.truncation_size),
            ..before
        }
    }
}

/// `<field> = <value>` for each that is set, values as upstream's Python shows them.
fn lines(limits: &UserLimits) -> Vec<String> {
    let number = |value: Option<u64>| value.map(|value| value.to_string());
    let size = |value: Option<ByteSize>| value.map(show_size);
    let kinds = limits.allowed_kinds.as_ref().map(|kinds| {
        let kinds: Vec<String> = kinds.iter().map(|kind| format!("'{kind}'")).collect();
        format!("[{}]", kinds.join(", "))
    });
    let stored = limits.store_activations.map(|stored| if stored { "True" } else { "False" }.to_owned());
    let fields = [
        ("invocationsPerMinute", number(limits.invocations_per_minute)),
        ("firesPerMinute", number(limits.fires_per_minute)),
        ("concurrentInvocations", number(limits.concurrent_invocations)),
        ("allowedKinds", kinds),
        ("storeActivations", stored),
        ("minActionMemory", number(limits.min_action_memory)),
        ("maxActionMemory", number(limits.max_action_memory)),
        ("minActionLogs", number(limits.min_action_logs)),
        ("maxActionLogs", number(limits.max_action_logs)),
        ("minActionTimeout", number(limits.min_action_timeout)),
        ("maxActionTimeout", number(limits.max_action_timeout)),
        ("minActionConcurrency", number(limits.min_action_concurrency)),
        ("maxActionConcurrency", number(limits.max_action_concurrency)),
        ("maxParameterSize", size(limits.max_parameter_size)),
        ("maxPayloadSize", size(limits.max_payload_size)),
        ("truncationSize", size(limits.truncation_size)),
    ];
    fields.into_iter().filter_map(|(name, value)| Some(format!("{name} = {}", value?))).collect()
}

/// A size in the largest unit that says it whole: it is stored in bytes, and was hardly given so.
fn show_size(size: ByteSize) -> String {
    let bytes = size.bytes();
    match [(1 << 30, "GB"), (1 << 20, "MB"), (1 << 10, "KB")]
        .into_iter()
        .find(|(unit, _)| bytes > 0 && bytes.is_multiple_of(*unit))
    {
        Some((unit, name)) => format!("{} {name}", bytes / unit),
        None => format!("{bytes} B"),
    }
}
