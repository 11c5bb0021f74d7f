//! One Docker container: frozen through its cgroup where that can be reached, asked how it ended, removed.
//!
//! Its address stays taken until its removal has succeeded: one that is dropped or cannot be removed may
//! still be there, and then its address must not become another one's.

use std::mem::ManuallyDrop;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bollard::models::{ContainerState, ContainerUpdateBody};
use tokio::time::{Instant, sleep};
use tracing::debug;

use super::addresses::Lease;
use super::daemon::{Daemon, status_of};
use super::disk::Watched;
use super::health::{Health, Held};
use crate::container::freezer::Cgroup;
use crate::container::oom::{OomEvents, Shortage};
use crate::container::{Container, EndCause, HEAP_EXHAUSTED, LogFraming, LogSource, RuntimeError};

/// Where runtimes listen.
const PORT: u16 = 8080;
/// Between two looks at whether it has ended: doubled from the first to the last.
const LOOK_FIRST: Duration = Duration::from_millis(5);
const LOOK_LAST: Duration = Duration::from_millis(50);
/// To remove it, from a daemon that is there.
const ATTEMPTS: usize = 3;
/// The exit code of what SIGKILL ended.
const KILLED: i64 = 128 + 9;
/// What was heard of a cgroup that has gone is understood by then.
const UNCLEAR: Duration = Duration::from_millis(500);
/// For one look, however little time is left.
const LOOK_LIMIT: Duration = Duration::from_millis(500);

/// A container of Docker's.
#[derive(Debug)]
pub struct DockerContainer {
    daemon: Daemon,
    id: String,
    name: String,
    /// Given back by hand.
    hold: ManuallyDrop<Hold>,
    framing: LogFraming,
    marks: bool,
    logs: Option<LogSource>,
    cgroup: Option<Cgroup>,
    oom_events: Option<OomEvents>,
    suspension: Mutex<Suspension>,
    disk: Arc<Watched>,
}

/// What is held for a container until it is removed.
#[derive(Debug)]
pub struct Hold {
    /// Its address.
    pub lease: Lease,
    /// Its name: what carries our labels and none of these is a stray.
    pub name: Held,
    /// Whether the daemon answers.
    pub health: Arc<Health>,
}

/// A container's output and what its image promises of it.
#[derive(Debug)]
pub struct Output {
    /// How an activation's end is found.
    pub framing: LogFraming,
    /// Whether it can be marked.
    pub marks: bool,
    /// The output.
    pub logs: LogSource,
}

/// How it is held at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Suspension {
    None,
    Frozen,
    Paused,
}

/// A container's cgroup on this machine, if it can be seen from here.
pub fn cgroup(id: &str, pid: Option<i64>) -> Option<Cgroup> {
    Cgroup::find(Path::new("/sys/fs/cgroup"), Path::new("/proc"), id, pid)
}

impl DockerContainer {
    /// A container that was started.
    pub fn new(
        daemon: Daemon,
        id: String,
        hold: Hold,
        output: Output,
        cgroup: Option<Cgroup>,
        disk: Arc<Watched>,
    ) -> Self {
        let suspension = Mutex::new(Suspension::None);
        let name = hold.name.as_str().to_owned();
        let hold = ManuallyDrop::new(hold);
        let Output { framing, marks, logs } = output;
        let oom_events = cgroup.as_ref().and_then(|cgroup| {
            let heard = cgroup.oom_events()?;
            heard
                .inspect_err(|error| debug!(container.id = %id, %error, "shortages of memory are not heard"))
                .ok()
        });
        let logs = Some(logs);
        Self { daemon, id, name, hold, framing, marks, logs, cgroup, oom_events, suspension, disk }
    }

    fn suspension(&self) -> MutexGuard<'_, Suspension> {
        self.suspension.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn state(&self, was_short: bool) -> Option<EndCause> {
        let Daemon { docker, metrics } = &self.daemon;
        match metrics.inspect.within(LOOK_LIMIT, docker.inspect_container(&self.id, None)).await {
            Ok(Ok(inspected)) => inspected.state.map(|state| judge(&state, was_short, self.framing)),
            Ok(Err(error)) if status_of(&error) == Some(404) => Some(EndCause::Exited(None)),
            Ok(Err(error)) => {
                debug!(container.id = %self.id, %error, "its state cannot be asked");
                None
            }
            Err(_) => None,
        }
    }
}

