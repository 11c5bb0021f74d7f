//! One language as data: the folder `tests/runtimes/<language>`.
//!
//! `language.toml` says what is peculiar to it. The source of a case is the file `<source>.<extension>`, or, for an
//! archive, the folder `<source>`. Where a language has no such thing, `leave_out` says why; a source that is missing
//! without a reason is a failure.

use std::collections::BTreeMap;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde::Deserialize;
use serde_json::Value;
use tests::place;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

/// What `language.toml` says.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Language {
    /// The folder's name.
    #[serde(skip)]
    pub name: String,
    /// The image of the runtime; `OXWHISK_TEST_IMAGE_<LANGUAGE>` names another one.
    pub image: String,
    /// Where its code is compiled first: `<builder> -compile <main>` takes source or archive on its standard input and
    /// writes what `/init` is given to its standard output.
    pub builder: Option<String>,
    /// Whether it is tried only with `OXWHISK_TEST_IMAGES=all`.
    #[serde(default)]
    pub heavy: bool,
    /// A file of the folder that is run in place of the image's own server, which this command is given the text of.
    pub server: Option<Server>,
    /// Of the source files.
    pub extension: String,
    /// What prints nothing and ends, to compare the boot of the image with.
    #[serde(default)]
    pub bare: Vec<String>,
    /// In a word, why the image is as large as it is.
    #[serde(default)]
    pub size: String,
    /// The entry point unless a case has another one.
    #[serde(default = "default_main")]
    pub main: String,
    /// The entry point of the source `other_main`.
    #[serde(default = "default_other_main")]
    pub other_main: String,
    /// By case, a part of what is said about code that does not work.
    #[serde(default)]
    pub says: BTreeMap<String, String>,
    /// By case, a result that differs from other languages'.
    #[serde(default)]
    pub results: BTreeMap<String, Value>,
    /// By case, why it is left out.
    #[serde(default)]
    pub leave_out: BTreeMap<String, String>,
    /// Cases that only this language has.
    #[serde(default)]
    pub own: Vec<Own>,
}

/// A case of one language: a source, and what one run of it answers.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Own {
    pub name: String,
    pub source: String,
    /// The entry point, if it is another one.
    pub main: Option<String>,
    #[serde(default)]
    pub args: Value,
    /// The whole result; without one the run is to fail.
    pub result: Option<Value>,
    /// A part of the error, of `/init` or of the run.
    pub error: Option<String>,
    /// A part of what stderr holds.
    pub stderr: Option<String>,
}

/// A server that is no runtime of ours.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Server {
    /// What runs it; the text of `file` is added.
    pub command: Vec<String>,
    pub file: String,
}

/// Code as somebody would upload it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Code {
    Source(String),
    /// A zip archive, or something that claims to be one.
    Binary(Vec<u8>),
}

fn default_main() -> String {
    "main".to_owned()
}

fn default_other_main() -> String {
    "niam".to_owned()
}

fn folder() -> PathBuf {
    place::workspace().join("tests/runtimes")
}

/// Every language there is a folder for, in the order of their names.
pub fn all() -> anyhow::Result<Vec<Language>> {
    let mut languages = Vec::new();
    for entry in std::fs::read_dir(folder())? {
        let file = entry?.path().join("language.toml");
        if file.is_file() {
            languages.push(read(&file).with_context(|| file.display().to_string())?);
        }
    }
    languages.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(languages)
}

fn read(file: &Path) -> anyhow::Result<Language> {
    let mut language: Language = toml::from_str(&std::fs::read_to_string(file)?)?;
    let name = file.parent().and_then(Path::file_name).context("a folder has a name")?;
    language.name = name.to_string_lossy().into_owned();
    if let Ok(image) = std::env::var(format!("OXWHISK_TEST_IMAGE_{}", language.name.to_uppercase())) {
        language.image = image;
    }
    Ok(language)
}

impl Language {
    /// The code that a case needs.
    pub fn code(&self, source: &str) -> anyhow::Result<Code> {
        let folder = folder().join(&self.name);
        let (file, archive) = (folder.join(format!("{source}.{}", self.extension)), folder.join(source));
        if archive.is_dir() {
            return Ok(Code::Binary(zip(&archive)?));
        }
        let text = std::fs::read_to_string(&file);
        Ok(Code::Source(text.with_context(|| format!("there is no {}", file.display()))?))
    }

    /// The text of its own server, behind the command that runs it.
    pub fn command(&self) -> anyhow::Result<Option<Vec<String>>> {
        let Some(server) = &self.server else { return Ok(None) };
        let mut command = server.command.clone();
        command.push(std::fs::read_to_string(folder().join(&self.name).join(&server.file))?);
        Ok(Some(command))
    }
}

impl Code {
    /// As `/init` is given it: the text, and whether it is base64.
    pub fn sent(&self) -> (String, bool) {
        match self {
            Code::Source(text) => (text.clone(), false),
            Code::Binary(bytes) => (BASE64_STANDARD.encode(bytes), true),
        }
    }

    pub fn bytes(&self) -> &[u8] {
        match self {
            Code::Source(text) => text.as_bytes(),
            Code::Binary(bytes) => bytes,
        }
    }
}

/// A folder with all below it, as an archive.
fn zip(root: &Path) -> anyhow::Result<Vec<u8>> {
    let mut archive = ZipWriter::new(Cursor::new(Vec::new()));
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let mut entries = std::fs::read_dir(&folder)?.collect::<Result<Vec<_>, _>>()?;
        entries.sort_by_key(std::fs::DirEntry::file_name);
        for path in entries.into_iter().map(|entry| entry.path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(root)?.to_string_lossy().into_owned();
            archive.start_file(name, SimpleFileOptions::default())?;
            archive.write_all(&std::fs::read(&path)?)?;
        }
    }
    Ok(archive.finish()?.into_inner())
}
