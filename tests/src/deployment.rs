//! A distributed platform of our own: controllers and invokers as real processes, on a real Kafka and a
//! real PostgreSQL.
//!
//! All of them share one folder of journals, as they do on a shared volume. A node that ended can be
//! started again, in its place or beside the others.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::time::Instant;

use crate::admin::Admin;
use crate::client::Client;
use crate::doctor::Findings;
use crate::guard::Guard;
use crate::place;
use crate::server::{Options, STEM_CELLS};
use crate::services::kafka::Kafka;
use crate::services::postgres::Postgres;
use crate::wait;
use crate::whisk::Whisk;

/// How long a node may take until it is ready, and an invoker until it is used.
const READY: Duration = Duration::from_secs(120);
/// How long a node may take to drain.
const DRAINED: Duration = Duration::from_secs(90);
/// Between two looks at a process.
const POLL: Duration = Duration::from_millis(20);
/// So many lines of its log tell why a node failed.
const TOLD_LINES: usize = 40;

/// What a node does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// `oxwhisk-controller`
    Controller,
    /// `oxwhisk-invoker`
    Invoker,
}

/// Where the nodes of a deployment find everything.
#[derive(Debug)]
pub struct Site {
    folder: TempDir,
    hosts: String,
    prefix: String,
    database: String,
    options: Options,
}

/// One running process of a deployment; dropped, it is killed.
#[derive(Debug)]
pub struct Node {
    role: Role,
    port: u16,
    child: Child,
    guard: Option<Guard>,
    log: PathBuf,
    client: Client,
}

impl Site {
    /// A site on the services that the tests of this binary share.
    pub async fn shared(options: Options) -> Self {
        let hosts = Kafka::shared().await.hosts();
        let database = Postgres::shared().await.database().await;
        Self::on(hosts, database, options)
    }

    /// A site on these services, with topics and a folder of its own.
    pub fn on(hosts: String, database: String, options: Options) -> Self {
        let folder = tempfile::Builder::new().prefix("oxwhisk-test-").tempdir();
        let folder = folder.expect("a temporary folder can be made");
        for name in ["state", "tmp"] {
            fs::create_dir(folder.path().join(name)).expect("a new folder is writable");
        }
        let prefix = format!("{}-", place::unique("test"));
        let site = Self { folder, hosts, prefix, database, options };
        site.write_files();
        site
    }

    fn manifest(&self) -> PathBuf {
        self.folder().join("runtimes.json")
    }

    fn config(&self) -> PathBuf {
        self.folder().join("oxwhisk.toml")
    }

    /// Writes what the nodes read when they start: not at each start, when another may be reading.
    fn write_files(&self) {
        let manifest = self.options.manifest.as_ref().map(ToString::to_string);
        for (file, text) in [(self.manifest(), &manifest), (self.config(), &self.options.config)] {
            if let Some(text) = text {
                fs::write(&file, text).expect("a new folder is writable");
            }
        }
    }

    /// The folder that all nodes share.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The operator of the installation.
    pub fn admin(&self) -> Admin {
        Admin::of_database(&self.database, &self.folder().join("secret"))
    }

    /// The address of the database.
    pub fn database(&self) -> &str {
        &self.database
    }

    /// Demands that nodes that ended in good order have left no journal.
    ///
    /// # Panics
    ///
    /// If there is one.
    pub fn expect_no_journals(&self) {
        let entries = fs::read_dir(self.folder().join("state")).expect("the folder is there").flatten();
        let names = entries.map(|entry| entry.file_name().to_string_lossy().into_owned());
        let left: Vec<String> = names.filter(|name| name != "installation").collect();
        assert!(left.is_empty(), "journals are left of nodes that ended in good order: {left:?}");
    }

    /// Starts a node on a free port and waits for nothing.
    pub fn spawn(&self, role: Role) -> Node {
        self.spawn_on(role, place::free_port(), &[])
    }

