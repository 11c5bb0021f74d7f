//! Reports to the controller that waits: the result, that the slot is free, or both in one.
//!
//! Which is sent when is upstream's (`common/scala/.../core/ack/MessagingActiveAck.scala`). Who does not
//! wait gets no record, and a record that is too large for the bus is replaced by its id. Within one
//! process a report is heard before this returns; a broker's word is waited for by a task beside.

use std::sync::Arc;

use bytes::Bytes;
use common::bus::{BusError, MessageBus, Topic};
use common::entity::activation::{Activation, Status};
use common::entity::id::InvokerId;
use common::message::ack::{Ack, AckResult};
use common::message::activation::ActivationMessage;
use common::shutdown::Shutdown;
use common::trace::Trace;
use futures::FutureExt;
use prometheus::Histogram;
use tokio::time::Instant;
use tracing::{Instrument, error, warn};

/// Sends acknowledgements.
#[derive(Clone)]
pub struct AckSender {
    bus: Arc<dyn MessageBus>,
    instance: InvokerId,
    tasks: Shutdown,
    seconds: Histogram,
}

impl AckSender {
    /// For the invoker of that id. Reports under way are among its tasks; `seconds` is how long they take.
    pub fn new(bus: Arc<dyn MessageBus>, instance: InvokerId, tasks: Shutdown, seconds: Histogram) -> Self {
        Self { bus, instance, tasks, seconds }
    }

    /// The result; the slot is still taken. Only for a caller that waits.
    pub fn result(&self, message: &ActivationMessage, record: &Activation, trace: &Trace) {
        let response = AckResult::Record(Box::new(record.clone()));
        self.send(message, Ack::Result { transid: message.transid.clone(), response }, trace);
    }

    /// The slot is free.
    pub fn completion(&self, message: &ActivationMessage, status: Status, trace: &Trace) {
        let ack = Ack::Completion {
            transid: message.transid.clone(),
            activation_id: message.activation_id,
            is_system_error: status == Status::WhiskError,
            instance: self.instance.clone(),
        };
        self.send(message, ack, trace);
    }

    /// Both. Who does not wait gets the id alone.
    pub fn combined(&self, message: &ActivationMessage, record: &Activation, trace: &Trace) {
        self.both(message, record, record.response.status == Status::WhiskError, trace);
    }

    /// Both, of an activation that an earlier run did not end: whatever came of it says nothing of how this
    /// invoker is.
    pub fn recovered(&self, message: &ActivationMessage, record: &Activation) {
        self.both(message, record, false, &Trace::default());
    }

    fn both(&self, message: &ActivationMessage, record: &Activation, is_system_error: bool, trace: &Trace) {
        let response = match message.blocking {
            true => AckResult::Record(Box::new(Activation { logs: Vec::new(), ..record.clone() })),
            false => AckResult::Id(message.activation_id),
        };
        let (transid, instance) = (message.transid.clone(), self.instance.clone());
        self.send(message, Ack::Combined { transid, response, is_system_error, instance }, trace);
    }

    /// Both, of an activation whose record is stored: whoever waits reads it.
    pub fn recorded(&self, message: &ActivationMessage) {
        let ack = Ack::Combined {
            transid: message.transid.clone(),
            response: AckResult::Id(message.activation_id),
            is_system_error: false,
            instance: self.instance.clone(),
        };
        self.send(message, ack, &Trace::default());
    }

    fn send(&self, message: &ActivationMessage, ack: Ack, trace: &Trace) {
        let topic = Topic::completed(&message.root_controller_index.name);
        let mut sending = trace.producer("send acknowledgement");
        if let Some(span) = sending.recorded() {
            span.set("messaging.system", self.bus.system())
                .set("messaging.operation.type", "send")
                .set("messaging.destination.name", topic.to_string());
        }
        let (bus, id) = (self.bus.clone(), message.activation_id);
        let (seconds, begun) = (self.seconds.clone(), Instant::now());
        let mut work = Box::pin(async move {
            let sent = match bus.publish(&topic, encode(&ack)).await {
                Err(BusError::TooLarge { size, .. }) => {
                    warn!(activation.id = %id, size, "a result is too large for the bus: its id goes instead");
                    bus.publish(&topic, encode(&shrunk(ack))).await
                }
                sent => sent,
            };
            seconds.observe(begun.elapsed().as_secs_f64());
            if let Err(error) = sent {
                sending.fail("it was not sent");
                error!(activation.id = %id, "an acknowledgement was not sent: {error}");
            }
        });
        // It is handed to the bus here, so that reports keep their order.
        if work.as_mut().now_or_never().is_none() {
            self.tasks.spawn("ack", work.in_current_span());
        }
    }
}

fn encode(ack: &Ack) -> Bytes {
    Bytes::from(serde_json::to_vec(ack).expect("our own messages serialize"))
}

fn shrunk(ack: Ack) -> Ack {
    let id = ack.activation_id();
    match ack {
        Ack::Result { transid, .. } => Ack::Result { transid, response: AckResult::Id(id) },
        Ack::Combined { transid, is_system_error, instance, .. } => {
            Ack::Combined { transid, response: AckResult::Id(id), is_system_error, instance }
        }
        completion @ Ack::Completion { .. } => completion,
    }
}
