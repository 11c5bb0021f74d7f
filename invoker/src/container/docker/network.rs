//! The bridge that one platform instance's action containers share: no traffic between them, no IPv6.
//!
//! Only the host's own network namespace reaches it, so no port is published (Docker's port proxy costs
//! more than half of the throughput). It is adopted when an earlier run of the same instance left it as it
//! must be, and replaced when not.

use std::collections::HashMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use anyhow::{Context, anyhow};
use bollard::models::{Ipam, IpamConfig, NetworkCreateRequest, NetworkInspect};
use tokio::time::{Instant, sleep};
use tracing::info;

use super::daemon::{Daemon, status_of};
use super::firewall::Network;
use super::{LABEL_INSTANCE, LABEL_RUN, pools};
use crate::container::RuntimeError;

/// On networks whose addresses we hand out ourselves.
const LABEL_ADDRESSES: &str = "oxwhisk.addresses";
/// Attempts to make the network: another one may take its addresses in between.
const ATTEMPTS: usize = 3;
/// How long the last containers may take to leave a network that is removed.
const EMPTY_WITHIN: Duration = Duration::from_secs(5);

/// A made network.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bridge {
    /// Docker's name for it.
    pub network: String,
    /// The device's.
    pub device: String,
    /// The host's address on it.
    pub gateway: Ipv4Addr,
    /// Its addresses.
    pub subnet: Network,
}

/// Leaves IPv6 off on the host's end of the bridge, so that not even its link-local address answers there.
/// Containers have none either, by Docker's own doing; where this may not be written, that has to do.
pub async fn without_ipv6(device: &str) {
    let switch = format!("/proc/sys/net/ipv6/conf/{device}/disable_ipv6");
    match tokio::fs::write(&switch, "1").await {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => {
            info!(%error, "IPv6 stays on at the host's end of {device}: {switch} cannot be written")
        }
        Ok(()) => {}
    }
}

/// Docker's name for an instance's network.
pub fn name(instance: &str) -> String {
    format!("oxwhisk-{instance}")
}

/// The bridge's device: at most 15 characters.
pub fn device(instance: &str) -> String {
    let short: String = instance.chars().filter(char::is_ascii_alphanumeric).take(12).collect();
    format!("ox-{short}")
}

/// Makes the network, or takes over a fitting one.
pub async fn ensure(
    daemon: &Daemon,
    instance: &str,
    run: &str,
    pool: Option<Network>,
) -> Result<Bridge, RuntimeError> {
    let bridge = make(daemon, instance, run, pool).await?;
    without_ipv6(&bridge.device).await;
    Ok(bridge)
}

async fn make(
    daemon: &Daemon,
    instance: &str,
    run: &str,
    pool: Option<Network>,
) -> Result<Bridge, RuntimeError> {
    let network = name(instance);
    let device = device(instance);
    if let Some(existing) = inspect(daemon, &network).await? {
        if is_fitting(&existing, &device)
            && let Ok((subnet, gateway)) = addresses(&existing)
            && pool.is_none_or(|pool| pool.holds(subnet))
        {
            return Ok(Bridge { network, device, gateway, subnet });
        }
        info!("replacing the network {network}, which is not as it must be");
        daemon.remove_labelled(LABEL_INSTANCE, instance).await?;
        remove(daemon, &network).await?;
    }
    let request = request(&network, &device, instance, run);
    if let Some(pool) = pool {
        let (subnet, gateway) = make_in(daemon, pool, &request).await?;
        return Ok(Bridge { network, device, gateway, subnet });
    }
    // Docker knows which addresses are free, but lets us hand out only what we have asked for ourselves.
    let mut attempts = 0;
    loop {
        attempts += 1;
        create(daemon, request.clone()).await?;
        let chosen = inspect(daemon, &network).await?.and_then(|made| addresses(&made).ok());
        remove(daemon, &network).await?;
        let (subnet, gateway) = chosen.ok_or_else(|| {
            RuntimeError::failed("create", &network, anyhow!("Docker gave it no IPv4 addresses"))
        })?;
        match create(daemon, with_addresses(request.clone(), subnet, gateway)).await {
            Ok(()) => return Ok(Bridge { network, device, gateway, subnet }),
            Err(error) if attempts == ATTEMPTS => return Err(error),
            Err(error) => info!("making the network {network} again: {:#}", anyhow!(error)),
        }
    }
}

/// Makes a network in a pool of ours, at the first addresses that nobody has.
async fn make_in(
    daemon: &Daemon,
    pool: Network,
    request: &NetworkCreateRequest,
) -> Result<(Network, Ipv4Addr), RuntimeError> {
    let networks = daemon.docker.list_networks(None).await;
    let networks = networks.map_err(Daemon::fault("list networks for", &request.name))?;
    let mut last = anyhow!("no addresses are left in whisk.docker.address-pool {pool}");
    for subnet in pools::ours(pool, &pools::taken(&networks)).take(ATTEMPTS) {
        let gateway = Ipv4Addr::from_bits(subnet.range().0 + 1);
        match create(daemon, with_addresses(request.clone(), subnet, gateway)).await {
            Ok(()) => return Ok((subnet, gateway)),
            // Another instance may just have taken them.
            Err(error @ RuntimeError::Failed { .. }) => last = error.into(),
            Err(error) => return Err(error),
        }
    }
    Err(RuntimeError::failed("create", &request.name, last))
}

