//! Logs: one collector a container, which always reads its output and hands each activation its lines.
//!
//! The output is read whether or not anybody asks, because a full pipe would stop the action. Most
//! activations write nothing; where the container says so (counted framing) there is nothing to wait for.
//! Missing output or sentinels end the reading after half a second of silence, where upstream waits two.
//! Overlapping runs take turns at the output and cannot tell whose is what, as upstream; those of our Node
//! image can, because it marks what it prints ([`marked`]), and wait for nobody but themselves.
//! Sentences and the meaning of the limit are upstream's
//! (`common/scala/src/main/scala/org/apache/openwhisk/core/containerpool/logging`).

pub mod cut;
pub mod line;
pub mod marked;

use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use common::clock::Clock;
use common::entity::id::ActivationId;
use common::shutdown::Shutdown;
use rand::Rng;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::container::{LogChunk, LogFraming, LogSource, LogStream};
use crate::logs::cut::{Cut, Cutter};
use crate::logs::marked::{Marked, Share};

/// Said when output that was to come did not.
pub const FAILURE: &str = "There was an issue while collecting your logs. Data might be missing.";
/// Said after a developer error, when the end of the output is not waited for.
pub const DEVELOPER_ERROR: &str =
    "The action did not initialize or run as expected. Log data might be missing.";

/// Output that is awaited has failed to come after so long without any.
const SILENCE: Duration = Duration::from_millis(500);
/// Output that is not awaited is taken after so long without any, and after so long with some.
const SETTLE: Duration = Duration::from_millis(20);
const SETTLE_TOTAL: Duration = Duration::from_millis(200);
/// Held before the action, and so its log limit, is known.
const HOLD_AT_FIRST: u64 = 1024 * 1024;

/// What is to be collected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CollectRequest {
    /// Whose output.
    pub activation: ActivationId,
    /// The action's log limit. With 0 nothing is collected.
    pub limit_bytes: u64,
    /// Where the activation's output ends.
    pub ending: Ending,
    /// Whether the activation is a developer error, which adds a line.
    pub developer_error: bool,
}

/// Where an activation's output ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// After so many bytes of stdout and stderr since the last collection. They are waited for.
    Bytes(u64, u64),
    /// At the second sentinel. It is waited for.
    Sentinels,
    /// Wherever it is after a moment: after developer errors, and for images that promise nothing. One that has
    /// printed a sentinel nevertheless is given the time to do so again.
    Settled,
}

/// An activation's log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CollectedLogs {
    /// For the record.
    pub lines: Vec<String>,
    /// Whether the limit cut it. The container may be kept.
    pub truncated: bool,
    /// Whether its end was not found. The container's next log could hold the rest.
    pub failed: bool,
}

/// Reads one container's output until it is dropped or the container ends.
#[derive(Debug)]
pub struct LogCollector {
    framing: LogFraming,
    shared: Arc<Shared>,
    clock: Arc<dyn Clock>,
    /// Collections of overlapping runs take turns, unless their output is marked.
    turn: tokio::sync::Mutex<()>,
    _reading: DropGuard,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    /// Told of each arrival.
    arrived: Notify,
    ended: CancellationToken,
}

#[derive(Debug)]
struct State {
    output: Output,
    last_arrival: Instant,
}

/// How the output is shared out.
#[derive(Debug)]
enum Output {
    /// To one run after the other.
    InTurn(Cutter),
    /// To whom the marks name.
    Marked(Box<Marked>),
}

impl Output {
    fn push(&mut self, chunk: &LogChunk) {
        match self {
            Output::InTurn(cutter) => cutter.push(chunk.stream, chunk.at_nanos, &chunk.bytes),
            Output::Marked(marked) => marked.push(chunk.stream, chunk.at_nanos, &chunk.bytes),
        }
    }

    fn is_complete(&self, run: ActivationId, cut: Cut) -> bool {
        match self {
            Output::InTurn(cutter) => cutter.is_complete(cut),
            Output::Marked(marked) => marked.is_complete(run, cut),
        }
    }

