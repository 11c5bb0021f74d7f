//! The kernel may back memory by pages of 2 MB, which are there as a whole once a byte of them is touched.
//!
//! The allocator asks for them, and spreads what it gives out: a process at rest has half of its memory for
//! nothing, and each connection a third of its own. What they would save in time was not to be seen.

use rustix::thread::disable_transparent_huge_pages;
use tracing::debug;

/// Does without them from now on, for the whole process and those that it starts.
pub fn avoid() {
    // A kernel that has none has nothing to switch off.
    if let Err(error) = disable_transparent_huge_pages(true) {
        debug!("huge pages cannot be switched off: {error}");
    }
}

#[cfg(test)]
mod tests {
    use rustix::thread::transparent_huge_pages_are_disabled;

    use super::*;

    #[test]
    fn there_are_none_then() {
        avoid();
        assert_eq!(transparent_huge_pages_are_disabled(), Ok(true));
    }
}
