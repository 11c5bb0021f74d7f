//! Freezes a container, or takes memory from it, through its cgroup: two file writes, where the daemon's pause
//! costs 10–30 ms, and its update 20–50.
//!
//! Where the cgroup lies depends on the version (v1 has a hierarchy a controller, v2 one for all) and on
//! the daemon's driver, so the places are tried in turn; the main process's own `/proc` entry comes first
//! when it can be read from here. Where none is found, the caller asks the daemon.
//! Freezing behind the daemon's back has a price: a frozen container must be thawed before it is killed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::container::oom::OomEvents;

/// How long the kernel may take until all processes stand still.
const FREEZE_LIMIT: Duration = Duration::from_secs(2);

/// A container's place in the cgroup file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cgroup {
    /// Version 1: the freezer's and the memory controller's directories.
    V1 {
        /// Holds `freezer.state`.
        freezer: PathBuf,
        /// Holds `memory.oom_control`, if it was found.
        memory: Option<PathBuf>,
        /// Holds `cpu.shares`, if it was found.
        cpu: Option<PathBuf>,
    },
    /// Version 2: one directory.
    V2(PathBuf),
}

impl Cgroup {
    /// Finds the cgroup of a container by its id, under `root` (`/sys/fs/cgroup`) and with `proc`
    /// (`/proc`) as a hint where its main process `pid` is visible.
    pub fn find(root: &Path, proc: &Path, id: &str, pid: Option<i64>) -> Option<Cgroup> {
        if id.is_empty() {
            return None;
        }
        let hint = pid.and_then(|pid| fs::read_to_string(proc.join(pid.to_string()).join("cgroup")).ok());
        let of = |controller: &str| hint.as_deref().and_then(|text| own_path(text, controller, id));
        let usual = [format!("docker/{id}"), format!("system.slice/docker-{id}.scope")];
        let places = |controller: &str| {
            of(controller).into_iter().chain(usual.iter().cloned()).collect::<Vec<_>>().into_iter()
        };
        let v1 = |controller: &str, file: &str| {
            let base = root.join(controller);
            places(controller).map(|place| base.join(place)).find(|path| path.join(file).exists())
        };
        if let Some(freezer) = v1("freezer", "freezer.state") {
            let (memory, cpu) = (v1("memory", "memory.oom_control"), v1("cpu", "cpu.shares"));
            return Some(Cgroup::V1 { freezer, memory, cpu });
        }
        places("")
            .map(|place| root.join(place))
            .find(|path| path.join("cgroup.freeze").exists())
            .map(Cgroup::V2)
    }

