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
    mark: Option<String>,
    position: Option<u64>,
    entries: Vec<OpenEntry>,
    _lock: File,
}

impl Abandoned {
    /// The name of the run; its containers are labelled with it.
    pub fn run(&self) -> &str {
        &self.run
    }

    /// Which node of the installation it was, if it was one of several.
    pub fn mark(&self) -> Option<&str> {
        self.mark.as_deref()
    }

    /// How far its topic was read: see [`super::Journal::reached`].
    pub fn position(&self) -> Option<u64> {
        self.position
    }

    /// What was open, in the order in which it was accepted.
    pub fn take_entries(&mut self) -> Vec<OpenEntry> {
        std::mem::take(&mut self.entries)
    }

    /// Removes it, once another journal holds what was open.
    pub fn remove(self) -> io::Result<()> {
        file::remove_dir(&self.dir)
    }
}

/// Takes the journals under `state` that no live process holds and whose mark is wanted.
pub fn take_over(state: &Path, wanted: impl Fn(Option<&str>) -> bool) -> io::Result<Vec<Abandoned>> {
    let mut found = Vec::new();
    for dir in folders(state)? {
        let Some(run) = dir.file_name().and_then(|name| name.to_str()).map(str::to_owned) else { continue };
        let Some(lock) = lock(&dir)? else { continue };
        let mark = read_mark(&dir)?;
        if wanted(mark.as_deref()) {
            let (position, entries) = (read_position(&dir)?, read_open(&dir)?);
            found.push(Abandoned { run, dir, mark, position, entries, _lock: lock });
        }
    }
    Ok(found)
}

/// A journal as one sees it without taking it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its mark.
    pub mark: String,
    /// Whether somebody holds it: the process that writes it, or one that finishes what is in it.
    pub is_held: bool,
}

/// The marked journals under `state`.
pub fn marks(state: &Path) -> io::Result<Vec<Seen>> {
    let mut marks = Vec::new();
    for dir in folders(state)? {
        if let Some(mark) = read_mark(&dir)? {
            marks.push(Seen { mark, is_held: lock(&dir)?.is_none() });
        }
    }
    Ok(marks)
}

fn folders(state: &Path) -> io::Result<Vec<PathBuf>> {
    let listing = match std::fs::read_dir(state) {
        Ok(listing) => listing,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let is_draft =
        |path: &Path| path.file_name().is_some_and(|name| name.as_encoded_bytes()[0] == file::DRAFT as u8);
    let mut folders = Vec::new();
    for entry in listing {
        let path = entry?.path();
        if path.is_dir() && !is_draft(&path) {
            folders.push(path);
        }
    }
    Ok(folders)
}

/// The lock of a journal's folder, unless a live process has it, or somebody has just removed it.
fn lock(dir: &Path) -> io::Result<Option<File>> {
    let lock = match File::options().write(true).open(dir.join("lock")) {
        Ok(lock) => lock,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error),
    };
    Ok(lock.try_lock().is_ok().then_some(lock))
}

fn read_mark(dir: &Path) -> io::Result<Option<String>> {
    match std::fs::read_to_string(dir.join(file::MARK)) {
        Ok(mark) => Ok(Some(mark)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn read_position(dir: &Path) -> io::Result<Option<u64>> {
    match std::fs::read(dir.join(file::POSITION)) {
        Ok(bytes) => Ok(bytes.try_into().ok().map(u64::from_le_bytes)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
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
