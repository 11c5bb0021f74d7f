//! The table: what is tried, from which unrestricted container it succeeds, what it is refused with here.
//!
//! The code is in `attacks/`, one Python file an attack, between `prelude.py` and `epilogue.py`.

use std::collections::BTreeMap;

use serde_json::Value;

/// One attack.
#[derive(Debug)]
pub struct Attack {
    /// As docs/security.md names it.
    pub name: &'static str,
    /// Defines `attack(args)`.
    code: &'static str,
    /// What the container has from which it succeeds.
    pub free: Free,
    /// Which decoy it is aimed at.
    pub target: Target,
    /// All that it may be refused with here: names of system errors, or the attack's own words.
    pub refused: &'static [&'static str],
}

/// What an unrestricted container has; each is root's but where it says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Free {
    /// Every right that Docker can give.
    EveryRight,
    /// The network of the host.
    HostNetwork,
    /// Every right, and the processes of the host.
    HostProcesses,
    /// Docker's defaults, and a user without rights.
    OrdinaryUser,
    /// Docker's defaults, and the socket of a daemon.
    DockerSocket,
    /// Docker's defaults on our bridge.
    OurBridge,
}

/// What is attacked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The container it runs in, or a process of the host that its arguments name.
    Itself,
    /// A disk of the host.
    Disk,
    /// A service of the host at the bridge's gateway.
    Host,
    /// The same where Kafka would be.
    Kafka,
    /// The same where PostgreSQL would be.
    Postgres,
    /// A name server at the gateway.
    HostDns,
    /// Several ports of the gateway.
    HostPorts,
    /// A service of the host on all its IPv6 addresses.
    HostIpv6,
    /// A port that the host publishes for another container.
    Published,
    /// The metadata address.
    Metadata,
    /// Another link-local address, through the host.
    LinkLocal,
    /// A network that the operator has denied to actions.
    Denied,
    /// An action's container on the same bridge.
    Neighbour,
    /// An action's container of another instance.
    OtherInstance,
}

const GONE: &[&str] = &["ETIMEDOUT", "EHOSTUNREACH", "ENETUNREACH"];
const NO_RIGHT: &[&str] = &["EPERM"];

macro_rules! attack {
    ($name:literal, $file:literal, $free:ident, $target:ident, $refused:expr) => {
        Attack {
            name: $name,
            code: include_str!(concat!("attacks/", $file, ".py")),
            free: Free::$free,
            target: Target::$target,
            refused: $refused,
        }
    };
}

/// All rows.
pub const ATTACKS: &[Attack] = &[
    attack!("raw-socket", "raw_socket", EveryRight, Itself, NO_RIGHT),
    attack!("network-settings", "network_settings", EveryRight, Itself, NO_RIGHT),
    attack!("mount", "mount", EveryRight, Itself, NO_RIGHT),
    attack!("chroot", "chroot", EveryRight, Itself, NO_RIGHT),
    attack!("user-namespace", "user_namespace", EveryRight, Itself, NO_RIGHT),
    attack!("release-agent", "release_agent", EveryRight, Itself, NO_RIGHT),
    attack!("memory-limit", "memory_limit", EveryRight, Itself, &["EROFS", "EACCES"]),
    attack!("proc-write", "proc_write", EveryRight, Itself, &["EROFS", "EACCES"]),
    attack!("sys-write", "sys_write", EveryRight, Itself, &["EROFS", "EACCES"]),
    attack!("device-node", "device_node", EveryRight, Itself, NO_RIGHT),
    attack!("disk", "disk", EveryRight, Disk, NO_RIGHT),
    attack!("kernel-log", "kernel_log", EveryRight, Itself, NO_RIGHT),
    attack!("kernel-program", "kernel_program", EveryRight, Itself, NO_RIGHT),
    attack!("keyring", "keyring", EveryRight, Itself, NO_RIGHT),
    attack!("clock", "clock", EveryRight, Itself, NO_RIGHT),
    attack!("fork-bomb", "fork_bomb", EveryRight, Itself, &["EAGAIN"]),
    attack!("setuid", "setuid", OrdinaryUser, Itself, &["it is nobody special"]),
    attack!("ptrace", "ptrace", HostProcesses, Itself, &["no such process"]),
    attack!("host-environment", "host_environment", HostProcesses, Itself, &["no such process"]),
    attack!("kill", "kill", HostProcesses, Itself, &["no such process"]),
    attack!("docker-socket", "docker_socket", DockerSocket, Itself, &["ENOENT"]),
    attack!("host-service", "connect", HostNetwork, Host, GONE),
    attack!("kafka", "connect", HostNetwork, Kafka, GONE),
    attack!("postgresql", "connect", HostNetwork, Postgres, GONE),
    attack!("published-port", "connect", HostNetwork, Published, GONE),
    attack!("port-scan", "port_scan", HostNetwork, HostPorts, &["the API alone"]),
    attack!("host-dns", "host_dns", HostNetwork, HostDns, GONE),
    attack!("host-ipv6", "ipv6", HostNetwork, HostIpv6, &["ENETUNREACH", "EADDRNOTAVAIL", "ECONNREFUSED"]),
    attack!("metadata", "connect", HostNetwork, Metadata, GONE),
    attack!("link-local", "connect", HostNetwork, LinkLocal, GONE),
    attack!("platform-network", "connect", HostNetwork, Denied, GONE),
    attack!("neighbour", "neighbour", HostNetwork, Neighbour, GONE),
    attack!("other-instance", "neighbour", HostNetwork, OtherInstance, GONE),
    attack!("neighbours-name", "neighbours_name", OurBridge, Neighbour, &["a name that says nothing"]),
];

/// The code of an action whose `main(args)` carries out the attack that `args` name, and answers whether it
/// succeeded, and how. As a program it carries out all that a file names.
pub fn action() -> String {
    let code: BTreeMap<_, _> = ATTACKS.iter().map(|attack| (attack.name, attack.code)).collect();
    let code = serde_json::to_string(&serde_json::to_string(&code).unwrap()).unwrap();
    let [prelude, epilogue] = [include_str!("attacks/prelude.py"), include_str!("attacks/epilogue.py")];
    format!("{prelude}\nCODE = json.loads({code})\n{epilogue}")
}

/// How an attack ended.
#[derive(Debug, Clone, PartialEq, Eq, serde::Deserialize)]
pub struct Outcome {
    /// Whether it got what it wanted.
    pub succeeded: bool,
    /// What it got, or what it was refused with.
    pub how: String,
}

impl Outcome {
    /// From what the code returned.
    pub fn read(value: &Value) -> Self {
        serde_json::from_value(value.clone()).unwrap_or_else(|_| panic!("no outcome: {value}"))
    }
}
