//! The source tree as the rules see it: our own files, without what is built or fetched.

use std::fs;
use std::path::{Path, PathBuf};

use tests::place;

/// Folders that hold nothing we wrote.
const SKIPPED: [&str; 4] = ["target", ".git", "node_modules", "__pycache__"];
/// The folders whose Rust files the rules are about.
const CRATES: [&str; 9] =
    ["admin", "common", "controller", "invoker", "runtimes/proxy", "server", "standalone", "tests", "xtask"];

/// Actions that are compiled as somebody else's code.
const ACTIONS: &str = "tests/runtimes/rust";

/// One file.
#[derive(Debug)]
pub struct File {
    /// Its path from the root, with `/`.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// All Rust files of our crates, without generated ones.
pub fn rust_files() -> Vec<File> {
    let root = place::workspace();
    let mut paths = Vec::new();
    for part in CRATES {
        walk(&root.join(part), &mut paths);
    }
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
    paths.retain(|path| !path.starts_with(root.join(ACTIONS)));
    let files = paths.iter().map(|path| read(&root, path));
    let files: Vec<File> = files.filter(|file| !file.text.starts_with("// @generated")).collect();
    assert!(files.len() > CRATES.len(), "every crate has a file");
    files
}

/// The text of a crate's manifest.
pub fn manifest(part: &str) -> String {
    let root = place::workspace();
    read(&root, &root.join(part).join("Cargo.toml")).text
}

/// Any file of ours.
pub fn text(path: &str) -> String {
    let root = place::workspace();
    read(&root, &root.join(path)).text
}

fn read(root: &Path, path: &Path) -> File {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let path = path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/");
    File { path, text }
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if SKIPPED.iter().any(|skipped| name == *skipped) {
            continue;
        }
        if path.is_dir() { walk(&path, found) } else { found.push(path) }
    }
}
