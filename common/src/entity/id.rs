//! Ids: of activations, of API requests across components, of controllers and invokers.
//!
//! Activation ids are UUIDs of version 7, so that they sort by time; on the wire 32 lower-case
//! hexadecimal digits, as upstream's (`.../core/entity/ActivationId.scala`).

use std::fmt;
use std::sync::Arc;

use rand::Rng;
use serde::de::{SeqAccess, Visitor};
use serde::ser::SerializeSeq;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::clock::Millis;

/// The id of one activation.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ActivationId(uuid::Uuid);

/// Why a text is no activation id.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ActivationIdError {
    /// Not 32 characters.
    #[error("Activation id length is {0} but must be 32.")]
    Length(usize),
    /// A character other than 0-9 and a-f.
    #[error("The activation id is not valid.")]
    Characters,
}

impl ActivationId {
    /// A new id, later than those before it.
    pub fn generate() -> Self {
        Self(uuid::Uuid::now_v7())
    }

    /// Parses 32 lower-case hexadecimal digits.
    pub fn parse(text: &str) -> Result<Self, ActivationIdError> {
        let length = text.chars().count();
        if length != 32 {
            return Err(ActivationIdError::Length(length));
        }
        if !text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return Err(ActivationIdError::Characters);
        }
        uuid::Uuid::try_parse(text).map(Self).map_err(|_| ActivationIdError::Characters)
    }

    /// The 16 bytes of the id.
    pub fn as_bytes(&self) -> &[u8; 16] {
        self.0.as_bytes()
    }

    /// An id from its 16 bytes.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(uuid::Uuid::from_bytes(bytes))
    }
}

impl fmt::Display for ActivationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut buffer = [0; 32];
        f.write_str(self.0.simple().encode_lower(&mut buffer))
    }
}

impl fmt::Debug for ActivationId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for ActivationId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut buffer = [0; 32];
        serializer.serialize_str(self.0.simple().encode_lower(&mut buffer))
    }
}

impl<'de> Deserialize<'de> for ActivationId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Self::parse(&text).map_err(serde::de::Error::custom)
    }
}

/// The id of one API request across components, with the time at which it entered.
///
/// Wire form: `["<id>", <start ms>[, true if extra logging][, parent]]`
/// (`.../common/TransactionId.scala`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransactionId {
    /// 32 characters of `[A-Za-z0-9]`, or what the caller sent, or a system id that starts with `sid_`.
    pub id: Arc<str>,
    /// When the request entered the platform.
    pub start: Millis,
    /// The caller asked for extra logging, which also forces records to be stored.
    pub extra_logging: bool,
    /// The transaction above a sequence's component.
    pub parent: Option<Arc<TransactionId>>,
}

impl TransactionId {
    /// The prefix that callers may not use.
    pub const SYSTEM_PREFIX: &str = "sid_";

    /// A transaction that enters now: under the caller's id if that is given and not a system id.
    pub fn enter(given: Option<&str>, start: Millis, extra_logging: bool) -> Self {
        let id = match given {
            Some(id) if !id.is_empty() && !id.starts_with(Self::SYSTEM_PREFIX) => id.into(),
            _ => Self::random(),
        };
        Self { id, start, extra_logging, parent: None }
    }

    /// A transaction of the platform's own, such as `sid_invoker`.
    pub fn system(id: &str, start: Millis) -> Self {
        Self { id: id.into(), start, extra_logging: false, parent: None }
    }

    /// A transaction below this one: that of a component.
    pub fn child(&self, start: Millis) -> Self {
        Self {
            id: Self::random(),
            start,
            extra_logging: self.extra_logging,
            parent: Some(Arc::new(self.clone())),
        }
    }

    /// The topmost transaction above this one, if there is any.
    pub fn root(&self) -> Option<&TransactionId> {
        let mut root = self.parent.as_deref()?;
        while let Some(above) = root.parent.as_deref() {
            root = above;
        }
        Some(root)
    }

    fn random() -> Arc<str> {
        let mut rng = rand::rng();
        (0..32).map(|_| char::from(rng.sample(rand::distr::Alphanumeric))).collect::<String>().into()
    }
}

impl fmt::Display for TransactionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.id)
    }
}

impl Serialize for TransactionId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sequence = serializer.serialize_seq(None)?;
        sequence.serialize_element(&*self.id)?;
        sequence.serialize_element(&self.start)?;
        if self.extra_logging {
            sequence.serialize_element(&true)?;
        }
        if let Some(parent) = &self.parent {
            sequence.serialize_element(&**parent)?;
        }
        sequence.end()
    }
}

