//! What users create and what runs leave behind, as types that are legal because they exist.
//!
//! Nothing in here waits, and nothing knows HTTP, Kafka, SQL or Docker. Texts that callers read are
//! upstream's (`apache/openwhisk: common/scala/src/main/scala/org/apache/openwhisk/http/ErrorResponse.scala`).

pub mod action;
pub mod activation;
pub mod encryption;
pub mod exec;
pub mod id;
pub mod identity;
pub mod json;
pub mod limits;
pub mod name;
pub mod package;
pub mod parameters;
pub mod rule;
pub mod trigger;
pub mod version;
