//! Which invoker runs what, and what happens as invokers come and go under load.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;
use tests::deployment::{Node, Role};
use tests::fixtures::{SLEEP, WHERE};
use tests::namespace::Namespace;
use tests::server::Options;
use tests::wait;
use tokio::task::JoinSet;

use crate::world::World;

/// As many as run at once in the load; each of 128 MB, so that they fit one invoker.
const CLIENTS: usize = 4;

/// Until an invoker that was killed counts as down and what it had is given up, and much more.
const TAKEN_OVER: Duration = Duration::from_secs(90);

/// With these, what an invoker never read counts as lost after 22 s, not after minutes.
const IMPATIENT: &str = "[whisk.time-limit]
std = \"10 s\"
[whisk.loadbalancer]
timeout-addon = \"2 s\"
";

/// How many activations each invoker has had, by its own count.
async fn taken(invokers: &[Node]) -> Vec<u64> {
    let mut all = Vec::new();
    for invoker in invokers {
        let text = invoker.client().get("/metrics").await.expect(200).text();
        let ended = text.lines().filter(|line| line.starts_with("oxwhisk_invoker_activations_total"));
        all.push(ended.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum());
    }
    all
}

/// Invokes all the time until it is told to stop; every request must be accepted or refused as a whole.
struct Load {
    calls: JoinSet<Vec<Result<String, String>>>,
    stop: tokio::sync::watch::Sender<bool>,
}

impl Load {
    fn start(me: &[Namespace], name: &str) -> Self {
        let (stop, stopped) = tokio::sync::watch::channel(false);
        let mut calls = JoinSet::new();
        for client in 0..CLIENTS {
            let (me, name, stopped) = (me[client % me.len()].clone(), name.to_owned(), stopped.clone());
            calls.spawn(async move {
                let mut answers = Vec::new();
                while !*stopped.borrow() {
                    let path = format!("actions/{name}?blocking={}", answers.len() % 2 == 0);
                    match me.post(path, &json!({ "ms": 50 })).send().await {
                        // Failed or not: with an id, it was accepted.
                        Ok(answer) => answers.push(match answer.json()["activationId"].as_str() {
                            Some(_) => Ok(answer.activation_id()),
                            None => Err(answer.story()),
                        }),
                        // Cut off: no id was given.
                        Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
                    }
                }
                answers
            });
        }
        Self { calls, stop }
    }

    /// Stops it. Returns the ids of what was accepted, and what was refused.
    async fn stop(mut self) -> (Vec<String>, Vec<String>) {
        self.stop.send_replace(true);
        let (mut accepted, mut refused) = (Vec::new(), Vec::new());
        while let Some(answers) = self.calls.join_next().await {
            for answer in answers.expect("a client does not panic") {
                match answer {
                    Ok(id) => accepted.push(id),
                    Err(story) => refused.push(story),
                }
            }
        }
        (accepted, refused)
    }
}

/// Demands a record of success for every id.
async fn all_succeeded(me: &Namespace, ids: &[String]) {
    for id in ids {
        let record = me.wait_for_activation_within(id, TAKEN_OVER).await;
        assert_eq!(record["response"]["status"], "success", "{record}");
    }
}

async fn sleeper(me: &Namespace) -> String {
    me.put_js("sleeper", SLEEP).await
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_are_spread_and_each_stays_at_its_home() {
    let world = World::start().await;
    let [one, other] = &world.namespace().await[..] else { panic!("there are two controllers") };
    let mut homes: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for _ in 0..8 {
        let name = one.put_js("where", WHERE).await;
        for me in [one, other, one] {
            let place = me.result(&name, &json!({})).await;
            homes.entry(name.clone()).or_default().insert(place["hostname"].to_string());
        }
    }
    // Both controllers find the same warm container.
    for (name, containers) in &homes {
        assert_eq!(containers.len(), 1, "{name} ran in {containers:?}");
    }
    let taken = taken(&world.invokers).await;
    assert!(taken.iter().filter(|count| **count > 0).count() > 1, "all went to one: {taken:?}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn more_than_one_invoker_holds_goes_to_the_next() {
    let world = World::start().await;
    let me = &world.namespace().await[0];
    let name = sleeper(me).await;
    let (all, ms) = (9, json!({ "ms": 4_000 }));
    let calls = futures::future::join_all((0..all).map(|_| me.invoke(&name, &ms)));
    for answer in calls.await {
        answer.expect(200);
    }
    let taken = taken(&world.invokers).await;
    assert!(taken.iter().filter(|count| **count > 1).count() > 1, "{taken:?}");
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rolling_restart_fails_nothing_that_was_accepted() {
    let mut world = World::start().await;
    let namespaces = world.namespace().await;
    let name = sleeper(&namespaces[0]).await;
    namespaces[0].result(&name, &json!({ "ms": 1 })).await;
    let load = Load::start(&namespaces, &name);
    for _ in 0..3 {
        let invoker = world.invokers.remove(0);
        invoker.stop().await;
        world.wait_for_invokers(2).await;
        let fresh = world.site.start(Role::Invoker).await;
        world.invokers.push(fresh);
        world.wait_for_invokers(3).await;
    }
    for _ in 0..2 {
        // At its own port, so that its clients find it again.
        let controller = world.controllers.remove(0);
        let port = controller.port();
        controller.stop().await;
        let mut fresh = world.site.spawn_on(Role::Controller, port, &[]);
        fresh.wait_until_ready().await;
        fresh.wait_for_invokers(3).await;
        world.controllers.push(fresh);
    }
    let (accepted, _) = load.stop().await;
    assert!(accepted.len() > 100, "only {} were accepted", accepted.len());
    all_succeeded(&namespaces[0], &accepted).await;
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn others_take_over_from_an_invoker_that_is_killed() {
    let config = Some(IMPATIENT.to_owned());
    let mut world =
        World::with(Options { user_memory: "512m".to_owned(), config, ..Options::default() }).await;
    let namespaces = world.namespace().await;
    let me = &namespaces[0];
    let name = sleeper(me).await;
    me.result(&name, &json!({ "ms": 1 })).await;
    let load = Load::start(&namespaces, &name);
    let home = wait::until("somebody is at work", TAKEN_OVER, || async {
        taken(&world.invokers).await.iter().position(|count| *count > 20)
    })
    .await;
    world.invokers.remove(home).kill().await;
    world.wait_for_invokers(2).await;
    let before: u64 = taken(&world.invokers).await.iter().sum();
    wait::until("the others work", TAKEN_OVER, || async {
        (taken(&world.invokers).await.iter().sum::<u64>() > before + 20).then_some(())
    })
    .await;
    let (accepted, refused) = load.stop().await;
    assert!(refused.is_empty(), "{refused:?}");
    // It does not come back; the others finish what its journal holds, and what it never read is given up.
    for id in &accepted {
        me.wait_for_activation_within(id, TAKEN_OVER).await;
    }
    let late = world.site.start(Role::Invoker).await;
    world.invokers.push(late);
    world.wait_for_invokers(3).await;
    world.stop().await;
}
