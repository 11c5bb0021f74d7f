//! What the implementations of a seam have in common: one suite a seam, run against each of them.
#![expect(clippy::unwrap_used, reason = "what fails in a test fails the test")]

mod bus;
mod store;
