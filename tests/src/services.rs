//! The foreign services that the suites need, as real processes of their own.

pub mod kafka;
pub mod postgres;
pub mod prometheus;
pub mod registry;
