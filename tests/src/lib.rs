//! The harness of the suites that cross a process: it starts the real binaries, speaks plain HTTP to
//! them and looks at what they leave behind.
//!
//! A suite asks [`whisk::Whisk`] for a platform and gets a fresh namespace a test, so tests run beside
//! each other. The environment decides:
//!
//! - `OXWHISK_BIN`, `OXWHISK_WSKADMIN`, `OXWHISK_CONTROLLER`, `OXWHISK_INVOKER`: the binaries, in place of those
//!   beside the test;
//! - `OXWHISK_TEST_FORM`: `embedded` (the default) or `distributed`, for suites that judge both;
//! - `OXWHISK_TEST_RUNTIME`: `auto` (the default), `docker` or `process`;
//! - `OXWHISK_TEST_LOG`: the server's `--log-level`; what it prints is in `<target>/<profile>/test-logs`;
//! - `OXWHISK_URL`, `OXWHISK_AUTH` and perhaps `OXWHISK_AUTH_2`: a server that somebody else started, and
//!   the credentials of one or two of its namespaces. `api` then runs against it; what needs another
//!   configuration is named and left out;
//! - `OXWHISK_DOCKER_REGISTRY`: Debian's `docker-registry`, in place of the fetched or installed one;
//! - `OXWHISK_GO_PROXY`: upstream's action proxy in Go, built from apache/openwhisk-runtime-go; without it nothing of it is
//!   tried;
//! - `OXWHISK_WSK`: the command line client, in place of the `wsk` on the `PATH`.

pub mod admin;
pub mod answer;
pub mod belongings;
pub mod client;
pub mod clients;
pub mod collector;
pub mod daemon;
pub mod deployment;
pub mod docker;
pub mod dockerd;
pub mod doctor;
pub mod fixtures;
pub mod guard;
pub mod namespace;
pub mod otlp;
pub mod pki;
pub mod place;
pub mod platform;
pub mod processes;
pub mod requests;
pub mod server;
pub mod services;
pub mod stages;
pub mod tally;
pub mod wait;
pub mod whisk;
