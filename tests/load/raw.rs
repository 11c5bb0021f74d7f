//! The baseline of a cold start: the same image through Docker's API alone, created, started, and asked
//! until it answers `/init` and `/run`.

use std::time::Duration;

use anyhow::Context;
use bollard::Docker;
use bollard::models::{ContainerCreateBody, HostConfig};
use bollard::query_parameters::{CreateContainerOptions, RemoveContainerOptions};
use tokio::time::{Instant, sleep};

/// One cold start on `network`, in ms, from the first word to Docker to the answer of `/run`.
pub async fn cold_start(
    docker: &Docker,
    image: &str,
    network: &str,
    init: &str,
    run: &str,
) -> anyhow::Result<f64> {
    let begun = Instant::now();
    let id = create(docker, image, network).await?;
    let outcome = answer(docker, &id, network, init, run).await;
    let took = begun.elapsed().as_secs_f64() * 1e3;
    remove(docker, &id).await?;
    outcome.map(|()| took)
}

/// A container that is not started; returns its id.
pub async fn create(docker: &Docker, image: &str, network: &str) -> anyhow::Result<String> {
    let body = ContainerCreateBody {
        image: Some(image.to_owned()),
        host_config: Some(HostConfig {
            memory: Some(256 << 20),
            memory_swap: Some(256 << 20),
            network_mode: Some(network.to_owned()),
            ..HostConfig::default()
        }),
        ..ContainerCreateBody::default()
    };
    Ok(docker.create_container(None::<CreateContainerOptions>, body).await?.id)
}

/// Removes a container by force.
pub async fn remove(docker: &Docker, id: &str) -> anyhow::Result<()> {
    let force = RemoveContainerOptions { force: true, ..RemoveContainerOptions::default() };
    Ok(docker.remove_container(id, Some(force)).await?)
}

/// Starts a container and asks it until it has answered.
pub async fn answer(docker: &Docker, id: &str, network: &str, init: &str, run: &str) -> anyhow::Result<()> {
    docker.start_container(id, None).await?;
    let address = address(docker, id, network).await?;
    let client = tests::client::http().build()?;
    let post = |path: &str, body: &str| {
        client
            .post(format!("http://{address}:8080{path}"))
            .header("content-type", "application/json")
            .body(body.to_owned())
            .timeout(Duration::from_secs(10))
            .send()
    };
    let begun = Instant::now();
    while let Err(error) = post("/init", init).await {
        if begun.elapsed() > Duration::from_secs(20) {
            return Err(error).context("the container does not listen");
        }
        sleep(Duration::from_millis(2)).await;
    }
    post("/run", run).await?.error_for_status()?;
    Ok(())
}

/// A container's address on a network.
pub async fn address(docker: &Docker, id: &str, network: &str) -> anyhow::Result<String> {
    let found = docker.inspect_container(id, None).await?;
    found
        .network_settings
        .and_then(|settings| settings.networks)
        .and_then(|mut networks| networks.remove(network))
        .and_then(|endpoint| endpoint.ip_address)
        .context("the container has no address")
}
