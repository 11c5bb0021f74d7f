//! What is wrong with a Docker daemon and its machine for us. It is asked; nothing is made or pulled.

pub mod wants;

use std::collections::HashMap;
use std::path::Path;

use bollard::models::{Network as DockerNetwork, SystemInfo};
use common::doctor::{Finding, machine};
use common::entity::limits::ByteSize;

use self::wants::{Wanted, Wants};
use super::daemon::{Daemon, status_of};
use super::firewall::{self, Network};
use super::{LABEL_BUILDER, LABEL_FRAMING, LABEL_INSTANCE, disk, pools};
use crate::container::freezer;

/// Docker 20.10, the oldest that we are tried with.
const OLDEST_API: (u32, u32) = (1, 41);

/// The cgroup file system.
const CGROUPS: &str = "/sys/fs/cgroup";

/// What a look at the images found.
enum Image {
    There {
        is_counted: bool,
    },
    /// It is here, but not the one that compiles for it.
    WithoutBuilder(String),
    Missing,
    Unknown(String),
}

/// Asks the daemon.
pub async fn examine(host: Option<&str>, wants: &Wants) -> Vec<Finding> {
    let shown = host.map(str::to_owned).or_else(|| std::env::var("DOCKER_HOST").ok());
    let shown = shown.unwrap_or_else(|| "/var/run/docker.sock".to_owned());
    let (daemon, info, networks) = match ask(host).await {
        Ok(told) => told,
        Err(error) => {
            let why = format!("{error:#}");
            let remedy = match why.to_lowercase().contains("permission denied") {
                true => "run as root, or as a user of the group docker",
                false => "start it, or set DOCKER_HOST",
            };
            return vec![Finding::fail(format!("Docker at {shown} does not answer: {why}"), remedy)];
        }
    };
    let version = daemon.docker.version().await.unwrap_or_default();
    let api = version.api_version.unwrap_or_default();
    let mut found = vec![judge_version(info.server_version.as_deref().unwrap_or_default(), &api)];
    found.extend(judge_daemon(&info));
    let root = Path::new(info.docker_root_dir.as_deref().unwrap_or("/var/lib/docker"));
    found.push(judge_driver(&info, wants.disk, root.is_dir()));
    found.push(freezer_of(&info));
    found.push(match firewall::tool().await {
        Ok(tool) => {
            Finding::ok(format!("the firewall that keeps actions from this host can be set ({tool})"))
        }
        Err(error) => Finding::warn(
            format!("the firewall cannot be set, and actions reach this host's services: {error:#}"),
            "install iptables, and run as root or with NET_ADMIN in the host's network",
        ),
    });
    found.push(pools_left(&info, &networks, wants.address_pool));
    let memory = info.mem_total.and_then(|bytes| u64::try_from(bytes).ok());
    found.push(machine::memory(wants.user_memory, memory));
    if root.is_dir() {
        found.push(machine::disk("images and containers", root));
    }
    for wanted in &wants.images {
        let image = look_for(&daemon, &wanted.image).await;
        found.push(judge_image(wanted, &image));
    }
    found
}

async fn ask(host: Option<&str>) -> anyhow::Result<(Daemon, SystemInfo, Vec<DockerNetwork>)> {
    let daemon = Daemon::connect(host).await?;
    let info = daemon.docker.info().await.map_err(Daemon::fault("ask", "Docker"))?;
    let networks =
        daemon.docker.list_networks(None).await.map_err(Daemon::fault("list the networks of", "Docker"))?;
    Ok((daemon, info, networks))
}

fn judge_version(version: &str, api: &str) -> Finding {
    let told = format!("Docker {version} answers (API {api})");
    let number =
        api.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    match number {
        Some(number) if number < OLDEST_API => Finding::fail(told, "upgrade it to 20.10 or newer"),
        _ => Finding::ok(told),
    }
}

/// What the daemon must be able to do to a container.
fn judge_daemon(info: &SystemInfo) -> Vec<Finding> {
    let mut found = Vec::new();
    let cgroups = "use a kernel, and mount its cgroups, with that controller";
    if info.memory_limit == Some(false) {
        found.push(Finding::fail("Docker cannot bound the memory of containers", cgroups));
    }
    if info.pids_limit == Some(false) {
        found.push(Finding::fail("Docker cannot bound the processes of containers", cgroups));
    }
    if info.cpu_shares == Some(false) {
        found.push(Finding::warn("Docker cannot share processors by weight", cgroups));
    }
    if info.swap_limit == Some(false) {
        found.push(Finding::warn(
            "Docker cannot bound the swap of containers, which may use twice their memory with it",
            "start the kernel with swapaccount=1, or have no swap",
        ));
    }
    if info.ipv4_forwarding == Some(false) {
        let remedy = "sysctl net.ipv4.ip_forward=1";
        found.push(Finding::warn("the kernel forwards nothing: actions do not reach the internet", remedy));
    }
    let options = info.security_options.as_deref().unwrap_or_default();
    let has = |name: &str| {
        options.iter().any(|option| option.split(',').any(|part| part == format!("name={name}")))
    };
    if !has("seccomp") {
        found.push(Finding::warn(
            "Docker filters no system calls (seccomp)",
            "use a kernel and a Docker with seccomp",
        ));
    }
    if has("rootless") {
        found.push(Finding::warn(
            "Docker runs without root: its bridge is out of this host's reach",
            "use a daemon that runs as root",
        ));
    }
    found.push(match info.default_runtime.as_deref() {
        Some("runc") | None => Finding::ok("containers are run by runc"),
        Some(other) => Finding::warn(
            format!("containers are run by {other}, with which nothing was tried"),
            "make runc the default runtime",
        ),
    });
    found
}

