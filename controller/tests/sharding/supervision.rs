//! How the balancer learns how its invokers are, and what follows.

use std::time::Duration;

use common::bus::{Inbox, MessageBus, Topic};
use common::clock::Millis;
use common::entity::id::{ActivationId, TransactionId};
use common::message::activation::ActivationMessage;
use controller::load_balancer::InvokerHealth::{Down, Unhealthy, Unresponsive, Up};
use controller::load_balancer::test_action::TRANSID;
use controller::load_balancer::{BalancerError, LoadBalancer};
use tokio::time::Instant;

use crate::world::{STARTED, World, combined, invoker, order};

#[tokio::test(start_paused = true)]
async fn a_new_invoker_proves_itself_with_a_test_action() {
    let world = World::start().await;
    let mut inbox = Inbox::open(&*world.bus, &Topic::invoker(0), "i").await.unwrap();
    world.ping(invoker(0, 512), true).await;
    assert_eq!(world.health(0), Some(Unhealthy));
    assert!(matches!(world.refused(order("hello", 256, 1)).await, BalancerError::NoInvoker));
    let delivery = inbox.next().await.unwrap();
    let message: ActivationMessage = serde_json::from_slice(delivery.message()).unwrap();
    delivery.accept();
    assert_eq!(message.transid, TransactionId::system(TRANSID, STARTED));
    assert_eq!(message.action.id(), "whisk.system/invokerHealthTestAction0");
    assert_eq!(message.user.namespace.name.as_str(), "whisk.system");
    assert!(message.user.rights.is_empty() && message.revision.is_none() && message.content.is_none());
    assert!(!message.blocking);
    // It has no slot and is in no book.
    assert_eq!((world.balancer.left(0), world.balancer.in_flight_count()), (Some(512), 0));
    // An answer to a former life of this controller proves nothing.
    let former = ActivationMessage {
        transid: TransactionId::system(TRANSID, Millis(STARTED.0 - 1)),
        ..message.clone()
    };
    world.ack(0, &former, false).await;
    assert_eq!((world.health(0), world.metrics.regular_after_forced.get()), (Some(Unhealthy), 1));
    world.ack(0, &message, false).await;
    assert_eq!((world.health(0), world.metrics.healthcheck.get()), (Some(Up), 1));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn numbers_that_were_never_heard_of_are_down() {
    let mut world = World::start().await;
    let _third = world.invoker(invoker(2, 512)).await;
    world.until(|world| world.health(2) == Some(Up)).await;
    let shown = |world: &World| -> Vec<(String, &str)> {
        world.balancer.invokers().iter().map(|(id, health)| (id.to_string(), health.as_str())).collect()
    };
    let expected = [("invoker0", "down"), ("invoker1", "down"), ("invoker2", "up")];
    assert_eq!(shown(&world), expected.map(|(id, health)| (id.to_owned(), health)));
    assert_eq!(world.place(order("hello", 256, 1)).await.0, 2);
    let mut first = invoker(0, 1024);
    first.unique_name = Some("a".into());
    let _first = world.invoker(first).await;
    world.until(|world| world.health(0) == Some(Up)).await;
    assert_eq!(shown(&world)[0].0, "invoker0/a");
    assert_eq!(world.balancer.left(0), Some(1024));
    // A number without measure has no place.
    world.ping(invoker(u32::MAX, 512), true).await;
    assert_eq!(world.balancer.invokers().len(), 3);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_silent_invoker_is_down_and_comes_back_by_proving_itself() {
    let mut world = World::start().await;
    let invokers = world.invokers(2, 512).await;
    invokers[1].falls_silent().await;
    let begun = Instant::now();
    world.until(|world| world.health(1) == Some(Down)).await;
    let silence = begun.elapsed();
    assert!((Duration::from_secs(8)..Duration::from_secs(12)).contains(&silence), "{silence:?}");
    for number in 0..8 {
        assert_eq!(world.place(order(&format!("a{number}"), 128, 1)).await.0, 0);
    }
    let again = world.invoker(invoker(1, 512)).await;
    again.fails_tests(true);
    world.until(|world| world.health(1) == Some(Unhealthy)).await;
    // Once a minute it has another chance.
    let begun = Instant::now();
    again.fails_tests(false);
    world.until(|world| world.health(1) == Some(Up)).await;
    assert!(begun.elapsed() <= Duration::from_secs(62));
    assert_eq!(world.place(order("b", 512, 1)).await.0, 1);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_invoker_that_wants_no_work_is_down_at_once() {
    let world = World::start().await;
    let invokers = world.invokers(1, 512).await;
    invokers[0].falls_silent().await;
    world.ping(invoker(0, 512), false).await;
    assert_eq!(world.health(0), Some(Down));
    assert!(matches!(world.refused(order("hello", 256, 1)).await, BalancerError::NoInvoker));
    assert_eq!(world.fleet.invoker_state.with_label_values(&["down"]).get(), 1);
    world.ping(invoker(0, 512), true).await;
    assert_eq!(world.health(0), Some(Unhealthy));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_restart_under_another_name_is_shown_and_changes_nothing_else() {
    let mut world = World::start().await;
    let invokers = world.invokers(1, 512).await;
    let first = world.place(order("hello", 256, 1)).await;
    invokers[0].falls_silent().await;
    let mut renamed = invoker(0, 512);
    renamed.displayed_name = Some("10.0.0.7".into());
    let _again = world.invoker(renamed.clone()).await;
    world.until(|world| world.balancer.invokers()[0].0 == renamed).await;
    assert_eq!((world.health(0), world.balancer.left(0)), (Some(Up), Some(256)));
    // With more memory there is more room, and what is in flight stays booked.
    world.ping(invoker(0, 1024), true).await;
    assert_eq!(world.balancer.left(0), Some(768));
    world.ack(0, &first.1, false).await;
    assert_eq!(world.balancer.left(0), Some(1024));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn system_errors_take_an_invoker_out_and_errors_of_actions_do_not() {
    let mut world = World::start().await;
    let invokers = world.invokers(1, 2048).await;
    // The buffer is filled, so that single errors are tolerated.
    for _ in 0..10 {
        let (instance, message, _) = world.place(order("hello", 256, 1)).await;
        world.ack(instance, &message, false).await;
    }
    invokers[0].fails_tests(true);
    for errors in 1..=4 {
        assert_eq!(world.health(0), Some(Up), "{errors}");
        let (instance, message, _) = world.place(order("hello", 256, 1)).await;
        world.ack(instance, &message, true).await;
    }
    assert_eq!(world.health(0), Some(Unhealthy));
    assert!(matches!(world.refused(order("hello", 256, 1)).await, BalancerError::NoInvoker));
    // Successes of test actions follow each other at once, and push the errors out.
    invokers[0].fails_tests(false);
    world.until(|world| world.health(0) == Some(Up)).await;
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_invoker_that_completes_nothing_is_unresponsive() {
    let mut world = World::start().await;
    let _invokers = world.invokers(1, 2048).await;
    for _ in 0..8 {
        let (instance, message, _) = world.place(order("hello", 256, 1)).await;
        world.ack(instance, &message, false).await;
    }
    let mut waiters = Vec::new();
    for _ in 0..4 {
        waiters.push(world.place(order("hello", 256, 1)).await);
    }
    world.until(|world| world.health(0) == Some(Unresponsive)).await;
    assert_eq!((world.metrics.forced.get(), world.balancer.left(0)), (4, Some(2048)));
    // Its test actions do succeed, and in time outweigh what was lost.
    world.until(|world| world.health(0) == Some(Up)).await;
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_ack_of_another_invoker_frees_the_slot_that_was_booked() {
    let mut world = World::start().await;
    let _invokers = world.invokers(2, 512).await;
    let (home, message, waiter) = world.place(order("hello", 256, 1)).await;
    assert_eq!(world.balancer.left(home), Some(256));
    // Whoever took over its journal answers for it.
    world.ack(1 - home, &message, false).await;
    assert!(waiter.0.await.is_ok());
    assert_eq!((world.balancer.left(0), world.balancer.left(1)), (Some(512), Some(512)));
    // What is not known, or not to be read, harms nothing.
    let unknown = ActivationMessage { activation_id: ActivationId::generate(), ..message };
    let unknown = serde_json::to_vec(&combined(77, &unknown, false)).unwrap();
    world.bus.publish(&Topic::completed("0"), unknown.into()).await.unwrap();
    for topic in [Topic::completed("0"), Topic::health()] {
        world.bus.publish(&topic, "{".into()).await.unwrap();
    }
    assert_eq!(world.metrics.regular_after_forced.get(), 1);
    world.stop().await;
}
