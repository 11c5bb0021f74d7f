//! Waiting for a condition, with a bound: the only way in which a test lets time pass.

use std::future::Future;
use std::time::Duration;

use tokio::time::Instant;

/// Between two looks at a condition.
const POLL: Duration = Duration::from_millis(25);

/// Looks until `look` finds something; panics with `what` once `bound` has passed.
///
/// # Panics
///
/// If the condition does not hold within `bound`.
pub async fn until<T, F, L>(what: &str, bound: Duration, mut look: L) -> T
where
    L: FnMut() -> F,
    F: Future<Output = Option<T>>,
{
    let deadline = Instant::now() + bound;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "waited {} s in vain: {what}", bound.as_secs());
        tokio::time::sleep(POLL).await;
    }
}
