//! What an invoker reports back, on topic `completed<C>`: the result, that the slot is free, or both.
//!
//! The three are told apart by the presence of `instance` and `response`, as upstream does
//! (`.../core/connector/Message.scala`, `AcknowledgementMessage`).

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::entity::activation::Activation;
use crate::entity::id::{ActivationId, InvokerId, TransactionId};

/// A result: the whole record without logs, or only its id where it was too large or nobody waits.
#[derive(Clone, Debug, Serialize)]
#[serde(untagged)]
pub enum AckResult {
    /// Look it up in the store.
    Id(ActivationId),
    /// The record, logs empty.
    Record(Box<Activation>),
}

impl AckResult {
    /// The activation it is about.
    pub fn activation_id(&self) -> ActivationId {
        match self {
            Self::Id(id) => *id,
            Self::Record(record) => record.head.activation_id,
        }
    }
}

/// One report.
#[derive(Clone, Debug)]
pub enum Ack {
    /// The result; the slot is still taken.
    Result {
        /// Of the request.
        transid: TransactionId,
        /// What came out.
        response: AckResult,
    },
    /// The slot is free.
    Completion {
        /// Of the request.
        transid: TransactionId,
        /// Which activation.
        activation_id: ActivationId,
        /// Whether the platform was at fault.
        is_system_error: bool,
        /// Whose slot.
        instance: InvokerId,
    },
    /// Both.
    Combined {
        /// Of the request.
        transid: TransactionId,
        /// What came out.
        response: AckResult,
        /// Whether the platform was at fault.
        is_system_error: bool,
        /// Whose slot.
        instance: InvokerId,
    },
}

impl Ack {
    /// The request that caused the activation, or the part of it that this is.
    pub fn transid(&self) -> &TransactionId {
        match self {
            Self::Result { transid, .. }
            | Self::Combined { transid, .. }
            | Self::Completion { transid, .. } => transid,
        }
    }

    /// The activation it is about.
    pub fn activation_id(&self) -> ActivationId {
        match self {
            Self::Result { response, .. } | Self::Combined { response, .. } => response.activation_id(),
            Self::Completion { activation_id, .. } => *activation_id,
        }
    }
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Wire {
    transid: TransactionId,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    activation_id: Option<ActivationId>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    response: Option<Box<RawValue>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    is_system_error: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    instance: Option<InvokerId>,
}

impl Serialize for Ack {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        #[serde(rename_all = "camelCase")]
        struct Out<'a> {
            transid: &'a TransactionId,
            #[serde(skip_serializing_if = "Option::is_none")]
            activation_id: Option<ActivationId>,
            #[serde(skip_serializing_if = "Option::is_none")]
            response: Option<&'a AckResult>,
            #[serde(skip_serializing_if = "Option::is_none")]
            is_system_error: Option<bool>,
            #[serde(skip_serializing_if = "Option::is_none")]
            instance: Option<&'a InvokerId>,
        }
        let out = match self {
            Self::Result { transid, response } => Out {
                transid,
                activation_id: None,
                response: Some(response),
                is_system_error: None,
                instance: None,
            },
            Self::Completion { transid, activation_id, is_system_error, instance } => Out {
                transid,
                activation_id: Some(*activation_id),
                response: None,
                is_system_error: Some(*is_system_error),
                instance: Some(instance),
            },
            Self::Combined { transid, response, is_system_error, instance } => Out {
                transid,
                activation_id: None,
                response: Some(response),
                is_system_error: Some(*is_system_error),
                instance: Some(instance),
            },
        };
        out.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for Ack {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        use serde::de::Error;
        let wire = Wire::deserialize(deserializer)?;
        let response = match &wire.response {
            None => None,
            Some(raw) if raw.get().starts_with('"') => {
                Some(AckResult::Id(serde_json::from_str(raw.get()).map_err(D::Error::custom)?))
            }
            Some(raw) => {
                Some(AckResult::Record(Box::new(serde_json::from_str(raw.get()).map_err(D::Error::custom)?)))
            }
        };
        let (transid, is_system_error) = (wire.transid, wire.is_system_error.unwrap_or(false));
        match (wire.instance, response) {
            (Some(instance), Some(response)) => {
                Ok(Self::Combined { transid, response, is_system_error, instance })
            }
            (Some(instance), None) => {
                let activation_id =
                    wire.activation_id.ok_or_else(|| D::Error::missing_field("activationId"))?;
                Ok(Self::Completion { transid, activation_id, is_system_error, instance })
            }
            (None, Some(response)) => Ok(Self::Result { transid, response }),
            (None, None) => Err(D::Error::missing_field("response")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Millis;
    use crate::entity::limits::ByteSize;

    #[test]
    fn the_kind_of_ack_follows_from_its_members() {
        let transid = TransactionId::system("sid_x", Millis(1));
        let id = ActivationId::from_bytes([1; 16]);
        let instance = InvokerId::new(0, ByteSize::from_mb(1));
        let acks = [
            Ack::Result { transid: transid.clone(), response: AckResult::Id(id) },
            Ack::Completion {
                transid: transid.clone(),
                activation_id: id,
                is_system_error: true,
                instance: instance.clone(),
            },
            Ack::Combined { transid, response: AckResult::Id(id), is_system_error: false, instance },
        ];
        for ack in acks {
            let text = serde_json::to_string(&ack).unwrap();
            let back: Ack = serde_json::from_str(&text).unwrap();
            assert_eq!(std::mem::discriminant(&back), std::mem::discriminant(&ack), "{text}");
            assert_eq!(serde_json::to_string(&back).unwrap(), text);
            assert_eq!(back.activation_id(), id);
        }
        assert!(serde_json::from_str::<Ack>(r#"{"transid":["x",1]}"#).is_err());
        assert!(serde_json::from_str::<Ack>(r#"{"transid":["x",1],"response":7}"#).is_err());
    }
}
