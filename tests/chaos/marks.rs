//! The proof that user code ran: the action itself appends its activation id to a file.
//!
//! A process of this machine writes to a file of the test. A container cannot, so it writes to one of
//! its own, and the test reads that through the container's first process, also when the server that
//! started it is dead.

use std::collections::BTreeMap;
use std::path::PathBuf;

use tests::docker::Instance;
use tests::namespace::{Isolation, Namespace};
use tests::server::Home;

/// Marks its beginning and its end.
pub const MARKING: &str = "const fs = require('fs');
function main({ file, ms }) {
  const id = process.env.__OW_ACTIVATION_ID;
  fs.appendFileSync(file, `begin ${id}\\n`);
  return new Promise(done => setTimeout(() => {
    fs.appendFileSync(file, `end ${id}\\n`);
    done({ id });
  }, ms));
}";

/// Inside a container.
const INNER_FILE: &str = "/tmp/oxwhisk-chaos-marks";

/// Where the marks of one server are.
#[derive(Debug)]
pub enum Marks {
    /// In one file, whoever ran.
    File(PathBuf),
    /// In one file a container.
    Containers(Instance),
}

/// How often an activation began and ended.
#[derive(Clone, Copy, Debug, Default)]
pub struct Run {
    /// Beginnings of user code.
    pub begun: usize,
    /// Ends of user code.
    pub ended: usize,
}

impl Marks {
    /// The marks of the server that serves this namespace.
    pub async fn of(me: &Namespace, home: &Home) -> Self {
        match me.isolation().await {
            Isolation::Containers(id) => Self::Containers(Instance::of_container(&id).await),
            Isolation::Processes => Self::File(home.folder().join("marks")),
        }
    }

    /// The path that the action is told.
    pub fn path(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Containers(_) => INNER_FILE.to_owned(),
        }
    }

    /// Adds what the marks say now.
    pub async fn read_into(&self, runs: &mut BTreeMap<String, Run>) {
        let texts = match self {
            Self::File(path) => vec![std::fs::read_to_string(path).unwrap_or_default()],
            Self::Containers(instance) => instance.read_in_all(INNER_FILE).await,
        };
        for line in texts.iter().flat_map(|text| text.lines()) {
            match line.split_once(' ') {
                Some(("begin", id)) => runs.entry(id.to_owned()).or_default().begun += 1,
                Some(("end", id)) => runs.entry(id.to_owned()).or_default().ended += 1,
                _ => panic!("a mark that nobody makes: {line:?}"),
            }
        }
    }

    /// What the marks say now.
    pub async fn read(&self) -> BTreeMap<String, Run> {
        let mut runs = BTreeMap::new();
        self.read_into(&mut runs).await;
        runs
    }
}
