//! What the Docker daemon knows of one installation, whose things are called by its prefix.

use std::collections::{BTreeMap, BTreeSet};

use bollard::Docker;
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptions, ListVolumesOptions, LogsOptionsBuilder,
};
use futures::TryStreamExt;
use tests::docker::Instance;
use tokio::process::Command;

/// The daemon, and whose things are looked at.
pub struct Daemon {
    /// The client.
    pub docker: Docker,
    prefix: String,
}

impl Daemon {
    /// The daemon of this machine.
    pub async fn of(prefix: &str) -> Self {
        let docker = Docker::connect_with_defaults().expect("the daemon's address is well formed");
        let docker = docker.negotiate_version().await.expect("the Docker daemon answers");
        Self { docker, prefix: prefix.to_owned() }
    }

    /// Its containers without the prefix, and the image of each, those that do not run included.
    pub async fn containers(&self) -> BTreeMap<String, String> {
        let options = ListContainersOptionsBuilder::default().all(true).build();
        let listed = self.docker.list_containers(Some(options)).await.expect("the Docker daemon answers");
        let ours = listed.into_iter().filter_map(|container| {
            let name = container.names?.into_iter().next()?;
            let name = name.trim_start_matches('/').strip_prefix(&self.prefix)?.to_owned();
            Some((name, container.image.unwrap_or_default()))
        });
        ours.collect()
    }

    /// Its volumes, without the prefix.
    pub async fn volumes(&self) -> BTreeSet<String> {
        let listed = self.docker.list_volumes(None::<ListVolumesOptions>).await;
        let volumes = listed.expect("the Docker daemon answers").volumes.unwrap_or_default();
        volumes
            .iter()
            .filter_map(|volume| volume.name.strip_prefix(&self.prefix).map(str::to_owned))
            .collect()
    }

    /// What is there of it, and of these invokers.
    pub async fn left(&self, invokers: &[Instance]) -> Vec<String> {
        let mut left: Vec<String> = self.containers().await.into_keys().collect();
        left.extend(self.volumes().await);
        let networks = self.docker.list_networks(None::<ListNetworksOptions>).await;
        let names =
            networks.expect("the Docker daemon answers").into_iter().filter_map(|network| network.name);
        left.extend(names.filter(|name| name.starts_with(&self.prefix)));
        for instance in invokers {
            let networks = instance.networks().await;
            left.extend(instance.containers().await);
            left.extend(instance.firewall(&networks));
            left.extend(networks);
        }
        left
    }

    /// Runs a program in one of its containers; it must succeed.
    pub async fn run_in(&self, container: &str, line: &[&str]) {
        let container = format!("{}{container}", self.prefix);
        let output = Command::new("docker").arg("exec").arg(&container).args(line).output().await;
        let output = output.expect("Docker's client is installed");
        assert!(output.status.success(), "{line:?}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// What its containers have printed.
    pub async fn logs(&self) -> String {
        let mut all = String::new();
        for name in self.containers().await.into_keys() {
            let options = LogsOptionsBuilder::default().stdout(true).stderr(true).build();
            let lines = self.docker.logs(&format!("{}{name}", self.prefix), Some(options));
            let lines: Vec<String> =
                lines.map_ok(|line| line.to_string()).try_collect().await.unwrap_or_default();
            all.push_str(&lines.iter().map(|line| format!("{name} | {line}")).collect::<String>());
        }
        all
    }
}
