//! Tables of upstream's rules (`tests/.../containerpool/test/ContainerPoolTests.scala`), and random
//! histories.

use std::collections::BTreeMap;

use super::super::stem_cells::Cells;
use super::*;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Run(u32, Want);

impl Wanting for Run {
    fn want(&self) -> &Want {
        &self.1
    }
}

fn want(owner: &str, action: u8, memory_mb: u64, max_concurrent: u32) -> Want {
    let owner = Owner { namespace: owner.into(), action: [action; 32] };
    Want { owner, image: Some("node".into()), memory_mb, max_concurrent }
}

/// A pool without stem cells.
fn plain(capacity_mb: u64) -> PoolState<Run> {
    PoolState::new(capacity_mb, StemCells::default())
}

fn run(n: u32, action: u8, memory_mb: u64) -> Run {
    Run(n, want("ns", action, memory_mb, 1))
}

fn created(effects: &[Effect<Run>]) -> Vec<ContainerNo> {
    effects.iter().filter_map(|e| if let Effect::Create(no, ..) = e { Some(*no) } else { None }).collect()
}

#[test]
fn a_warm_container_is_used_again_by_its_owner_alone() {
    let mut pool = plain(1024);
    let [first] = created(&pool.submit(run(1, 1, 256)).unwrap())[..] else { panic!("no container") };
    pool.ended(first);
    assert_eq!(pool.submit(run(2, 1, 256)), Ok(vec![Effect::Assign(first, run(2, 1, 256), Start::Warmed)]));
    pool.ended(first);
    let stranger = Run(3, want("other", 1, 256, 1));
    assert_eq!(created(&pool.submit(stranger).unwrap()).len(), 1);
    assert_eq!(created(&pool.submit(run(4, 2, 256)).unwrap()).len(), 1);
    assert_eq!(pool.used_mb(), 768);
}

#[test]
fn jobs_that_are_taken_out_are_in_nobodys_way_any_more() {
    let mut pool = plain(256);
    pool.submit(run(1, 1, 128)).unwrap();
    assert_eq!(pool.submit(run(2, 2, 256)), Ok(vec![]));
    assert_eq!(pool.submit(run(3, 3, 128)), Ok(vec![]), "in the order of their arrival");
    let (out, effects) = pool.take_out(|job| job.0 == 2);
    assert_eq!((out, created(&effects).len(), pool.waiting()), (vec![run(2, 2, 256)], 1, 0));
}

#[test]
fn a_busy_container_is_not_shared_unless_its_action_allows() {
    let mut pool = plain(1024);
    pool.submit(run(1, 1, 256)).unwrap();
    assert_eq!(created(&pool.submit(run(2, 1, 256)).unwrap()).len(), 1);
    let shared = |n| Run(n, want("ns", 9, 128, 2));
    let [both] = created(&pool.submit(shared(3)).unwrap())[..] else { panic!("no container") };
    assert_eq!(pool.submit(shared(4)), Ok(vec![Effect::Assign(both, shared(4), Start::WarmingCold)]));
    assert_eq!(created(&pool.submit(shared(5)).unwrap()).len(), 1);
}

#[test]
fn jobs_wait_in_the_order_of_their_arrival_when_memory_is_short() {
    let mut pool = plain(512);
    let [small] = created(&pool.submit(run(1, 1, 256)).unwrap())[..] else { panic!("no container") };
    assert_eq!(pool.submit(run(2, 2, 512)), Ok(vec![]));
    // It would fit, and waits behind the larger one.
    assert_eq!(pool.submit(run(3, 3, 256)), Ok(vec![]));
    // The first is done: its container makes room, and only when it is gone the second starts.
    assert_eq!(pool.ended(small), vec![Effect::Remove(small)]);
    let [large] = created(&pool.removed(small))[..] else { panic!("no container") };
    assert_eq!(pool.waiting(), 1);
    assert_eq!(pool.ended(large), vec![Effect::Remove(large)]);
    assert_eq!(created(&pool.removed(large)).len(), 1);
}

#[test]
fn only_what_is_short_is_evicted_and_the_longest_unused_goes_first() {
    let mut pool = plain(1024);
    let nos: Vec<_> = (0..4).flat_map(|n| created(&pool.submit(run(n, n as u8, 256)).unwrap())).collect();
    for no in [nos[2], nos[0], nos[1]] {
        pool.ended(no);
    }
    assert_eq!(pool.submit(run(9, 9, 512)), Ok(vec![Effect::Remove(nos[2]), Effect::Remove(nos[0])]));
    // What goes already is not asked for twice.
    assert_eq!(pool.removed(nos[2]), vec![]);
    assert_eq!(created(&pool.removed(nos[0])).len(), 1);
}

