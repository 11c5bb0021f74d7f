//! `compile`: what a builder image does, source in and an archive with a program out.
//!
//! The command line after `--` is that of upstream's images (`docker run -i IMAGE -compile main <src >zip`,
//! `apache/openwhisk-runtime-go: docs/DEPLOY.md`), so that who compiles at home does it the same way. What
//! the compiler prints goes to stderr, whichever stream it was for: stdout is the archive's alone, and
//! stays empty if there is none. An archive that is made is marked with the image's name.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Cursor, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, anyhow, bail};
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::cli::{text, value};
use crate::code;
use crate::launcher::MARK;

/// The most source that is read.
const MAX_SOURCE: u64 = 128 * 1024 * 1024;

/// One compilation.
#[derive(Debug, PartialEq)]
pub struct Compilation {
    compiler: OsString,
    mark: Option<String>,
    workdir: Option<PathBuf>,
    main: String,
    variables: BTreeMap<String, String>,
}

impl Compilation {
    /// Reads the command line after `compile`.
    pub fn parse(mut args: impl Iterator<Item = OsString>) -> anyhow::Result<Self> {
        let (mut compiler, mut mark, mut workdir) = (None, None, None);
        loop {
            let argument = args.next().context("`--` is missing")?;
            match argument.to_str() {
                Some("--") => break,
                Some("--with") => compiler = Some(value(&argument, args.next())?),
                Some("--mark") => mark = Some(text(&argument, args.next())?),
                Some("--workdir") => workdir = Some(value(&argument, args.next())?.into()),
                _ => bail!("unknown option: {}", argument.display()),
            }
        }
        let compiler = compiler.context("--with is missing")?;
        let (mut main, mut variables) = (None, BTreeMap::new());
        while let Some(argument) = args.next() {
            match argument.to_str() {
                // As Go's flags are, with one dash or two.
                Some("-compile" | "--compile") => main = Some(text(&argument, args.next())?),
                Some("-env" | "--env") => {
                    let json = text(&argument, args.next())?;
                    variables = serde_json::from_str(&json).context("-env: not an object of texts")?;
                }
                _ => bail!("unknown option: {} (usage: -compile MAIN [-env JSON])", argument.display()),
            }
        }
        let main = main.filter(|main| !main.is_empty());
        let main = main.ok_or_else(|| anyhow!("usage: -compile MAIN [-env JSON] <SOURCE >ARCHIVE"))?;
        Ok(Self { compiler, mark, workdir, main, variables })
    }

    /// Compiles; returns the code to end with. Nothing is written to `output` unless all went well.
    pub fn run(&self, input: impl Read, mut output: impl Write) -> anyhow::Result<u8> {
        let own = || std::env::temp_dir().join(format!("action-compile-{}", std::process::id()));
        let workdir = self.workdir.clone().unwrap_or_else(own);
        let folder = code::new_folder(&workdir).context("no folder to work in")?;
        let result = self.run_in(&folder, input);
        fs::remove_dir_all(&folder).ok();
        match result? {
            Some(archive) => {
                output
                    .write_all(&archive)
                    .and_then(|()| output.flush())
                    .context("the archive is not taken")?;
                Ok(0)
            }
            None => Ok(1),
        }
    }

    /// The archive, unless the compiler has said why there is none.
    fn run_in(&self, folder: &Path, input: impl Read) -> anyhow::Result<Option<Vec<u8>>> {
        let mut source = Vec::new();
        input.take(MAX_SOURCE + 1).read_to_end(&mut source).context("the source cannot be read")?;
        if source.is_empty() {
            bail!("Missing main/no code to execute.");
        }
        if source.len() as u64 > MAX_SOURCE {
            bail!("the source is larger than {MAX_SOURCE} bytes");
        }
        let (sources, made) = (folder.join("src"), folder.join("bin"));
        fs::create_dir(&sources)?;
        fs::create_dir(&made)?;
        match source.starts_with(code::ZIP) {
            true => code::unpack_archive(&sources, &source)?,
            false => fs::write(sources.join("exec"), &source)?,
        }
        drop(source);
        let status = Command::new(&self.compiler)
            .arg(&self.main)
            .args([&sources, &made])
            .current_dir(folder)
            .envs(&self.variables)
            .stdin(Stdio::null())
            .stdout(io::stderr().as_fd().try_clone_to_owned()?)
            .status()
            .with_context(|| format!("cannot start {}", self.compiler.display()))?;
        if !status.success() {
            return Ok(None);
        }
        if fs::read_dir(&made)?.next().is_none() {
            bail!("The action failed to generate or locate a binary.");
        }
        if let Some(mark) = &self.mark {
            fs::write(made.join(MARK), mark)?;
        }
        let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
        add_folder(&mut archive, &made, "")?;
        Ok(Some(archive.finish()?.into_inner()))
    }
}

