//! Where things are: the tree, the binaries under test, free ports, log files.

use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

/// The lowest port the harness hands out; with [`PORTS`] it stays below the range from which systems
/// take the ports of outgoing connections, so that no connection takes one in between.
const FIRST_PORT: u32 = 18_000;
const PORTS: u32 = 14_000;

/// The root of the workspace.
pub fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace").to_path_buf()
}

/// The server under test: `OXWHISK_BIN`, else the binary beside this test.
pub fn oxwhisk() -> PathBuf {
    binary("OXWHISK_BIN", "oxwhisk")
}

/// The administration tool: `OXWHISK_WSKADMIN`, else the binary beside this test.
pub fn wskadmin() -> PathBuf {
    binary("OXWHISK_WSKADMIN", "wskadmin")
}

/// The controller as a program of its own: `OXWHISK_CONTROLLER`, else the binary beside this test.
pub fn controller() -> PathBuf {
    binary("OXWHISK_CONTROLLER", "oxwhisk-controller")
}

/// The invoker as a program of its own: `OXWHISK_INVOKER`, else the binary beside this test.
pub fn invoker() -> PathBuf {
    binary("OXWHISK_INVOKER", "oxwhisk-invoker")
}

fn binary(variable: &str, name: &str) -> PathBuf {
    if let Some(path) = std::env::var_os(variable) {
        let path = PathBuf::from(path);
        assert!(path.is_file(), "{variable} names {}, which is no file", path.display());
        return path;
    }
    let path = profile_folder().join(name);
    assert!(
        path.is_file(),
        "{} does not exist: run `cargo xtask test`, or build it and set {variable}",
        path.display()
    );
    path
}

/// `target/debug`, or whatever folder holds the `deps` this test runs from.
fn profile_folder() -> PathBuf {
    let test = std::env::current_exe().expect("a process knows its program");
    test.parent().and_then(Path::parent).expect("tests lie in <target>/<profile>/deps").to_path_buf()
}

/// `target`, where also the foreign services lie that were fetched.
pub fn target() -> PathBuf {
    workspace().join("target")
}

/// A file for what a server prints, kept after the test so that a failure can be read.
pub fn log_file() -> PathBuf {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let folder = profile_folder().join("test-logs");
    std::fs::create_dir_all(&folder).expect("the target folder is writable");
    let test = std::env::current_exe().expect("a process knows its program");
    let name = test.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let suite = name.rsplit_once('-').map_or(name.as_str(), |(suite, _)| suite).to_owned();
    folder.join(format!("{suite}-{}.log", NEXT.fetch_add(1, Ordering::Relaxed)))
}

/// A port of 127.0.0.1 on which nobody listens.
///
/// # Panics
///
/// If every port of the range is taken.
pub fn free_port() -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let start = std::process::id().wrapping_mul(101);
    for _ in 0..PORTS {
        let step = NEXT.fetch_add(1, Ordering::Relaxed);
        let port = FIRST_PORT + start.wrapping_add(step) % PORTS;
        let port = u16::try_from(port).expect("the range ends below 65,536");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no port between {FIRST_PORT} and {} is free", FIRST_PORT + PORTS);
}

/// A name nobody else uses.
pub fn unique(stem: &str) -> String {
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("{stem}-{}", &random[..10])
}
