//! The battleground: two instances of the platform's container runtime, decoys all around them, and a machine
//! beyond the host.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::time::Duration;

use bollard::models::{HostConfig, PortBinding};
use invoker::container::ContainerRuntime;
use invoker::container::docker::network;
use serde_json::{Value, json};
use tests::daemon::{Daemon, Plain, Recipe, every_right};
use tests::{place, wait};

use crate::attacks::{ATTACKS, Attack, Free, Outcome, Target, action};
use crate::beyond::Beyond;
use crate::decoys::{self, Disk, Metadata, SERVER, Victim};
use crate::instance::{Instance, Live};

/// Who comes from a machine beyond the host to an action's container.
pub const NAMES: &[&str] = &["stranger"];

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

/// Runs Python code with an argument, given as the next words, where everything is writable that a container with
/// the right to it can make so.
const WRITABLE: &str = "
for place in /sys /sys/fs/cgroup /sys/fs/cgroup/memory; do
  mount -o remount,rw $place 2> /dev/null
  mount -o remount,bind,rw $place 2> /dev/null
done
exec python3 -c \"$0\" \"$1\"
";

/// All of it.
pub struct Ground {
    daemon: Daemon,
    ours: Instance,
    other: Instance,
    neighbour: Live,
    others: Live,
    images: [String; 2],
    /// The word that every decoy tells.
    secret: String,
    /// The word in the name of the process that may be killed.
    victim: String,
    folder: tempfile::TempDir,
    ports: Ports,
    beyond: Beyond,
    plain_neighbour: Ipv4Addr,
    last_address: Ipv4Addr,
    disk: Disk,
    _metadata: Metadata,
    _victims: [Victim; 2],
}

struct Ports {
    host: u16,
    several: [u16; 3],
    ipv6: u16,
    published: u16,
    beyond: u16,
}

impl Ground {
    /// Puts up everything.
    pub async fn prepare() -> Self {
        let daemon = Daemon::connect().await;
        let [secret, victim] = [0, 1].map(|_| uuid::Uuid::new_v4().simple().to_string());
        let addresses = Beyond::addresses();
        let ours = Instance::start(|config| {
            config.blocked_networks = vec![format!("{}/32", addresses[1]).parse().unwrap()];
        });
        let (ours, other) = tokio::join!(ours, Instance::start(|_| {}));
        let port = place::free_port;
        let several = [port(), port(), port()];
        let ports = Ports { host: port(), several, ipv6: port(), published: port(), beyond: port() };
        let metadata = Metadata::start();
        let gateway = ours.runtime.gateway();
        let api = ours.runtime.api_host().rsplit_once(':').unwrap().1.parse().unwrap();
        for at in [ports.host, api, 9092, 5432].into_iter().chain(ports.several) {
            decoys::tcp(TcpListener::bind((gateway, at)).unwrap(), &secret);
        }
        decoys::tcp(TcpListener::bind((Metadata::ADDRESS, ports.host)).unwrap(), &secret);
        decoys::tcp(TcpListener::bind(("::", ports.ipv6)).unwrap(), &secret);
        decoys::udp(UdpSocket::bind((gateway, 53)).unwrap(), &secret);
        let folder = tempfile::tempdir().unwrap();
        decoys::unix(&folder.path().join("docker.sock"), &secret);
        decoys::script(&folder.path().join("run-by-the-host"), &folder.path().join("ran"));
        let disk = Disk::start(folder.path(), &secret);
        let victims = [Victim::start(&secret, &secret), Victim::start(&victim, "")];

        let become_root =
            "cp /usr/bin/id /usr/local/bin/become-root && chmod 4755 /usr/local/bin/become-root";
        let image = |kind: &str| format!("oxwhisk-test/{kind}:{}", &secret[..8]);
        let recipe = |user: &str, framing| Recipe {
            script: become_root.to_owned(),
            user: user.to_owned(),
            framing,
            ..Default::default()
        };
        let (counted, foreign) = (image("own"), image("foreign"));
        daemon.derive(&counted, recipe("1001:1001", "counted")).await;
        daemon.derive(&foreign, recipe("0", "no")).await;
        let tell = format!("def main(args): return {{'word': '{secret}'}}");
        let neighbour = ours.live(&counted, &secret, &tell);
        let (neighbour, others) = tokio::join!(neighbour, other.live(&counted, "neighbour", &tell));

        let beyond = Beyond::start(&daemon, addresses, ports.beyond, &secret).await;
        // The last addresses of the bridge are handed out last.
        let last = last_address(&daemon, &ours).await;
        let plain_neighbour = Ipv4Addr::from_bits(last - 1);
        let sleeper = Plain {
            name: Some(format!("plain-{secret}")),
            command: ["sleep", "600"].map(str::to_owned).to_vec(),
            at: Some((network::name(&ours.word), plain_neighbour.to_string())),
            ..Default::default()
        };
        daemon.start(sleeper).await;
        let binding = PortBinding { host_ip: None, host_port: Some(ports.published.to_string()) };
        let server = Plain {
            command: ["python3", "-c", SERVER, "8080", &secret].map(str::to_owned).to_vec(),
            host: HostConfig {
                port_bindings: Some([("8080/tcp".to_owned(), Some(vec![binding]))].into()),
                ..Default::default()
            },
            ..Default::default()
        };
        daemon.start(server).await;
        let ground = Self {
            daemon,
            ours,
            other,
            neighbour,
            others,
            images: [counted, foreign],
            secret,
            victim,
            folder,
            ports,
            beyond,
            plain_neighbour,
            last_address: Ipv4Addr::from_bits(last),
            disk,
            _metadata: metadata,
            _victims: victims,
        };
        ground.decoys_answer().await;
        ground
    }

