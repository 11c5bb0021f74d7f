//! The count of a suite that can skip: what cargo's own test runner would call `ok`, though nothing ran.
//!
//! Each case is passed, failed or skipped; the last line says how many, and only a failure fails the suite.

#![allow(clippy::print_stdout, reason = "the count is what it is for")]

use std::process::ExitCode;

/// What came of the cases of one suite.
#[derive(Debug)]
pub struct Tally {
    suite: &'static str,
    passed: usize,
    failed: Vec<String>,
    skipped: usize,
}

impl Tally {
    /// Nothing ran yet.
    pub fn new(suite: &'static str) -> Self {
        println!("\nrunning the suite {suite}");
        Self { suite, passed: 0, failed: Vec::new(), skipped: 0 }
    }

    /// Whether the words behind the suite's name on the command line ask for it: no word, or a part of its
    /// name. Words that begin with a dash are for other runners.
    pub fn is_asked_for(suite: &str) -> bool {
        let arguments: Vec<String> = std::env::args().skip(1).collect();
        let mut words = arguments.iter().filter(|argument| !argument.starts_with('-')).peekable();
        !arguments.iter().any(|argument| argument == "--list")
            && (words.peek().is_none() || words.any(|word| suite.contains(word.as_str())))
    }

    /// A case did what it should.
    pub fn passed(&mut self, case: &str) {
        println!("{} {case} ... ok", self.suite);
        self.passed += 1;
    }

    /// A case did not.
    pub fn failed(&mut self, case: &str, why: &str) {
        println!("{} {case} ... FAILED\n{why}\n", self.suite);
        self.failed.push(case.to_owned());
    }

    /// Judges a case by its outcome.
    pub fn judge(&mut self, case: &str, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.passed(case),
            Err(why) => self.failed(case, &why),
        }
    }

    /// So many cases cannot run here.
    pub fn skipped(&mut self, count: usize, why: &str) {
        println!("{}: {count} SKIPPED: {why}", self.suite);
        self.skipped += count;
    }

    /// Says the count.
    pub fn end(self) -> ExitCode {
        let Self { suite, passed, failed, skipped } = self;
        println!("\n{suite}: {passed} passed; {} failed; {skipped} skipped", failed.len());
        if failed.is_empty() {
            return ExitCode::SUCCESS;
        }
        println!("{suite}: failed: {}", failed.join(", "));
        ExitCode::FAILURE
    }
}
