//! What a program finds when it looks at its surroundings instead of starting (`oxwhisk doctor`, `--check`): a
//! finding a line, with what to do about it.
//!
//! Nothing is made or changed. What Docker, Kafka and the databases are asked is beside their clients; here
//! is what a machine tells by itself.

pub mod holder;
pub mod machine;

use std::io::{self, Write};
use std::process::ExitCode;

use serde::Serialize;

use crate::telemetry::LogFormat;

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Verdict {
    /// As it should be.
    #[serde(rename = "ok")]
    Ok,
    /// It works, but not as well as it could, or not for long.
    #[serde(rename = "warn")]
    Warn,
    /// It does not work.
    #[serde(rename = "FAIL")]
    Fail,
}

impl Verdict {
    fn word(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "FAIL",
        }
    }
}

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// How bad it is.
    pub verdict: Verdict,
    /// What was found.
    pub what: String,
    /// What to do about it; empty if nothing.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

impl Finding {
    /// As it should be.
    pub fn ok(what: impl Into<String>) -> Self {
        Self { verdict: Verdict::Ok, what: what.into(), remedy: String::new() }
    }

    /// It works, but.
    pub fn warn(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warn, what: what.into(), remedy: remedy.into() }
    }

    /// It does not work.
    pub fn fail(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { verdict: Verdict::Fail, what: what.into(), remedy: remedy.into() }
    }

    /// Its line.
    pub fn line(&self, format: LogFormat) -> String {
        let text = match format {
            LogFormat::Text if self.remedy.is_empty() => format!("{:<4}  {}", self.verdict.word(), self.what),
            LogFormat::Text => format!("{:<4}  {}  - {}", self.verdict.word(), self.what, self.remedy),
            LogFormat::Json => serde_json::to_string(self).expect("a finding is JSON"),
        };
        text.replace('\n', " ")
    }
}

/// Prints findings as they are made, and tells by its exit code whether one was a failure.
#[derive(Debug)]
pub struct Report {
    format: LogFormat,
    has_failed: bool,
}

impl Report {
    /// Nothing was found yet.
    pub fn new(format: LogFormat) -> Self {
        Self { format, has_failed: false }
    }

    /// Takes findings down.
    ///
    /// # Errors
    ///
    /// If nobody reads them.
    pub fn add(&mut self, findings: impl IntoIterator<Item = Finding>) -> io::Result<()> {
        let mut out = io::stdout().lock();
        for finding in findings {
            self.has_failed |= finding.verdict == Verdict::Fail;
            writeln!(out, "{}", finding.line(self.format))?;
        }
        out.flush()
    }

    /// 1 if something does not work.
    pub fn exit_code(&self) -> ExitCode {
        ExitCode::from(u8::from(self.has_failed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_is_one_line() {
        let fine = Finding::ok("all is well");
        assert_eq!(fine.line(LogFormat::Text), "ok    all is well");
        assert_eq!(fine.line(LogFormat::Json), r#"{"verdict":"ok","what":"all is well"}"#);
        let broken = Finding::fail("it\nbroke", "mend it");
        assert_eq!(broken.line(LogFormat::Text), "FAIL  it broke  - mend it");
        let text = broken.line(LogFormat::Json);
        assert_eq!(text, r#"{"verdict":"FAIL","what":"it\nbroke","remedy":"mend it"}"#);
        assert_eq!(Finding::warn("so", "so").line(LogFormat::Text), "warn  so  - so");
    }
}
