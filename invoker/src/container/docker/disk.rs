//! Bounds what a container writes to disk, all of it together; a single file has a limit of its own.
//!
//! Where the daemon's storage driver can bound a container (`--storage-opt size`: btrfs, zfs, overlay2 on xfs
//! with project quotas), it does, and the action gets an error from the write that is too much. Elsewhere what
//! a container has written is measured twice a second and one that has written too much is killed: late by
//! what can be written meanwhile, but it is a bound. Counted are the layer that is its own, its volumes, and
//! files that were deleted while they are open; a file without content counts a block, so that inodes are
//! bounded too. One with many files is measured less often, so that this costs little; and where files cannot
//! be seen from here the daemon is asked, less often as well. (A tmpfs would be
//! exact, but counts as memory, which code with large packages then lacks, and images of users write where
//! they like.)

use std::collections::HashSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;

use bollard::models::{ContainerInspectResponse, SystemInfo};
use bollard::query_parameters::{InspectContainerOptionsBuilder, KillContainerOptions};
use common::shutdown::Shutdown;
use tokio::time::Instant;
use tracing::{debug, info, warn};

use super::daemon::Daemon;
use crate::container::freezer::Cgroup;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(500);
/// The daemon is asked only every so many looks.
const ASK_EVERY: u32 = 10;
/// Measuring takes no more than this part of the time.
const SHARE: u32 = 50;
/// What an empty file counts.
const BLOCK: u64 = 4096;

/// The limit of all containers, and how it is held.
#[derive(Debug)]
pub struct Disks {
    limit: u64,
    counts_images: bool,
    /// The storage driver holds it, as far as is known.
    by_driver: AtomicBool,
    watched: Mutex<Vec<Weak<Watched>>>,
}

/// One container.
#[derive(Debug)]
pub struct Watched {
    id: String,
    cgroup: Option<Cgroup>,
    /// Its own layer and its volumes; empty where they cannot be seen.
    places: OnceLock<Vec<PathBuf>>,
    stands_still: AtomicBool,
    is_over: AtomicBool,
    next_look: Mutex<Instant>,
}

impl Disks {
    /// Asks the daemon whether its driver can hold a limit of so many bytes; 0 is none.
    pub async fn new(daemon: &Daemon, limit: u64) -> Self {
        let info =
            if limit > 0 { daemon.docker.info().await.unwrap_or_default() } else { SystemInfo::default() };
        let driver = info.driver.unwrap_or_default();
        let by_driver = can_limit(&driver, &info.driver_status.unwrap_or_default());
        Self {
            limit,
            counts_images: counts_images(&driver),
            by_driver: AtomicBool::new(by_driver),
            watched: Mutex::default(),
        }
    }

    /// What the daemon is to be told of a container of an image of so many bytes, if its driver holds the limit.
    pub fn option(&self, image: u64) -> Option<String> {
        let size = if self.counts_images { self.limit.saturating_add(image) } else { self.limit };
        self.by_driver.load(Ordering::SeqCst).then(|| size.to_string())
    }

    /// Whether the daemon has refused because of that option. Then it is not given any more.
    pub fn is_refused(&self, message: &str) -> bool {
        let is_refused = ["storage-opt", "pquota", "qgroup"].iter().any(|word| message.contains(word));
        if is_refused && self.by_driver.swap(false, Ordering::SeqCst) {
            info!("the storage driver cannot bound containers: what they write is measured");
        }
        is_refused
    }

