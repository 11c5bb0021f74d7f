//! Cuts a container's output into lines and lines into activations. Pure: bytes in, lines out.
//!
//! Lines end at newlines, and at 16 KiB as in Docker's copier. They are held with their place in their
//! stream, because counted output is cut at byte positions that are known only after the response;
//! sentinels are found as they arrive. What is held is bounded: past the bound lines are counted and
//! dropped, and the activation that they belong to says that its log was cut.

use std::collections::VecDeque;

use crate::container::{LogFraming, LogStream};
use crate::logs::line;

/// What upstream's runtimes print on both streams after each activation.
pub const SENTINEL: &[u8] = b"XXX_THE_END_OF_A_WHISK_ACTIVATION_XXX";
/// A longer line is stored as several.
const PIECE: usize = 16 * 1024;
/// Sentinels that may wait; an action that prints more without being run only confuses itself.
const SENTINELS: usize = 1024;

/// Where an activation's output ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// So many bytes of stdout and stderr after the last cut.
    Bytes(u64, u64),
    /// At the second sentinel, or where there is none, at what is here.
    Sentinels,
    /// At what is here.
    Here,
}

/// An activation's lines.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Piece {
    /// Each with when it arrived, formatted for the record.
    pub lines: Vec<(u64, String)>,
    /// Whether lines were left out because of the limit.
    pub truncated: bool,
    /// How much of the limit is left.
    pub left: u64,
    /// Whether the end was found.
    pub ended: bool,
}

/// The state of the cutting of one container's output.
#[derive(Debug)]
pub struct Cutter {
    framing: LogFraming,
    hold: u64,
    streams: [Partial; 2],
    held: VecDeque<Line>,
    held_size: u64,
    sentinels: usize,
    /// Whether there ever was one.
    knows_sentinels: bool,
    /// By stream, where the first line that was not held ends.
    dropped: [Option<u64>; 2],
    /// How many sentinels lay before it.
    dropped_after: usize,
}

/// One stream: the line that has not ended, and places in bytes since the container's start.
#[derive(Debug, Default)]
struct Partial {
    text: Vec<u8>,
    at_nanos: u64,
    arrived: u64,
    cut: u64,
}

#[derive(Debug)]
struct Line {
    stream: LogStream,
    at_nanos: u64,
    text: Box<[u8]>,
    newline: bool,
    end: u64,
    size: u64,
    sentinel: bool,
}

impl Cutter {
    /// Nothing has arrived; lines up to the size of `hold` are held.
    pub fn new(framing: LogFraming, hold: u64) -> Self {
        Self {
            framing,
            hold,
            streams: Default::default(),
            held: VecDeque::new(),
            held_size: 0,
            sentinels: 0,
            knows_sentinels: false,
            dropped: [None; 2],
            dropped_after: 0,
        }
    }

    /// Changes how much is held: to the action's log limit, once there is an action.
    pub fn hold(&mut self, hold: u64) {
        self.hold = hold;
    }

