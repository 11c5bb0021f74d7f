//! The bus between controllers and invokers. An implementation is a [`Place`]: a broker, and buses on
//! it. To add one, write its `Place` and a line at the end of this file.

mod kafka;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use common::bus::memory::{MAX_MESSAGE, MemoryBus};
use common::bus::{BusError, Inbox, MessageBus, Topic};

/// Longer than any message is under way.
const SOON: Duration = Duration::from_secs(10);

/// The most messages that a bus may take for a reader who accepts none: more than an inbox holds.
const MOST_UNREAD: usize = 17_000;

/// A broker of its own for one test.
#[async_trait]
trait Place: Send + Sync {
    /// New and empty.
    async fn new() -> Self
    where
        Self: Sized;
    /// A bus on it.
    async fn bus(&self) -> Arc<dyn MessageBus>;
    /// Whether `publish` waits for the owner's word; else it returns once the broker has the message.
    fn hears_owners(&self) -> bool;
}

/// Within this process.
struct Memory;

#[async_trait]
impl Place for Memory {
    async fn new() -> Self {
        Self
    }

    async fn bus(&self) -> Arc<dyn MessageBus> {
        Arc::new(MemoryBus::default())
    }

    fn hears_owners(&self) -> bool {
        true
    }
}

async fn soon<T>(what: impl Future<Output = T>) -> T {
    tokio::time::timeout(SOON, what).await.expect("it takes no longer than that")
}

async fn accept(inbox: &mut Inbox) -> String {
    let delivery = soon(inbox.next()).await.expect("the bus is open");
    let text = String::from_utf8(delivery.message().to_vec()).unwrap();
    delivery.accept();
    text
}

async fn send(bus: &dyn MessageBus, topic: &Topic, text: &str) {
    soon(bus.publish(topic, Bytes::copy_from_slice(text.as_bytes()))).await.unwrap();
}

async fn an_owned_message_is_published_once_its_owner_accepts_it(place: impl Place) {
    let bus = place.bus().await;
    let topic = Topic::invoker(0);
    let mut inbox = Inbox::open(bus.as_ref(), &topic, "invoker0").await.unwrap();
    let mut publish = bus.publish(&topic, Bytes::from_static(b"job"));
    if place.hears_owners() {
        let early = tokio::time::timeout(Duration::from_millis(100), &mut publish).await;
        assert!(early.is_err(), "nobody has accepted it");
    }
    let (published, text) = tokio::join!(soon(publish), accept(&mut inbox));
    published.unwrap();
    assert_eq!(text, "job");
    bus.close().await;
}

async fn an_owner_that_refuses_or_drops_a_message_is_heard(place: impl Place) {
    let bus = place.bus().await;
    let topic = Topic::invoker(3);
    let mut inbox = Inbox::open(bus.as_ref(), &topic, "invoker3").await.unwrap();
    let refusing = async { soon(inbox.next()).await.unwrap().refuse("the journal is full") };
    let (published, ()) = tokio::join!(soon(bus.publish(&topic, Bytes::from_static(b"a"))), refusing);
    if place.hears_owners() {
        let refusal = published.unwrap_err();
        assert!(matches!(&refusal, BusError::Refused { topic, .. } if topic == "invoker3"), "{refusal}");
        assert!(refusal.to_string().contains("the journal is full"), "{refusal}");
    }
    let dropping = async { drop(soon(inbox.next()).await.unwrap()) };
    let (published, ()) = tokio::join!(soon(bus.publish(&topic, Bytes::from_static(b"b"))), dropping);
    assert!(!place.hears_owners() || matches!(published, Err(BusError::Refused { .. })));
    bus.close().await;
}

async fn messages_of_one_topic_keep_their_order(place: impl Place) {
    let bus = place.bus().await;
    let topic = Topic::completed("0");
    let mut inbox = Inbox::open(bus.as_ref(), &topic, "completed0").await.unwrap();
    for number in 0..1_000 {
        send(bus.as_ref(), &topic, &number.to_string()).await;
    }
    for number in 0..1_000 {
        assert_eq!(accept(&mut inbox).await, number.to_string());
    }
    bus.close().await;
}

async fn groups_each_get_all(place: impl Place) {
    let bus = place.bus().await;
    let topic = Topic::health();
    let mut one = Inbox::open(bus.as_ref(), &topic, "health0").await.unwrap();
    let mut two = Inbox::open(bus.as_ref(), &topic, "health1").await.unwrap();
    for number in 0..100 {
        send(bus.as_ref(), &topic, &number.to_string()).await;
    }
    for inbox in [&mut one, &mut two] {
        for number in 0..100 {
            assert_eq!(accept(inbox).await, number.to_string());
        }
    }
    bus.close().await;
}

async fn a_group_has_one_reader_until_it_leaves(place: impl Place) {
    let bus = place.bus().await;
    let topic = Topic::completed("0");
    let mut inbox = Inbox::open(bus.as_ref(), &topic, "g").await.unwrap();
    let second = Inbox::open(bus.as_ref(), &topic, "g").await;
    assert!(matches!(second, Err(BusError::Refused { topic, .. }) if topic == "completed0"));
    send(bus.as_ref(), &topic, "for the first").await;
    assert_eq!(accept(&mut inbox).await, "for the first");
    drop(inbox);
    let mut next = soon(Inbox::open(bus.as_ref(), &topic, "g")).await.unwrap();
    send(bus.as_ref(), &topic, "for the next").await;
    assert_eq!(accept(&mut next).await, "for the next");
    bus.close().await;
}

