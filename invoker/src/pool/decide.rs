//! Which container runs which job: the pool's facts and its decisions, without waiting and without Docker.
//!
//! A job goes to a warm container of its owner, else to a stem cell of its image, else to a new one where there
//! is room, else idle ones make room, else it waits; jobs are served in the order of their arrival, also where
//! a later one would fit (`core/invoker/.../containerpool/ContainerPool.scala`). Unlike upstream, memory counts
//! until its container is gone, and only what is short is evicted, so that the machine is never promised more
//! than it has. Warm containers go first, longest unused before the others; stem cells, which upstream never
//! evicts, only where that is not enough: a job that waits is worth more than one that may come. Who needs memory
//! for something else (a compiler) reserves it here, and waits in the same queue.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use common::clock::Millis;

use super::containers::{Containers, Stage};
use super::stem_cells::{CellNo, StemCells};

/// For whom a container is, for its whole life: a namespace and an action with all that makes it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Owner {
    /// The namespace that invokes, not that of the action.
    pub namespace: Arc<str>,
    /// Digest of the action with code, parameters, limits and annotations; not of its revision.
    pub action: [u8; 32],
}

/// What a job needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Want {
    /// Who may share a container with it.
    pub owner: Owner,
    /// Whose stem cells it may take: the image, if it is one of the manifest's.
    pub image: Option<Arc<str>>,
    /// Memory of a container, MB.
    pub memory_mb: u64,
    /// Jobs at once in one container, at least 1.
    pub max_concurrent: u32,
}

/// What the pool needs to know of a job.
pub trait Wanting {
    /// What it needs.
    fn want(&self) -> &Want;
}

/// A container's number in the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContainerNo(pub u64);

/// Memory that is held, or waited for, without a container of the pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ReservationNo(pub u64);

/// Who waits for room.
#[derive(Debug)]
enum Waiter<J> {
    Job(J),
    Reservation(ReservationNo, u64),
}

impl<J: Wanting> Waiter<J> {
    fn memory_mb(&self) -> u64 {
        match self {
            Self::Job(job) => job.want().memory_mb,
            Self::Reservation(_, memory_mb) => *memory_mb,
        }
    }
}

/// What a job found; the words are upstream's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Start {
    /// A container of its owner that is initialized.
    Warmed,
    /// One of its owner that was a stem cell and is being initialized.
    Warming,
    /// One of its owner that is still made, or initialized for the first time.
    WarmingCold,
    /// A stem cell.
    Prewarmed,
    /// None but what is still being made; there was room.
    Cold,
    /// None, and others had to make room.
    Recreated,
}

/// What is to be done; the pool's facts hold it as done already.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect<J> {
    /// Make a container for this job.
    Create(ContainerNo, J, Start),
    /// Give it this job.
    Assign(ContainerNo, J, Start),
    /// Make a stem cell.
    Prewarm(ContainerNo, CellNo),
    /// A job had to start cold, or had to wait, although there are stem cells for its like.
    Missed(CellNo),
    /// A stem cell has waited for as long as it may.
    Expired(CellNo),
    /// A stem cell could not be made, or went before it had a job. No more are made until that is asked for.
    Failed(CellNo),
    /// Remove it; it has no job.
    Remove(ContainerNo),
    /// Tell who waits for it that this memory is theirs.
    Grant(ReservationNo),
}

/// The pool's facts.
#[derive(Debug)]
pub struct PoolState<J> {
    capacity_mb: u64,
    containers: Containers,
    stem_cells: StemCells,
    waiting: VecDeque<Waiter<J>>,
    /// Whether something was evicted for the first who waits.
    evicted: bool,
    /// Granted ones, with their memory.
    reserved: HashMap<ReservationNo, u64>,
    reserved_mb: u64,
    next: u64,
}

impl<J: Wanting> PoolState<J> {
    /// An empty pool for containers of so much memory in all.
    pub fn new(capacity_mb: u64, stem_cells: StemCells) -> Self {
        Self {
            capacity_mb,
            containers: Containers::default(),
            stem_cells,
            waiting: VecDeque::new(),
            evicted: false,
            reserved: HashMap::new(),
            reserved_mb: 0,
            next: 0,
        }
    }

    /// A job arrives. One that could never fit comes back.
    pub fn submit(&mut self, job: J) -> Result<Vec<Effect<J>>, J> {
        if job.want().memory_mb > self.capacity_mb {
            return Err(job);
        }
        self.waiting.push_back(Waiter::Job(job));
        Ok(self.serve())
    }

    /// Memory is wanted, at most all there is. It is granted by an effect, now or when there is room.
    pub fn reserve(&mut self, memory_mb: u64) -> (ReservationNo, u64, Vec<Effect<J>>) {
        self.next += 1;
        let (no, memory_mb) = (ReservationNo(self.next), memory_mb.min(self.capacity_mb));
        self.waiting.push_back(Waiter::Reservation(no, memory_mb));
        (no, memory_mb, self.serve())
    }