fn judge_driver(info: &SystemInfo, limit: ByteSize, is_visible: bool) -> Finding {
    let driver = info.driver.as_deref().unwrap_or_default();
    let status = info.driver_status.as_deref().unwrap_or_default();
    let told = |how: &str| format!("what a container writes (storage driver {driver}) {how}");
    let exact = "btrfs, zfs, or overlay2 on an xfs mounted with pquota would bound it exactly";
    match (limit.bytes(), disk::can_limit(driver, status), is_visible) {
        (0, _, _) => Finding::warn(told("is not bounded"), "set whisk.docker.disk"),
        (_, true, _) => Finding::ok(told("is bounded by the driver")),
        (_, false, true) => Finding::ok(told(&format!("is measured twice a second; {exact}"))),
        (_, false, false) => Finding::warn(
            told("is asked of Docker every five seconds, since its folder cannot be seen from here"),
            format!("run where Docker's folder is; {exact}"),
        ),
    }
}

fn freezer_of(info: &SystemInfo) -> Finding {
    let version = info.cgroup_version.map(|version| version.to_string()).unwrap_or_default();
    let version = if version.is_empty() { "1".to_owned() } else { version };
    match freezer::is_writable(Path::new(CGROUPS)) {
        true => Finding::ok(format!("containers are frozen by their cgroups (version {version})")),
        false => Finding::warn(
            format!(
                "the cgroups (version {version}) cannot be written, so Docker is asked to freeze containers, which takes 10 to 30 ms"
            ),
            "run as root on the host, with /sys/fs/cgroup writable",
        ),
    }
}

fn pools_left(info: &SystemInfo, networks: &[DockerNetwork], pool: Option<Network>) -> Finding {
    let labels = networks.iter().filter_map(|network| network.labels.as_ref());
    let has_ours = labels.into_iter().any(|labels| labels.contains_key(LABEL_INSTANCE));
    let taken = pools::taken(networks);
    if let Some(pool) = pool {
        return judge_pools("whisk.docker.address-pool", pools::ours(pool, &taken).count(), has_ours);
    }
    let configured = info.default_address_pools.iter().flatten();
    let configured: Vec<_> =
        configured.filter_map(|pool| Some((pool.base.as_deref()?, pool.size?))).collect();
    let pools = if configured.is_empty() { pools::DEFAULTS.to_vec() } else { configured };
    judge_pools("Docker", pools::left(&pools, &taken), has_ours)
}

fn judge_pools(whose: &str, left: usize, has_ours: bool) -> Finding {
    let remedy = "remove networks that nobody uses (docker network prune), or name a network with whisk.docker.address-pool";
    match (left, has_ours) {
        (0, false) => {
            Finding::fail(format!("{whose} has no addresses left for the containers' bridge"), remedy)
        }
        (0, true) => Finding::warn(format!("{whose} has no addresses left for another bridge"), remedy),
        (1..=2, false) => Finding::warn(format!("{whose} has addresses left for {left} networks"), remedy),
        (_, _) => Finding::ok(format!("{whose} has addresses left for {left} networks")),
    }
}

async fn look_for(daemon: &Daemon, image: &str) -> Image {
    let labels = match labels_of(daemon, image).await {
        Ok(Some(labels)) => labels,
        Ok(None) => return Image::Missing,
        Err(why) => return Image::Unknown(why),
    };
    if let Some(builder) = labels.get(LABEL_BUILDER)
        && !matches!(labels_of(daemon, builder).await, Ok(Some(_)))
    {
        return Image::WithoutBuilder(builder.clone());
    }
    Image::There { is_counted: labels.contains_key(LABEL_FRAMING) }
}

async fn labels_of(daemon: &Daemon, image: &str) -> Result<Option<HashMap<String, String>>, String> {
    match daemon.docker.inspect_image(image).await {
        Ok(image) => Ok(Some(image.config.and_then(|config| config.labels).unwrap_or_default())),
        Err(error) if status_of(&error) == Some(404) => Ok(None),
        Err(error) => Err(error.to_string()),
    }
}

