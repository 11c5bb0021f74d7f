//! What an image is built from: a few files, as the tar archive that Docker takes, and their digest.

use std::path::Path;

use anyhow::Context as _;
use sha2::{Digest, Sha256};

/// The files, with their names inside the archive.
#[derive(Default)]
pub struct Context {
    files: Vec<(String, File)>,
}

struct File {
    bytes: Vec<u8>,
    executable: bool,
}

impl Context {
    /// Adds the file at `path` under `name`.
    pub fn add(&mut self, name: &str, path: &Path) -> anyhow::Result<()> {
        use std::os::unix::fs::PermissionsExt;

        let bytes = std::fs::read(path).with_context(|| format!("cannot read {}", path.display()))?;
        let executable = std::fs::metadata(path)?.permissions().mode() & 0o100 != 0;
        self.files.push((name.to_owned(), File { bytes, executable }));
        Ok(())
    }

    /// Adds all files below the folder at `path` whose names there `wanted` accepts, under `name/…`.
    pub fn add_folder(
        &mut self,
        name: &str,
        path: &Path,
        wanted: &dyn Fn(&Path) -> bool,
    ) -> anyhow::Result<()> {
        let entries = std::fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
        let mut entries = entries.collect::<Result<Vec<_>, _>>()?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for entry in entries.iter().filter(|entry| wanted(&entry.path())) {
            let inner = format!("{name}/{}", entry.file_name().to_string_lossy());
            match entry.path().is_dir() {
                true => self.add_folder(&inner, &entry.path(), wanted)?,
                false => self.add(&inner, &entry.path())?,
            }
        }
        Ok(())
    }

    /// A digest of the files and of what they are put upon.
    pub fn digest(&self, base: &str) -> String {
        let mut digest = Sha256::new();
        let mut take = |bytes: &[u8]| {
            // With its length, so that no two lists of files look alike.
            digest.update((bytes.len() as u64).to_le_bytes());
            digest.update(bytes);
        };
        take(base.as_bytes());
        for (name, file) in &self.files {
            take(name.as_bytes());
            take(&[u8::from(file.executable)]);
            take(&file.bytes);
        }
        digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The archive. Times and owners are left out, so that Docker's cache is not fooled.
    pub fn into_tar(self) -> anyhow::Result<Vec<u8>> {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, file) in self.files {
            let mut header = tar::Header::new_gnu();
            header.set_size(file.bytes.len() as u64);
            header.set_mode(if file.executable { 0o755 } else { 0o644 });
            archive.append_data(&mut header, name, file.bytes.as_slice())?;
        }
        Ok(archive.into_inner()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(files: &[(&str, &str)]) -> Context {
        let folder = tempfile::tempdir().expect("a folder");
        let mut context = Context::default();
        for (name, text) in files {
            let path = folder.path().join("file");
            std::fs::write(&path, text).expect("written");
            context.add(name, &path).expect("added");
        }
        context
    }

    #[test]
    fn the_digest_changes_with_anything_that_matters() {
        let digest = context(&[("a", "1"), ("b", "2")]).digest("base");
        assert_eq!(digest, context(&[("a", "1"), ("b", "2")]).digest("base"));
        for (other, base) in [
            (&[("a", "1"), ("b", "3")][..], "base"),
            (&[("a", "1"), ("c", "2")], "base"),
            (&[("a", "1")], "base"),
            (&[("a", "1"), ("b", "2")], "newer"),
        ] {
            assert_ne!(digest, context(other).digest(base), "{other:?} on {base}");
        }
    }

    #[test]
    fn the_archive_holds_the_files() {
        let bytes = context(&[("a", "1"), ("b", "22")]).into_tar().expect("an archive");
        let mut archive = tar::Archive::new(bytes.as_slice());
        let sizes: Vec<u64> =
            archive.entries().expect("entries").map(|entry| entry.expect("one").size()).collect();
        assert_eq!(sizes, [1, 2]);
    }
}
