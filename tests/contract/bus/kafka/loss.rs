//! The broker comes late, goes away and comes back.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::Bytes;
use common::bus::kafka::KafkaBus;
use common::bus::memory::MAX_MESSAGE;
use common::bus::{BusError, Inbox, MessageBus, Topic};
use common::metrics::shared::SharedMetrics;
use common::shutdown::Shutdown;
use tests::services::kafka::Kafka;
use tests::wait;

use super::super::{accept, send, soon};
use super::connect;

/// Bounds every wait for the broker.
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test]
async fn whoever_starts_waits_for_the_broker() {
    let mut kafka = Kafka::prepare();
    let config = kafka.settings();
    let (shutdown, tasks) = (Shutdown::new(), Shutdown::new());
    let connecting = {
        let (config, shutdown) = (config.clone(), shutdown.clone());
        tasks.spawn("connect", async move {
            KafkaBus::connect(&config, MAX_MESSAGE, &SharedMetrics::default().bus, &shutdown, drop).await
        })
    };
    let given_up = Shutdown::new();
    let metrics = SharedMetrics::default().bus;
    let waiting = KafkaBus::connect(&config, MAX_MESSAGE, &metrics, &given_up, drop);
    let stop = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        given_up.request();
    };
    let (stopped, ()) = tokio::join!(soon(waiting), stop);
    assert!(matches!(stopped, Err(BusError::Closed)), "whoever is told to stop does not wait");
    assert!(!connecting.is_finished(), "nobody answers");

    kafka.start_again().await;
    let bus = soon(connecting).await.unwrap().unwrap();
    assert_eq!(bus.trouble(), None);
    send(&bus, &Topic::completed("0"), "x").await;
    soon(bus.close()).await;
}

#[tokio::test]
async fn nothing_is_lost_or_doubled_while_the_broker_is_killed_and_started_again() {
    let mut kafka = Kafka::start().await;
    let config = kafka.settings();
    let bus = Arc::new(connect(&config).await);
    let topic = Topic::completed("0");
    let mut inbox = Inbox::open(bus.as_ref(), &topic, "g").await.unwrap();
    let (published, tasks, stop) = (Arc::new(AtomicU32::new(0)), Shutdown::new(), Shutdown::new());
    let publishing = {
        let (bus, topic, published, stop) = (bus.clone(), topic.clone(), published.clone(), stop.clone());
        tasks.spawn("publish", async move {
            while !stop.is_requested() {
                let number = published.load(Ordering::SeqCst).to_string();
                bus.publish(&topic, Bytes::from(number)).await.unwrap();
                published.fetch_add(1, Ordering::SeqCst);
            }
        })
    };
    let mut read = 0;
    for round in 0..2 {
        let more = read + 100;
        while read < more {
            assert_eq!(accept(&mut inbox).await, read.to_string());
            read += 1;
        }
        kafka.kill().await;
        let trouble = wait::until("the trouble is known", PATIENCE, async || bus.trouble()).await;
        assert!(trouble.contains(&kafka.hosts()), "round {round}: {trouble}");
        kafka.start_again().await;
        wait::until("it is over", PATIENCE, async || bus.trouble().is_none().then_some(())).await;
    }
    stop.request();
    tokio::time::timeout(PATIENCE, publishing).await.unwrap().unwrap();
    let published = published.load(Ordering::SeqCst);
    while read < published {
        assert_eq!(accept(&mut inbox).await, read.to_string());
        read += 1;
    }
    // What was accepted is known to the next process, and only the rest comes.
    send(bus.as_ref(), &topic, "one more").await;
    soon(bus.close()).await;
    let bus = connect(&config).await;
    let mut inbox = Inbox::open(&bus, &topic, "g").await.unwrap();
    assert_eq!(accept(&mut inbox).await, "one more");
    soon(bus.close()).await;
}

#[tokio::test]
async fn without_a_broker_an_order_fails_soon_and_an_acknowledgement_waits() {
    let mut kafka = Kafka::start().await;
    let mut config = kafka.settings();
    config.timeouts.order = Duration::from_secs(1);
    let bus = Arc::new(connect(&config).await);
    let (orders, answers) = (Topic::invoker(0), Topic::completed("0"));
    let mut inbox = Inbox::open(bus.as_ref(), &answers, "completed0").await.unwrap();
    for topic in [&orders, &answers] {
        send(bus.as_ref(), topic, "before").await;
    }
    assert_eq!(accept(&mut inbox).await, "before");
    kafka.stop().await;
    let tasks = Shutdown::new();
    let answer = {
        let (bus, answers) = (bus.clone(), answers.clone());
        tasks.spawn("answer", async move { bus.publish(&answers, Bytes::from_static(b"during")).await })
    };
    // A topic that nobody has made yet, too.
    for topic in [&orders, &Topic::invoker(1)] {
        let refused = soon(bus.publish(topic, Bytes::from_static(b"order"))).await.unwrap_err();
        assert!(matches!(refused, BusError::Unavailable { .. }), "{refusal}", refusal = refused);
    }
    assert!(!answer.is_finished());
    kafka.start_again().await;
    tokio::time::timeout(PATIENCE, answer).await.unwrap().unwrap().unwrap();
    assert_eq!(accept(&mut inbox).await, "during");
    soon(bus.close()).await;
}

#[tokio::test]
async fn a_bus_ends_in_time_while_the_broker_is_away() {
    let mut kafka = Kafka::start().await;
    let config = kafka.settings();
    let bus = Arc::new(connect(&config).await);
    let topic = Topic::completed("0");
    let mut inbox = Inbox::open(bus.as_ref(), &topic, "g").await.unwrap();
    send(bus.as_ref(), &topic, "x").await;
    let delivery = soon(inbox.next()).await.unwrap();
    kafka.kill().await;
    delivery.accept();
    let tasks = Shutdown::new();
    let publishing = {
        let (bus, topic) = (bus.clone(), topic.clone());
        tasks.spawn("publish", async move { bus.publish(&topic, Bytes::from_static(b"y")).await })
    };
    tokio::time::timeout(PATIENCE, bus.close()).await.unwrap();
    assert!(soon(publishing).await.unwrap().is_err(), "whoever waits is told");
    assert!(soon(inbox.next()).await.is_none());
}
