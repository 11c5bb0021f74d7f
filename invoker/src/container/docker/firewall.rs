//! Keeps action containers away from the host and from what the host alone may reach.
//!
//! Two chains of our own a bridge: one for packets to the host (INPUT: the API and answers, nothing
//! else), one for packets through it (DOCKER-USER), both ways: out go no packets to link-local and metadata
//! addresses, to neighbours, to networks of the platform, or to what the host publishes for others, while the
//! internet is open; in come answers alone, whatever the machine forwards otherwise. One call to
//! `iptables-restore` installs or removes all of it. The bridge has no IPv6. Names resolve through Docker's resolver inside the container's own
//! namespace; what that asks for is let through where the machine's resolver is a forbidden address.

use std::fmt::Write;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process::Stdio;
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;
use tokio::time::timeout;
use tracing::warn;

/// For one call of the tool; it waits for its lock.
const LIMIT: Duration = Duration::from_secs(10);
/// The tool, and its back ends by name where both are installed: Docker uses one of them.
const TOOLS: [&str; 3] = ["iptables", "iptables-nft", "iptables-legacy"];

/// Where clouds tell a machine its secrets: link-local addresses, and those of Alibaba, Azure and Oracle.
const METADATA: [&str; 4] = ["169.254.0.0/16", "100.100.100.200/32", "168.63.129.16/32", "192.0.0.192/32"];

/// Whether action containers are kept away from the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Isolation {
    /// The rules are installed.
    Kept,
    /// They are not, and this is why: the start-up line says so.
    NotKept(String),
}

/// An IPv4 network such as `10.0.0.0/8`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: Ipv4Addr,
    prefix: u8,
}

impl Network {
    /// The network of that address, with so long a prefix.
    pub fn new(address: Ipv4Addr, prefix: u8) -> Self {
        Self { address, prefix: prefix.min(32) }
    }

    /// How many bits all of its addresses share.
    pub fn prefix(self) -> u8 {
        self.prefix
    }

    /// Whether all of the other lies in it.
    pub fn holds(self, other: Self) -> bool {
        let ((first, last), (from, to)) = (self.range(), other.range());
        first <= from && to <= last
    }

    /// The first and the last address.
    pub fn range(self) -> (u32, u32) {
        let hosts = u32::MAX.checked_shr(u32::from(self.prefix)).unwrap_or(0);
        let first = self.address.to_bits() & !hosts;
        (first, first | hosts)
    }
}

impl std::fmt::Display for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.address, self.prefix)
    }
}

impl FromStr for Network {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (address, prefix) = text.split_once('/').unwrap_or((text, "32"));
        let network = Network { address: address.parse()?, prefix: prefix.parse()? };
        if network.prefix > 32 {
            bail!("{text} is no network: its prefix is longer than an address");
        }
        Ok(network)
    }
}

/// What the rules are about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Firewall {
    /// The bridge's device.
    pub bridge: String,
    /// Where actions reach the platform's API, on this host or on another.
    pub api: SocketAddrV4,
    /// The platform's own networks.
    pub blocked: Vec<Network>,
    /// Name servers that the host is configured with.
    pub resolvers: Vec<Ipv4Addr>,
}

impl Firewall {
    /// Installs the rules, over whatever an earlier run left.
    pub async fn install(&self) -> Isolation {
        match self.change(|existing| self.render(existing)).await {
            Ok(()) => Isolation::Kept,
            Err(error) => Isolation::NotKept(format!("{error:#}")),
        }
    }

    /// Removes them; does nothing where there are none.
    pub async fn remove(bridge: &str) -> anyhow::Result<()> {
        let Ok(tool) = tool().await else { return Ok(()) };
        let existing = run(tool, &["-w", "5", "-S"], "").await?;
        let rules = render_removal(bridge, &existing);
        if rules.is_empty() {
            return Ok(());
        }
        run(&format!("{tool}-restore"), &["-w", "5", "--noflush"], &rules).await.map(drop)
    }

    async fn change(&self, rules: impl FnOnce(&str) -> String) -> anyhow::Result<()> {
        let tool = tool().await?;
        let existing = run(tool, &["-w", "5", "-S"], "").await?;
        run(&format!("{tool}-restore"), &["-w", "5", "--noflush"], &rules(&existing)).await.map(drop)
    }

