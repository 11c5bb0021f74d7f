//! The sharding balancer as its invokers and its callers see it, over the in-process bus in paused time.

#![expect(clippy::unwrap_used, reason = "all of it is test code")]

mod placement;
mod supervision;
mod test_action;
mod world;
