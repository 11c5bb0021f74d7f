//! Actions as local processes, for machines without Docker: **not isolated** from each other or the host.
//!
//! Each container is a process group with a directory of its own. Its listening socket is opened here and
//! handed down as its standard input, so that there is no port to agree on and nothing to poll; a dead
//! one refuses connections. All children are started by one thread that lives as long as the runtime,
//! since the kernel ties "die with the parent" to the thread. Memory is the sum of resident pages of the
//! group, sampled: pages that processes share count for each, and no allowance is made for interpreters.
//! What an earlier run left is found by a marker in the environment.

pub mod container;
pub mod proc;
pub mod spawn;

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use anyhow::{Context, anyhow, bail};
use async_trait::async_trait;
use common::clock::Clock;
use common::shutdown::Shutdown;
use rustix::fs::Mode;
use tokio::process::Command;
use tracing::{debug, warn};

use self::container::{Process, ProcessContainer};
use self::proc::Marked;
use self::spawn::Spawner;
use crate::container::{Container, ContainerRuntime, ContainerSpec, CreateError, RuntimeError};

/// In the environment of each process: `<run>/<container>`.
pub const MARKER: &str = "OXWHISK_CONTAINER";
/// Where programs are, where nothing else is said.
const USUAL_PATH: &str = "/usr/local/bin:/usr/bin:/bin";
/// Between two samples of the memory in use.
const SAMPLE: Duration = Duration::from_millis(150);

/// How local processes are used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessConfig {
    /// The program with the action proxy in it.
    pub exe: PathBuf,
    /// What selects the proxy in it: `["action-proxy"]`, or nothing where it is the program.
    pub prefix: Vec<String>,
    /// By family of kinds (`python` for `python:3.13`), how an action of it is served.
    pub launchers: BTreeMap<String, Launcher>,
    /// Where containers get their directories, below one a run.
    pub directory: PathBuf,
    /// This run of the platform instance.
    pub run: String,
    /// Where the platform's API is reached.
    pub api_host: String,
    /// Open files a process.
    pub nofile: u64,
    /// The largest file that an action may write, in MiB.
    pub fsize_mb: u64,
}

/// How a family of kinds is served.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Launcher {
    /// The proxy serves HTTP and starts this command for the code.
    Proxied {
        /// The program and its arguments.
        command: Vec<String>,
    },
    /// The proxy serves HTTP and starts the code itself, which is a program.
    Compiled {
        /// Whether such programs acknowledge, also without a mark.
        acknowledges: bool,
    },
    /// The command serves HTTP itself, on its standard input.
    Serving {
        /// The program and its arguments.
        command: Vec<String>,
        /// Variables of its own.
        env: Vec<(String, String)>,
    },
}

impl Launcher {
    /// The program that it needs, if this machine does not have it.
    fn missing_program(&self) -> Option<&str> {
        let program = match self {
            Launcher::Proxied { command } | Launcher::Serving { command, .. } => command.first()?,
            // The action is the program.
            Launcher::Compiled { .. } => return None,
        };
        let path = std::env::var_os("PATH").unwrap_or_else(|| USUAL_PATH.into());
        let there = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
        (!there).then_some(program)
    }
}

/// What Debian calls the package of an interpreter.
fn package(program: &str) -> &'static str {
    match program {
        "node" => "nodejs",
        "ruby" => "ruby",
        "php" => "php-cli",
        _ => "python3",
    }
}

impl ProcessConfig {
    /// With the usual limits and no launcher.
    pub fn new(exe: impl Into<PathBuf>, directory: impl Into<PathBuf>, run: impl Into<String>) -> Self {
        Self {
            exe: exe.into(),
            prefix: Vec::new(),
            launchers: BTreeMap::new(),
            directory: directory.into(),
            run: run.into(),
            api_host: String::new(),
            nofile: 1024,
            fsize_mb: 512,
        }
    }

    /// Serves Python with the launcher below `launchers`.
    pub fn with_python(mut self, launchers: &Path) -> Self {
        let command = vec!["python3".to_owned(), text(&launchers.join("python/launcher.py"))];
        self.launchers.insert("python".to_owned(), Launcher::Proxied { command });
        self
    }

    /// Serves Ruby with the launcher below `launchers`.
    pub fn with_ruby(mut self, launchers: &Path) -> Self {
        let file = text(&launchers.join("ruby/launcher.rb"));
        let command =
            vec!["ruby".to_owned(), "--disable=did_you_mean,error_highlight,syntax_suggest".to_owned(), file];
        self.launchers.insert("ruby".to_owned(), Launcher::Proxied { command });
        self
    }

    /// Serves PHP with the launcher below `launchers`.
    pub fn with_php(mut self, launchers: &Path) -> Self {
        let command = vec!["php".to_owned(), text(&launchers.join("php/launcher.php"))];
        self.launchers.insert("php".to_owned(), Launcher::Proxied { command });
        self
    }

