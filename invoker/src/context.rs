//! What every container proxy shares.

use std::sync::Arc;

use common::bus::Topic;
use common::clock::{Clock, Millis};
use common::config::Config;
use common::entity::encryption::Ciphers;
use common::entity::limits::UserLimits;
use common::events::Events;
use common::journal::Journal;
use common::manifest::Manifest;
use common::shutdown::Shutdown;
use common::store::ActivationStore;
use common::trace::Tracer;

use crate::ack::AckSender;
use crate::actions::Actions;
use crate::blocked::Blocked;
use crate::compile::Compiler;
use crate::container::ContainerRuntime;
use crate::container::client::ResponseLimits;
use crate::metrics::InvokerMetrics;
use crate::pool::keep_alive::KeepAlive;
use common::record::writer::RecordWriter;

/// The parts of an invoker that its containers use.
pub struct Context {
    /// Settings.
    pub config: Arc<Config>,
    /// Opens stored parameters that are sealed.
    pub ciphers: Ciphers,
    /// Kinds and images.
    pub manifest: Arc<Manifest>,
    /// Makes containers.
    pub runtime: Arc<dyn ContainerRuntime>,
    /// Actions and their code.
    pub actions: Actions,
    /// Makes programs of source.
    pub compiler: Compiler,
    /// What survives a crash.
    pub journal: Arc<Journal>,
    /// Reports to controllers.
    pub acks: AckSender,
    /// Whose activations are not begun.
    pub blocked: Blocked,
    /// The records that are stored already.
    pub activations: Arc<dyn ActivationStore>,
    /// Stores records.
    pub records: RecordWriter,
    /// How long idle containers live.
    pub keep_alive: Arc<dyn KeepAlive>,
    /// The time of day.
    pub clock: Arc<dyn Clock>,
    /// When this invoker started.
    pub started: Millis,
    /// Requested when there is no time to wait for a store that is away.
    pub patience: Shutdown,
    /// Owns the tasks.
    pub tasks: Shutdown,
    /// Counts.
    pub metrics: InvokerMetrics,
    /// Who measures is told of what has ended.
    pub events: Events,
    /// Takes up the traces that orders carry.
    pub tracer: Tracer,
    /// The topic that orders come from, and what it is a topic of: for traces.
    pub source: (Topic, &'static str),
}

impl Context {
    /// How long an answer of `/run` may be: the namespace's limit within the system's.
    pub fn response_limits(&self, own: &UserLimits) -> ResponseLimits {
        let payload = &self.config.activation.payload;
        let narrowed = |own: Option<common::entity::limits::ByteSize>,
                        system: common::entity::limits::ByteSize| {
            own.map_or(system, |own| own.min(system)).bytes()
        };
        let max = narrowed(own.max_payload_size, payload.max);
        ResponseLimits { max, truncation: narrowed(own.truncation_size, payload.truncation).min(max) }
    }
}
