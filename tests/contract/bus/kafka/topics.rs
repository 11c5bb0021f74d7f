//! How topics are made.

use std::collections::HashMap;

use bytes::Bytes;
use common::bus::memory::MAX_MESSAGE;
use common::bus::{Inbox, MessageBus, Topic};
use rdkafka::ClientConfig;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication};
use rdkafka::client::DefaultClientContext;

use super::super::{Place, accept, send, soon};
use super::Broker;

fn admin(place: &Broker) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", &place.config.hosts).create().unwrap()
}

/// What the broker says of a topic.
async fn settings(place: &Broker, name: &str) -> HashMap<String, String> {
    let asked = [ResourceSpecifier::Topic(name)];
    let answer = soon(admin(place).describe_configs(&asked, &AdminOptions::new())).await.unwrap();
    let entries = answer.into_iter().next().unwrap().unwrap().entries;
    entries.into_iter().map(|entry| (entry.name, entry.value.unwrap_or_default())).collect()
}

#[tokio::test]
async fn topics_have_upstreams_settings() {
    let mut place = Broker::new().await;
    place.config.topics.user_event.prefix.insert_str(0, "user-");
    let bus = place.connect().await;
    // The first reader makes a topic, or the first who publishes.
    let _read = Inbox::open(&bus, &Topic::completed("0"), "completed0").await.unwrap();
    for topic in [Topic::invoker(7), Topic::health(), Topic::events()] {
        send(&bus, &topic, "x").await;
    }
    let prefix = &place.config.topics.prefix;
    let largest = (MAX_MESSAGE..MAX_MESSAGE + 2_000, "172800000");
    for (name, sizes, retention) in [
        (format!("{prefix}invoker7"), Some(&largest.0), largest.1),
        (format!("{prefix}completed0"), Some(&largest.0), "3600000"),
        (format!("{prefix}health"), None, "3600000"),
        (format!("user-{prefix}events"), None, "3600000"),
    ] {
        let settings = settings(&place, &name).await;
        assert_eq!(settings["segment.bytes"], "536870912", "{name}");
        assert_eq!(settings["retention.bytes"], "1073741824", "{name}");
        assert_eq!(settings["retention.ms"], retention, "{name}");
        let size: usize = settings["max.message.bytes"].parse().unwrap();
        match sizes {
            Some(sizes) => assert!(sizes.contains(&size), "{name} takes {size}"),
            // As the broker has it: a MiB, and a head.
            None => assert_eq!(size, 1_048_588, "{name}"),
        }
    }
    soon(bus.close()).await;
}

#[tokio::test]
async fn a_topic_that_is_there_stays_as_it_is() {
    let place = Broker::new().await;
    let name = format!("{}completed3", place.config.topics.prefix);
    let topic = NewTopic::new(&name, 1, TopicReplication::Fixed(1)).set("retention.ms", "600000");
    soon(admin(&place).create_topics([&topic], &AdminOptions::new())).await.unwrap();
    let bus = place.connect().await;
    let mut inbox = Inbox::open(&bus, &Topic::completed("3"), "completed3").await.unwrap();
    soon(bus.publish(&Topic::completed("3"), Bytes::from_static(b"x"))).await.unwrap();
    assert_eq!(accept(&mut inbox).await, "x");
    assert_eq!(settings(&place, &name).await["retention.ms"], "600000");
    soon(bus.close()).await;
}
