//! The promises of the platform under SIGKILL: no answered activation is lost, none runs twice, and
//! nothing of the killed run is left.

mod docker_daemon;
mod marks;
mod sequences;
mod sigkill;
