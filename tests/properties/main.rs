//! Requests that nobody thought of, made of the API's description by schemathesis: whatever is sent, the platform
//! answers for itself, which is to say with no 5xx.
//!
//! Where schemathesis is not installed all is skipped; `cargo xtask test` installs it.

#![allow(clippy::print_stdout, reason = "the count is what it is for")]

use std::path::Path;
use std::process::{ExitCode, Stdio};

use tests::tally::Tally;
use tests::whisk::Whisk;
use tests::{clients, place};
use tokio::process::Command;

const SUITE: &str = "properties";

/// The descriptions, by what they are about, and the most seconds that their requests may take, so that nobody
/// waits for them.
const DESCRIPTIONS: [(&str, &str, &str); 2] = [("api", "/api/v1/api-docs", "45"), ("root", "/api-docs", "5")];

/// Requests for each operation.
const EXAMPLES: &str = "25";

#[tokio::main]
async fn main() -> ExitCode {
    if !Tally::is_asked_for(SUITE) {
        return ExitCode::SUCCESS;
    }
    let mut tally = Tally::new(SUITE);
    let Some(program) = clients::schemathesis() else {
        tally.skipped(DESCRIPTIONS.len(), "schemathesis is not there: `cargo xtask test`");
        return tally.end();
    };
    let whisk = Whisk::shared().await;
    let namespace = whisk.namespace().await;
    for (what, path, seconds) in DESCRIPTIONS {
        let outcome = run(&program, &format!("{}{path}", whisk.url()), &namespace.auth, seconds).await;
        tally.judge(what, outcome);
    }
    tally.end()
}

async fn run(program: &Path, url: &str, auth: &str, seconds: &str) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| error.to_string())?;
    let output = Command::new(program)
        .args(["run", url, "--auth", auth, "--checks", "no_server_error", "--max-examples", EXAMPLES])
        .args(["--phases", "examples,coverage,fuzzing", "--workers", "1", "--request-timeout", "70"])
        // The same requests at every run: what fails can be looked at.
        .args(["--seed", "1", "--max-time", seconds, "--no-color"])
        .current_dir(folder.path())
        .env("SCHEMATHESIS_HOOKS", "checks")
        .env("PYTHONPATH", place::workspace().join("tests/properties"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("NO_PROXY", "127.0.0.1")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| format!("it does not start: {error}"))?;
    let told =
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    if output.status.success() { Ok(()) } else { Err(told) }
}
