//! One stack: docker-compose with a project name and ports of its own, so that it stands beside others.
//!
//! However the test ends, a process of its own takes the stack away.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tests::place;

/// How long services may take to be healthy.
pub const STARTED: Duration = Duration::from_secs(300);

/// How long one command may take, images included.
const PATIENCE: Duration = Duration::from_secs(600);

/// Waits for a word, which says that all is gone, or for the end of the test.
const GUARD: &str = "read -r word && exit 0; exec \"$@\" down --volumes --remove-orphans";

/// A stack.
pub struct Stack {
    project: String,
    program: Vec<&'static str>,
    environment: Vec<(&'static str, String)>,
    ports: [u16; 2],
    guard: Child,
}

impl Stack {
    /// A stack of which nothing is there yet.
    ///
    /// # Panics
    ///
    /// If there is no docker-compose.
    pub fn new() -> Self {
        let project = place::unique("oxwhisktest").replace('-', "");
        let program = program();
        let profile = place::wskadmin();
        let binaries = profile.parent().and_then(|folder| folder.strip_prefix(place::workspace()).ok());
        let binaries = binaries.expect("what is tested lies in the target folder of the workspace");
        let ports = [place::free_port(), place::free_port()];
        let environment = vec![
            ("COMPOSE_PROJECT_NAME", project.clone()),
            ("OXWHISK_API_PORT", ports[0].to_string()),
            ("OXWHISK_API_ADDRESS", "0.0.0.0".to_owned()),
            ("OXWHISK_PROMETHEUS_PORT", ports[1].to_string()),
            ("OXWHISK_POSTGRES_PORT", place::free_port().to_string()),
            ("OXWHISK_KAFKA_PORT", place::free_port().to_string()),
            ("OXWHISK_BUILDER", "debian:trixie-slim".to_owned()),
            ("OXWHISK_BINARIES", binaries.display().to_string()),
            ("OXWHISK_TAG", project.clone()),
            ("OXWHISK_USER_MEMORY", "512m".to_owned()),
        ];
        let guard = command(&program, &environment, &["sh", "-c", GUARD, "guard"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the system has a shell");
        Self { project, program, environment, ports, guard }
    }

    /// Its name, by which Docker knows what belongs to it.
    pub fn project(&self) -> &str {
        &self.project
    }

    /// Where the API is.
    pub fn api(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[0])
    }

    /// Where Prometheus is.
    pub fn prometheus(&self) -> String {
        format!("http://127.0.0.1:{}", self.ports[1])
    }

    /// Keeps what the services have printed, and tells where.
    pub async fn keep_logs(&self) {
        let log = place::log_file();
        let (printed, _) = self.run(&["logs", "--no-color"]).await;
        std::fs::write(&log, printed).expect("the log folder is writable");
        eprintln!("what the services printed is in {}", log.display());
    }

    /// Runs docker-compose; returns what it printed on standard output and standard error.
    ///
    /// # Panics
    ///
    /// If it fails, or does not end in time.
    pub async fn run(&self, arguments: &[&str]) -> (String, String) {
        let mut command = command(&self.program, &self.environment, &[]);
        command.args(arguments).stdin(Stdio::null());
        let running = tokio::process::Command::from(command).kill_on_drop(true).output();
        let output = tokio::time::timeout(PATIENCE, running)
            .await
            .unwrap_or_else(|_| panic!("docker-compose {arguments:?} does not end"))
            .expect("docker-compose can be started");
        let [printed, complaints] =
            [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        assert!(
            output.status.success(),
            "docker-compose {arguments:?} ended with {}\n{printed}\n{complaints}",
            output.status
        );
        (printed, complaints)
    }
}

impl Drop for Stack {
    fn drop(&mut self) {
        if !std::thread::panicking()
            && let Some(pipe) = self.guard.stdin.as_mut()
        {
            let _ = pipe.write_all(b"gone\n");
        }
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

/// docker-compose 1.29 where it is installed, else Compose v2.
fn program() -> Vec<&'static str> {
    let answers = |program: &[&str]| {
        let output = Command::new(program[0]).args(&program[1..]).arg("version").output();
        output.is_ok_and(|output| output.status.success())
    };
    let known = [vec!["docker-compose"], vec!["docker", "compose"]];
    known.into_iter().find(|program| answers(program)).expect("docker-compose is installed")
}

/// The command line `before program`, in the folder of the compose file.
fn command(program: &[&str], environment: &[(&'static str, String)], before: &[&str]) -> Command {
    let line = [before, program].concat();
    let mut command = Command::new(line[0]);
    command.args(&line[1..]).current_dir(place::workspace());
    // What is set for somebody's own stack is not meant here.
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("OXWHISK_") || name.starts_with("COMPOSE_") {
            command.env_remove(name.as_ref());
        }
    }
    if Path::new(".env").exists() {
        command.env("COMPOSE_DISABLE_ENV_FILE", "1");
    }
    command.envs(environment.iter().map(|(name, value)| (*name, value)));
    command
}
