//! Invoking one action: checks, the merge of parameters, the order, and the wait for its result.
//!
//! Upstream: `core/controller/src/main/scala/org/apache/openwhisk/core/controller/actions/PrimitiveActions.scala`.
//! Payloads and results pass as text. Results come by message; where none brings them, from the store.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use common::config::controller::WaitConfig;
use common::entity::action::FINAL;
use common::entity::activation::Activation;
use common::entity::exec::Exec;
use common::entity::id::{ActivationId, ControllerId};
use common::entity::identity::{ALL_RIGHTS, AuthKey, Identity, Namespace};
use common::entity::json::{self, Shape};
use common::entity::name::EntityName;
use common::entity::parameters::{Parameter, Parameters};
use common::manifest::Manifest;
use common::message::ack::AckResult;
use common::message::activation::ActivationMessage;
use common::metrics::Marker;
use common::shutdown::Shutdown;
use common::store::{ActivationStore, StoreError};
use common::trace::Trace;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep_until};
use tracing::debug;

use super::resolve::Resolved;
use super::{Invocation, InvokeError, Outcome};
use crate::load_balancer::schedule::Partition;
use crate::load_balancer::{LoadBalancer, Order, Waiter};
use crate::metrics::{ActivationMetrics, Publishing};

/// Without a word from the invoker the store is asked this often.
const SLOW_POLL: Duration = Duration::from_secs(15);

/// The first look into the store for a result that was too large for a message; then ever later.
const FIRST_POLL: Duration = Duration::from_millis(10);

/// The longest pause between two such looks.
const LAST_POLL: Duration = Duration::from_secs(2);

/// An activation that an invoker has taken.
#[derive(Debug)]
pub struct Started {
    id: ActivationId,
    namespace: EntityName,
    waiter: Option<Waiter>,
    wait: Option<Duration>,
    trace: Trace,
    is_component: bool,
    begun: Instant,
}

impl Started {
    /// Its id.
    pub fn id(&self) -> ActivationId {
        self.id
    }
}

/// Invokes actions.
pub struct Primitive {
    /// Who we are.
    pub id: ControllerId,
    /// Records.
    pub activations: Arc<dyn ActivationStore>,
    /// Where orders go.
    pub balancer: Arc<dyn LoadBalancer>,
    /// Which kinds are deprecated.
    pub manifest: Arc<Manifest>,
    /// How results are waited for.
    pub waiting: WaitConfig,
    /// Requested when results that have not come will not come from here any more.
    pub released: Shutdown,
    /// What is counted.
    pub metrics: ActivationMetrics,
    /// How long the balancer takes.
    pub publishing: Publishing,
}

impl Primitive {
    /// Invokes an action. Whoever stops waiting for this does not stop the activation.
    pub async fn invoke(&self, invocation: &Invocation<'_>) -> Result<Outcome, InvokeError> {
        let started = self.start(invocation).await?;
        let id = started.id;
        let finished = self.finish(started).await?;
        Ok(finished.map_or(Outcome::Accepted(id), Outcome::Finished))
    }

    /// Whether an action may be invoked, and with that payload.
    pub fn check(&self, action: &Resolved, payload: &RawValue) -> Result<(), InvokeError> {
        let entity = &action.action.entity;
        let kind = entity.exec.kind();
        if self.manifest.resolve(kind).is_some_and(|runtime| runtime.deprecated) {
            return Err(InvokeError::Deprecated(kind.to_owned()));
        }
        if entity.annotations.is_true(FINAL) {
            let given = json::keys(payload);
            if action.parameters().immutable_keys().any(|key| given.contains(key)) {
                return Err(InvokeError::Final);
            }
        }
        Ok(())
    }

    /// Has an invoker take an action. Whoever stops waiting for this does not stop the activation.
    pub async fn start(&self, invocation: &Invocation<'_>) -> Result<Started, InvokeError> {
        let metrics = self.metrics(invocation.wait);
        let begun = metrics.start();
        let action = &invocation.action.action.entity;
        let message = self.message(&invocation.action.parameters(), invocation);
        let id = message.activation_id;
        let namespace = message.user.namespace.name.clone();
        debug!(activation.id = %id, action.fqn = %message.action, "invoking {} as {id}", message.action);
        let partition = self.partition(&action.exec);
        let trace = invocation.trace.clone();
        let order = Order { message, limits: action.limits.clone(), partition, trace: trace.clone() };
        let published = self.publishing.start();
        let outcome = self.balancer.publish(order).await;
        self.publishing.end(published, &outcome);
        match outcome {
            Ok(waiter) => {
                let (wait, is_component) = (invocation.wait, invocation.cause.is_some());
                Ok(Started { id, namespace, waiter, wait, trace, is_component, begun })
            }
            Err(error) => {
                metrics.fail(begun);
                Err(error.into())
            }
        }
    }

    /// The record of what was started, or nothing if nobody waits for it or it does not come in time.
    pub async fn finish(&self, started: Started) -> Result<Option<Box<Activation>>, StoreError> {
        let (metrics, wait, begun) = (self.metrics(started.wait), started.wait, started.begun);
        let _waiting = started.waiter.as_ref().map(|_| started.trace.span("wait"));
        let finished = self.wait(started).await;
        match &finished {
            Ok(None) if wait.is_some() => metrics.fail(begun),
            Ok(_) => metrics.finish(begun),
            Err(_) => metrics.fail(begun),
        }
        finished
    }

