//! Logs to standard error, as lines for people or as JSON for machines, and to a file where one is wanted.

pub(crate) mod line;
pub mod span;

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;

/// Where the lines go besides standard error, once this process knows what it is.
static FILE: OnceLock<File> = OnceLock::new();

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// A line of text, as upstream's.
    Text,
    /// An object a line.
    Json,
}

impl std::str::FromStr for LogFormat {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            other => Err(format!("'{other}' is none of text, json")),
        }
    }
}

/// Starts logging. `level` is `error`, `warn`, `info`, `debug`, `trace`, or a filter such as
/// `info,invoker=debug`. To be called once a process; returns what is wrong with `level`.
pub fn start(format: LogFormat, level: &str) -> Result<(), String> {
    let filter = EnvFilter::try_new(level).map_err(|error| error.to_string())?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(|| Lines);
    match format {
        LogFormat::Text => builder.with_ansi(false).event_format(line::Line).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    }
    .map_err(|error| error.to_string())
}

/// Writes what is logged from now on also to the file of that component under `folder`. What rotates it has
/// to copy and truncate it. To be called once a process.
pub fn log_into(folder: &Path, component: &str) -> io::Result<()> {
    let path = log_file(folder, component);
    if let Some(parent) = path.parent() {
        std::fs::create_dir_all(parent)?;
    }
    let file = OpenOptions::new().create(true).append(true).open(path)?;
    FILE.set(file).map_err(|_| io::Error::other("there is a log file already"))
}

/// The file of a component, such as `controller0`: where upstream's containers have theirs.
pub fn log_file(folder: &Path, component: &str) -> PathBuf {
    folder.join(component).join(format!("{component}_logs.log"))
}

/// How a line of either format shows that it belongs to a transaction, or to one below it.
pub fn marks_of(transid: &str) -> [String; 3] {
    let quoted = serde_json::Value::from(transid);
    [line::mark(transid), format!("\"transid\":{quoted}"), format!("\"transid.root\":{quoted}")]
}

/// Both places. A line is written as a whole, so that processes and threads do not mix theirs.
struct Lines;

impl Write for Lines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Some(mut file) = FILE.get() {
            // There is nobody to tell but standard error, which gets the line itself.
            let _ = file.write_all(line);
        }
        io::stderr().write_all(line)?;
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}
