//! How well one invoker is, from its pings and from what became of its activations.
//!
//! A new invoker has to prove itself: it is unhealthy until a test action succeeds. Of its last ten
//! activations three may fail by the platform's fault. Silence, or a ping that wants no work, takes it
//! out at once, and only a ping brings it back. Time is handed in, as time since some start
//! (`core/controller/.../loadBalancer/InvokerSupervision.scala`).

use std::collections::VecDeque;
use std::time::Duration;

use common::clock::Millis;

use super::InvokerHealth;

/// An invoker that is silent for so long is down.
pub const LIVENESS: Duration = Duration::from_secs(10);

/// How often an invoker that is unhealthy or unresponsive is tried.
pub const TEST_PERIOD: Duration = Duration::from_secs(60);

/// How many outcomes are remembered.
const REMEMBERED: usize = 10;

/// How many of them may be bad, of one kind.
const TOLERANCE: usize = 3;

/// What became of an activation, as far as the invoker is to blame for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It ended; errors of the action count as this, too.
    Success,
    /// The platform was at fault.
    SystemError,
    /// Nothing was heard of it in time.
    Timeout,
}

/// What is heard of an invoker.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// It is there and wants work.
    Ping,
    /// It is there and wants no work.
    DisabledPing,
    /// An activation or a test action has ended.
    Ended(Outcome),
    /// Time has passed. To be told about once a second.
    Tick,
}

/// Whether a test action is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Nothing follows.
    Nothing,
    /// A test action is to be sent now.
    Test,
}

/// One invoker under supervision.
#[derive(Clone, Debug)]
pub struct Supervised {
    health: InvokerHealth,
    outcomes: VecDeque<Outcome>,
    /// When it last gave a sign of life.
    heard: Duration,
    /// The timer of test actions: when the next is due. It runs while the invoker is tried.
    next_test: Option<Duration>,
}

impl Supervised {
    /// One that was never heard of, whose number is below that of another.
    pub fn placeholder() -> Self {
        let outcomes = VecDeque::with_capacity(REMEMBERED);
        Self { health: InvokerHealth::Down, outcomes, heard: Duration::ZERO, next_test: None }
    }

    /// How it is.
    pub fn health(&self) -> InvokerHealth {
        self.health
    }

    /// The one place where an invoker's health changes.
    pub fn on(&mut self, event: Event, now: Duration) -> Effect {
        match event {
            Event::Ping | Event::DisabledPing | Event::Ended(Outcome::Success | Outcome::SystemError) => {
                self.heard = now;
            }
            // We say this ourselves, it is no sign of life.
            Event::Ended(Outcome::Timeout) | Event::Tick => {}
        }
        match (self.health, event) {
            // Anything => Down: it says so.
            (_, Event::DisabledPing) => self.become_(InvokerHealth::Down, now),
            // Down => Unhealthy: it has to prove itself.
            (InvokerHealth::Down, Event::Ping) => self.become_(InvokerHealth::Unhealthy, now),
            (_, Event::Ping) => Effect::Nothing,
            // Down stays down, and remembers.
            (InvokerHealth::Down, Event::Ended(outcome)) => {
                self.remember(outcome);
                Effect::Nothing
            }
            (_, Event::Ended(outcome)) => self.ended(outcome, now),
            (InvokerHealth::Down, Event::Tick) => Effect::Nothing,
            // Anything => Down: silence.
            (_, Event::Tick) if now.saturating_sub(self.heard) >= LIVENESS => {
                self.become_(InvokerHealth::Down, now)
            }
            (_, Event::Tick) if self.next_test.is_some_and(|due| due <= now) => {
                self.next_test = Some(now + TEST_PERIOD);
                Effect::Test
            }
            (_, Event::Tick) => Effect::Nothing,
        }
    }

    fn ended(&mut self, outcome: Outcome, now: Duration) -> Effect {
        self.remember(outcome);
        let before = self.health;
        let effect = match self.judged(outcome) {
            Some(health) if health != before => self.become_(health, now),
            _ => Effect::Nothing,
        };
        // Each success of an unhealthy one is followed by another test, so that good outcomes soon push
        // the bad ones out.
        match (before, outcome) {
            (InvokerHealth::Unhealthy, Outcome::Success) => Effect::Test,
            _ => effect,
        }
    }

