//! PostgreSQL for the tests: Debian's binaries; the suites start the server themselves.

use crate::docker_daemon;

/// Makes sure that the server's program is there.
pub fn ensure() -> anyhow::Result<()> {
    if is_there() {
        return Ok(());
    }
    docker_daemon::install(&["postgresql"])
}

/// Whether the server's program is where Debian puts it.
fn is_there() -> bool {
    let versions = std::fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    versions.into_iter().any(|version| version.path().join("bin/postgres").is_file())
}
