//! A Docker daemon of a test's own, which the test may kill: with its own data, its own containerd and no rules
//! in the firewall, so that the machine's daemon and its containers never notice.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bollard::Docker;
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::guard::Guard;
use crate::place;
use crate::wait;

/// How long a daemon may take to answer, or to end.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of a disk of its own: room for an image and some containers.
const DISK: u64 = 2 << 30;
/// Ends whatever has the daemon's folder on its command line, with its children, and unmounts what is there.
const CLEAN: &str = r#"
for process in $(pgrep -f "$1"); do
  [ "$process" = "$$" ] && continue
  pkill -KILL -P "$process"
  kill -KILL "$process" 2>/dev/null
done
ip link delete "$2" 2>/dev/null
grep -F "$1" /proc/mounts | cut -d' ' -f2 | sort -r | xargs -r -n1 umount -l
"#;
/// Seconds until a request to it fails.
const REQUEST: u64 = 60;

/// A daemon.
#[derive(Debug)]
pub struct Dockerd {
    folder: TempDir,
    log: PathBuf,
    child: Child,
    guard: Option<Guard>,
}

impl Dockerd {
    /// Starts one, empty. Nothing where actions run as processes, or this machine has no daemon to start.
    ///
    /// # Panics
    ///
    /// If it does not answer, or cannot be started although `OXWHISK_TEST_DOCKER` says `required`.
    pub async fn start() -> Option<Self> {
        Self::start_in(wanted()?).await
    }

    /// The same on a disk of its own with btrfs, whose driver can bound what a container writes. Nothing where the kernel
    /// does not know that, too.
    ///
    /// # Panics
    ///
    /// As above, and if there is no `mkfs.btrfs`.
    pub async fn start_on_btrfs() -> Option<Self> {
        let folder = wanted()?;
        let known = fs::read_to_string("/proc/filesystems").unwrap_or_default();
        if !known.split_whitespace().any(|word| word == "btrfs") {
            eprintln!("left out: this kernel has no btrfs");
            return None;
        }
        add_disk(&folder);
        Self::start_in(folder).await
    }

    async fn start_in(folder: TempDir) -> Option<Self> {
        let log = place::log_file();
        add_bridge(&folder);
        let child = match spawn(&folder, &log) {
            Ok(child) => child,
            Err(error) if std::env::var("OXWHISK_TEST_DOCKER").is_ok_and(|word| word == "required") => {
                panic!("dockerd does not start: {error}");
            }
            Err(error) => {
                eprintln!("left out: dockerd does not start: {error}");
                return None;
            }
        };
        let guard = guard(&child, &folder);
        let daemon = Self { folder, log, child, guard };
        daemon.wait_until_it_answers().await;
        Some(daemon)
    }

    /// Where it listens.
    pub fn host(&self) -> String {
        format!("unix://{}", self.folder.path().join("docker.sock").display())
    }

    /// A client of it.
    ///
    /// # Panics
    ///
    /// If it has never listened.
    pub fn client(&self) -> Docker {
        Docker::connect_with_unix(&self.host(), REQUEST, bollard::API_DEFAULT_VERSION)
            .expect("its socket is there")
    }

    /// Copies an image of the machine's daemon to it.
    ///
    /// # Panics
    ///
    /// If that daemon does not have it.
    pub async fn load(&self, image: &str) {
        let script = format!("docker save {image} | docker -H {} load", self.host());
        let output = tokio::process::Command::new("sh").args(["-c", &script]).output().await;
        let output = output.expect("the system has a shell");
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
    }

    /// Kills it, as a crash would, and its containerd with it. Its containers run on until it starts again.
    ///
    /// # Panics
    ///
    /// If that one does not end.
    pub async fn kill(&mut self) {
        let pid = fs::read_to_string(self.folder.path().join("exec/containerd/containerd.pid"));
        let pid: u32 = pid.ok().and_then(|text| text.trim().parse().ok()).expect("it has a containerd");
        self.signal(Signal::KILL);
        let _ = self.child.wait();
        // Another one would take it for its own, and find it dead a moment later.
        wait::until("containerd has ended", PATIENCE, || async move {
            (!Path::new(&format!("/proc/{pid}")).exists()).then_some(())
        })
        .await;
    }

    /// Starts it again on the same data.
    ///
    /// # Panics
    ///
    /// If it does not answer.
    pub async fn start_again(&mut self) {
        let _ = fs::remove_file(self.folder.path().join("pid"));
        self.child = spawn(&self.folder, &self.log).expect("it started before");
        self.guard = guard(&self.child, &self.folder);
        self.wait_until_it_answers().await;
    }

