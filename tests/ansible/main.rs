//! `ansible/` as an operator meets it: both environments looked at, the distributed one deployed with several hosts
//! that are this machine, used, upgraded under load, wiped and taken down.
//!
//! The programs are those that cargo has built; images that no registry has are stand-ins. Both, and Ansible, are
//! there after `cargo xtask test --all`, which alone runs this suite.

mod daemon;
mod images;
mod load;
mod site;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Duration;

use futures::FutureExt;
use futures::future::join_all;
use serde_json::{Value, json};
use tests::client::Client;
use tests::docker::Instance;
use tests::namespace::Namespace;
use tests::{fixtures, place, wait};

use crate::daemon::Daemon;
use crate::images::Images;
use crate::load::{Load, Promised};
use crate::site::Site;

/// What makes an installation, in order.
const DEPLOYMENT: [&str; 7] = [
    "setup.yml",
    "prereq.yml",
    "postgres.yml",
    "initdb.yml",
    "openwhisk.yml",
    "postdeploy.yml",
    "monitoring.yml",
];

/// The containers of the distributed environment.
const CONTAINERS: [&str; 9] = [
    "controller0",
    "controller1",
    "invoker0",
    "invoker1",
    "invoker2",
    "kafka0",
    "nginx",
    "postgres",
    "prometheus",
];

/// How long the platform may take to notice what has changed.
const NOTICED: Duration = Duration::from_secs(60);

/// Longer than an invoker's usual grace, even if it is told to stop only after a while.
const LONG: u64 = 75_000;

/// Tells where it runs, after a while.
const WHERE: &str = "function main({ ms }) {
  const hostname = require('os').hostname();
  return new Promise(done => setTimeout(() => done({ hostname }), ms));
}";

