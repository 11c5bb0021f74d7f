//! A server of our own: the real binary as a child process, on a free port and a data directory that
//! is gone after the test.
//!
//! It ends by SIGTERM, which must lead to exit status 0, or by SIGKILL, which is what a crash looks
//! like; either way the data directory can be served again.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::Instant;

use crate::admin::Admin;
use crate::answer::Answer;
use crate::client::Client;
use crate::guard::Guard;
use crate::pki::Identity;
use crate::place;
use crate::whisk::Whisk;

/// The well-known key of the embedded form's `guest`.
pub const GUEST: &str =
    "23bc46b1-71f6-4ed5-8c54-816aa4f8c502:123zO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP";

/// The setting behind [`Options::stem_cells`].
pub const STEM_CELLS: &str = "CONFIG_whisk_containerPool_stemCells";

/// How long a server may take until it answers.
const READY: Duration = Duration::from_secs(60);
/// How long a server may take to drain.
const DRAINED: Duration = Duration::from_secs(60);
/// Between two looks at a process.
const POLL: Duration = Duration::from_millis(20);
/// So many lines of its log tell why a server failed.
const TOLD_LINES: usize = 40;

/// How a server is started.
#[derive(Clone, Debug)]
pub struct Options {
    /// `auto`, `docker` or `process`; by default what `OXWHISK_TEST_RUNTIME` says, else `auto`.
    pub container_runtime: String,
    /// The address to listen on.
    pub host: String,
    /// A data directory in place of the fresh one.
    pub data: Option<PathBuf>,
    /// The memory that all action containers share.
    pub user_memory: String,
    /// Whether containers wait for their first action, as the manifest says. Most suites would only pay for them
    /// with every start.
    pub stem_cells: bool,
    /// Whether the throttles hold; most suites do more than they allow.
    pub throttled: bool,
    /// A runtimes manifest in place of the built-in one.
    pub manifest: Option<Value>,
    /// The text of a configuration file.
    pub config: Option<String>,
    /// Further environment variables.
    pub environment: Vec<(String, String)>,
    /// What it shows to clients, over TLS; without it they speak plainly.
    pub tls: Option<Identity>,
}

impl Options {
    /// A client of a server with these options on that port of loopback, without credentials.
    pub(crate) fn client(&self, port: u16) -> Client {
        match &self.tls {
            Some(tls) => Client::trusting(&format!("https://127.0.0.1:{port}"), None, tls.authority(), None),
            None => Client::new(&format!("http://127.0.0.1:{port}"), None),
        }
    }
}

impl Default for Options {
    fn default() -> Self {
        Self {
            container_runtime: std::env::var("OXWHISK_TEST_RUNTIME").unwrap_or_else(|_| "auto".to_owned()),
            host: "127.0.0.1".to_owned(),
            data: None,
            user_memory: "2g".to_owned(),
            stem_cells: false,
            throttled: false,
            manifest: None,
            config: None,
            environment: Vec::new(),
            tls: None,
        }
    }
}

/// The folder of a server: it outlives a stop, so that the server can be started again on it.
#[derive(Debug)]
pub struct Home {
    folder: TempDir,
    port: u16,
    options: Options,
}

/// A running server; dropped, it is killed.
#[derive(Debug)]
pub struct Server {
    child: Child,
    guard: Option<Guard>,
    home: Option<Home>,
    log: PathBuf,
    client: Client,
}

impl Home {
    /// A fresh folder and port.
    pub fn new(options: Options) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("oxwhisk-test-")
            .tempdir()
            .expect("a temporary folder can be made");
        for name in ["data", "tmp"] {
            fs::create_dir(folder.path().join(name)).expect("a new folder is writable");
        }
        Self { folder, port: place::free_port(), options }
    }

    /// The folder that holds all the server may write.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The server's data directory.
    pub fn data(&self) -> PathBuf {
        self.options.data.clone().unwrap_or_else(|| self.folder().join("data"))
    }

    /// What the server uses as `TMPDIR`.
    pub fn temporary(&self) -> PathBuf {
        self.folder().join("tmp")
    }

    /// The port the server takes.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The same folder on a port that somebody else may have.
    pub fn on_port(self, port: u16) -> Self {
        Self { port, ..self }
    }

    /// The command line that serves this folder.
    pub fn command(&self) -> Command {
        let mut command = Command::new(place::oxwhisk());
        let port = self.port.to_string();
        command.args(["--host", &self.options.host, "--port", &port, "--log-format", "text"]);
        command.args(["--container-runtime", &self.options.container_runtime]);
        command.args(["--user-memory", &self.options.user_memory]);
        command.env("OXWHISK_LOG_LEVEL", std::env::var("OXWHISK_TEST_LOG").as_deref().unwrap_or("info"));
        command.arg("--data-dir").arg(self.data());
        if !self.options.throttled {
            command.arg("--unthrottled");
        }
        if let Some(manifest) = &self.options.manifest {
            let file = self.folder().join("runtimes.json");
            fs::write(&file, manifest.to_string()).expect("a new folder is writable");
            command.arg("--runtimes").arg(file);
        }
        if let Some(config) = &self.options.config {
            let file = self.folder().join("oxwhisk.toml");
            fs::write(&file, config).expect("a new folder is writable");
            command.arg("--config").arg(file);
        }
        if let Some(tls) = &self.options.tls {
            command.args(tls.flags());
        }
        // The flags above win over their variables; these would add to them.
        for leaking in ["OXWHISK_CONFIG", "OXWHISK_RUNTIMES", "OXWHISK_UNTHROTTLED"] {
            command.env_remove(leaking);
        }
        command.env("TMPDIR", self.temporary());
        command.env(STEM_CELLS, self.options.stem_cells.to_string());
        command.envs(self.options.environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null());
        command
    }

    /// Starts a server on this folder and waits until it answers and can run actions.
    pub async fn start(self) -> Server {
        let mut server = self.spawn();
        server.wait_for("/ping", |answer| answer.text() == "pong").await;
        server.wait_for("/invokers/healthy/count", |answer| answer.text().trim() != "0").await;
        server
    }

    /// Starts a server on this folder and waits for nothing.
    pub fn spawn(self) -> Server {
        let log = place::log_file();
        let file = File::create(&log).expect("the log folder is writable");
        let mut command = self.command();
        command.stdout(file.try_clone().expect("a file can be shared")).stderr(file);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let guard = Guard::over("oxwhisk", child.id(), self.folder()).expect("the system has a shell");
        let client = self.options.client(self.port);
        Server { child, guard: Some(guard), home: Some(self), log, client }
    }

    /// The same folder with other options for the next start.
    pub fn with(self, change: impl FnOnce(&mut Options)) -> Self {
        let mut home = self;
        change(&mut home.options);
        home
    }
}

