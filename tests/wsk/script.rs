//! The script as data: a file a part, in the order of their names.

use std::fmt::Write;
use std::path::Path;

use regex::RegexBuilder;
use serde::Deserialize;

/// A part of the script.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Its letter.
    pub part: String,
    /// What it is about.
    pub title: String,
    /// What must be there besides `wsk`.
    pub needs: Option<Need>,
    /// Its commands.
    #[serde(rename = "item")]
    pub items: Vec<Item>,
}

/// Another client.
#[derive(Clone, Copy, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Need {
    /// The program `wskdeploy`.
    Wskdeploy,
    /// The packages of npm.
    NodeModules,
}

/// One command.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Item {
    /// It stays the same when others are left out.
    pub number: u32,
    /// For bash; what it sets is there for those that follow.
    pub command: String,
    /// How it must end.
    #[serde(default)]
    pub exit: Exit,
    /// Patterns that must each be found in what it prints, on standard output and standard error together;
    /// `^` and `$` are the ends of a line.
    #[serde(default)]
    pub output: Vec<String>,
    /// A word to the reader.
    #[serde(default)]
    pub note: String,
}

/// An exit code, or any.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Exit {
    /// This one.
    Code(i32),
    /// The word `any`.
    Any(Any),
}

/// The word `any`.
#[derive(Debug, Deserialize)]
pub enum Any {
    /// The word itself.
    #[serde(rename = "any")]
    Any,
}

impl Default for Exit {
    fn default() -> Self {
        Self::Code(0)
    }
}

/// What came of a command.
#[derive(Debug)]
pub struct Run {
    /// Its exit code.
    pub exit: i32,
    /// What it printed.
    pub output: String,
}

/// Reads the script.
///
/// # Panics
///
/// If it is not what it should be.
pub fn read(folder: &Path) -> Vec<Part> {
    let entries = std::fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut files: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    files.sort();
    let parts: Vec<Part> = files
        .iter()
        .map(|file| {
            let text = std::fs::read_to_string(file).expect("a file of the repository can be read");
            toml::from_str(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
        })
        .collect();
    let numbers: Vec<u32> = parts.iter().flat_map(|part| &part.items).map(|item| item.number).collect();
    assert!(numbers.is_sorted_by(|before, after| before < after), "items are in the order of their numbers");
    parts
}

impl Item {
    /// Whether a run is as it should be; if not, the whole story.
    pub fn judge(&self, run: &Run) -> Result<(), String> {
        let mut story = String::new();
        if let Exit::Code(wanted) = self.exit
            && wanted != run.exit
        {
            let _ = writeln!(story, "  ended with {}, not {wanted}", run.exit);
        }
        for pattern in &self.output {
            let regex = RegexBuilder::new(pattern).multi_line(true).build();
            let regex = regex.unwrap_or_else(|error| panic!("item {}: {error}", self.number));
            if !regex.is_match(&run.output) {
                let _ = writeln!(story, "  printed nothing like {pattern}");
            }
        }
        if story.is_empty() {
            return Ok(());
        }
        let printed = run.output.lines().map(|line| format!("  | {line}")).collect::<Vec<_>>().join("\n");
        let note = if self.note.is_empty() { String::new() } else { format!("  ({})\n", self.note) };
        Err(format!("  $ {}\n{note}{story}{printed}", self.command))
    }
}
