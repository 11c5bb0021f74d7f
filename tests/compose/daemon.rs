//! What the Docker daemon knows of one stack, and of the containers that its invokers have made.

use std::collections::{BTreeSet, HashMap};

use bollard::Docker;
use bollard::models::{ContainerInspectResponse, ContainerStateStatusEnum, HealthStatusEnum};
use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder,
    StopContainerOptionsBuilder,
};
use tests::docker::Instance;

/// Compose's label of what belongs to a project, and of the service that a container is one of.
const PROJECT: &str = "com.docker.compose.project";
const SERVICE: &str = "com.docker.compose.service";
/// Ours, of whose container it is.
const INSTANCE: &str = "oxwhisk.instance";
/// Longer than an invoker needs to drain.
const GRACE: i32 = 60;

/// The daemon, and whose things are looked at.
pub struct Daemon {
    /// The client.
    pub docker: Docker,
    project: String,
}

/// An invoker, as the label of its containers.
pub type Invoker = String;

impl Daemon {
    /// The daemon of this machine.
    pub async fn of(project: &str) -> Self {
        let docker = Docker::connect_with_defaults().expect("the daemon's address is well formed");
        let docker = docker.negotiate_version().await.expect("the Docker daemon answers");
        Self { docker, project: project.to_owned() }
    }

    fn filter(&self) -> HashMap<String, Vec<String>> {
        HashMap::from([("label".to_owned(), vec![format!("{PROJECT}={}", self.project)])])
    }

    /// The ids of the stack's containers.
    pub async fn containers(&self) -> BTreeSet<String> {
        let options = ListContainersOptionsBuilder::default().all(true).filters(&self.filter()).build();
        let listed = self.docker.list_containers(Some(options)).await.expect("the Docker daemon answers");
        listed.into_iter().filter_map(|container| container.id).collect()
    }

    async fn inspected(&self) -> Vec<ContainerInspectResponse> {
        let mut found = Vec::new();
        for id in self.containers().await {
            found.push(self.docker.inspect_container(&id, None).await.expect("nobody else removes it"));
        }
        found
    }

    async fn of_service(&self, service: &str) -> Vec<ContainerInspectResponse> {
        let mut all = self.inspected().await;
        all.retain(|container| label(container, SERVICE) == service);
        assert!(!all.is_empty(), "{service} has a container");
        all
    }

    /// How many of them are healthy.
    pub async fn healthy(&self) -> usize {
        let is_healthy = |container: &ContainerInspectResponse| {
            let health = container.state.as_ref().and_then(|state| state.health.as_ref());
            health.and_then(|health| health.status) == Some(HealthStatusEnum::HEALTHY)
        };
        self.inspected().await.iter().filter(|container| is_healthy(container)).count()
    }

    /// When the first container of a service started; RFC 3339, so that texts compare as times.
    pub async fn started(&self, service: &str) -> String {
        let all = self.of_service(service).await;
        let times = all.into_iter().filter_map(|container| container.state?.started_at);
        times.min().expect("it was started")
    }

    /// When the container of a service ended, which it did without an error.
    pub async fn ended_well(&self, service: &str) -> String {
        let container = self.of_service(service).await.remove(0);
        let state = container.state.expect("a container has a state");
        assert_eq!(state.status, Some(ContainerStateStatusEnum::EXITED), "{service} has ended");
        assert_eq!(state.exit_code, Some(0), "{service} ended without an error");
        state.finished_at.expect("it has ended")
    }

    /// Stops one container of a service as `docker stop` does; returns when it has ended, without an error.
    pub async fn stop_one(&self, service: &str) {
        let id = self.of_service(service).await.remove(0).id.expect("a container has an id");
        let options = StopContainerOptionsBuilder::default().t(GRACE).build();
        self.docker.stop_container(&id, Some(options)).await.expect("a container can be stopped");
        let state = self.docker.inspect_container(&id, None).await.expect("it is still known").state;
        assert_eq!(state.and_then(|state| state.exit_code), Some(0), "{service} ends without an error");
    }

    /// The invoker that has made the container with this host name, as long as it is there.
    pub async fn invoker_of(&self, hostname: &str) -> Option<Invoker> {
        let container = self.docker.inspect_container(hostname, None).await.ok()?;
        Some(label(&container, INSTANCE).to_owned())
    }

    /// What is there of the stack and of these invokers.
    pub async fn left(&self, invokers: &[Instance]) -> Vec<String> {
        let mut left: Vec<String> = self.containers().await.into_iter().collect();
        let options = ListNetworksOptionsBuilder::default().filters(&self.filter()).build();
        let networks = self.docker.list_networks(Some(options)).await.expect("the Docker daemon answers");
        left.extend(networks.into_iter().filter_map(|network| network.name));
        let options = ListVolumesOptionsBuilder::default().filters(&self.filter()).build();
        let volumes = self.docker.list_volumes(Some(options)).await.expect("the Docker daemon answers");
        left.extend(volumes.volumes.into_iter().flatten().map(|volume| volume.name));
        for instance in invokers {
            let networks = instance.networks().await;
            left.extend(instance.containers().await);
            left.extend(instance.firewall(&networks));
            left.extend(networks);
        }
        left
    }
}

fn label<'a>(container: &'a ContainerInspectResponse, name: &str) -> &'a str {
    let labels = container.config.as_ref().and_then(|config| config.labels.as_ref());
    labels.and_then(|labels| labels.get(name)).map_or("", String::as_str)
}
