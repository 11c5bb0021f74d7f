//! The embedded platform as a newcomer and an operator meet it: first steps, actions that behave
//! badly, refusals to start, a clean end, and what is still there afterwards.
//!
//! Every test has a server of its own; the container runtime is the one `OXWHISK_TEST_RUNTIME` names.

mod adversity;
mod backup;
mod blocked;
mod compiled;
mod doctor;
mod durability;
mod ending;
mod fired;
mod first_steps;
mod metrics;
mod overlap;
mod pool;
mod start_up;
mod user_events;
