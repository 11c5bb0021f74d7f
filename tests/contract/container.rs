//! The contract of `ContainerRuntime`: the same life of a container with Docker and with processes, and
//! what only Docker promises (isolation, foreign images).
//!
//! Docker's half needs a daemon and the runtime images. Without them it says so and is left out, unless
//! `OXWHISK_TEST_DOCKER=required`.
#![expect(clippy::unwrap_used, reason = "what fails in a test fails the test")]

mod container_docker;
mod container_site;

use std::time::Duration;

use common::entity::id::ActivationId;
use common::trace::Trace;
use container_site::{LIMITS, LONG, Live, NODEJS, Site};
use invoker::container::client::CallError;
use invoker::container::{ContainerSpec, EndCause};
use invoker::logs::{CollectRequest, Ending};
use serde_json::json;

/// Declares each behaviour as a test against each implementation.
macro_rules! behaviours {
    ($($name:ident),* $(,)?) => {
        mod docker {
            use super::Site;
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                if let Some(site) = Site::docker().await {
                    super::$name(&site).await;
                    site.close().await;
                }
            })*
        }
        mod process {
            use super::Site;
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $name() {
                let site = Site::process();
                super::$name(&site).await;
                site.close().await;
            })*
        }
    };
}

behaviours![
    a_container_lives_its_life,
    a_suspended_container_stands_still,
    memory_is_limited,
    memory_can_be_taken_away,
    what_hangs_is_still_running,
    two_containers_share_nothing,
    a_flood_of_output_stops_nothing,
    an_earlier_runs_containers_are_removed,
    many_are_made_at_once,
    actions_know_where_the_api_is,
    node_serves_concurrent_runs_itself,
];

const ECHO: &str = "
import sys
def main(args):
    word = args.get('word', '')
    if word:
        print('out ' + word)
        print('err ' + word, file=sys.stderr)
    return {'word': word}
";

async fn a_container_lives_its_life(site: &Site) {
    let live = site.live("life", 256, ECHO).await;
    assert_eq!(live.container.name(), site.name("life"));
    assert!(!live.container.id().is_empty());
    for word in ["one", "two", "", "three"] {
        let answer = live.run(json!({ "word": word })).await;
        assert_eq!(answer.status, 200);
        assert_eq!(
            serde_json::from_slice::<serde_json::Value>(&answer.body).unwrap(),
            json!({ "word": word })
        );
        let logs = live.logs(&answer).await;
        let mut texts: Vec<_> = logs.lines.iter().map(|line| line[31..].to_owned()).collect();
        texts.sort();
        match word {
            "" => assert_eq!(texts, Vec::<String>::new()),
            word => assert_eq!(texts, [format!("stderr: err {word}"), format!("stdout: out {word}")]),
        }
        assert!(!logs.failed && !logs.truncated, "{logs:?}");
    }
    assert_eq!(live.container.cause_of_end(Duration::from_millis(50)).await, EndCause::Running);
    let address = live.container.address();
    live.destroy().await;
    let reached = tokio::time::timeout(Duration::from_secs(1), tokio::net::TcpStream::connect(address)).await;
    assert!(!matches!(reached, Ok(Ok(_))), "something still listens");
}

async fn a_suspended_container_stands_still(site: &Site) {
    let live = site.live("still", 256, ECHO).await;
    for _ in 0..3 {
        assert_eq!(live.run(json!({ "word": "" })).await.status, 200);
        live.client.close();
        live.container.suspend().await.unwrap();
        let answer = live
            .client
            .run(Live::body(json!({})), Duration::from_millis(300), LIMITS, &Trace::default())
            .await;
        assert!(matches!(answer, Err(CallError::Timeout)), "{answer:?}");
        live.container.resume().await.unwrap();
        assert_eq!(live.run(json!({ "word": "" })).await.status, 200);
    }
    // Removal must not wait for somebody to resume it.
    live.container.suspend().await.unwrap();
    live.destroy().await;
}

async fn memory_is_limited(site: &Site) {
    let live = site
        .live(
            "memory",
            128,
            "import time\ndef main(args):\n  x = bytearray(600 << 20)\n  time.sleep(60)\n  return {}\n",
        )
        .await;
    let answer = live.client.run(Live::body(json!({})), LONG, LIMITS, &Trace::default()).await;
    assert!(!matches!(&answer, Ok(answer) if answer.status == 200), "{answer:?}");
    assert_eq!(live.container.cause_of_end(LONG).await, EndCause::OutOfMemory);
    live.destroy().await;
}

async fn memory_can_be_taken_away(site: &Site) {
    let code = "import time\ndef main(args):\n  x = bytearray(160 << 20)\n  time.sleep(1)\n  return {}\n";
    let live = site.live("smaller", 256, code).await;
    assert_eq!(live.run(json!({})).await.status, 200);
    live.container.shrink(128, 64).await.unwrap();
    let answer = live.client.run(Live::body(json!({})), LONG, LIMITS, &Trace::default()).await;
    assert!(!matches!(&answer, Ok(answer) if answer.status == 200), "{answer:?}");
    assert_eq!(live.container.cause_of_end(LONG).await, EndCause::OutOfMemory);
    live.destroy().await;
}

