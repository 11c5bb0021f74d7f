//! A real PostgreSQL: a server a test binary, a database a test.
//!
//! The server comes from Debian's binaries, keeps all it has in a temporary folder and ends with the
//! test process. It refuses to run as root, so a test that does hands it to the user `postgres`. The
//! disk is not waited for (`fsync=off`): what it has committed survives the death of its processes, which
//! is all that tests do to it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use common::config::postgres::{PostgresConfig, PostgresUrl};
use rustix::process::{Pid, Signal, geteuid, kill_process};
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use tokio::sync::OnceCell;
use tokio::time::Instant;

use crate::guard::Guard;
use crate::pki::Identity;
use crate::place;

/// Where Debian keeps a version's programs: `<here>/<version>/bin`.
const VERSIONS: &str = "/usr/lib/postgresql";

/// The user that the server runs as if the test is root.
const USER: &str = "postgres";

/// How long the server may take to answer, or to end.
const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks at it.
const POLL: Duration = Duration::from_millis(20);

/// Written to `postgresql.conf`.
const SETTINGS: &str = "listen_addresses = '127.0.0.1'
max_connections = 300
shared_buffers = '64MB'
fsync = off
full_page_writes = off
timezone = 'UTC'
";

/// A running server; dropped, it is killed.
pub struct Postgres {
    folder: PathBuf,
    port: u16,
    password: String,
    log: PathBuf,
    child: Option<Child>,
    guard: Option<Guard>,
}

impl Postgres {
    /// The server that the tests of this binary share. Whoever stops one starts its own.
    pub async fn shared() -> &'static Self {
        static SHARED: OnceCell<Postgres> = OnceCell::const_new();
        SHARED.get_or_init(Self::start).await
    }

    /// Starts a server with nothing in it.
    ///
    /// # Panics
    ///
    /// If PostgreSQL is not installed, or does not start.
    pub async fn start() -> Self {
        Self::start_with(None).await
    }

    /// Starts one that speaks TLS if it is asked to, with that identity.
    ///
    /// # Panics
    ///
    /// As [`Postgres::start`].
    pub async fn start_with_tls(identity: &Identity) -> Self {
        Self::start_with(Some(identity)).await
    }

    async fn start_with(identity: Option<&Identity>) -> Self {
        let mut folder = tempfile::Builder::new()
            .prefix("oxwhisk-test-postgres-")
            .tempdir()
            .expect("a temporary folder can be made");
        // It outlives this value: the server's guard removes it.
        folder.disable_cleanup(true);
        let folder = folder.path().to_owned();
        let password = place::unique("password");
        let word = folder.join("password");
        fs::write(&word, &password).expect("a new folder is writable");
        for path in [&folder, &word] {
            give_away(path).expect("root may give its files away");
        }
        let mut init = program("initdb");
        init.args(["--auth=password", "--username=oxwhisk", "--encoding=UTF8", "--locale=C", "--no-sync"]);
        init.arg("--pwfile").arg(&word).arg("--pgdata").arg(folder.join("data"));
        let made = init.output().expect("initdb can be run");
        assert!(made.status.success(), "initdb failed: {}", String::from_utf8_lossy(&made.stderr));
        let port = place::free_port();
        let mut settings =
            format!("{SETTINGS}port = {port}\nunix_socket_directories = '{}'\n", folder.display());
        if let Some(identity) = identity {
            settings.push_str("ssl = on\nssl_cert_file = 'server.crt'\nssl_key_file = 'server.key'\n");
            for (from, to) in [(identity.certificate(), "server.crt"), (identity.key(), "server.key")] {
                let to = folder.join("data").join(to);
                fs::copy(from, &to).expect("a new folder is writable");
                // It refuses a key that others may read.
                fs::set_permissions(&to, fs::Permissions::from_mode(0o600)).expect("it is ours");
                give_away(&to).expect("root may give its files away");
            }
        }
        let file = folder.join("data/postgresql.conf");
        fs::write(&file, settings).expect("a new folder is writable");
        let mut server = Self { folder, port, password, log: place::log_file(), child: None, guard: None };
        server.start_again().await;
        server
    }

    /// Starts it again after [`Postgres::stop`] or [`Postgres::kill`], on the same port.
    ///
    /// # Panics
    ///
    /// If it does not answer in time.
    pub async fn start_again(&mut self) {
        assert!(self.child.is_none(), "it runs");
        let deadline = Instant::now() + PATIENCE;
        loop {
            let child = self.child.get_or_insert_with(|| run(&self.folder, &self.log));
            // The processes of a killed server may hold its memory for a moment.
            if let Some(status) = child.try_wait().expect("a child can be waited for") {
                self.child = None;
                assert!(
                    Instant::now() < deadline,
                    "postgres ended with {status}; see {}",
                    self.log.display()
                );
            } else if let Ok(connection) = PgConnection::connect(&self.url("postgres")).await {
                let _ = connection.close().await;
                break;
            }
            assert!(Instant::now() < deadline, "postgres does not answer; see {}", self.log.display());
            tokio::time::sleep(POLL).await;
        }
        let process = self.child.as_ref().map(Child::id).expect("it runs");
        let guard = Guard::over_service("postgres", process, "INT", &self.folder);
        self.guard = Some(guard.expect("the system has a shell"));
    }

    /// Ends it in good order, its connections cut.
    ///
    /// # Panics
    ///
    /// If it does not end in time.
    pub async fn stop(&mut self) {
        self.end(Signal::INT).await;
    }

    /// Ends it as a crash would.
    ///
    /// # Panics
    ///
    /// If it does not run.
    pub async fn kill(&mut self) {
        self.end(Signal::KILL).await;
    }

    async fn end(&mut self, signal: Signal) {
        let mut child = self.child.take().expect("it runs");
        kill_process(Pid::from_child(&child), signal).expect("the child was not waited for yet");
        let deadline = Instant::now() + PATIENCE;
        while child.try_wait().expect("a child can be waited for").is_none() {
            assert!(Instant::now() < deadline, "postgres did not end; see {}", self.log.display());
            tokio::time::sleep(POLL).await;
        }
        self.guard = None;
    }

    /// The address of a fresh database.
    ///
    /// # Panics
    ///
    /// If the server cannot make one.
    pub async fn database(&self) -> String {
        let name = place::unique("test").replace('-', "_");
        let mut connection = PgConnection::connect(&self.url("postgres")).await.expect("the server answers");
        let create = AssertSqlSafe(format!("CREATE DATABASE {name}"));
        sqlx::query(create).execute(&mut connection).await.expect("a database can be made");
        connection.close().await.expect("the connection was in order");
        self.url(&name)
    }

    /// Writes a database into a file, as an operator would.
    ///
    /// # Panics
    ///
    /// If it cannot be written.
    pub fn dump(&self, database: &str, file: &Path) {
        let mut dump = program("pg_dump");
        let file = File::create(file).expect("the folder is writable");
        dump.args(["--format=custom", "--no-owner", "--dbname", database]).stdout(file);
        let status = dump.status().expect("pg_dump can be run");
        assert!(status.success(), "pg_dump ended with {status}");
    }

    /// Fills an empty database from such a file.
    ///
    /// # Panics
    ///
    /// If it cannot be filled.
    pub fn restore(&self, file: &Path, database: &str) {
        let mut restore = program("pg_restore");
        let file = File::open(file).expect("the file is there");
        restore
            .args(["--no-owner", "--exit-on-error", "--single-transaction", "--dbname", database])
            .stdin(file);
        let status = restore.status().expect("pg_restore can be run");
        assert!(status.success(), "pg_restore ended with {status}");
    }

    /// All it has printed.
    pub fn output(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    fn url(&self, database: &str) -> String {
        format!("postgres://oxwhisk:{}@127.0.0.1:{}/{database}", self.password, self.port)
    }
}

