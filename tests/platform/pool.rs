//! The pool as a user sees it: stem cells, containers that die between two runs, and more work than room.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::stream::{self, StreamExt};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tests::client::Client;
use tests::docker::Instance;
use tests::fixtures::{self, ECHO, SLEEP};
use tests::namespace::{Isolation, Namespace, annotation};
use tests::processes;
use tests::server::{Options, Server};
use tests::wait;

/// For what the pool does by itself.
const SOON: Duration = Duration::from_secs(30);
/// Holds 176 MB for two seconds: too much for 128 MB, and not for 256.
const HOLD: &str = "function main() {
  const hold = [];
  for (let i = 0; i < 11; i++) hold.push(Buffer.alloc(16 << 20, 1));
  return new Promise(done => setTimeout(() => done({ blocks: hold.length }), 2000));
}";

/// What `/metrics` says: names with labels, and values.
async fn metrics(client: &Client) -> BTreeMap<String, u64> {
    let text = client.get("/metrics").await.expect(200).text();
    let number = |line: &str| {
        let (name, value) = line.rsplit_once(' ')?;
        Some((name.to_owned(), value.parse().ok()?))
    };
    text.lines().filter_map(number).collect()
}

async fn wait_for(client: &Client, name: &str, value: u64) {
    wait::until(&format!("{name} is {value}"), SOON, || async {
        (metrics(client).await.get(name) == Some(&value)).then_some(())
    })
    .await;
}

fn starts(metrics: &BTreeMap<String, u64>, state: &str) -> u64 {
    let name = format!("counter_invoker_containerStart_counter_total{{containerState=\"{state}\"}}");
    metrics.get(&name).copied().unwrap_or(0)
}

const PREWARMED: &str = "gauge_containerPool_prewarmCount_counter";
const CONTAINERS: &str = "gauge_containerPool_activeCount_counter";
const WAITING: &str = "gauge_containerPool_runBufferCount_counter";
const MEMORY: &str = "gauge_containerPool_activeSize_counter_bytes";

async fn with_stem_cells() -> (Server, Namespace) {
    let server = Server::start(Options { stem_cells: true, ..Options::default() }).await;
    let me = server.whisk().namespace().await;
    (server, me)
}

#[tokio::test]
async fn a_stem_cell_takes_the_first_run_of_an_action_and_is_replaced() {
    let (server, me) = with_stem_cells().await;
    let anonymous = server.whisk().anonymous();
    wait_for(&anonymous, PREWARMED, 2).await;
    let name = me.put_js("echo", ECHO).await;
    let record = me.record_of(&name, &json!({ "n": 1 })).await;
    assert_eq!(record["response"]["result"], json!({ "n": 1 }));
    assert!(annotation(&record, "initTime").is_some(), "it was initialized for this run: {record}");
    let record = me.record_of(&name, &json!({})).await;
    assert!(annotation(&record, "initTime").is_none(), "and is the action's from then on: {record}");
    let all = metrics(&anonymous).await;
    assert_eq!((starts(&all, "prewarmed"), starts(&all, "cold"), starts(&all, "warmed")), (1, 0, 1));
    wait_for(&anonymous, PREWARMED, 2).await;
    assert_eq!(metrics(&anonymous).await[CONTAINERS], 3);
    // Python has none.
    let python = me.put_python("echo", "def main(args): return args\n").await;
    me.result(&python, &json!({})).await;
    assert_eq!(starts(&metrics(&anonymous).await, "cold"), 1);
    server.stop().await;
}

#[tokio::test]
async fn a_stem_cell_is_made_as_small_as_its_action() {
    let (server, me) = with_stem_cells().await;
    let anonymous = server.whisk().anonymous();
    let hold = |memory: u64| {
        let mut body = fixtures::js(HOLD);
        body["limits"]["memory"] = json!(memory);
        body
    };
    let (small, large) = (me.create("small", &hold(128)).await, me.create("large", &hold(256)).await);
    wait_for(&anonymous, PREWARMED, 2).await;
    let record = me.record_of(&small, &json!({})).await;
    let error = "The action exhausted its memory and was aborted.";
    assert_eq!(record["response"]["result"], json!({ "error": error }), "{record}");
    wait_for(&anonymous, PREWARMED, 2).await;
    assert_eq!(me.result(&large, &json!({})).await, json!({ "blocks": 11 }));
    assert_eq!(starts(&metrics(&anonymous).await, "prewarmed"), 2);
    // Two wait, and what the small one had is given back.
    wait_for(&anonymous, PREWARMED, 2).await;
    wait_for(&anonymous, MEMORY, 3 * (256 << 20)).await;
    server.stop().await;
}

