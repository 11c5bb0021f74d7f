//! The limits a process puts on itself before it runs somebody's code, and its tie to its parent.
//!
//! In a container Docker does this; without one the process has to, since what could be done between
//! `fork` and `exec` by the parent would need `unsafe`.

use anyhow::Context;
use rustix::process::{
    Pid, Resource, Rlimit, Signal, getppid, getrlimit, set_parent_process_death_signal, setrlimit,
};

/// What happens to this process when its parent ends.
#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
pub enum ParentDeath {
    /// It lives on.
    #[default]
    Ignored,
    /// It is killed.
    Follow,
    /// It is killed, also if the parent with this id is gone already.
    FollowKnown(i32),
}

/// What `LIMITS` on the command line said.
#[derive(Debug, Default, PartialEq, Eq, Clone)]
pub struct Limits {
    pub parent_death: ParentDeath,
    pub open_files: Option<u64>,
    pub file_size_mb: Option<u64>,
    pub core_bytes: u64,
}

impl Limits {
    /// Puts them on this process; whatever it starts later inherits all but the tie to the parent.
    pub fn apply(&self) -> anyhow::Result<()> {
        self.follow_parent()?;
        if let Some(files) = self.open_files {
            lower(Resource::Nofile, files)?;
        }
        if let Some(size) = self.file_size_mb {
            lower(Resource::Fsize, size.saturating_mul(1024 * 1024))?;
        }
        lower(Resource::Core, self.core_bytes)
    }

    fn follow_parent(&self) -> anyhow::Result<()> {
        let expected = match self.parent_death {
            ParentDeath::Ignored => return Ok(()),
            ParentDeath::Follow => getppid(),
            ParentDeath::FollowKnown(id) => Pid::from_raw(id),
        };
        set_parent_process_death_signal(Some(Signal::KILL))
            .context("cannot tie this process to its parent")?;
        // The signal is only sent for a parent that ends from now on.
        anyhow::ensure!(getppid() == expected, "the parent has ended already");
        Ok(())
    }
}

/// Sets both halves of a limit, as far as the hard one that is already in force allows.
fn lower(resource: Resource, to: u64) -> anyhow::Result<()> {
    let hard = getrlimit(resource).maximum;
    let to = Some(hard.map_or(to, |hard| hard.min(to)));
    setrlimit(resource, Rlimit { current: to, maximum: to })
        .with_context(|| format!("cannot set the limit {resource:?}"))
}