    /// Waits until the servers in containers are there.
    async fn decoys_answer(&self) {
        for (address, port) in
            [(self.beyond.open, self.ports.beyond), (Ipv4Addr::LOCALHOST, self.ports.published)]
        {
            let connect = || async { tokio::net::TcpStream::connect((address, port)).await.ok() };
            wait::until("a decoy answers", LONG, connect).await;
        }
    }

    /// The images that attacks are carried out in: our own, and somebody's who is root in it.
    pub fn images(&self) -> &[String] {
        &self.images
    }

    fn arguments(&self, attack: &Attack, ours: bool) -> Value {
        let gateway = self.ours.runtime.gateway();
        let api_port: u16 = self.ours.runtime.api_host().rsplit_once(':').unwrap().1.parse().unwrap();
        let target = match attack.target {
            Target::Itself => Value::Null,
            Target::Disk => json!(self.disk.device()),
            Target::Host => json!([gateway, self.ports.host]),
            Target::Kafka => json!([gateway, 9092]),
            Target::Postgres => json!([gateway, 5432]),
            Target::HostDns => json!([gateway, 53]),
            Target::HostPorts => json!([gateway, self.ports.several]),
            Target::HostIpv6 => json!([decoys::ipv6_addresses(), self.ports.ipv6]),
            Target::Published => json!([gateway, self.ports.published]),
            Target::Metadata => json!([Metadata::ADDRESS, self.ports.host]),
            Target::LinkLocal => json!([self.beyond.link_local, self.ports.beyond]),
            Target::Denied => json!([self.beyond.denied, self.ports.beyond]),
            Target::Neighbour if attack.free == Free::OurBridge && !ours => json!([self.plain_neighbour, 0]),
            Target::Neighbour => json!([self.neighbour.container.address().ip(), 8080]),
            Target::OtherInstance => json!([self.others.container.address().ip(), 8080]),
        };
        let host_script = self.folder.path().join("run-by-the-host");
        json!({"attack": attack.name, "target": target, "secret": self.secret, "victim": self.victim, "ours": ours,
               "api_port": api_port, "host_script": host_script})
    }