/// Makes it again as it was, if it is gone.
pub async fn restore(
    daemon: &Daemon,
    instance: &str,
    run: &str,
    bridge: &Bridge,
) -> Result<(), RuntimeError> {
    let Bridge { network, device, gateway, subnet } = bridge;
    if let Some(existing) = inspect(daemon, network).await? {
        let fits = is_fitting(&existing, device)
            && addresses(&existing).is_ok_and(|found| found == (*subnet, *gateway));
        if fits {
            return Ok(());
        }
        info!("replacing the network {network}, which is not as it was");
        daemon.remove_labelled(LABEL_INSTANCE, instance).await?;
        remove(daemon, network).await?;
    }
    let request = request(network, device, instance, run);
    create(daemon, with_addresses(request, *subnet, *gateway)).await
}

fn request(network: &str, device: &str, instance: &str, run: &str) -> NetworkCreateRequest {
    let labels = [(LABEL_INSTANCE, instance), (LABEL_RUN, run), (LABEL_ADDRESSES, "ours")];
    NetworkCreateRequest {
        name: network.to_owned(),
        driver: Some("bridge".to_owned()),
        enable_ipv6: Some(false),
        options: Some(options(device)),
        labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
        ..Default::default()
    }
}

fn with_addresses(request: NetworkCreateRequest, subnet: Network, gateway: Ipv4Addr) -> NetworkCreateRequest {
    let config = IpamConfig {
        subnet: Some(subnet.to_string()),
        gateway: Some(gateway.to_string()),
        ..Default::default()
    };
    let ipam = Some(Ipam { config: Some(vec![config]), ..Default::default() });
    NetworkCreateRequest { ipam, ..request }
}

async fn create(daemon: &Daemon, request: NetworkCreateRequest) -> Result<(), RuntimeError> {
    let name = request.name.clone();
    daemon.docker.create_network(request).await.map(drop).map_err(Daemon::fault("create network", &name))
}

/// Removes a network; one that is gone is no error.
pub async fn remove(daemon: &Daemon, network: &str) -> Result<(), RuntimeError> {
    let deadline = Instant::now() + EMPTY_WITHIN;
    loop {
        let Err(error) = daemon.docker.remove_network(network).await else { return Ok(()) };
        match status_of(&error) {
            Some(404) => return Ok(()),
            // Containers that are being removed are still on it.
            Some(403) if Instant::now() < deadline => sleep(Duration::from_millis(50)).await,
            _ => return Err(Daemon::fault("remove network", network)(error)),
        }
    }
}

/// The instances other than `but` whose networks an earlier run made.
pub async fn instances_of(daemon: &Daemon, run: &str, but: &str) -> Result<Vec<String>, RuntimeError> {
    let filters = HashMap::from([("label", vec![format!("{LABEL_RUN}={run}")])]);
    let options = bollard::query_parameters::ListNetworksOptionsBuilder::new().filters(&filters).build();
    let networks =
        daemon.docker.list_networks(Some(options)).await.map_err(Daemon::fault("list networks of", run))?;
    let instance = |mut labels: HashMap<String, String>| labels.remove(LABEL_INSTANCE);
    Ok(networks.into_iter().filter_map(|n| n.labels.and_then(instance)).filter(|i| i != but).collect())
}

async fn inspect(daemon: &Daemon, network: &str) -> Result<Option<NetworkInspect>, RuntimeError> {
    match daemon.docker.inspect_network(network, None).await {
        Ok(found) => Ok(Some(found)),
        Err(error) if status_of(&error) == Some(404) => Ok(None),
        Err(error) => Err(Daemon::fault("inspect", network)(error)),
    }
}

fn options(device: &str) -> HashMap<String, String> {
    let option = |key: &str, value: &str| (format!("com.docker.network.bridge.{key}"), value.to_owned());
    [option("name", device), option("enable_icc", "false"), option("enable_ip_masquerade", "true")].into()
}

fn is_fitting(network: &NetworkInspect, device: &str) -> bool {
    let labels = network.labels.as_ref();
    network.options.as_ref() == Some(&options(device))
        && labels.is_some_and(|labels| labels.contains_key(LABEL_ADDRESSES))
}

/// The IPv4 subnet and the gateway in it.
fn addresses(network: &NetworkInspect) -> anyhow::Result<(Network, Ipv4Addr)> {
    let mut configs = network.ipam.iter().flat_map(|ipam| ipam.config.iter().flatten());
    let config = configs.next().context("it has no addresses")?;
    let subnet = config.subnet.as_deref().unwrap_or_default();
    let gateway = config.gateway.as_deref().unwrap_or_default();
    let subnet = subnet.parse().with_context(|| format!("its subnet is '{subnet}'"))?;
    Ok((subnet, gateway.parse().with_context(|| format!("its gateway is '{gateway}'"))?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_name_is_short_enough() {
        for (instance, expected) in
            [("1a2b", "ox-1a2b"), ("0123456789abcdef", "ox-0123456789ab"), ("a/b c", "ox-abc")]
        {
            assert_eq!(device(instance), expected);
            assert!(device(instance).len() <= 15);
        }
    }
}