    /// Serves Node with the server below `launchers` and packages from `modules`.
    pub fn with_nodejs(mut self, launchers: &Path, modules: &Path) -> Self {
        let command = vec!["node".to_owned(), text(&launchers.join("nodejs/server.js"))];
        let env = vec![("OXWHISK_NODE_MODULES".to_owned(), text(modules))];
        self.launchers.insert("nodejs".to_owned(), Launcher::Serving { command, env });
        self
    }

    /// Runs programs that were compiled elsewhere.
    pub fn with_programs(mut self) -> Self {
        for (family, acknowledges) in [("go", true), ("rust", false), ("swift", false)] {
            self.launchers.insert(family.to_owned(), Launcher::Compiled { acknowledges });
        }
        self
    }

    /// The families of kinds that cannot run here, with the program that each lacks and its package.
    pub fn missing_programs(&self) -> impl Iterator<Item = (&str, &str, &'static str)> {
        self.launchers.iter().filter_map(|(family, launcher)| {
            launcher.missing_program().map(|program| (family.as_str(), program, package(program)))
        })
    }

    /// The whole command line of a container and the launcher's own variables.
    fn command_line(&self, launcher: &Launcher, directory: &Path) -> (Vec<OsString>, Vec<(String, String)>) {
        let mut line: Vec<OsString> = vec![self.exe.clone().into()];
        line.extend(self.prefix.iter().map(OsString::from));
        let (nofile, fsize) = (self.nofile.to_string(), self.fsize_mb.to_string());
        let die = format!("--die-with-parent={}", std::process::id());
        let mut proxied: Vec<OsString> = vec!["serve".into(), "--listen-stdin".into(), "--workdir".into()];
        proxied.push(directory.into());
        proxied.extend([&*die, "--nofile", &nofile, "--fsize-mb", &fsize].map(OsString::from));
        let (own, command, env): (Vec<OsString>, &[String], _) = match launcher {
            Launcher::Proxied { command } => {
                proxied.push("--preload".into());
                (proxied, command, vec![])
            }
            Launcher::Compiled { acknowledges } => {
                proxied.push("--executable".into());
                proxied.extend(acknowledges.then(|| "--ack".into()));
                (proxied, &[], vec![])
            }
            Launcher::Serving { command, env } => {
                let own =
                    ["exec", &*die, "--nofile", &nofile, "--fsize-mb", &fsize].map(OsString::from).to_vec();
                let mut env = env.clone();
                env.push(("OXWHISK_LISTEN_STDIN".to_owned(), "1".to_owned()));
                (own, command, env)
            }
        };
        line.extend(own);
        line.push("--".into());
        line.extend(command.iter().map(OsString::from));
        (line, env)
    }
}

/// Local processes.
#[derive(Debug)]
pub struct ProcessRuntime {
    config: ProcessConfig,
    spawner: Spawner,
    /// Those that live; the sampler's list.
    living: Arc<Mutex<Vec<Weak<Process>>>>,
    clock: Arc<dyn Clock>,
    tasks: Shutdown,
    /// Stops the sampler.
    own: Shutdown,
}

impl ProcessRuntime {
    /// Makes this run's directory and starts the thread that starts processes.
    pub fn start(
        config: ProcessConfig,
        clock: Arc<dyn Clock>,
        tasks: Shutdown,
    ) -> Result<Self, RuntimeError> {
        let fault = |error: anyhow::Error| RuntimeError::failed("prepare", text(&config.directory), error);
        check_name(&config.run).map_err(fault)?;
        std::fs::create_dir_all(&config.directory).map_err(|error| fault(error.into()))?;
        make_private(&config.directory.join(&config.run)).map_err(fault)?;
        let spawner = Spawner::start().map_err(|error| fault(error.into()))?;
        let living = Arc::new(Mutex::new(Vec::new()));
        let own = Shutdown::new();
        tasks.spawn("memory sampler", sample(living.clone(), own.clone()));
        warn!("actions run as local processes: they are not isolated from each other or this machine");
        Ok(Self { config, spawner, living, clock, tasks, own })
    }

    fn run_directory(&self) -> PathBuf {
        self.config.directory.join(&self.config.run)
    }

    async fn spawn(&self, spec: &ContainerSpec, launcher: &Launcher) -> anyhow::Result<ProcessContainer> {
        check_name(&spec.name)?;
        let directory = self.run_directory().join(&spec.name);
        make_private(&directory)?;
        make_private(&directory.join("tmp"))?;
        match self.spawn_in(spec, launcher, &directory).await {
            Ok(container) => Ok(container),
            Err(error) => {
                std::fs::remove_dir_all(&directory).context("its directory stays")?;
                Err(error)
            }
        }
    }

