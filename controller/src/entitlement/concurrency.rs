//! How many activations a namespace may have in flight at once
//! (`.../core/entitlement/ActivationThrottler.scala`).

use super::Denial;

/// Whether one more may start beside `count` in flight.
pub fn check(count: u64, allowed: u64) -> Result<(), Denial> {
    if count < allowed { Ok(()) } else { Err(Denial::TooManyInFlight { count, allowed }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_more_must_fit() {
        for (count, allowed, fits) in [(0, 1, true), (1, 1, false), (29, 30, true), (0, 0, false)] {
            assert_eq!(check(count, allowed).is_ok(), fits, "{count} of {allowed}");
        }
    }
}
