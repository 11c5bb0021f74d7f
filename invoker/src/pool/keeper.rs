//! Keeps the stem cells of the runtimes manifest: makes them once work is taken, looks them over now and then,
//! and gives an image that cannot be started a rest, longer each time.
//!
//! Upstream counts cold starts and raises the number of stem cells at the next look, ten minutes later; here
//! each cold start that a stem cell would have spared raises it at once. It falls only at a look.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use common::config::containers::PoolConfig;
use common::manifest::{Manifest, StemCell};
use common::shutdown::Shutdown;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, sleep_until};
use tracing::warn;

use super::Pool;
use super::decide::Effect;
use super::keep_alive::{Demand, KeepAlive};
use super::stem_cells::{CellNo, Cells, StemCells};
use crate::job::Job;
use crate::metrics::InvokerMetrics;

/// The rest after stem cells that failed: doubled from the first to the last.
const REST_FIRST: Duration = Duration::from_secs(1);
const REST_LAST: Duration = Duration::from_secs(60);

/// What a stem cell is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The kind in whose name it stands in the manifest.
    pub kind: String,
    /// Its image.
    pub image: String,
    /// Its memory, MB.
    pub memory_mb: u64,
    /// What the manifest says.
    pub cell: StemCell,
}

/// The plans, and how it goes.
#[derive(Debug)]
pub struct Keeper {
    plans: Vec<Plan>,
    /// Failures since one served.
    failures: AtomicU32,
    failed: Notify,
}

impl Keeper {
    /// What the manifest plans, unless the settings want none. What is larger than all memory is left out.
    pub fn new(manifest: &Manifest, settings: &PoolConfig) -> Self {
        let of_kind = |kind: &common::manifest::RuntimeKind| {
            let (name, image) = (kind.kind.clone(), kind.image.reference());
            let plan = move |cell: StemCell| Plan {
                kind: name.clone(),
                image: image.clone(),
                memory_mb: cell.memory.mb(),
                cell,
            };
            kind.stem_cells.clone().into_iter().map(plan)
        };
        let mut plans: Vec<Plan> = match settings.stem_cells {
            true => manifest.kinds().flat_map(of_kind).collect(),
            false => Vec::new(),
        };
        plans.retain(|plan| {
            let fits = plan.memory_mb <= settings.user_memory.mb();
            if !fits {
                warn!("no stem cells of {} MB: all containers together have less", plan.memory_mb);
            }
            fits
        });
        Self { plans, failures: AtomicU32::new(0), failed: Notify::new() }
    }

    /// The stem cells that are wanted at first.
    pub fn cells(&self, keep_alive: &dyn KeepAlive) -> StemCells {
        let cells = |plan: &Plan| {
            let ttl = plan.cell.reactive.as_ref();
            let ttl = ttl.map(|reactive| u64::try_from(reactive.ttl.as_millis()).unwrap_or(u64::MAX));
            let wanted = keep_alive.stem_cells(&plan.cell, Demand::Unknown);
            Cells::new(plan.image.as_str().into(), plan.memory_mb, ttl, wanted)
        };
        StemCells::new(self.plans.iter().map(cells).collect())
    }

    /// Tells which kinds there are.
    pub fn announce(&self, metrics: &InvokerMetrics) {
        for plan in &self.plans {
            metrics.stem_cells(&plan.kind, plan.memory_mb);
        }
    }

    /// What a stem cell of this kind is made of.
    pub fn plan(&self, cell: CellNo) -> Option<&Plan> {
        self.plans.get(cell.0)
    }

    /// One got its job: the images are good.
    pub fn served(&self) {
        self.failures.store(0, Ordering::Relaxed);
    }

    /// One could not be made, or went by itself.
    pub fn failed(&self, cell: CellNo) {
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        if let Some(plan) = self.plan(cell) {
            let rest = rest(failures);
            warn!(
                kind = plan.kind,
                failures, "a stem cell of {} has failed: the next in {rest:?}", plan.kind
            );
        }
        self.failed.notify_one();
    }
}

