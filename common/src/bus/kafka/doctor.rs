//! What is wrong with a Kafka cluster for us: whether it answers, takes our topics, and lets messages of our size
//! through. It is asked; topics are proposed, and none is made.

use std::path::Path;
use std::time::Duration;

use rdkafka::admin::{AdminOptions, ConfigResource, ResourceSpecifier};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::metadata::Metadata;
use tokio::time::Instant;

use super::super::Topic;
use super::FRAMING;
use super::client::{self, Context};
use super::security;
use super::topics::Topics;
use crate::config::kafka::KafkaConfig;
use crate::doctor::{Finding, machine};
use crate::tls::doctor::{Library, authorities, identity};

/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// How long its client may take to say why there is none, and how often it is asked.
const COMPLAINT: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(50);

/// What the cluster said.
struct Facts {
    brokers: usize,
    /// Why our topics cannot be made.
    refusal: Option<KafkaError>,
    /// What a broker does with topics that do not say: how many copies must have a message.
    min_insync: Option<u16>,
    /// What a broker allows a message to have in topics that do not say.
    message_max: Option<usize>,
    /// Topics of ours that are there, and what a message may have in them.
    topics: Vec<(String, usize)>,
}

/// Asks the cluster; messages have at most so many bytes.
pub async fn examine(config: &KafkaConfig, max_message: usize) -> Vec<Finding> {
    let settings = match security::settings(&config.common) {
        Ok(settings) => settings,
        Err(error) => return vec![Finding::fail(error.to_string(), "mend whisk.kafka.common")],
    };
    let mut found = files(&settings);
    match gather(config, max_message).await {
        Ok(facts) => found.extend(judge(config, max_message, &facts)),
        Err(why) => found.push(Finding::fail(
            format!("Kafka at {} does not answer: {why}", config.hosts),
            "start it, or name others with whisk.kafka.hosts (KAFKA_HOSTS)",
        )),
    }
    found
}

/// Looks at the files of TLS.
fn files(settings: &[(String, String)]) -> Vec<Finding> {
    let value = |name: &str| settings.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    // Authorities may be a folder, too.
    let file = |name: &str| value(name).map(Path::new).filter(|path| path.is_file());
    let mut found = Vec::new();
    if !value("security.protocol").is_some_and(|protocol| protocol.to_ascii_uppercase().ends_with("SSL")) {
        return found;
    }
    if let Some(path) = file("ssl.ca.location") {
        let what = "the authorities of Kafka";
        found.push(authorities(Library::OpenSsl, what, path, "mend ssl-ca-location of whisk.kafka.common"));
    }
    if let (Some(certificate), Some(key)) = (file("ssl.certificate.location"), file("ssl.key.location")) {
        let what = ["our certificate for Kafka", "our key for Kafka"];
        let remedy = "mend ssl-certificate-location and ssl-key-location of whisk.kafka.common";
        found.extend(identity(Library::OpenSsl, what, [certificate, key], remedy));
    }
    found.extend(file("ssl.keystore.location").map(|path| machine::private("our keystore for Kafka", path)));
    found
}

async fn gather(config: &KafkaConfig, max_message: usize) -> Result<Facts, String> {
    let context = Context::default();
    let client: BaseConsumer<Context> = client::common(config)
        .and_then(|settings| client::create(&settings, context.clone(), "answer"))
        .map_err(|error| error.to_string())?;
    let complaint = context.clone();
    let asked = tokio::task::spawn_blocking(move || {
        let answer = client.fetch_metadata(None, PATIENCE);
        // Why it cannot be reached is told apart from the answer, and later.
        let deadline = Instant::now() + COMPLAINT;
        while answer.is_err() && complaint.complaint().is_none() && Instant::now() < deadline {
            let _ = client.poll(LOOK);
        }
        answer
    });
    let metadata = match asked.await {
        Ok(Ok(metadata)) => metadata,
        Ok(Err(error)) => return Err(context.complaint().unwrap_or_else(|| error.to_string())),
        Err(error) => return Err(error.to_string()),
    };
    let topics = Topics::new(config, max_message).map_err(|error| error.to_string())?;
    let mut refusal = None;
    for topic in [Topic::invoker(0), Topic::completed("0"), Topic::health(), Topic::events()] {
        if let Err(error) = topics.propose(&topic).await {
            refusal = Some(error);
            break;
        }
    }
    let names = ours(&config.topics.prefix, &metadata);
    let broker = metadata.brokers().first().map(|broker| ResourceSpecifier::Broker(broker.id()));
    let wanted = names.iter().map(|name| ResourceSpecifier::Topic(name)).chain(broker);
    let options = AdminOptions::new().request_timeout(Some(PATIENCE));
    let told = topics.admin().describe_configs(wanted.collect::<Vec<_>>().iter(), &options).await;
    let told: Vec<ConfigResource> = told.unwrap_or_default().into_iter().flatten().collect();
    let number = |told: &ConfigResource, key: &str| told.get(key)?.value.as_ref()?.parse::<usize>().ok();
    let broker = told.get(names.len());
    Ok(Facts {
        brokers: metadata.brokers().len(),
        refusal,
        min_insync: broker.and_then(|of| number(of, "min.insync.replicas")?.try_into().ok()),
        message_max: broker.and_then(|of| number(of, "message.max.bytes")),
        topics: names
            .into_iter()
            .zip(&told)
            .filter_map(|(name, of)| Some((name, number(of, "max.message.bytes")?)))
            .collect(),
    })
}