/// Settings for that database, with records kept for ever.
pub fn settings(url: &str) -> PostgresConfig {
    PostgresConfig {
        url: PostgresUrl(url.to_owned()),
        retention: Duration::ZERO,
        ..PostgresConfig::default()
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else {
            let _ = fs::remove_dir_all(&self.folder);
            return;
        };
        // Its guard would wait for the end of the test.
        self.guard = None;
        let _ = child.kill();
        let _ = child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn run(folder: &Path, log: &Path) -> Child {
    let log = File::options().create(true).append(true).open(log).expect("the log folder is writable");
    let mut server = program("postgres");
    server.arg("-D").arg(folder.join("data")).stdin(Stdio::null());
    server.stdout(log.try_clone().expect("a file can be shared")).stderr(log);
    server.spawn().expect("postgres can be run")
}

/// One of PostgreSQL's programs, of the newest version, to be run by whom it allows.
fn program(name: &str) -> Command {
    let versions = fs::read_dir(VERSIONS).into_iter().flatten().flatten();
    let number = |version: &fs::DirEntry| version.file_name().to_string_lossy().parse::<u32>().ok();
    let found = versions.filter(|version| version.path().join("bin").join(name).is_file()).max_by_key(number);
    let found = found.unwrap_or_else(|| {
        panic!("PostgreSQL is not installed ({VERSIONS}/*/bin/{name}): `cargo xtask test` installs it")
    });
    let mut command = Command::new(found.path().join("bin").join(name));
    if let Some((user, group)) = servant() {
        command.uid(user).gid(group);
    }
    command.current_dir("/").env("LC_ALL", "C");
    command
}

fn give_away(path: &Path) -> io::Result<()> {
    match servant() {
        Some((user, group)) => chown(path, Some(user), Some(group)),
        None => Ok(()),
    }
}

/// The ids of the user that serves root; none if the test is not root.
fn servant() -> Option<(u32, u32)> {
    if !geteuid().is_root() {
        return None;
    }
    let users = fs::read_to_string("/etc/passwd").expect("the system has users");
    let ids = users.lines().find_map(|line| {
        let mut fields = line.strip_prefix(USER)?.strip_prefix(':')?.split(':').skip(1);
        Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
    });
    Some(ids.unwrap_or_else(|| panic!("there is no user '{USER}': `cargo xtask test` installs PostgreSQL")))
}