#[tokio::test(flavor = "multi_thread")]
async fn what_is_written_is_as_ansible_wants_it() {
    let mut lint = site::tool("ansible-lint");
    lint.args(["--offline", "--nocolor"]);
    let (ended_well, output) = site::run(lint).await;
    assert!(ended_well, "{output}");
    assert!(output.contains("Profile 'production' was required, and it passed"), "{output}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_deployed_without_secrets() {
    let site = Site::like("distributed");
    let daemon = Daemon::of(site.prefix()).await;
    for playbook in ["postgres.yml", "kafka.yml", "initdb.yml", "controller.yml", "invoker.yml"] {
        let Err(output) = site.try_to_play(playbook, &[]).await else { panic!("{playbook} needs secrets") };
        assert!(output.contains("run setup.yml first"), "{playbook}\n{output}");
    }
    assert_eq!(daemon.left(&[]).await, Vec::<String>::new());
    site.dismiss();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_installation_is_deployed_used_upgraded_wiped_and_taken_down() {
    let site = Site::like("distributed");
    let daemon = Daemon::of(site.prefix()).await;
    let images = Images::build(&daemon.docker).await;
    for environment in ["local", "distributed"] {
        a_look_at_nothing_changes_nothing(environment, &images).await;
    }
    let outcome = AssertUnwindSafe(live(&site, &daemon, &images)).catch_unwind().await;
    if outcome.is_err() {
        let log = place::log_file();
        fs::write(&log, daemon.logs().await).expect("the log folder is writable");
        eprintln!("what the containers printed is in {}", log.display());
    }
    site.play("teardown.yml", &["--extra-vars", "mode=clean"]).await;
    let left = daemon.left(outcome.as_deref().unwrap_or_default()).await;
    images.remove(&daemon.docker).await;
    if let Err(cause) = outcome {
        resume_unwind(cause);
    }
    assert_eq!(left, Vec::<String>::new(), "something is left");
    assert!(!site.folder().join("etc").exists() && !site.folder().join("keys").exists());
    site.dismiss();
}

/// All playbooks can be tried where nothing is yet.
async fn a_look_at_nothing_changes_nothing(environment: &str, images: &Images) {
    let site = Site::like(environment);
    let daemon = Daemon::of(site.prefix()).await;
    let tag = format!("docker_image_tag={}", images.old);
    for playbook in DEPLOYMENT.into_iter().chain(["teardown.yml"]) {
        site.play(playbook, &["--check", "--diff", "--extra-vars", &tag]).await;
    }
    assert_eq!(daemon.left(&[]).await, Vec::<String>::new(), "{environment}");
    assert!(!site.secrets().exists() && !site.folder().join("etc").exists(), "{environment}");
    assert!(!site.folder().join("keys").exists(), "{environment}");
    site.dismiss();
}

/// What is done with an installation; returns the invokers that have run actions.
async fn live(site: &Site, daemon: &Daemon, images: &Images) -> Vec<Instance> {
    let tag = format!("docker_image_tag={}", images.old);
    let old = ["--extra-vars", &tag];
    let mut printed = String::new();
    for playbook in DEPLOYMENT {
        printed.push_str(&site.play(playbook, &old).await.output);
    }
    assert_eq!(daemon.containers().await.into_keys().collect::<Vec<_>>(), CONTAINERS);
    secrets_are_kept(site, &printed);
    for playbook in DEPLOYMENT {
        site.play(playbook, &old).await.expect_no_change(playbook);
        site.play(playbook, &[&old[..], &["--check"]].concat()).await.expect_no_change(playbook);
    }

    let namespace = first_namespace(site, daemon).await;
    let greeting = namespace.put_python("hello", fixtures::GREETING_PY).await;
    let result = namespace.result(&greeting, &json!({ "name": "Ada" })).await;
    assert_eq!(result, json!({ "greeting": "Hello Ada!" }));
    an_action_reaches_the_api(&namespace).await;
    operators_are_not_served_at_the_edge(site).await;
    prometheus_finds_all(site).await;

    an_upgrade_loses_nothing(site, daemon, images, &namespace).await;
    let invokers = invokers(&namespace).await;
    all_goes_but_subjects(site, images, &namespace).await;

    // What volumes keep outlives the containers.
    let volumes = daemon.volumes().await;
    site.play("teardown.yml", &[]).await;
    assert_eq!(daemon.containers().await, BTreeMap::new());
    assert_eq!(daemon.volumes().await, volumes);
    site.play("teardown.yml", &[]).await.expect_no_change("teardown.yml");
    invokers
}

/// Secrets and keys are there for their owner alone, are long, and were not printed.
fn secrets_are_kept(site: &Site, printed: &str) {
    let mode = |path: &std::path::Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
    let secrets = fs::read_to_string(site.secrets()).expect("it is there");
    assert_eq!(mode(&site.secrets()), 0o600);
    let secrets: Vec<&str> = secrets.lines().filter_map(|line| line.split('"').nth(1)).collect();
    assert_eq!(secrets.len(), 5, "a secret each");
    let keys = ["guest", "whisk.system"].map(|subject| {
        let file = site.folder().join(format!("keys/auth.{subject}"));
        assert_eq!(mode(&file), 0o600);
        fs::read_to_string(file).expect("it is there").trim().to_owned()
    });
    assert_eq!(mode(&site.folder().join("keys/wskprops")), 0o600);
    for secret in secrets.into_iter().chain(keys.iter().map(String::as_str)) {
        assert!(secret.len() >= 22 && !printed.contains(secret), "a secret is short, or was printed");
    }
}

/// The namespace of the first subject, with room for a load.
async fn first_namespace(site: &Site, daemon: &Daemon) -> Namespace {
    let name = "guest";
    let key = fs::read_to_string(site.folder().join("keys/auth.guest")).expect("initdb.yml wrote it");
    let settings = fs::read_to_string(site.folder().join("keys/wskprops")).expect("postdeploy.yml wrote it");
    assert_eq!(settings, format!("APIHOST={}\nAUTH={key}", site.api()));
    let limits = [
        "wskadmin",
        "limits",
        "set",
        name,
        "--invocationsPerMinute",
        "100000",
        "--concurrentInvocations",
        "1000",
    ];
    daemon.run_in("controller0", &limits).await;
    let namespace = Namespace::new(name, key.trim(), Client::new(&site.api(), Some(key.trim())));
    namespace.wait_for_limit("invocationsPerMinute", &json!(100_000)).await;
    namespace
}

async fn an_action_reaches_the_api(namespace: &Namespace) {
    let echo = namespace.put_js("echo", fixtures::ECHO).await;
    let mut body = fixtures::js(fixtures::CALL_BACK);
    body["annotations"] = json!([{ "key": "provide-api-key", "value": true }]);
    let caller = namespace.create("caller", &body).await;
    let result = namespace.result(&caller, &json!({ "action": echo, "params": { "x": 1 } })).await;
    assert_eq!(result, json!({ "x": 1 }));
}

async fn operators_are_not_served_at_the_edge(site: &Site) {
    let client = Client::new(&site.api(), None);
    for path in ["/metrics", "/metrics/targets", "/invokers", "/activation", "/ready", "/activation/count"] {
        client.get(path).await.expect(404);
    }
    client.post("/disable", &json!({})).await.expect(404);
    for path in ["/", "/ping", "/api/v1"] {
        client.get(path).await.expect(200);
    }
}

async fn prometheus_finds_all(site: &Site) {
    let client = Client::new(&site.prometheus(), None);
    let wanted = ["controller 0", "controller 1", "invoker 0", "invoker 1", "invoker 2", "prometheus "];
    let wanted = BTreeSet::from(wanted.map(str::to_owned));
    wait::until("Prometheus reads from all", NOTICED, || async {
        let answer = client.get("/api/v1/targets").await.json();
        let targets = answer["data"]["activeTargets"].as_array()?;
        let up = targets.iter().filter(|target| target["health"] == "up").map(|target| {
            let label = |name: &str| target["labels"][name].as_str().unwrap_or_default();
            format!("{} {}", label("job"), label("instance_id"))
        });
        (up.collect::<BTreeSet<_>>() == wanted).then_some(())
    })
    .await;
}

/// Controllers and invokers are replaced one after the other, while clients go on: every activation that was
/// accepted has run, also those that take longer than a process that stops usually waits.
async fn an_upgrade_loses_nothing(site: &Site, daemon: &Daemon, images: &Images, namespace: &Namespace) {
    let action = namespace.put_js("work", fixtures::SLEEP).await;
    let mut body = fixtures::js(fixtures::SLEEP);
    body["limits"]["timeout"] = json!(2 * LONG);
    // Of several names, so that they are at home at several invokers.
    let long_ones = join_all((0..4).map(|_| namespace.create("long", &body))).await;
    let tag = format!("docker_image_tag={}", images.new);
    let new = ["--extra-vars", &tag];

    let load = Load::start(namespace, &action);
    load.goes_on().await;
    site.play("controller.yml", &new).await;
    load.goes_on().await;
    let arguments = json!({ "ms": LONG });
    let started = join_all(long_ones.iter().map(|name| namespace.fire(name, &arguments))).await;
    site.play("invoker.yml", &new).await;
    load.goes_on().await;
    let promised = load.finish().await;

    for (name, image) in daemon.containers().await {
        if let Some(program) = ["controller", "invoker"].iter().find(|program| name.starts_with(**program)) {
            assert_eq!(image, format!("oxwhisk/{program}:{}", images.new), "{name}");
        }
    }
    for id in &started {
        let record = namespace.wait_for_activation_within(id, 2 * Duration::from_millis(LONG)).await;
        assert_eq!(record["response"]["result"], json!({ "slept": LONG }), "{record}");
    }
    for (id, answer) in &promised.accepted {
        let record = namespace.wait_for_activation(id).await;
        assert_eq!(record["response"]["status"], "success", "{record}");
        if let Some(answer) = answer {
            assert_eq!(record["response"], answer["response"], "a record agrees with the answer: {record}");
        }
    }
    let Promised { accepted, refused, cut_off } = promised;
    let accepted = accepted.len();
    assert!(accepted > 500, "{accepted} accepted, {refused:?} refused, {cut_off} cut off");
    // The edge sends nobody to a controller that is about to stop. It reads where they are four times, and closes
    // idle connections then: a request may meet that.
    assert_eq!(refused, BTreeMap::new(), "of {accepted}");
    assert!(cut_off <= 4 * load::CLIENTS, "{cut_off} of {accepted} got no answer");
    site.play("openwhisk.yml", &new).await.expect_no_change("openwhisk.yml");
}

/// The invokers whose containers are there now, of several activations at once.
async fn invokers(namespace: &Namespace) -> Vec<Instance> {
    let action = namespace.put_js("where", WHERE).await;
    let arguments = json!({ "ms": 500 });
    let results = join_all((0..6).map(|_| namespace.result(&action, &arguments))).await;
    let hostnames = results.iter().map(|result| result["hostname"].as_str().expect("it tells where it runs"));
    let mut found = Vec::new();
    for hostname in hostnames.collect::<BTreeSet<_>>() {
        found.push(Instance::of_container(hostname).await);
    }
    found
}

/// Wiping must be meant; subjects and their keys stay, and the packages of whisk.system come back.
async fn all_goes_but_subjects(site: &Site, images: &Images, namespace: &Namespace) {
    let Err(output) = site.try_to_play("wipe.yml", &[]).await else { panic!("wiping must be meant") };
    assert!(output.contains("say -e wipe=yes"), "{output}");
    assert_ne!(namespace.get("actions").await.expect(200).json(), json!([]));
    let tag = format!("docker_image_tag={}", images.new);
    let wiped = site.play("wipe.yml", &["--extra-vars", "wipe=yes"]).await;
    assert_eq!(wiped.changed.values().sum::<u32>(), 1, "{}", wiped.output);
    site.play("wipe.yml", &["--extra-vars", "wipe=yes"]).await.expect_no_change("wipe.yml");
    assert_eq!(namespace.get("actions").await.expect(200).json(), json!([]));
    assert_eq!(namespace.activation_count().await, 0);
    // Another setting is another container: each controller starts anew, and brings the packages along.
    let arguments = ["--extra-vars", &tag, "--extra-vars", "controller_loglevel=warn"];
    site.play("controller.yml", &arguments).await;
    let packages = namespace.get("/api/v1/namespaces/whisk.system/packages").await.expect(200).json();
    let names: Vec<&Value> = packages.as_array().expect("a list").iter().map(|one| &one["name"]).collect();
    assert!(names.contains(&&json!("utils")), "{names:?}");
    let hello = namespace.put_python("hello", fixtures::GREETING_PY).await;
    assert_eq!(namespace.result(&hello, &json!({})).await, json!({ "greeting": "Hello stranger!" }));
}