#[test]
fn a_job_larger_than_the_pool_comes_back_at_once() {
    let mut pool = plain(512);
    assert_eq!(pool.submit(run(1, 1, 513)), Err(run(1, 1, 513)));
}

#[test]
fn a_dying_container_gets_no_job_and_a_returned_job_is_first() {
    let mut pool = plain(256);
    let [no] = created(&pool.submit(run(1, 1, 256)).unwrap())[..] else { panic!("no container") };
    pool.submit(run(2, 2, 256)).unwrap();
    assert_eq!(pool.dying(no), vec![]);
    assert_eq!(pool.returned(run(1, 1, 256)), vec![]);
    assert_eq!(pool.removed(no), vec![Effect::Create(ContainerNo(2), run(1, 1, 256), Start::Cold)]);
}

#[test]
fn a_reservation_waits_in_the_same_queue_and_makes_room() {
    let mut pool = plain(1024);
    let nos: Vec<_> = (0..4).flat_map(|n| created(&pool.submit(run(n, n as u8, 256)).unwrap())).collect();
    let (first, granted, effects) = pool.reserve(4096);
    assert_eq!((granted, effects), (1024, vec![]), "never more than there is");
    // It is not overtaken by a job that would find room sooner.
    assert_eq!(pool.submit(run(8, 8, 256)), Ok(vec![]));
    for no in &nos[..3] {
        assert_eq!(pool.ended(*no), vec![]);
    }
    assert_eq!(pool.ended(nos[3]), nos.iter().map(|no| Effect::Remove(*no)).collect::<Vec<_>>());
    for no in &nos[..3] {
        assert_eq!(pool.removed(*no), vec![]);
    }
    assert_eq!(pool.removed(nos[3]), vec![Effect::Grant(first)]);
    assert_eq!((pool.used_mb(), pool.waiting()), (1024, 1));
    // Who gives up waiting leaves the queue.
    let (second, ..) = pool.reserve(512);
    assert_eq!(pool.release(second), vec![]);
    assert_eq!(created(&pool.release(first)).len(), 1);
    assert_eq!((pool.used_mb(), pool.waiting()), (256, 0));
    assert_eq!(pool.release(first), vec![], "given back once");
}

fn cells(kinds: &[(u64, u32)]) -> StemCells {
    let cells =
        kinds.iter().map(|(memory_mb, wanted)| Cells::new("node".into(), *memory_mb, Some(1_000), *wanted));
    StemCells::new(cells.collect())
}

/// Lets all stem cells come that are wanted, and tells which.
fn prewarm(pool: &mut PoolState<Run>, mut effects: Vec<Effect<Run>>, now: u64) -> Vec<ContainerNo> {
    let mut made = Vec::new();
    while let Some(Effect::Prewarm(no, _)) = effects.pop() {
        made.push(no);
        effects = pool.prewarmed(no, Millis(now));
    }
    made
}

#[test]
fn stem_cells_are_made_one_by_one_and_count_as_memory() {
    let mut pool = PoolState::new(1024, cells(&[(256, 3), (512, 1)]));
    assert_eq!(pool.submit(run(1, 1, 256)).unwrap().len(), 2, "a cold start that is missed");
    let effects = pool.make_stem_cells(true);
    assert!(matches!(effects[..], [Effect::Prewarm(_, CellNo(0))]), "{effects:?}");
    assert_eq!(prewarm(&mut pool, effects, 0).len(), 3);
    let standing = pool.standing();
    assert_eq!((standing.prewarmed, standing.prewarmed_mb, pool.used_mb()), (3, 768, 1024));
    // There was no room for the large one: it comes when there is.
    let no = ContainerNo(1);
    assert_eq!(pool.dying(no), vec![]);
    assert_eq!(pool.removed(no), vec![]);
    let taken = pool.submit(run(2, 2, 256)).unwrap();
    assert!(matches!(taken[..], [Effect::Assign(_, _, Start::Prewarmed), Effect::Prewarm(_, CellNo(0))]));
}

