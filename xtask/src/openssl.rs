//! OpenSSL's headers, with which the client of Kafka is built: TLS and SCRAM are OpenSSL's there.

use std::process::Command;

use crate::docker_daemon;

/// Makes sure that they are there, and the program that finds them.
pub fn ensure() -> anyhow::Result<()> {
    let found = Command::new("pkg-config").args(["--exists", "openssl"]).status();
    if found.is_ok_and(|status| status.success()) {
        return Ok(());
    }
    docker_daemon::install(&["libssl-dev", "pkg-config"])
}
