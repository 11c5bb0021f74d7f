//! What crosses the bus: upstream's JSON messages
//! (`common/scala/src/main/scala/org/apache/openwhisk/core/connector/Message.scala`).
//!
//! Optional members that are absent are left out, never null; members that are unknown are ignored.

pub mod ack;
pub mod activation;
pub mod event;
pub mod ping;
