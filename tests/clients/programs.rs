//! Programs that use a client library. Each prints a line `ok N - what` or `not ok N - what` a case, as in the Test
//! Anything Protocol, and ends with 0 if all were right.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use regex::Regex;
use tests::clients;
use tests::namespace::Namespace;
use tests::place;
use tests::tally::Tally;
use tests::whisk::Whisk;
use tokio::process::Command;

/// Longer than any program takes.
const PATIENCE: Duration = Duration::from_secs(100);

/// Every file of `node`.
pub async fn node(whisk: &Whisk, tally: &mut Tally) {
    let files = files("tests/clients/node", "js");
    let Some(modules) = clients::node_modules() else {
        tally.skipped(files.len(), "npm's packages are not there: `cargo xtask test`");
        return;
    };
    for file in files {
        let namespace = whisk.namespace().await;
        let mut command = Command::new("node");
        command.arg("--test-reporter=tap").arg(&file);
        command.env("NODE_PATH", &modules);
        // The reporter writes for a terminal if it believes to be one of several.
        command.env_remove("NODE_TEST_CONTEXT");
        command.env("__OW_API_HOST", whisk.url()).env("__OW_API_KEY", &namespace.auth);
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        run(&name, command, &namespace, tally).await;
    }
}

/// The program on the Go library.
pub async fn go(whisk: &Whisk, tally: &mut Tally) {
    let Some(program) = clients::go_client() else {
        tally.skipped(1, "the Go program was not built: `cargo xtask test`");
        return;
    };
    let namespace = whisk.namespace().await;
    let mut command = Command::new(program);
    command.env("WHISK_APIHOST", whisk.url()).env("WHISK_AUTH", &namespace.auth);
    run("go", command, &namespace, tally).await;
}

async fn run(name: &str, mut command: Command, namespace: &Namespace, tally: &mut Tally) {
    command.env("NAMESPACE", &namespace.name).env("NO_PROXY", "127.0.0.1").env_remove("__OW_NAMESPACE");
    command.env("WSK_CONFIG_FILE", "/dev/null");
    command.stdin(Stdio::null()).kill_on_drop(true);
    let output = match tokio::time::timeout(PATIENCE, command.output()).await {
        Ok(Ok(output)) => output,
        Ok(Err(error)) => return tally.failed(name, &format!("it does not start: {error}")),
        Err(_) => return tally.failed(name, &format!("it did not end within {PATIENCE:?}")),
    };
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let told = format!("{printed}{}", String::from_utf8_lossy(&output.stderr));
    let line = Regex::new(r"^(not )?ok \d+ - (.*)$").expect("a pattern");
    let mut failed = false;
    for case in printed.lines().filter_map(|text| line.captures(text)) {
        let what = format!("{name}: {}", &case[2]);
        if case.get(1).is_none() {
            tally.passed(&what);
        } else {
            let told = if failed { "  (as above)" } else { &told };
            tally.failed(&what, told);
            failed = true;
        }
    }
    if !output.status.success() && !failed {
        tally.failed(name, &format!("it ended with {}\n{told}", output.status));
    }
}

/// The files of a folder with that extension, in the order of their names.
pub fn files(folder: &str, extension: &str) -> Vec<PathBuf> {
    let folder = place::workspace().join(folder);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let paths = entries.flatten().map(|entry| entry.path());
    let mut files: Vec<_> = paths.filter(|path| path.extension().is_some_and(|it| it == extension)).collect();
    files.sort();
    files
}
