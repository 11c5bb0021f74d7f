//! Spans that say to which transaction, activation and action a log line belongs.
//!
//! They are roots: what a task does for one transaction must not look like part of another's, only because
//! that one happened to start the task. They are there at every level, since a line without its transaction
//! is found by nobody.

use tracing::{Span, error_span};

use crate::entity::id::{ActivationId, TransactionId};
use crate::entity::name::Fqn;

/// Some activity of the platform's own, under one of upstream's ids (`.../common/TransactionId.scala`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum System {
    /// A controller starts, stops or looks after what another left.
    Controller,
    /// An invoker starts or stops.
    Invoker,
    /// How invokers are is watched.
    InvokerHealth,
    /// Stem cells are made.
    InvokerWarmup,
    /// Idle containers are paused and removed.
    InvokerNanny,
    /// Records are stored.
    DbBatcher,
}

impl System {
    fn id(self) -> &'static str {
        match self {
            Self::Controller => "sid_controller",
            Self::Invoker => "sid_invoker",
            Self::InvokerHealth => "sid_invokerHealth",
            Self::InvokerWarmup => "sid_invokerWarmup",
            Self::InvokerNanny => "sid_invokerNanny",
            Self::DbBatcher => "sid_dbBatcher",
        }
    }

    /// Its span.
    pub fn span(self) -> Span {
        error_span!(parent: None, "system", transid = %self.id())
    }
}

/// What is done for a transaction.
pub fn transaction(transid: &TransactionId) -> Span {
    match transid.root() {
        None => error_span!(parent: None, "transaction", %transid),
        Some(root) => error_span!(parent: None, "transaction", transid.root = %root, %transid),
    }
}

/// What is done for an activation.
pub fn activation(transid: &TransactionId, id: ActivationId, action: &Fqn) -> Span {
    match transid.root() {
        None => {
            error_span!(parent: None, "activation", %transid, activation.id = %id, action.fqn = %action)
        }
        Some(root) => error_span!(
            parent: None, "activation",
            transid.root = %root, %transid, activation.id = %id, action.fqn = %action
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Millis;
    use crate::telemetry::line::tests::Kept;
    use crate::telemetry::marks_of;

    #[test]
    fn as_json_a_line_has_transaction_activation_and_action() {
        let request = TransactionId::enter(Some("a \"quoted\" one"), Millis(1), false);
        let component = request.child(Millis(2));
        let (id, fqn, kept) = (ActivationId::generate(), Fqn::parse("ns/a").unwrap(), Kept::default());
        let writer = kept.clone();
        let subscriber =
            tracing_subscriber::fmt().json().flatten_event(true).with_writer(move || writer.clone()).finish();
        tracing::subscriber::with_default(subscriber, || {
            activation(&component, id, &fqn).in_scope(|| tracing::warn!("it happened"));
        });
        let text = kept.text();
        let line: serde_json::Value = serde_json::from_str(&text).unwrap();
        let span = &line["span"];
        assert_eq!(
            (&span["transid.root"], &span["transid"]),
            (&"a \"quoted\" one".into(), &component.to_string().into())
        );
        assert_eq!((&span["activation.id"], &span["action.fqn"]), (&id.to_string().into(), &"ns/a".into()));
        for transid in [&*request.id, &*component.id] {
            assert!(marks_of(transid).iter().any(|mark| text.contains(mark)), "{text}");
        }
    }
}
