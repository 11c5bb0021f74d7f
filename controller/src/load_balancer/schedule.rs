//! Which invoker runs an action: a home by hash, then ever the same walk through the others.
//!
//! An action comes back to the invoker that has it warm, and two actions of the same home part ways after
//! it. Where all are full a random healthy one takes it, since an invoker queues and the API does not.
//! Hash, step sizes and shares are upstream's
//! (`core/controller/.../loadBalancer/ShardingContainerPoolBalancer.scala`), so that placement is, too.
//! Unlike there each invoker is asked once, not two of them twice, and a hash of -2^31 has a home.

use std::ops::Range;

/// Java's `String.hashCode` of the parts joined: 31 h + unit over UTF-16, wrapping.
pub fn java_hash(parts: &[&str]) -> i32 {
    let units = parts.iter().flat_map(|part| part.encode_utf16());
    units.fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(i32::from(unit)))
}

/// The number that an action's home and step follow from. The version is left out, so that an update
/// stays at home; `namespace` is that of the caller.
pub fn hash(namespace: &str, path: &str, name: &str) -> usize {
    let hash = java_hash(&[namespace]) ^ java_hash(&[path, "/", name]);
    // `abs`, but for the least number, which has none.
    let hash = if hash == i32::MIN { 0 } else { hash.unsigned_abs() };
    hash as usize
}

/// The step sizes for so many invokers: all that are coprime to the number and to each other, so that
/// every walk meets every invoker once.
pub fn step_sizes(invokers: usize) -> Vec<usize> {
    let mut steps = Vec::new();
    for step in 1..=invokers {
        if gcd(step, invokers) == 1 && steps.iter().all(|known| gcd(*known, step) == 1) {
            steps.push(step);
        }
    }
    steps
}

fn gcd(mut a: usize, mut b: usize) -> usize {
    while b != 0 {
        (a, b) = (b, a % b);
    }
    a
}

/// Which image an action runs in, as far as its place goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partition {
    /// One of the manifest's.
    Managed,
    /// One that its owner named.
    Blackbox,
}

/// How invokers are shared out among the partitions.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Shares {
    managed: f64,
    blackbox: f64,
}

impl Shares {
    /// Fractions of all invokers; what managed actions leave is for blackbox actions at least. A sum above
    /// one means that they overlap.
    pub fn new(managed: f64, blackbox: f64) -> Self {
        let managed = managed.clamp(0.0, 1.0);
        Self { managed, blackbox: blackbox.min(1.0).max(1.0 - managed) }
    }

    /// Which of so many invokers a partition has: the first ones, or the last, and always one at least.
    pub fn of(&self, partition: Partition, invokers: usize) -> Range<usize> {
        if invokers == 0 {
            return 0..0;
        }
        let part = |size: f64| (size as usize).clamp(1, invokers);
        match partition {
            Partition::Managed => 0..part((invokers as f64 * self.managed).ceil()),
            Partition::Blackbox => invokers - part((invokers as f64 * self.blackbox).floor())..invokers,
        }
    }
}

/// Some invokers in order, and the step sizes of their number.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidates {
    range: Range<usize>,
    steps: Vec<usize>,
}

impl Candidates {
    /// Those invokers.
    pub fn new(range: Range<usize>) -> Self {
        let steps = step_sizes(range.len());
        Self { range, steps }
    }

    /// Which they are.
    pub fn range(&self) -> Range<usize> {
        self.range.clone()
    }
}

/// What was chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// This one had room, and `take` took it.
    Room(usize),
    /// None had room; this one is healthy, and is to be booked beyond what it has.
    Overload(usize),
}

/// None of the candidates is healthy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoneHealthy;

