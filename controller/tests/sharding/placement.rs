//! Which invoker gets an order, and what is booked of it.

use std::time::Duration;

use controller::load_balancer::schedule::{self, Partition};
use controller::load_balancer::{BalancerError, LoadBalancer, Order};

use crate::world::{World, invoker, order};

/// Where the walk of `guest/<name>` through so many invokers begins, and where it goes on.
fn home_and_next(name: &str, invokers: usize) -> (u32, u32) {
    let hash = schedule::hash("guest", "guest", name);
    let steps = schedule::step_sizes(invokers);
    let home = hash % invokers;
    (home as u32, ((home + steps[hash % steps.len()]) % invokers) as u32)
}

#[tokio::test(start_paused = true)]
async fn an_action_goes_home_while_there_is_room_and_then_to_the_next() {
    let mut world = World::start().await;
    let _invokers = world.invokers(10, 512).await;
    // Nine of ten are for managed actions.
    let (home, next) = home_and_next("hello", 9);
    let first = world.place(order("hello", 256, 1)).await;
    let second = world.place(order("hello", 256, 1)).await;
    let third = world.place(order("hello", 256, 1)).await;
    assert_eq!((first.0, second.0, third.0), (home, home, next));
    assert_eq!((world.balancer.left(home), world.balancer.left(next)), (Some(0), Some(256)));
    assert_eq!((world.balancer.in_flight_count(), world.balancer.in_flight_of("u")), (3, 3));
    assert_eq!(world.fleet.managed_memory.get(), 768);
    world.ack(home, &first.1, false).await;
    assert_eq!(first.2.0.await.unwrap().activation_id(), first.1.activation_id);
    assert_eq!(world.place(order("hello", 256, 1)).await.0, home);
    assert_eq!(world.metrics.regular.get(), 1);
    assert_eq!(world.fleet.managed_overload.get(), 0);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn where_all_are_full_a_healthy_one_takes_it_and_recovers() {
    let mut world = World::start().await;
    let invokers = world.invokers(3, 256).await;
    let mut taken = Vec::new();
    for _ in 0..3 {
        taken.push(world.place(order("hello", 256, 1)).await);
    }
    assert_eq!(world.fleet.managed_overload.get(), 0);
    // Only the healthy are overloaded.
    invokers[0].falls_silent().await;
    world.until(|world| world.balancer.invokers()[0].1.as_str() == "down").await;
    for _ in 0..20 {
        let more = world.place(order("hello", 256, 1)).await;
        assert_ne!(more.0, 0);
        taken.push(more);
    }
    assert_eq!(world.fleet.managed_overload.get(), 20);
    let left = |world: &World| (0..3).filter_map(|at| world.balancer.left(at)).sum::<i64>();
    assert_eq!(left(&world), -20 * 256);
    for (instance, message, _) in &taken {
        world.ack(*instance, message, false).await;
    }
    assert_eq!((left(&world), world.balancer.in_flight_count()), (3 * 256, 0));
    assert_eq!((world.fleet.not_taken.get(), world.fleet.managed_memory.get()), (0, 0));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn users_images_have_invokers_of_their_own() {
    let mut world = World::start().await;
    let _invokers = world.invokers(10, 512).await;
    for number in 0..20 {
        let managed = order(&format!("a{number}"), 128, 1);
        let blackbox = Order { partition: Partition::Blackbox, ..order(&format!("a{number}"), 128, 1) };
        assert_ne!(world.place(managed).await.0, 9);
        assert_eq!(world.place(blackbox).await.0, 9);
    }
    assert_eq!((world.fleet.managed_overload.get(), world.fleet.blackbox_overload.get()), (0, 16));
    assert_eq!(world.fleet.blackbox_memory.get(), 20 * 128);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn activations_that_share_a_container_pay_once() {
    let mut world = World::start().await;
    let _invokers = world.invokers(1, 512).await;
    let mut taken = Vec::new();
    for left in [256, 256, 256, 0] {
        taken.push(world.place(order("shared", 256, 3)).await);
        assert_eq!(world.balancer.left(0), Some(left));
    }
    // Another action does not fit, the same one does.
    taken.push(world.place(order("shared", 256, 3)).await);
    assert_eq!(world.fleet.managed_overload.get(), 0);
    taken.push(world.place(order("other", 256, 3)).await);
    assert_eq!((world.fleet.managed_overload.get(), world.balancer.left(0)), (1, Some(-256)));
    for (_, message, _) in &taken {
        world.ack(0, message, false).await;
    }
    assert_eq!((world.balancer.left(0), world.fleet.not_taken.get()), (Some(512), 0));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_controller_that_joins_takes_its_part_and_nothing_is_forgotten() {
    let mut world = World::start().await;
    let _invokers = world.invokers(1, 1024).await;
    let mut taken = Vec::new();
    for _ in 0..3 {
        taken.push(world.place(order("hello", 256, 1)).await);
    }
    assert_eq!(world.balancer.left(0), Some(256));
    for (controllers, left) in [(2, -256), (4, -512), (1_000, -640), (1, 256)] {
        world.controllers.send(controllers).unwrap();
        world.until(|world| world.balancer.left(0) == Some(left)).await;
    }
    for (_, message, _) in &taken {
        world.ack(0, message, false).await;
    }
    assert_eq!(world.balancer.left(0), Some(1024));
    // An invoker that comes later is shared out, too.
    world.controllers.send(2).unwrap();
    world.until(|world| world.balancer.left(0) == Some(512)).await;
    world.ping(invoker(1, 2048), true).await;
    assert_eq!(world.balancer.left(1), Some(1024));
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_nobody_takes_is_struck_out_at_once() {
    let mut world = World::start().await;
    assert!(matches!(world.refused(order("hello", 256, 1)).await, BalancerError::NoInvoker));
    let invokers = world.invokers(1, 512).await;
    invokers[0].falls_silent().await;
    // Its silence is not yet noticed, and its topic has no reader.
    assert!(matches!(world.refused(order("hello", 256, 1)).await, BalancerError::Refused(_)));
    let mut shared = order("hello", 256, 4);
    shared.message.blocking = false;
    assert!(matches!(world.refused(shared).await, BalancerError::Refused(_)));
    assert_eq!((world.balancer.left(0), world.balancer.in_flight_count()), (Some(512), 0));
    assert_eq!((world.fleet.not_taken.get(), world.fleet.managed_memory.get()), (0, 0));
    // It is back before its silence is noticed, and is still up.
    let _again = world.invoker(invoker(0, 512)).await;
    assert_eq!(world.place(order("hello", 256, 1)).await.0, 0);
    world.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_never_completed_is_given_up() {
    let mut world = World::start().await;
    let _invokers = world.invokers(1, 512).await;
    let begun = tokio::time::Instant::now();
    let (_, message, waiter) = world.place(order("hello", 256, 1)).await;
    // The standard limit of one minute twice, and one minute more.
    assert!(waiter.0.await.is_err());
    let waited = begun.elapsed();
    assert!((Duration::from_secs(180)..Duration::from_secs(182)).contains(&waited), "{waited:?}");
    assert_eq!((world.balancer.left(0), world.balancer.in_flight_count()), (Some(512), 0));
    assert_eq!(world.metrics.forced.get(), 1);
    // What comes late is counted, and frees nothing twice.
    world.ack(0, &message, true).await;
    assert_eq!((world.metrics.regular_after_forced.get(), world.metrics.regular.get()), (1, 0));
    assert_eq!((world.balancer.left(0), world.fleet.not_taken.get()), (Some(512), 0));
    world.stop().await;
}