/// Adds what is in a folder, in the order of names.
fn add_folder(archive: &mut ZipWriter<Cursor<Vec<u8>>>, folder: &Path, prefix: &str) -> anyhow::Result<()> {
    let mut entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let name = entry.file_name().into_string().map_err(|name| anyhow!("{}: no text", name.display()))?;
        let (name, path) = (format!("{prefix}{name}"), entry.path());
        let metadata = fs::symlink_metadata(&path)?;
        let options = SimpleFileOptions::default().unix_permissions(metadata.permissions().mode() & 0o777);
        if metadata.is_symlink() {
            let target = fs::read_link(&path)?.into_os_string();
            let target = target.into_string().map_err(|target| anyhow!("{}: no text", target.display()))?;
            archive.add_symlink(name, target, options)?;
        } else if metadata.is_dir() {
            archive.add_directory(format!("{name}/"), options)?;
            add_folder(archive, &path, &format!("{name}/"))?;
        } else {
            archive.start_file(name, options)?;
            io::copy(&mut File::open(&path)?, archive)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a compiler of a few lines of shell.
    fn compiled(
        script: &str,
        main: &str,
        source: &[u8],
    ) -> (tempfile::TempDir, anyhow::Result<(u8, Vec<u8>)>) {
        let folder = tempfile::tempdir().unwrap();
        let compiler = folder.path().join("compiler");
        fs::write(&compiler, format!("#!/bin/sh\nset -e\nmain=$1 src=$2 out=$3\n{script}\n")).unwrap();
        fs::set_permissions(&compiler, fs::Permissions::from_mode(0o755)).unwrap();
        let line = ["--with", compiler.to_str().unwrap(), "--mark", "some/image", "--workdir"];
        let workdir = folder.path().join("work");
        let line = line.into_iter().chain([workdir.to_str().unwrap(), "--", "-compile", main]);
        let line = line.chain(["-env", r#"{"EXTRA":"more"}"#]).map(OsString::from);
        let mut output = Vec::new();
        let result = Compilation::parse(line).unwrap().run(source, &mut output);
        assert!(!workdir.join("1").exists(), "the work stays");
        (folder, result.map(|code| (code, output)))
    }

    fn files(archive: &[u8]) -> BTreeMap<String, (u32, String)> {
        let mut archive = zip::ZipArchive::new(Cursor::new(archive)).unwrap();
        (0..archive.len())
            .map(|index| {
                let mut file = archive.by_index(index).unwrap();
                let mut text = String::new();
                file.read_to_string(&mut text).unwrap();
                (file.name().to_owned(), (file.unix_mode().unwrap() & 0o777, text))
            })
            .collect()
    }

    #[test]
    fn what_the_compiler_makes_comes_back_marked() {
        let script = "echo noise; cp $src/exec $out/exec; chmod 700 $out/exec; mkdir $out/d; \
                      echo $main $EXTRA > $out/d/f; ln -s d/f $out/link";
        let (_folder, result) = compiled(script, "niam", b"source");
        let (code, archive) = result.unwrap();
        let files = files(&archive);
        assert_eq!(code, 0);
        assert_eq!(files["exec"], (0o700, "source".to_owned()));
        assert_eq!(files["d/f"].1, "niam more\n");
        assert_eq!(files["link"].1, "d/f");
        assert_eq!(files["exec.env"].1, "some/image");
    }

    #[test]
    fn archives_are_unpacked_for_the_compiler() {
        let mut source = ZipWriter::new(Cursor::new(Vec::new()));
        source.start_file("a/b.txt", SimpleFileOptions::default()).unwrap();
        source.write_all(b"inside").unwrap();
        let source = source.finish().unwrap().into_inner();
        let (_folder, result) = compiled("cp $src/a/b.txt $out/exec", "main", &source);
        assert_eq!(files(&result.unwrap().1)["exec"].1, "inside");
    }

    #[test]
    fn a_failure_leaves_no_archive() {
        let (_folder, result) = compiled("echo 'line 1: no' >&2; exit 3", "main", b"x");
        assert_eq!(result.unwrap(), (1, vec![]));
        for (script, source) in
            [("true", &b"x"[..]), ("touch $out/exec", b""), ("touch $out/exec", b"PK no zip")]
        {
            let (_folder, result) = compiled(script, "main", source);
            assert!(result.is_err(), "{script}");
        }
    }
}
