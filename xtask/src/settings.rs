//! `cargo xtask settings`: writes docs/settings.md. What it is made of lies with the test that compares it.

use std::process::Command;

use anyhow::{Context as _, bail};

/// Has the test write what it would compare.
pub fn run() -> anyhow::Result<()> {
    let status = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["test", "--quiet", "--workspace", "--test", "tidy", "the_page_of_settings"])
        .env("OXWHISK_WRITE_SETTINGS", "true")
        .status()
        .context("cargo cannot be started")?;
    if !status.success() {
        bail!("docs/settings.md cannot be written");
    }
    println!("wrote docs/settings.md");
    Ok(())
}