impl<'de> Deserialize<'de> for TransactionId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parts;
        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Rest {
            Extra(bool),
            Parent(Arc<TransactionId>),
        }
        impl<'de> Visitor<'de> for Parts {
            type Value = TransactionId;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a transaction id: [id, start, ...]")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<TransactionId, A::Error> {
                let id: String = seq.next_element()?.ok_or_else(|| serde::de::Error::missing_field("id"))?;
                let start = seq.next_element()?.ok_or_else(|| serde::de::Error::missing_field("start"))?;
                let mut tid = TransactionId { id: id.into(), start, extra_logging: false, parent: None };
                while let Some(rest) = seq.next_element()? {
                    match rest {
                        Rest::Extra(extra) => tid.extra_logging = extra,
                        Rest::Parent(parent) => tid.parent = Some(parent),
                    }
                }
                Ok(tid)
            }
        }
        deserializer.deserialize_seq(Parts)
    }
}

/// Which controller: the end of its `completed` topic's name.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ControllerId {
    /// Characters of `[a-zA-Z0-9._-]`, at most 128.
    #[serde(rename = "asString")]
    pub name: String,
    #[serde(rename = "instanceType", default = "controller_type")]
    instance_type: String,
}

fn controller_type() -> String {
    "controller".to_owned()
}

impl ControllerId {
    /// The controller of that name.
    pub fn new(name: impl Into<String>) -> Self {
        Self { name: name.into(), instance_type: controller_type() }
    }
}

/// Which invoker, and what it offers (`.../core/entity/InstanceId.scala`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InvokerId {
    /// A dense small integer; the end of its topic's name.
    pub instance: u32,
    /// What its containers may use in all.
    pub user_memory: super::limits::ByteSize,
    /// What they use now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub busy_memory: Option<super::limits::ByteSize>,
    instance_type: String,
    tags: Vec<String>,
    dedicated_namespaces: Vec<String>,
    /// A name that stays over restarts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unique_name: Option<String>,
    /// A name for people, such as an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub displayed_name: Option<String>,
}

impl InvokerId {
    /// The invoker of that number, with so much memory for containers.
    pub fn new(instance: u32, user_memory: super::limits::ByteSize) -> Self {
        Self {
            instance,
            user_memory,
            busy_memory: None,
            instance_type: "invoker".to_owned(),
            tags: Vec::new(),
            dedicated_namespaces: Vec::new(),
            unique_name: None,
            displayed_name: None,
        }
    }
}

impl fmt::Display for InvokerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invoker{}", self.instance)?;
        for part in [&self.unique_name, &self.displayed_name].into_iter().flatten() {
            write!(f, "/{part}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn activation_ids_are_32_lower_case_digits_and_sort_by_time() {
        let (first, second) = (ActivationId::generate(), ActivationId::generate());
        assert!(first.to_string() < second.to_string());
        assert_eq!(ActivationId::parse(&first.to_string()), Ok(first));
        assert_eq!(
            ActivationId::parse("abc").unwrap_err().to_string(),
            "Activation id length is 3 but must be 32."
        );
        for bad in ["G", "A", "-"] {
            let text = format!("{}{bad}", "0".repeat(31));
            assert_eq!(ActivationId::parse(&text), Err(ActivationIdError::Characters));
        }
    }

    #[test]
    fn transaction_ids_have_upstreams_wire_form() {
        let mut tid = TransactionId::enter(Some("abc"), Millis(7), true);
        tid.parent = Some(Arc::new(TransactionId::system("sid_x", Millis(5))));
        let text = serde_json::to_string(&tid).unwrap();
        assert_eq!(text, r#"["abc",7,true,["sid_x",5]]"#);
        assert_eq!(serde_json::from_str::<TransactionId>(&text).unwrap(), tid);
        let child = tid.child(Millis(9));
        assert_eq!((child.start, child.extra_logging), (Millis(9), true));
        assert_eq!(child.parent.as_deref(), Some(&tid));
        assert_eq!(child.root(), tid.parent.as_deref());
        assert_ne!(&*TransactionId::enter(Some("sid_x"), Millis(0), false).id, "sid_x");
        assert_eq!(TransactionId::enter(None, Millis(0), false).id.len(), 32);
    }

    #[test]
    fn an_invoker_writes_what_scala_peers_require() {
        let id = InvokerId::new(3, super::super::limits::ByteSize::from_mb(1024));
        let json = serde_json::to_value(&id).unwrap();
        assert_eq!(
            json,
            serde_json::json!({"instance":3,"userMemory":"1073741824 B","instanceType":"invoker","tags":[],"dedicatedNamespaces":[]})
        );
        assert_eq!(id.to_string(), "invoker3");
    }
}