/// Walks from an action's home until one is usable and taken. `random` gives a number below its argument;
/// it is asked only where nobody has room.
pub fn choose(
    hash: usize,
    candidates: &Candidates,
    usable: impl Fn(usize) -> bool,
    take: impl Fn(usize) -> bool,
    random: impl FnOnce(usize) -> usize,
) -> Result<Choice, NoneHealthy> {
    let count = candidates.range.len();
    if count == 0 {
        return Err(NoneHealthy);
    }
    let step = candidates.steps[hash % candidates.steps.len()];
    let mut at = hash % count;
    for _ in 0..count {
        let invoker = candidates.range.start + at;
        if usable(invoker) && take(invoker) {
            return Ok(Choice::Room(invoker));
        }
        at += step;
        if at >= count {
            at -= count;
        }
    }
    let healthy = || candidates.range().filter(|invoker| usable(*invoker));
    match healthy().count() {
        0 => Err(NoneHealthy),
        several => healthy().nth(random(several) % several).map(Choice::Overload).ok_or(NoneHealthy),
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    #[test]
    fn hashes_are_javas() {
        // What `String.hashCode` of OpenJDK 17 says, characters beyond the basic plane included.
        for (text, expected) in [
            ("", 0),
            ("a", 97),
            ("guest", 98_708_952),
            ("guest/hello", 86_723_035),
            ("guest/pkg/hello", 688_753_496),
            ("whisk.system/utils/echo", 1_928_623_685),
            ("polygenelubricants", i32::MIN),
            ("näme", 3_499_598),
            ("日本/語", 802_517_110),
            ("😀", 1_772_899),
            ("a🚀b𝄞", -235_433_272),
            ("The quick brown fox jumps over the lazy dog", -609_428_141),
            ("_@.&-", 89_686_548),
            ("23bc46b1-71f6-4ed5-8c54-816aa4f8c502", 1_067_762_430),
        ] {
            assert_eq!(java_hash(&[text]), expected, "{text}");
        }
    }

    #[test]
    fn homes_are_upstreams() {
        // `(namespace.hashCode ^ action.hashCode).abs` of the JVM; of 10 and of 1,000 invokers.
        for (namespace, path, name, expected, of_10, of_1000) in [
            ("guest", "guest", "hello", 13_198_339, 9, 339),
            ("guest", "whisk.system/utils", "echo", 1_997_953_949, 9, 949),
            ("ns", "guest/pkg", "hello", 688_752_285, 5, 285),
            ("guest", "guest", "😀", 1_372_418_782, 2, 782),
            ("whisk.system", "whisk.system", "invokerHealthTestAction0", 117_526_585, 5, 585),
        ] {
            let hash = hash(namespace, path, name);
            assert_eq!((hash, hash % 10, hash % 1000), (expected, of_10, of_1000), "{namespace} {name}");
        }
    }

    #[test]
    fn steps_are_coprime_to_the_number_and_to_each_other() {
        // apache/openwhisk: tests/.../loadBalancer/test/ShardingContainerPoolBalancerTests.scala
        for (invokers, steps) in [
            (0, &[][..]),
            (1, &[1]),
            (2, &[1]),
            (3, &[1, 2]),
            (4, &[1, 3]),
            (5, &[1, 2, 3]),
            (9, &[1, 2, 5, 7]),
            (10, &[1, 3, 7]),
        ] {
            assert_eq!(step_sizes(invokers), steps, "{invokers}");
        }
    }

    #[test]
    fn partitions_have_at_least_one_invoker_and_overlap_where_there_are_few() {
        let standard = Shares::new(0.9, 0.1);
        let table = [(0, 0..0, 0..0), (1, 0..1, 0..1), (2, 0..2, 1..2), (9, 0..9, 8..9), (10, 0..9, 9..10)];
        for (invokers, managed, blackbox) in table {
            assert_eq!(standard.of(Partition::Managed, invokers), managed, "{invokers}");
            assert_eq!(standard.of(Partition::Blackbox, invokers), blackbox, "{invokers}");
        }
        let table = [
            (1.0, 1.0, 0..100, 0..100),
            (0.1, 0.8, 0..10, 10..100),
            (0.0, 0.0, 0..1, 0..100),
            (7.0, 7.0, 0..100, 0..100),
            (0.5, 0.5, 0..50, 50..100),
        ];
        for (managed, blackbox, first, last) in table {
            let shares = Shares::new(managed, blackbox);
            assert_eq!(shares.of(Partition::Managed, 100), first, "{managed} {blackbox}");
            assert_eq!(shares.of(Partition::Blackbox, 100), last, "{managed} {blackbox}");
        }
    }

    #[test]
    fn every_walk_starts_at_home_and_asks_each_invoker_once() {
        for range in [0..1, 0..2, 3..12, 5..15, 0..101] {
            let candidates = Candidates::new(range.clone());
            for hash in 0..211 {
                let asked = RefCell::new(Vec::new());
                let refuse = |at| {
                    asked.borrow_mut().push(at);
                    false
                };
                let chosen = choose(hash, &candidates, |_| true, refuse, |count| count - 1);
                assert_eq!(chosen, Ok(Choice::Overload(range.end - 1)));
                let mut asked = asked.into_inner();
                assert_eq!(asked[0], range.start + hash % range.len());
                asked.sort_unstable();
                assert_eq!(asked, range.clone().collect::<Vec<_>>());
            }
        }
    }

    #[test]
    fn the_first_with_room_is_taken_and_only_the_healthy_count() {
        let ten = Candidates::new(0..10);
        let never = |_| unreachable!("there is room");
        // Hash 11 of ten: home 1, the last of the steps 1, 3, 7.
        assert_eq!(choose(11, &ten, |_| true, |_| true, never), Ok(Choice::Room(1)));
        assert_eq!(choose(11, &ten, |_| true, |at| at != 1, never), Ok(Choice::Room(8)));
        assert_eq!(choose(11, &ten, |at| at != 1 && at != 8, |_| true, never), Ok(Choice::Room(5)));
        // Of 2, 4 and 6 the second by chance.
        let even = |at: usize| [2, 4, 6].contains(&at);
        assert_eq!(choose(11, &ten, even, |_| false, |_| 1), Ok(Choice::Overload(4)));
        assert_eq!(choose(11, &ten, even, |_| false, |count| count + 1), Ok(Choice::Overload(4)));
        assert_eq!(choose(11, &ten, |_| false, |_| true, never), Err(NoneHealthy));
        assert_eq!(choose(11, &Candidates::new(0..0), |_| true, |_| true, never), Err(NoneHealthy));
    }

    #[test]
    fn the_hash_that_has_no_absolute_value_has_a_home() {
        assert_eq!(java_hash(&["xikczdn"]) ^ java_hash(&["guest/hello"]), i32::MIN);
        assert_eq!(hash("xikczdn", "guest", "hello"), 0);
    }
}
