//! The language that controllers and invokers share: entities, messages, the bus between them, the
//! stores behind them and the journal that survives a crash. No HTTP, but for the export of traces, and no Docker.

pub mod address;
pub mod bus;
pub mod clock;
pub mod config;
pub mod connection;
pub mod doctor;
pub mod entity;
pub mod events;
pub mod huge_pages;
#[cfg(all(feature = "kafka", feature = "postgres"))]
pub mod join;
pub mod journal;
pub mod manifest;
pub mod message;
pub mod metrics;
#[cfg(feature = "node")]
pub mod node;
pub mod nodes;
pub mod open_files;
pub mod operator;
pub mod paths;
pub mod readiness;
pub mod record;
pub mod shutdown;
pub mod signals;
pub mod store;
pub mod telemetry;
pub mod tls;
pub mod trace;
