//! Upstream's number of stem cells (`ContainerPool.scala`, `ExecManifest.scala`): the cold starts of a period in
//! steps, between a least and a most; without reactive settings always the same.

use common::manifest::StemCell;

use super::Demand;

/// How many are to wait.
pub fn wanted(cell: &StemCell, demand: Demand) -> u32 {
    match (&cell.reactive, demand) {
        (None, _) | (_, Demand::Unknown) => cell.initial_count,
        (Some(reactive), Demand::ColdStarts(0)) => reactive.min_count,
        (Some(reactive), Demand::ColdStarts(count)) => {
            let steps = count / reactive.threshold.max(1);
            let most = reactive.max_count.max(reactive.min_count);
            steps.saturating_mul(reactive.increment).clamp(reactive.min_count, most)
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use common::entity::limits::ByteSize;
    use common::manifest::Reactive;

    use super::*;

    #[test]
    fn the_number_follows_the_cold_starts_in_steps() {
        let ttl = Duration::from_secs(120);
        let reactive = Reactive { min_count: 1, max_count: 7, ttl, threshold: 2, increment: 3 };
        let fixed = StemCell { initial_count: 2, memory: ByteSize::from_mb(256), reactive: None };
        let cell = StemCell { reactive: Some(reactive), ..fixed.clone() };
        for (demand, expected) in [
            (Demand::Unknown, 2),
            (Demand::ColdStarts(0), 1),
            (Demand::ColdStarts(1), 1),
            (Demand::ColdStarts(2), 3),
            (Demand::ColdStarts(5), 6),
            (Demand::ColdStarts(6), 7),
            (Demand::ColdStarts(u32::MAX), 7),
        ] {
            assert_eq!(wanted(&cell, demand), expected, "{demand:?}");
            assert_eq!(wanted(&fixed, demand), 2);
        }
    }
}
