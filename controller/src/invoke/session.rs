//! The activation of a sequence or composition: what it began, what that adds up to, and its record.
//!
//! It is in the controller's journal before its id leaves, and so is every component that it began, so that
//! its record names them whatever happens to this process.

use std::sync::Arc;

use common::entity::activation::{Activation, ActivationHead, Response};
use common::entity::exec::SEQUENCE;
use common::entity::id::ActivationId;
use common::entity::limits::ActionLimits;
use common::entity::parameters::Parameters;
use common::journal::JournalError;
use common::record::Wish;
use common::store::IdentityRecord;
use common::trace::Trace;

use super::steps::{Form, Work};
use crate::records::{Begun, Records};

/// An activation made of others, under way.
pub struct Session {
    records: Records,
    begun: Begun,
    caller: Arc<IdentityRecord>,
    limits: ActionLimits,
    tally: Tally,
}

/// What the activations directly below add up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Tally {
    ids: Vec<ActivationId>,
    duration: u64,
    memory: Option<u64>,
}

impl Tally {
    fn add(&mut self, record: &Activation) {
        let ActivationHead { start, end, duration, annotations, .. } = &record.head;
        self.duration += duration.or(end.map(|end| end.since(*start))).unwrap_or(0);
        let limits = annotations.get("limits");
        let memory = limits.and_then(|limits| serde_json::from_str::<ActionLimits>(limits.get()).ok());
        self.memory = self.memory.max(memory.map(|limits| limits.memory));
    }
}

impl Session {
    /// Enters the activation. Whoever waits for it wants its record otherwise than who does not.
    pub fn open(records: &Records, form: Form, work: &Work, is_blocking: bool) -> Result<Self, JournalError> {
        let (caller, action) = (&work.origin.caller, &work.action.action.entity);
        let start = records.now();
        let head = ActivationHead {
            namespace: caller.key.namespace.clone(),
            name: action.name.clone(),
            version: action.version,
            publish: false,
            subject: caller.subject.clone(),
            activation_id: ActivationId::generate(),
            cause: work.cause,
            start,
            end: None,
            duration: None,
            annotations: annotations(form, work, start.since(work.origin.transid.start)),
        };
        let wish = Wish {
            blocking: is_blocking,
            extra_logging: work.origin.transid.extra_logging,
            store_activations: caller.limits.store_activations,
        };
        let begun = Begun { head, wish };
        records.open(&begun)?;
        // A composition needs at least what its conductor needs.
        let memory = (form == Form::Composition).then_some(action.limits.memory);
        let tally = Tally { memory, ..Tally::default() };
        let (records, caller) = (records.clone(), caller.clone());
        Ok(Self { records, begun, caller, limits: action.limits.clone(), tally })
    }

    /// Its id.
    pub fn id(&self) -> ActivationId {
        self.begun.head.activation_id
    }

    /// Notes that a component was begun.
    pub fn began(&mut self, component: ActivationId) {
        self.tally.ids.push(component);
        self.records.progressed(self.id(), &self.tally.ids);
    }

    /// Notes how a component ended.
    pub fn ended(&mut self, component: &Activation) {
        self.tally.add(component);
    }

    /// Ends it, and stores its record. Its duration is the sum of the components'.
    pub async fn close(self, response: Response, trace: &Trace) -> Box<Activation> {
        let Self { records, begun: Begun { mut head, wish }, caller, limits, tally } = self;
        head.end = Some(records.now().max(head.start));
        head.duration = Some(tally.duration);
        if let Some(memory) = tally.memory {
            let limits = ActionLimits { memory, concurrency: 1, instances: None, ..limits };
            head.annotations = head.annotations.with("limits", &limits);
        }
        let logs = tally.ids.iter().map(ToString::to_string).collect();
        let record = Activation { head, response, logs };
        records.store(record.clone(), &wish, trace).await;
        records.events().ended(&record, (&*caller).into());
        Box::new(record)
    }
}

fn annotations(form: Form, work: &Work, waited: u64) -> Parameters {
    let fqn = &work.action.fqn;
    let mut annotations = Parameters::new()
        .with("topmost", &work.cause.is_none())
        .with("path", &fqn.id())
        .with("kind", SEQUENCE)
        .with("waitTime", &waited);
    if form == Form::Composition {
        annotations = annotations.with("conductor", &true);
    }
    if work.cause.is_some() {
        annotations = annotations.with("causedBy", SEQUENCE);
    }
    if let Some(binding) = &fqn.binding {
        annotations = annotations.with("binding", binding.as_str());
    }
    annotations
}

#[cfg(test)]
mod tests {
    use common::clock::Millis;
    use common::entity::activation::Status;
    use common::entity::name::EntityName;
    use common::entity::version::SemVer;
    use serde_json::json;

    use super::*;

    fn record(duration: Option<u64>, annotations: Parameters) -> Activation {
        let head = ActivationHead {
            namespace: EntityName::parse("guest").unwrap(),
            name: EntityName::parse("hello").unwrap(),
            version: SemVer::FIRST,
            publish: false,
            subject: "guest".into(),
            activation_id: ActivationId::generate(),
            cause: None,
            start: Millis(100),
            end: Some(Millis(130)),
            duration,
            annotations,
        };
        Activation { head, response: Response::error(Status::Success, ""), logs: Vec::new() }
    }

    #[test]
    fn durations_are_summed_and_the_most_memory_counts() {
        let mut tally = Tally::default();
        let limits = |memory: u64| json!({ "timeout": 1, "memory": memory, "logs": 1, "concurrency": 1 });
        for (duration, memory, sum, most) in [
            (Some(7), None, 7, None),
            (None, Some(128), 37, Some(128)),
            (Some(0), Some(512), 37, Some(512)),
            (Some(1), Some(256), 38, Some(512)),
        ] {
            let annotations =
                memory.map_or_else(Parameters::new, |m| Parameters::new().with("limits", &limits(m)));
            tally.add(&record(duration, annotations));
            assert_eq!((tally.duration, tally.memory), (sum, most));
        }
    }
}