    /// The same on a given port, with further arguments.
    pub fn spawn_on(&self, role: Role, port: u16, arguments: &[&str]) -> Node {
        let log = place::log_file();
        let file = File::create(&log).expect("the log folder is writable");
        let mut command = self.command(role, port);
        command.args(arguments);
        command.stdout(file.try_clone().expect("a file can be shared")).stderr(file);
        let child = command.spawn().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let guard = Guard::over(role.program(), child.id(), self.folder());
        let guard = Some(guard.expect("the system has a shell"));
        let client = self.options.client(port);
        Node { role, port, child, guard, log, client }
    }

    /// What a node finds that looks around with these arguments in place of starting.
    pub fn check(&self, role: Role, port: u16, arguments: &[&str]) -> Findings {
        let mut command = self.command(role, port);
        command.args(arguments).arg("--check");
        Findings::of(command)
    }

    /// The beginning of the names of all topics.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Starts a node and waits until it is ready.
    pub async fn start(&self, role: Role) -> Node {
        let mut node = self.spawn(role);
        node.wait_until_ready().await;
        node
    }

    fn command(&self, role: Role, port: u16) -> Command {
        let Options { config, manifest, user_memory, throttled, environment, stem_cells, .. } = &self.options;
        let mut command = Command::new(match role {
            Role::Controller => place::controller(),
            Role::Invoker => place::invoker(),
        });
        command.args(["--host", "127.0.0.1", "--port", &port.to_string(), "--log-format", "text"]);
        command.env("OXWHISK_LOG_LEVEL", std::env::var("OXWHISK_TEST_LOG").as_deref().unwrap_or("info"));
        command.arg("--state-dir").arg(self.folder().join("state"));
        match role {
            Role::Controller => {
                command.arg("--secret-file").arg(self.folder().join("secret"));
                if !throttled {
                    command.arg("--unthrottled");
                }
            }
            Role::Invoker => {
                command.args(["--user-memory", user_memory]);
                command.env(STEM_CELLS, stem_cells.to_string());
            }
        }
        if let Some(tls) = &self.options.tls {
            command.args(tls.flags());
        }
        if manifest.is_some() {
            command.arg("--runtimes").arg(self.manifest());
        }
        if config.is_some() {
            command.arg("--config").arg(self.config());
        }
        for leaking in ["OXWHISK_CONFIG", "OXWHISK_RUNTIMES", "OXWHISK_UNTHROTTLED", "OXWHISK_NAME"] {
            command.env_remove(leaking);
        }
        command.env("TMPDIR", self.folder().join("tmp"));
        command.env("CONFIG_whisk_kafka_hosts", &self.hosts);
        command.env("CONFIG_whisk_kafka_topics_prefix", &self.prefix);
        command.env("CONFIG_whisk_postgres_url", &self.database);
        command.env("CONFIG_whisk_postgres_maxConnections", "6");
        command.envs(environment.iter().map(|(name, value)| (name, value)));
        command.stdin(Stdio::null());
        command
    }

    fn change(&mut self, change: impl FnOnce(&mut Options)) {
        change(&mut self.options);
        self.write_files();
    }
}

impl Role {
    fn program(self) -> &'static str {
        match self {
            Self::Controller => "oxwhisk-controller",
            Self::Invoker => "oxwhisk-invoker",
        }
    }
}

impl Node {
    /// Its address.
    pub fn url(&self) -> &str {
        self.client.url()
    }

