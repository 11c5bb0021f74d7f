//! How far a reader is behind, and how old what it reads is, as metrics tell it.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use common::bus::kafka::KafkaBus;
use common::bus::memory::MAX_MESSAGE;
use common::bus::{Delivery, MessageBus, Receiver, Topic};
use common::metrics::shared::SharedMetrics;
use common::shutdown::Shutdown;
use tests::services::kafka::Kafka;
use tests::wait;

use super::super::soon;

/// Longer than between two looks of a reader.
const LOOKED: Duration = Duration::from_secs(30);

struct Full;

impl Receiver for Full {
    fn receive(&self, delivery: Box<dyn Delivery>) {
        delivery.refuse("it is full");
    }
}

struct Eager;

impl Receiver for Eager {
    fn receive(&self, delivery: Box<dyn Delivery>) {
        delivery.accept();
    }
}

#[tokio::test]
async fn what_is_not_accepted_counts_as_lag() {
    let (config, metrics) = (Kafka::shared().await.settings(), SharedMetrics::default());
    let bus =
        soon(KafkaBus::connect(&config, MAX_MESSAGE, &metrics.bus, &Shutdown::new(), drop)).await.unwrap();
    let topic = Topic::invoker(0);
    for message in ["a", "b", "c"] {
        bus.publish(&topic, Bytes::from_static(message.as_bytes())).await.unwrap();
    }
    let seen = metrics.bus.of(&format!("{}{topic}", config.topics.prefix));
    let full = bus.subscribe(&topic, "invoker0", Arc::new(Full)).await.unwrap();
    let is = async |lag: f64| {
        let what = format!("the lag is {lag}");
        wait::until(&what, LOOKED, || async { (seen.lag.get() == lag).then_some(()) }).await;
    };
    is(3.0).await;
    drop(full);
    let _eager = bus.subscribe(&topic, "invoker0", Arc::new(Eager)).await.unwrap();
    is(0.0).await;
    assert!(seen.delay.get_sample_count() >= 3, "each was read");
    bus.close().await;
}
