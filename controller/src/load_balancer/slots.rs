//! What one controller may use of one invoker: memory, and places in containers that take several at once.
//!
//! An action of concurrency n pays its memory once for every n activations; the other places in that
//! container are free (`common/scala/.../common/NestedSemaphore.scala`). Unlike upstream the book holds
//! what is taken, not what is left: another size of the cluster changes the whole and forgets nothing,
//! and nothing can be given back that was not taken.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use common::entity::limits::{ActionLimits, ByteSize};
use common::entity::name::Fqn;

use super::schedule::java_hash;

/// What one activation takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// MB of its container.
    pub memory: u64,
    /// The action, with version, and how many of it share a container, if more than one.
    pub shared: Option<(Fqn, u64)>,
    /// One bit that follows from the action, by which an invoker without a place for it is passed quickly.
    mark: u64,
}

impl Claim {
    /// What an activation of that action takes.
    pub fn new(action: &Fqn, limits: &ActionLimits) -> Self {
        let shared = (limits.concurrency > 1).then(|| {
            // The way on which an action was reached makes no other container.
            (Fqn { binding: None, ..action.clone() }, u64::from(limits.concurrency))
        });
        let hash = java_hash(&[action.path.as_str(), "/", action.name.as_str()]);
        Self { memory: limits.memory, shared, mark: 1 << (hash & 63) }
    }
}

/// Nothing of the kind was taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotTaken;

/// One action's activations in containers that take several.
#[derive(Debug)]
struct Group {
    mark: u64,
    memory: u64,
    concurrency: u64,
    running: u64,
    spare: u64,
}

/// The book of one invoker. Memory is MB.
#[derive(Debug, Default)]
pub struct Slots {
    whole: AtomicU64,
    taken: AtomicU64,
    /// The marks of all groups with a free place; a hint that spares most looks into them.
    marks: AtomicU64,
    groups: Mutex<HashMap<Fqn, Group>>,
}

impl Slots {
    /// Nothing taken of so many MB.
    pub fn new(whole: u64) -> Self {
        Self { whole: AtomicU64::new(whole), ..Self::default() }
    }

    /// One controller's part of an invoker's memory, MB: an equal part, but room for the smallest action,
    /// even if many controllers together then promise more than there is.
    pub fn part(memory: ByteSize, controllers: u32, least: u64) -> u64 {
        let part = ByteSize::from_bytes(memory.bytes() / u64::from(controllers.max(1)));
        part.mb().max(least)
    }

    /// Changes the whole; what is taken stays taken, and may then be more than that.
    pub fn resize(&self, whole: u64) {
        self.whole.store(whole, Ordering::Relaxed);
    }

    /// MB that are left; below zero if more was promised than there is.
    pub fn left(&self) -> i64 {
        let (whole, taken) = (self.whole.load(Ordering::Relaxed), self.taken.load(Ordering::Relaxed));
        whole.cast_signed() - taken.cast_signed()
    }

    /// Takes it if there is room.
    pub fn try_take(&self, claim: &Claim) -> bool {
        let Some((action, concurrency)) = &claim.shared else { return self.try_memory(claim.memory) };
        if self.marks.load(Ordering::Relaxed) & claim.mark == 0 && !self.has_room(claim.memory) {
            return false;
        }
        let mut groups = self.lock();
        if self.take_place(&mut groups, action) {
            return true;
        }
        if !self.try_memory(claim.memory) {
            return false;
        }
        self.open_container(&mut groups, action, *concurrency, claim);
        true
    }

    /// Takes it in any case.
    pub fn take(&self, claim: &Claim) {
        let Some((action, concurrency)) = &claim.shared else {
            self.taken.fetch_add(claim.memory, Ordering::Relaxed);
            return;
        };
        let mut groups = self.lock();
        if !self.take_place(&mut groups, action) {
            self.taken.fetch_add(claim.memory, Ordering::Relaxed);
            self.open_container(&mut groups, action, *concurrency, claim);
        }
    }

