//! A real registry of images on loopback, which Docker trusts without a certificate: Debian's `docker-registry`.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tempfile::TempDir;

use crate::guard::Guard;
use crate::{place, wait};

/// How long it may take to answer.
const PATIENCE: Duration = Duration::from_secs(30);

/// Who may sign in: the name, the password.
pub const ACCOUNT: (&str, &str) = ("me", "s3cret");

/// The same for the registry: `htpasswd -nbB me s3cret`.
const ACCOUNTS: &str = "me:$2b$04$GlEAIv2JQl1hWUOZEhla5Ow0MCO6J4EB8mwG84ed1M2XvQgCr5bSe\n";

/// A running registry; dropped, it is killed.
pub struct Registry {
    folder: TempDir,
    port: u16,
    child: Option<Child>,
    guard: Option<Guard>,
}

/// The program: `OXWHISK_DOCKER_REGISTRY`, what `cargo xtask test` has fetched, or what is installed.
fn program() -> Option<PathBuf> {
    let named = std::env::var_os("OXWHISK_DOCKER_REGISTRY").map(PathBuf::from);
    let fetched = place::target().join("docker-registry/usr/bin/docker-registry");
    let installed = PathBuf::from("/usr/bin/docker-registry");
    named.into_iter().chain([fetched, installed]).find(|path| path.is_file())
}

impl Registry {
    /// Starts one that lets [`ACCOUNT`] in and nobody else. `None` if the program is not here.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub async fn start_with_account() -> Option<Self> {
        program()?;
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let port = place::free_port();
        let accounts = folder.path().join("accounts");
        fs::write(&accounts, ACCOUNTS).expect("a new folder is writable");
        let settings = format!(
            "version: 0.1\nlog:\n  level: warn\nstorage:\n  filesystem:\n    rootdirectory: {}\nhttp:\n  addr: 127.0.0.1:{port}\nauth:\n  htpasswd:\n    realm: test\n    path: {}\n",
            folder.path().join("images").display(),
            accounts.display(),
        );
        fs::write(folder.path().join("settings.yml"), settings).expect("a new folder is writable");
        let mut registry = Self { folder, port, child: None, guard: None };
        registry.start_again().await;
        Some(registry)
    }

    /// Starts it again with what it holds.
    ///
    /// # Panics
    ///
    /// If it does not start.
    pub async fn start_again(&mut self) {
        let log = File::create(place::log_file()).expect("the log folder is writable");
        let mut command = Command::new(program().expect("it was there before"));
        command.arg("serve").arg(self.folder.path().join("settings.yml")).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("a file can be shared")).stderr(log);
        let child = command.spawn().expect("the registry starts");
        let guard = Guard::over_service("docker-registry", child.id(), "TERM", self.folder.path());
        self.guard = Some(guard.expect("the system has a shell"));
        self.child = Some(child);
        let address = (std::net::Ipv4Addr::LOCALHOST, self.port);
        let connect = || async { tokio::net::TcpStream::connect(address).await.ok() };
        wait::until("the registry answers", PATIENCE, connect).await;
    }

    /// Stops it; what it holds stays.
    pub fn stop(&mut self) {
        self.guard = None;
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// What the names of its images begin with.
    pub fn name(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        self.stop();
    }
}
