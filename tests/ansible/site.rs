//! One environment, a copy of one of ours with this machine in place of all of its hosts, and
//! `ansible-playbook` on it.
//!
//! However the test ends, a process of its own takes away what Docker has of it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use regex::Regex;
use tempfile::TempDir;
use tests::place;

/// How long one playbook may take.
const PATIENCE: Duration = Duration::from_secs(900);

/// Waits for a word, which says that all is gone, or for the end of the test.
const GUARD: &str = "read -r word && exit 0
docker ps --all --quiet --filter \"name=^/$1\" | xargs --no-run-if-empty docker rm --force --volumes
docker volume ls --quiet --filter \"name=^$1\" | xargs --no-run-if-empty docker volume rm
docker network ls --quiet --filter \"name=^$1\" | xargs --no-run-if-empty docker network rm";

/// An environment.
pub struct Site {
    prefix: String,
    folder: TempDir,
    environment: PathBuf,
    edge: u16,
    prometheus: u16,
    guard: Child,
}

/// What one playbook did.
pub struct Run {
    /// What it printed.
    pub output: String,
    /// How many tasks changed something, host by host.
    pub changed: BTreeMap<String, u32>,
}

impl Site {
    /// A copy of one of our environments, of which nothing is there yet.
    pub fn like(environment: &str) -> Self {
        let prefix = format!("{}-", place::unique("oxwhisktest"));
        let folder = tempfile::tempdir().expect("the system has a folder for temporary files");
        let copy = folder.path().join(environment);
        let original = ansible().join("environments").join(environment);
        let variables = copy.join("group_vars/all");
        fs::create_dir_all(&variables).expect("the folder is ours");
        let hosts = fs::read_to_string(original.join("hosts")).expect("an environment has hosts");
        let address = Regex::new(r"ansible_host=192\.0\.2\.\d+").expect("a pattern");
        let hosts = address.replace_all(&hosts, "ansible_host=127.0.0.1 ansible_connection=local");
        fs::write(copy.join("hosts"), hosts.as_bytes()).expect("the folder is ours");
        fs::copy(original.join("group_vars/all/main.yml"), variables.join("main.yml"))
            .expect("an environment has variables");
        let [edge, prometheus] = [place::free_port(), place::free_port()];
        let site = folder.path().display();
        let text = format!(
            "ansible_python_interpreter: \"{{{{ ansible_playbook_python }}}}\"
whisk_container_prefix: {prefix}
config_root_dir: {site}/etc
auth_files_dir: {site}/keys
nginx_port_http: {edge}
prometheus_port: {prometheus}
controller_base_port: {}
invoker_base_port: {}
kafka_port: {}
kafka_advertised_port: {}
db_port: {}
kafka_heap: 256m
invoker_user_memory: 768m
",
            free_ports(2),
            free_ports(3),
            place::free_port(),
            place::free_port(),
            place::free_port(),
        );
        fs::write(variables.join("test.yml"), text).expect("the folder is ours");
        let guard = Command::new("sh")
            .args(["-c", GUARD, "guard", &prefix])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .expect("the system has a shell");
        Self { prefix, environment: copy, folder, edge, prometheus, guard }
    }

    /// What names of its containers, volumes and networks begin with.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Its folder: `etc` and `keys` are in it.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The file of its secrets.
    pub fn secrets(&self) -> PathBuf {
        self.environment.join("group_vars/all/secrets.yml")
    }

    /// Where clients go.
    pub fn api(&self) -> String {
        format!("http://127.0.0.1:{}", self.edge)
    }

    /// Where Prometheus is.
    pub fn prometheus(&self) -> String {
        format!("http://127.0.0.1:{}", self.prometheus)
    }

    /// Runs a playbook, which must succeed.
    pub async fn play(&self, playbook: &str, arguments: &[&str]) -> Run {
        self.try_to_play(playbook, arguments)
            .await
            .unwrap_or_else(|output| panic!("{playbook} {arguments:?} failed\n{output}"))
    }

    /// Runs a playbook; what it printed if it fails.
    pub async fn try_to_play(&self, playbook: &str, arguments: &[&str]) -> Result<Run, String> {
        let mut command = tool("ansible-playbook");
        command.arg("--inventory").arg(&self.environment).arg(playbook).args(arguments);
        command.env("ANSIBLE_HOME", self.folder.path().join("ansible"));
        let (ended_well, output) = run(command).await;
        if !ended_well {
            return Err(output);
        }
        let recap = Regex::new(r"(?m)^(\S+)\s+: ok=\d+\s+changed=(\d+)\s").expect("a pattern");
        let changed = recap.captures_iter(&output).map(|found| {
            let count = found[2].parse().expect("a number");
            (found[1].to_owned(), count)
        });
        let changed: BTreeMap<String, u32> = changed.collect();
        assert!(!changed.is_empty(), "{playbook} found no host\n{output}");
        Ok(Run { changed, output })
    }

    /// All is gone, and nothing has to be taken away any more.
    pub fn dismiss(mut self) {
        if let Some(pipe) = self.guard.stdin.as_mut() {
            pipe.write_all(b"gone\n").expect("the guard waits");
        }
    }
}

impl Drop for Site {
    fn drop(&mut self) {
        drop(self.guard.stdin.take());
        let _ = self.guard.wait();
    }
}

impl Run {
    /// Demands that nothing was changed.
    pub fn expect_no_change(self, playbook: &str) {
        assert!(self.changed.values().all(|count| *count == 0), "{playbook} changes again\n{}", self.output);
    }
}

/// One of Ansible's programs, in the folder of our playbooks.
pub fn tool(name: &str) -> Command {
    let programs = place::target().join("clients/ansible/bin");
    let programs = std::path::absolute(programs).expect("there is a working directory");
    let program = programs.join(name);
    assert!(program.is_file(), "{} is missing: `cargo xtask test --all` installs it", program.display());
    let path = std::env::var("PATH").unwrap_or_default();
    let mut command = Command::new(program);
    command.current_dir(ansible()).env("PATH", format!("{}:{path}", programs.display()));
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if ["OXWHISK_", "OPENWHISK_", "ANSIBLE_"].iter().any(|prefix| name.starts_with(prefix)) {
            command.env_remove(name.as_ref());
        }
    }
    command.env("ANSIBLE_NOCOLOR", "1").env("NO_COLOR", "1").env("LC_ALL", "C.UTF-8");
    command
}

/// Runs a program to its end; whether it ended well, and what it printed.
pub async fn run(mut command: Command) -> (bool, String) {
    command.stdin(Stdio::null());
    let what = format!("{command:?}");
    let running = tokio::process::Command::from(command).kill_on_drop(true).output();
    let output = tokio::time::timeout(PATIENCE, running)
        .await
        .unwrap_or_else(|_| panic!("{what} does not end"))
        .unwrap_or_else(|error| panic!("{what} cannot be started: {error}"));
    let [printed, complaints] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    (output.status.success(), format!("{printed}{complaints}"))
}

/// Where our playbooks are.
pub fn ansible() -> PathBuf {
    place::workspace().join("ansible")
}

/// The first of so many free ports in a row.
fn free_ports(count: u16) -> u16 {
    loop {
        let ports: Vec<u16> = (0..count).map(|_| place::free_port()).collect();
        if ports.windows(2).all(|pair| pair[0] + 1 == pair[1]) {
            return ports[0];
        }
    }
}
