//! SIGKILL of the Docker daemon under load, and another start: what was accepted has a record, and the server
//! heals by itself. The daemon is one of the test's own.

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use bollard::query_parameters::ListContainersOptionsBuilder;
use serde_json::{Value, json};
use tests::answer::Answer;
use tests::docker::Instance;
use tests::dockerd::Dockerd;
use tests::fixtures::{ECHO, SLEEP};
use tests::namespace::{Isolation, Namespace};
use tests::server::{Options, Server};
use tests::wait;
use tokio::task::JoinSet;

const IMAGE: &str = "oxwhisk/action-nodejs-v20:latest";
const ACTIONS: usize = 6;
const CLIENTS: usize = 8;
/// So many successes before the daemon is killed, and after it is back.
const SUCCESSES: usize = 10;
/// A client that is refused waits before it asks again.
const BACK_OFF: Duration = Duration::from_millis(200);
/// For each step of the story.
const STEP: Duration = Duration::from_secs(60);

/// Clients that invoke one action after the other.
struct Load {
    stop: Arc<AtomicBool>,
    successes: Arc<AtomicUsize>,
    clients: JoinSet<Vec<Answer>>,
}

impl Load {
    fn start(me: &Namespace, actions: &[String]) -> Self {
        let (stop, successes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut clients = JoinSet::new();
        for client in 0..CLIENTS {
            let (me, actions, stop, successes) =
                (me.clone(), actions.to_vec(), stop.clone(), successes.clone());
            clients.spawn(async move {
                let mut answers = Vec::new();
                for number in client.. {
                    if stop.load(Ordering::SeqCst) {
                        break;
                    }
                    let (action, blocking) = (&actions[number % ACTIONS], number % 3 != 0);
                    let call = me.post(format!("actions/{action}?blocking={blocking}"), &json!({ "ms": 20 }));
                    let answer = call.send().await.expect("the server itself is never gone");
                    successes.fetch_add(usize::from(answer.status == 200), Ordering::SeqCst);
                    if answer.status == 503 {
                        tokio::time::sleep(BACK_OFF).await;
                    }
                    answers.push(answer);
                }
                answers
            });
        }
        Self { stop, successes, clients }
    }

    /// Waits for so many further successes.
    async fn succeeds(&self, what: &str) {
        let before = self.successes.load(Ordering::SeqCst);
        wait::until(what, STEP, || async {
            (self.successes.load(Ordering::SeqCst) >= before + SUCCESSES).then_some(())
        })
        .await;
    }

    async fn end(self) -> Vec<Answer> {
        self.stop.store(true, Ordering::SeqCst);
        self.clients.join_all().await.into_iter().flatten().collect()
    }
}

/// Takes the jumps to our chains away, as whoever restarts a firewall does.
fn cut_the_firewall(rules: &[String]) {
    for rule in rules.iter().filter_map(|rule| rule.strip_prefix("-A ")) {
        if rule.starts_with("INPUT ") || rule.starts_with("DOCKER-USER ") || rule.starts_with("FORWARD ") {
            let output = Command::new("iptables").arg("-D").args(rule.split(' ')).output();
            assert!(output.is_ok_and(|output| output.status.success()), "{rule} cannot be deleted");
        }
    }
}

async fn container_count(daemon: &Dockerd) -> usize {
    let client = daemon.client().negotiate_version().await.expect("the daemon answers");
    let all = ListContainersOptionsBuilder::new().all(true).build();
    client.list_containers(Some(all)).await.expect("the daemon answers").len()
}

fn gauge(metrics: &str, name: &str) -> Option<u64> {
    metrics.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_docker_daemon_costs_time_and_no_record() {
    let Some(mut daemon) = Dockerd::start().await else { return };
    daemon.load(IMAGE).await;
    let options = Options {
        container_runtime: "docker".to_owned(),
        environment: vec![("DOCKER_HOST".to_owned(), daemon.host())],
        stem_cells: true,
        ..Options::default()
    };
    let server = Server::start(options).await;
    let me = server.whisk().namespace().await;
    let Isolation::Containers(id) = me.isolation().await else { panic!("it runs actions in containers") };
    let instance = Instance::on(daemon.client(), &id).await;
    let rules = || async { instance.firewall(&instance.networks().await) };
    let mut before = rules().await;
    before.sort();

    let mut actions = Vec::new();
    for _ in 0..ACTIONS {
        actions.push(me.put_js("sleep", SLEEP).await);
    }
    let inside = me.put_js("inside", SLEEP).await;
    let load = Load::start(&me, &actions);
    load.succeeds("the daemon works").await;
    // Some are inside user code when it dies, and while it is away.
    let inside =
        [me.fire(&inside, &json!({ "ms": 3_000 })).await, me.fire(&inside, &json!({ "ms": 1 })).await];
    daemon.kill().await;
    let says = |text: &'static str| {
        let server = &server;
        wait::until(text, STEP, move || async move { server.output().contains(text).then_some(()) })
    };
    says("Docker does not answer").await;
    cut_the_firewall(&before);
    daemon.start_again().await;
    says("Docker answers again").await;
    load.succeeds("the server heals by itself").await;
    let mut after = rules().await;
    after.sort();
    assert_eq!(after, before, "the firewall is as it was");

    let answers = load.end().await;
    let (mut accepted, mut refused) = (Vec::new(), 0);
    for answer in answers {
        match answer.status {
            503 => refused += 1,
            _ => accepted.push(answer.expect_any(&[200, 202, 500, 502])),
        }
    }
    assert!(accepted.len() >= 2 * SUCCESSES, "{} accepted, {refused} refused", accepted.len());
    for answer in accepted {
        let record = me.wait_for_activation_within(&answer.activation_id(), STEP).await;
        if answer.status == 200 {
            assert_eq!(record["response"], answer.json()["response"], "a record agrees with the answer");
        }
        is_an_outcome(&record);
    }
    for id in inside {
        is_an_outcome(&me.wait_for_activation_within(&id, STEP).await);
    }

    // It says so once, and its books agree with the daemon's.
    assert_eq!(server.output().matches("Docker does not answer").count(), 1, "{}", server.story());
    let echo = me.put_js("echo", ECHO).await;
    assert_eq!(me.result(&echo, &json!({ "still": "here" })).await, json!({ "still": "here" }));
    let anonymous = server.whisk().anonymous();
    wait::until("each container is one of the pool's", STEP, || async {
        let metrics = anonymous.get("/metrics").await.expect(200).text();
        let known = gauge(&metrics, "gauge_containerPool_activeCount_counter ")?;
        (container_count(&daemon).await as u64 == known).then_some(())
    })
    .await;
    server.stop().await;
    assert_eq!(container_count(&daemon).await, 0, "containers are left");
    daemon.stop().await;
}

/// It ran, or it is told that the platform, or its container, was the reason.
#[track_caller]
fn is_an_outcome(record: &Value) {
    let status = record["response"]["status"].as_str().unwrap_or_default();
    let outcomes = ["success", "whisk internal error", "action developer error"];
    assert!(outcomes.contains(&status), "{record}");
}
