//! A registry of images for the tests.

use crate::unpacked;

const PACKAGE: &str = "docker-registry";

/// Fetches it unless it is there; the suite says what it skips without it.
pub fn ensure() {
    if let Err(error) = unpacked::ensure(PACKAGE) {
        println!("\nNO {PACKAGE}: what needs it is skipped: {error:#}\n");
    }
}