    /// Takes a piece of output.
    pub fn push(&mut self, stream: LogStream, at_nanos: u64, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let partial = &mut self.streams[stream as usize];
            let window = &bytes[..bytes.len().min(PIECE - partial.text.len())];
            let newline = window.iter().position(|byte| *byte == b'\n');
            let (text, used) = newline.map_or((window, window.len()), |at| (&window[..at], at + 1));
            partial.text.extend_from_slice(text);
            partial.at_nanos = at_nanos;
            partial.arrived += used as u64;
            bytes = &bytes[used..];
            if newline.is_some() || partial.text.len() == PIECE {
                self.end_line(stream, newline.is_some());
            }
        }
    }

    fn end_line(&mut self, stream: LogStream, newline: bool) {
        let partial = &mut self.streams[stream as usize];
        let text = std::mem::take(&mut partial.text);
        let (at_nanos, end) = (partial.at_nanos, partial.arrived);
        let size = line::size(at_nanos, &text, newline);
        let sentinel = self.framing == LogFraming::Sentinels
            && self.sentinels < SENTINELS
            && text.windows(SENTINEL.len()).any(|window| window == SENTINEL);
        self.sentinels += usize::from(sentinel);
        self.knows_sentinels |= sentinel;
        let dropping = self.is_dropping();
        if !sentinel && (dropping || self.held_size + size > self.hold) {
            if !dropping {
                self.dropped_after = self.sentinels;
            }
            self.dropped[stream as usize].get_or_insert(end);
            return;
        }
        self.held_size += size;
        let text = if sentinel { Box::default() } else { text.into_boxed_slice() };
        self.held.push_back(Line { stream, at_nanos, text, newline, end, size, sentinel });
    }

    /// Whether a line was not held for want of room.
    pub fn is_dropping(&self) -> bool {
        self.dropped != [None; 2]
    }

    /// Whether the container has ever printed a sentinel, so that more are to be expected.
    pub fn knows_sentinels(&self) -> bool {
        self.knows_sentinels
    }

    /// The size of the lines that are held.
    pub fn held(&self) -> u64 {
        self.held_size
    }

    /// The place up to which whole lines are here.
    pub fn at_last_line(&self) -> Cut {
        let [stdout, stderr] = [0, 1]
            .map(|at: usize| &self.streams[at])
            .map(|stream| (stream.arrived - stream.text.len() as u64).saturating_sub(stream.cut));
        Cut::Bytes(stdout, stderr)
    }

    /// Whether all of the activation's output is here.
    pub fn is_complete(&self, cut: Cut) -> bool {
        match cut {
            Cut::Bytes(..) => {
                let ends = self.ends(cut);
                self.streams.iter().zip(ends).all(|(stream, end)| stream.arrived >= end)
            }
            Cut::Sentinels | Cut::Here => self.sentinels >= 2,
        }
    }

    /// By stream, the place where the activation's output ends.
    fn ends(&self, cut: Cut) -> [u64; 2] {
        let [stdout, stderr] = &self.streams;
        match cut {
            Cut::Bytes(out, err) => [stdout.cut.saturating_add(out), stderr.cut.saturating_add(err)],
            Cut::Sentinels | Cut::Here => [stdout.arrived, stderr.arrived],
        }
    }

    /// Takes the activation's lines and moves on. `limit` counts what upstream's file would hold.
    pub fn cut(&mut self, cut: Cut, limit: u64) -> Piece {
        let ends = self.ends(cut);
        let ended = self.is_complete(cut);
        let to_sentinel = ended && !matches!(cut, Cut::Bytes(..));
        let mut taken = Taken::new(limit);
        let mut sentinels = 0;
        let mut rest = VecDeque::new();
        while let Some(mut line) = self.held.pop_front() {
            if to_sentinel && sentinels == 2 {
                rest.push_back(line);
                break;
            }
            if line.sentinel {
                sentinels += 1;
                self.sentinels -= 1;
                taken.count(line.size);
                continue;
            }
            let end = ends[line.stream as usize];
            if line.end <= end {
                taken.line(&line);
                continue;
            }
            // Written partly before and partly after the place of the cut.
            let start = line.end - line.text.len() as u64 - u64::from(line.newline);
            if start < end {
                let head = line.take_head(usize::try_from(end - start).unwrap_or(usize::MAX));
                taken.line(&head);
            }
            rest.push_back(line);
        }
        rest.append(&mut self.held);
        self.held = rest;
        self.held_size = self.held.iter().map(|line| line.size).sum();
        if !to_sentinel {
            for stream in [LogStream::Stdout, LogStream::Stderr] {
                self.take_partial(stream, ends[stream as usize], &mut taken);
            }
        }
        if to_sentinel && self.dropped_after >= 2 {
            self.dropped_after -= 2; // the flood came after this activation
        } else {
            for (stream, end) in ends.into_iter().enumerate() {
                taken.truncated |= self.dropped[stream].is_some_and(|dropped| dropped <= end);
                // What was dropped behind the cut is the next activation's.
                let behind = self.streams[stream].arrived > end;
                self.dropped[stream] =
                    self.dropped[stream].filter(|_| behind).map(|dropped| dropped.max(end + 1));
            }
            self.dropped_after = 0;
        }
        for (stream, end) in self.streams.iter_mut().zip(ends) {
            stream.cut = end;
        }
        Piece { lines: taken.lines, truncated: taken.truncated, left: taken.left, ended }
    }

    /// Throws away what is here: for actions whose log limit is zero.
    pub fn discard(&mut self, cut: Cut) {
        let ends = self.ends(cut);
        if cut != Cut::Bytes(0, 0) {
            self.held.clear();
            (self.held_size, self.sentinels, self.dropped) = (0, 0, [None; 2]);
        }
        for (stream, end) in self.streams.iter_mut().zip(ends) {
            stream.cut = end;
            stream.text.clear();
        }
    }

    /// The activation's part of the line that has not ended.
    fn take_partial(&mut self, stream: LogStream, end: u64, taken: &mut Taken) {
        let partial = &mut self.streams[stream as usize];
        let start = partial.arrived - partial.text.len() as u64;
        if partial.text.is_empty() || start >= end {
            return;
        }
        let length = usize::try_from(end - start).map_or(partial.text.len(), |n| n.min(partial.text.len()));
        let text: Box<[u8]> = partial.text.drain(..length).collect();
        let at_nanos = partial.at_nanos;
        let size = line::size(at_nanos, &text, true);
        taken.line(&Line { stream, at_nanos, text, newline: true, end, size, sentinel: false });
    }
}

impl Line {
    /// Splits off the first `length` bytes as a line that ended there.
    fn take_head(&mut self, length: usize) -> Line {
        let text = std::mem::take(&mut self.text);
        let (head, tail) = text.split_at(length.min(text.len()));
        self.text = tail.into();
        self.size = line::size(self.at_nanos, &self.text, self.newline);
        let size = line::size(self.at_nanos, head, true);
        Line { text: head.into(), newline: true, size, ..*self }
    }
}

/// Lines as they are taken, and the limit on them.
struct Taken {
    lines: Vec<(u64, String)>,
    left: u64,
    truncated: bool,
}

impl Taken {
    fn new(limit: u64) -> Self {
        Self { lines: Vec::new(), left: limit, truncated: false }
    }

    fn line(&mut self, line: &Line) {
        if self.count(line.size) {
            self.lines.push((line.at_nanos, line::format(line.stream, line.at_nanos, &line.text)));
        }
    }

    /// Whether there is room for so much; once there is none, there is none for anything.
    fn count(&mut self, size: u64) -> bool {
        self.truncated |= size > self.left;
        if !self.truncated {
            self.left -= size;
        }
        !self.truncated
    }
}

#[cfg(test)]
mod tests;
