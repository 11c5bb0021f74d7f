//! The record of one activation: what ran, for whom, when, and how it ended.
//!
//! Upstream: `common/scala/src/main/scala/org/apache/openwhisk/core/entity/{WhiskActivation,ActivationResult}.scala`.
//! It has two forms: on the bus and in stores `response` carries `statusCode`; the API shows `status`
//! and `success` in its place.

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::id::ActivationId;
use super::json;
use super::name::{EntityName, EntityPath};
use super::parameters::Parameters;
use super::version::SemVer;
use crate::clock::Millis;

/// How an activation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Status {
    /// 0: a result.
    Success,
    /// 1: the action says `error`.
    ApplicationError,
    /// 2: the action's code or image is at fault.
    DeveloperError,
    /// 3: the platform is at fault.
    WhiskError,
}

impl Status {
    /// All of them, in the order of their codes.
    pub const ALL: [Self; 4] =
        [Self::Success, Self::ApplicationError, Self::DeveloperError, Self::WhiskError];

    /// 0 to 3, as stored and sent.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::ApplicationError => 1,
            Self::DeveloperError => 2,
            Self::WhiskError => 3,
        }
    }

    /// The status of a code; what is unknown is the platform's fault.
    pub fn from_code(code: u8) -> Self {
        match code {
            0 => Self::Success,
            1 => Self::ApplicationError,
            2 => Self::DeveloperError,
            _ => Self::WhiskError,
        }
    }

    /// What the API calls it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::ApplicationError => "application error",
            Self::DeveloperError => "action developer error",
            Self::WhiskError => "whisk internal error",
        }
    }

    /// What metrics call it.
    pub fn label(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::ApplicationError => "application_error",
            Self::DeveloperError => "action_developer_error",
            Self::WhiskError => "whisk_internal_error",
        }
    }
}

impl Serialize for Status {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_u8(self.code())
    }
}

impl<'de> Deserialize<'de> for Status {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        u8::deserialize(deserializer).map(Self::from_code)
    }
}

/// Status and result.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Response {
    /// How it ended.
    #[serde(rename = "statusCode")]
    pub status: Status,
    /// An object or an array; errors are `{"error": …}`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub result: Option<Box<RawValue>>,
    /// Characters of the container's answer, where there was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub size: Option<u64>,
}

impl Response {
    /// A failure with a text.
    pub fn error(status: Status, text: impl AsRef<str>) -> Self {
        #[derive(Serialize)]
        struct Error<'a> {
            error: &'a str,
        }
        Self { status, result: Some(json::raw(&Error { error: text.as_ref() })), size: None }
    }
}

/// The form that the API shows: `response` without `statusCode`.
#[derive(Clone, Debug, Serialize)]
pub struct ResponseView<'a> {
    status: &'static str,
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    result: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    size: Option<u64>,
}

impl<'a> From<&'a Response> for ResponseView<'a> {
    fn from(response: &'a Response) -> Self {
        Self {
            status: response.status.as_str(),
            success: response.status == Status::Success,
            result: response.result.as_deref(),
            size: response.size,
        }
    }
}

/// A record without result and logs: what lists show.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActivationHead {
    /// The invoker's namespace, never with a package.
    pub namespace: EntityName,
    /// The simple name of what ran.
    pub name: EntityName,
    /// The version that ran.
    pub version: SemVer,
    /// Always false.
    #[serde(default)]
    pub publish: bool,
    /// Who invoked it.
    pub subject: String,
    /// Its id.
    pub activation_id: ActivationId,
    /// The activation of the sequence or composition above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<ActivationId>,
    /// When the code began; with initialization.
    pub start: Millis,
    /// When it ended; absent for triggers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub end: Option<Millis>,
    /// ms; absent with `end`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<u64>,
    /// `path`, `kind`, `limits`, `waitTime`, …
    pub annotations: Parameters,
}

/// The whole record.
#[derive(Clone, Debug, Serialize)]
pub struct Activation {
    /// All but response and logs.
    #[serde(flatten)]
    pub head: ActivationHead,
    /// How it ended.
    pub response: Response,
    /// Log lines; ids for sequences.
    pub logs: Vec<String>,
}

impl<'de> Deserialize<'de> for Activation {
    /// By hand, since serde's `flatten` cannot read raw JSON values.
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Wire {
            namespace: EntityName,
            name: EntityName,
            version: SemVer,
            #[serde(default)]
            publish: bool,
            subject: String,
            activation_id: ActivationId,
            cause: Option<ActivationId>,
            start: Millis,
            end: Option<Millis>,
            duration: Option<u64>,
            annotations: Parameters,
            response: Response,
            #[serde(default)]
            logs: Vec<String>,
        }
        let wire = Wire::deserialize(deserializer)?;
        let head = ActivationHead {
            namespace: wire.namespace,
            name: wire.name,
            version: wire.version,
            publish: wire.publish,
            subject: wire.subject,
            activation_id: wire.activation_id,
            cause: wire.cause,
            start: wire.start,
            end: wire.end,
            duration: wire.duration,
            annotations: wire.annotations,
        };
        Ok(Self { head, response: wire.response, logs: wire.logs })
    }
}

