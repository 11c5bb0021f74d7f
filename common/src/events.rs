//! User events: what ended, and which limits were met, told on the topic `events` and counted for Prometheus.
//!
//! Each process counts what it tells itself, so that no service has to read the topic for it; Prometheus adds up. Nobody
//! waits for an event: while the broker is away only so many are held, and the rest are dropped and counted.

mod metrics;

use std::sync::Arc;

use bytes::Bytes;
use futures::FutureExt;
use prometheus::Registry;
use tokio::sync::Semaphore;
use tracing::debug;

use crate::bus::{MessageBus, Topic};
use crate::clock::Clock;
use crate::config::user_events::UserEvents;
use crate::entity::activation::Activation;
use crate::message::event::{ActivationEvent, EventBody, EventMessage, EventOwner, Metric, MetricName};
use crate::shutdown::Shutdown;
use metrics::EventMetrics;

/// Events that wait for the broker.
const UNDER_WAY: usize = 1_000;

/// Where events go; nowhere, where they are not wanted.
#[derive(Clone, Default)]
pub struct Events(Option<Arc<Sender>>);

struct Sender {
    source: String,
    out: Arc<Out>,
}

struct Out {
    /// None where nobody can read a topic.
    bus: Option<Arc<dyn MessageBus>>,
    metrics: EventMetrics,
    under_way: Arc<Semaphore>,
    clock: Arc<dyn Clock>,
    tasks: Shutdown,
}

impl Events {
    /// As the settings want it. Metrics are registered with `registry`, once a process.
    pub fn new(
        settings: &UserEvents,
        bus: Option<Arc<dyn MessageBus>>,
        registry: &Registry,
        clock: Arc<dyn Clock>,
        tasks: Shutdown,
    ) -> anyhow::Result<Self> {
        if !settings.enabled {
            return Ok(Self(None));
        }
        let metrics = EventMetrics::register(registry, settings)?;
        let under_way = Arc::new(Semaphore::new(UNDER_WAY));
        let out = Arc::new(Out { bus, metrics, under_way, clock, tasks });
        Ok(Self(Some(Arc::new(Sender { source: String::new(), out }))))
    }

    /// The same, told by this component, such as `invoker0`.
    pub fn by(&self, source: &str) -> Self {
        let named =
            |sender: &Arc<Sender>| Arc::new(Sender { source: source.to_owned(), out: sender.out.clone() });
        Self(self.0.as_ref().map(named))
    }

    /// An activation has ended and its slot is free. What has no kind, such as a trigger, is no event.
    pub fn ended(&self, record: &Activation, owner: EventOwner<'_>) {
        let Some(sender) = &self.0 else { return };
        let Some(event) = ActivationEvent::of(record) else { return };
        sender.out.metrics.activation(&event, owner.namespace.as_str());
        sender.send(EventBody::Activation(event), owner);
    }

    /// A limit of a namespace was looked at.
    pub fn metric(&self, name: MetricName, value: u64, owner: EventOwner<'_>) {
        let Some(sender) = &self.0 else { return };
        sender.out.metrics.limit(name, owner.namespace.as_str());
        sender.send(EventBody::Metric(Metric { metric_name: name, metric_value: value }), owner);
    }
}

impl Sender {
    fn send(&self, body: EventBody, owner: EventOwner<'_>) {
        let Some(bus) = self.out.bus.clone() else { return };
        let Ok(room) = self.out.under_way.clone().try_acquire_owned() else {
            self.out.metrics.dropped();
            return;
        };
        let event = EventMessage {
            source: self.source.clone(),
            event_type: body.type_name().to_owned(),
            body,
            subject: owner.subject.to_owned(),
            namespace: owner.namespace.to_string(),
            user_id: owner.uuid.to_owned(),
            timestamp: self.out.clock.now(),
        };
        let text = Bytes::from(serde_json::to_vec(&event).expect("our own messages serialize"));
        let mut work = Box::pin(async move {
            let _room = room;
            if let Err(error) = bus.publish(&Topic::events(), text).await {
                debug!("an event was not sent: {error}");
            }
        });
        // Handed to the bus here, so that events keep their order.
        if work.as_mut().now_or_never().is_none() {
            self.out.tasks.spawn("event", work);
        }
    }
}