    /// Looks after a container that was started.
    pub fn watch(&self, id: &str, cgroup: Option<Cgroup>) -> Arc<Watched> {
        let watched = Arc::new(Watched {
            id: id.to_owned(),
            cgroup,
            places: OnceLock::new(),
            stands_still: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
            next_look: Mutex::new(Instant::now()),
        });
        if self.limit > 0 && !self.by_driver.load(Ordering::SeqCst) {
            self.watched.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&watched));
        }
        watched
    }

    /// Measures until it is told to stop, and kills what has written too much.
    pub async fn keep(self: Arc<Self>, daemon: Daemon, stop: Shutdown) {
        let mut look = 0_u32;
        loop {
            tokio::select! {
                () = stop.requested() => return,
                () = tokio::time::sleep(LOOK) => look = look.wrapping_add(1),
            }
            let watched: Vec<_> = {
                let mut watched = self.watched.lock().unwrap_or_else(PoisonError::into_inner);
                watched.retain(|container| container.strong_count() > 0);
                watched.iter().filter_map(Weak::upgrade).filter(|container| container.is_due()).collect()
            };
            for container in watched {
                let written = container.written(&daemon, self.limit, look.is_multiple_of(ASK_EVERY)).await;
                if written > self.limit {
                    container.end(&daemon, self.limit).await;
                }
            }
        }
    }
}

impl Watched {
    /// Whether it was killed for what it had written.
    pub fn is_over(&self) -> bool {
        self.is_over.load(Ordering::SeqCst)
    }

    /// It is suspended, or goes on.
    pub fn stands_still(&self, still: bool) {
        self.stands_still.store(still, Ordering::SeqCst);
    }

    fn is_due(&self) -> bool {
        let may_write = !self.is_over() && !self.stands_still.load(Ordering::SeqCst);
        may_write && *self.next_look() <= Instant::now()
    }

    fn next_look(&self) -> MutexGuard<'_, Instant> {
        self.next_look.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn written(self: &Arc<Self>, daemon: &Daemon, limit: u64, may_ask: bool) -> u64 {
        if self.places.get().is_none() {
            let Ok(inspected) = daemon.docker.inspect_container(&self.id, None).await else { return 0 };
            let places = places(&inspected);
            let are_visible = places.iter().all(|place| place.is_dir());
            let _ = self.places.set(if are_visible { places } else { Vec::new() });
        }
        if self.places.get().is_some_and(|places| !places.is_empty()) {
            let this = self.clone();
            let measured = tokio::task::spawn_blocking(move || this.measure(limit)).await;
            return measured.unwrap_or_default();
        }
        if !may_ask {
            return 0;
        }
        let options = InspectContainerOptionsBuilder::new().size(true).build();
        let inspected = daemon.docker.inspect_container(&self.id, Some(options)).await;
        inspected.ok().and_then(|inspected| inspected.size_rw?.try_into().ok()).unwrap_or_default()
    }

    fn measure(&self, limit: u64) -> u64 {
        let begun = Instant::now();
        let mut sum = Sum { limit, ..Sum::default() };
        for place in self.places.get().into_iter().flatten() {
            sum.add_tree(place);
        }
        for process in self.cgroup.iter().flat_map(Cgroup::processes) {
            sum.add_deleted(process);
        }
        let now = Instant::now();
        *self.next_look() = now + (now - begun) * SHARE;
        sum.bytes
    }

    async fn end(&self, daemon: &Daemon, limit: u64) {
        self.is_over.store(true, Ordering::SeqCst);
        warn!(container.id = %self.id, "a container has written more than {limit} bytes and is killed");
        if let Err(error) = daemon.docker.kill_container(&self.id, None::<KillContainerOptions>).await {
            debug!(container.id = %self.id, %error, "it cannot be killed");
        }
    }
}

/// What was found, counted once, and no further than the limit.
#[derive(Debug, Default)]
struct Sum {
    limit: u64,
    bytes: u64,
    seen: HashSet<(u64, u64)>,
}

impl Sum {
    fn add(&mut self, file: &std::fs::Metadata) {
        if file.nlink() == 1 || file.is_dir() || self.seen.insert((file.dev(), file.ino())) {
            self.bytes += (file.blocks() * 512).max(BLOCK);
        }
    }