#[test]
fn a_stem_cell_is_taken_by_the_smallest_fit_and_made_smaller() {
    let mut pool = PoolState::new(4096, cells(&[(512, 1), (256, 1)]));
    let effects = pool.make_stem_cells(true);
    let [large, small] = prewarm(&mut pool, effects, 0)[..] else { panic!("no stem cells") };
    let taken = |effects: Result<Vec<Effect<Run>>, Run>| match effects.as_deref() {
        Ok([Effect::Assign(no, _, Start::Prewarmed), ..]) => Some(*no),
        _ => None,
    };
    let before = pool.used_mb();
    assert_eq!(taken(pool.submit(run(1, 1, 128))), Some(small));
    assert_eq!(taken(pool.submit(run(2, 2, 512))), Some(large));
    pool.shrunk(small, 128);
    // A replacement of 256 is under way.
    assert_eq!(pool.used_mb(), before + 256 - 128);
    // The first is its owner's from now on, and no stem cell comes back.
    pool.warmed(small);
    pool.ended(small);
    assert_eq!(pool.submit(run(3, 1, 128)), Ok(vec![Effect::Assign(small, run(3, 1, 128), Start::Warmed)]));
    // None for another image, and none for a larger action.
    let stranger = Run(4, Want { image: Some("python".into()), ..want("ns", 4, 256, 1) });
    assert!(matches!(pool.submit(stranger).as_deref(), Ok([Effect::Create(..)])));
    let foreign = Run(5, Want { image: None, ..want("ns", 5, 256, 1) });
    assert!(matches!(pool.submit(foreign).as_deref(), Ok([Effect::Create(..)])));
    assert!(matches!(pool.submit(run(6, 6, 1024)).as_deref(), Ok([Effect::Create(_, _, Start::Cold)])));
    // Where memory cannot be changed, only the very size fits.
    pool.cannot_shrink();
    assert!(matches!(pool.submit(run(7, 7, 128)).as_deref(), Ok([Effect::Create(..)])));
}

#[test]
fn one_that_is_still_made_serves_too() {
    let mut pool = PoolState::new(4096, cells(&[(256, 1)]));
    let effects = pool.make_stem_cells(true);
    let [Effect::Prewarm(no, _)] = effects[..] else { panic!("{effects:?}") };
    let effects = pool.submit(run(1, 1, 256)).unwrap();
    assert_eq!(effects[..2], [Effect::Assign(no, run(1, 1, 256), Start::Cold), Effect::Missed(CellNo(0))]);
    // Another is made in its place.
    assert!(matches!(effects[2], Effect::Prewarm(..)));
    assert_eq!(pool.prewarmed(no, Millis(0)), vec![], "it is no stem cell any more");
    assert_eq!(pool.standing().prewarmed, 0);
}

#[test]
fn stem_cells_make_room_after_all_warm_containers() {
    let mut pool = PoolState::new(1024, cells(&[(256, 2)]));
    let effects = pool.make_stem_cells(true);
    let stem = prewarm(&mut pool, effects, 0);
    let python = |n, memory_mb| Run(n, Want { image: None, ..want("ns", n as u8, memory_mb, 1) });
    let [warm] = created(&pool.submit(python(1, 256)).unwrap())[..] else { panic!("no container") };
    pool.ended(warm);
    assert_eq!(pool.submit(python(2, 768)), Ok(vec![Effect::Remove(warm), Effect::Remove(stem[0])]));
    assert_eq!(pool.removed(warm), vec![]);
    let effects = pool.removed(stem[0]);
    assert!(matches!(effects[..], [Effect::Create(_, _, Start::Recreated)]), "{effects:?}");
    // Full: none is made in its place until there is room.
    assert_eq!(pool.standing().prewarmed, 1);
    assert_eq!(pool.dying(ContainerNo(4)), vec![]);
    assert!(matches!(pool.removed(ContainerNo(4))[..], [Effect::Prewarm(..)]));
}