#[tokio::test]
async fn stem_cells_make_room_for_what_needs_it() {
    let options = Options { stem_cells: true, user_memory: "512m".to_owned(), ..Options::default() };
    let server = Server::start(options).await;
    let me = server.whisk().namespace().await;
    let anonymous = server.whisk().anonymous();
    wait_for(&anonymous, PREWARMED, 2).await;
    let mut body = fixtures::python("def main(args): return args\n");
    body["limits"]["memory"] = json!(512);
    let large = me.create("large", &body).await;
    assert_eq!(me.result(&large, &json!({ "n": 1 })).await, json!({ "n": 1 }));
    let all = metrics(&anonymous).await;
    assert_eq!((all[PREWARMED], all[CONTAINERS], starts(&all, "recreated")), (0, 1, 1));
    server.stop().await;
}

/// Where the action containers of a server are looked for.
struct Inside(Option<Instance>);

impl Inside {
    async fn of(me: &Namespace) -> Self {
        match me.isolation().await {
            Isolation::Containers(id) => Self(Some(Instance::of_container(&id).await)),
            Isolation::Processes => Self(None),
        }
    }

    /// Their processes, on this machine: the first of each container, or all.
    async fn processes(&self, server: &Server) -> Vec<i32> {
        let ids: Vec<i64> = match &self.0 {
            Some(instance) => instance.processes().await.into_values().collect(),
            None => {
                let all = processes::of_server(server.process(), server.home().folder());
                all.iter().map(|process| i64::from(process.id)).collect()
            }
        };
        ids.into_iter().filter_map(|id| i32::try_from(id).ok()).collect()
    }
}

/// Whether a process has ended with all its threads: what it held is closed by then.
fn is_dead(process: i32) -> bool {
    let threads = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    threads.into_iter().all(|thread| {
        let stat = std::fs::read_to_string(thread.path().join("stat")).unwrap_or_default();
        stat.rsplit_once(") ").is_none_or(|(_, rest)| rest.starts_with(['Z', 'X']))
    })
}

async fn kill(processes: &[i32]) {
    for process in processes {
        // Processes of one group end with the first.
        let _ = Pid::from_raw(*process).map(|id| kill_process(id, Signal::KILL));
    }
    wait::until("they are dead", SOON, || async { processes.iter().all(|id| is_dead(*id)).then_some(()) })
        .await;
}

#[tokio::test]
async fn stem_cells_that_die_are_replaced() {
    let (server, me) = with_stem_cells().await;
    let anonymous = server.whisk().anonymous();
    wait_for(&anonymous, PREWARMED, 2).await;
    let inside = Inside::of(&me).await;
    wait_for(&anonymous, PREWARMED, 2).await;
    kill(&inside.processes(&server).await).await;
    let name = me.put_js("echo", ECHO).await;
    assert_eq!(me.result(&name, &json!({ "n": 1 })).await, json!({ "n": 1 }), "none of the dead is used");
    wait_for(&anonymous, PREWARMED, 2).await;
    assert_eq!(me.result(&name, &json!({ "n": 2 })).await, json!({ "n": 2 }));
    server.stop().await;
}

#[tokio::test]
async fn a_warm_container_that_dies_between_two_runs_costs_its_action_nothing() {
    let server = Server::start(Options::default()).await;
    let me = server.whisk().namespace().await;
    let name = me.put_js("echo", ECHO).await;
    let inside = Inside::of(&me).await;
    for round in 0..3 {
        let record = me.record_of(&name, &json!({ "round": round })).await;
        assert_eq!(record["response"]["result"], json!({ "round": round }), "{record}");
        assert!(annotation(&record, "initTime").is_some(), "the one before is dead: {record}");
        kill(&inside.processes(&server).await).await;
    }
    assert_eq!(me.result(&name, &json!({ "round": 3 })).await, json!({ "round": 3 }));
    server.stop().await;
}

