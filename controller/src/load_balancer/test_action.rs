//! The action that an invoker proves itself with: an echo under `whisk.system`, one a controller.
//!
//! It goes straight to the invoker, takes no slot and is in no book; its acknowledgement is recognised by
//! its transaction, start time included, so that a controller's former life is not believed. It is stored
//! as an activation like any other (`core/controller/.../loadBalancer/InvokerSupervision.scala`,
//! `InvokerPool.prepare`).

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use common::bus::{MessageBus, Topic};
use common::clock::Millis;
use common::config::Config;
use common::entity::action::Action;
use common::entity::exec::{CodeRef, Exec};
use common::entity::id::{ActivationId, ControllerId, TransactionId};
use common::entity::identity::{AuthKey, Identity, Namespace};
use common::entity::limits::ActionLimits;
use common::entity::name::{EntityName, EntityPath, Fqn, NameError};
use common::entity::parameters::Parameters;
use common::entity::version::SemVer;
use common::manifest::Manifest;
use common::message::activation::ActivationMessage;
use common::shutdown::Shutdown;
use common::store::{ArtifactStore, Document, EntityKind, StoreError};
use common::telemetry::span;
use tokio::runtime::Handle;
use tokio::time::timeout;
use tracing::{Instrument, debug};

use super::health::TEST_PERIOD;

/// The transaction of all test actions.
pub const TRANSID: &str = "sid_invokerHealth";

/// On whose behalf they run.
const NAMESPACE: &str = "whisk.system";

/// What they run.
const KIND: &str = "nodejs:default";

const CODE: &str = "function main(params) { return params; }";

/// How often a write that another one crossed is tried again.
const ATTEMPTS: u32 = 3;

/// Why there is no test action, without which no invoker is ever used.
#[derive(Debug, thiserror::Error)]
pub enum TestActionError {
    /// The controller's name cannot be part of an action's.
    #[error("the controller's name is no part of an action's name")]
    Name(#[from] NameError),
    /// Its kind is not in the manifest.
    #[error("the manifest has no '{KIND}', which the test action of invokers needs")]
    Kind,
    /// The store.
    #[error("the test action of invokers could not be stored")]
    Store(#[from] StoreError),
}

fn fqn(controller: &ControllerId) -> Result<Fqn, NameError> {
    let name = EntityName::parse(&format!("invokerHealthTestAction{}", controller.name))?;
    Ok(Fqn { version: Some(SemVer::FIRST), ..Fqn::new(EntityPath::parse(NAMESPACE)?, name) })
}

/// Writes a controller's test action, over the one that is there. To be done before the balancer starts.
pub async fn store(
    artifacts: &dyn ArtifactStore,
    controller: &ControllerId,
    manifest: &Manifest,
    config: &Config,
    now: Millis,
) -> Result<(), TestActionError> {
    let Fqn { path, name, .. } = fqn(controller)?;
    let kind = manifest.resolve(KIND).ok_or(TestActionError::Kind)?.kind.clone();
    let code = CodeRef::of(CODE);
    let limits = ActionLimits { memory: config.memory.min.mb(), ..config.action_limits().standard() };
    let action = Action {
        namespace: path.clone(),
        name: name.clone(),
        exec: Exec::Code { kind, code: code.clone(), binary: false, main: None },
        parameters: Parameters::new(),
        annotations: Parameters::new(),
        limits,
        version: SemVer::FIRST,
        publish: false,
        updated: now,
    };
    let document = Document {
        kind: EntityKind::Action,
        path,
        name,
        updated: now,
        publish: false,
        json: serde_json::to_string(&action).expect("an action of ours serializes to JSON"),
        code: Some((code, Bytes::from_static(CODE.as_bytes()))),
    };
    let mut attempt = 1;
    loop {
        let found = artifacts.get(&document.id()).await?;
        match artifacts.put(&document, found.as_ref().map(|found| &found.revision)).await {
            Ok(_) => return Ok(()),
            Err(StoreError::Conflict(_)) if attempt < ATTEMPTS => attempt += 1,
            Err(error) => return Err(error.into()),
        }
    }
}

/// Sends test actions.
pub struct TestActions {
    bus: Arc<dyn MessageBus>,
    controller: ControllerId,
    action: Fqn,
    transid: TransactionId,
    user: Identity,
    runtime: Handle,
    shutdown: Shutdown,
}

impl TestActions {
    /// Those of a controller that starts now, on the runtime of the caller.
    pub fn new(
        bus: Arc<dyn MessageBus>,
        controller: ControllerId,
        now: Millis,
        shutdown: Shutdown,
    ) -> Result<Self, NameError> {
        let uuid = ActivationId::generate().to_string();
        let user = Identity {
            subject: NAMESPACE.into(),
            namespace: Namespace { name: EntityName::parse(NAMESPACE)?, uuid: uuid.as_str().into() },
            // An echo needs no key.
            authkey: AuthKey { uuid, key: String::new() },
            rights: Vec::new(),
            limits: Arc::default(),
        };
        Ok(Self {
            action: fqn(&controller)?,
            bus,
            controller,
            transid: TransactionId::system(TRANSID, now),
            user,
            runtime: Handle::current(),
            shutdown,
        })
    }

    /// Whether a transaction is that of these.
    pub fn is_own(&self, transid: &TransactionId) -> bool {
        self.transid.start == transid.start && self.transid.id == transid.id
    }

    /// Sends one to an invoker. Does not wait; if it is not taken, the next is due within a minute.
    pub fn send(&self, invoker: u32) {
        let message = ActivationMessage {
            transid: self.transid.clone(),
            action: self.action.clone(),
            revision: None,
            user: self.user.clone(),
            activation_id: ActivationId::generate(),
            root_controller_index: self.controller.clone(),
            blocking: false,
            content: None,
            init_args: Vec::new(),
            locked_args: BTreeMap::new(),
            cause: None,
            trace_context: None,
        };
        let bytes = serde_json::to_vec(&message).expect("a message of ours serializes to JSON");
        let (bus, shutdown) = (self.bus.clone(), self.shutdown.clone());
        let work = async move {
            let topic = Topic::invoker(invoker);
            tokio::select! {
                () = shutdown.requested() => {}
                sent = timeout(TEST_PERIOD, bus.publish(&topic, bytes.into())) => match sent {
                    Ok(Ok(())) => debug!("invoker{invoker} is tried"),
                    Ok(Err(error)) => debug!("invoker{invoker} could not be tried: {error}"),
                    Err(_) => debug!("invoker{invoker} has not taken a test action"),
                },
            }
        };
        // Pings and acknowledgements come along on any thread, also of an HTTP worker.
        let _entered = self.runtime.enter();
        self.shutdown.spawn("test action", work.instrument(span::transaction(&self.transid)));
    }
}
