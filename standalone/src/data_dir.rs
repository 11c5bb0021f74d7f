//! The data directory: made for its owner alone, and held by one process at a time.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use common::paths;
use sha2::{Digest, Sha256};

/// The directory, locked as long as this lives.
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Makes the directory if it is not there, and locks it.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let shown = path.display();
        let remedy = || format!("the data directory {shown} cannot be used; choose another with --data-dir");
        fs::DirBuilder::new().recursive(true).mode(0o700).create(path).with_context(remedy)?;
        let path = path.canonicalize().with_context(remedy)?;
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .mode(0o600)
            .open(path.join(paths::LOCK))
            .with_context(remedy)?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                bail!(
                    "another oxwhisk serves the data directory {shown}; stop it, or choose another with --data-dir"
                )
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(remedy),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A file or folder in it.
    pub fn join(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// A short word that is the same after a restart and another for another directory.
    pub fn instance(&self) -> String {
        let digest = Sha256::digest(self.path.as_os_str().as_encoded_bytes());
        digest[..4].iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_process_holds_it_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b");
        let first = DataDir::open(&path).unwrap();
        let refused = DataDir::open(&path).err().unwrap().to_string();
        assert!(refused.contains("another oxwhisk"), "{refused}");
        let instance = first.instance();
        drop(first);
        assert_eq!(DataDir::open(&path).unwrap().instance(), instance);
        let file = dir.path().join("file");
        fs::write(&file, "").unwrap();
        assert!(DataDir::open(&file).err().unwrap().to_string().contains("--data-dir"));
    }
}