    /// The input of `iptables-restore --noflush`, given the output of `iptables -S`.
    fn render(&self, existing: &str) -> String {
        let Firewall { bridge, api, .. } = self;
        let [input, forward] = chains(bridge);
        let user = if has_chain(existing, "DOCKER-USER") { "DOCKER-USER" } else { "FORWARD" };
        // A chain that is declared is made, or emptied.
        let mut rules = format!("*filter\n:{input} - [0:0]\n:{forward} - [0:0]\n");
        rules.push_str(&jumps_away(bridge, existing));
        let mut rule = |text: std::fmt::Arguments<'_>| {
            let _ = writeln!(rules, "{text}"); // a string takes everything
        };
        rule(format_args!("-A {input} -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT"));
        rule(format_args!("-A {forward} -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN"));
        for (chain, verdict) in [(&input, "ACCEPT"), (&forward, "RETURN")] {
            let (address, port) = (api.ip(), api.port());
            rule(format_args!("-A {chain} -d {address}/32 -p tcp -m tcp --dport {port} -j {verdict}"));
        }
        for resolver in &self.resolvers {
            for (chain, verdict) in [(&input, "ACCEPT"), (&forward, "RETURN")] {
                for protocol in ["udp", "tcp"] {
                    rule(format_args!(
                        "-A {chain} -d {resolver}/32 -p {protocol} -m {protocol} --dport 53 -j {verdict}"
                    ));
                }
            }
        }
        rule(format_args!("-A {input} -j DROP"));
        rule(format_args!("-A {forward} -o {bridge} -j DROP"));
        // A port that the host publishes for another container: it is the host's.
        rule(format_args!("-A {forward} -m conntrack --ctstate DNAT -j DROP"));
        for network in METADATA {
            rule(format_args!("-A {forward} -d {network} -j DROP"));
        }
        for network in &self.blocked {
            rule(format_args!("-A {forward} -d {network} -j DROP"));
        }
        rule(format_args!("-A {forward} -j RETURN"));
        rule(format_args!("-I INPUT 1 -i {bridge} -j {input}"));
        rule(format_args!("-I {user} 1 -i {bridge} -j {forward}"));
        rule(format_args!("-I {user} 1 -o {bridge} -j {forward}"));
        rules.push_str("COMMIT\n");
        rules
    }
}

/// The names of the two chains; 28 characters are allowed, 15 are the device's.
fn chains(bridge: &str) -> [String; 2] {
    [format!("OXWHISK-I-{bridge}"), format!("OXWHISK-F-{bridge}")]
}

fn has_chain(existing: &str, chain: &str) -> bool {
    existing.lines().any(|line| line.strip_prefix("-N ") == Some(chain))
}

/// Deletes each existing jump to our chains.
fn jumps_away(bridge: &str, existing: &str) -> String {
    let chains = chains(bridge);
    existing
        .lines()
        .filter(|line| chains.iter().any(|chain| line.split(' ').any(|word| word == chain)))
        .filter_map(|line| line.strip_prefix("-A "))
        .filter(|rule| !chains.iter().any(|chain| rule.split(' ').next() == Some(chain)))
        .fold(String::new(), |all, rule| all + "-D " + rule + "\n")
}

fn render_removal(bridge: &str, existing: &str) -> String {
    let present: Vec<_> = chains(bridge).into_iter().filter(|chain| has_chain(existing, chain)).collect();
    if present.is_empty() {
        return String::new();
    }
    let all = |command: &str| present.iter().fold(String::new(), |all, chain| all + command + chain + "\n");
    format!("*filter\n{}{}{}COMMIT\n", jumps_away(bridge, existing), all("-F "), all("-X "))
}

/// The back end that Docker uses, which is where its chains are, if rules can be set at all.
pub async fn tool() -> anyhow::Result<&'static str> {
    let mut works = Err(anyhow!("iptables is not installed"));
    for tool in TOOLS {
        match run(tool, &["-w", "5", "-S", "FORWARD"], "").await {
            Ok(rules) if rules.contains("DOCKER") => return Ok(tool),
            Ok(_) => works = works.or(Ok(tool)),
            Err(error) if error.downcast_ref::<std::io::Error>().is_some() => {}
            Err(error) => works = works.or(Err(error)),
        }
    }
    works
}