    /// Memory that was reserved is no longer needed, or no longer waited for.
    pub fn release(&mut self, no: ReservationNo) -> Vec<Effect<J>> {
        match self.reserved.remove(&no) {
            Some(memory_mb) => self.reserved_mb -= memory_mb,
            None => self.waiting.retain(|waiter| !matches!(waiter, Waiter::Reservation(n, _) if *n == no)),
        }
        self.serve()
    }

    /// A job comes back from a container that could not run it: it was first and is first again.
    pub fn returned(&mut self, job: J) -> Vec<Effect<J>> {
        self.waiting.push_front(Waiter::Job(job));
        self.serve()
    }

    /// The container is a stem cell that is made.
    pub fn prewarmed(&mut self, no: ContainerNo, now: Millis) -> Vec<Effect<J>> {
        self.stem_cells.made(no, now);
        self.serve()
    }

    /// The container has less memory than before, that of its first job.
    pub fn shrunk(&mut self, no: ContainerNo, memory_mb: u64) -> Vec<Effect<J>> {
        self.containers.shrunk(no, memory_mb);
        self.serve()
    }

    /// The stem cells.
    pub fn stem_cells(&self) -> &StemCells {
        &self.stem_cells
    }

    /// The memory of containers cannot be changed here: stem cells are for jobs of their very size.
    pub fn cannot_shrink(&mut self) {
        self.stem_cells.cannot_shrink();
    }

    /// So many stem cells of a kind are to wait.
    pub fn want_stem_cells(&mut self, cell: CellNo, count: u32) -> Vec<Effect<J>> {
        self.stem_cells.want(cell, count);
        self.serve()
    }

    /// Whether stem cells that are missing are made. They are not at first.
    pub fn make_stem_cells(&mut self, wanted: bool) -> Vec<Effect<J>> {
        self.stem_cells.make(wanted);
        self.serve()
    }

    /// Looks the stem cells over: at most `limit` whose time is over go, and their number follows the cold
    /// starts since the last look.
    pub fn check_stem_cells(
        &mut self,
        now: Millis,
        limit: usize,
        wanted: impl Fn(CellNo, u32) -> u32,
    ) -> Vec<Effect<J>> {
        let mut effects = Vec::new();
        for (cell, no) in self.stem_cells.expired(now, limit) {
            self.retire(no);
            effects.extend([Effect::Expired(cell), Effect::Remove(no)]);
        }
        self.stem_cells.new_period(wanted);
        effects.extend(self.serve());
        effects
    }

    /// The container is initialized.
    pub fn warmed(&mut self, no: ContainerNo) {
        self.containers.warmed(no);
    }

    /// One job of the container has ended, and the container is good for more.
    pub fn ended(&mut self, no: ContainerNo) -> Vec<Effect<J>> {
        self.containers.ended(no);
        self.serve()
    }

    /// The container takes no more jobs; it goes by itself.
    pub fn dying(&mut self, no: ContainerNo) -> Vec<Effect<J>> {
        let mut effects = Vec::new();
        // Of several that fail together one is told of.
        if let Some((Stage::StemCell(cell), false)) = self.containers.stage(no)
            && self.stem_cells.make(false)
        {
            effects.push(Effect::Failed(cell));
        }
        self.retire(no);
        effects.extend(self.serve());
        effects
    }

    /// The container was to be a stem cell and could not be made, whether it had a job already or not.
    pub fn unmade(&mut self, no: ContainerNo) -> Vec<Effect<J>> {
        let mut effects = Vec::new();
        if let Some((Stage::StemCell(cell) | Stage::Warming(cell), _)) = self.containers.stage(no)
            && self.stem_cells.make(false)
        {
            effects.push(Effect::Failed(cell));
        }
        self.retire(no);
        effects.extend(self.serve());
        effects
    }

    /// The container is gone; its memory is free.
    pub fn removed(&mut self, no: ContainerNo) -> Vec<Effect<J>> {
        self.retire(no);
        self.containers.removed(no);
        self.serve()
    }

    /// Takes out the jobs of those that wait that are `meant`.
    pub fn take_out(&mut self, meant: impl Fn(&J) -> bool) -> (Vec<J>, Vec<Effect<J>>) {
        let (mut out, mut waiting) = (Vec::new(), VecDeque::with_capacity(self.waiting.len()));
        for waiter in self.waiting.drain(..) {
            match waiter {
                Waiter::Job(job) if meant(&job) => out.push(job),
                other => waiting.push_back(other),
            }
        }
        self.waiting = waiting;
        (out, self.serve())
    }

    /// Takes out the jobs that wait; what waits to reserve is forgotten.
    pub fn drain_waiting(&mut self) -> Vec<J> {
        let waiting = self.waiting.drain(..);
        waiting.filter_map(|waiter| if let Waiter::Job(job) = waiter { Some(job) } else { None }).collect()
    }

    /// How many jobs and reservations wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// How the pool stands.
    pub fn standing(&self) -> Standing {
        let (prewarmed, prewarmed_mb) = self.stem_cells.standing();
        let (idle, idle_mb) = self.containers.idle();
        Standing {
            waiting: self.waiting.len(),
            waiting_mb: self.waiting.iter().map(Waiter::memory_mb).sum(),
            containers: self.containers.count(),
            used_mb: self.used_mb(),
            idle,
            idle_mb,
            prewarmed,
            prewarmed_mb,
        }
    }

