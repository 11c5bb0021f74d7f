//! One process group as a container: its output, its end and why, its removal.
//!
//! A reaper waits for the leader and ends what it leaves in its group; whoever made a group of its own is
//! found by its marker when the container is removed.

use std::net::SocketAddr;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use anyhow::Context;
use async_trait::async_trait;
use bytes::BytesMut;
use common::clock::Clock;
use common::shutdown::Shutdown;
use rustix::process::Signal;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Child;
use tokio::sync::mpsc::Sender;
use tokio::sync::watch;
use tokio::time::timeout;

use super::proc::{self, Marked};
use super::remove_directory;
use crate::container::{
    Container, EndCause, HEAP_EXHAUSTED, LogChunk, LogFraming, LogSource, LogStream, RuntimeError,
};
use crate::logs::nanos;

/// A chunk of output at most.
const CHUNK: usize = 32 * 1024;
/// A killed process ends this soon.
const REAPED_WITHIN: Duration = Duration::from_secs(5);

/// What the container, its reaper and the memory sampler share.
#[derive(Debug)]
pub struct Process {
    group: i32,
    id: String,
    memory: AtomicU64,
    suspended: AtomicBool,
    out_of_memory: AtomicBool,
    /// Set when the leader has ended: exit code, 128 + signal for a signal.
    ended: watch::Sender<Option<Option<i64>>>,
}

impl Process {
    /// For a group led by `pid` that may hold `memory` bytes.
    pub fn new(pid: u32, memory: u64) -> anyhow::Result<Arc<Self>> {
        let group = i32::try_from(pid).context("no process has such an id")?;
        Ok(Arc::new(Self {
            group,
            id: group.to_string(),
            memory: AtomicU64::new(memory),
            suspended: AtomicBool::new(false),
            out_of_memory: AtomicBool::new(false),
            ended: watch::Sender::new(None),
        }))
    }

    /// The group's id.
    pub fn group(&self) -> i32 {
        self.group
    }

    /// Whether it runs and is not suspended.
    pub fn may_grow(&self) -> bool {
        !self.suspended.load(Ordering::Relaxed) && self.ended.borrow().is_none()
    }

    /// Ends the group if it holds more than it may; says whether.
    pub fn end_if_over(&self, bytes: u64) -> bool {
        let over = bytes > self.memory.load(Ordering::Relaxed);
        if over {
            self.out_of_memory.store(true, Ordering::SeqCst);
            proc::kill_group(self.group, Signal::KILL);
        }
        over
    }

    /// Waits for the leader's end; what it leaves behind in its group ends with it.
    async fn reap(self: Arc<Self>, mut child: Child) {
        let status = child.wait().await;
        proc::kill_group(self.group, Signal::KILL);
        let code = status.ok().and_then(|status| status.code().or_else(|| Some(128 + status.signal()?)));
        self.ended.send_replace(Some(code.map(i64::from)));
    }

    async fn end(&self) -> Option<i64> {
        let mut ended = self.ended.subscribe();
        let ended = ended.wait_for(Option::is_some).await;
        ended.ok().and_then(|code| *code).flatten()
    }
}

/// A container that is a process group.
#[derive(Debug)]
pub struct ProcessContainer {
    process: Arc<Process>,
    name: String,
    marker: String,
    directory: PathBuf,
    address: SocketAddr,
    marks: bool,
    logs: Option<LogSource>,
}

impl ProcessContainer {
    /// Takes over a started child; `place` is its name, marker and directory, `marks` whether its server
    /// can mark its output.
    pub fn start(
        mut child: Child,
        process: Arc<Process>,
        place: (String, String, PathBuf),
        address: SocketAddr,
        marks: bool,
        clock: Arc<dyn Clock>,
        tasks: &Shutdown,
    ) -> Self {
        let (sender, logs) = LogSource::channel();
        if let Some(stdout) = child.stdout.take() {
            tasks.spawn("stdout", forward(stdout, LogStream::Stdout, sender.clone(), clock.clone()));
        }
        if let Some(stderr) = child.stderr.take() {
            tasks.spawn("stderr", forward(stderr, LogStream::Stderr, sender, clock));
        }
        tasks.spawn("reaper", process.clone().reap(child));
        let (name, marker, directory) = place;
        Self { process, name, marker, directory, address, marks, logs: Some(logs) }
    }
}

/// Moves one stream to the collector until either ends.
async fn forward(
    mut output: impl AsyncRead + Unpin,
    stream: LogStream,
    sender: Sender<LogChunk>,
    clock: Arc<dyn Clock>,
) {
    let mut buffer = BytesMut::new();
    loop {
        buffer.reserve(CHUNK);
        let read = tokio::select! {
            () = sender.closed() => return,
            read = output.read_buf(&mut buffer) => read,
        };
        if !matches!(read, Ok(length) if length > 0) {
            return;
        }
        let bytes = buffer.split().freeze();
        if sender.send(LogChunk { stream, at_nanos: nanos(&*clock), bytes }).await.is_err() {
            return;
        }
    }
}

#[async_trait]
impl Container for ProcessContainer {
    fn id(&self) -> &str {
        &self.process.id
    }

    fn name(&self) -> &str {
        &self.name
    }

    fn address(&self) -> SocketAddr {
        self.address
    }

    fn log_framing(&self) -> LogFraming {
        LogFraming::Counted
    }

    fn marks_logs(&self) -> bool {
        self.marks
    }

    fn take_logs(&mut self) -> Option<LogSource> {
        self.logs.take()
    }

    async fn suspend(&self) -> Result<(), RuntimeError> {
        if self.process.ended.borrow().is_some() {
            return Err(RuntimeError::failed("suspend", &self.name, anyhow::anyhow!("it has ended")));
        }
        self.process.suspended.store(true, Ordering::SeqCst);
        proc::kill_group(self.process.group, Signal::STOP);
        Ok(())
    }

    async fn resume(&self) -> Result<(), RuntimeError> {
        self.process.suspended.store(false, Ordering::SeqCst);
        if self.process.ended.borrow().is_some() || proc::is_ending(self.process.group) {
            return Err(RuntimeError::failed("resume", &self.name, anyhow::anyhow!("it has ended")));
        }
        proc::kill_group(self.process.group, Signal::CONT);
        Ok(())
    }

    async fn shrink(&self, memory_mb: u64, _cpu_shares: u64) -> Result<(), RuntimeError> {
        self.process.memory.store(memory_mb << 20, Ordering::Relaxed);
        Ok(())
    }

    async fn cause_of_end(&self, within: Duration) -> EndCause {
        let end = timeout(within, self.process.end()).await;
        match end {
            _ if self.process.out_of_memory.load(Ordering::SeqCst) => EndCause::OutOfMemory,
            Ok(Some(HEAP_EXHAUSTED)) => EndCause::OutOfMemory,
            Ok(code) => EndCause::Exited(code),
            Err(_) => EndCause::Running,
        }
    }

    async fn destroy(self: Box<Self>) -> Result<(), RuntimeError> {
        // A group that has ended may have lent its number to another already.
        if self.process.ended.borrow().is_none() {
            proc::kill_group(self.process.group, Signal::KILL);
        }
        // Those that made groups of their own.
        proc::kill_marked(&Marked::Container(self.marker.clone())).await;
        let reaped = timeout(REAPED_WITHIN, self.process.end()).await;
        remove_directory(&self.directory)?;
        reaped.map(drop).map_err(|late| RuntimeError::failed("end", &self.name, late))
    }
}
