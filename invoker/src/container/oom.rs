//! Hears that the kernel found a container short of memory, also when nothing is left of the container to ask.
//!
//! Where the kernel kills the first process, its cgroup goes with it, often before we or the daemon have read
//! what it counted. In version 1 the kernel tells an event descriptor, which outlives the cgroup: once for each
//! shortage, and once more when the cgroup goes. Version 2 has no such thing: there the counters have to do.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::PoisonError;

use rustix::event::{EventfdFlags, eventfd};

/// What counts shortages in the memory controller's directory.
const CONTROL: &str = "memory.oom_control";

/// What was heard of a cgroup of version 1.
#[derive(Debug)]
pub struct OomEvents {
    events: OwnedFd,
    heard: Mutex<u64>,
    directory: PathBuf,
}

/// Whether memory was short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// It was, at some time.
    Yes,
    /// Not so far.
    No,
    /// The cgroup has just gone, and it is not yet known which event was that.
    Unclear,
}

impl OomEvents {
    /// Listens to the memory controller's directory of a cgroup.
    pub fn listen(directory: &Path) -> io::Result<Self> {
        let control = File::open(directory.join(CONTROL))?;
        let events = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        let order = format!("{} {}", events.as_raw_fd(), control.as_raw_fd());
        fs::write(directory.join("cgroup.event_control"), order)?;
        Ok(Self { events, heard: Mutex::new(0), directory: directory.to_owned() })
    }

    /// What was heard until now.
    pub fn shortage(&self) -> Shortage {
        // Asked first: an event that comes while it is there is a shortage.
        let is_there = self.directory.join(CONTROL).exists();
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let mut count = [0; 8];
        // With nothing to be read it says so.
        if rustix::io::read(&self.events, &mut count).is_ok() {
            *heard += u64::from_ne_bytes(count);
        }
        judge(*heard, is_there)
    }
}

fn judge(heard: u64, is_there: bool) -> Shortage {
    match (heard, is_there) {
        (0, _) => Shortage::No,
        (1, false) => Shortage::Unclear,
        _ => Shortage::Yes,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_the_cgroup_is_one_event_of_its_own() {
        for (heard, is_there, expected) in [
            (0, true, Shortage::No),
            (0, false, Shortage::No),
            (1, true, Shortage::Yes),
            (1, false, Shortage::Unclear),
            (2, false, Shortage::Yes),
        ] {
            assert_eq!(judge(heard, is_there), expected, "{heard} {is_there}");
        }
    }

    #[test]
    fn without_a_cgroup_there_is_nothing_to_hear() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(OomEvents::listen(dir.path()).unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
