//! Wall time as a seam, so that throttles, records and keep-alive can be tested without waiting.
//!
//! Durations and timers are tokio's, which tests pause; this is for the time of day.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// Milliseconds since 1970, UTC: the unit of every time in records and messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Millis(pub u64);

impl Millis {
    /// When the running program was built, by its file; 1970 if that cannot be told.
    pub fn of_program() -> Self {
        let built = std::env::current_exe().and_then(std::fs::metadata).and_then(|file| file.modified());
        let since =
            built.ok().and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok()).unwrap_or_default();
        Self(since.as_millis() as u64)
    }

    /// Milliseconds from `earlier` to this time; 0 if it is not later.
    pub fn since(self, earlier: Millis) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// Year, month and day of a day since 1970, in the Gregorian calendar.
pub fn civil(day: u64) -> (u64, u64, u64) {
    // Years begin in March here, so that the leap day is the last one of a year.
    let day = day + 719_468;
    let (era, of_era) = (day / 146_097, day % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * of_year + 2) / 153;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    (year, month, of_year - (153 * from_march + 2) / 5 + 1)
}

impl Millis {
    /// The day in UTC: `2026-01-31`.
    pub fn date(self) -> String {
        let (year, month, day) = civil(self.0 / 86_400_000);
        format!("{year:04}-{month:02}-{day:02}")
    }
}

impl fmt::Display for Millis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)
    }
}

/// The time of day.
pub trait Clock: Send + Sync + fmt::Debug {
    /// Nanoseconds since 1970, UTC.
    fn now_nanos(&self) -> u128;

    /// Milliseconds since 1970, UTC.
    fn now(&self) -> Millis {
        Millis(u64::try_from(self.now_nanos() / 1_000_000).unwrap_or(u64::MAX))
    }
}

/// The machine's clock.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the machine's clock")]
    fn now_nanos(&self) -> u128 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos())
    }
}

/// A clock that tests turn by hand.
#[derive(Clone, Debug, Default)]
pub struct VirtualClock(Arc<AtomicU64>);

impl VirtualClock {
    /// A clock that stands at `now`.
    pub fn at(now: Millis) -> Self {
        Self(Arc::new(AtomicU64::new(now.0)))
    }

    /// Moves the clock on by so many milliseconds.
    pub fn advance(&self, millis: u64) {
        self.0.fetch_add(millis, Ordering::SeqCst);
    }
}

impl Clock for VirtualClock {
    fn now_nanos(&self) -> u128 {
        u128::from(self.0.load(Ordering::SeqCst)) * 1_000_000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_dates() {
        for (day, date) in
            [(0, "1970-01-01"), (59, "1970-03-01"), (11_016, "2000-02-29"), (20_484, "2026-01-31")]
        {
            assert_eq!(Millis(day * 86_400_000).date(), date);
        }
    }

    #[test]
    fn a_virtual_clock_moves_only_by_hand() {
        let clock = VirtualClock::at(Millis(1_000));
        assert_eq!(clock.now(), Millis(1_000));
        clock.advance(500);
        assert_eq!(clock.now().since(Millis(1_000)), 500);
        assert_eq!(Millis(1).since(Millis(5)), 0);
    }
}