/// A server whose containers are paused at once.
async fn with_a_short_grace() -> (Server, Namespace) {
    let pause = ("CONFIG_whisk_containerProxy_timeouts_pauseGrace".to_owned(), "50ms".to_owned());
    let server = Server::start(Options { environment: vec![pause], ..Options::default() }).await;
    let me = server.whisk().namespace().await;
    (server, me)
}

/// Kills all once they are paused, and returns which. What is frozen dies only when it is thawed, by whoever wants to use
/// or to remove it.
async fn kill_paused(inside: &Inside, server: &Server) -> Vec<i32> {
    let all = inside.processes(server).await;
    wait::until("all are paused", SOON, || async { all.iter().all(|id| is_paused(*id)).then_some(()) }).await;
    for process in &all {
        let _ = Pid::from_raw(*process).map(|id| kill_process(id, Signal::KILL));
    }
    all
}

#[tokio::test]
async fn a_paused_container_that_dies_costs_its_action_nothing() {
    let (server, me) = with_a_short_grace().await;
    let name = me.put_js("echo", ECHO).await;
    let inside = Inside::of(&me).await;
    for round in 0..2 {
        assert_eq!(me.result(&name, &json!({ "round": round })).await, json!({ "round": round }));
        let all = kill_paused(&inside, &server).await;
        for process in &all {
            thaw(*process);
        }
        wait::until("they are dead", SOON, || async { all.iter().all(|id| is_dead(*id)).then_some(()) })
            .await;
    }
    assert_eq!(me.result(&name, &json!({ "round": 2 })).await, json!({ "round": 2 }));
    server.stop().await;
}

#[tokio::test]
async fn a_paused_container_that_is_killed_and_not_thawed_costs_its_action_nothing() {
    let (server, me) = with_a_short_grace().await;
    let name = me.put_js("echo", ECHO).await;
    let inside = Inside::of(&me).await;
    for round in 0..3 {
        assert_eq!(me.result(&name, &json!({ "round": round })).await, json!({ "round": round }));
        kill_paused(&inside, &server).await;
    }
    assert_eq!(me.result(&name, &json!({ "round": 3 })).await, json!({ "round": 3 }));
    server.stop().await;
}

/// The file in which the kernel freezes the group of a process, by either version of cgroups.
fn freezer(process: i32) -> Option<(std::path::PathBuf, &'static str, &'static str)> {
    let groups = std::fs::read_to_string(format!("/proc/{process}/cgroup")).ok()?;
    let path = |line: &str| line.rsplit(':').next().map(|path| path.trim_start_matches('/').to_owned());
    let of = |mark: &str| groups.lines().find(|line| line.contains(mark)).and_then(path);
    let (v1, v2) = (of(":freezer:"), of("0::"));
    if let Some(path) = v1 {
        return Some((format!("/sys/fs/cgroup/freezer/{path}/freezer.state").into(), "FROZEN", "THAWED"));
    }
    v2.map(|path| (format!("/sys/fs/cgroup/{path}/cgroup.freeze").into(), "1", "0"))
}

/// Whether a process is frozen with its group, or stopped.
fn is_paused(process: i32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    let stopped = stat.rsplit_once(") ").is_some_and(|(_, rest)| rest.starts_with('T'));
    let frozen = freezer(process).is_some_and(|(file, frozen, _)| {
        std::fs::read_to_string(file).is_ok_and(|text| text.trim() == frozen)
    });
    stopped || frozen || is_dead(process)
}

