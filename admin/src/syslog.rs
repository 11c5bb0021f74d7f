//! `wskadmin syslog`: the log lines of controllers and invokers, of all that were named in the order of time.
//!
//! A process that is started with `--log-dir` writes what it logs also to `<dir>/<component>/<component>_logs.log`, as
//! upstream's containers do.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use common::telemetry;
use regex::Regex;

use crate::output::{self, Outcome};

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// get logs
    Get(Get),
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// components, one or more of [controllerN, invokerN] where N is the instance
    #[arg(default_values = ["controller0", "invoker0"])]
    components: Vec<String>,
    /// retrieve logs for the transaction id
    #[arg(short, long)]
    tid: Option<String>,
    /// retrieve logs that match grep expression
    #[arg(short, long)]
    grep: Option<String>,
    /// where the logs are: what the processes have as --log-dir
    #[arg(long, value_name = "DIR", env = "OXWHISK_LOG_DIR")]
    log_dir: Option<PathBuf>,
}

pub(crate) fn run(command: &Command) -> anyhow::Result<Outcome> {
    match command {
        Command::Get(get) => get.run(),
    }
}

impl Get {
    fn run(&self) -> anyhow::Result<Outcome> {
        let Some(folder) = &self.log_dir else {
            return Ok(Outcome::misused("name the folder of the logs with --log-dir or OXWHISK_LOG_DIR"));
        };
        let expression = match &self.grep {
            Some(text) => match Regex::new(text) {
                Ok(expression) => Some(expression),
                Err(error) => return Ok(Outcome::misused(format!("\"{text}\" is no expression: {error}"))),
            },
            None => None,
        };
        let mut lines = Vec::new();
        for component in &self.components {
            // A component's name is part of a path, and no way out of the folder.
            if component.contains(['/', '.']) {
                return Ok(Outcome::misused(format!("\"{component}\" is no component")));
            }
            match std::fs::read(telemetry::log_file(folder, component)) {
                Ok(bytes) => lines.extend(self.chosen(&String::from_utf8_lossy(&bytes), expression.as_ref())),
                Err(error) => output::note(&missing(folder, component, &error)),
            }
        }
        // Every line begins with its time.
        lines.sort();
        Ok(Outcome::done(lines))
    }

    fn chosen(&self, text: &str, expression: Option<&Regex>) -> Vec<String> {
        let of_transaction = self.tid.as_ref().map(|tid| telemetry::marks_of(tid));
        let lines = text.lines().filter(|line| !line.is_empty()).filter(|line| match &of_transaction {
            Some(marks) => marks.iter().any(|mark| line.contains(mark.as_str())),
            None => expression.is_none_or(|expression| expression.is_match(line)),
        });
        lines.map(str::to_owned).collect()
    }
}

fn missing(folder: &Path, component: &str, error: &std::io::Error) -> String {
    format!("the log {} cannot be read: {error}", telemetry::log_file(folder, component).display())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_transaction_is_more_than_a_part_of_another() {
        let get = Get { components: Vec::new(), tid: Some("abc".into()), grep: None, log_dir: None };
        let text = "1 [#tid_abc] yes\n2 [#tid_abcd] no\n3 {\"transid\":\"abc\"} yes\n\n4 abc no\n";
        assert_eq!(get.chosen(text, None), ["1 [#tid_abc] yes", "3 {\"transid\":\"abc\"} yes"]);
    }
}
