//! What a trigger sets off when it is fired: what its rules' actions are given, what is told of them, and
//! how much of it happens at once.
//!
//! Upstream: `core/controller/src/main/scala/org/apache/openwhisk/core/controller/Triggers.scala` (`activateRules`).
//! Who calls the actions is the API, since a rule's action is invoked as if its caller had asked for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use common::clock::Millis;
use common::entity::activation::{Activation, ActivationHead, Response, Status};
use common::entity::id::ActivationId;
use common::entity::parameters::Parameters;
use common::entity::trigger::{Link, Trigger};
use common::record::Wish;
use common::shutdown::Shutdown;
use common::store::IdentityRecord;
use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, SemaphorePermit};

use crate::records::Begun;

/// The name under which actions find the headers of the request.
const HEADERS: &str = "__ow_headers";

/// So many triggers are being fired at once; one more is refused.
const FIRES: usize = 1024;

/// So many rules, of all triggers, are having their actions invoked at once; others wait.
const RULES: usize = 64;

/// Of one trigger so many, so that none with many rules keeps the others waiting.
pub const RULES_OF_ONE: usize = 16;

/// How much happens at once, and the tasks in which it does.
pub struct Firing {
    fires: Arc<Semaphore>,
    rules: Semaphore,
    /// Where what is left to do after the answer is done.
    pub tasks: Shutdown,
}

impl Firing {
    /// With nothing under way.
    pub fn new(tasks: Shutdown) -> Self {
        Self { fires: Arc::new(Semaphore::new(FIRES)), rules: Semaphore::new(RULES), tasks }
    }

    /// Room for one more trigger, if there is any.
    pub fn fire(&self) -> Option<OwnedSemaphorePermit> {
        self.fires.clone().try_acquire_owned().ok()
    }

    /// Waits for room for one more rule.
    pub async fn rule(&self) -> SemaphorePermit<'_> {
        self.rules.acquire().await.expect("nobody closes it")
    }
}

/// What every action is given: the trigger's parameters, over them the headers, over them the payload.
pub fn arguments(
    parameters: &Parameters,
    headers: &BTreeMap<String, String>,
    payload: &RawValue,
) -> Box<RawValue> {
    parameters.clone().with(HEADERS, headers).merged_with_payload(payload)
}

/// The activation of a trigger, as it begins.
pub fn begun(trigger: &Trigger, caller: &IdentityRecord, extra_logging: bool, now: Millis) -> Begun {
    Begun {
        head: ActivationHead {
            namespace: caller.key.namespace.clone(),
            name: trigger.name.clone(),
            version: trigger.version,
            publish: false,
            subject: caller.subject.clone(),
            activation_id: ActivationId::generate(),
            cause: None,
            start: now,
            end: None,
            duration: None,
            annotations: Parameters::new(),
        },
        wish: Wish { blocking: false, extra_logging, store_activations: caller.limits.store_activations },
    }
}

/// Its record. It has no end: what it set off goes on.
pub fn record(head: ActivationHead, payload: Box<RawValue>, logs: Vec<String>) -> Activation {
    Activation {
        head,
        response: Response { status: Status::Success, result: Some(payload), size: None },
        logs,
    }
}

/// A rule's line in the log of its trigger.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    status_code: Status,
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    activation_id: Option<ActivationId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    rule: &'a str,
    action: String,
}

impl<'a> Line<'a> {
    fn new(rule: &'a str, link: &Link, status: Status) -> Self {
        let (success, action) = (status == Status::Success, link.action.to_string());
        Self { status_code: status, success, activation_id: None, error: None, rule, action }
    }

    fn text(&self) -> String {
        serde_json::to_string(self).expect("a line serializes to JSON")
    }
}

/// What is told of a rule whose action was invoked.
pub fn invoked(rule: &str, link: &Link, id: ActivationId) -> String {
    Line { activation_id: Some(id), ..Line::new(rule, link, Status::Success) }.text()
}

/// What is told of a rule whose action was not invoked, and whose fault that is.
pub fn refused(rule: &str, link: &Link, status: Status, error: &str) -> String {
    Line { error: Some(error), ..Line::new(rule, link, status) }.text()
}

/// What is told of a rule that is not active.
pub fn inactive(rule: &str, link: &Link) -> String {
    let error = format!("Rule '{rule}' is inactive, action '{}' was not activated.", link.action);
    refused(rule, link, Status::ApplicationError, &error)
}

#[cfg(test)]
mod tests {
    use common::entity::name::Fqn;
    use common::entity::trigger::RuleStatus;

    use super::*;

    #[test]
    fn the_payload_wins_over_headers_and_they_over_parameters() {
        let parameters = Parameters::new().with("a", &1).with("b", &1).with(HEADERS, &1);
        let headers = BTreeMap::from([("x-custom".to_owned(), "v".to_owned())]);
        let given = |payload: &str| {
            let payload: Box<RawValue> = serde_json::from_str(payload).unwrap();
            let merged = arguments(&parameters, &headers, &payload);
            serde_json::from_str::<serde_json::Value>(merged.get()).unwrap()
        };
        let expected = serde_json::json!({ "a": 2, "b": 1, HEADERS: { "x-custom": "v" } });
        assert_eq!(given(r#"{"a":2}"#), expected);
        assert_eq!(given(r#"{"__ow_headers":3}"#)[HEADERS], 3);
    }

    #[test]
    fn every_rule_has_a_line() {
        let link = Link { action: Fqn::parse("ns/p/a").unwrap(), status: RuleStatus::Active };
        let id = ActivationId::from_bytes([7; 16]);
        assert_eq!(
            invoked("ns/r", &link, id),
            format!(
                r#"{{"statusCode":0,"success":true,"activationId":"{id}","rule":"ns/r","action":"ns/p/a"}}"#
            )
        );
        assert_eq!(
            inactive("ns/r", &link),
            r#"{"statusCode":1,"success":false,"error":"Rule 'ns/r' is inactive, action 'ns/p/a' was not activated.","rule":"ns/r","action":"ns/p/a"}"#
        );
    }
}