async fn what_is_discarded_does_not_come_again(place: impl Place) {
    let bus = place.bus().await;
    let topic = Topic::invoker(0);
    let mut inbox = Inbox::open(bus.as_ref(), &topic, "invoker0").await.unwrap();
    let discarding = async { soon(inbox.next()).await.unwrap().discard("it cannot be read") };
    let (published, ()) = tokio::join!(soon(bus.publish(&topic, Bytes::from_static(b"?"))), discarding);
    if place.hears_owners() {
        let refusal = published.unwrap_err().to_string();
        assert!(refusal.contains("it cannot be read"), "{refusal}");
    }
    let (_, text) = tokio::join!(bus.publish(&topic, Bytes::from_static(b"job")), accept(&mut inbox));
    assert_eq!(text, "job");
    bus.close().await;
}

async fn topics_are_apart(place: impl Place) {
    let bus = place.bus().await;
    let (one, two) = (Topic::completed("1"), Topic::completed("2"));
    let mut inbox_one = Inbox::open(bus.as_ref(), &one, "g").await.unwrap();
    let mut inbox_two = Inbox::open(bus.as_ref(), &two, "g").await.unwrap();
    send(bus.as_ref(), &two, "for two").await;
    send(bus.as_ref(), &one, "for one").await;
    assert_eq!(accept(&mut inbox_one).await, "for one");
    assert_eq!(accept(&mut inbox_two).await, "for two");
    bus.close().await;
}

async fn a_wait_that_is_given_up_loses_nothing(place: impl Place) {
    let bus = place.bus().await;
    let topic = Topic::completed("0");
    let mut inbox = Inbox::open(bus.as_ref(), &topic, "g").await.unwrap();
    for number in 0..20 {
        for _ in 0..3 {
            assert!(tokio::time::timeout(Duration::from_millis(1), inbox.next()).await.is_err());
        }
        send(bus.as_ref(), &topic, &number.to_string()).await;
        assert_eq!(accept(&mut inbox).await, number.to_string());
    }
    bus.close().await;
}

async fn a_message_that_is_too_large_is_refused(place: impl Place) {
    let bus = place.bus().await;
    let topic = Topic::completed("0");
    let mut inbox = Inbox::open(bus.as_ref(), &topic, "g").await.unwrap();
    let largest = Bytes::from(vec![b'x'; MAX_MESSAGE]);
    soon(bus.publish(&topic, largest.clone())).await.unwrap();
    let delivery = soon(inbox.next()).await.unwrap();
    assert_eq!(delivery.message(), &largest);
    delivery.accept();
    let refused = soon(bus.publish(&topic, Bytes::from(vec![b'x'; MAX_MESSAGE + 1]))).await;
    assert!(matches!(refused, Err(BusError::TooLarge { size, .. }) if size == MAX_MESSAGE + 1));
    bus.close().await;
}

/// In process the bound is the queue; a broker's is its own, so that only the memory of ours counts.
async fn a_reader_that_is_too_far_behind_is_a_refusal_and_it_recovers(place: impl Place) {
    let bus = place.bus().await;
    let topic = Topic::completed("0");
    let mut inbox = Inbox::open(bus.as_ref(), &topic, "g").await.unwrap();
    let mut taken = 0;
    let refusal = loop {
        match soon(bus.publish(&topic, Bytes::from_static(b"x"))).await {
            Ok(()) => taken += 1,
            Err(refusal) => break Some(refusal),
        }
        if taken == MOST_UNREAD {
            break None;
        }
    };
    if place.hears_owners() {
        let refusal = refusal.expect("memory is bounded");
        assert!(matches!(refusal, BusError::Refused { .. }), "{refusal}");
    }
    for _ in 0..taken {
        assert_eq!(accept(&mut inbox).await, "x");
    }
    send(bus.as_ref(), &topic, "again").await;
    assert_eq!(accept(&mut inbox).await, "again");
    bus.close().await;
}

async fn after_close_inboxes_drain_and_nothing_is_taken(place: impl Place) {
    let bus = place.bus().await;
    let topic = Topic::completed("0");
    let mut inbox = Inbox::open(bus.as_ref(), &topic, "g").await.unwrap();
    send(bus.as_ref(), &topic, "last").await;
    assert_eq!(accept(&mut inbox).await, "last");
    soon(bus.close()).await;
    assert!(soon(inbox.next()).await.is_none());
    assert!(soon(inbox.next()).await.is_none(), "and it stays so");
    let refused = soon(bus.publish(&topic, Bytes::from_static(b"late"))).await;
    assert!(matches!(refused, Err(BusError::Closed)));
    assert!(matches!(Inbox::open(bus.as_ref(), &topic, "h").await, Err(BusError::Closed)));
    soon(bus.close()).await;
}

macro_rules! cases {
    ($name:ident, $place:ty, $($case:ident),+ $(,)?) => {
        mod $name {
            use super::*;
            $(
                #[tokio::test]
                async fn $case() {
                    super::$case(<$place>::new().await).await;
                }
            )+
        }
    };
}

macro_rules! suite {
    ($name:ident, $place:ty) => {
        cases! { $name, $place,
            an_owned_message_is_published_once_its_owner_accepts_it,
            an_owner_that_refuses_or_drops_a_message_is_heard,
            messages_of_one_topic_keep_their_order,
            groups_each_get_all,
            a_group_has_one_reader_until_it_leaves,
            what_is_discarded_does_not_come_again,
            topics_are_apart,
            a_wait_that_is_given_up_loses_nothing,
            a_message_that_is_too_large_is_refused,
            a_reader_that_is_too_far_behind_is_a_refusal_and_it_recovers,
            after_close_inboxes_drain_and_nothing_is_taken,
        }
    };
}

suite!(memory, Memory);
suite!(over_kafka, kafka::Broker);