#[test]
fn expired_stem_cells_go_oldest_first_and_the_number_follows_the_cold_starts() {
    let mut pool = PoolState::new(4096, cells(&[(256, 3)]));
    let mut effects = pool.make_stem_cells(true);
    let mut stem = Vec::new();
    for now in [0, 100, 200] {
        let [Effect::Prewarm(no, _)] = effects[..] else { panic!("{effects:?}") };
        stem.push(no);
        effects = pool.prewarmed(no, Millis(now));
    }
    assert_eq!(pool.check_stem_cells(Millis(999), 100, |_, _| 3), vec![]);
    let effects = pool.check_stem_cells(Millis(1_200), 2, |_, _| 1);
    let gone = |no: usize| [Effect::Expired(CellNo(0)), Effect::Remove(stem[no])];
    assert_eq!(effects, gone(0).into_iter().chain(gone(1)).collect::<Vec<_>>());
    // One is left, and one is wanted.
    assert_eq!(pool.standing().prewarmed, 1);
    for n in 0..3 {
        pool.submit(run(n, n as u8, 256)).unwrap();
    }
    assert_eq!(pool.stem_cells().cold_starts(CellNo(0)), 2, "one was there, two were not");
    pool.check_stem_cells(Millis(1_300), 100, |_, cold_starts| cold_starts + 1);
    assert_eq!((pool.stem_cells().cold_starts(CellNo(0)), pool.stem_cells().wanted(CellNo(0))), (0, 3));
}

#[test]
fn one_that_fails_is_replaced_only_when_that_is_asked_for() {
    let mut pool = PoolState::new(4096, cells(&[(256, 1)]));
    let effects = pool.make_stem_cells(true);
    let [no] = prewarm(&mut pool, effects, 0)[..] else { panic!("no stem cell") };
    assert_eq!(pool.dying(no), vec![Effect::Failed(CellNo(0))]);
    assert_eq!(pool.removed(no), vec![]);
    let effects = pool.make_stem_cells(true);
    let [Effect::Prewarm(no, _)] = effects[..] else { panic!("{effects:?}") };
    // Nor does a job that waits for one make it be tried again: it gets what was begun before, or its own.
    let effects = pool.submit(run(1, 1, 256)).unwrap();
    let Some(Effect::Prewarm(second, _)) = effects.last() else { panic!("{effects:?}") };
    assert_eq!(pool.unmade(no), vec![Effect::Failed(CellNo(0))]);
    assert!(matches!(pool.returned(run(1, 1, 256))[..], [Effect::Assign(no, ..), ..] if no == *second));
    assert_eq!(pool.unmade(*second), vec![], "of both one is told of");
    let effects = pool.returned(run(1, 1, 256));
    assert!(matches!(effects[..], [Effect::Create(_, _, Start::Cold), Effect::Missed(_)]), "{effects:?}");
}

/// What a model of the world knows of the containers that the pool had made.
#[derive(Default)]
struct World {
    containers: BTreeMap<ContainerNo, (Vec<Run>, bool, u64)>,
    /// Stem cells that are being made.
    starting: Vec<ContainerNo>,
    answered: BTreeMap<u32, u32>,
    /// All that were asked for and not given back, and whether they are granted.
    reserved: BTreeMap<ReservationNo, (u64, bool)>,
}

impl World {
    fn apply(&mut self, effects: Vec<Effect<Run>>) {
        for effect in effects {
            match effect {
                Effect::Prewarm(no, cell) => {
                    assert!(self.containers.insert(no, (vec![], false, [256, 512][cell.0])).is_none());
                    self.starting.push(no);
                }
                Effect::Missed(_) | Effect::Expired(_) | Effect::Failed(_) => {}
                Effect::Create(no, job, _) => {
                    let memory = job.1.memory_mb;
                    assert!(self.containers.insert(no, (vec![job], false, memory)).is_none());
                }
                Effect::Assign(no, job, _) => {
                    let (jobs, going, _) = self.containers.get_mut(&no).expect("it exists");
                    assert!(!*going, "a job for a container that goes");
                    jobs.push(job);
                    assert!(jobs.iter().all(|j| j.1.owner == jobs[0].1.owner));
                    assert!(jobs.len() <= jobs[0].1.max_concurrent as usize);
                }
                Effect::Remove(no) => {
                    let (jobs, going, _) = self.containers.get_mut(&no).expect("it exists");
                    assert!(jobs.is_empty() && !*going);
                    *going = true;
                }
                Effect::Grant(no) => {
                    let (_, granted) = self.reserved.get_mut(&no).expect("it is waited for");
                    assert!(!std::mem::replace(granted, true));
                }
            }
        }
    }

