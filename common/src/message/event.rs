//! What happened, on topic `events`, for whoever measures or bills: an activation that ended, or a limit that was
//! looked at.
//!
//! Upstream: `common/scala/.../core/connector/Message.scala`, `EventMessage`. The two bodies are told apart by
//! `metricName`.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::clock::Millis;
use crate::entity::activation::Activation;
use crate::entity::identity::Identity;
use crate::entity::limits::ActionLimits;
use crate::entity::name::EntityName;
use crate::store::IdentityRecord;

/// An event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct EventMessage {
    /// Who tells it: `controller0`, `invoker3`.
    pub source: String,
    /// What it is.
    pub body: EventBody,
    /// Whose doing it was.
    pub subject: String,
    /// In which namespace.
    pub namespace: String,
    /// The uuid of that namespace.
    pub user_id: String,
    /// `Activation` or `Metric`.
    pub event_type: String,
    /// When it was sent.
    pub timestamp: Millis,
}

/// What an event is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum EventBody {
    /// A limit was looked at.
    Metric(Metric),
    /// An activation has ended.
    Activation(ActivationEvent),
}

impl EventBody {
    /// `Activation` or `Metric`.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Metric(_) => "Metric",
            Self::Activation(_) => "Activation",
        }
    }
}

/// A number with a name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metric {
    /// What was counted.
    pub metric_name: MetricName,
    /// How many.
    pub metric_value: u64,
}

/// What is counted of a namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum MetricName {
    /// Activations in flight, with the one that is let in now.
    ConcurrentInvocations,
    /// One was refused, since too many are in flight.
    ConcurrentRateLimit,
    /// One was refused, since there were too many this minute.
    TimedRateLimit,
}

/// How an activation ended, without what it computed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActivationEvent {
    /// `ns[/pkg]/name` of the action.
    pub name: String,
    /// Which activation.
    pub activation_id: String,
    /// 0 to 3.
    pub status_code: u8,
    /// ms.
    pub duration: u64,
    /// From the request to the container, ms.
    pub wait_time: u64,
    /// ms; 0 on a warm start.
    pub init_time: u64,
    /// `nodejs:20`, `sequence`.
    pub kind: String,
    /// Whether it is a composition.
    pub conductor: bool,
    /// MB; 0 if there is no limit.
    pub memory: u64,
    /// `sequence`, if one caused it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub caused_by: Option<String>,
    /// Characters of the result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
    /// What the action itself calls its status: `statusCode` of its result, or of the error in it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_defined_status_code: Option<i64>,
}

impl ActivationEvent {
    /// That of a record; none of what has no kind, such as a trigger.
    pub fn of(record: &Activation) -> Option<Self> {
        let head = &record.head;
        let annotation = |key: &str| head.annotations.get(key);
        let text =
            |key: &str| annotation(key).and_then(|value| serde_json::from_str::<String>(value.get()).ok());
        let number = |key: &str| annotation(key).and_then(|value| serde_json::from_str(value.get()).ok());
        let limits =
            annotation("limits").and_then(|value| serde_json::from_str::<ActionLimits>(value.get()).ok());
        Some(Self {
            name: text("path")?,
            activation_id: head.activation_id.to_string(),
            status_code: record.response.status.code(),
            duration: head.duration.unwrap_or_default(),
            wait_time: number("waitTime").unwrap_or_default(),
            init_time: number("initTime").unwrap_or_default(),
            kind: text("kind")?,
            conductor: annotation("conductor").is_some_and(|value| value.get() == "true"),
            memory: limits.map_or(0, |limits| limits.memory),
            caused_by: text("causedBy"),
            size: record.response.size,
            user_defined_status_code: record.response.result.as_deref().and_then(defined_status),
        })
    }

    /// The namespace of the action, and its name with its package.
    pub fn action(&self) -> (&str, &str) {
        self.name.split_once('/').unwrap_or(("", &self.name))
    }
}

/// The namespace that a subject's event is about.
#[derive(Clone, Copy, Debug)]
pub struct EventOwner<'a> {
    /// The subject's name.
    pub subject: &'a str,
    /// The namespace.
    pub namespace: &'a EntityName,
    /// Its uuid.
    pub uuid: &'a str,
}

