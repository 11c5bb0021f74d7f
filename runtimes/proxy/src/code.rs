//! From the `code` of an /init request to a folder that a launcher can load.
//!
//! An archive is somebody else's: nothing in it may land outside its folder, nor may a link in it lead
//! out, and it may not unpack to more than a bounded size. Source text and executables become one file,
//! `exec`, as with upstream's proxy.

use std::fs::{self, File, Permissions};
use std::io::{self, Cursor, Read};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Component, Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use zip::ZipArchive;
use zip::result::ZipError;

/// How a zip archive begins.
pub const ZIP: &[u8] = b"PK";
/// The most an archive may unpack to.
const MAX_UNPACKED: u64 = 512 * 1024 * 1024;
/// The most files and folders an archive may hold.
const MAX_ENTRIES: usize = 100_000;
/// The longest target of a link.
const MAX_LINK: u64 = 4096;

/// Why code cannot be used. `Display` is what the action's developer reads.
#[derive(Debug, thiserror::Error)]
pub enum CodeError {
    #[error("cannot decode the request: {0}")]
    Base64(#[from] base64::DecodeError),
    #[error(
        "There was an error uncompressing the action archive. It is neither a zip file nor an executable."
    )]
    UnknownFormat,
    #[error("There was an error uncompressing the action archive: {0}.")]
    Archive(#[from] ZipError),
    #[error("There was an error uncompressing the action archive: '{0}' leads out of the archive.")]
    Escape(String),
    #[error("There was an error uncompressing the action archive: it holds more than {MAX_ENTRIES} files.")]
    TooManyEntries,
    #[error("There was an error uncompressing the action archive: it unpacks to more than {0} bytes.")]
    TooLarge(u64),
    #[error("cannot store the action: {0}")]
    Io(#[from] io::Error),
}

/// Makes a new, private folder inside `workdir`: the lowest number that is free.
pub fn new_folder(workdir: &Path) -> io::Result<PathBuf> {
    let private = |recursive| {
        let mut builder = fs::DirBuilder::new();
        builder.mode(0o700).recursive(recursive);
        builder
    };
    private(true).create(workdir)?;
    let workdir = workdir.canonicalize()?;
    for number in 1_u32.. {
        let folder = workdir.join(number.to_string());
        match private(false).create(&folder) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            result => return result.map(|()| folder),
        }
    }
    Err(io::Error::other("no free folder"))
}

/// Writes the code into `folder`.
pub fn unpack(folder: &Path, code: &str, binary: bool) -> Result<(), CodeError> {
    let exec = folder.join("exec");
    if !binary {
        return Ok(fs::write(exec, code)?);
    }
    let bytes = match code.contains(['\n', '\r']) {
        true => STANDARD.decode(code.replace(['\n', '\r'], ""))?,
        false => STANDARD.decode(code)?,
    };
    if bytes.starts_with(ZIP) {
        return unpack_archive(folder, &bytes);
    }
    if is_program(&bytes) {
        fs::write(&exec, bytes)?;
        return Ok(fs::set_permissions(&exec, Permissions::from_mode(0o755))?);
    }
    Err(CodeError::UnknownFormat)
}

/// Unpacks a zip archive into `folder`.
pub fn unpack_archive(folder: &Path, bytes: &[u8]) -> Result<(), CodeError> {
    unzip(folder, bytes, MAX_UNPACKED)
}

/// Whether a file that begins so can be started. Rust's source may begin with `#![…]`.
pub fn is_program(head: &[u8]) -> bool {
    head.starts_with(b"\x7fELF") || (head.starts_with(b"#!") && !head.starts_with(b"#!["))
}

fn unzip(folder: &Path, bytes: &[u8], max_unpacked: u64) -> Result<(), CodeError> {
    let mut archive = ZipArchive::new(Cursor::new(bytes))?;
    if archive.len() > MAX_ENTRIES {
        return Err(CodeError::TooManyEntries);
    }
    let mut left = max_unpacked;
    let mut links = Vec::new();
    for index in 0..archive.len() {
        let mut entry = archive.by_index(index)?;
        let name = entry.enclosed_name().ok_or_else(|| CodeError::Escape(entry.name().to_owned()))?;
        let path = folder.join(&name);
        if entry.is_symlink() {
            let mut target = String::new();
            entry.take(MAX_LINK).read_to_string(&mut target)?;
            links.push((name, target));
        } else if entry.is_dir() {
            fs::create_dir_all(path)?;
        } else {
            if let Some(parent) = path.parent() {
                fs::create_dir_all(parent)?;
            }
            let executable = entry.unix_mode().is_some_and(|mode| mode & 0o111 != 0);
            // One byte more than allowed tells "exactly full" from "too large"; the declared size lies.
            let written = io::copy(&mut entry.by_ref().take(left + 1), &mut File::create(&path)?)?;
            left = left.checked_sub(written).ok_or(CodeError::TooLarge(max_unpacked))?;
            if executable {
                fs::set_permissions(&path, Permissions::from_mode(0o755))?;
            }
        }
    }
    // Links come last, so that no file is ever written through one.
    links.into_iter().try_for_each(|(name, target)| link(folder, &name, &target))
}