async fn what_hangs_is_still_running(site: &Site) {
    let live =
        site.live("hangs", 256, "import time\ndef main(args):\n  time.sleep(600)\n  return {}\n").await;
    let answer =
        live.client.run(Live::body(json!({})), Duration::from_millis(200), LIMITS, &Trace::default()).await;
    assert!(matches!(answer, Err(CallError::Timeout)), "{answer:?}");
    assert_eq!(live.container.cause_of_end(Duration::from_millis(100)).await, EndCause::Running);
    live.destroy().await;
}

async fn two_containers_share_nothing(site: &Site) {
    let code = "
import os
def main(args):
    path = os.path.join(os.environ['HOME'], 'mine')
    found = os.path.exists(path)
    open(path, 'w').close()
    return {'found': found, 'stdin': os.read(0, 1) == b'' if args.get('read') else None}
";
    let [one, two] = [site.live("one", 256, code).await, site.live("two", 256, code).await];
    assert_ne!(one.container.id(), two.container.id());
    assert_ne!(one.container.address(), two.container.address());
    for (live, found) in [(&one, false), (&two, false), (&one, true)] {
        let answer = live.run(json!({})).await;
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body["found"], json!(found));
    }
    one.destroy().await;
    assert_eq!(two.run(json!({})).await.status, 200);
    two.destroy().await;
}

async fn a_flood_of_output_stops_nothing(site: &Site) {
    let code = "
import sys
def main(args):
    for i in range(args['lines']):
        print('x' * 99)
    return {}
";
    let live = site.live("flood", 256, code).await;
    live.logs.hold(1 << 20);
    let answer = live.run(json!({ "lines": 200_000 })).await;
    assert_eq!(answer.status, 200);
    let request = CollectRequest {
        activation: ActivationId::generate(),
        limit_bytes: 1 << 20,
        ending: live.logs.ending(answer.log_bytes),
        developer_error: false,
    };
    let logs = live.logs.collect(request).await;
    assert!(logs.truncated && !logs.failed);
    assert!(logs.lines.len() > 5_000 && logs.lines.len() < 9_000, "{}", logs.lines.len());
    let answer = live.run(json!({ "lines": 3 })).await;
    let logs = live.logs(&answer).await;
    assert_eq!((logs.lines.len(), logs.truncated, logs.failed), (3, false, false));
    live.logs.discard(ActivationId::generate(), Ending::Settled);
    live.destroy().await;
}

async fn an_earlier_runs_containers_are_removed(site: &Site) {
    let lives = [site.live("debris1", 256, ECHO).await, site.live("debris2", 256, ECHO).await];
    lives[0].container.suspend().await.unwrap();
    let other = site.another().await;
    assert_eq!(other.runtime.remove_run("00000000").await.unwrap(), 0);
    assert_eq!(other.runtime.remove_run(&site.run).await.unwrap(), 2);
    assert_eq!(other.runtime.remove_run(&site.run).await.unwrap(), 0);
    for live in lives {
        // (Its address may be somebody else's by now.)
        live.logs.ended().await;
        assert!(matches!(live.container.cause_of_end(LONG).await, EndCause::Exited(_)));
        live.destroy().await;
    }
    other.close().await;
}

async fn many_are_made_at_once(site: &Site) {
    let creations = (0..12).map(|n| site.runtime.create(site.spec(&format!("many{n}"), 64)));
    let containers = futures::future::join_all(creations).await;
    let mut addresses: Vec<_> = containers.iter().map(|made| made.as_ref().unwrap().address()).collect();
    addresses.sort();
    addresses.dedup();
    assert_eq!(addresses.len(), 12);
    // Half of them are left to `close`, and some of those suspended.
    for (n, container) in containers.into_iter().enumerate() {
        let container = container.unwrap();
        match n % 4 {
            0 | 1 => container.destroy().await.unwrap(),
            2 => container.suspend().await.unwrap(),
            _ => {}
        }
    }
}

async fn actions_know_where_the_api_is(site: &Site) {
    let code = "import os\ndef main(args):\n  return {'host': os.environ.get('__OW_API_HOST')}\n";
    let live = site.live("env", 256, code).await;
    let answer = live.run(json!({})).await;
    let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["host"], json!(site.runtime.api_host()));
    live.destroy().await;
}

async fn node_serves_concurrent_runs_itself(site: &Site) {
    let code = "async function main(args) {
        console.log(args.word);
        await new Promise(done => setTimeout(done, 200));
        return {word: args.word};
    }";
    let mut spec = ContainerSpec { kind: "nodejs:20".into(), image: NODEJS.into(), ..site.spec("node", 256) };
    spec.env.push(("__OW_ALLOW_CONCURRENT".to_owned(), "true".to_owned()));
    let live = site.live_with(spec, code).await;
    let start = tokio::time::Instant::now();
    let runs = futures::future::join_all((0..5).map(|n| live.run(json!({ "word": n })))).await;
    assert!(start.elapsed() < Duration::from_millis(900), "one after the other: {:?}", start.elapsed());
    let mut texts = vec![];
    for (n, answer) in runs.iter().enumerate() {
        let body: serde_json::Value = serde_json::from_slice(&answer.body).unwrap();
        assert_eq!(body["word"], json!(n));
        // Whose line is whose cannot be told, but none is lost or counted twice.
        texts.extend(live.logs(answer).await.lines.into_iter().map(|line| line[31..].to_owned()));
    }
    texts.sort();
    assert_eq!(texts, [0, 1, 2, 3, 4].map(|n| format!("stdout: {n}")));
    live.destroy().await;
}