impl<'a> EventOwner<'a> {
    /// Whoever sent an order.
    pub fn of(identity: &'a Identity) -> Self {
        let Identity { subject, namespace, .. } = identity;
        Self { subject, namespace: &namespace.name, uuid: &namespace.uuid }
    }
}

impl<'a> From<&'a IdentityRecord> for EventOwner<'a> {
    fn from(identity: &'a IdentityRecord) -> Self {
        Self { subject: &identity.subject, namespace: &identity.key.namespace, uuid: &identity.key.uuid }
    }
}

/// What is there but no whole number counts as 400, as upstream has it.
fn defined_status(result: &RawValue) -> Option<i64> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer<'a> {
        #[serde(borrow)]
        error: Option<&'a RawValue>,
        #[serde(borrow)]
        status_code: Option<&'a RawValue>,
    }
    let answer: Answer<'_> = serde_json::from_str(result.get()).ok()?;
    let of_error = answer.error.and_then(|error| serde_json::from_str::<Answer<'_>>(error.get()).ok());
    let status = of_error.and_then(|error| error.status_code).or(answer.status_code)?;
    Some(serde_json::from_str(status.get()).unwrap_or(400))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entity::activation::{ActivationHead, Response, Status};
    use crate::entity::id::ActivationId;
    use crate::entity::parameters::Parameters;
    use crate::entity::version::SemVer;
    use serde_json::json;

    fn record(annotations: Parameters, result: &str) -> Activation {
        Activation {
            head: ActivationHead {
                namespace: EntityName::parse("caller").unwrap(),
                name: EntityName::parse("hello").unwrap(),
                version: SemVer::FIRST,
                publish: false,
                subject: "caller".into(),
                activation_id: ActivationId::from_bytes([1; 16]),
                cause: None,
                start: Millis(1),
                end: Some(Millis(4)),
                duration: Some(3),
                annotations,
            },
            response: Response {
                status: Status::ApplicationError,
                result: Some(RawValue::from_string(result.into()).unwrap()),
                size: Some(42),
            },
            logs: Vec::new(),
        }
    }

    #[test]
    fn an_event_says_what_upstreams_says() {
        let limits = json!({"timeout":60000,"memory":256,"logs":10,"concurrency":1});
        let annotations = Parameters::new()
            .with("path", "guest/pkg/hello")
            .with("kind", "nodejs:20")
            .with("limits", &limits)
            .with("waitTime", &12)
            .with("causedBy", "sequence");
        let event = ActivationEvent::of(&record(annotations, r#"{"error":{"statusCode":418}}"#)).unwrap();
        assert_eq!(event.action(), ("guest", "pkg/hello"));
        let body = EventBody::Activation(event);
        let expected = json!({
            "name": "guest/pkg/hello", "activationId": "01010101010101010101010101010101", "statusCode": 1, "duration": 3,
            "waitTime": 12, "initTime": 0, "kind": "nodejs:20", "conductor": false, "memory": 256,
            "causedBy": "sequence", "size": 42, "userDefinedStatusCode": 418,
        });
        assert_eq!(serde_json::to_value(&body).unwrap(), expected);
        assert_eq!(serde_json::from_value::<EventBody>(expected).unwrap(), body);
        assert!(ActivationEvent::of(&record(Parameters::new(), "{}")).is_none(), "a trigger has no kind");
    }

    #[test]
    fn metrics_are_told_by_their_name() {
        let body =
            EventBody::Metric(Metric { metric_name: MetricName::ConcurrentInvocations, metric_value: 3 });
        let text = r#"{"metricName":"ConcurrentInvocations","metricValue":3}"#;
        assert_eq!(serde_json::to_string(&body).unwrap(), text);
        assert_eq!(serde_json::from_str::<EventBody>(text).unwrap(), body);
    }

    #[test]
    fn a_status_of_the_actions_own() {
        for (result, status) in [
            (r#"{"statusCode":201}"#, Some(201)),
            (r#"{"statusCode":"x"}"#, Some(400)),
            (r#"{"error":{"statusCode":404},"statusCode":1}"#, Some(404)),
            (r#"{"error":"text","statusCode":500}"#, Some(500)),
            (r#"{"a":1}"#, None),
            ("[1]", None),
        ] {
            assert_eq!(defined_status(&RawValue::from_string(result.into()).unwrap()), status, "{result}");
        }
    }
}