    fn check(&self, pool: &PoolState<Run>) {
        let reserved = self.reserved.values().filter(|(_, granted)| *granted).map(|(mb, _)| mb);
        let memory: u64 = self.containers.values().map(|(_, _, mb)| mb).chain(reserved).sum();
        assert_eq!(pool.used_mb(), memory, "memory is the sum of the containers");
        assert!(memory <= 2048);
        let active: usize = self.containers.values().map(|(jobs, _, _)| jobs.len()).sum();
        assert_eq!(pool.active(), active as u64);
    }
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(8))]
    /// 10,000 random events: memory is always the sum of the containers, and every job is answered once.
    #[test]
    fn memory_adds_up_and_every_job_is_answered_once(
        events in proptest::collection::vec((0u8..11, 0usize..64, 0u8..6, 1u64..5), 10_000..10_001)
    ) {
        let mut pool = PoolState::new(2048, cells(&[(256, 2), (512, 1)]));
        let mut world = World::default();
        world.apply(pool.make_stem_cells(true));
        let mut submitted = 0;
        for (event, pick, action, size) in events {
            let chosen = world.containers.keys().copied().nth(pick % world.containers.len().max(1));
            match (event, chosen) {
                (0 | 1, _) => {
                    submitted += 1;
                    let job = Run(submitted, want("ns", action, size * 128, u32::from(action % 3) + 1));
                    // The same action always has the same memory.
                    let job = Run(job.0, Want { memory_mb: u64::from(action + 1) * 128, ..job.1 });
                    world.apply(pool.submit(job).unwrap());
                }
                (2, Some(no)) => {
                    if let Some(job) = world.containers.get_mut(&no).and_then(|(jobs, _, _)| jobs.pop()) {
                        *world.answered.entry(job.0).or_default() += 1;
                        world.apply(pool.ended(no));
                    }
                }
                (3, Some(no)) => {
                    // It fails: it takes no more, answers what it has, and goes.
                    world.containers.get_mut(&no).expect("chosen").1 = true;
                    world.apply(pool.dying(no));
                }
                (4, Some(no)) => {
                    let (jobs, going, _) = &world.containers[&no];
                    if *going && jobs.is_empty() {
                        world.containers.remove(&no);
                        world.apply(pool.removed(no));
                    }
                }
                (5, Some(no)) if world.containers[&no].1 => {
                    if let Some(job) = world.containers.get_mut(&no).and_then(|(jobs, _, _)| jobs.pop()) {
                        world.apply(pool.ended(no));
                        world.apply(pool.returned(job));
                    }
                }
                (6, _) if world.reserved.len() < 3 => {
                    let (no, memory_mb, effects) = pool.reserve(size * 256);
                    world.reserved.insert(no, (memory_mb, false));
                    world.apply(effects);
                }
                (7, _) => {
                    let chosen = world.reserved.keys().copied().nth(pick % world.reserved.len().max(1));
                    if let Some(no) = chosen {
                        world.reserved.remove(&no);
                        world.apply(pool.release(no));
                    }
                }
                (8, _) => {
                    if let Some(no) = world.starting.pop() {
                        world.apply(pool.prewarmed(no, Millis(pick as u64)));
                    }
                }
                (9, _) => {
                    world.apply(pool.make_stem_cells(true));
                    let wanted = |_, cold_starts: u32| cold_starts.clamp(1, 3);
                    world.apply(pool.check_stem_cells(Millis(1_000 + pick as u64), size as usize, wanted));
                }
                (10, Some(no)) => {
                    // A stem cell that was made smaller for its first job.
                    if let Some((jobs, _, memory)) = world.containers.get_mut(&no)
                        && let Some(wanted) = jobs.first().map(|job| job.1.memory_mb)
                        && wanted < *memory
                    {
                        *memory = wanted;
                        world.apply(pool.shrunk(no, wanted));
                    }
                }
                _ => {}
            }
            world.check(&pool);
        }
        world.apply(pool.make_stem_cells(false));
        while let Some((no, _)) = world.reserved.pop_first() {
            world.apply(pool.release(no));
        }
        // Everything ends: then all is answered, and no memory is taken that no container has.
        while pool.waiting() > 0 || pool.active() > 0 || world.containers.values().any(|(_, going, _)| *going) {
            for no in world.containers.keys().copied().collect::<Vec<_>>() {
                while let Some(job) = world.containers.get_mut(&no).and_then(|(jobs, _, _)| jobs.pop()) {
                    *world.answered.entry(job.0).or_default() += 1;
                    world.apply(pool.ended(no));
                }
                if world.containers[&no].1 {
                    world.containers.remove(&no);
                    world.apply(pool.removed(no));
                }
            }
            world.check(&pool);
        }
        proptest::prop_assert_eq!(world.answered.len(), submitted as usize);
        proptest::prop_assert!(world.answered.values().all(|times| *times == 1));
    }
}
