//! The real clients: where they are on this machine. `cargo xtask test` installs those that come from
//! package registries into `target/clients`; `wsk` is the tester's own.

use std::path::PathBuf;

use crate::place;

/// The folder that `cargo xtask test` installs into.
pub fn folder() -> PathBuf {
    place::target().join("clients")
}

/// The `wsk` of this machine: `OXWHISK_WSK`, else the one on the `PATH`.
///
/// # Panics
///
/// If the variable names no file.
pub fn wsk() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("OXWHISK_WSK").filter(|path| !path.is_empty()) {
        let path = PathBuf::from(path);
        assert!(path.is_file(), "OXWHISK_WSK names {}, which is no file", path.display());
        return std::path::absolute(path).ok();
    }
    on_path("wsk")
}

/// The `wskdeploy` that was installed for the tests, else the one on the `PATH`.
pub fn wskdeploy() -> Option<PathBuf> {
    installed("bin/wskdeploy").or_else(|| on_path("wskdeploy"))
}

/// The folder of npm's packages, if all of them are there, and a Node.js to run them.
pub fn node_modules() -> Option<PathBuf> {
    on_path("node")?;
    installed("node_modules/openwhisk/package.json")?;
    installed("node_modules/openwhisk-composer/package.json")?;
    Some(folder().join("node_modules"))
}

/// The program of `tests/clients/go`.
pub fn go_client() -> Option<PathBuf> {
    installed("bin/go-client")
}

/// The program that makes requests of an API description.
pub fn schemathesis() -> Option<PathBuf> {
    installed("python/bin/schemathesis")
}

fn installed(name: &str) -> Option<PathBuf> {
    Some(folder().join(name)).filter(|path| path.is_file())
}

fn on_path(program: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path).map(|folder| folder.join(program)).find(|path| path.is_file())
}
