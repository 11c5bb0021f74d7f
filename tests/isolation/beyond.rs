//! A machine beyond the host: a container with a cable of its own, which Docker knows nothing of.

use std::net::Ipv4Addr;

use bollard::models::HostConfig;
use tests::daemon::{Daemon, Plain};

use crate::decoys::{SERVER, ip};

/// A machine that the host forwards to, and its addresses.
pub struct Beyond {
    /// The container's id.
    pub id: String,
    /// An address as on the internet.
    pub open: Ipv4Addr,
    /// One in a network that the operator denies.
    pub denied: Ipv4Addr,
    /// A link-local one.
    pub link_local: Ipv4Addr,
}

impl Beyond {
    /// Networks of this machine alone: those that are set apart for measurements.
    pub fn addresses() -> [Ipv4Addr; 3] {
        let [a, b, ..] = *uuid::Uuid::new_v4().as_bytes();
        let of = |first: u8, second: u8| Ipv4Addr::new(first, second, a, (b & 0xfc) | 2);
        [of(198, 18), of(198, 19), of(169, 254)]
    }

    /// Starts it at these addresses, with a server that tells the word.
    pub async fn start(
        daemon: &Daemon,
        [open, denied, link_local]: [Ipv4Addr; 3],
        port: u16,
        word: &str,
    ) -> Self {
        let host = HostConfig { network_mode: Some("none".to_owned()), ..Default::default() };
        let command = ["python3", "-c", SERVER, &port.to_string(), word].map(str::to_owned).to_vec();
        let id = daemon.start(Plain { command, host, ..Default::default() }).await;
        let process = daemon.process(&id).await;
        let device = format!("oxb{}", &word[..10]);
        ip(&format!("link add {device} type veth peer name cable netns {process}"));
        ip(&format!("link set {device} up"));
        let inside = |words: &str| {
            let mut command = std::process::Command::new("nsenter");
            command.args(["--target", &process.to_string(), "--net", "ip"]).args(words.split(' '));
            assert!(command.status().unwrap().success(), "{words}");
        };
        inside("link set cable up");
        let host_end = |address: Ipv4Addr| Ipv4Addr::from_bits(address.to_bits() - 1);
        for address in [open, denied, link_local] {
            ip(&format!("addr add {}/30 dev {device}", host_end(address)));
            inside(&format!("addr add {address}/30 dev cable"));
        }
        inside(&format!("route add default via {}", host_end(open)));
        Self { id, open, denied, link_local }
    }
}