fn rest(failures: u32) -> Duration {
    REST_FIRST.saturating_mul(1 << failures.saturating_sub(1).min(10)).min(REST_LAST)
}

impl Pool {
    /// Looks after the stem cells until it is told to stop.
    pub async fn keep_stem_cells(self: Arc<Self>, stop: Shutdown) {
        let keeper = &self.keeper;
        if keeper.plans.is_empty() {
            return;
        }
        let settings = &self.context.config.container_pool;
        let period = settings.prewarm_expiration_check_interval
            + a_part_of(settings.prewarm_expiration_check_interval_variance);
        let mut look = Instant::now() + settings.prewarm_expiration_check_init_delay;
        self.change(|state| state.make_stem_cells(true));
        loop {
            tokio::select! {
                () = stop.requested() => return,
                () = sleep_until(look) => {
                    self.look();
                    look = Instant::now() + period;
                }
                () = keeper.failed.notified() => {
                    tokio::select! {
                        () = stop.requested() => return,
                        () = sleep(rest(keeper.failures.load(Ordering::Relaxed))) => {}
                    }
                    // A daemon that is away is waited for.
                    let mut away = self.context.runtime.away();
                    tokio::select! {
                        () = stop.requested() => return,
                        _ = away.wait_for(Option::is_none) => {}
                    }
                    self.change(|state| state.make_stem_cells(true));
                }
            }
        }
    }

    fn look(self: &Arc<Self>) {
        let now = self.context.clock.now();
        let limit = self.context.config.container_pool.prewarm_expiration_limit;
        let wanted = |cell, count| self.wanted(cell, count);
        self.change(|state| state.check_stem_cells(now, limit, wanted));
    }

    fn wanted(&self, cell: CellNo, cold_starts: u32) -> u32 {
        let plan = self.keeper.plan(cell);
        let demand = Demand::ColdStarts(cold_starts);
        plan.map_or(0, |plan| self.context.keep_alive.stem_cells(&plan.cell, demand))
    }

    /// A stem cell would have spared a cold start: their number may rise.
    pub(super) fn missed(&self, cell: CellNo) -> Vec<Effect<Job>> {
        if let Some(plan) = self.keeper.plan(cell) {
            self.context.metrics.prewarm_cold_start(&plan.kind, plan.memory_mb);
        }
        let (cold_starts, before) = {
            let state = self.state();
            (state.stem_cells().cold_starts(cell), state.stem_cells().wanted(cell))
        };
        let wanted = self.wanted(cell, cold_starts);
        if wanted <= before {
            return Vec::new();
        }
        self.decide(|state| ((), state.want_stem_cells(cell, wanted))).1
    }
}

/// A random part, so that invokers do not all look at once.
fn a_part_of(variance: Duration) -> Duration {
    let random = RandomState::new().hash_one(0_u8);
    let seconds = variance.as_secs();
    Duration::from_secs(if seconds == 0 { 0 } else { random % seconds })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_manifest_plans_stem_cells_and_settings_may_forbid_them() {
        let manifest = Manifest::load(None, &common::config::images::RuntimesConfig::default()).unwrap();
        let settings = PoolConfig::default();
        let plans = Keeper::new(&manifest, &settings).plans;
        assert_eq!(plans.len(), 1);
        assert_eq!((plans[0].kind.as_str(), plans[0].memory_mb), ("nodejs:20", 256));
        for none in [
            PoolConfig { stem_cells: false, ..settings.clone() },
            PoolConfig { user_memory: common::entity::limits::ByteSize::from_mb(255), ..settings },
        ] {
            assert_eq!(Keeper::new(&manifest, &none).plans, []);
        }
    }

    #[test]
    fn the_rest_grows_and_is_bounded() {
        let rests: Vec<_> = [1, 2, 3, 6, 7, 1_000].map(|n| rest(n).as_secs()).into();
        assert_eq!(rests, [1, 2, 4, 32, 60, 60]);
    }
}