    /// How many jobs containers have.
    pub fn active(&self) -> u64 {
        self.containers.active()
    }

    /// Memory of all containers and reservations, MB.
    pub fn used_mb(&self) -> u64 {
        self.containers.used_mb() + self.reserved_mb
    }

    /// Every container that is not going already goes: they are to be removed.
    pub fn close(&mut self) -> Vec<ContainerNo> {
        let living = self.containers.living();
        for no in &living {
            self.retire(*no);
        }
        living
    }

    fn serve(&mut self) -> Vec<Effect<J>> {
        let mut effects = Vec::new();
        while let Some(waiter) = self.waiting.pop_front() {
            let served = match waiter {
                Waiter::Job(job) => self.serve_job(job, &mut effects),
                Waiter::Reservation(no, memory_mb) => self.serve_reservation(no, memory_mb, &mut effects),
            };
            if let Err(waiter) = served {
                self.waiting.push_front(waiter);
                return effects;
            }
            self.evicted = false;
        }
        // Nobody waits: what is free may go to those who come.
        if let Some((cell, memory_mb)) = self.stem_cells.missing(self.capacity_mb - self.used_mb()) {
            let no = self.next();
            self.containers.add_stem_cell(no, cell, memory_mb);
            self.stem_cells.begin(cell, no);
            effects.push(Effect::Prewarm(no, cell));
        }
        effects
    }

    fn serve_job(&mut self, job: J, effects: &mut Vec<Effect<J>>) -> Result<(), Waiter<J>> {
        let want = job.want();
        if let Some((no, start)) = self.containers.find_warm(want) {
            self.containers.take(no);
            effects.push(Effect::Assign(no, job, start));
        } else if let Some((no, is_made)) = self.stem_cells.take(want) {
            // One that is not made yet only shortens the cold start.
            let missed = if is_made { None } else { self.stem_cells.missed(want) };
            self.containers.adopt(no, want);
            let start = if is_made { Start::Prewarmed } else { Start::Cold };
            effects.push(Effect::Assign(no, job, start));
            effects.extend(missed.map(Effect::Missed));
        } else if self.has_room(want.memory_mb) {
            let missed = self.stem_cells.missed(want);
            let no = self.next();
            self.containers.add(no, want);
            let start = if self.evicted { Start::Recreated } else { Start::Cold };
            effects.push(Effect::Create(no, job, start));
            effects.extend(missed.map(Effect::Missed));
        } else {
            self.make_room(want.memory_mb, effects);
            return Err(Waiter::Job(job));
        }
        Ok(())
    }

    fn serve_reservation(
        &mut self,
        no: ReservationNo,
        memory_mb: u64,
        effects: &mut Vec<Effect<J>>,
    ) -> Result<(), Waiter<J>> {
        if !self.has_room(memory_mb) {
            self.make_room(memory_mb, effects);
            return Err(Waiter::Reservation(no, memory_mb));
        }
        self.reserved_mb += memory_mb;
        self.reserved.insert(no, memory_mb);
        effects.push(Effect::Grant(no));
        Ok(())
    }

    fn has_room(&self, memory_mb: u64) -> bool {
        self.used_mb() + memory_mb <= self.capacity_mb
    }

    fn next(&mut self) -> ContainerNo {
        self.next += 1;
        ContainerNo(self.next)
    }

    /// Removes idle containers, longest unused first, then stem cells, until what is short will be free;
    /// none if all of them would not do.
    fn make_room(&mut self, wanted_mb: u64, effects: &mut Vec<Effect<J>>) {
        let will_be_used = self.used_mb() - self.containers.removing_mb() + wanted_mb;
        let mut short = will_be_used.saturating_sub(self.capacity_mb);
        let (_, idle_mb) = self.containers.idle();
        let (_, spare_mb) = self.stem_cells.standing();
        if short == 0 || idle_mb + spare_mb < short {
            return;
        }
        while short > 0 {
            let warm = self.containers.longest_unused();
            let Some(no) = warm.or_else(|| self.stem_cells.oldest()) else { return };
            short = short.saturating_sub(self.containers.memory_mb(no));
            self.retire(no);
            self.evicted = true;
            effects.push(Effect::Remove(no));
        }
    }

    fn retire(&mut self, no: ContainerNo) {
        if self.containers.retire(no) {
            self.stem_cells.forget(no);
        }
    }
}

/// How a pool stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Standing {
    /// Jobs and reservations that wait for room.
    pub waiting: usize,
    /// The memory that they want, MB.
    pub waiting_mb: u64,
    /// Containers, those that go included.
    pub containers: usize,
    /// Memory of all containers and reservations, MB.
    pub used_mb: u64,
    /// Warm containers without a job.
    pub idle: usize,
    /// Their memory, MB.
    pub idle_mb: u64,
    /// Stem cells that are made and have no job.
    pub prewarmed: usize,
    /// Their memory, MB.
    pub prewarmed_mb: u64,
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
