//! What only Docker promises: actions are kept from the host and from each other, foreign images run with
//! sentinels, failures are blamed on whom upstream blames, and nothing is left.

use std::net::{Ipv4Addr, TcpListener};
use std::process::Command;
use std::sync::Arc;

use bollard::Docker;
use bollard::models::{ContainerConfig, ContainerCreateBody};
use bollard::query_parameters::{
    CommitContainerOptionsBuilder, CreateContainerOptions, ListContainersOptionsBuilder,
};
use common::clock::SystemClock;
use common::shutdown::Shutdown;
use invoker::container::docker::firewall::{Firewall, Isolation};
use invoker::container::docker::network;
use invoker::container::docker::{DockerConfig, DockerRuntime};
use invoker::container::{ContainerSpec, CreateError, EndCause, LogFraming, Pull};
use invoker::metrics::DockerMetrics;
use serde_json::{Value, json};
use tests::docker::bridge_address;
use tests::place;

use crate::container_site::{LONG, PYTHON, Site};

/// An action that says what it can reach: `[[host, port], …]` to `[bool, …]`.
const REACH: &str = "
import socket
def reaches(host, port):
    try:
        socket.create_connection((host, port), timeout=1).close()
        return True
    except OSError:
        return False
def main(args):
    return {'reached': [reaches(*target) for target in args['targets']],
            'resolved': [socket.gethostbyname(name) for name in args.get('names', [])]}
";

/// A server that is no action proxy: it answers every request and marks the end of its logs.
const FOREIGN: &str = "
import http.server, json, os, sys
class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        request = json.loads(self.rfile.read(int(self.headers['content-length'])))
        if self.path == '/run':
            print('hello', request['value'].get('word'))
            for stream in sys.stdout, sys.stderr:
                print('XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX', file=stream, flush=True)
        os.chown('/tmp', 1, 1)
        status = dict(line.split(':\\t', 1) for line in open('/proc/self/status').read().splitlines())
        answer = {'uid': os.getuid(), 'capabilities': status['CapEff'], 'privileges': status['NoNewPrivs']}
        answer = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header('content-length', str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)
    def log_message(self, *args): pass
http.server.HTTPServer(('', 8080), Handler).serve_forever()
";

fn client() -> Docker {
    Docker::connect_with_defaults().unwrap()
}

/// Fails if containers, a network or firewall rules of an instance are there.
pub async fn assert_nothing_left(instance: &str) {
    let docker = client().negotiate_version().await.unwrap();
    let label = std::collections::HashMap::from([("label", vec![format!("oxwhisk.instance={instance}")])]);
    let options = ListContainersOptionsBuilder::new().all(true).filters(&label).build();
    let left = docker.list_containers(Some(options)).await.unwrap();
    assert!(left.is_empty(), "{left:?}");
    assert!(docker.inspect_network(&network::name(instance), None).await.is_err(), "the network is left");
    let rules = Command::new("iptables-save").output().unwrap();
    let rules = String::from_utf8_lossy(&rules.stdout).into_owned();
    assert!(!rules.contains(&network::device(instance)), "rules are left:\n{rules}");
}

/// An image of this test's own; goes with it.
struct Image(String);

impl Drop for Image {
    fn drop(&mut self) {
        // The containers made from it have gone by now, or the failed test keeps it.
        let removed = Command::new("docker").args(["image", "rm", "--force", &self.0]).output();
        if !removed.is_ok_and(|output| output.status.success()) {
            eprintln!("the image {} is left", self.0);
        }
    }
}

/// An image derived from Python's that is not ours: no label, root, and this command.
async fn foreign_image(name: &str, command: &[&str]) -> Image {
    let docker = client().negotiate_version().await.unwrap();
    let body = ContainerCreateBody { image: Some(PYTHON.to_owned()), ..Default::default() };
    let made = docker.create_container(None::<CreateContainerOptions>, body).await.unwrap();
    let tag = format!("oxwhisk-test/{name}");
    let options = CommitContainerOptionsBuilder::new().container(&made.id).repo(&tag).tag("foreign").build();
    let config = ContainerConfig {
        cmd: Some(command.iter().map(|word| (*word).to_owned()).collect()),
        user: Some("0".to_owned()),
        labels: Some([("oxwhisk.log-framing".to_owned(), "no".to_owned())].into()),
        ..Default::default()
    };
    docker.commit_container(options, config).await.unwrap();
    docker.remove_container(&made.id, None).await.unwrap();
    Image(format!("{tag}:foreign"))
}

