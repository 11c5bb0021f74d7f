//! How long a container is kept after its last run, and how many wait for their first: the seam where
//! predictors come in.

pub mod fixed;
pub mod reactive;

use std::fmt;
use std::time::Duration;

use common::manifest::StemCell;

use super::decide::Owner;

/// What the number of stem cells may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Demand {
    /// The invoker has just started.
    Unknown,
    /// So many jobs had to start cold, since the last look, that a stem cell would have served.
    ColdStarts(u32),
}

/// Decides the life of idle containers. It is asked each time a container falls idle, each time a stem cell
/// was missed, and when stem cells are looked over.
pub trait KeepAlive: Send + Sync + fmt::Debug {
    /// How long after its last run a warm container is paused.
    fn pause_after(&self, owner: &Owner) -> Duration;
    /// How long after being paused it is removed.
    fn remove_after(&self, owner: &Owner) -> Duration;
    /// How many stem cells of this kind are to wait.
    fn stem_cells(&self, cell: &StemCell, demand: Demand) -> u32;
}
