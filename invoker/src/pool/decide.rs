//! Which container runs which job: the pool's facts and its decisions, without waiting and without Docker.
//!
//! A job goes to a warm container of its owner, else to a new one where there is room, else the idle
//! containers that were used longest ago make room, else it waits; jobs are served in the order of their
//! arrival, also where a later one would fit (`core/invoker/.../containerpool/ContainerPool.scala`).
//! Unlike upstream, memory counts until its container is gone, and only what is short is evicted, so that
//! the machine is never promised more than it has. Who needs memory for something else (a compiler) reserves
//! it here, and waits in the same queue.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::Arc;

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

/// What is to be done; the pool's facts hold it as done already.
#[derive(Debug, PartialEq, Eq)]
pub enum Effect<J> {
    /// Make a container for this job.
    Create(ContainerNo, J),
    /// Give it this job.
    Assign(ContainerNo, J),
    /// Remove it; it has no job.
    Remove(ContainerNo),
    /// Tell who waits for it that this memory is theirs.
    Grant(ReservationNo),
}

#[derive(Debug)]
struct Slot {
    want: Want,
    active: u32,
    /// Initialized: preferred to one that still starts.
    warm: bool,
    removing: bool,
    last_used: u64,
}

/// The pool's facts.
#[derive(Debug)]
pub struct PoolState<J> {
    capacity_mb: u64,
    used_mb: u64,
    removing_mb: u64,
    slots: HashMap<ContainerNo, Slot>,
    by_owner: HashMap<Owner, Vec<ContainerNo>>,
    /// Warm containers without a job, longest unused first.
    idle: BTreeSet<(u64, ContainerNo)>,
    idle_mb: u64,
    waiting: VecDeque<Waiter<J>>,
    /// Granted ones, with their memory.
    reserved: HashMap<ReservationNo, u64>,
    next: u64,
    tick: u64,
}

impl<J: Wanting> PoolState<J> {
    /// An empty pool for containers of so much memory in all.
    pub fn new(capacity_mb: u64) -> Self {
        Self {
            capacity_mb,
            used_mb: 0,
            removing_mb: 0,
            slots: HashMap::new(),
            by_owner: HashMap::new(),
            idle: BTreeSet::new(),
            idle_mb: 0,
            waiting: VecDeque::new(),
            reserved: HashMap::new(),
            next: 0,
            tick: 0,
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
            Some(memory_mb) => self.used_mb -= memory_mb,
            None => self.waiting.retain(|waiter| !matches!(waiter, Waiter::Reservation(n, _) if *n == no)),
        }
        self.serve()
    }

    /// A job comes back from a container that could not run it: it was first and is first again.
    pub fn returned(&mut self, job: J) -> Vec<Effect<J>> {
        self.waiting.push_front(Waiter::Job(job));
        self.serve()
    }

    /// The container is initialized.
    pub fn warmed(&mut self, no: ContainerNo) {
        if let Some(slot) = self.slots.get_mut(&no) {
            slot.warm = true;
        }
    }

    /// One job of the container has ended, and the container is good for more.
    pub fn ended(&mut self, no: ContainerNo) -> Vec<Effect<J>> {
        self.tick += 1;
        if let Some(slot) = self.slots.get_mut(&no) {
            slot.active = slot.active.saturating_sub(1);
            slot.warm = true;
            slot.last_used = self.tick;
            if slot.active == 0 && !slot.removing {
                self.idle.insert((slot.last_used, no));
                self.idle_mb += slot.want.memory_mb;
            }
        }
        self.serve()
    }

    /// The container takes no more jobs; it goes by itself.
    pub fn dying(&mut self, no: ContainerNo) -> Vec<Effect<J>> {
        self.retire(no);
        self.serve()
    }

