//! What a cluster tells on the topic of events, as whoever measures or bills reads it.

use std::time::Duration;

use common::bus::kafka::KafkaBus;
use common::bus::{Inbox, Topic};
use common::message::event::{EventBody, EventMessage};
use common::metrics::shared::SharedMetrics;
use common::shutdown::Shutdown;
use serde_json::json;
use tests::fixtures::{ECHO, sequence};
use tests::place::unique;
use tests::server::Options;
use tests::services::kafka::Kafka;

use crate::world::World;

const SOON: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn activations_and_limits_are_told_once_each() {
    let prefix = unique("told-");
    let environment = [
        ("CONFIG_whisk_userEvents_enabled", "true"),
        ("CONFIG_whisk_kafka_topics_userEvent_prefix", &prefix),
    ];
    let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
    let options =
        Options { environment, throttled: true, user_memory: "512m".to_owned(), ..Options::default() };
    let world = World::with(options).await;
    let mut settings = Kafka::shared().await.settings();
    settings.topics.user_event.prefix = prefix;
    let shutdown = Shutdown::new();
    let bus = KafkaBus::connect(&settings, 1 << 20, &SharedMetrics::default().bus, &shutdown, drop)
        .await
        .expect("the broker answers");
    let mut inbox = Inbox::open(&bus, &Topic::events(), "test").await.expect("the topic is there");

    let me = &world.namespace().await[0];
    let echo = me.put_js("echo", ECHO).await;
    let chain = me.create("chain", &sequence(&[format!("_/{echo}")])).await;
    me.result(&chain, &json!({ "a": 1 })).await;

    let mut seen = Vec::new();
    let reading = async {
        while seen.len() < 3 {
            let delivery = inbox.next().await.expect("the bus is open");
            let event: EventMessage = serde_json::from_slice(delivery.message()).expect("an event is JSON");
            delivery.accept();
            // The cluster tries its invokers too.
            if event.namespace == me.name {
                seen.push(event);
            }
        }
    };
    tokio::time::timeout(SOON, reading).await.expect("three events");
    for event in &seen {
        assert_eq!(
            (event.subject.as_str(), event.event_type.as_str()),
            (me.name.as_str(), event.body.type_name())
        );
        assert_eq!(event.user_id, me.auth.split(':').next().expect("uuid:key"));
    }
    let activation = |wanted: &str| {
        seen.iter().find_map(|event| match &event.body {
            EventBody::Activation(activation) if activation.action().1 == wanted => Some((event, activation)),
            _ => None,
        })
    };
    let (told, of_echo) = activation(&echo).expect("the component is told");
    assert!(told.source.starts_with("invoker"), "{told:?}");
    assert_eq!((of_echo.kind.as_str(), of_echo.memory, of_echo.status_code), ("nodejs:20", 128, 0));
    assert!(of_echo.init_time > 0 && of_echo.caused_by.as_deref() == Some("sequence"), "{of_echo:?}");
    let (told, of_chain) = activation(&chain).expect("the sequence is told");
    assert!(told.source.starts_with("controller") && of_chain.kind == "sequence", "{told:?}");
    let metrics = seen.iter().filter(|event| matches!(event.body, EventBody::Metric(_))).count();
    assert_eq!(metrics, 1, "components are not charged: {seen:?}");
    drop(inbox);
    shutdown.finish(SOON).await;
    world.stop().await;
}