    async fn spawn_in(
        &self,
        spec: &ContainerSpec,
        launcher: &Launcher,
        directory: &Path,
    ) -> anyhow::Result<ProcessContainer> {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("no port to listen on")?;
        let address = listener.local_addr()?;
        let (line, own_env) = self.config.command_line(launcher, directory);
        let (program, arguments) = line.split_first().context("no program")?;
        let path = std::env::var_os("PATH").unwrap_or_else(|| USUAL_PATH.into());
        let mut command = Command::new(program);
        command
            .args(arguments)
            .current_dir(directory)
            .env_clear()
            .env("PATH", path)
            .env("LANG", "C.UTF-8")
            .envs(own_env)
            .envs(spec.env.iter().map(|(key, value)| (key, value)))
            .env("HOME", directory)
            .env("TMPDIR", directory.join("tmp"))
            .env(MARKER, format!("{}/{}", self.config.run, spec.name))
            .process_group(0)
            .stdin(OwnedFd::from(listener))
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped());
        let child = self.spawner.spawn(command).await?;
        let process = Process::new(child.id().context("it ended at once")?, spec.memory_mb << 20)?;
        self.living.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&process));
        let marker = format!("{}/{}", self.config.run, spec.name);
        Ok(ProcessContainer::start(
            child,
            process,
            (spec.name.clone(), marker, directory.to_owned()),
            address,
            // Of our servers, those that speak HTTP themselves are those whose runs overlap.
            matches!(launcher, Launcher::Serving { .. }),
            self.clock.clone(),
            &self.tasks,
        ))
    }
}

#[async_trait]
impl ContainerRuntime for ProcessRuntime {
    fn name(&self) -> &'static str {
        "process"
    }

    fn api_host(&self) -> String {
        self.config.api_host.clone()
    }

    async fn create(&self, spec: ContainerSpec) -> Result<Box<dyn Container>, CreateError> {
        let Some(launcher) = self.config.launchers.get(spec.family()) else {
            let why = anyhow!("without Docker there is nothing to run {} with", spec.kind);
            let source = RuntimeError::failed("create container", &spec.name, why);
            return Err(match spec.family() {
                "blackbox" => CreateError::ImagePull { image: spec.image, source },
                _ => CreateError::NoContainers { kind: spec.kind },
            });
        };
        if let Some(program) = launcher.missing_program() {
            let package = package(program);
            return Err(CreateError::NoInterpreter { kind: spec.kind, program: program.to_owned(), package });
        }
        let spawned = self.spawn(&spec, launcher).await;
        let fault =
            |error| CreateError::Provision(RuntimeError::failed("create container", &spec.name, error));
        Ok(Box::new(spawned.map_err(fault)?))
    }

    async fn remove_run(&self, run: &str) -> Result<usize, RuntimeError> {
        check_name(run).map_err(|error| RuntimeError::failed("remove run", run, error))?;
        let removed = proc::kill_marked(&Marked::Run(run.to_owned())).await;
        remove_directory(&self.config.directory.join(run))?;
        Ok(removed)
    }

    async fn close(&self) -> Result<(), RuntimeError> {
        self.own.request();
        proc::kill_marked(&Marked::Run(self.config.run.clone())).await;
        remove_directory(&self.run_directory())
    }
}

/// Removes a directory; one that is gone is no error.
fn remove_directory(directory: &Path) -> Result<(), RuntimeError> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(RuntimeError::failed("remove", text(directory), error))
        }
        _ => Ok(()),
    }
}

/// Makes a directory that only this user enters.
fn make_private(directory: &Path) -> anyhow::Result<()> {
    rustix::fs::mkdir(directory, Mode::RWXU).with_context(|| format!("cannot make {}", directory.display()))
}

/// A name that is one part of a path.
fn check_name(name: &str) -> anyhow::Result<()> {
    let legal = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if name.is_empty() || name.starts_with('.') || !name.chars().all(legal) {
        bail!("'{name}' cannot be the name of a directory");
    }
    Ok(())
}

fn text(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

/// Ends every group that holds more memory than its container may.
async fn sample(living: Arc<Mutex<Vec<Weak<Process>>>>, stop: Shutdown) {
    loop {
        tokio::select! {
            () = stop.requested() => return,
            () = tokio::time::sleep(SAMPLE) => {}
        }
        let processes: Vec<_> = {
            let mut living = living.lock().unwrap_or_else(PoisonError::into_inner);
            living.retain(|process| process.strong_count() > 0);
            living.iter().filter_map(Weak::upgrade).filter(|process| process.may_grow()).collect()
        };
        if processes.is_empty() {
            continue;
        }
        let Ok(used) = tokio::task::spawn_blocking(proc::memory_by_group).await else { continue };
        for process in processes {
            let bytes = used.get(&process.group()).copied().unwrap_or(0);
            if process.end_if_over(bytes) {
                debug!(group = process.group(), bytes, "a container was ended for want of memory");
            }
        }
    }
}

#[cfg(test)]
mod tests;