    /// Carries these out, which succeed from the same kind of container, where nothing is forbidden.
    pub async fn carry_out_elsewhere(&self, free: Free, attacks: &[&Attack]) -> BTreeMap<String, Outcome> {
        let arguments: Vec<Value> = attacks.iter().map(|attack| self.arguments(attack, false)).collect();
        let file = format!("{free:?}.json");
        std::fs::write(self.folder.path().join(&file), Value::from(arguments).to_string()).unwrap();
        let folder = self.folder.path().display();
        let mut plain = Plain {
            image: Some(self.images[1].clone()),
            command: ["sh", "-c", WRITABLE, &action(), &format!("/ground/{file}")]
                .map(str::to_owned)
                .to_vec(),
            ..Default::default()
        };
        let host = &mut plain.host;
        let mut binds = vec![format!("{folder}:/ground:ro")];
        match free {
            Free::EveryRight => *host = every_right(),
            Free::HostNetwork => host.network_mode = Some("host".to_owned()),
            Free::HostProcesses => *host = HostConfig { pid_mode: Some("host".to_owned()), ..every_right() },
            Free::OrdinaryUser => plain.user = Some("1001:1001".to_owned()),
            Free::DockerSocket => binds.push(format!("{folder}/docker.sock:/var/run/docker.sock")),
            Free::OurBridge => {
                plain.at = Some((network::name(&self.ours.word), self.last_address.to_string()))
            }
        }
        host.binds = Some(binds);
        let printed = self.daemon.run(plain).await;
        let outcomes = printed.lines().map(serde_json::from_str).collect::<Result<_, _>>();
        outcomes.unwrap_or_else(|error| panic!("{error}: {printed}"))
    }

    /// Carries them all out, one after the other, in one container of the platform's.
    pub async fn carry_out_here(&self, image: &str) -> BTreeMap<String, Outcome> {
        let live = self.ours.live(image, "attacker", &action()).await;
        let mut outcomes = BTreeMap::new();
        for attack in ATTACKS {
            let outcome = live.run(&self.arguments(attack, true)).await;
            outcomes.insert(attack.name.to_owned(), Outcome::read(&outcome));
        }
        live.destroy().await;
        outcomes
    }

    /// What is allowed still works, and what forwards nothing to us forwarded nothing.
    pub async fn is_unharmed(&self) {
        assert_eq!(self.neighbour.run(&json!({})).await, json!({"word": self.secret}));
        let gateway = self.ours.runtime.gateway();
        let api_port: u16 = self.ours.runtime.api_host().rsplit_once(':').unwrap().1.parse().unwrap();
        let connect =
            |target: Value| json!({"attack": "host-service", "target": target, "secret": self.secret});
        let live = self.ours.live(&self.images[0], "visitor", &action()).await;
        for target in [json!([gateway, api_port]), json!([self.beyond.open, self.ports.beyond])] {
            let outcome = live.run(&connect(target.clone())).await;
            assert!(Outcome::read(&outcome).succeeded, "{target}: {outcome}");
        }
        live.destroy().await;
        let ipv6 = format!("/proc/sys/net/ipv6/conf/{}/disable_ipv6", network::device(&self.ours.word));
        assert_eq!(std::fs::read_to_string(ipv6).unwrap().trim(), "1");
        // From the machine beyond nobody comes to a container.
        let target = json!([self.neighbour.container.address().ip(), 8080]);
        let arguments = json!([connect(target)]).to_string();
        std::fs::write(self.folder.path().join("stranger.json"), arguments).unwrap();
        let stranger = Plain {
            command: ["python3", "-c", &action(), "/ground/stranger.json"].map(str::to_owned).to_vec(),
            host: HostConfig {
                network_mode: Some(format!("container:{}", self.beyond.id)),
                binds: Some(vec![format!("{}:/ground:ro", self.folder.path().display())]),
                ..Default::default()
            },
            ..Default::default()
        };
        let printed = self.daemon.run(stranger).await;
        let (_, outcome): (String, Outcome) = serde_json::from_str(printed.trim()).unwrap();
        assert_eq!((outcome.succeeded, outcome.how.as_str()), (false, "ETIMEDOUT"));
        // The host ran what it was told to by the unrestricted container.
        let ran = self.folder.path().join("ran");
        assert!(ran.exists(), "the script of release-agent did not run");
    }

    /// Takes everything down.
    pub async fn close(self) {
        self.neighbour.destroy().await;
        self.others.destroy().await;
        self.daemon.clear().await;
        self.ours.close().await;
        self.other.close().await;
        for image in &self.images {
            self.daemon.forget(image).await;
        }
    }
}

/// The last address but the broadcast one of an instance's bridge.
async fn last_address(daemon: &Daemon, instance: &Instance) -> u32 {
    let name = network::name(&instance.word);
    let found = daemon.docker.inspect_network(&name, None).await.unwrap();
    let subnet = found.ipam.unwrap().config.unwrap()[0].subnet.clone().unwrap();
    let subnet: invoker::container::docker::firewall::Network = subnet.parse().unwrap();
    subnet.range().1 - 1
}
