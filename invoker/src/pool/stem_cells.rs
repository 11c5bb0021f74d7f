//! The stem cells of a pool: containers that have an image and no owner yet, so that a cold start is spared.
//!
//! Facts only, as in [`super::decide`]. How many there are to be is decided by [`super::keep_alive`]; they are
//! made one after the other, so that they never stand in the way of a job's own container. A job may take one
//! that is larger than it asks for, which is then made as small as it asked: upstream's stem cells serve
//! only actions of their very size. One that is still being made is taken too: it will be there before a
//! new one would be.

use std::sync::Arc;

use common::clock::Millis;

use super::decide::{ContainerNo, Want};

/// The place of a kind of stem cells in the pool's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct CellNo(pub usize);

/// Stem cells of one image and memory.
#[derive(Debug)]
pub struct Cells {
    image: Arc<str>,
    memory_mb: u64,
    /// How long one waits at most, in milliseconds.
    ttl: Option<u64>,
    wanted: u32,
    cold_starts: u32,
    /// Made ones, oldest first.
    ready: Vec<(Millis, ContainerNo)>,
    starting: Option<ContainerNo>,
}

impl Cells {
    /// None yet.
    pub fn new(image: Arc<str>, memory_mb: u64, ttl: Option<u64>, wanted: u32) -> Self {
        Self { image, memory_mb, ttl, wanted, cold_starts: 0, ready: Vec::new(), starting: None }
    }

    fn count(&self) -> usize {
        self.ready.len() + usize::from(self.starting.is_some())
    }

    fn serves(&self, want: &Want, may_shrink: bool) -> bool {
        let fits = match may_shrink {
            true => self.memory_mb >= want.memory_mb,
            false => self.memory_mb == want.memory_mb,
        };
        fits && want.image.as_ref() == Some(&self.image)
    }
}

/// All of a pool.
#[derive(Debug, Default)]
pub struct StemCells {
    kinds: Vec<Cells>,
    /// Whether missing ones are made.
    made: bool,
    /// Whether a smaller job must be left to its own container.
    rigid: bool,
}

impl StemCells {
    /// Of these kinds.
    pub fn new(kinds: Vec<Cells>) -> Self {
        Self { kinds, made: false, rigid: false }
    }

    /// Whether missing ones are made from now on. Returns whether they were.
    pub fn make(&mut self, wanted: bool) -> bool {
        std::mem::replace(&mut self.made, wanted)
    }

    /// From now on only jobs of their very size are served.
    pub fn cannot_shrink(&mut self) {
        self.rigid = true;
    }

    /// So many of a kind are to wait.
    pub fn want(&mut self, cell: CellNo, count: u32) {
        if let Some(cells) = self.kinds.get_mut(cell.0) {
            cells.wanted = count;
        }
    }

    /// Begins another period of counting: the next number of each kind follows from its cold starts.
    pub fn new_period(&mut self, wanted: impl Fn(CellNo, u32) -> u32) {
        for (index, cells) in self.kinds.iter_mut().enumerate() {
            cells.wanted = wanted(CellNo(index), std::mem::take(&mut cells.cold_starts));
        }
    }

    /// How many cold starts of a kind there were in this period.
    pub fn cold_starts(&self, cell: CellNo) -> u32 {
        self.kinds.get(cell.0).map_or(0, |cells| cells.cold_starts)
    }

    /// How many of a kind are to wait.
    pub fn wanted(&self, cell: CellNo) -> u32 {
        self.kinds.get(cell.0).map_or(0, |cells| cells.wanted)
    }

    /// The first kind that lacks one and may have it within so much memory. One is made at a time.
    pub fn missing(&self, free_mb: u64) -> Option<(CellNo, u64)> {
        if !self.made || self.kinds.iter().any(|cells| cells.starting.is_some()) {
            return None;
        }
        let lacks = |cells: &&Cells| cells.count() < cells.wanted as usize && cells.memory_mb <= free_mb;
        let at = self.kinds.iter().position(|cells| lacks(&cells))?;
        Some((CellNo(at), self.kinds[at].memory_mb))
    }

    /// One is being made.
    pub fn begin(&mut self, cell: CellNo, no: ContainerNo) {
        if let Some(cells) = self.kinds.get_mut(cell.0) {
            cells.starting = Some(no);
        }
    }

    /// It is made, and waits from now on. One that was taken meanwhile is no stem cell any more.
    pub fn made(&mut self, no: ContainerNo, now: Millis) {
        for cells in &mut self.kinds {
            if cells.starting == Some(no) {
                cells.starting = None;
                cells.ready.push((now, no));
            }
        }
    }

    /// Takes one for a job: of those that are large enough the smallest, of those the one that expires
    /// first, else one that is still made. Says whether it is made.
    pub fn take(&mut self, want: &Want) -> Option<(ContainerNo, bool)> {
        let may_shrink = !self.rigid;
        let serving =
            self.kinds.iter_mut().filter(|cells| cells.serves(want, may_shrink) && cells.count() > 0);
        let cells = serving.min_by_key(|cells| (cells.ready.is_empty(), cells.memory_mb))?;
        match cells.ready.is_empty() {
            true => cells.starting.take().map(|no| (no, false)),
            false => Some((cells.ready.remove(0).1, true)),
        }
    }

    /// Counts a cold start where a stem cell that is made would have served, of the kind next in size.
    pub fn missed(&mut self, want: &Want) -> Option<CellNo> {
        let may_shrink = !self.rigid;
        let serving = self.kinds.iter_mut().enumerate().filter(|(_, cells)| cells.serves(want, may_shrink));
        let (index, cells) = serving.min_by_key(|(_, cells)| cells.memory_mb)?;
        cells.cold_starts = cells.cold_starts.saturating_add(1);
        Some(CellNo(index))
    }

    /// Those that have waited for longer than they may, oldest first, at most `limit`.
    pub fn expired(&self, now: Millis, limit: usize) -> Vec<(CellNo, ContainerNo)> {
        let of_kind = |(index, cells): (usize, &Cells)| {
            let late = move |since: Millis, ttl: Option<u64>| {
                ttl.and_then(|ttl| since.0.checked_add(ttl)).filter(|end| *end <= now.0)
            };
            let ttl = cells.ttl;
            let ended = cells.ready.iter().filter_map(move |(since, no)| Some((late(*since, ttl)?, *no)));
            ended.map(move |(end, no)| (end, CellNo(index), no)).collect::<Vec<_>>()
        };
        let mut expired: Vec<_> = self.kinds.iter().enumerate().flat_map(of_kind).collect();
        expired.sort_unstable();
        expired.into_iter().take(limit).map(|(_, cell, no)| (cell, no)).collect()
    }

    /// The one that has waited longest.
    pub fn oldest(&self) -> Option<ContainerNo> {
        self.kinds.iter().filter_map(|cells| cells.ready.first()).min().map(|(_, no)| *no)
    }

    /// It goes.
    pub fn forget(&mut self, no: ContainerNo) {
        for cells in &mut self.kinds {
            cells.starting = cells.starting.filter(|starting| *starting != no);
            cells.ready.retain(|(_, ready)| *ready != no);
        }
    }

    /// How many are made and have no job, and their memory, MB.
    pub fn standing(&self) -> (usize, u64) {
        let (counts, sizes): (Vec<_>, Vec<_>) = self
            .kinds
            .iter()
            .map(|cells| (cells.ready.len(), cells.ready.len() as u64 * cells.memory_mb))
            .unzip();
        (counts.iter().sum(), sizes.iter().sum())
    }
}