fn blackbox(site: &Site, short: &str, image: &str, pull: Pull) -> ContainerSpec {
    ContainerSpec { kind: "blackbox".into(), image: image.into(), pull, ..site.spec(short, 128) }
}

#[tokio::test(flavor = "multi_thread")]
async fn actions_reach_the_api_and_nothing_else_here() {
    let Some(site) = Site::docker().await else { return };
    let docker = site.docker.clone().unwrap();
    assert_eq!(docker.isolation(), &Isolation::Kept);
    let gateway = docker.gateway();
    let api = site.runtime.api_host();
    let api_port: u16 = api.rsplit_once(':').unwrap().1.parse().unwrap();
    let metadata = Metadata::start();
    // Listeners that accept by themselves: the kernel completes a connection that nobody takes.
    let listeners = [
        TcpListener::bind((gateway, api_port)).unwrap(),
        TcpListener::bind((metadata.address, 80)).unwrap(),
        TcpListener::bind((gateway, 0)).unwrap(),
        TcpListener::bind(("0.0.0.0", 0)).unwrap(),
    ];
    let [_, _, other_port, open_port] =
        listeners.each_ref().map(|listener| listener.local_addr().unwrap().port());
    let neighbour = site.live("neighbour", 128, REACH).await;
    let live = site.live("reach", 128, REACH).await;
    let targets = json!({
        "targets": [
            [gateway.to_string(), api_port],
            [gateway.to_string(), other_port],
            [metadata.address.to_string(), 80],
            [bridge_address().to_string(), open_port],
            [neighbour.container.address().ip().to_string(), 8080],
        ],
        "names": ["localhost"],
    });
    let answer = live.run(targets.clone()).await;
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["reached"], json!([true, false, false, false, false]), "{body}");
    assert_eq!(body["resolved"], json!(["127.0.0.1"]));
    // The decoys are good ones: without our rules each is reached, save the neighbour, whom Docker hides.
    Firewall::remove(&network::device(&network_instance(&site))).await.unwrap();
    let answer = live.run(targets).await;
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(body["reached"], json!([true, true, true, true, false]), "{body}");
    live.destroy().await;
    neighbour.destroy().await;
    drop(metadata);
    site.close().await;
}

fn network_instance(site: &Site) -> String {
    site.run.trim_end_matches('r').to_owned()
}

/// The metadata service's address on this machine's loopback device.
struct Metadata {
    address: Ipv4Addr,
}

impl Metadata {
    fn start() -> Self {
        let address = Ipv4Addr::new(169, 254, 169, 254);
        Self::change("add", address);
        Self { address }
    }

    fn change(what: &str, address: Ipv4Addr) {
        Command::new("ip").args(["addr", what, &format!("{address}/32"), "dev", "lo"]).status().unwrap();
    }
}

