//! The other real clients: `wskdeploy`, the JavaScript client, the composer and the Go library, each with programs
//! and manifests of ours that use every feature they have for what the platform offers.
//!
//! `cargo xtask test` installs them; what is not there is skipped and counted.

#![allow(clippy::print_stdout, reason = "the count is what it is for")]

mod deploy;
mod programs;

use std::process::ExitCode;

use tests::tally::Tally;
use tests::whisk::Whisk;

const SUITE: &str = "clients";

#[tokio::main]
async fn main() -> ExitCode {
    if !Tally::is_asked_for(SUITE) {
        return ExitCode::SUCCESS;
    }
    let mut tally = Tally::new(SUITE);
    let whisk = Whisk::shared().await;
    deploy::run(&whisk, &mut tally).await;
    programs::node(&whisk, &mut tally).await;
    programs::go(&whisk, &mut tally).await;
    tally.end()
}
