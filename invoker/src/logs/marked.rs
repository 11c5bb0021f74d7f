//! Tells the output of overlapping runs apart, by the marks that our Node image puts on it. Pure: bytes in,
//! lines out.
//!
//! A mark is a head before each piece of output: a byte, the container's token, the activation's id, the
//! piece's length (`runtimes/nodejs/marks.js`). Pieces of one activation are put together, whatever came in
//! between, and cut into lines by a [`Cutter`] of its own. Without the token, which only the image knows,
//! no text can pass for a head. Output without a head, or with one that names nobody, belongs to no run
//! that could be told: it goes to the run that ends next, as it does where runs do not overlap. What names
//! an activation that has ended is too late for its record and is nobody else's: it is dropped.
//! Each run may hold as much as its limit, all together no more than `TOGETHER`.

use std::collections::HashMap;

use common::entity::id::ActivationId;

use crate::container::{LogFraming, LogStream};
use crate::logs::cut::{Cut, Cutter, Piece};

/// What begins a head: a byte that text does not contain.
const MARK: u8 = 0x1e;
/// Digits of a token and of an id.
const DIGITS: usize = 32;
/// The mark and the token.
const PREFIX: usize = 1 + DIGITS;
/// The whole head: prefix, id, four digits of length, newline.
const HEAD: usize = PREFIX + DIGITS + 4 + 1;
/// What all runs of a container hold at most, if that is more than the limit of one.
const TOGETHER: u64 = 32 * 1024 * 1024;

/// The state of one container's output.
#[derive(Debug)]
pub struct Marked {
    prefix: [u8; PREFIX],
    streams: [Reading; 2],
    runs: HashMap<ActivationId, Run>,
    unmarked: Cutter,
    limit: u64,
    held: u64,
}

/// Where in its stream the next byte lies.
#[derive(Debug)]
enum Reading {
    /// Outside of marked pieces, behind what may be the beginning of a head.
    Outside(Vec<u8>),
    /// Inside a piece of somebody's, of which so much is to come.
    Inside(Option<ActivationId>, usize),
}

/// A run's output.
#[derive(Debug)]
struct Run {
    cutter: Cutter,
    /// A line was dropped because of the others.
    squeezed: bool,
}

/// What a run gets.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// The lines, those that are nobody's among them.
    pub piece: Piece,
    /// Whether lines are missing that its limit would have allowed.
    pub squeezed: bool,
}

impl Marked {
    /// From now on pieces are marked with this token, 32 hexadecimal digits. What is in `before` is
    /// nobody's. `limit` is that of each run.
    pub fn new(token: &str, before: Cutter, limit: u64) -> Self {
        let mut prefix = [MARK; PREFIX];
        for (place, digit) in prefix[1..].iter_mut().zip(token.bytes()) {
            *place = digit;
        }
        let streams = [Reading::Outside(Vec::new()), Reading::Outside(Vec::new())];
        Self { prefix, streams, runs: HashMap::new(), unmarked: before, limit, held: 0 }
    }

    /// Changes the limit of each run.
    pub fn hold(&mut self, limit: u64) {
        self.limit = limit;
        self.unmarked.hold(limit);
    }

    /// A run begins; its output is kept from now on. It may have begun before, with `/init`.
    pub fn begin(&mut self, run: ActivationId) {
        let fresh = || Run { cutter: Cutter::new(LogFraming::Counted, self.limit), squeezed: false };
        self.runs.entry(run).or_insert_with(fresh);
    }

    /// A run is nobody's to ask for any more.
    pub fn forget(&mut self, run: ActivationId) {
        if let Some(run) = self.runs.remove(&run) {
            self.held -= run.cutter.held();
        }
    }

