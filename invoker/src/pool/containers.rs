//! The containers of a pool: whose each is, how far it is, what it holds, and which of them are idle.
//!
//! Facts only, as in [`super::decide`], which says what is to become of them. A container counts until it is gone.

use std::collections::{BTreeSet, HashMap};

use super::decide::{ContainerNo, Owner, Start, Want};
use super::stem_cells::CellNo;

/// How far a container is. Better ones are later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stage {
    /// Without an owner.
    StemCell(CellNo),
    /// Made for its first job, which is not initialized yet.
    Cold,
    /// A stem cell that has a job and is not initialized yet.
    Warming(CellNo),
    /// Initialized.
    Warm,
}

#[derive(Debug)]
struct Slot {
    owner: Option<Owner>,
    memory_mb: u64,
    max_concurrent: u32,
    active: u32,
    stage: Stage,
    removing: bool,
    last_used: u64,
}

/// All of a pool.
#[derive(Debug, Default)]
pub struct Containers {
    slots: HashMap<ContainerNo, Slot>,
    by_owner: HashMap<Owner, Vec<ContainerNo>>,
    /// Warm containers without a job, longest unused first.
    idle: BTreeSet<(u64, ContainerNo)>,
    idle_mb: u64,
    used_mb: u64,
    removing_mb: u64,
    tick: u64,
}

impl Containers {
    /// One is made for a job of this kind, which is its first.
    pub fn add(&mut self, no: ContainerNo, want: &Want) {
        self.by_owner.entry(want.owner.clone()).or_default().push(no);
        let slot = self.insert(no, want.memory_mb, Stage::Cold);
        (slot.active, slot.max_concurrent) = (1, want.max_concurrent);
        slot.owner = Some(want.owner.clone());
    }

    /// One is made without an owner.
    pub fn add_stem_cell(&mut self, no: ContainerNo, cell: CellNo, memory_mb: u64) {
        self.insert(no, memory_mb, Stage::StemCell(cell));
    }

    fn insert(&mut self, no: ContainerNo, memory_mb: u64, stage: Stage) -> &mut Slot {
        self.tick += 1;
        self.used_mb += memory_mb;
        let last_used = self.tick;
        let slot =
            Slot { owner: None, memory_mb, max_concurrent: 1, active: 0, stage, removing: false, last_used };
        self.slots.entry(no).insert_entry(slot).into_mut()
    }

    /// Of the owner's containers with room the initialized ones first, of those the one used last: the
    /// others may then be paused and go.
    pub fn find_warm(&self, want: &Want) -> Option<(ContainerNo, Start)> {
        let owned = self.by_owner.get(&want.owner)?;
        let free = owned.iter().filter_map(|no| {
            let slot = self.slots.get(no)?;
            let has_room = !slot.removing && slot.active < slot.max_concurrent;
            has_room.then_some((slot.stage, slot.last_used, *no))
        });
        let (stage, _, no) = free.max()?;
        let start = match stage {
            Stage::Warm => Start::Warmed,
            Stage::Warming(_) => Start::Warming,
            Stage::Cold | Stage::StemCell(_) => Start::WarmingCold,
        };
        Some((no, start))
    }

    /// It gets a job.
    pub fn take(&mut self, no: ContainerNo) {
        self.tick += 1;
        if let Some(slot) = self.slots.get_mut(&no) {
            if self.idle.remove(&(slot.last_used, no)) {
                self.idle_mb -= slot.memory_mb;
            }
            slot.active += 1;
            slot.last_used = self.tick;
        }
    }

    /// A stem cell gets its owner with its first job.
    pub fn adopt(&mut self, no: ContainerNo, want: &Want) {
        self.take(no);
        if let Some(slot) = self.slots.get_mut(&no) {
            slot.owner = Some(want.owner.clone());
            slot.max_concurrent = want.max_concurrent;
            if let Stage::StemCell(cell) = slot.stage {
                slot.stage = Stage::Warming(cell);
            }
            self.by_owner.entry(want.owner.clone()).or_default().push(no);
        }
    }

    /// It is initialized.
    pub fn warmed(&mut self, no: ContainerNo) {
        if let Some(slot) = self.slots.get_mut(&no) {
            slot.stage = Stage::Warm;
        }
    }

    /// One of its jobs has ended.
    pub fn ended(&mut self, no: ContainerNo) {
        self.tick += 1;
        if let Some(slot) = self.slots.get_mut(&no) {
            slot.active = slot.active.saturating_sub(1);
            slot.stage = Stage::Warm;
            slot.last_used = self.tick;
            if slot.active == 0 && !slot.removing {
                self.idle.insert((slot.last_used, no));
                self.idle_mb += slot.memory_mb;
            }
        }
    }

    /// It has less memory than before.
    pub fn shrunk(&mut self, no: ContainerNo, memory_mb: u64) {
        if let Some(slot) = self.slots.get_mut(&no)
            && let Some(less) = slot.memory_mb.checked_sub(memory_mb)
        {
            slot.memory_mb = memory_mb;
            self.used_mb -= less;
            if slot.removing {
                self.removing_mb -= less;
            } else if self.idle.contains(&(slot.last_used, no)) {
                self.idle_mb -= less;
            }
        }
    }

    /// It gets no more jobs and goes. Whether that is new.
    pub fn retire(&mut self, no: ContainerNo) -> bool {
        let Some(slot) = self.slots.get_mut(&no) else { return false };
        if slot.removing {
            return false;
        }
        slot.removing = true;
        self.removing_mb += slot.memory_mb;
        if self.idle.remove(&(slot.last_used, no)) {
            self.idle_mb -= slot.memory_mb;
        }
        if let Some(owner) = &slot.owner
            && let Some(owned) = self.by_owner.get_mut(owner)
        {
            owned.retain(|other| *other != no);
            if owned.is_empty() {
                self.by_owner.remove(owner);
            }
        }
        true
    }

    /// One that was to go is gone.
    pub fn removed(&mut self, no: ContainerNo) {
        if let Some(slot) = self.slots.remove(&no) {
            self.used_mb -= slot.memory_mb;
            self.removing_mb -= slot.memory_mb;
        }
    }

    /// How far it is, and whether it is to go.
    pub fn stage(&self, no: ContainerNo) -> Option<(Stage, bool)> {
        self.slots.get(&no).map(|slot| (slot.stage, slot.removing))
    }

    /// The memory of one, MB.
    pub fn memory_mb(&self, no: ContainerNo) -> u64 {
        self.slots.get(&no).map_or(0, |slot| slot.memory_mb)
    }

    /// The warm one that has had no job for longest.
    pub fn longest_unused(&self) -> Option<ContainerNo> {
        self.idle.first().map(|(_, no)| *no)
    }

    /// Those that are not to go.
    pub fn living(&self) -> Vec<ContainerNo> {
        self.slots.iter().filter(|(_, slot)| !slot.removing).map(|(no, _)| *no).collect()
    }

    /// How many there are, those that go included.
    pub fn count(&self) -> usize {
        self.slots.len()
    }

    /// How many jobs they have.
    pub fn active(&self) -> u64 {
        self.slots.values().map(|slot| u64::from(slot.active)).sum()
    }

    /// How many are warm without a job, and their memory, MB.
    pub fn idle(&self) -> (usize, u64) {
        (self.idle.len(), self.idle_mb)
    }

    /// Memory of all, MB.
    pub fn used_mb(&self) -> u64 {
        self.used_mb
    }

    /// Memory of those that go, MB.
    pub fn removing_mb(&self) -> u64 {
        self.removing_mb
    }
}
