//! Tables of upstream's rules (`tests/.../containerpool/test/ContainerPoolTests.scala`), and random
//! histories.

use std::collections::BTreeMap;

use super::*;

#[derive(Clone, Debug, PartialEq, Eq)]
struct Run(u32, Want);

impl Wanting for Run {
    fn want(&self) -> &Want {
        &self.1
    }
}

fn want(owner: &str, action: u8, memory_mb: u64, max_concurrent: u32) -> Want {
    Want { owner: Owner { namespace: owner.into(), action: [action; 32] }, memory_mb, max_concurrent }
}

fn run(n: u32, action: u8, memory_mb: u64) -> Run {
    Run(n, want("ns", action, memory_mb, 1))
}

fn created(effects: &[Effect<Run>]) -> Vec<ContainerNo> {
    effects.iter().filter_map(|e| if let Effect::Create(no, _) = e { Some(*no) } else { None }).collect()
}

#[test]
fn a_warm_container_is_used_again_by_its_owner_alone() {
    let mut pool = PoolState::new(1024);
    let [first] = created(&pool.submit(run(1, 1, 256)).unwrap())[..] else { panic!("no container") };
    pool.ended(first);
    assert_eq!(pool.submit(run(2, 1, 256)), Ok(vec![Effect::Assign(first, run(2, 1, 256))]));
    pool.ended(first);
    let stranger = Run(3, want("other", 1, 256, 1));
    assert_eq!(created(&pool.submit(stranger).unwrap()).len(), 1);
    assert_eq!(created(&pool.submit(run(4, 2, 256)).unwrap()).len(), 1);
    assert_eq!(pool.used_mb(), 768);
}

#[test]
fn a_busy_container_is_not_shared_unless_its_action_allows() {
    let mut pool = PoolState::new(1024);
    pool.submit(run(1, 1, 256)).unwrap();
    assert_eq!(created(&pool.submit(run(2, 1, 256)).unwrap()).len(), 1);
    let shared = |n| Run(n, want("ns", 9, 128, 2));
    let [both] = created(&pool.submit(shared(3)).unwrap())[..] else { panic!("no container") };
    assert_eq!(pool.submit(shared(4)), Ok(vec![Effect::Assign(both, shared(4))]));
    assert_eq!(created(&pool.submit(shared(5)).unwrap()).len(), 1);
}

#[test]
fn jobs_wait_in_the_order_of_their_arrival_when_memory_is_short() {
    let mut pool = PoolState::new(512);
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
    let mut pool = PoolState::new(1024);
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
    let mut pool = PoolState::new(512);
    assert_eq!(pool.submit(run(1, 1, 513)), Err(run(1, 1, 513)));
}

#[test]
fn a_dying_container_gets_no_job_and_a_returned_job_is_first() {
    let mut pool = PoolState::new(256);
    let [no] = created(&pool.submit(run(1, 1, 256)).unwrap())[..] else { panic!("no container") };
    pool.submit(run(2, 2, 256)).unwrap();
    assert_eq!(pool.dying(no), vec![]);
    assert_eq!(pool.returned(run(1, 1, 256)), vec![]);
    assert_eq!(pool.removed(no), vec![Effect::Create(ContainerNo(2), run(1, 1, 256))]);
}

#[test]
fn a_reservation_waits_in_the_same_queue_and_makes_room() {
    let mut pool = PoolState::new(1024);
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

/// What a model of the world knows of the containers that the pool had made.
#[derive(Default)]
struct World {
    containers: BTreeMap<ContainerNo, (Vec<Run>, bool, u64)>,
    answered: BTreeMap<u32, u32>,
    /// All that were asked for and not given back, and whether they are granted.
    reserved: BTreeMap<ReservationNo, (u64, bool)>,
}

impl World {
    fn apply(&mut self, effects: Vec<Effect<Run>>) {
        for effect in effects {
            match effect {
                Effect::Create(no, job) => {
                    let memory = job.1.memory_mb;
                    assert!(self.containers.insert(no, (vec![job], false, memory)).is_none());
                }
                Effect::Assign(no, job) => {
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
        events in proptest::collection::vec((0u8..8, 0usize..64, 0u8..6, 1u64..5), 10_000..10_001)
    ) {
        let mut pool = PoolState::new(2048);
        let mut world = World::default();
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
                _ => {}
            }
            world.check(&pool);
        }
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
