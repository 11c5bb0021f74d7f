//! Prometheus for the tests, which start it themselves.

use std::path::Path;

use crate::unpacked;

/// Makes sure that its programs are there.
pub fn ensure() -> anyhow::Result<()> {
    match Path::new("/usr/bin/prometheus").is_file() {
        true => Ok(()),
        false => unpacked::ensure("prometheus"),
    }
}