/// The topics of orders and acknowledgements that are there.
fn ours(prefix: &str, metadata: &Metadata) -> Vec<String> {
    let is_ours = |name: &str| {
        let rest = name.strip_prefix(prefix)?;
        let number = rest.strip_prefix("invoker").or_else(|| rest.strip_prefix("completed"))?;
        (!number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())).then_some(())
    };
    let names = metadata.topics().iter().map(|topic| topic.name());
    names.filter(|name| is_ours(name).is_some()).map(str::to_owned).collect()
}

fn judge(config: &KafkaConfig, max_message: usize, facts: &Facts) -> Vec<Finding> {
    let mut found =
        vec![Finding::ok(format!("Kafka at {} answers: {} brokers", config.hosts, facts.brokers))];
    let copies = config.replication_factor;
    if usize::from(copies) > facts.brokers {
        found.push(Finding::fail(
            format!("topics are to lie on {copies} brokers, and there are {}", facts.brokers),
            "lower whisk.kafka.replication-factor, or start more brokers",
        ));
    } else if let Some(error) = &facts.refusal {
        found.push(refused(error));
    } else {
        found.push(Finding::ok("Kafka lets our topics be made"));
    }
    if let Some(wanted) = facts.min_insync.filter(|wanted| *wanted > copies) {
        found.push(Finding::fail(
            format!("the brokers want each message on {wanted} of them (min.insync.replicas), and topics lie on {copies}"),
            "raise whisk.kafka.replication-factor before the first start, or lower min.insync.replicas",
        ));
    }
    let needed = max_message + FRAMING;
    let narrow: Vec<_> = facts.topics.iter().filter(|(_, bytes)| *bytes < needed).collect();
    for (name, bytes) in &narrow {
        found.push(Finding::fail(
            format!("topic {name} takes messages of {bytes} bytes, and ours may have {needed}"),
            format!("set its max.message.bytes to {needed}, or lower whisk.activation.payload.max"),
        ));
    }
    if narrow.is_empty() {
        let told = match facts.message_max {
            Some(default) => format!(
                "messages may have the {needed} bytes that ours need: our topics say so themselves (the brokers' default is {default})"
            ),
            None => format!("messages may have the {needed} bytes that ours need"),
        };
        found.push(Finding::ok(told));
    }
    found
}

fn refused(error: &KafkaError) -> Finding {
    let remedy = match error {
        KafkaError::AdminOp(
            RDKafkaErrorCode::TopicAuthorizationFailed | RDKafkaErrorCode::ClusterAuthorizationFailed,
        ) => "give our user the right to create topics",
        KafkaError::AdminOp(RDKafkaErrorCode::PolicyViolation) => {
            "change the brokers' policy, or make the topics by hand"
        }
        _ => "look at the brokers' log",
    };
    Finding::fail(format!("Kafka does not let our topics be made: {error}"), remedy)
}

#[cfg(test)]
mod tests {
    use super::super::super::super::doctor::Verdict;
    use super::*;

    fn facts() -> Facts {
        Facts {
            brokers: 3,
            refusal: None,
            min_insync: Some(1),
            message_max: Some(1_048_588),
            topics: vec![("invoker0".to_owned(), 2 << 20)],
        }
    }

    #[test]
    fn a_cluster_is_judged_by_what_it_says() {
        let config = KafkaConfig::default();
        let failures = |facts: Facts, copies: u16| {
            let config = KafkaConfig { replication_factor: copies, ..config.clone() };
            let found = judge(&config, 1 << 20, &facts);
            found.into_iter().filter(|found| found.verdict == Verdict::Fail).collect::<Vec<_>>()
        };
        assert!(failures(facts(), 1).is_empty());
        for (facts, copies, told) in [
            (facts(), 4, "lie on 4 brokers"),
            (Facts { min_insync: Some(2), ..facts() }, 1, "min.insync.replicas"),
            (
                Facts { topics: vec![("completed0".to_owned(), 1_000)], ..facts() },
                1,
                "topic completed0 takes",
            ),
            (
                Facts {
                    refusal: Some(KafkaError::AdminOp(RDKafkaErrorCode::TopicAuthorizationFailed)),
                    ..facts()
                },
                1,
                "does not let our topics be made",
            ),
        ] {
            let found = failures(facts, copies);
            assert!(found.len() == 1 && found[0].what.contains(told), "{found:?}");
        }
    }
}