impl Server {
    /// Starts a server with these options in a folder of its own.
    pub async fn start(options: Options) -> Self {
        Home::new(options).start().await
    }

    /// Waits until it answers like this to anyone.
    async fn wait_for(&mut self, path: &str, good: impl Fn(&Answer) -> bool) {
        let deadline = Instant::now() + READY;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                panic!("oxwhisk ended with {status} before it was ready\n{}", self.story());
            }
            let answer = self.client.get(path).send().await;
            if answer.is_ok_and(|answer| answer.status == 200 && good(&answer)) {
                return;
            }
            assert!(Instant::now() < deadline, "oxwhisk is not ready after {READY:?}\n{}", self.story());
            tokio::time::sleep(POLL).await;
        }
    }

    /// The platform that this server is, for tests that do not care whose it is.
    pub fn whisk(&self) -> Whisk {
        Whisk::of_our_own(self.url(), Admin::of(&self.home().data()))
    }

    /// Its address.
    pub fn url(&self) -> &str {
        self.client.url()
    }

    /// Its process id.
    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// Its folder, port and options.
    pub fn home(&self) -> &Home {
        self.home.as_ref().expect("only the end takes the folder away")
    }

    /// All it has printed since it was started.
    pub fn output(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The end of what it has printed, and where the rest is.
    pub fn story(&self) -> String {
        let output = self.output();
        let lines: Vec<&str> = output.lines().collect();
        let told = lines[lines.len().saturating_sub(TOLD_LINES)..].join("\n");
        format!("{told}\n(all of it: {})", self.log.display())
    }

    /// Ends it with SIGTERM and demands a clean exit.
    pub async fn stop(self) -> Home {
        self.stop_by(Signal::TERM).await
    }

    /// Ends it with this signal and demands a clean exit.
    pub async fn stop_by(mut self, signal: Signal) -> Home {
        self.signal(signal);
        let status = self.ended().await;
        assert!(status.success(), "oxwhisk ended with {status} after {signal:?}\n{}", self.story());
        self.take_home()
    }

    /// Ends it with SIGKILL, as a crash would.
    pub async fn kill(mut self) -> Home {
        self.signal(Signal::KILL);
        self.ended().await;
        self.take_home()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the child was not waited for yet");
    }

    /// Leaves it to its guard: it ends when this process does.
    pub fn leave_to_guard(mut self) -> Left {
        let guard = self.guard.take();
        let home = self.home.take().map(|home| Home { folder: kept(home.folder), ..home });
        Left { _guard: guard, _home: home }
    }

    async fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + DRAINED;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                return status;
            }
            assert!(Instant::now() < deadline, "oxwhisk did not end within {DRAINED:?}\n{}", self.story());
            tokio::time::sleep(POLL).await;
        }
    }

    fn take_home(&mut self) -> Home {
        self.guard = None;
        self.home.take().expect("only the end takes the folder away")
    }
}

/// What keeps a server alive that nobody stops by hand.
#[derive(Debug)]
pub struct Left {
    _guard: Option<Guard>,
    _home: Option<Home>,
}

/// The guard removes the folder of a server that outlives its test.
fn kept(mut folder: TempDir) -> TempDir {
    folder.disable_cleanup(true);
    folder
}

impl Drop for Server {
    fn drop(&mut self) {
        if self.home.is_none() {
            return;
        }
        if std::thread::panicking() {
            eprintln!("the server of the failed test said:\n{}", self.story());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(guard) = self.guard.take() {
            guard.sweep();
        }
    }
}