/// Makes a link whose target stays inside `folder`: it may climb only at its start, only from a real
/// folder, and not above the root. Then it holds by induction for links that lead over links.
fn link(folder: &Path, name: &Path, target: &str) -> Result<(), CodeError> {
    let escape = || CodeError::Escape(format!("{} -> {target}", name.display()));
    let path = folder.join(name);
    let parent = path.parent().ok_or_else(escape)?;
    fs::create_dir_all(parent)?;
    if parent.canonicalize()? != parent {
        return Err(escape());
    }
    let mut depth = name.components().count().saturating_sub(1);
    let mut descending = false;
    for component in Path::new(target).components() {
        match component {
            Component::CurDir => {}
            Component::Normal(_) => descending = true,
            Component::ParentDir if !descending && depth > 0 => depth -= 1,
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => return Err(escape()),
        }
    }
    Ok(symlink(target, path)?)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::ZipWriter;
    use zip::write::SimpleFileOptions;

    use super::*;

    /// A zip of files, and of links where the name is given as `name -> target`.
    fn archive(entries: &[(&str, &str)]) -> Vec<u8> {
        let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, text) in entries {
            match name.split_once(" -> ") {
                Some((name, target)) => {
                    writer.add_symlink(name, target, SimpleFileOptions::default()).unwrap();
                }
                None => {
                    writer.start_file(*name, SimpleFileOptions::default().unix_permissions(0o755)).unwrap();
                    writer.write_all(text.as_bytes()).unwrap();
                }
            }
        }
        writer.finish().unwrap().into_inner()
    }

    fn unpacked(entries: &[(&str, &str)]) -> (tempfile::TempDir, Result<(), CodeError>) {
        let root = tempfile::tempdir().unwrap();
        let folder = new_folder(root.path()).unwrap();
        let result = unpack(&folder, &STANDARD.encode(archive(entries)), true);
        (root, result)
    }

    #[test]
    fn files_folders_and_inner_links_are_unpacked() {
        let (root, result) = unpacked(&[("a/b.txt", "hi"), ("c -> a/b.txt", ""), ("a/up -> ../a", "")]);
        result.unwrap();
        assert_eq!(fs::read_to_string(root.path().join("1/c")).unwrap(), "hi");
        assert_eq!(fs::read_to_string(root.path().join("1/a/up/b.txt")).unwrap(), "hi");
        let mode = fs::metadata(root.path().join("1/a/b.txt")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
    }

    #[test]
    fn nothing_leaves_the_folder() {
        for entries in [
            &[("../evil", "x")][..],
            &[("a/../../evil", "x")],
            &[("/evil", "x")],
            &[("l -> /etc/passwd", "")],
            &[("l -> ..", "")],
            &[("d/l -> ../../x", "")],
            &[("d/e/x", ""), ("d/l -> e/../../..", "")],
            &[("d/x", ""), ("s -> .", ""), ("s/d/l -> ../..", "")],
        ] {
            let (root, result) = unpacked(entries);
            assert!(matches!(result, Err(CodeError::Escape(_))), "{entries:?}: {result:?}");
            assert!(!root.path().join("evil").exists());
        }
    }

    #[test]
    fn an_archive_may_not_outgrow_its_bound() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = archive(&[("a", "12345"), ("b", "67890")]);
        unzip(&folder.path().canonicalize().unwrap(), &bytes, 10).unwrap();
        let result = unzip(folder.path(), &bytes, 9);
        assert!(matches!(result, Err(CodeError::TooLarge(9))), "{result:?}");
    }

    #[test]
    fn what_is_no_archive_is_named_as_such() {
        let folder = tempfile::tempdir().unwrap();
        let error = |code: &str| unpack(folder.path(), code, true).unwrap_err().to_string();
        assert!(error("%%%").starts_with("cannot decode the request: "));
        assert!(error("Q2VjaSBuJ2VzdCBwYXMgdW4gemlwLgo=").contains("uncompressing"));
        assert!(error(&STANDARD.encode("PK\x03\x04 but no more")).contains("uncompressing"));
    }

    #[test]
    fn source_and_executables_become_exec() {
        let folder = tempfile::tempdir().unwrap();
        unpack(folder.path(), "print()", false).unwrap();
        assert_eq!(fs::read_to_string(folder.path().join("exec")).unwrap(), "print()");
        unpack(folder.path(), &STANDARD.encode("#!/bin/sh\n"), true).unwrap();
        let mode = fs::metadata(folder.path().join("exec")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o755);
    }

    #[test]
    fn every_folder_is_new_and_private() {
        let root = tempfile::tempdir().unwrap();
        let first = new_folder(root.path()).unwrap();
        let second = new_folder(root.path()).unwrap();
        assert_ne!(first, second);
        assert_eq!(fs::metadata(first).unwrap().permissions().mode() & 0o777, 0o700);
    }
}