/// `was_short`: the kernel has killed a process in it, at some time, as the daemon's flag says too. In our
/// images the first process ends with the action, by the signal that ended that; what else was killed, the
/// action may have survived long ago. In other images the action may be a child whose end shows nowhere.
fn judge(state: &ContainerState, was_short: bool, framing: LogFraming) -> EndCause {
    let was_short = was_short || state.oom_killed == Some(true);
    let is_foreign = framing == LogFraming::Sentinels;
    match (state.running, state.exit_code) {
        _ if was_short && is_foreign => EndCause::OutOfMemory,
        (Some(true), _) => EndCause::Running,
        (_, Some(KILLED)) if was_short => EndCause::OutOfMemory,
        (_, Some(HEAP_EXHAUSTED)) if !is_foreign => EndCause::OutOfMemory,
        (_, code) => EndCause::Exited(code),
    }
}

#[async_trait]
impl Container for DockerContainer {
    fn id(&self) -> &str {
        &self.id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn address(&self) -> SocketAddr {
        (self.hold.lease.address(), PORT).into()
    }

    fn log_framing(&self) -> LogFraming {
        self.framing
    }

    fn marks_logs(&self) -> bool {
        self.marks
    }

    fn take_logs(&mut self) -> Option<LogSource> {
        self.logs.take()
    }

    async fn suspend(&self) -> Result<(), RuntimeError> {
        if let Some(cgroup) = &self.cgroup {
            match self.daemon.metrics.freeze.around(cgroup.freeze()).await {
                Ok(()) => {
                    *self.suspension() = Suspension::Frozen;
                    self.disk.stands_still(true);
                    return Ok(());
                }
                Err(error) => {
                    debug!(container.id = %self.id, %error, "its cgroup cannot be frozen: asking Docker");
                }
            }
        }
        let pausing = self.daemon.docker.pause_container(&self.id);
        let paused = self.daemon.ask(&self.daemon.metrics.pause, pausing).await;
        paused.map_err(Daemon::fault("pause", &self.name))?;
        *self.suspension() = Suspension::Paused;
        self.disk.stands_still(true);
        Ok(())
    }

    async fn resume(&self) -> Result<(), RuntimeError> {
        let held = *self.suspension();
        match (held, &self.cgroup) {
            (Suspension::None, _) => return Ok(()),
            // It would take the run with it.
            (Suspension::Frozen, Some(cgroup)) if cgroup.is_condemned(Path::new("/proc")) => {
                let why = anyhow::anyhow!("it was killed while it was frozen");
                return Err(RuntimeError::failed("thaw", &self.name, why));
            }
            (Suspension::Frozen, Some(cgroup)) => {
                let begun = self.daemon.metrics.thaw.start();
                let thawed = cgroup.thaw();
                self.daemon.metrics.thaw.end(begun, &thawed);
                thawed.map_err(|error| RuntimeError::failed("thaw", &self.name, error))?;
            }
            (Suspension::Paused | Suspension::Frozen, _) => {
                let unpausing = self.daemon.docker.unpause_container(&self.id);
                let unpaused = self.daemon.ask(&self.daemon.metrics.unpause, unpausing).await;
                unpaused.map_err(Daemon::fault("unpause", &self.name))?;
            }
        }
        *self.suspension() = Suspension::None;
        self.disk.stands_still(false);
        Ok(())
    }

    async fn shrink(&self, memory_mb: u64, cpu_shares: u64) -> Result<(), RuntimeError> {
        let bytes = memory_mb << 20;
        if let Some(cgroup) = &self.cgroup {
            match cgroup.shrink(bytes, cpu_shares) {
                Ok(()) => return Ok(()),
                Err(error) => {
                    debug!(container.id = %self.id, %error, "its cgroup cannot be made smaller: asking Docker");
                }
            }
        }
        let limit = Some(i64::try_from(bytes).unwrap_or(i64::MAX));
        let update = ContainerUpdateBody {
            memory: limit,
            memory_swap: limit,
            cpu_shares: Some(i64::try_from(cpu_shares).unwrap_or(i64::MAX)),
            ..Default::default()
        };
        let updating = self.daemon.docker.update_container(&self.id, update);
        let updated = self.daemon.ask(&self.daemon.metrics.update, updating).await;
        updated.map_err(Daemon::fault("update", &self.name))
    }

    async fn cause_of_end(&self, within: Duration) -> EndCause {
        let deadline = Instant::now() + within;
        let mut pause = LOOK_FIRST;
        let unclear_until = deadline.min(Instant::now() + UNCLEAR);
        // Once its first process has ended, its cgroup is gone, and what it counted.
        let mut was_short = false;
        loop {
            was_short |= self.cgroup.as_ref().is_some_and(Cgroup::was_out_of_memory);
            let heard = self.oom_events.as_ref().map_or(Shortage::No, OomEvents::shortage);
            was_short |= heard == Shortage::Yes;
            if self.disk.is_over() {
                return EndCause::OutOfDisk;
            }
            let seen = self.state(was_short).await;
            match seen {
                Some(EndCause::Exited(Some(KILLED)))
                    if heard == Shortage::Unclear && Instant::now() + pause < unclear_until =>
                {
                    sleep(pause).await;
                }
                Some(EndCause::OutOfMemory | EndCause::Exited(_)) => {
                    return seen.unwrap_or(EndCause::Running);
                }
                _ if Instant::now() + pause >= deadline => return EndCause::Running,
                _ => sleep(pause).await,
            }
            pause = LOOK_LAST.min(pause * 2);
        }
    }

    async fn destroy(self: Box<Self>) -> Result<(), RuntimeError> {
        // A frozen process cannot be killed; one that is gone needs no thaw.
        if let Err(error) = self.resume().await {
            debug!(container.id = %self.id, error = %anyhow::anyhow!(error), "not resumed before its removal");
        }
        let mut attempts = 0;
        while let Err(error) = self.daemon.remove(&self.id).await {
            attempts += 1;
            // A daemon that is away has it still, or again, when it comes back.
            if !self.hold.health.has_gone(&error).await && attempts >= ATTEMPTS {
                return Err(error);
            }
            self.hold.health.back().await;
            sleep(LOOK_LAST).await;
        }
        drop(ManuallyDrop::into_inner(self.hold));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cause_of_the_end_is_read_from_the_state() {
        let state = |oom_killed, running, exit_code| ContainerState {
            oom_killed: Some(oom_killed),
            running: Some(running),
            exit_code: Some(exit_code),
            ..Default::default()
        };
        let (ours, foreign) = (LogFraming::Counted, LogFraming::Sentinels);
        for (state, was_short, framing, expected) in [
            (state(true, false, 137), false, ours, EndCause::OutOfMemory),
            (state(false, false, 137), true, ours, EndCause::OutOfMemory),
            (state(true, true, 0), true, ours, EndCause::Running),
            // A child was killed before, but that is not what ended it.
            (state(true, false, 1), true, ours, EndCause::Exited(Some(1))),
            (state(true, false, 1), true, foreign, EndCause::OutOfMemory),
            (state(true, true, 0), false, foreign, EndCause::OutOfMemory),
            (state(false, true, 0), true, foreign, EndCause::OutOfMemory),
            (state(false, true, 0), false, ours, EndCause::Running),
            (state(false, false, 137), false, ours, EndCause::Exited(Some(137))),
            (state(false, false, 235), false, ours, EndCause::OutOfMemory),
            (state(false, false, 235), false, foreign, EndCause::Exited(Some(235))),
            (state(false, false, 0), false, foreign, EndCause::Exited(Some(0))),
        ] {
            assert_eq!(judge(&state, was_short, framing), expected, "{state:?}");
        }
    }
}
