//! What the Docker daemon and the firewall of this machine know about one server.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::net::Ipv4Addr;
use std::process::Command;

use bollard::Docker;
use bollard::query_parameters::{ListContainersOptionsBuilder, ListNetworksOptionsBuilder};

/// The label that says whose container or network it is.
const INSTANCE: &str = "oxwhisk.instance";

/// This machine's address on Docker's own bridge; on loopback if there is none.
pub fn bridge_address() -> Ipv4Addr {
    let output = Command::new("ip").args(["-4", "-o", "addr", "show", "docker0"]).output();
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    let network = text.split_ascii_whitespace().find_map(|word| word.split_once('/'));
    network.and_then(|(address, _)| address.parse().ok()).unwrap_or(Ipv4Addr::LOCALHOST)
}

/// The Docker side of one server.
#[derive(Clone, Debug)]
pub struct Instance {
    docker: Docker,
    label: String,
}

impl Instance {
    /// The instance that one of its containers belongs to.
    ///
    /// # Panics
    ///
    /// If the daemon does not answer, or the container carries no such label.
    pub async fn of_container(id: &str) -> Self {
        Self::on(Docker::connect_with_defaults().expect("the daemon's address is well formed"), id).await
    }

    /// The same of another daemon than the usual one.
    ///
    /// # Panics
    ///
    /// As [`Instance::of_container`].
    pub async fn on(docker: Docker, id: &str) -> Self {
        let docker = docker.negotiate_version().await.expect("the Docker daemon answers");
        let container = docker.inspect_container(id, None).await.expect("the action's container is there");
        let labels = container.config.and_then(|config| config.labels).unwrap_or_default();
        let label = labels.get(INSTANCE).unwrap_or_else(|| panic!("container {id} has no label {INSTANCE}"));
        Self { label: label.clone(), docker }
    }

    fn filter(&self) -> HashMap<String, Vec<String>> {
        HashMap::from([("label".to_owned(), vec![format!("{INSTANCE}={}", self.label)])])
    }

    /// The ids of its containers, those that do not run included.
    pub async fn containers(&self) -> BTreeSet<String> {
        let options = ListContainersOptionsBuilder::default().all(true).filters(&self.filter()).build();
        let listed = self.docker.list_containers(Some(options)).await.expect("the Docker daemon answers");
        listed.into_iter().filter_map(|container| container.id).collect()
    }

    /// The process ids, on this machine, of what its running containers run first.
    pub async fn processes(&self) -> BTreeMap<String, i64> {
        let mut found = BTreeMap::new();
        for id in self.containers().await {
            // A container may go while we look.
            let Ok(container) = self.docker.inspect_container(&id, None).await else { continue };
            let process = container.state.and_then(|state| state.pid).unwrap_or_default();
            if process != 0 {
                found.insert(id, process);
            }
        }
        found
    }

    /// The text of one file inside each running container that has it.
    pub async fn read_in_all(&self, path: &str) -> Vec<String> {
        let processes = self.processes().await;
        let files = processes.values().map(|process| format!("/proc/{process}/root{path}"));
        files.filter_map(|file| fs::read_to_string(file).ok()).collect()
    }

    /// The names of its networks and of the bridges behind them.
    pub async fn networks(&self) -> BTreeSet<String> {
        let options = ListNetworksOptionsBuilder::default().filters(&self.filter()).build();
        let listed = self.docker.list_networks(Some(options)).await.expect("the Docker daemon answers");
        let mut names = BTreeSet::new();
        for network in listed {
            let options = network.options.unwrap_or_default();
            names.extend(options.get("com.docker.network.bridge.name").cloned());
            names.extend(network.id.map(|id| format!("br-{}", &id[..12])));
            names.extend(network.name);
        }
        names
    }

    /// The lines of the firewall that mention the instance or one of these networks.
    pub fn firewall(&self, networks: &BTreeSet<String>) -> Vec<String> {
        let Ok(output) = Command::new("iptables-save").output() else { return Vec::new() };
        let rules = String::from_utf8_lossy(&output.stdout).into_owned();
        let mentioned =
            |line: &&str| line.contains(&self.label) || networks.iter().any(|name| line.contains(name));
        rules.lines().filter(mentioned).map(str::to_owned).collect()
    }
}