    fn remember(&mut self, outcome: Outcome) {
        if self.outcomes.len() == REMEMBERED {
            self.outcomes.pop_front();
        }
        self.outcomes.push_back(outcome);
    }

    /// How it is by its last outcomes, or nothing if they do not say.
    fn judged(&self, last: Outcome) -> Option<InvokerHealth> {
        if self.health == InvokerHealth::Up && last == Outcome::Success {
            return None;
        }
        let too_many = |bad| self.outcomes.iter().filter(|outcome| **outcome == bad).count() > TOLERANCE;
        let priming = self.outcomes.len() <= TOLERANCE;
        if too_many(Outcome::SystemError) {
            return Some(InvokerHealth::Unhealthy);
        }
        if too_many(Outcome::Timeout) {
            return Some(InvokerHealth::Unresponsive);
        }
        match last {
            Outcome::Success => Some(InvokerHealth::Up),
            Outcome::SystemError => priming.then_some(InvokerHealth::Unhealthy),
            Outcome::Timeout => priming.then_some(InvokerHealth::Unresponsive),
        }
    }

    /// Changes to another state: on entry into one in which it is tried, the first test goes and the timer
    /// starts; in any other the timer stops.
    fn become_(&mut self, health: InvokerHealth, now: Duration) -> Effect {
        self.health = health;
        match health {
            InvokerHealth::Unhealthy | InvokerHealth::Unresponsive => {
                self.next_test = Some(now + TEST_PERIOD);
                Effect::Test
            }
            InvokerHealth::Up | InvokerHealth::Down => {
                self.next_test = None;
                Effect::Nothing
            }
        }
    }
}

/// Whether a ping says nothing any more: a reader that is new to a topic gets old ones first. `written` is
/// when it was, if the bus keeps messages.
pub fn is_old(written: Option<Millis>, now: Millis) -> bool {
    written.is_some_and(|written| u128::from(now.since(written)) >= LIVENESS.as_millis())
}

#[cfg(test)]
mod tests {
    use super::*;
    use Event::{DisabledPing, Ended, Ping, Tick};
    use InvokerHealth::{Down, Unhealthy, Unresponsive, Up};
    use Outcome::{Success, SystemError, Timeout};

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    /// An invoker after these events, all at second 0, and how many tests followed the last one.
    fn after(events: &[Event]) -> (Supervised, usize) {
        let mut invoker = Supervised::placeholder();
        let mut tests = 0;
        for event in events {
            tests = usize::from(invoker.on(*event, seconds(0)) == Effect::Test);
        }
        (invoker, tests)
    }

    fn up() -> Supervised {
        after(&[Ping, Ended(Success)]).0
    }

    // The cases: apache/openwhisk, tests/.../loadBalancer/test/InvokerSupervisionTests.scala

    #[test]
    fn states_change_as_upstreams() {
        let bad = |outcome: Outcome, times: usize| {
            let mut events = vec![Ping, Ended(Success), Ended(Success), Ended(Success)];
            events.extend(vec![Ended(outcome); times]);
            events
        };
        let with = |mut events: Vec<Event>, more: &[Event]| {
            events.extend(more);
            events
        };
        let many = vec![Ended(Success); 10];
        for (events, health, tests) in [
            // A new one starts unhealthy and is tried at once; a second ping changes nothing.
            (vec![Ping], Unhealthy, 1),
            (vec![Ping, Ping], Unhealthy, 0),
            (vec![DisabledPing], Down, 0),
            // One success is enough at first, and is followed by one more test.
            (vec![Ping, Ended(Success)], Up, 1),
            (vec![Ping, Ended(Success), Ended(Success)], Up, 0),
            // A failure among the first three pushes back.
            (vec![Ping, Ended(SystemError)], Unhealthy, 0),
            (vec![Ping, Ended(Success), Ended(SystemError)], Unhealthy, 1),
            (vec![Ping, Ended(Success), Ended(Timeout)], Unresponsive, 1),
            (vec![Ping, Ended(Timeout)], Unresponsive, 1),
            // Then three may fail, and the fourth is too many.
            (bad(SystemError, 3), Up, 0),
            (bad(SystemError, 4), Unhealthy, 1),
            (bad(Timeout, 3), Up, 0),
            (bad(Timeout, 4), Unresponsive, 1),
            // They need not follow each other; of more than ten the oldest are forgotten.
            (with(bad(SystemError, 3), &[Ended(Success), Ended(SystemError)]), Unhealthy, 1),
            (with(with(bad(SystemError, 3), &many), &[Ended(SystemError)]), Up, 0),
            // System errors are looked at before time-outs.
            (with(bad(Timeout, 4), &[Ended(SystemError); 4]), Unhealthy, 1),
            (with(bad(SystemError, 4), &[Ended(Timeout); 4]), Unhealthy, 0),
            // Each success of an unhealthy one is followed by a test, until the errors are out.
            (with(bad(SystemError, 4), &[Ended(Success)]), Unhealthy, 1),
            (with(bad(SystemError, 4), &many), Up, 0),
            (with(bad(SystemError, 4), &[Ended(Success); 6]), Unhealthy, 1),
            (with(bad(SystemError, 4), &[Ended(Success); 7]), Up, 1),
            // An unresponsive one is not tried again for it.
            (with(bad(Timeout, 4), &[Ended(Success)]), Unresponsive, 0),
            // Who is down ignores outcomes, and comes back as unhealthy by a ping that wants work.
            (vec![Ping, Ended(Success), DisabledPing], Down, 0),
            (vec![Ping, DisabledPing, Ended(Success)], Down, 0),
            (vec![Ping, DisabledPing, DisabledPing], Down, 0),
            (vec![Ping, Ended(Success), DisabledPing, Ping], Unhealthy, 1),
            (with(bad(Timeout, 4), &[DisabledPing]), Down, 0),
        ] {
            let (invoker, sent) = after(&events);
            assert_eq!((invoker.health(), sent), (health, tests), "{events:?}");
        }
    }