fn judge_image(wanted: &Wanted, found: &Image) -> Finding {
    let Wanted { image, kinds, is_needed, is_pulled } = wanted;
    let told = |how: &str| format!("the image {image} of {} {how}", kinds.join(", "));
    let make = || format!("make it with cargo xtask images {}, or docker load it", stem(image));
    match found {
        Image::There { is_counted: true } => Finding::ok(told("is here")),
        Image::There { is_counted: false } => {
            Finding::ok(told("is here (not one of ours: its logs end with sentinels)"))
        }
        Image::WithoutBuilder(builder) => Finding::warn(
            told(&format!("is here, and {builder} is not, which compiles for it")),
            format!("make it with cargo xtask images {}, or docker load it", stem(builder)),
        ),
        Image::Missing if *is_pulled => Finding::warn(
            told("is not here and will be pulled"),
            format!("docker pull {image}, so that nobody has to wait"),
        ),
        Image::Missing if *is_needed => Finding::fail(told("is missing"), make()),
        Image::Missing => Finding::warn(told("is missing"), make()),
        Image::Unknown(why) => {
            Finding::fail(told(&format!("cannot be looked for: {why}")), "look at Docker's log")
        }
    }
}

/// An image's name without registry, prefix and tag.
fn stem(image: &str) -> &str {
    let name = image.rsplit('/').next().unwrap_or(image);
    name.split_once(':').map_or(name, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use common::doctor::Verdict;

    use super::*;

    #[test]
    fn versions_are_numbers() {
        for (api, verdict) in [("1.41", Verdict::Ok), ("1.52", Verdict::Ok), ("1.9", Verdict::Fail)] {
            assert_eq!(judge_version("x", api).verdict, verdict, "{api}");
        }
    }

    #[test]
    fn what_a_daemon_cannot_do_is_told() {
        let seccomp = Some(vec!["name=seccomp,profile=default".to_owned()]);
        let able = SystemInfo {
            memory_limit: Some(true),
            security_options: seccomp,
            default_runtime: Some("runc".to_owned()),
            ..SystemInfo::default()
        };
        assert!(judge_daemon(&able).iter().all(|found| found.verdict == Verdict::Ok));
        for (info, verdict, told) in [
            (SystemInfo { memory_limit: Some(false), ..able.clone() }, Verdict::Fail, "memory"),
            (SystemInfo { swap_limit: Some(false), ..able.clone() }, Verdict::Warn, "swap"),
            (SystemInfo { security_options: None, ..able.clone() }, Verdict::Warn, "seccomp"),
            (SystemInfo { default_runtime: Some("kata".to_owned()), ..able.clone() }, Verdict::Warn, "kata"),
        ] {
            let found = judge_daemon(&info);
            let bad: Vec<_> = found.iter().filter(|found| found.verdict != Verdict::Ok).collect();
            assert!(bad.len() == 1 && bad[0].verdict == verdict && bad[0].what.contains(told), "{bad:?}");
        }
    }

    #[test]
    fn disks_are_bounded_in_one_way_or_another() {
        let on = |driver: &str, fs: &str| SystemInfo {
            driver: Some(driver.to_owned()),
            driver_status: Some(vec![vec!["Backing Filesystem".to_owned(), fs.to_owned()]]),
            ..SystemInfo::default()
        };
        let limit = ByteSize::from_mb(1024);
        for (info, limit, is_visible, verdict, told) in [
            (on("overlay2", "xfs"), limit, true, Verdict::Ok, "by the driver"),
            (on("overlay2", "extfs"), limit, true, Verdict::Ok, "measured"),
            (on("overlay2", "extfs"), limit, false, Verdict::Warn, "every five seconds"),
            (on("overlay2", "xfs"), ByteSize::from_mb(0), true, Verdict::Warn, "not bounded"),
        ] {
            let found = judge_driver(&info, limit, is_visible);
            assert!(found.verdict == verdict && found.what.contains(told), "{found:?}");
        }
    }

    #[test]
    fn addresses_run_out() {
        for (left, has_ours, verdict) in [
            (9, false, Verdict::Ok),
            (2, false, Verdict::Warn),
            (0, true, Verdict::Warn),
            (0, false, Verdict::Fail),
        ] {
            assert_eq!(judge_pools("Docker", left, has_ours).verdict, verdict, "{left} {has_ours}");
        }
    }

    #[test]
    fn a_missing_image_is_pulled_or_made() {
        let wanted = |is_needed, is_pulled| Wanted {
            image: "oxwhisk/action-nodejs-v20:latest".to_owned(),
            kinds: vec!["nodejs:20".to_owned()],
            is_needed,
            is_pulled,
        };
        let missing = judge_image(&wanted(true, false), &Image::Missing);
        assert_eq!(
            missing,
            Finding::fail(
                "the image oxwhisk/action-nodejs-v20:latest of nodejs:20 is missing",
                "make it with cargo xtask images action-nodejs-v20, or docker load it"
            )
        );
        assert_eq!(judge_image(&wanted(false, false), &Image::Missing).verdict, Verdict::Warn);
        assert!(judge_image(&wanted(true, true), &Image::Missing).remedy.starts_with("docker pull"));
        let there = Image::There { is_counted: true };
        assert_eq!(judge_image(&wanted(true, true), &there).verdict, Verdict::Ok);
        let builder = Image::WithoutBuilder("oxwhisk/builder-go:latest".to_owned());
        assert!(judge_image(&wanted(true, true), &builder).remedy.contains("images builder-go,"));
    }
}
