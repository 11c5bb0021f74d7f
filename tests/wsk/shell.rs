//! One bash that runs command after command, so that variables, functions and the folder stay.
//!
//! A command is a file that the shell reads in; what it prints goes to another file, and its exit code comes
//! back on the shell's own output.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::script::Run;

/// Longer than any command of the script may take: a blocking invocation waits 60 s.
const PATIENCE: Duration = Duration::from_secs(120);

/// A running shell.
#[derive(Debug)]
pub struct Shell {
    child: Child,
    input: ChildStdin,
    codes: Lines<BufReader<ChildStdout>>,
    folder: PathBuf,
}

impl Shell {
    /// Starts one in that folder, with `bin` before all else on its `PATH`.
    pub fn start(folder: &Path, bin: &Path, environment: &[(&str, &OsStr)]) -> Self {
        let work = folder.join("work");
        std::fs::create_dir(&work).expect("a new folder is writable");
        let mut path = bin.as_os_str().to_owned();
        path.push(":");
        path.push(std::env::var_os("PATH").unwrap_or_default());
        let mut child = Command::new("bash")
            .args(["--noprofile", "--norc"])
            .current_dir(&work)
            .env("PATH", path)
            // The platform is on this machine.
            .env("NO_PROXY", "localhost,127.0.0.1")
            .env("no_proxy", "localhost,127.0.0.1")
            .envs(environment.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("there is a bash");
        let input = child.stdin.take().expect("it is piped");
        let codes = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        Self { child, input, codes, folder: folder.to_path_buf() }
    }

    /// Runs one command; an `Err` if it did not end in time, or ended the shell.
    pub async fn run(&mut self, number: u32, command: &str) -> Result<Run, String> {
        let (script, output) =
            (self.folder.join(format!("{number}.sh")), self.folder.join(format!("{number}.out")));
        std::fs::write(&script, format!("{command}\n")).map_err(|error| error.to_string())?;
        let line = format!(". '{}' </dev/null >'{}' 2>&1; echo $?\n", script.display(), output.display());
        let told = async {
            self.input.write_all(line.as_bytes()).await?;
            self.codes.next_line().await
        };
        let told = tokio::time::timeout(PATIENCE, told).await;
        let printed = String::from_utf8_lossy(&std::fs::read(&output).unwrap_or_default()).into_owned();
        match told {
            Ok(Ok(Some(code))) => {
                let exit = code.trim().parse().map_err(|_| format!("bash said {code:?}"))?;
                Ok(Run { exit, output: printed })
            }
            Ok(_) => Err(format!("  $ {command}\n  the shell is gone\n{printed}")),
            Err(_) => {
                // What it waits for would hold up all that follows.
                let _ = self.child.start_kill();
                Err(format!("  $ {command}\n  did not end within {PATIENCE:?}\n{printed}"))
            }
        }
    }

    /// Ends it.
    pub async fn end(self) {
        let Self { mut child, input, .. } = self;
        drop(input);
        if tokio::time::timeout(Duration::from_secs(5), child.wait()).await.is_err() {
            let _ = child.kill().await;
        }
    }
}