    /// Stops all processes and returns when they stand still.
    pub async fn freeze(&self) -> io::Result<()> {
        match self {
            Cgroup::V1 { freezer, .. } => fs::write(freezer.join("freezer.state"), "FROZEN")?,
            Cgroup::V2(path) => fs::write(path.join("cgroup.freeze"), "1")?,
        }
        let deadline = Instant::now() + FREEZE_LIMIT;
        while !self.is_frozen()? {
            if Instant::now() >= deadline {
                self.thaw()?;
                return Err(io::Error::new(io::ErrorKind::TimedOut, "the processes did not stand still"));
            }
            sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    /// Lets them go on.
    pub fn thaw(&self) -> io::Result<()> {
        match self {
            Cgroup::V1 { freezer, .. } => fs::write(freezer.join("freezer.state"), "THAWED"),
            Cgroup::V2(path) => fs::write(path.join("cgroup.freeze"), "0"),
        }
    }

    /// Lowers the limit of memory, with no swap, and sets the weight of CPU time, in Docker's shares. Where an
    /// init system keeps the limits, it must be asked instead.
    pub fn shrink(&self, bytes: u64, cpu_shares: u64) -> io::Result<()> {
        let kept_elsewhere = |path: &Path| path.to_string_lossy().ends_with(".scope");
        let unknown = || io::Error::new(io::ErrorKind::Unsupported, "its limits are not in reach");
        match self {
            Cgroup::V1 { memory: Some(memory), cpu: Some(cpu), .. } if !kept_elsewhere(memory) => {
                fs::write(memory.join("memory.limit_in_bytes"), bytes.to_string())?;
                // Without swap accounting there is no such file.
                let with_swap = memory.join("memory.memsw.limit_in_bytes");
                if with_swap.exists() {
                    fs::write(with_swap, bytes.to_string())?;
                }
                fs::write(cpu.join("cpu.shares"), cpu_shares.to_string())
            }
            Cgroup::V2(path) if !kept_elsewhere(path) => {
                fs::write(path.join("memory.max"), bytes.to_string())?;
                // As the container runtimes translate 2..=262144 to 1..=10000.
                let weight = 1 + cpu_shares.clamp(2, 262_144).saturating_sub(2) * 9_999 / 262_142;
                fs::write(path.join("cpu.weight"), weight.to_string())
            }
            Cgroup::V1 { .. } | Cgroup::V2(_) => Err(unknown()),
        }
    }

    fn is_frozen(&self) -> io::Result<bool> {
        match self {
            Cgroup::V1 { freezer, .. } => {
                Ok(fs::read_to_string(freezer.join("freezer.state"))?.trim() == "FROZEN")
            }
            Cgroup::V2(path) => Ok(counter(&path.join("cgroup.events"), "frozen")? == 1),
        }
    }

    /// The ids of its processes, as they are seen from here; none where they cannot be seen.
    pub fn processes(&self) -> Vec<i32> {
        let (Cgroup::V1 { freezer: directory, .. } | Cgroup::V2(directory)) = self;
        let text = fs::read_to_string(directory.join("cgroup.procs")).unwrap_or_default();
        text.lines().filter_map(|line| line.parse().ok()).filter(|process| *process > 0).collect()
    }

    /// Whether one of its processes has been killed and only waits to be thawed to die of it: a group of version 1
    /// keeps even SIGKILL waiting.
    pub fn is_condemned(&self, proc: &Path) -> bool {
        self.processes().iter().any(|process| {
            let status = fs::read_to_string(proc.join(process.to_string()).join("status"));
            status.is_ok_and(|status| has_pending_kill(&status))
        })
    }

    /// Hears of shortages of memory from now on, where the version of cgroups tells.
    pub fn oom_events(&self) -> Option<io::Result<OomEvents>> {
        match self {
            Cgroup::V1 { memory: Some(memory), .. } => Some(OomEvents::listen(memory)),
            Cgroup::V1 { memory: None, .. } | Cgroup::V2(_) => None,
        }
    }

    /// Whether the kernel killed a process in it for want of memory.
    pub fn was_out_of_memory(&self) -> bool {
        let file = match self {
            Cgroup::V1 { memory: Some(memory), .. } => memory.join("memory.oom_control"),
            Cgroup::V1 { memory: None, .. } => return false,
            Cgroup::V2(path) => path.join("memory.events"),
        };
        counter(&file, "oom_kill").is_ok_and(|kills| kills > 0)
    }
}

/// Whether cgroups under `root` (`/sys/fs/cgroup`) may be frozen from here.
pub fn is_writable(root: &Path) -> bool {
    let v2 = root.join("cgroup.controllers").exists();
    let base = if v2 { root.to_owned() } else { root.join("freezer") };
    base.is_dir() && rustix::fs::access(&base, rustix::fs::Access::WRITE_OK).is_ok()
}

/// The path of `controller` in the text of `/proc/<pid>/cgroup`, if it is that of container `id`.
/// (Seen from another process namespace, the number may be another process's.)
fn own_path(text: &str, controller: &str, id: &str) -> Option<String> {
    text.lines()
        .filter_map(|line| {
            let mut fields = line.splitn(3, ':').skip(1);
            Some((fields.next()?, fields.next()?))
        })
        .find(|(controllers, path)| {
            controllers.split(',').any(|name| name == controller) && path.contains(id)
        })
        .map(|(_, path)| path.trim_start_matches('/').to_owned())
}

/// Whether the text of `/proc/<pid>/status` says that SIGKILL waits for the process or one of its threads.
pub fn has_pending_kill(status: &str) -> bool {
    const SIGKILL: u64 = 1 << (9 - 1);
    let pending = status.lines().filter_map(|line| {
        line.strip_prefix("SigPnd:").or_else(|| line.strip_prefix("ShdPnd:")).map(str::trim)
    });
    pending.filter_map(|mask| u64::from_str_radix(mask, 16).ok()).any(|mask| mask & SIGKILL != 0)
}

/// The number behind `name` in a file of `name number` lines; 0 without such a line.
fn counter(file: &Path, name: &str) -> io::Result<u64> {
    let text = fs::read_to_string(file)?;
    let value = text.lines().filter_map(|line| line.split_once(' ')).find(|(key, _)| *key == name);
    Ok(value.and_then(|(_, number)| number.trim().parse().ok()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "4f2e";

    fn file(path: &Path, text: &str) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }

    #[tokio::test]
    async fn version_1_is_found_frozen_and_thawed() {
        let dir = tempfile::tempdir().unwrap();
        let state = dir.path().join("freezer/docker/4f2e/freezer.state");
        let oom = dir.path().join("memory/docker/4f2e/memory.oom_control");
        file(&state, "THAWED\n");
        file(&oom, "oom_kill_disable 0\nunder_oom 0\noom_kill 0\n");
        let cgroup = Cgroup::find(dir.path(), Path::new("/nonexistent"), ID, Some(7)).unwrap();
        cgroup.freeze().await.unwrap();
        assert_eq!(fs::read_to_string(&state).unwrap(), "FROZEN");
        cgroup.thaw().unwrap();
        assert_eq!(fs::read_to_string(&state).unwrap(), "THAWED");
        assert!(!cgroup.was_out_of_memory());
        file(&oom, "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n");
        assert!(cgroup.was_out_of_memory());
        assert!(cgroup.shrink(128 << 20, 64).is_err(), "the weight is out of reach");
        let shares = dir.path().join("cpu/docker/4f2e/cpu.shares");
        file(&shares, "128");
        let swap = oom.with_file_name("memory.memsw.limit_in_bytes");
        file(&swap, "268435456");
        let cgroup = Cgroup::find(dir.path(), Path::new("/nonexistent"), ID, Some(7)).unwrap();
        cgroup.shrink(128 << 20, 64).unwrap();
        let limit = oom.with_file_name("memory.limit_in_bytes");
        for (file, text) in [(&limit, "134217728"), (&swap, "134217728"), (&shares, "64")] {
            assert_eq!(fs::read_to_string(file).unwrap(), text);
        }
    }

    #[test]
    fn a_kill_that_waits_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let cgroup = Cgroup::V2(dir.path().join("cgroup"));
        file(&dir.path().join("cgroup/cgroup.procs"), "7\n8\n");
        let status = |process: u32, own: &str, shared: &str| {
            let text = format!("Name:\tnode\nSigPnd:\t{own}\nShdPnd:\t{shared}\nSigBlk:\t0000000000000100\n");
            file(&dir.path().join(format!("proc/{process}/status")), &text);
        };
        let (none, term, kill) = ("0000000000000000", "0000000000004000", "0000000000000100");
        for (own, shared, expected) in [(none, term, false), (none, kill, true), (kill, none, true)] {
            status(8, own, shared);
            assert_eq!(cgroup.is_condemned(&dir.path().join("proc")), expected, "{own} {shared}");
        }
    }

    #[test]
    fn version_2_is_made_smaller_unless_its_limits_are_kept_elsewhere() {
        let dir = tempfile::tempdir().unwrap();
        let own = dir.path().join("docker/4f2e");
        file(&own.join("cgroup.freeze"), "0");
        Cgroup::find(dir.path(), Path::new("/nonexistent"), ID, None).unwrap().shrink(1 << 27, 1024).unwrap();
        assert_eq!(fs::read_to_string(own.join("memory.max")).unwrap(), "134217728");
        assert_eq!(fs::read_to_string(own.join("cpu.weight")).unwrap(), "39");
        let systemds = Cgroup::V2(dir.path().join("system.slice/docker-4f2e.scope"));
        assert!(systemds.shrink(1 << 27, 1024).is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn version_2_waits_until_all_stand_still() {
        let dir = tempfile::tempdir().unwrap();
        let scope = dir.path().join("system.slice/docker-4f2e.scope");
        file(&scope.join("cgroup.freeze"), "0");
        file(&scope.join("cgroup.events"), "populated 1\nfrozen 0\n");
        file(&scope.join("memory.events"), "low 0\noom 1\noom_kill 1\n");
        let cgroup = Cgroup::find(dir.path(), Path::new("/nonexistent"), ID, None).unwrap();
        assert!(cgroup.was_out_of_memory());
        assert_eq!(cgroup.freeze().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert_eq!(fs::read_to_string(scope.join("cgroup.freeze")).unwrap(), "0");
        file(&scope.join("cgroup.events"), "populated 1\nfrozen 1\n");
        cgroup.freeze().await.unwrap();
        assert_eq!(fs::read_to_string(scope.join("cgroup.freeze")).unwrap(), "1");
    }

    #[test]
    fn the_processes_own_entry_tells_of_unusual_places() {
        let dir = tempfile::tempdir().unwrap();
        file(&dir.path().join("cg/freezer/my/parent/4f2e/freezer.state"), "THAWED");
        file(&dir.path().join("proc/7/cgroup"), "9:freezer:/my/parent/4f2e\n1:name=systemd:/x\n");
        file(&dir.path().join("proc/8/cgroup"), "9:freezer:/somebody/else\n");
        let find = |pid| Cgroup::find(&dir.path().join("cg"), &dir.path().join("proc"), ID, pid);
        assert!(find(Some(7)).is_some());
        assert_eq!(find(Some(8)), None);
        assert_eq!(find(None), None);
    }
}
