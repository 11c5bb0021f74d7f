//! Reading the journals that processes left which live no more.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;

use crate::clock::Millis;
use crate::entity::id::ActivationId;

use super::file::{self, Kind};

/// An activation that was accepted and not stored.
#[derive(Clone, Debug)]
pub struct OpenEntry {
    /// Its id.
    pub id: ActivationId,
    /// When it was accepted.
    pub at: Millis,
    /// The message.
    pub message: Bytes,
    /// Whether its code may have run.
    pub started: bool,
    /// The record without logs, if it ended.
    pub outcome: Option<Bytes>,
}

/// The journal of a run whose process is gone. It is held until it is dropped, and goes with `remove`.
pub struct Abandoned {
    run: String,
    dir: PathBuf,
    entries: Vec<OpenEntry>,
    _lock: File,
}

impl Abandoned {
    /// The name of the run; its containers are labelled with it.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// What was open, in the order in which it was accepted.
    pub fn take_entries(&mut self) -> Vec<OpenEntry> {
        std::mem::take(&mut self.entries)
    }

    /// Removes it, once another journal holds what was open.
    pub fn remove(self) -> io::Result<()> {
        std::fs::remove_dir_all(&self.dir)
    }
}

/// Takes every journal under `state` that no live process holds.
pub fn take_over(state: &Path) -> io::Result<Vec<Abandoned>> {
    let mut found = Vec::new();
    let listing = match std::fs::read_dir(state) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(found),
        Err(error) => return Err(error),
    };
    for entry in listing {
        let dir = entry?.path();
        let Some(run) = dir.file_name().and_then(|name| name.to_str()).map(str::to_owned) else { continue };
        let lock = match File::options().write(true).open(dir.join("lock")) {
            Ok(lock) => lock,
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        if lock.try_lock().is_ok() {
            let entries = read_open(&dir)?;
            found.push(Abandoned { run, dir, entries, _lock: lock });
        }
    }
    Ok(found)
}

fn read_open(dir: &Path) -> io::Result<Vec<OpenEntry>> {
    let mut segments: Vec<PathBuf> = std::fs::read_dir(dir)?
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "log"))
        .collect();
    segments.sort();
    let mut open: HashMap<ActivationId, (usize, OpenEntry)> = HashMap::new();
    let mut order = 0;
    for path in segments {
        for entry in file::read(&path)? {
            match entry.kind {
                Kind::Accepted => {
                    order += 1;
                    let fresh = OpenEntry {
                        id: entry.id,
                        at: entry.at,
                        message: entry.data,
                        started: false,
                        outcome: None,
                    };
                    // Written again when its file was emptied: what is known of it stays.
                    open.entry(entry.id).or_insert((order, fresh));
                }
                Kind::Started | Kind::Retracted => {
                    if let Some((_, known)) = open.get_mut(&entry.id) {
                        known.started = entry.kind == Kind::Started;
                    }
                }
                Kind::Outcome => {
                    if let Some((_, known)) = open.get_mut(&entry.id) {
                        known.outcome = Some(entry.data);
                    }
                }
                Kind::Stored => {
                    open.remove(&entry.id);
                }
            }
        }
    }
    let mut entries: Vec<_> = open.into_values().collect();
    entries.sort_by_key(|(order, _)| *order);
    Ok(entries.into_iter().map(|(_, entry)| entry).collect())
}
