//! Upstream's way: the same times for all (`whisk.container-proxy.timeouts`).

use std::time::Duration;

use common::config::containers::ProxyTimeouts;
use common::manifest::StemCell;

use super::{Demand, KeepAlive, reactive};
use crate::pool::decide::Owner;

/// Pause after the grace, remove after the idle time, whatever the action.
#[derive(Clone, Debug)]
pub struct FixedTimes(pub ProxyTimeouts);

impl KeepAlive for FixedTimes {
    fn pause_after(&self, _: &Owner) -> Duration {
        self.0.pause_grace
    }

    fn remove_after(&self, _: &Owner) -> Duration {
        self.0.idle_container
    }

    fn stem_cells(&self, cell: &StemCell, demand: Demand) -> u32 {
        reactive::wanted(cell, demand)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_owner_gets_upstreams_times() {
        let owner = Owner { namespace: "ns".into(), action: [0; 32] };
        let times = FixedTimes(ProxyTimeouts::default());
        assert_eq!(times.pause_after(&owner), Duration::from_secs(10));
        assert_eq!(times.remove_after(&owner), Duration::from_secs(600));
    }
}
