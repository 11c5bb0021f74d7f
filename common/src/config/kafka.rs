//! `whisk.kafka`: the broker between controllers and invokers, and the topics on it. Keys and defaults are
//! upstream's; the time-outs are ours.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;

/// How long orders are kept by default.
pub const ORDERS_RETENTION_MS: u64 = 172_800_000;

/// How long everything else is kept by default.
pub const RETENTION_MS: u64 = 3_600_000;

/// `whisk.kafka`
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct KafkaConfig {
    /// Where brokers are first looked for: `host:port`, separated by commas.
    pub hosts: String,
    /// What every client of it is set to besides, above all who it is and whom it trusts (`security-protocol`,
    /// `ssl-ca-location`, `sasl-mechanism` …): librdkafka's settings, with dashes for dots. A password may come from
    /// a file (`sasl-password-file`).
    pub common: ClientSettings,
    /// On how many brokers a topic lies that we create.
    pub replication_factor: u16,
    /// Names and sizes of topics.
    pub topics: TopicsConfig,
    /// How long we wait for the broker.
    pub timeouts: KafkaTimeouts,
}

impl Default for KafkaConfig {
    fn default() -> Self {
        Self {
            hosts: "127.0.0.1:9092".to_owned(),
            common: ClientSettings::default(),
            replication_factor: 1,
            topics: TopicsConfig::default(),
            timeouts: KafkaTimeouts::default(),
        }
    }
}

/// `whisk.kafka.common`: handed to the client library as they are. Secrets among them are shown nowhere.
#[derive(Clone, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct ClientSettings(BTreeMap<String, Scalar>);

#[derive(Clone, PartialEq, Deserialize)]
#[serde(untagged)]
enum Scalar {
    Flag(bool),
    Number(i64),
    Text(String),
}

impl ClientSettings {
    /// Names, as the library spells them, and values.
    pub fn iter(&self) -> impl Iterator<Item = (String, String)> {
        self.0.iter().map(|(key, value)| {
            let value = match value {
                Scalar::Flag(flag) => flag.to_string(),
                Scalar::Number(number) => number.to_string(),
                Scalar::Text(text) => text.clone(),
            };
            (key.replace('-', "."), value)
        })
    }
}

impl fmt::Debug for ClientSettings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_secret = |key: &str| {
            ["password", "secret", "pem", "jaas"].iter().any(|word| key.contains(word))
                && !key.ends_with(".file")
        };
        let shown = self
            .iter()
            .map(|(key, value)| if is_secret(&key) { (key, "…".to_owned()) } else { (key, value) });
        f.debug_map().entries(shown).finish()
    }
}

/// `whisk.kafka.topics`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TopicsConfig {
    /// What the names of topics and groups begin with, its separator included; `events` is left out.
    pub prefix: String,
    /// How the topic `events` is called.
    pub user_event: UserEventConfig,
    /// Orders of an invoker.
    pub invoker: TopicConfig,
    /// Acknowledgements of a controller.
    pub completed: TopicConfig,
    /// Pings of invokers.
    pub health: TopicConfig,
    /// What happened.
    pub events: TopicConfig,
}

/// `whisk.kafka.topics.user-event`
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct UserEventConfig {
    /// What the name of the topic `events` begins with, its separator included.
    pub prefix: String,
}

/// What the broker keeps of a topic that we create. A topic that is there already stays as it is.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct TopicConfig {
    /// Bytes of one file of the topic; like what follows only when the topic is made.
    pub segment_bytes: u64,
    /// Bytes beyond which the oldest files are dropped.
    pub retention_bytes: u64,
    /// Milliseconds after which a message may be dropped, whether it was read or not; what its topic has by
    /// default if it is not set.
    pub retention_ms: Option<u64>,
}

impl Default for TopicConfig {
    fn default() -> Self {
        Self { segment_bytes: 536_870_912, retention_bytes: 1_073_741_824, retention_ms: None }
    }
}

impl TopicConfig {
    /// As the broker calls them.
    pub fn settings(&self, retention_ms: u64) -> Vec<(&'static str, String)> {
        vec![
            ("segment.bytes", self.segment_bytes.to_string()),
            ("retention.bytes", self.retention_bytes.to_string()),
            ("retention.ms", self.retention_ms.unwrap_or(retention_ms).to_string()),
        ]
    }
}

/// `whisk.kafka.timeouts` (ours)
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct KafkaTimeouts {
    /// How long the broker may take for an order to an invoker; then its caller is told that it failed.
    #[serde(with = "humantime_serde")]
    pub order: Duration,
    /// How long the broker may take for any other message; acknowledgements outlive so long an outage.
    #[serde(with = "humantime_serde")]
    pub publish: Duration,
    /// How long the broker may take for anything else that it is asked.
    #[serde(with = "humantime_serde")]
    pub request: Duration,
    /// How long each step of an orderly end may take: the last commits, then the last messages.
    #[serde(with = "humantime_serde")]
    pub close: Duration,
}

impl Default for KafkaTimeouts {
    fn default() -> Self {
        Self {
            order: Duration::from_secs(15),
            publish: Duration::from_secs(300),
            request: Duration::from_secs(30),
            close: Duration::from_secs(5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_keeps_the_defaults_that_are_not_set() {
        let config: KafkaConfig =
            toml::from_str("[topics.invoker]\nsegment-bytes = 1024\n[topics.health]\nretention-ms = 1\n")
                .unwrap();
        let set = |key: &'static str, value: &str| (key, value.to_owned());
        assert_eq!(
            config.topics.invoker.settings(ORDERS_RETENTION_MS),
            [
                set("segment.bytes", "1024"),
                set("retention.bytes", "1073741824"),
                set("retention.ms", "172800000")
            ]
        );
        assert_eq!(config.topics.health.settings(RETENTION_MS)[2], set("retention.ms", "1"));
        assert_eq!(config.topics.completed, TopicConfig::default());
    }

    #[test]
    fn a_password_among_the_clients_settings_is_not_shown() {
        let config: KafkaConfig = toml::from_str(
            "[common]\nsasl-username = 'me'\nsasl-password = 's3cret'\nsocket-timeout-ms = 5000\n",
        )
        .unwrap();
        let text = format!("{config:?}");
        assert!(text.contains("me") && text.contains("5000") && !text.contains("s3cret"), "{text}");
    }

    #[test]
    fn unknown_keys_are_refused() {
        for text in
            ["host = 'x'", "[topics]\ncompletion = {}", "[topics.events]\nretention = 1", "[timeouts]\nx = 1"]
        {
            let error = toml::from_str::<KafkaConfig>(text).unwrap_err().to_string();
            assert!(error.contains("unknown field"), "{error}");
        }
    }
}
