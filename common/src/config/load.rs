//! Putting the layers of settings together.

use std::path::{Path, PathBuf};

use serde::Deserialize;
use toml::{Table, Value};

use super::Config;

/// Why settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("the configuration file {path} cannot be read: {source}")]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML.
    #[error("the configuration file {path} is not TOML: {source}")]
    Syntax {
        /// Which file.
        path: PathBuf,
        /// Where.
        source: Box<toml::de::Error>,
    },
    /// A key or a value is wrong.
    #[error("configuration: {0}")]
    Invalid(Box<toml::de::Error>),
}

/// Upstream's and OpenTelemetry's plain variables and the keys they stand for.
pub const PLAIN: [(&str, &[&str]); 11] = [
    ("KAFKA_HOSTS", &["kafka", "hosts"]),
    ("LIMITS_ACTIONS_INVOKES_PERMINUTE", &["limits", "invocations-per-minute"]),
    ("LIMITS_ACTIONS_INVOKES_CONCURRENT", &["limits", "concurrent-invocations"]),
    ("LIMITS_TRIGGERS_FIRES_PERMINUTE", &["limits", "fires-per-minute"]),
    ("LIMITS_ACTIONS_SEQUENCE_MAXLENGTH", &["limits", "sequence-length"]),
    ("OTEL_EXPORTER_OTLP_CERTIFICATE", &["tracing", "otlp", "ca"]),
    ("OTEL_EXPORTER_OTLP_ENDPOINT", &["tracing", "otlp", "endpoint"]),
    ("OTEL_EXPORTER_OTLP_HEADERS", &["tracing", "otlp", "headers"]),
    ("OTEL_EXPORTER_OTLP_PROTOCOL", &["tracing", "otlp", "protocol"]),
    ("OTEL_SERVICE_NAME", &["tracing", "otlp", "service-name"]),
    ("OTEL_TRACES_SAMPLER_ARG", &["tracing", "otlp", "sample-rate"]),
];