    #[test]
    fn ten_seconds_of_silence_take_it_out_of_any_state() {
        let unhealthy = after(&[Ping]).0;
        let unresponsive = after(&[Ping, Ended(Timeout)]).0;
        for mut invoker in [up(), unhealthy, unresponsive] {
            let health = invoker.health();
            assert_eq!(invoker.on(Tick, seconds(9)), Effect::Nothing);
            assert_eq!(invoker.health(), health);
            invoker.on(Ping, seconds(9));
            invoker.on(Tick, seconds(18));
            assert_eq!(invoker.health(), health);
            assert_eq!(invoker.on(Tick, seconds(19)), Effect::Nothing);
            assert_eq!(invoker.health(), Down);
            assert_eq!(invoker.on(Tick, seconds(100)), Effect::Nothing);
            assert_eq!(invoker.on(Ping, seconds(101)), Effect::Test);
            assert_eq!(invoker.health(), Unhealthy);
        }
    }

    #[test]
    fn an_outcome_is_a_sign_of_life_unless_we_made_it_up() {
        let mut invoker = up();
        invoker.on(Ended(Success), seconds(5));
        invoker.on(Tick, seconds(14));
        assert_eq!(invoker.health(), Up);
        invoker.on(Ended(Success), seconds(14));
        invoker.on(Ended(Success), seconds(14));
        invoker.on(Ended(Timeout), seconds(20));
        invoker.on(Tick, seconds(24));
        assert_eq!(invoker.health(), Down);
    }

    #[test]
    fn it_is_tried_each_minute_until_it_is_up() {
        let mut invoker = after(&[Ping]).0;
        let mut tried = Vec::new();
        for second in 1..=130 {
            invoker.on(Ping, seconds(second));
            if invoker.on(Tick, seconds(second)) == Effect::Test {
                tried.push(second);
            }
        }
        assert_eq!(tried, [60, 120]);
        // The timer stops, and starts anew.
        invoker.on(Ended(Success), seconds(130));
        assert_eq!((invoker.health(), invoker.next_test), (Up, None));
        invoker.on(Ended(SystemError), seconds(131));
        assert_eq!((invoker.health(), invoker.next_test), (Unhealthy, Some(seconds(191))));
        invoker.on(DisabledPing, seconds(132));
        assert_eq!(invoker.next_test, None);
    }

    #[test]
    fn old_pings_are_told_by_when_they_were_written() {
        let now = Millis(1_000_000);
        for (written, old) in [
            (None, false),
            (Some(now), false),
            (Some(Millis(990_001)), false),
            (Some(Millis(990_000)), true),
            (Some(Millis(0)), true),
            // Clocks differ.
            (Some(Millis(1_005_000)), false),
        ] {
            assert_eq!(is_old(written, now), old, "{written:?}");
        }
    }
}
