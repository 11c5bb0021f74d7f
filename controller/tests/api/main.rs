//! The controller's routes over real sockets and real stores, with an invoker that the test plays.
//!
//! What containers do is not in here: the invoker of these tests answers as the test tells it to.

#![expect(clippy::unwrap_used, reason = "all of it is test code")]

mod actions;
mod activations;
mod fuzz;
mod harness;
mod invocations;
mod packages;
mod transport;