    /// Speaks to it without credentials.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// Its port, on which it may be started again.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its process id.
    pub fn process(&self) -> u32 {
        self.child.id()
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

    /// Waits until it says that it is ready.
    ///
    /// # Panics
    ///
    /// If it ends, or is not ready in time.
    pub async fn wait_until_ready(&mut self) {
        let deadline = Instant::now() + READY;
        loop {
            let program = self.role.program();
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                panic!("{program} ended with {status} before it was ready\n{}", self.story());
            }
            let answer = self.client.get("/ready").send().await;
            if answer.is_ok_and(|answer| answer.status == 200) {
                return;
            }
            assert!(Instant::now() < deadline, "{program} is not ready\n{}", self.story());
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits until a controller says that so many invokers take work.
    pub async fn wait_for_invokers(&self, count: usize) {
        let what = format!("{count} invokers are up at {}", self.url());
        wait::until(&what, READY, || async {
            let answer = self.client.get("/invokers/healthy/count").send().await.ok()?;
            (answer.text().trim() == count.to_string()).then_some(())
        })
        .await;
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("the child was not waited for yet");
    }

    /// Ends it with SIGTERM and demands a clean exit.
    pub async fn stop(mut self) {
        self.signal(Signal::TERM);
        let status = self.ended().await;
        assert!(status.success(), "{} ended with {status}\n{}", self.role.program(), self.story());
    }

    /// Ends it with SIGKILL, as a crash would.
    pub async fn kill(mut self) {
        self.signal(Signal::KILL);
        self.ended().await;
    }

    async fn ended(&mut self) -> ExitStatus {
        let deadline = Instant::now() + DRAINED;
        loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                self.guard = None;
                return status;
            }
            let program = self.role.program();
            assert!(Instant::now() < deadline, "{program} did not end\n{}", self.story());
            tokio::time::sleep(POLL).await;
        }
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.guard.is_none() {
            return;
        }
        if std::thread::panicking() {
            eprintln!("{} of the failed test said:\n{}", self.role.program(), self.story());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
        if let Some(guard) = self.guard.take() {
            guard.sweep();
        }
    }
}

/// One controller and one invoker, which is all that most suites need.
#[derive(Debug)]
pub struct Pair {
    controller: Node,
    invoker: Node,
    site: Site,
}

impl Pair {
    /// Starts a pair with these options on the shared services.
    pub async fn start(options: Options) -> Self {
        Self::start_on(Site::shared(options).await).await
    }

    /// Starts a pair there.
    pub async fn start_on(site: Site) -> Self {
        Self::start_with(site, [&[], &[]]).await
    }

    /// The same, with further arguments of the controller and of the invoker.
    pub async fn start_with(site: Site, arguments: [&[&str]; 2]) -> Self {
        let spawn = |role, arguments| site.spawn_on(role, place::free_port(), arguments);
        let [mut controller, mut invoker] =
            [spawn(Role::Controller, arguments[0]), spawn(Role::Invoker, arguments[1])];
        controller.wait_until_ready().await;
        invoker.wait_until_ready().await;
        controller.wait_for_invokers(1).await;
        Self { controller, invoker, site }
    }

    /// The platform that it is.
    pub fn whisk(&self) -> Whisk {
        Whisk::of_our_own(self.controller.url(), self.site.admin())
    }

    /// The controller.
    pub fn controller(&self) -> &Node {
        &self.controller
    }

    /// The invoker.
    pub fn invoker(&self) -> &Node {
        &self.invoker
    }

    /// Where both find everything.
    pub fn site(&self) -> &Site {
        &self.site
    }

    /// Stops both in good order; demands that nothing is left in the folder of journals.
    pub async fn stop(self) -> Site {
        let Self { controller, invoker, site } = self;
        invoker.stop().await;
        controller.stop().await;
        site.expect_no_journals();
        site
    }

    /// Leaves both to their guards: they end when this process does.
    pub fn leave_to_guards(mut self) -> Left {
        self.site.folder.disable_cleanup(true);
        let guards = [self.controller.guard.take(), self.invoker.guard.take()];
        Left { _guards: guards, _pair: self }
    }
}

/// What keeps a pair alive that nobody stops by hand.
#[derive(Debug)]
pub struct Left {
    _guards: [Option<Guard>; 2],
    _pair: Pair,
}

impl Site {
    /// The same site with other options for the next start.
    pub fn with(mut self, change: impl FnOnce(&mut Options)) -> Self {
        self.change(change);
        self
    }
}
