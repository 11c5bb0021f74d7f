//! The spans of an activation's whole way through the invoker, where its trace is recorded: from its message to its
//! record, and its waits for a container. What is done meanwhile has spans below the first.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use common::entity::activation::Status;
use common::message::activation::ActivationMessage;
use common::trace::{Open, Trace, Tracer};

/// An activation's place in its trace. All clones are of one activation; with the last of them its span ends.
#[derive(Clone, Debug, Default)]
pub struct Traced {
    trace: Trace,
    spans: Option<Arc<Mutex<Spans>>>,
}

#[derive(Debug)]
struct Spans {
    process: Open,
    waiting: Option<Open>,
}

impl Traced {
    /// Takes up the trace of a message, if it carries one.
    pub fn begin(tracer: &Tracer, message: &ActivationMessage, topic: &str, system: &'static str) -> Self {
        let mut process = tracer.carried(message.trace_context.as_ref()).consumer("process order");
        let trace = process.trace().clone();
        if let Some(span) = process.recorded() {
            span.set("messaging.system", system)
                .set("messaging.operation.type", "process")
                .set("messaging.destination.name", topic.to_owned())
                .set("transid", message.transid.to_string())
                .set("faas.name", message.action.to_string())
                .set("faas.invocation_id", message.activation_id.to_string());
            let spans = Spans { process, waiting: None };
            return Self { trace, spans: Some(Arc::new(Mutex::new(spans))) };
        }
        Self { trace, spans: None }
    }

    /// What is done for the activation is below this.
    pub fn trace(&self) -> &Trace {
        &self.trace
    }

    /// It begins to wait for a container.
    pub fn waits(&self) {
        if let Some(mut spans) = self.spans() {
            spans.waiting = Some(self.trace.span("wait for container"));
        }
    }

    /// It waits no more.
    pub fn is_served(&self) {
        if let Some(mut spans) = self.spans() {
            spans.waiting = None;
        }
    }

    /// How it ended, and whether a container was initialized for it.
    pub fn ended(&self, status: Status, was_cold: bool) {
        if let Some(mut spans) = self.spans() {
            spans.process.set("faas.coldstart", was_cold);
            if status != Status::Success {
                spans.process.fail(status.as_str());
            }
        }
    }

    fn spans(&self) -> Option<MutexGuard<'_, Spans>> {
        self.spans.as_ref().map(|spans| spans.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
