//! How long a container is kept after its last run: the seam where predictors come in.

pub mod fixed;

use std::fmt;
use std::time::Duration;

use super::decide::Owner;

/// Decides the life of idle containers. It is asked each time a container falls idle.
pub trait KeepAlive: Send + Sync + fmt::Debug {
    /// How long after its last run a warm container is paused.
    fn pause_after(&self, owner: &Owner) -> Duration;
    /// How long after being paused it is removed.
    fn remove_after(&self, owner: &Owner) -> Duration;
}
