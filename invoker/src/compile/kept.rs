//! Compiled actions on disk: a file each, under its key, shared by all invokers of a state folder.
//!
//! A file is written beside and then renamed, so that it is whole or not there. When all together are larger
//! than they may be, those go first that were not used for longest, which the files' times tell. Nothing
//! here can fail an activation: what cannot be kept is compiled again.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use common::clock::Clock;
use tracing::warn;

/// What the name of a file begins with that is being written.
const DRAFT: char = '.';
/// A draft of that age is nobody's.
const ABANDONED: Duration = Duration::from_secs(600);

/// The files.
pub struct Kept {
    directory: PathBuf,
    max_bytes: u64,
    clock: Arc<dyn Clock>,
}

impl Kept {
    /// In that folder, which is made when it is needed.
    pub fn new(directory: PathBuf, max_bytes: u64, clock: Arc<dyn Clock>) -> Self {
        Self { directory, max_bytes, clock }
    }

    /// The file of a key, which counts as used now.
    pub async fn get(&self, key: &str) -> Option<Vec<u8>> {
        let (path, now) = (self.directory.join(key), self.now());
        let read = tokio::task::spawn_blocking(move || {
            let bytes = fs::read(&path)?;
            touch(&path, now)?;
            Ok(bytes)
        });
        match read.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
            Ok(bytes) => Some(bytes),
            Err(error) if error.kind() == io::ErrorKind::NotFound => None,
            Err(error) => {
                warn!("the compiled action {key} cannot be read: {error}");
                None
            }
        }
    }

    /// Keeps a file, and makes room for it.
    pub async fn put(&self, key: &str, bytes: Bytes) {
        let (directory, file, now, max) =
            (self.directory.clone(), key.to_owned(), self.now(), self.max_bytes);
        let written = tokio::task::spawn_blocking(move || {
            write(&directory, &file, &bytes, now)?;
            make_room(&directory, max, now)
        });
        if let Err(error) = written.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
            warn!("the compiled action {key} cannot be kept: {error}");
        }
    }

    fn now(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_millis(self.clock.now().0)
    }
}

fn touch(path: &Path, now: SystemTime) -> io::Result<()> {
    File::options().append(true).open(path)?.set_modified(now)
}

fn write(directory: &Path, key: &str, bytes: &[u8], now: SystemTime) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let draft = directory.join(format!("{DRAFT}{key}.{}", std::process::id()));
    let mut file = File::create(&draft)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    file.set_modified(now)?;
    fs::rename(draft, directory.join(key))
}

fn make_room(directory: &Path, max: u64, now: SystemTime) -> io::Result<()> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        // Another invoker may have removed it.
        let Ok(metadata) = entry.metadata() else { continue };
        let used = metadata.modified()?;
        let is_draft = entry.file_name().as_encoded_bytes().first() == Some(&(DRAFT as u8));
        match is_draft {
            true if used + ABANDONED < now => remove(&entry.path())?,
            true => {}
            false => files.push((used, metadata.len(), entry.path())),
        }
    }
    let mut total: u64 = files.iter().map(|(_, length, _)| length).sum();
    files.sort();
    for (_, length, path) in files {
        if total <= max {
            break;
        }
        remove(&path)?;
        total -= length;
    }
    Ok(())
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use common::clock::{Millis, VirtualClock};

    use super::*;

    fn kept(directory: &Path, clock: &Arc<VirtualClock>) -> Kept {
        Kept::new(directory.join("compiled"), 25, clock.clone())
    }

    #[tokio::test]
    async fn what_was_not_used_for_longest_goes_first() {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(VirtualClock::at(Millis(1_700_000_000_000)));
        let files = kept(directory.path(), &clock);
        for key in ["a", "b"] {
            files.put(key, Bytes::from(vec![0; 10])).await;
            clock.advance(1000);
        }
        assert_eq!(files.get("a").await, Some(vec![0; 10]));
        clock.advance(1000);
        files.put("c", Bytes::from(vec![1; 10])).await;
        // After a restart as well.
        let files = kept(directory.path(), &clock);
        assert!(files.get("a").await.is_some() && files.get("c").await.is_some());
        assert_eq!(files.get("b").await, None);
    }

    #[tokio::test]
    async fn drafts_that_nobody_finishes_are_removed() {
        let directory = tempfile::tempdir().unwrap();
        let clock = Arc::new(VirtualClock::at(Millis(1_700_000_000_000)));
        let files = kept(directory.path(), &clock);
        files.put("a", Bytes::from_static(b"x")).await;
        let (old, new) = (files.directory.join(".old.1"), files.directory.join(".new.1"));
        for path in [&old, &new] {
            fs::write(path, "torn").unwrap();
            touch(path, files.now()).unwrap();
        }
        touch(&old, files.now() - 2 * ABANDONED).unwrap();
        files.put("b", Bytes::from_static(b"x")).await;
        assert!(!old.exists() && new.exists());
    }
}
