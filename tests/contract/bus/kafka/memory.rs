//! What a group has accepted, and what it has not.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use common::bus::{BusError, Delivery, Inbox, MessageBus, Receiver, Topic};
use common::clock::{Clock, SystemClock};
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};
use tests::wait;

use super::super::{Place, SOON, accept, send, soon};
use super::Broker;

fn text(delivery: &dyn Delivery) -> String {
    String::from_utf8(delivery.message().to_vec()).unwrap()
}

async fn take(inbox: &mut Inbox) -> Box<dyn Delivery> {
    soon(inbox.next()).await.expect("the bus is open")
}

/// The offset that the broker keeps for a group, as another client sees it.
async fn committed(place: &Broker, topic: &Topic, group: &str) -> Option<i64> {
    let prefix = &place.config.topics.prefix;
    let client: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &place.config.hosts)
        .set("group.id", format!("{prefix}{group}"))
        .create()
        .unwrap();
    let name = format!("{prefix}{topic}");
    let asked = tokio::task::spawn_blocking(move || {
        let mut list = TopicPartitionList::new();
        list.add_partition(&name, 0);
        let answer = client.committed_offsets(list, SOON).unwrap();
        match answer.elements()[0].offset() {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        }
    });
    asked.await.unwrap()
}

#[tokio::test]
async fn reading_goes_on_at_what_was_accepted() {
    let place = Broker::new().await;
    let topic = Topic::completed("0");
    let bus = place.connect().await;
    let mut inbox = Inbox::open(&bus, &topic, "g").await.unwrap();
    let mut deliveries = Vec::new();
    for number in 0..6 {
        send(&bus, &topic, &number.to_string()).await;
        deliveries.push(Some(take(&mut inbox).await));
    }
    // Not in order, and not all.
    for accepted in [1, 4, 0] {
        deliveries[accepted].take().unwrap().accept();
    }
    soon(bus.close()).await;
    assert_eq!(committed(&place, &topic, "g").await, Some(2));

    let bus = place.connect().await;
    let mut inbox = Inbox::open(&bus, &topic, "g").await.unwrap();
    for number in 2..6 {
        assert_eq!(accept(&mut inbox).await, number.to_string());
    }
    soon(bus.close()).await;
}

#[tokio::test]
async fn what_is_accepted_is_committed_soon_and_outlives_a_process_that_does_not_close() {
    let place = Broker::new().await;
    let topic = Topic::invoker(0);
    let bus = place.connect().await;
    let mut inbox = Inbox::open(&bus, &topic, "invoker0").await.unwrap();
    for number in 0..3 {
        send(&bus, &topic, &number.to_string()).await;
    }
    for _ in 0..2 {
        accept(&mut inbox).await;
    }
    wait::until("two are committed", SOON, async || {
        (committed(&place, &topic, "invoker0").await == Some(2)).then_some(())
    })
    .await;
    let unheard = take(&mut inbox).await;
    std::mem::forget(bus);

    let bus = place.connect().await;
    let mut again = Inbox::open(&bus, &topic, "invoker0").await.unwrap();
    let delivery = take(&mut again).await;
    assert_eq!((text(delivery.as_ref()), delivery.position()), ("2".to_owned(), Some(2)));
    let age = SystemClock.now().0.abs_diff(delivery.written().expect("the broker keeps it").0);
    assert!(age < 60_000, "it was written {age} ms ago");
    delivery.accept();
    drop(unheard);
    soon(bus.close()).await;
}

/// Refuses a message some times, and keeps the order in which all came.
#[derive(Default)]
struct Picky {
    refusals: AtomicU32,
    seen: Mutex<Vec<String>>,
}

impl Receiver for Picky {
    fn receive(&self, delivery: Box<dyn Delivery>) {
        let text = text(delivery.as_ref());
        self.seen.lock().unwrap().push(text.clone());
        match text.as_str() {
            "refused" if self.refusals.fetch_add(1, Ordering::SeqCst) < 2 => delivery.refuse("not now"),
            "dropped" if self.refusals.fetch_add(1, Ordering::SeqCst) < 4 => drop(delivery),
            "discarded" => delivery.discard("never"),
            _ => delivery.accept(),
        }
    }
}

