//! How often a minute: a counter for each namespace, which starts again with the calendar's minute
//! (`.../core/entitlement/RateThrottler.scala`). What is refused counts too.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use common::clock::Millis;

use super::Denial;

/// With so many namespaces in the book, those of earlier minutes are struck out.
const MANY: usize = 4096;

#[derive(Clone, Copy, Default)]
struct Window {
    minute: u64,
    count: u64,
}

/// Counts requests by namespace.
#[derive(Default)]
pub struct RateThrottle(Mutex<HashMap<String, Window>>);

impl RateThrottle {
    /// Counts one more, and refuses it if it is more than allowed.
    pub fn charge(&self, namespace: &str, allowed: u64, now: Millis) -> Result<(), Denial> {
        let minute = now.0 / 60_000;
        let count = self.count(namespace, minute);
        if count <= allowed { Ok(()) } else { Err(Denial::RateLimited { count, allowed }) }
    }

    fn count(&self, namespace: &str, minute: u64) -> u64 {
        let mut windows = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !windows.contains_key(namespace) {
            if windows.len() >= MANY {
                windows.retain(|_, window| window.minute == minute);
            }
            windows.insert(namespace.to_owned(), Window::default());
        }
        let Some(window) = windows.get_mut(namespace) else { return 0 };
        if window.minute != minute {
            *window = Window { minute, count: 0 };
        }
        window.count += 1;
        window.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::clock::{Clock, VirtualClock};

    #[test]
    fn the_count_goes_on_until_the_minute_changes() {
        let (throttle, clock) = (RateThrottle::default(), VirtualClock::at(Millis(59_000)));
        let charge = |allowed| throttle.charge("a", allowed, clock.now());
        assert!(charge(2).is_ok() && charge(2).is_ok());
        for expected in [3, 4] {
            assert!(matches!(charge(2), Err(Denial::RateLimited { count, allowed: 2 }) if count == expected));
        }
        assert!(throttle.charge("b", 2, clock.now()).is_ok());
        clock.advance(1_000);
        assert!(charge(2).is_ok());
        assert!(matches!(charge(0), Err(Denial::RateLimited { count: 2, allowed: 0 })));
    }

    #[test]
    fn namespaces_of_earlier_minutes_are_forgotten() {
        let throttle = RateThrottle::default();
        for n in 0..MANY {
            assert!(throttle.charge(&n.to_string(), 1, Millis(0)).is_ok());
        }
        assert!(throttle.charge("new", 1, Millis(60_000)).is_ok());
        assert_eq!(throttle.0.lock().unwrap().len(), 1);
    }
}