    /// Gives back what was taken with an equal claim.
    pub fn give_back(&self, claim: &Claim) -> Result<(), NotTaken> {
        let Some((action, _)) = &claim.shared else { return self.give_memory(claim.memory) };
        let mut groups = self.lock();
        let group = groups.get_mut(action).ok_or(NotTaken)?;
        group.running -= 1;
        group.spare += 1;
        if group.spare < group.concurrency {
            if group.spare == 1 {
                self.note(&groups);
            }
            return Ok(());
        }
        // As many places as a container has: one container fewer.
        let memory = group.memory;
        group.spare = 0;
        if group.running == 0 {
            groups.remove(action);
        }
        self.note(&groups);
        self.give_memory(memory)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Fqn, Group>> {
        self.groups.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn has_room(&self, memory: u64) -> bool {
        self.taken.load(Ordering::Relaxed).saturating_add(memory) <= self.whole.load(Ordering::Relaxed)
    }

    fn try_memory(&self, memory: u64) -> bool {
        let whole = self.whole.load(Ordering::Relaxed);
        let take = |taken: u64| taken.checked_add(memory).filter(|taken| *taken <= whole);
        self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, take).is_ok()
    }

    fn give_memory(&self, memory: u64) -> Result<(), NotTaken> {
        let give = |taken: u64| taken.checked_sub(memory);
        let given = self.taken.fetch_update(Ordering::Relaxed, Ordering::Relaxed, give);
        given.map(|_| ()).map_err(|_| NotTaken)
    }

    /// Takes a free place in a container of the action, if there is one.
    fn take_place(&self, groups: &mut HashMap<Fqn, Group>, action: &Fqn) -> bool {
        let Some(group) = groups.get_mut(action).filter(|group| group.spare > 0) else { return false };
        group.spare -= 1;
        group.running += 1;
        if group.spare == 0 {
            self.note(groups);
        }
        true
    }

    /// One more container, paid for, with one of its places taken.
    fn open_container(
        &self,
        groups: &mut HashMap<Fqn, Group>,
        action: &Fqn,
        concurrency: u64,
        claim: &Claim,
    ) {
        let (mark, memory) = (claim.mark, claim.memory);
        let new = Group { mark, memory, concurrency, running: 0, spare: 0 };
        let group = groups.entry(action.clone()).or_insert(new);
        group.running += 1;
        group.spare += group.concurrency - 1;
        self.note(groups);
    }

    /// Notes which groups have a free place, after one got its first or lost its last.
    fn note(&self, groups: &HashMap<Fqn, Group>) {
        let spare = groups.values().filter(|group| group.spare > 0);
        self.marks.store(spare.fold(0, |marks, group| marks | group.mark), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;

    fn claim(name: &str, memory: u64, concurrency: u32) -> Claim {
        let limits = ActionLimits { timeout: 1, memory, logs: 0, concurrency, instances: None };
        Claim::new(&Fqn::parse(&format!("ns/{name}")).unwrap(), &limits)
    }

    #[test]
    fn memory_is_taken_while_there_is_room_and_beyond_by_force() {
        let (slots, a) = (Slots::new(512), claim("a", 256, 1));
        assert!(slots.try_take(&a) && slots.try_take(&a) && !slots.try_take(&a));
        slots.take(&a);
        assert_eq!(slots.left(), -256);
        for left in [0, 256, 512] {
            assert_eq!(slots.give_back(&a), Ok(()));
            assert_eq!(slots.left(), left);
        }
        assert_eq!(slots.give_back(&a), Err(NotTaken));
        assert_eq!(slots.left(), 512);
    }

    #[test]
    fn the_first_of_a_group_pays_and_the_last_brings_it_back() {
        let (slots, a) = (Slots::new(512), claim("a", 256, 3));
        let after = |does: &dyn Fn()| {
            does();
            slots.left()
        };
        let lefts = |steps: usize, does: &dyn Fn()| (0..steps).map(|_| after(does)).collect::<Vec<_>>();
        assert_eq!(lefts(6, &|| assert!(slots.try_take(&a))), [256, 256, 256, 0, 0, 0]);
        assert!(!slots.try_take(&a));
        // Another version of it, or another action, finds neither a place nor memory.
        assert!(!slots.try_take(&claim("b", 256, 3)));
        assert_eq!(lefts(4, &|| slots.take(&a)), [-256, -256, -256, -512]);
        assert_eq!(lefts(4, &|| slots.give_back(&a).unwrap()), [-256, -256, -256, 0]);
        assert_eq!(lefts(6, &|| slots.give_back(&a).unwrap()), [0, 0, 256, 256, 256, 512]);
    }

    #[test]
    fn what_was_never_taken_is_not_given_back() {
        let (slots, a) = (Slots::new(512), claim("a", 256, 3));
        assert_eq!(slots.give_back(&a), Err(NotTaken));
        assert!(slots.try_take(&a));
        assert_eq!(slots.give_back(&claim("b", 256, 3)), Err(NotTaken));
        assert_eq!(slots.give_back(&a), Ok(()));
        assert_eq!(slots.give_back(&a), Err(NotTaken));
        assert_eq!(slots.left(), 512);
    }

    #[test]
    fn another_size_of_the_cluster_forgets_nothing() {
        let (slots, a) = (Slots::new(1024), claim("a", 256, 1));
        assert!(slots.try_take(&a) && slots.try_take(&a) && slots.try_take(&a));
        slots.resize(512);
        assert_eq!(slots.left(), -256);
        assert!(!slots.try_take(&a));
        slots.give_back(&a).unwrap();
        slots.resize(1024);
        assert_eq!(slots.left(), 512);
        slots.give_back(&a).unwrap();
        slots.give_back(&a).unwrap();
        assert_eq!(slots.left(), 1024);
    }

    #[test]
    fn parts_are_equal_and_have_room_for_the_smallest_action() {
        let gb = ByteSize::from_mb(1024);
        let table = [(0, 1024), (1, 1024), (2, 512), (3, 341), (8, 128), (9, 128), (1000, 128)];
        for (controllers, part) in table {
            assert_eq!(Slots::part(gb, controllers, 128), part, "{controllers}");
        }
    }

    #[test]
    fn threads_together_take_no_more_than_there_is() {
        let slots = Arc::new(Slots::new(256 * 10));
        let claims = [claim("a", 256, 1), claim("b", 256, 4), claim("c", 128, 1)];
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let (slots, claims) = (slots.clone(), &claims);
                scope.spawn(move || {
                    let mut held = Vec::new();
                    for round in 0..2_000 {
                        let claim = &claims[(worker + round) % claims.len()];
                        if slots.try_take(claim) {
                            held.push(claim);
                        }
                        assert!(slots.left() >= 0);
                        if round % 3 == 2 {
                            held.drain(..).for_each(|claim| slots.give_back(claim).unwrap());
                        }
                    }
                    held.into_iter().for_each(|claim| slots.give_back(claim).unwrap());
                });
            }
        });
        assert_eq!(slots.left(), 2560);
        assert!(slots.lock().is_empty());
    }

