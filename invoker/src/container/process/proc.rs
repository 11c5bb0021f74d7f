//! What `/proc` tells: who belongs to which group, how much memory a group holds, whose marker is whose;
//! and the signals that follow from it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::Duration;

use rustix::io::Errno;
use rustix::process::{Pid, Signal, kill_process, kill_process_group};
use tokio::time::sleep;
use tracing::warn;

use super::MARKER;
use crate::container::freezer::has_pending_kill;

/// The kernel's `PF_EXITING`, of `include/linux/sched.h`.
const EXITING: u32 = 0x4;

/// The kernel's `PF_SIGNALED`: killed by a signal.
const SIGNALED: u32 = 0x400;

/// Killed processes are gone this soon, or reported.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// Bytes of resident memory by process group.
pub fn memory_by_group() -> BTreeMap<i32, u64> {
    let page = rustix::param::page_size() as u64;
    let mut groups = BTreeMap::new();
    for (_, stat) in processes().filter_map(|pid| Some((pid, Stat::read(pid)?))) {
        *groups.entry(stat.group).or_default() += stat.resident_pages * page;
    }
    groups
}

/// Whose processes are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Marked {
    /// All of a run's.
    Run(String),
    /// Those of one container, by its whole marker.
    Container(String),
}

impl Marked {
    fn matches(&self, marker: &[u8]) -> bool {
        match self {
            Marked::Run(run) => {
                marker.strip_prefix(run.as_bytes()).is_some_and(|rest| rest.first() == Some(&b'/'))
            }
            Marked::Container(container) => marker == container.as_bytes(),
        }
    }
}

/// Kills the groups and processes with such a marker and waits until they are gone.
/// Returns how many containers that were.
pub async fn kill_marked(whose: &Marked) -> usize {
    let own = rustix::process::getpgrp().as_raw_nonzero().get();
    let mut containers = BTreeSet::new();
    let mut waited = Duration::ZERO;
    loop {
        let owned = whose.clone();
        let marked = tokio::task::spawn_blocking(move || marked(&owned)).await.unwrap_or_default();
        if marked.is_empty() {
            return containers.len();
        }
        for (pid, group, container) in marked {
            containers.insert(container);
            if group != own {
                kill_group(group, Signal::KILL);
            }
            if let Some(pid) = Pid::from_raw(pid) {
                report(pid, kill_process(pid, Signal::KILL));
            }
        }
        if waited >= GONE_WITHIN {
            warn!("processes of {whose:?} do not end");
            return containers.len();
        }
        sleep(Duration::from_millis(5)).await;
        waited += Duration::from_millis(5);
    }
}

/// Sends a signal to a group; one that is gone is no error.
pub fn kill_group(group: i32, signal: Signal) {
    if let Some(group) = Pid::from_raw(group) {
        report(group, kill_process_group(group, signal));
    }
}

/// Whether a process was killed or has ended, even if whoever waits for it has not heard of it yet.
pub fn is_ending(pid: i32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    // In this order: what does not wait any more has arrived.
    has_pending_kill(&status) || Stat::read(pid).is_none_or(|stat| stat.is_ending())
}

fn report(pid: Pid, result: rustix::io::Result<()>) {
    match result {
        Ok(()) | Err(Errno::SRCH) => {}
        Err(error) => warn!(pid = pid.as_raw_nonzero().get(), %error, "a process cannot be signalled"),
    }
}

/// Process, group and container of each process with such a marker; zombies are gone.
fn marked(whose: &Marked) -> Vec<(i32, i32, String)> {
    let of = |pid: i32| {
        let environment = fs::read(format!("/proc/{pid}/environ")).ok()?;
        let mut markers = environment.split(|byte| *byte == 0).filter_map(|entry| {
            entry.strip_prefix(MARKER.as_bytes()).and_then(|rest| rest.strip_prefix(b"="))
        });
        let found = markers.find(|marker| whose.matches(marker))?;
        let stat = Stat::read(pid).filter(|stat| stat.state != 'Z')?;
        Some((pid, stat.group, String::from_utf8_lossy(found).into_owned()))
    };
    processes().filter_map(of).collect()
}

fn processes() -> impl Iterator<Item = i32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok())
}

/// The fields of `/proc/<pid>/stat` that matter here.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    state: char,
    group: i32,
    flags: u32,
    resident_pages: u64,
}

impl Stat {
    fn read(pid: i32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    /// The second field is the program's name in parentheses, which may hold spaces and parentheses.
    fn parse(text: &str) -> Option<Self> {
        let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        let group = fields.nth(1)?.parse().ok()?;
        let flags = fields.nth(3)?.parse().ok()?;
        let resident_pages = fields.nth(14)?.parse().ok()?;
        Some(Self { state, group, flags, resident_pages })
    }

    fn is_ending(&self) -> bool {
        matches!(self.state, 'Z' | 'X') || self.flags & (EXITING | SIGNALED) != 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stat_line_is_read_whatever_the_programs_name() {
        let text = "4242 (a) b (c)) S 1 4200 4200 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 11 0 99 1000000 777 18446744073709551615 1 1 0";
        assert_eq!(
            Stat::parse(text),
            Some(Stat { state: 'S', group: 4200, flags: 4_194_560, resident_pages: 777 })
        );
        assert_eq!(Stat::parse("nonsense"), None);
    }

    #[test]
    fn what_is_killed_is_ending_though_nobody_has_heard_of_it() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let pid = i32::try_from(child.id()).unwrap();
        assert!(!is_ending(pid));
        child.kill().unwrap();
        assert!(is_ending(pid));
        child.wait().unwrap();
        assert!(is_ending(pid));
    }

    #[test]
    fn a_marker_is_a_runs_or_a_containers_and_not_a_namesakes() {
        let run = Marked::Run("r1".into());
        let container = Marked::Container("r1/c1".into());
        for (marker, of_run, of_container) in
            [("r1/c1", true, true), ("r1/c10", true, false), ("r10/c1", false, false), ("r1", false, false)]
        {
            assert_eq!(run.matches(marker.as_bytes()), of_run, "{marker}");
            assert_eq!(container.matches(marker.as_bytes()), of_container, "{marker}");
        }
    }

    #[test]
    fn this_group_holds_memory() {
        let own = rustix::process::getpgrp().as_raw_nonzero().get();
        assert!(memory_by_group()[&own] > 100_000);
    }
}