    /// The container is gone; its memory is free.
    pub fn removed(&mut self, no: ContainerNo) -> Vec<Effect<J>> {
        self.retire(no);
        if let Some(slot) = self.slots.remove(&no) {
            self.used_mb -= slot.want.memory_mb;
            self.removing_mb -= slot.want.memory_mb;
        }
        self.serve()
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

    /// How many containers there are, those that go included.
    pub fn containers(&self) -> usize {
        self.slots.len()
    }

    /// How many jobs containers have.
    pub fn active(&self) -> u64 {
        self.slots.values().map(|slot| u64::from(slot.active)).sum()
    }

    /// Memory of all containers and reservations, MB.
    pub fn used_mb(&self) -> u64 {
        self.used_mb
    }

    /// Every container that is not going already.
    pub fn living(&self) -> Vec<ContainerNo> {
        self.slots.iter().filter(|(_, slot)| !slot.removing).map(|(no, _)| *no).collect()
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
                break;
            }
        }
        effects
    }

    fn serve_job(&mut self, job: J, effects: &mut Vec<Effect<J>>) -> Result<(), Waiter<J>> {
        let want = job.want();
        if let Some(no) = self.find_warm(want) {
            self.take(no);
            effects.push(Effect::Assign(no, job));
        } else if self.has_room(want.memory_mb) {
            let want = want.clone();
            effects.push(Effect::Create(self.add(want), job));
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
        self.used_mb += memory_mb;
        self.reserved.insert(no, memory_mb);
        effects.push(Effect::Grant(no));
        Ok(())
    }

    fn has_room(&self, memory_mb: u64) -> bool {
        self.used_mb + memory_mb <= self.capacity_mb
    }

    /// Of the owner's containers with room the initialized ones first, of those the one used last: the
    /// others may then be paused and go.
    fn find_warm(&self, want: &Want) -> Option<ContainerNo> {
        let owned = self.by_owner.get(&want.owner)?;
        let free = owned.iter().filter_map(|no| {
            let slot = self.slots.get(no)?;
            (!slot.removing && slot.active < slot.want.max_concurrent).then_some((
                slot.warm,
                slot.last_used,
                *no,
            ))
        });
        free.max().map(|(_, _, no)| no)
    }

    fn take(&mut self, no: ContainerNo) {
        self.tick += 1;
        if let Some(slot) = self.slots.get_mut(&no) {
            if self.idle.remove(&(slot.last_used, no)) {
                self.idle_mb -= slot.want.memory_mb;
            }
            slot.active += 1;
            slot.last_used = self.tick;
        }
    }

    fn add(&mut self, want: Want) -> ContainerNo {
        self.next += 1;
        self.tick += 1;
        let no = ContainerNo(self.next);
        self.used_mb += want.memory_mb;
        self.by_owner.entry(want.owner.clone()).or_default().push(no);
        let slot = Slot { want, active: 1, warm: false, removing: false, last_used: self.tick };
        self.slots.insert(no, slot);
        no
    }

    /// Removes idle containers, longest unused first, until what is short will be free; none if all of
    /// them would not do.
    fn make_room(&mut self, wanted_mb: u64, effects: &mut Vec<Effect<J>>) {
        let will_be_used = self.used_mb - self.removing_mb + wanted_mb;
        let mut short = will_be_used.saturating_sub(self.capacity_mb);
        if short == 0 || self.idle_mb < short {
            return;
        }
        while short > 0 {
            let Some((_, no)) = self.idle.first().copied() else { return };
            short = short.saturating_sub(self.slots.get(&no).map_or(0, |slot| slot.want.memory_mb));
            self.retire(no);
            effects.push(Effect::Remove(no));
        }
    }

    fn retire(&mut self, no: ContainerNo) {
        let Some(slot) = self.slots.get_mut(&no) else { return };
        if slot.removing {
            return;
        }
        slot.removing = true;
        self.removing_mb += slot.want.memory_mb;
        if self.idle.remove(&(slot.last_used, no)) {
            self.idle_mb -= slot.want.memory_mb;
        }
        if let Some(owned) = self.by_owner.get_mut(&slot.want.owner) {
            owned.retain(|other| *other != no);
            if owned.is_empty() {
                self.by_owner.remove(&slot.want.owner);
            }
        }
    }
}

#[cfg(test)]
#[path = "decide_tests.rs"]
mod tests;
