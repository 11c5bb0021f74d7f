//! The runtime contract, kept by the real processes: the proxy's binary with Python, and Node's server.
//!
//! Each test hands its server a listening socket on loopback as descriptor 0 and reads its logs from
//! pipes, as the process runtime does. Case for case the expectations are upstream's
//! (`apache/openwhisk: tests/src/test/scala/actionContainers/BasicActionRunnerTests.scala`), but for the
//! log counts, which are ours.

#![allow(clippy::unwrap_used, reason = "clippy allows it in tests, but not in what they share")]

mod executable;
mod harness;
mod nodejs;
mod nodejs_marks;
mod proxy;
mod python;
