//! What creating, changing and deleting entities means: versions, defaults, merging, checks.
//!
//! Reads of this room go to the store, so that they see every write that was answered; invocations use
//! the cache.

pub mod action_put;
pub mod actions;
pub mod draft;
pub mod exec_put;
pub mod members;
pub mod package_put;
pub mod packages;
pub mod rule_put;
pub mod rules;
pub mod sequences;
pub mod stored;
pub mod triggers;