    fn knows_sentinels(&self) -> bool {
        match self {
            Output::InTurn(cutter) => cutter.knows_sentinels(),
            Output::Marked(_) => false,
        }
    }

    fn take(&mut self, request: CollectRequest, cut: Cut) -> Share {
        match self {
            Output::InTurn(cutter) => {
                cutter.hold(request.limit_bytes);
                Share { piece: cutter.cut(cut, request.limit_bytes), squeezed: false }
            }
            Output::Marked(marked) => marked.cut(request.activation, cut, request.limit_bytes),
        }
    }

    fn discard(&mut self, run: ActivationId, cut: Cut) {
        match self {
            Output::InTurn(cutter) => cutter.discard(cut),
            Output::Marked(marked) => marked.forget(run),
        }
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LogCollector {
    /// Starts reading.
    pub fn new(source: LogSource, framing: LogFraming, clock: Arc<dyn Clock>, tasks: &Shutdown) -> Self {
        let output = Output::InTurn(Cutter::new(framing, HOLD_AT_FIRST));
        let shared = Arc::new(Shared {
            state: Mutex::new(State { output, last_arrival: Instant::now() }),
            arrived: Notify::new(),
            ended: CancellationToken::new(),
        });
        let stop = CancellationToken::new();
        tasks.spawn("logs", read(source, shared.clone(), stop.clone()));
        Self { framing, shared, clock, turn: tokio::sync::Mutex::default(), _reading: stop.drop_guard() }
    }

    /// Sets how much is held for the next collection: to the action's log limit, before its first run.
    pub fn hold(&self, limit_bytes: u64) {
        match &mut self.shared.state().output {
            Output::InTurn(cutter) => cutter.hold(limit_bytes),
            Output::Marked(marked) => marked.hold(limit_bytes),
        }
    }

    /// From now on the container marks its output, with the token that this returns and that it must be
    /// told at `/init`. Each run has to [`begin`](Self::begin) before it is sent.
    pub fn mark(&self, limit_bytes: u64) -> String {
        let token = format!("{:032x}", rand::rng().random::<u128>());
        let mut state = self.shared.state();
        if let Output::InTurn(cutter) = &mut state.output {
            let mut before = std::mem::replace(cutter, Cutter::new(self.framing, 0));
            before.hold(limit_bytes);
            state.output = Output::Marked(Box::new(Marked::new(&token, before, limit_bytes)));
        }
        token
    }

    /// A run is about to be sent.
    pub fn begin(&self, activation: ActivationId) {
        if let Output::Marked(marked) = &mut self.shared.state().output {
            marked.begin(activation);
        }
    }

    /// A run that has begun was refused: nobody will collect its output.
    pub fn forget(&self, activation: ActivationId) {
        if let Output::Marked(marked) = &mut self.shared.state().output {
            marked.forget(activation);
        }
    }

    /// Where a normal answer's output ends, given its count if it had one.
    pub fn ending(&self, log_bytes: Option<(u64, u64)>) -> Ending {
        match (self.framing, log_bytes) {
            (LogFraming::Counted, Some((stdout, stderr))) => Ending::Bytes(stdout, stderr),
            (LogFraming::Counted, None) => Ending::Settled,
            (LogFraming::Sentinels, _) => Ending::Sentinels,
        }
    }

    /// Returns once the container's output has ended, which is when the container has. Cancel safe.
    pub async fn ended(&self) {
        self.shared.ended.cancelled().await;
    }

    /// Whether it has.
    pub fn has_ended(&self) -> bool {
        self.shared.ended.is_cancelled()
    }

    /// Takes the lines of the activation that has just answered.
    pub async fn collect(&self, request: CollectRequest) -> CollectedLogs {
        let cut = request.ending.cut();
        let takes_turns = matches!(self.shared.state().output, Output::InTurn(_));
        let _turn = if takes_turns { Some(self.turn.lock().await) } else { None };
        if request.limit_bytes == 0 {
            self.shared.state().output.discard(request.activation, cut);
            return CollectedLogs::default();
        }
        self.wait(cut, request).await;
        let Share { piece, squeezed } = self.shared.state().output.take(request, cut);
        let failed = !piece.ended && request.ending != Ending::Settled;
        let mut lines: Vec<String> = piece.lines.into_iter().map(|(_, line)| line).collect();
        if piece.truncated && !squeezed {
            lines.push(self.say(&truncation(request.limit_bytes)));
        } else if failed || squeezed {
            lines.push(self.say(FAILURE));
        }
        if request.developer_error {
            lines.push(self.say(DEVELOPER_ERROR));
        }
        CollectedLogs { lines, truncated: piece.truncated, failed }
    }

    /// Throws away an activation's output: its log limit is zero, or nobody wants it.
    pub fn discard(&self, activation: ActivationId, ending: Ending) {
        self.shared.state().output.discard(activation, ending.cut());
    }

    async fn wait(&self, cut: Cut, request: CollectRequest) {
        let start = Instant::now();
        let awaited = (SILENCE, Duration::from_secs(2 * (request.limit_bytes >> 20).max(5)));
        loop {
            // Both before the state is read: what came before it ended is in the state, and what comes after
            // it was read wakes this up.
            let ended = self.shared.ended.is_cancelled();
            let mut arrived = pin!(self.shared.arrived.notified());
            arrived.as_mut().enable();
            let (last_arrival, (silence, total)) = {
                let state = self.shared.state();
                if ended || state.output.is_complete(request.activation, cut) {
                    return;
                }
                let bounds = match request.ending {
                    Ending::Bytes(..) | Ending::Sentinels => awaited,
                    Ending::Settled if !request.developer_error && state.output.knows_sentinels() => awaited,
                    Ending::Settled => (SETTLE, SETTLE_TOTAL),
                };
                (state.last_arrival, bounds)
            };
            let until = (last_arrival.max(start) + silence).min(start + total);
            tokio::select! {
                () = arrived => {}
                () = self.shared.ended.cancelled() => {}
                () = sleep_until(until) => {
                    // Something may have come in the last moment.
                    let last = self.shared.state().last_arrival;
                    if Instant::now() >= (last.max(start) + silence).min(start + total) {
                        return;
                    }
                }
            }
        }
    }

    fn say(&self, text: &str) -> String {
        line::format(LogStream::Stderr, nanos(&*self.clock), text.as_bytes())
    }
}

impl Ending {
    fn cut(self) -> Cut {
        match self {
            Ending::Bytes(stdout, stderr) => Cut::Bytes(stdout, stderr),
            Ending::Sentinels => Cut::Sentinels,
            Ending::Settled => Cut::Here,
        }
    }
}

/// The line of an activation whose log was lost with the process that read it.
pub fn failure_line(clock: &dyn Clock) -> String {
    line::format(LogStream::Stderr, nanos(clock), FAILURE.as_bytes())
}

/// The time of day as log chunks carry it.
pub fn nanos(clock: &dyn Clock) -> u64 {
    u64::try_from(clock.now_nanos()).unwrap_or(u64::MAX)
}

fn truncation(limit_bytes: u64) -> String {
    format!("Logs were truncated because the total bytes size exceeds the limit of {limit_bytes} bytes.")
}

/// Reads until the container or the collector ends.
async fn read(mut source: LogSource, shared: Arc<Shared>, stop: CancellationToken) {
    loop {
        let chunk = tokio::select! {
            () = stop.cancelled() => return,
            chunk = source.next() => chunk,
        };
        let Some(chunk) = chunk else { break };
        {
            let mut state = shared.state();
            state.output.push(&chunk);
            state.last_arrival = Instant::now();
        }
        shared.arrived.notify_waiters();
    }
    shared.ended.cancel();
}

#[cfg(test)]
mod tests;
