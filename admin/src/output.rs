//! What a command says and how it exits.
//!
//! Answers and refusals go to standard output, as upstream's tool writes them, so that scripts find
//! them where they look; what kept the tool from working at all goes to standard error.
#![expect(clippy::print_stdout, reason = "printing is what this module is for")]

use std::process::ExitCode;

/// The end of a command.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) lines: Vec<String>,
    pub(crate) code: u8,
}

impl Outcome {
    /// Done, with an answer of some lines.
    pub(crate) fn done(lines: impl IntoIterator<Item = String>) -> Self {
        Self { lines: lines.into_iter().collect(), code: 0 }
    }

    /// Refused by what is stored.
    pub(crate) fn refused(why: impl Into<String>) -> Self {
        Self { lines: vec![why.into()], code: 1 }
    }

    /// Not a request that can be met, whatever is stored.
    pub(crate) fn misused(why: impl Into<String>) -> Self {
        Self { lines: vec![why.into()], code: 2 }
    }

    pub(crate) fn print(self) -> ExitCode {
        for line in self.lines {
            println!("{line}");
        }
        ExitCode::from(self.code)
    }
}

/// What kept the tool from working; the whole chain of causes if asked for, else the first two.
pub(crate) fn complain(error: &anyhow::Error, verbose: bool) -> ExitCode {
    let depth = if verbose { usize::MAX } else { 2 };
    let causes: Vec<String> = error.chain().take(depth).map(ToString::to_string).collect();
    eprintln!("wskadmin: {}", causes.join(": "));
    ExitCode::from(1)
}

/// A line of an answer that goes on.
pub(crate) fn say(text: &str) {
    println!("{text}");
}

/// A remark for whoever asked for more words.
pub(crate) fn note(text: &str) {
    eprintln!("{text}");
}