async fn run(tool: &str, arguments: &[&str], input: &str) -> anyhow::Result<String> {
    let mut child = Command::new(tool)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let mut stdin = child.stdin.take().context("the pipe was asked for")?;
    let exchange = async {
        // It may refuse before it has read all; its status says more than the broken pipe.
        if let Err(error) = stdin.write_all(input.as_bytes()).await {
            warn!(%error, "{tool} does not read its input");
        }
        drop(stdin);
        child.wait_with_output().await
    };
    let output = timeout(LIMIT, exchange).await.with_context(|| format!("{tool} does not end"))??;
    if !output.status.success() {
        bail!("{tool}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// The name servers of a `resolv.conf`, without those that only the host itself can ask.
pub fn resolvers(resolv_conf: &str) -> Vec<Ipv4Addr> {
    resolv_conf
        .lines()
        .filter_map(|line| line.trim().strip_prefix("nameserver")?.trim().parse::<Ipv4Addr>().ok())
        .filter(|address| !address.is_loopback())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCKER: &str = "-P INPUT ACCEPT\n-P FORWARD DROP\n-N DOCKER-USER\n-A FORWARD -j DOCKER-USER\n-A DOCKER-USER -j RETURN\n";

    fn firewall() -> Firewall {
        Firewall {
            bridge: "ox-1a2b".into(),
            api: "172.18.0.1:3233".parse().unwrap(),
            blocked: vec!["10.9.0.0/16".parse().unwrap(), "192.0.2.7".parse().unwrap()],
            resolvers: vec![Ipv4Addr::new(192, 0, 2, 53)],
        }
    }

    #[test]
    fn the_rules() {
        assert_eq!(
            firewall().render(DOCKER),
            "*filter\n\
             :OXWHISK-I-ox-1a2b - [0:0]\n\
             :OXWHISK-F-ox-1a2b - [0:0]\n\
             -A OXWHISK-I-ox-1a2b -m conntrack --ctstate RELATED,ESTABLISHED -j ACCEPT\n\
             -A OXWHISK-F-ox-1a2b -m conntrack --ctstate RELATED,ESTABLISHED -j RETURN\n\
             -A OXWHISK-I-ox-1a2b -d 172.18.0.1/32 -p tcp -m tcp --dport 3233 -j ACCEPT\n\
             -A OXWHISK-F-ox-1a2b -d 172.18.0.1/32 -p tcp -m tcp --dport 3233 -j RETURN\n\
             -A OXWHISK-I-ox-1a2b -d 192.0.2.53/32 -p udp -m udp --dport 53 -j ACCEPT\n\
             -A OXWHISK-I-ox-1a2b -d 192.0.2.53/32 -p tcp -m tcp --dport 53 -j ACCEPT\n\
             -A OXWHISK-F-ox-1a2b -d 192.0.2.53/32 -p udp -m udp --dport 53 -j RETURN\n\
             -A OXWHISK-F-ox-1a2b -d 192.0.2.53/32 -p tcp -m tcp --dport 53 -j RETURN\n\
             -A OXWHISK-I-ox-1a2b -j DROP\n\
             -A OXWHISK-F-ox-1a2b -o ox-1a2b -j DROP\n\
             -A OXWHISK-F-ox-1a2b -m conntrack --ctstate DNAT -j DROP\n\
             -A OXWHISK-F-ox-1a2b -d 169.254.0.0/16 -j DROP\n\
             -A OXWHISK-F-ox-1a2b -d 100.100.100.200/32 -j DROP\n\
             -A OXWHISK-F-ox-1a2b -d 168.63.129.16/32 -j DROP\n\
             -A OXWHISK-F-ox-1a2b -d 192.0.0.192/32 -j DROP\n\
             -A OXWHISK-F-ox-1a2b -d 10.9.0.0/16 -j DROP\n\
             -A OXWHISK-F-ox-1a2b -d 192.0.2.7/32 -j DROP\n\
             -A OXWHISK-F-ox-1a2b -j RETURN\n\
             -I INPUT 1 -i ox-1a2b -j OXWHISK-I-ox-1a2b\n\
             -I DOCKER-USER 1 -i ox-1a2b -j OXWHISK-F-ox-1a2b\n\
             -I DOCKER-USER 1 -o ox-1a2b -j OXWHISK-F-ox-1a2b\n\
             COMMIT\n"
        );
        assert!(firewall().render("").contains("-I FORWARD 1 -i ox-1a2b -j OXWHISK-F-ox-1a2b\n"));
    }

    #[test]
    fn debris_is_replaced_and_removed_and_others_are_left() {
        let existing = format!(
            "{DOCKER}-N OXWHISK-I-ox-1a2b\n-N OXWHISK-F-ox-1a2b\n-N OXWHISK-I-ox-1a2b9\n\
             -A INPUT -i ox-1a2b -j OXWHISK-I-ox-1a2b\n-A INPUT -i ox-1a2b -j OXWHISK-I-ox-1a2b\n\
             -A INPUT -i ox-1a2b9 -j OXWHISK-I-ox-1a2b9\n\
             -A DOCKER-USER -i ox-1a2b -j OXWHISK-F-ox-1a2b\n-A OXWHISK-I-ox-1a2b -j DROP\n"
        );
        let away = "-D INPUT -i ox-1a2b -j OXWHISK-I-ox-1a2b\n-D INPUT -i ox-1a2b -j OXWHISK-I-ox-1a2b\n\
                    -D DOCKER-USER -i ox-1a2b -j OXWHISK-F-ox-1a2b\n";
        assert!(firewall().render(&existing).contains(away));
        assert_eq!(
            render_removal("ox-1a2b", &existing),
            format!(
                "*filter\n{away}-F OXWHISK-I-ox-1a2b\n-F OXWHISK-F-ox-1a2b\n\
                 -X OXWHISK-I-ox-1a2b\n-X OXWHISK-F-ox-1a2b\nCOMMIT\n"
            )
        );
        assert_eq!(render_removal("ox-1a2b", DOCKER), "");
    }

    #[test]
    fn networks_and_resolvers_are_parsed() {
        for wrong in ["", "10.0.0.0/33", "fe80::/10", "10.0.0/8", "10.0.0.0/8 -j ACCEPT"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
        let text =
            "# made by hand\nnameserver 192.0.2.53\nnameserver 127.0.0.53\nnameserver ::1\nsearch example\n";
        assert_eq!(resolvers(text), [Ipv4Addr::new(192, 0, 2, 53)]);
    }
}