    /// Ends it in good order.
    ///
    /// # Panics
    ///
    /// If it does not end.
    pub async fn stop(mut self) {
        self.guard = None;
        self.signal(Signal::TERM);
        wait::until("the daemon has ended", PATIENCE, || {
            let ended = self.child.try_wait().expect("a child can be waited for");
            async move { ended.map(drop) }
        })
        .await;
        self.clean();
    }

    /// What it leaves even in good order: the shim of a container that was half made when it was killed, and
    /// the mount of its data.
    fn clean(&self) {
        let cleaned = Command::new("sh")
            .args(["-c", CLEAN, "clean"])
            .arg(self.folder.path())
            .arg(bridge(&self.folder))
            .status();
        if !cleaned.is_ok_and(|status| status.success()) {
            eprintln!("something of the daemon in {} is left", self.folder.path().display());
        }
    }

    async fn wait_until_it_answers(&self) {
        let what = format!("the daemon answers; see {}", self.log.display());
        let socket = self.folder.path().join("docker.sock");
        wait::until(&what, PATIENCE, || async {
            if !socket.exists() {
                return None;
            }
            self.client().ping().await.ok().map(drop)
        })
        .await;
    }

    fn signal(&self, signal: Signal) {
        // One that has ended already is as dead as it was to be.
        let _ = kill_process(Pid::from_child(&self.child), signal);
    }
}

impl Drop for Dockerd {
    /// After a failed test: nothing of it is left.
    fn drop(&mut self) {
        if self.guard.is_none() {
            return;
        }
        self.signal(Signal::KILL);
        let _ = self.child.wait();
        self.clean();
    }
}

/// A folder for one, unless actions run as processes.
fn wanted() -> Option<TempDir> {
    if std::env::var("OXWHISK_TEST_RUNTIME").is_ok_and(|runtime| runtime == "process") {
        return None;
    }
    let folder = tempfile::Builder::new().prefix("oxwhisk-dockerd-").tempdir();
    Some(folder.expect("a temporary folder can be made"))
}

/// Puts a file that is a disk under the folder of its data; it goes when that is unmounted.
fn add_disk(folder: &TempDir) {
    let (file, data) = (folder.path().join("disk"), folder.path().join("data"));
    let disk = File::create(&file).and_then(|disk| disk.set_len(DISK));
    disk.and_then(|()| fs::create_dir(&data)).expect("the folder is writable");
    for (program, arguments) in [("mkfs.btrfs", &["--quiet"][..]), ("mount", &["-o", "loop"])] {
        let mut command = Command::new(program);
        command.args(arguments).arg(&file);
        if program == "mount" {
            command.arg(&data);
        }
        let done = command.status().unwrap_or_else(|error| panic!("there is no {program}: {error}"));
        assert!(done.success(), "{command:?} failed");
    }
}

/// The bridge of its default network. With none at all it would delete that of the machine's daemon.
fn bridge(folder: &TempDir) -> String {
    let name = folder.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
    format!("oxd-{}", name.rsplit('-').next().unwrap_or_default())
}

fn add_bridge(folder: &TempDir) {
    let bridge = bridge(folder);
    let address = format!("10.213.{}.1/24", std::process::id() % 250);
    for arguments in [
        &["link", "add", "name", &bridge, "type", "bridge"][..],
        &["address", "add", &address, "dev", &bridge],
        &["link", "set", &bridge, "up"],
    ] {
        let done = Command::new("ip").args(arguments).status().expect("the system has iproute2");
        assert!(done.success(), "ip {arguments:?} failed");
    }
}

fn spawn(folder: &TempDir, log: &PathBuf) -> std::io::Result<Child> {
    let path = |name: &str| folder.path().join(name);
    let file = File::options().create(true).append(true).open(log)?;
    let word = folder.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
    Command::new("dockerd")
        .arg("--data-root")
        .arg(path("data"))
        .arg("--exec-root")
        .arg(path("exec"))
        .arg("--pidfile")
        .arg(path("pid"))
        .arg("--host")
        .arg(format!("unix://{}", path("docker.sock").display()))
        .args(["--bridge", &bridge(folder), "--iptables=false", "--ip6tables=false"])
        .args(["--containerd-namespace", &word, "--containerd-plugins-namespace", &format!("{word}-plugins")])
        .stdin(Stdio::null())
        .stdout(file.try_clone()?)
        .stderr(file)
        .spawn()
}

fn guard(child: &Child, folder: &TempDir) -> Option<Guard> {
    // Its child, containerd, ends with it.
    Some(Guard::over_service("dockerd", child.id(), "TERM", folder.path()).expect("the system has a shell"))
}