    #[derive(Clone, Debug)]
    enum Step {
        Try(usize),
        Force(usize),
        GiveBack(usize),
        Resize(u64),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            4 => (0..4usize).prop_map(Step::Try),
            1 => (0..4usize).prop_map(Step::Force),
            4 => (0..4usize).prop_map(Step::GiveBack),
            1 => (0..4096u64).prop_map(Step::Resize),
        ]
    }

    proptest! {
        /// Whatever happens, what is taken is one container's memory for every started group of what runs,
        /// and at the end all is back.
        #[test]
        fn memory_is_conserved(steps in proptest::collection::vec(step(), 0..200)) {
            let claims =
                [claim("a", 128, 1), claim("b", 256, 1), claim("c", 256, 2), claim("d", 512, 5)];
            let mut running = [0u64; 4];
            // The containers that are open: they close only when a whole one is empty.
            let mut open = [0u64; 4];
            let mut whole = 1024;
            let slots = Slots::new(whole);
            for step in steps {
                let at = match step {
                    Step::Resize(to) => {
                        whole = to;
                        slots.resize(whole);
                        continue;
                    }
                    Step::Try(at) | Step::Force(at) | Step::GiveBack(at) => at,
                };
                let places = claims[at].shared.as_ref().map_or(1, |(_, concurrency)| *concurrency);
                let spare = running[at] < open[at] * places;
                let fits = slots.left() >= claims[at].memory.cast_signed();
                match step {
                    Step::Try(_) => {
                        let took = slots.try_take(&claims[at]);
                        prop_assert_eq!(took, spare || fits);
                        running[at] += u64::from(took);
                        open[at] += u64::from(took && !spare);
                    }
                    Step::Force(_) => {
                        slots.take(&claims[at]);
                        running[at] += 1;
                        open[at] += u64::from(!spare);
                    }
                    _ if running[at] > 0 => {
                        prop_assert_eq!(slots.give_back(&claims[at]), Ok(()));
                        running[at] -= 1;
                        open[at] -= u64::from(open[at] * places - running[at] == places);
                    }
                    _ => continue,
                }
                let taken: u64 = claims.iter().zip(open).map(|(claim, open)| claim.memory * open).sum();
                prop_assert_eq!(slots.left(), whole.cast_signed() - taken.cast_signed());
            }
            for (claim, running) in claims.iter().zip(running) {
                (0..running).for_each(|_| slots.give_back(claim).unwrap());
            }
            prop_assert_eq!(slots.left(), whole.cast_signed());
            prop_assert!(slots.lock().is_empty());
        }
    }
}
