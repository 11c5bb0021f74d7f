//! What a program finds when it looks at its surroundings: `oxwhisk doctor`, `--check`.

use std::process::{Command, Stdio};

/// What it printed, and whether something failed.
#[derive(Debug)]
pub struct Findings {
    lines: Vec<String>,
    is_success: bool,
}

impl Findings {
    /// Runs a command line that ends with `--check`.
    ///
    /// # Panics
    ///
    /// If it does not run, or prints something else.
    pub fn of(mut command: Command) -> Self {
        command.stdin(Stdio::null());
        let output = command.output().unwrap_or_else(|error| panic!("{command:?} does not start: {error}"));
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(told.is_empty(), "{command:?} complains: {told}");
        let lines: Vec<String> = String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect();
        let findings = Self { lines, is_success: output.status.success() };
        let failed = findings.lines.iter().any(|line| line.starts_with("FAIL  "));
        assert_eq!(findings.is_success, !failed, "{findings:#?}");
        for line in &findings.lines {
            let remedied = line.starts_with("ok    ") != line.contains("  - ");
            assert!(remedied, "what is wrong has a remedy, and nothing else has: {line}");
        }
        findings
    }

    /// Demands that nothing failed.
    ///
    /// # Panics
    ///
    /// If something did.
    pub fn expect_health(&self) {
        assert!(self.is_success && self.lines.len() > 5, "{self:#?}");
    }

    /// Demands one line with this beginning and these words; returns it.
    ///
    /// # Panics
    ///
    /// If there is none, or more than one.
    pub fn expect(&self, verdict: &str, words: &[&str]) -> &str {
        let has_all = |line: &&String| words.iter().all(|word| line.contains(word));
        let found: Vec<_> =
            self.lines.iter().filter(|line| line.starts_with(verdict)).filter(has_all).collect();
        assert_eq!(found.len(), 1, "one {verdict} line has {words:?}: {self:#?}");
        found[0]
    }

    /// The same of a failure, which must be the only one.
    ///
    /// # Panics
    ///
    /// If there is none, or more than one.
    pub fn expect_only_failure(&self, words: &[&str]) -> &str {
        let failures = self.lines.iter().filter(|line| line.starts_with("FAIL")).count();
        assert_eq!(failures, 1, "{words:?}: {self:#?}");
        self.expect("FAIL", words)
    }
}