#[tokio::test]
async fn what_is_refused_is_held_with_all_behind_it() {
    let place = Broker::new().await;
    let topic = Topic::invoker(1);
    let bus = place.connect().await;
    let picky = Arc::new(Picky::default());
    // All are there before it reads, so that they come at once.
    let texts = ["first", "refused", "dropped", "discarded", "last"];
    for text in texts {
        send(&bus, &topic, text).await;
    }
    let _place = bus.subscribe(&topic, "invoker1", picky.clone()).await.unwrap();
    let expected = ["first", "refused", "refused", "refused", "dropped", "dropped", "discarded", "last"];
    wait::until("all were seen", SOON, async || {
        (picky.seen.lock().unwrap().last().map(String::as_str) == Some("last")).then_some(())
    })
    .await;
    assert_eq!(*picky.seen.lock().unwrap(), expected);
    soon(bus.close()).await;
    assert_eq!(committed(&place, &topic, "invoker1").await, Some(texts.len() as i64));
}

#[tokio::test]
async fn what_is_refused_late_comes_again_in_order() {
    let place = Broker::new().await;
    let topic = Topic::completed("0");
    let bus = place.connect().await;
    let mut inbox = Inbox::open(&bus, &topic, "g").await.unwrap();
    let mut deliveries = Vec::new();
    for text in ["a", "b", "c"] {
        send(&bus, &topic, text).await;
        deliveries.push(take(&mut inbox).await);
    }
    let [a, b, c] = <[_; 3]>::try_from(deliveries).ok().unwrap();
    b.refuse("not now");
    drop(a);
    c.accept();
    send(&bus, &topic, "d").await;
    for text in ["a", "b", "d"] {
        assert_eq!(accept(&mut inbox).await, text);
    }
    soon(bus.close()).await;
}

#[tokio::test]
async fn a_reader_that_leaves_hears_no_more_and_the_next_goes_on() {
    let place = Broker::new().await;
    let topic = Topic::completed("0");
    let bus = place.connect().await;
    for round in 0..3 {
        let mut inbox = soon(Inbox::open(&bus, &topic, "g")).await.unwrap();
        send(&bus, &topic, &round.to_string()).await;
        assert_eq!(accept(&mut inbox).await, round.to_string());
    }
    soon(bus.close()).await;
}

#[tokio::test]
async fn a_group_can_be_advanced_while_it_does_not_read_but_not_back() {
    let place = Broker::new().await;
    let topic = Topic::invoker(2);
    let bus = place.connect().await;
    for number in 0..5 {
        send(&bus, &topic, &number.to_string()).await;
    }
    for next in [3, 2] {
        soon(bus.advance(&topic, "invoker2", next)).await.unwrap();
        assert_eq!(committed(&place, &topic, "invoker2").await, Some(3));
    }
    let mut inbox = Inbox::open(&bus, &topic, "invoker2").await.unwrap();
    assert_eq!(accept(&mut inbox).await, "3");
    let refused = soon(bus.advance(&topic, "invoker2", 5)).await;
    assert!(matches!(refused, Err(BusError::Refused { .. })), "it reads");
    assert_eq!(accept(&mut inbox).await, "4");
    soon(bus.close()).await;
    assert!(matches!(bus.advance(&topic, "invoker2", 5).await, Err(BusError::Closed)));
}

#[tokio::test]
async fn pings_of_before_are_not_heard_and_none_are_remembered() {
    let place = Broker::new().await;
    let topic = Topic::health();
    let bus = place.connect().await;
    send(&bus, &topic, "before").await;
    for round in ["one", "two"] {
        let mut inbox = soon(Inbox::open(&bus, &topic, "health0")).await.unwrap();
        // Right after the place is taken: none is missed.
        send(&bus, &topic, round).await;
        assert_eq!(accept(&mut inbox).await, round);
        send(&bus, &topic, "in between").await;
        assert_eq!(accept(&mut inbox).await, "in between");
    }
    soon(bus.close()).await;
    assert_eq!(committed(&place, &topic, "health0").await, None);
}

#[tokio::test]
async fn a_question_and_its_answer_go_round_many_times() {
    let place = Broker::new().await;
    let (orders, answers) = (Topic::invoker(0), Topic::completed("0"));
    let (controller, invoker) = (place.connect().await, place.connect().await);
    let mut here = Inbox::open(&controller, &answers, "completed0").await.unwrap();
    let mut there = Inbox::open(&invoker, &orders, "invoker0").await.unwrap();
    for number in 0..200 {
        let order = number.to_string();
        send(&controller, &orders, &order).await;
        assert_eq!(accept(&mut there).await, order);
        soon(invoker.publish(&answers, Bytes::from(format!("re {number}")))).await.unwrap();
        assert_eq!(accept(&mut here).await, format!("re {number}"));
    }
    soon(controller.close()).await;
    soon(invoker.close()).await;
}