    fn add_tree(&mut self, folder: &Path) {
        let mut folders = vec![folder.to_owned()];
        while let Some(folder) = folders.pop() {
            // What goes away meanwhile is no error.
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                let Ok(metadata) = entry.metadata() else { continue };
                self.add(&metadata);
                if metadata.is_dir() {
                    folders.push(entry.path());
                }
                if self.bytes > self.limit {
                    return;
                }
            }
        }
    }

    /// Files that a process holds open and that have no name any more.
    fn add_deleted(&mut self, process: i32) {
        let descriptors = std::fs::read_dir(format!("/proc/{process}/fd"));
        for entry in descriptors.into_iter().flatten().flatten() {
            let Ok(metadata) = std::fs::metadata(entry.path()) else { continue };
            if !metadata.is_file() || metadata.nlink() > 0 {
                continue;
            }
            // These are memory, and counted as such.
            let is_memory = std::fs::read_link(entry.path()).is_ok_and(|target| {
                target.starts_with("/dev/shm") || target.to_string_lossy().starts_with("/memfd:")
            });
            if !is_memory && self.seen.insert((metadata.dev(), metadata.ino())) {
                self.bytes += metadata.blocks() * 512;
            }
        }
    }
}

/// Whether a storage driver may be able to bound a container; overlay2 also needs a mount option, which
/// shows only when a container is made.
pub(super) fn can_limit(driver: &str, status: &[Vec<String>]) -> bool {
    let on_xfs = || status.iter().any(|entry| entry[..] == ["Backing Filesystem", "xfs"]);
    matches!(driver, "btrfs" | "zfs") || (driver == "overlay2" && on_xfs())
}

/// Whether a storage driver bounds all that a container sees, and not just what it has written: a snapshot of btrfs
/// is as large as its image from the start.
fn counts_images(driver: &str) -> bool {
    driver == "btrfs"
}

/// Where a container's files lie on the daemon's machine; nothing if the driver does not tell.
fn places(inspected: &ContainerInspectResponse) -> Vec<PathBuf> {
    let layers = inspected.graph_driver.as_ref().map(|driver| &driver.data);
    let Some(own) = layers.and_then(|data| data.get("UpperDir")) else { return Vec::new() };
    let volumes = inspected.mounts.iter().flatten().filter_map(|mount| mount.source.as_ref());
    std::iter::once(own).chain(volumes).map(PathBuf::from).collect()
}

#[cfg(test)]
mod tests {
    use std::fs::{self, File};
    use std::io::Write;

    use super::*;

    #[test]
    fn a_tree_is_measured_with_its_empty_files_and_links_once() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("d")).unwrap();
        fs::write(at("d/large"), vec![1; 100_000]).unwrap();
        fs::hard_link(at("d/large"), at("again")).unwrap();
        for n in 0..10 {
            File::create(at(&format!("empty{n}"))).unwrap();
        }
        let mut sum = Sum { limit: u64::MAX, ..Sum::default() };
        sum.add_tree(folder.path());
        assert!((100_000 + 11 * BLOCK..200_000).contains(&sum.bytes), "{}", sum.bytes);
        let mut sum = Sum { limit: BLOCK, ..Sum::default() };
        sum.add_tree(folder.path());
        assert!(sum.bytes > BLOCK);
    }

    #[test]
    fn a_deleted_file_counts_while_it_is_open() {
        let measure = || {
            let mut sum = Sum { limit: u64::MAX, ..Sum::default() };
            sum.add_deleted(i32::try_from(std::process::id()).unwrap());
            sum.bytes
        };
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gone");
        let mut file = File::create(&path).unwrap();
        file.write_all(&vec![1; 5 << 20]).unwrap();
        file.sync_all().unwrap();
        let before = measure();
        fs::remove_file(path).unwrap();
        assert!(measure() >= before + (5 << 20), "{before}");
    }

    #[test]
    fn drivers_that_can_bound_a_container_are_known() {
        let on = |fs: &str| vec![vec!["Backing Filesystem".to_owned(), fs.to_owned()]];
        for (driver, fs, expected) in [
            ("overlay2", "xfs", true),
            ("overlay2", "extfs", false),
            ("btrfs", "btrfs", true),
            ("vfs", "xfs", false),
            // A container there cannot have less than all have.
            ("devicemapper", "xfs", false),
        ] {
            assert_eq!(can_limit(driver, &on(fs)), expected, "{driver} on {fs}");
        }
    }
}