/// The whole record as the API shows it.
#[derive(Clone, Debug, Serialize)]
pub struct ActivationView<'a> {
    #[serde(flatten)]
    head: &'a ActivationHead,
    response: ResponseView<'a>,
    logs: &'a [String],
}

impl<'a> From<&'a Activation> for ActivationView<'a> {
    fn from(activation: &'a Activation) -> Self {
        Self {
            head: &activation.head,
            response: ResponseView::from(&activation.response),
            logs: &activation.logs,
        }
    }
}

/// One item of a list.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ActivationSummary<'a> {
    namespace: &'a EntityName,
    name: &'a EntityName,
    version: SemVer,
    publish: bool,
    annotations: &'a Parameters,
    activation_id: ActivationId,
    start: Millis,
    #[serde(skip_serializing_if = "Option::is_none")]
    end: Option<Millis>,
    #[serde(skip_serializing_if = "Option::is_none")]
    duration: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    status_code: Option<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cause: Option<ActivationId>,
}

impl<'a> ActivationSummary<'a> {
    /// The item of a record with that status. `duration` is end − start, as in upstream's view.
    pub fn new(head: &'a ActivationHead, status: Status) -> Self {
        Self {
            namespace: &head.namespace,
            name: &head.name,
            version: head.version,
            publish: false,
            annotations: &head.annotations,
            activation_id: head.activation_id,
            start: head.start,
            end: head.end,
            duration: head.end.map(|end| end.since(head.start)),
            status_code: head.end.map(|_| status.code()),
            cause: head.cause,
        }
    }
}

/// The annotation of a record that a controller wrote, since nothing was heard of the activation in time
/// (ours). Should its invoker come back, the real record takes its place.
pub const PRESUMED: &str = "presumed";

impl ActivationHead {
    /// Whether the record is a controller's presumption.
    pub fn is_presumed(&self) -> bool {
        self.annotations.is_true(PRESUMED)
    }

    /// What the filter `name=` compares with: `pkg/name` for a packaged action (its path has three
    /// segments) or a run through a binding (the binding's name), else the simple name.
    pub fn filter_name(&self) -> String {
        let path = |key: &str| {
            let text = self.annotations.get(key)?;
            serde_json::from_str::<EntityPath>(text.get()).ok()
        };
        let package = match (path("binding"), path("path")) {
            (Some(binding), _) => binding.package(),
            (None, Some(path)) => match path.as_str().split('/').collect::<Vec<_>>().as_slice() {
                [_, package, _] => EntityName::parse(package).ok(),
                _ => None,
            },
            (None, None) => None,
        };
        match package {
            Some(package) => format!("{package}/{}", self.name),
            None => self.name.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(annotations: Parameters) -> Activation {
        Activation {
            head: ActivationHead {
                namespace: EntityName::parse("guest").unwrap(),
                name: EntityName::parse("hello").unwrap(),
                version: SemVer::FIRST,
                publish: false,
                subject: "guest".into(),
                activation_id: ActivationId::from_bytes([7; 16]),
                cause: None,
                start: Millis(100),
                end: Some(Millis(130)),
                duration: Some(30),
                annotations,
            },
            response: Response::error(Status::ApplicationError, "no \"x\""),
            logs: vec!["l".into()],
        }
    }

    #[test]
    fn the_stored_form_has_a_code_and_the_shown_form_a_status() {
        let record = record(Parameters::new());
        let stored = serde_json::to_value(&record).unwrap();
        assert_eq!(stored["response"], serde_json::json!({"statusCode":1,"result":{"error":"no \"x\""}}));
        let text = serde_json::to_string(&record).unwrap();
        let back: Activation = serde_json::from_str(&text).unwrap();
        assert_eq!(serde_json::to_string(&back).unwrap(), text);
        let shown = serde_json::to_value(ActivationView::from(&record)).unwrap();
        assert_eq!(
            shown["response"],
            serde_json::json!({"status":"application error","success":false,"result":{"error":"no \"x\""}})
        );
        assert_eq!(shown["activationId"], "07070707070707070707070707070707");
        let item =
            serde_json::to_value(ActivationSummary::new(&record.head, record.response.status)).unwrap();
        assert_eq!((item["duration"].as_u64(), item["statusCode"].as_u64()), (Some(30), Some(1)));
        assert!(item.get("subject").is_none() && item.get("cause").is_none());
    }

    #[test]
    fn the_filter_name_knows_packages_and_bindings() {
        let name = |annotations| record(annotations).head.filter_name();
        assert_eq!(name(Parameters::new().with("path", "guest/hello")), "hello");
        assert_eq!(name(Parameters::new().with("path", "guest/p/hello")), "p/hello");
        assert_eq!(
            name(Parameters::new().with("path", "other/p/hello").with("binding", "guest/b")),
            "b/hello"
        );
    }
}
