//! The distributed form: each of its processes in turn is killed under load and started again three seconds
//! later, and every activation whose id a client was given has a record that agrees with what was answered.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use tests::collector::{Collector, Run, TELLING};
use tests::deployment::{Node, Role, Site};
use tests::fixtures;
use tests::namespace::Namespace;
use tests::server::Options;
use tests::services::kafka::Kafka;
use tests::services::postgres::Postgres;
use tests::wait;
use tests::whisk::Whisk;
use tokio::sync::Mutex;
use tokio::task::JoinSet;
use tokio::time::Instant;

/// Invocations a second, and for how long.
const RATE: u64 = 50;
const LOAD: Duration = Duration::from_secs(30);
/// The kill comes so long after the beginning, at the earliest.
const BEFORE: Duration = Duration::from_secs(8);
/// How long an activation is inside user code, and how many must be at the kill.
const RUN_MS: u64 = 600;
const INSIDE: usize = 20;
/// So long is what was killed away.
const AWAY: Duration = Duration::from_secs(3);
/// The time limit of the action: long enough for a cold start on a machine that is busy.
const LIMIT: Duration = Duration::from_secs(30);
/// Every record must be there so long after what was killed is back.
const RECORDED: Duration = Duration::from_secs(60).saturating_add(LIMIT);
/// Between two looks at a condition that comes soon.
const SOON: Duration = Duration::from_secs(60);

/// Several activations share a container, so that two cores are enough for the load.
const CONFIG: &str = "[whisk.concurrency-limit]\nmax = 100\n";

/// What is killed.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Victim {
    Controller,
    Invoker,
    Kafka,
    Postgres,
}

/// What came of one request.
enum Called {
    /// A record, or what is to become one.
    Accepted { id: String, answer: Option<Value> },
    /// No id was given.
    Refused(u16),
    /// The connection broke.
    CutOff,
}

struct World {
    kafka: Kafka,
    postgres: Postgres,
    site: Site,
    collector: Collector,
    controller: Option<Node>,
    invoker: Option<Node>,
    controller_port: u16,
}

impl World {
    async fn start() -> Self {
        let (kafka, postgres) = tokio::join!(Kafka::start(), Postgres::start());
        let collector = Collector::start().await;
        let config = Some(CONFIG.to_owned());
        let options = Options { user_memory: "2g".to_owned(), config, ..Options::default() };
        let site = Site::on(kafka.hosts(), postgres.database().await, options);
        let mut world = Self {
            kafka,
            postgres,
            site,
            collector,
            controller: None,
            invoker: None,
            controller_port: tests::place::free_port(),
        };
        world.start_controller().await;
        world.start_invoker().await;
        world.controller().wait_for_invokers(1).await;
        world
    }

    fn controller(&self) -> &Node {
        self.controller.as_ref().expect("it runs")
    }

    async fn start_controller(&mut self) {
        let mut node = self.site.spawn_on(Role::Controller, self.controller_port, &[]);
        node.wait_until_ready().await;
        self.controller = Some(node);
    }

    async fn start_invoker(&mut self) {
        let port = self.collector.port().to_string();
        let mut node = self.site.spawn_on(Role::Invoker, tests::place::free_port(), &["--api-port", &port]);
        node.wait_until_ready().await;
        self.invoker = Some(node);
    }

    /// Kills it, and starts it again after a while.
    async fn strike(&mut self, victim: Victim) {
        match victim {
            Victim::Controller => self.controller.take().expect("it runs").kill().await,
            Victim::Invoker => self.invoker.take().expect("it runs").kill().await,
            Victim::Kafka => self.kafka.kill().await,
            Victim::Postgres => self.postgres.kill().await,
        }
        tokio::time::sleep(AWAY).await;
        match victim {
            Victim::Controller => self.start_controller().await,
            Victim::Invoker => self.start_invoker().await,
            Victim::Kafka => self.kafka.start_again().await,
            Victim::Postgres => self.postgres.start_again().await,
        }
    }

    async fn stop(mut self) {
        self.invoker.take().expect("it runs").stop().await;
        self.controller.take().expect("it runs").stop().await;
    }
}

/// Sends requests at their times, whatever becomes of those before.
async fn load(me: Namespace, name: String) -> BTreeMap<u64, Called> {
    let mut calls = JoinSet::new();
    let mut ticks = tokio::time::interval(Duration::from_millis(1000 / RATE));
    for number in 0..RATE * LOAD.as_secs() {
        ticks.tick().await;
        let is_blocking = number % 2 == 0;
        let path = format!("actions/{name}?blocking={is_blocking}");
        let call = me.post(path, &json!({ "number": number, "ms": RUN_MS }));
        calls.spawn(async move { (number, call.send().await) });
    }
    let mut all = BTreeMap::new();
    while let Some(call) = calls.join_next().await {
        let (number, answer) = call.expect("a call does not panic");
        let called = match answer {
            Ok(answer) if answer.status == 202 => {
                Called::Accepted { id: answer.activation_id(), answer: None }
            }
            Ok(answer) if answer.header("x-openwhisk-activation-id").is_some() => {
                let record = answer.json();
                Called::Accepted { id: answer.activation_id(), answer: Some(record) }
            }
            Ok(answer) => Called::Refused(answer.status),
            Err(_) => Called::CutOff,
        };
        all.insert(number, called);
    }
    all
}

/// One at a time: the machine is small, and what is measured in seconds must not wait for others.
static TURN: Mutex<()> = Mutex::const_new(());

