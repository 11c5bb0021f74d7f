//! What people do with `wsk`, top to bottom: the commands of `script/*.toml` in one shell, in an empty
//! folder, as the namespace `guest` of a fresh platform. Each must end with its exit code and print what its
//! patterns say.
//!
//! `wsk` is the tester's own (`OXWHISK_WSK`, else the `PATH`); without one all is skipped, and the last line
//! says so. What the commands send stands in `wire`, which needs no client.

#![allow(clippy::print_stdout, reason = "the count is what it is for")]

mod script;
mod shell;

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::ExitCode;

use tests::clients;
use tests::place;
use tests::platform::Platform;
use tests::server::Options;
use tests::tally::Tally;

use script::{Need, Part};
use shell::Shell;

const SUITE: &str = "wsk";

#[tokio::main]
async fn main() -> ExitCode {
    if !Tally::is_asked_for(SUITE) {
        return ExitCode::SUCCESS;
    }
    let parts = script::read(&place::workspace().join("tests/wsk/script"));
    let mut tally = Tally::new(SUITE);
    let Some(wsk) = clients::wsk() else {
        let all = parts.iter().map(|part| part.items.len()).sum();
        tally.skipped(all, "there is no wsk: name one in OXWHISK_WSK, or put it on the PATH");
        return tally.end();
    };
    let platform = Platform::start(Options::default()).await;
    let whisk = platform.whisk();
    let guest = whisk.make_guest().await;
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let bin = folder.path().join("bin");
    std::fs::create_dir(&bin).expect("a new folder is writable");
    link(&wsk, &bin.join("wsk"));
    if let Some(wskdeploy) = clients::wskdeploy() {
        link(&wskdeploy, &bin.join("wskdeploy"));
    }
    let files = place::workspace().join("tests/wsk/files");
    let mut shell = Shell::start(
        folder.path(),
        &bin,
        &[
            ("H", whisk.url().as_ref()),
            ("A", guest.auth.as_ref()),
            ("FILES", files.as_os_str()),
            ("CLIENTS", clients::folder().as_os_str()),
        ],
    );
    for part in &parts {
        run(part, &mut shell, &mut tally).await;
    }
    shell.end().await;
    platform.stop().await;
    tally.end()
}

async fn run(part: &Part, shell: &mut Shell, tally: &mut Tally) {
    println!("part {}: {}", part.part, part.title);
    let missing = match part.needs {
        Some(Need::Wskdeploy) if clients::wskdeploy().is_none() => Some("wskdeploy"),
        Some(Need::NodeModules) if clients::node_modules().is_none() => Some("npm's packages"),
        _ => None,
    };
    if let Some(missing) = missing {
        tally.skipped(part.items.len(), &format!("part {} needs {missing}: `cargo xtask test`", part.part));
        return;
    }
    for item in &part.items {
        let outcome = shell.run(item.number, &item.command).await.and_then(|run| item.judge(&run));
        tally.judge(&item.number.to_string(), outcome);
    }
}

fn link(program: &Path, name: &Path) {
    symlink(program, name).unwrap_or_else(|error| panic!("{}: {error}", name.display()));
}