    /// Takes a piece of output.
    pub fn push(&mut self, stream: LogStream, at_nanos: u64, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match &mut self.streams[stream as usize] {
                Reading::Inside(whose, left) => {
                    let (piece, rest) = bytes.split_at(bytes.len().min(*left));
                    let whose = *whose;
                    *left -= piece.len();
                    if *left == 0 {
                        self.streams[stream as usize] = Reading::Outside(Vec::new());
                    }
                    self.give(whose, stream, at_nanos, piece);
                    bytes = rest;
                }
                Reading::Outside(head) if head.is_empty() => {
                    let at = bytes.iter().position(|byte| *byte == MARK).unwrap_or(bytes.len());
                    let (unmarked, rest) = bytes.split_at(at);
                    let (first, rest) = rest.split_at(rest.len().min(1));
                    head.extend_from_slice(first);
                    self.unmarked.push(stream, at_nanos, unmarked);
                    bytes = rest;
                }
                Reading::Outside(head) => {
                    let (more, rest) = bytes.split_at(bytes.len().min(HEAD - head.len()));
                    head.extend_from_slice(more);
                    bytes = rest;
                    let known = head.len().min(PREFIX);
                    let is_head = head[..known] == self.prefix[..known];
                    if is_head && head.len() < HEAD {
                        continue;
                    }
                    let head = std::mem::take(head);
                    match parse(&head).filter(|_| is_head) {
                        Some((whose, length)) => {
                            self.streams[stream as usize] = Reading::Inside(whose, length);
                        }
                        // None after all; a head may begin behind the byte that looked like one.
                        None => {
                            self.unmarked.push(stream, at_nanos, &head[..1]);
                            self.push(stream, at_nanos, &head[1..]);
                        }
                    }
                }
            }
        }
    }

    fn give(&mut self, whose: Option<ActivationId>, stream: LogStream, at_nanos: u64, piece: &[u8]) {
        let Some(id) = whose else { return self.unmarked.push(stream, at_nanos, piece) };
        let Some(run) = self.runs.get_mut(&id) else { return };
        let before = run.cutter.held();
        let room = TOGETHER.max(self.limit).saturating_sub(self.held);
        let hold = self.limit.min(before + room);
        run.cutter.hold(hold);
        run.cutter.push(stream, at_nanos, piece);
        run.squeezed |= hold < self.limit && run.cutter.is_dropping();
        self.held += run.cutter.held() - before;
    }

    /// Whether all of the run's output is here.
    pub fn is_complete(&self, run: ActivationId, cut: Cut) -> bool {
        match self.runs.get(&run) {
            Some(run) => run.cutter.is_complete(cut),
            None => cut == Cut::Bytes(0, 0),
        }
    }

    /// Takes the run's lines up to there and all whole ones that are nobody's, in the order of arrival,
    /// and forgets the run.
    pub fn cut(&mut self, run: ActivationId, cut: Cut, limit: u64) -> Share {
        let (own, squeezed) = match self.runs.remove(&run) {
            Some(mut run) => {
                self.held -= run.cutter.held();
                (run.cutter.cut(cut, limit), run.squeezed)
            }
            None => (Piece { left: limit, ended: cut == Cut::Bytes(0, 0), ..Piece::default() }, false),
        };
        // After a crash the last words may have no end.
        let place = if cut == Cut::Here { cut } else { self.unmarked.at_last_line() };
        let others = self.unmarked.cut(place, if own.truncated { 0 } else { own.left });
        let truncated = own.truncated || others.truncated;
        let lines = merged(own.lines, others.lines);
        Share { piece: Piece { lines, truncated, left: others.left, ended: own.ended }, squeezed }
    }
}

/// Whose a piece is and how long, if this is a head.
fn parse(head: &[u8]) -> Option<(Option<ActivationId>, usize)> {
    let text = std::str::from_utf8(head.get(PREFIX..HEAD)?).ok()?.strip_suffix('\n')?;
    let (id, length) = text.split_at_checked(DIGITS)?;
    let length = usize::from_str_radix(length, 16).ok().filter(|length| *length > 0)?;
    let nobody = id.bytes().all(|digit| digit == b'0');
    Some((if nobody { None } else { Some(ActivationId::parse(id).ok()?) }, length))
}

/// Two logs by the time of their lines; where that is the same, those of the first come first.
fn merged(first: Vec<(u64, String)>, second: Vec<(u64, String)>) -> Vec<(u64, String)> {
    if first.is_empty() || second.is_empty() {
        return if first.is_empty() { second } else { first };
    }
    let mut second = second.into_iter().peekable();
    let mut lines = Vec::new();
    for line in first {
        while let Some(earlier) = second.next_if(|other| other.0 < line.0) {
            lines.push(earlier);
        }
        lines.push(line);
    }
    lines.extend(second);
    lines
}

#[cfg(test)]
mod tests;