async fn survives(victim: Victim) {
    let _turn = TURN.lock().await;
    let mut world = World::start().await;
    let whisk = Whisk::of_our_own(world.controller().url(), world.site.admin());
    let me = whisk.namespace().await;
    let mut body = fixtures::js(TELLING);
    body["limits"]["timeout"] = json!(LIMIT.as_millis() as u64);
    body["limits"]["concurrency"] = json!(10);
    let name = me.create("telling", &body).await;
    me.result(&name, &json!({ "number": 1_000_000, "ms": 1 })).await;

    let begun = Instant::now();
    #[expect(clippy::disallowed_methods, reason = "a test's task ends with its runtime")]
    let loading = tokio::spawn(load(me.clone(), name.clone()));
    tokio::time::sleep_until(begun + BEFORE).await;
    let proven = wait::until("enough are inside user code", SOON, || async {
        let inside = world.collector.inside();
        (inside.len() >= INSIDE).then_some(inside)
    })
    .await;
    world.strike(victim).await;
    let back = Instant::now();
    let called = loading.await.expect("the load does not panic");

    // It serves again, without help.
    wait::until("an invocation succeeds", SOON, || async {
        let call = me.post(format!("actions/{name}?blocking=true"), &json!({ "number": 2_000_000, "ms": 1 }));
        call.send().await.is_ok_and(|answer| answer.status == 200).then_some(())
    })
    .await;

    let (mut records, mut refused, mut cut_off) = (Vec::new(), BTreeMap::<u16, usize>::new(), 0);
    for (number, called) in &called {
        let (id, answer) = match called {
            Called::Accepted { id, answer } => (id, answer),
            Called::Refused(status) => {
                *refused.entry(*status).or_default() += 1;
                continue;
            }
            Called::CutOff => {
                cut_off += 1;
                continue;
            }
        };
        let left = (back + RECORDED).saturating_duration_since(Instant::now()).max(Duration::from_secs(5));
        let record = me.wait_for_activation_within(id, left).await;
        if let Some(answer) = answer {
            assert_eq!(record["response"], answer["response"], "a record agrees with the answer: {record}");
        }
        records.push((*number, record));
    }
    // What the actions said themselves, now that all of them have ended.
    let runs = world.collector.runs();
    for (number, record) in &records {
        let run = runs.get(number).copied().unwrap_or_default();
        match record["response"]["status"].as_str() {
            Some("success") => assert_eq!(run, Run { begun: 1, ended: 1 }, "{number}: {record}"),
            // It was cut off, or never begun.
            Some("whisk internal error") if victim == Victim::Invoker => assert!(run.begun <= 1, "{record}"),
            _ => panic!("nothing happened to user code: {record}"),
        }
    }
    let accepted = records.len();
    let twice: Vec<_> = runs.iter().filter(|(number, run)| run.begun > 1 && **number < 1_000_000).collect();
    assert!(twice.is_empty(), "these ran twice: {twice:?}");
    for number in &proven {
        assert_eq!(runs[number].begun, 1, "{number} was inside user code");
    }
    assert!(accepted > 500, "{accepted} accepted, {refused:?} refused, {cut_off} cut off");
    assert!(refused.keys().all(|status| *status == 503), "{refused:?}");
    world.stop().await;
}

/// A controller that is killed in the midst of a sequence: the next one gives it a record with what it had begun,
/// and what it had begun runs to its end.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_controller_leaves_records_of_its_sequences() {
    let _turn = TURN.lock().await;
    let mut world = World::start().await;
    let whisk = Whisk::of_our_own(world.controller().url(), world.site.admin());
    let me = whisk.namespace().await;
    let mut body = fixtures::js(TELLING);
    body["limits"]["timeout"] = json!(LIMIT.as_millis() as u64);
    let telling = me.create("telling", &body).await;
    let echo = me.put_js("echo", fixtures::ECHO).await;
    let components = [&echo, &telling, &echo].map(|name| format!("/_/{name}"));
    let inner = me.create("inner", &fixtures::sequence(&components)).await;
    let outer =
        me.create("outer", &fixtures::sequence(&[format!("/_/{inner}"), components[0].clone()])).await;
    let alone = me.fire(&inner, &json!({ "number": 1, "ms": 10_000 })).await;
    let nesting = me.fire(&outer, &json!({ "number": 2, "ms": 10_000 })).await;
    wait::until("both are inside user code", SOON, || async {
        (world.collector.inside().len() == 2).then_some(())
    })
    .await;
    world.strike(Victim::Controller).await;

    let outer = me.wait_for_activation_within(&nesting, RECORDED).await;
    let nested = outer["logs"][0].as_str().expect("the nested sequence had begun").to_owned();
    assert_eq!(outer["response"]["status"], "whisk internal error", "{outer}");
    for id in [alone, nested] {
        let record = me.wait_for_activation_within(&id, RECORDED).await;
        assert_eq!(record["response"]["status"], "whisk internal error", "{record}");
        let parts = record["logs"].as_array().expect("logs are a list");
        assert_eq!(parts.len(), 2, "{record}");
        for part in parts {
            let part = part.as_str().expect("an id is text");
            let part = me.wait_for_activation_within(part, RECORDED).await;
            assert_eq!((&part["cause"], &part["response"]["status"]), (&json!(id), &json!("success")));
        }
    }
    world.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_controller_loses_nothing_that_was_accepted() {
    survives(Victim::Controller).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_invoker_loses_nothing_that_was_accepted() {
    survives(Victim::Invoker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_kafka_loses_nothing_that_was_accepted() {
    survives(Victim::Kafka).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_postgresql_loses_nothing_that_was_accepted() {
    survives(Victim::Postgres).await;
}