    fn metrics(&self, wait: Option<Duration>) -> &Marker {
        if wait.is_some() { &self.metrics.blocking } else { &self.metrics.non_blocking }
    }

    /// An image of the user's counts as one of the platform's if the manifest says so.
    fn partition(&self, exec: &Exec) -> Partition {
        match exec {
            Exec::Blackbox { image, .. } if !self.manifest.is_native(image) => Partition::Blackbox,
            Exec::Blackbox { .. } | Exec::Code { .. } | Exec::Sequence { .. } => Partition::Managed,
        }
    }

    fn message(&self, parameters: &Parameters, invocation: &Invocation<'_>) -> ActivationMessage {
        let Resolved { fqn, action, .. } = invocation.action;
        let (revision, action) = (&action.revision, &action.entity);
        ActivationMessage {
            transid: invocation.transid.clone(),
            action: fqn.clone(),
            revision: Some(revision.0.clone()),
            user: identity(invocation, if action.provides_api_key() { invocation.key } else { "" }),
            activation_id: ActivationId::generate(),
            root_controller_index: self.id.clone(),
            blocking: invocation.wait.is_some(),
            content: Some(match json::shape(invocation.payload) {
                // From one component of a sequence to the next.
                Shape::Array => invocation.payload.to_owned(),
                Shape::Object | Shape::Scalar => parameters.merged_with_payload(invocation.payload),
            }),
            init_args: parameters.init_keys(),
            locked_args: locked(parameters, invocation.payload),
            cause: invocation.cause,
            trace_context: None,
        }
    }

    /// The record, or nothing if it does not come in time.
    async fn wait(&self, started: Started) -> Result<Option<Box<Activation>>, StoreError> {
        let Started { id, namespace, waiter, wait, is_component, .. } = started;
        let (Some(waiter), Some(wait)) = (waiter, wait) else { return Ok(None) };
        let deadline = Instant::now() + wait;
        let mut waiter = Some(waiter.0);
        let mut pause = SLOW_POLL;
        let mut look = Instant::now() + pause;
        loop {
            tokio::select! {
                biased;
                result = async { waiter.as_mut().expect("it is there, by the guard").await }, if waiter.is_some() => {
                    waiter = None;
                    match result {
                        Ok(AckResult::Record(record)) => return Ok(Some(record)),
                        Ok(AckResult::Id(_)) if !self.waiting.polling_from_db => return Ok(None),
                        Ok(AckResult::Id(_)) => {
                            pause = FIRST_POLL;
                            look = Instant::now() + pause;
                        }
                        // It was given up. Its record may still come.
                        Err(_) => {}
                    }
                }
                () = sleep_until(deadline) => return Ok(None),
                () = self.released.requested() => return Ok(None),
                () = sleep_until(look), if self.waiting.polling_from_db => {
                    self.metrics.retrievals.inc();
                    // What is presumed is no answer: the activation may still be running.
                    let record = match self.activations.get(&namespace, id).await {
                        // No reason to end what may have run for long.
                        Err(StoreError::Unavailable { .. }) if is_component => None,
                        record => record?,
                    };
                    if let Some(mut record) = record.filter(|record| !record.head.is_presumed()) {
                        record.logs.clear();
                        return Ok(Some(Box::new(record)));
                    }
                    pause = next_pause(pause);
                    look = Instant::now() + pause;
                }
            }
        }
    }
}

/// Looks come ever later, up to a limit; those that were slow from the start stay slow.
fn next_pause(pause: Duration) -> Duration {
    if pause >= SLOW_POLL { SLOW_POLL } else { (pause * 2).min(LAST_POLL) }
}

/// The caller as the invoker sees it, with that key: the caller's only if the action is given it.
fn identity(invocation: &Invocation<'_>, key: &str) -> Identity {
    let record = &**invocation.caller;
    let name = record.key.namespace.clone();
    Identity {
        subject: record.subject.as_str().into(),
        namespace: Namespace { name, uuid: record.key.uuid.as_str().into() },
        authkey: AuthKey { uuid: record.key.uuid.clone(), key: key.to_owned() },
        rights: ALL_RIGHTS.to_vec(),
        limits: Arc::new(record.limits.clone()),
    }
}

/// Encrypted parameters, and their ciphers, unless the payload has another value.
fn locked(parameters: &Parameters, payload: &RawValue) -> BTreeMap<String, String> {
    let cipher = |p: &Parameter| Some((p.key.clone(), p.encryption.clone()?));
    let mut locked: BTreeMap<String, String> = parameters.iter().filter_map(cipher).collect();
    if !locked.is_empty() {
        let given = json::keys(payload);
        locked.retain(|key, _| !given.contains(key));
    }
    locked
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looks_for_a_large_result_come_ever_later() {
        let mut pause = FIRST_POLL;
        let mut millis = Vec::new();
        for _ in 0..10 {
            millis.push(pause.as_millis());
            pause = next_pause(pause);
        }
        assert_eq!(millis, [10, 20, 40, 80, 160, 320, 640, 1280, 2000, 2000]);
        assert_eq!(next_pause(SLOW_POLL), SLOW_POLL);
    }
}
