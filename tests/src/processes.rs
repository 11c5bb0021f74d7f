//! What `/proc` tells: which processes a server has, and which of them are still there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The variable that every action process of the process runtime carries.
const MARK: &[u8] = b"OXWHISK_CONTAINER=";

/// A process, told from a later one with the same id by its start time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Process {
    /// Its id.
    pub id: u32,
    started: u64,
    /// Its name, for messages.
    pub name: String,
}

/// The processes that belong to a server: its descendants, and whoever carries the mark of an action
/// process and works in the server's folder.
pub fn of_server(server: u32, folder: &Path) -> BTreeSet<Process> {
    let all: Vec<(Process, u32)> = all().collect();
    let mut family = BTreeSet::from([server]);
    let mut size = 0;
    while size < family.len() {
        size = family.len();
        let children = all.iter().filter(|(_, parent)| family.contains(parent)).map(|(child, _)| child.id);
        let children: Vec<u32> = children.collect();
        family.extend(children);
    }
    family.remove(&server);
    let belongs = |process: &Process| family.contains(&process.id) || is_marked(process.id, folder);
    all.into_iter().map(|(process, _)| process).filter(belongs).collect()
}

/// Those of them that still run.
pub fn left(of: &BTreeSet<Process>) -> BTreeSet<Process> {
    all().map(|(process, _)| process).filter(|process| of.contains(process)).collect()
}

/// Whether a process is an action's and has to do with this folder.
fn is_marked(id: u32, folder: &Path) -> bool {
    let environment = fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
    if !environment.split(|byte| *byte == 0).any(|variable| variable.starts_with(MARK)) {
        return false;
    }
    let home = fs::read_link(format!("/proc/{id}/cwd")).unwrap_or_default();
    let text = folder.as_os_str().as_encoded_bytes();
    home.starts_with(folder) || environment.windows(text.len()).any(|window| window == text)
}

/// All processes that are not dead, each with its parent.
fn all() -> impl Iterator<Item = (Process, u32)> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    entries.filter_map(|entry| {
        let id: u32 = entry.file_name().to_str()?.parse().ok()?;
        let stat = fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // The name stands in parentheses and may hold anything.
        let (head, tail) = stat.rsplit_once(')')?;
        let fields: Vec<&str> = tail.split_whitespace().collect();
        let name = head.split_once('(')?.1.to_owned();
        let alive = !matches!(fields.first(), Some(&"Z" | &"X"));
        let process = Process { id, started: fields.get(19)?.parse().ok()?, name };
        alive.then_some((process, fields.get(1)?.parse().ok()?))
    })
}
