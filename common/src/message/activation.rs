//! The order to run an action, from a controller to an invoker. Code never travels in it.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use crate::entity::id::{ActivationId, ControllerId, TransactionId};
use crate::entity::identity::Identity;
use crate::entity::name::Fqn;

/// One order, on topic `invoker<N>`.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ActivationMessage {
    /// The API request that caused it.
    pub transid: TransactionId,
    /// Which action, with version, and with the binding it was reached by.
    pub action: Fqn,
    /// The revision of its document, such as `3-8f4c`; null bypasses the cache.
    pub revision: Option<String>,
    /// On whose behalf. Its key is empty unless the action is given one.
    pub user: Identity,
    /// The id that the client was given.
    pub activation_id: ActivationId,
    /// Who waits for the acknowledgement.
    pub root_controller_index: ControllerId,
    /// Whether the client waits for the result.
    pub blocking: bool,
    /// Merged parameters and payload: an object, or an array from a sequence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Box<RawValue>>,
    /// Names of parameters that go to the environment at `/init`.
    pub init_args: Vec<String>,
    /// Names of encrypted parameters and their ciphers.
    pub locked_args: BTreeMap<String, String>,
    /// The activation of the sequence or composition above.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<ActivationId>,
    /// Headers of a trace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trace_context: Option<BTreeMap<String, String>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_of_a_scala_controller_is_read() {
        let text = r#"{"transid":["Zx",1700000000000],"action":{"path":"guest/pkg","name":"hello","version":"0.0.3","binding":"guest/mypkg"},
            "revision":null,"user":{"subject":"guest","namespace":{"name":"guest","uuid":"23bc"},"authkey":{"api_key":"u:k"},
            "rights":["READ"],"limits":{}},"activationId":"0123456789abcdef0123456789abcdef",
            "rootControllerIndex":{"asString":"0"},"blocking":true,"content":{"name":"Joe"},"initArgs":[],"lockedArgs":{},"later":1}"#;
        let message: ActivationMessage = serde_json::from_str(text).unwrap();
        assert_eq!(message.content.as_ref().unwrap().get(), r#"{"name":"Joe"}"#);
        let written = serde_json::to_value(&message).unwrap();
        // What Scala peers require, present even when empty; what is absent is left out.
        for required in ["initArgs", "lockedArgs", "revision", "rootControllerIndex"] {
            assert!(written.get(required).is_some(), "{required}");
        }
        assert!(written.get("cause").is_none());
        assert_eq!(written["rootControllerIndex"]["instanceType"], "controller");
    }
}