/// Defaults, then the `[whisk]` table of a file, then the environment: plain variables, over them `CONFIG_whisk_…`.
pub fn load(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Config, ConfigError> {
    let mut root = match file {
        Some(path) => read(path)?,
        None => Table::new(),
    };
    let mut whisk = match root.remove("whisk") {
        Some(Value::Table(table)) => table,
        Some(other) => Table::from_iter([("whisk".to_owned(), other)]),
        None => Table::new(),
    };
    // Whatever else the file holds is refused with the unknown keys.
    whisk.extend(root);
    let mut keyed = Vec::new();
    for (name, value) in environment.filter(|(_, value)| !value.is_empty()) {
        if let Some((_, path)) = PLAIN.iter().find(|(plain, _)| *plain == name) {
            set(&mut whisk, &path.iter().map(|part| (*part).to_owned()).collect::<Vec<_>>(), &value);
        } else if let Some(key) = name.strip_prefix("CONFIG_whisk_") {
            keyed.push((key.split('_').map(kebab).collect::<Vec<_>>(), value));
        }
    }
    for (path, value) in keyed {
        set(&mut whisk, &path, &value);
    }
    Config::deserialize(Value::Table(whisk)).map_err(|error| ConfigError::Invalid(Box::new(error)))
}

fn read(path: &Path) -> Result<Table, ConfigError> {
    let text = std::fs::read_to_string(path)
        .map_err(|source| ConfigError::Unreadable { path: path.to_owned(), source })?;
    toml::from_str(&text)
        .map_err(|source| ConfigError::Syntax { path: path.to_owned(), source: Box::new(source) })
}

/// `containerPool` is `container-pool`; a part that starts in upper case stays as it is.
fn kebab(part: &str) -> String {
    if part.starts_with(|c: char| c.is_ascii_uppercase()) {
        return part.to_owned();
    }
    part.chars().fold(String::new(), |mut out, c| {
        if c.is_ascii_uppercase() {
            out.push('-');
        }
        out.push(c.to_ascii_lowercase());
        out
    })
}

/// Sets a value; what reads as a whole number or a boolean, and is written as one, is one.
fn set(table: &mut Table, path: &[String], text: &str) {
    let [parts @ .., last] = path else { return };
    let mut table = table;
    for part in parts {
        let slot = table.entry(part.clone()).or_insert_with(|| Value::Table(Table::new()));
        if !slot.is_table() {
            *slot = Value::Table(Table::new());
        }
        let Value::Table(inner) = slot else { return };
        table = inner;
    }
    let value = match (text.parse::<i64>(), text.parse::<bool>()) {
        (Ok(number), _) if number.to_string() == text => Value::Integer(number),
        (_, Ok(flag)) => Value::Boolean(flag),
        _ => Value::String(text.to_owned()),
    };
    table.insert(last.clone(), value);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::load_balancer::Fraction;
    use crate::entity::limits::ByteSize;
    use std::time::Duration;

    fn with(file: &str, environment: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("c.toml");
        std::fs::write(&path, file).unwrap();
        load(Some(&path), environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
    }

    #[test]
    fn later_layers_win_and_the_rest_is_upstreams() {
        let file =
            "[whisk.container-pool]\nuser-memory = \"1 GB\"\n[whisk.time-limit]\nmax = \"10 minutes\"\n";
        let config = with(
            file,
            &[
                ("CONFIG_whisk_containerPool_userMemory", "512m"),
                ("LIMITS_ACTIONS_INVOKES_PERMINUTE", "7"),
                ("CONFIG_whisk_featureFlags_requireApiKeyAnnotation", "false"),
                ("CONFIG_whisk_memory_max", ""),
                ("CONFIG_whisk_postgres_passwordFile", "/run/secrets/postgres"),
                ("CONFIG_whisk_postgres_retention", "7 days"),
                ("CONFIG_whisk_docker_deniedNetworks", "10.1.0.0/16, 10.2.0.0/16"),
                ("CONFIG_whisk_runtimes_bypassPullForLocalImages", "true"),
                ("CONFIG_whisk_runtimes_localImagePrefix", "mine"),
                ("CONFIG_whisk_containerFactory_runtimesRegistry_url", "registry:5000"),
                ("CONFIG_whisk_containerFactory_userImagesRegistry_credentials_user", "me"),
                ("CONFIG_whisk_containerFactory_userImagesRegistry_credentials_password", "s3cret"),
                ("KAFKA_HOSTS", "a:9092,b:9092"),
                ("CONFIG_whisk_tracing_otlp_serviceName", "ours"),
                ("OTEL_SERVICE_NAME", "theirs"),
                ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318"),
                ("OTEL_EXPORTER_OTLP_HEADERS", "a=b"),
                ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
                ("CONFIG_whisk_kafka_topics_userEvent_prefix", "ow."),
                ("CONFIG_whisk_kafka_common_securityProtocol", "SASL_SSL"),
                ("CONFIG_whisk_kafka_common_saslPassword", "007"),
                ("CONFIG_whisk_kafka_topics_invoker_retentionMs", "300000"),
                ("CONFIG_whisk_loadbalancer_managedFraction", "80%"),
                ("CONFIG_whisk_loadbalancer_blackboxFraction", "1"),
                ("HOME", "/"),
            ],
        )
        .unwrap();
        assert_eq!(config.container_pool.user_memory, ByteSize::from_mb(512));
        assert_eq!(config.docker.denied_networks, ["10.1.0.0/16", "10.2.0.0/16"]);
        assert_eq!(config.loadbalancer.managed_fraction, Fraction(0.8));
        assert_eq!(config.loadbalancer.blackbox_fraction, Fraction(1.0));
        assert!(config.runtimes.bypass_pull_for_local_images);
        assert_eq!(config.runtimes.local_image_prefix, "mine");
        let images = &config.container_factory;
        assert_eq!(images.runtimes_registry.url, "registry:5000");
        let credentials = images.user_images_registry.credentials.as_ref().unwrap();
        assert_eq!((credentials.user.as_str(), credentials.password.0.as_str()), ("me", "s3cret"));
        assert_eq!(config.time_limit.max, Duration::from_secs(600));
        assert_eq!(config.time_limit.min, Duration::from_millis(100));
        assert_eq!(config.limits.invocations_per_minute, 7);
        assert!(!config.feature_flags.require_api_key_annotation);
        assert_eq!(config.action_limits().memory.max, 512);
        assert_eq!(config.postgres.password_file, Some(PathBuf::from("/run/secrets/postgres")));
        assert_eq!(config.postgres.retention, Duration::from_secs(7 * 86_400));
        assert_eq!(config.kafka.hosts, "a:9092,b:9092");
        let otlp = &config.tracing.otlp;
        assert_eq!((otlp.endpoint.as_str(), otlp.service_name.as_str()), ("http://collector:4318", "ours"));
        assert_eq!((otlp.sample_rate, otlp.headers.0["a"].as_str()), (Fraction(0.25), "b"));
        assert_eq!(config.kafka.topics.user_event.prefix, "ow.");
        let common: Vec<_> = config.kafka.common.iter().collect();
        assert_eq!(
            common,
            [("sasl.password".into(), "007".into()), ("security.protocol".into(), "SASL_SSL".into())]
        );
        assert_eq!(config.kafka.topics.invoker.retention_ms, Some(300_000));
        assert_eq!(config.max_message(), crate::bus::memory::MAX_MESSAGE);
    }

    #[test]
    fn unknown_keys_and_wrong_values_are_refused_by_name() {
        for (file, names) in [
            ("[whisk]\ntypo = 1\n", "typo"),
            ("[whisk.memory]\nmax = \"much\"\n", "much"),
            ("typo = 1\n", "typo"),
            ("[whisk.journal]\nsegments = 1\n", "segments"),
            ("[whisk.postgres]\npassword = \"s3cret\"\n", "password"),
        ] {
            let error = with(file, &[]).unwrap_err().to_string();
            assert!(error.contains(names), "{error}");
        }
        assert!(matches!(with("= 1", &[]), Err(ConfigError::Syntax { .. })));
    }
}