impl Drop for Metadata {
    fn drop(&mut self) {
        Self::change("del", self.address);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn our_images_have_no_right_at_all() {
    let Some(site) = Site::docker().await else { return };
    let code = "
import os
def main(args):
    status = dict(line.split(':\\t', 1) for line in open('/proc/self/status').read().splitlines())
    return {'uid': os.getuid(), 'capabilities': status['CapBnd'], 'privileges': status['NoNewPrivs'],
            'seccomp': status['Seccomp']}
";
    let live = site.live("rights", 128, code).await;
    assert_eq!(live.container.log_framing(), LogFraming::Counted);
    let body: Value = serde_json::from_slice(&live.run(json!({})).await.body).unwrap();
    assert_ne!(body["uid"], json!(0));
    assert_eq!(body["capabilities"], json!("0000000000000000"));
    assert_eq!((&body["privileges"], &body["seccomp"]), (&json!("1"), &json!("2")));
    live.destroy().await;
    site.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_foreign_image_keeps_its_user_and_ends_its_logs_with_sentinels() {
    let Some(site) = Site::docker().await else { return };
    let image = foreign_image("server", &["python3", "-c", FOREIGN]).await;
    // It is nowhere to be pulled from; tagged as it is, what lies here is taken.
    let live = site.live_with(blackbox(&site, "foreign", &image.0, Pull::TryAlways), "").await;
    assert_eq!(live.container.log_framing(), LogFraming::Sentinels);
    let answer = live.run(json!({"word": "you"})).await;
    let body: Value = serde_json::from_slice(&answer.body).unwrap();
    // CHOWN, DAC_OVERRIDE, FOWNER, KILL, SETGID, SETUID.
    assert_eq!(body, json!({"uid": 0, "capabilities": "00000000000000eb", "privileges": "1"}));
    let logs = live.logs(&answer).await;
    assert_eq!(logs.lines.iter().map(|line| &line[31..]).collect::<Vec<_>>(), ["stdout: hello you"]);
    assert!(!logs.failed);
    live.destroy().await;
    site.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_are_blamed_as_upstream_does() {
    let Some(site) = Site::docker().await else { return };
    let no_command = foreign_image("nothing", &["/does/not/exist"]).await;
    let create = async |short: &str, image: &str, pull| {
        site.runtime.create(blackbox(&site, short, image, pull)).await.err().unwrap()
    };
    let error = create("nocommand", &no_command.0, Pull::Never).await;
    assert!(matches!(&error, CreateError::CommandNotFound { image } if *image == no_command.0), "{error:?}");
    // Nothing listens on the discard port, so this registry refuses at once.
    let absent = "127.0.0.1:9/nobody/nothing";
    for pull in [Pull::Always, Pull::TryAlways] {
        let error = create("absent", absent, pull).await;
        assert_eq!(error.to_string(), format!("Failed to pull container image '{absent}'."), "{error:?}");
    }
    let error = create("managed", absent, Pull::Never).await;
    assert!(matches!(error, CreateError::Provision(_)), "{error:?}");
    site.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_container_that_ends_says_so() {
    let Some(site) = Site::docker().await else { return };
    let image = foreign_image("ends", &["sh", "-c", "echo last words; sleep 0.2; exit 3"]).await;
    let mut container = site.runtime.create(blackbox(&site, "ends", &image.0, Pull::Never)).await.unwrap();
    let mut logs = container.take_logs().unwrap();
    assert_eq!(&logs.next().await.unwrap().bytes[..], b"last words\n");
    assert_eq!(logs.next().await, None);
    assert_eq!(container.cause_of_end(LONG).await, EndCause::Exited(Some(3)));
    container.destroy().await.unwrap();
    site.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dead_containers_address_is_not_given_to_another() {
    let Some(site) = Site::docker().await else { return };
    let image = foreign_image("dies", &["true"]).await;
    let dead = site.runtime.create(blackbox(&site, "dead", &image.0, Pull::Never)).await.unwrap();
    assert_eq!(dead.cause_of_end(LONG).await, EndCause::Exited(Some(0)));
    for n in 0..3 {
        let next =
            site.runtime.create(blackbox(&site, &format!("next{n}"), &image.0, Pull::Never)).await.unwrap();
        assert_ne!(next.address(), dead.address());
        next.destroy().await.unwrap();
    }
    dead.destroy().await.unwrap();
    site.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_second_start_of_an_instance_removes_the_debris_of_the_first() {
    let Some(site) = Site::docker().await else { return };
    let container = site.runtime.create(site.spec("debris", 64)).await.unwrap();
    let instance = network_instance(&site);
    // As after a kill: nobody closed the first one.
    let second = Site::docker_with(|config| config.instance = instance.clone()).await;
    assert_eq!(container.cause_of_end(LONG).await, EndCause::Exited(None));
    assert_eq!(second.docker.as_ref().unwrap().gateway(), site.docker.as_ref().unwrap().gateway());
    let live = second.live("second", 128, REACH).await;
    live.destroy().await;
    second.close().await;
    assert_nothing_left(&instance).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn bridges_take_turns_in_a_pool_of_the_operators() {
    let Some(site) = Site::docker().await else { return };
    let pool = |config: &mut DockerConfig| config.address_pool = Some("10.213.96.0/21".parse().unwrap());
    let gateway = |site: &Site| site.docker.as_ref().unwrap().gateway().to_string();
    let one = Site::docker_with(pool).await;
    assert_eq!(gateway(&one), "10.213.96.1");
    let live = one.live("pooled", 128, REACH).await;
    assert!(live.container.address().to_string().starts_with("10.213.96."), "{}", live.container.address());
    live.destroy().await;
    let other = Site::docker_with(pool).await;
    assert_eq!(gateway(&other), "10.213.100.1");
    let mut third = DockerConfig::new("0123abcd", "0123abcdr", place::free_port());
    pool(&mut third);
    let refused =
        DockerRuntime::start(third, DockerMetrics::default(), Arc::new(SystemClock), Shutdown::new()).await;
    let told = format!("{:#}", anyhow::Error::from(refused.unwrap_err()));
    assert!(told.contains("no addresses are left in whisk.docker.address-pool 10.213.96.0/21"), "{told}");
    for site in [one, other, site] {
        site.close().await;
    }
}
