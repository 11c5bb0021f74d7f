//! The action proxy: the HTTP server inside every runtime image but Node's.
//!
//! It answers `POST /init` and `POST /run` and passes each on, as one line of JSON, to a *launcher*: a
//! small program in the action's own language that loads the code and calls it (upstream's ActionLoop
//! protocol, `apache/openwhisk-runtime-go: docs/ACTION.md`). The proxy lives as long as its launcher:
//! when the action's process ends, so does the proxy, without an answer, and the platform knows why.
//!
//! Everything runs on one thread: one run at a time is all a launcher can do, and what is shared between
//! the tasks needs no lock.

pub mod cli;
mod code;
mod compile;
mod launcher;
pub mod launchers;
mod limits;
mod logs;
mod server;
mod service;