fn thaw(process: i32) {
    if let Some((file, _, thawed)) = freezer(process) {
        // One that is only stopped has no group of its own to be thawed.
        let _ = std::fs::write(file, thawed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_thirty_cold_actions_fails_none() {
    let server = Server::start(Options { stem_cells: true, ..Options::default() }).await;
    let me = server.whisk().namespace().await;
    let mut actions = Vec::new();
    for _ in 0..30 {
        actions.push(me.put_js("echo", ECHO).await);
    }
    let calls = actions.iter().enumerate().map(|(number, action)| {
        let me = &me;
        async move { (number, me.result(action, &json!({ "number": number })).await) }
    });
    for (number, result) in futures::future::join_all(calls).await {
        assert_eq!(result, json!({ "number": number }));
    }
    server.stop().await;
}

/// How many actions, and how often each is invoked in one round.
const ACTIONS: usize = 50;
const ROUNDS: usize = 2;
const IN_A_ROUND: usize = 10;
/// So many actions have their turn at once.
const AT_ONCE: usize = 12;

/// Adds one to `n`, in each language.
const INCREMENTS: [(&str, &str, Option<&str>); 6] = [
    ("nodejs:default", "const main = ({ n }) => ({ n: n + 1 });", None),
    ("python:default", "def main(args): return {'n': args['n'] + 1}\n", None),
    ("ruby:default", "def main(args)\n  { n: args['n'] + 1 }\nend\n", None),
    ("php:default", "<?php\nfunction main(array $args): array { return ['n' => $args['n'] + 1]; }\n", None),
    (
        "go:default",
        "package main\nfunc Main(args map[string]any) map[string]any {
        return map[string]any{\"n\": args[\"n\"].(float64) + 1}\n}\n",
        None,
    ),
    (
        "java:default",
        "import com.google.gson.JsonObject;
public class Increment {
    public static JsonObject main(JsonObject args) {
        JsonObject result = new JsonObject();
        result.addProperty(\"n\", args.get(\"n\").getAsInt() + 1);
        return result;
    }
}",
        Some("Increment"),
    ),
];

/// An action of one of the first so many languages.
fn increment(number: usize, languages: usize) -> Value {
    let (kind, code, main) = INCREMENTS[number % languages];
    let mut body = json!({ "exec": { "kind": kind, "code": code }, "limits": { "memory": 256 } });
    if let Some(main) = main {
        body["exec"]["main"] = json!(main);
    }
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_runs_of_fifty_actions_fit_into_sixteen_containers() {
    let idle = ("CONFIG_whisk_containerProxy_timeouts_idleContainer".to_owned(), "1s".to_owned());
    let pause = ("CONFIG_whisk_containerProxy_timeouts_pauseGrace".to_owned(), "1s".to_owned());
    let environment = vec![idle, pause];
    let options = Options { user_memory: "4g".to_owned(), environment, ..Options::default() };
    let server = Server::start(options).await;
    let me = server.whisk().namespace().await;
    let anonymous = server.whisk().anonymous();
    let inside = Inside::of(&me).await;
    // Without Docker there are two.
    let languages = if inside.0.is_some() { INCREMENTS.len() } else { 2 };
    let mut actions = Vec::new();
    for number in 0..ACTIONS {
        actions.push(me.create("increment", &increment(number, languages)).await);
    }
    for round in 0..ROUNDS {
        let turns = stream::iter(&actions).map(|action| {
            let me = &me;
            async move {
                for n in 0..IN_A_ROUND {
                    let n = round * IN_A_ROUND + n;
                    assert_eq!(me.result(action, &json!({ "n": n })).await, json!({ "n": n + 1 }));
                }
            }
        });
        turns.buffer_unordered(AT_ONCE).collect::<()>().await;
        let used = metrics(&anonymous).await[MEMORY];
        assert!(used <= 4 << 30, "{used} bytes are promised");
    }
    // One more told where it runs.
    me.wait_for_activation_count((ACTIONS * ROUNDS * IN_A_ROUND) as u64 + 1).await;
    // All of them are idle soon, and gone.
    for name in [CONTAINERS, MEMORY, WAITING] {
        wait_for(&anonymous, name, 0).await;
    }
    if let Inside(Some(instance)) = &inside {
        assert!(instance.containers().await.is_empty(), "containers are left");
    }
    assert!(inside.processes(&server).await.is_empty(), "processes are left");
    let slept = me.put_js("sleep", SLEEP).await;
    assert_eq!(me.result(&slept, &json!({ "ms": 1 })).await, json!({ "slept": 1 }));
    server.stop().await;
}
