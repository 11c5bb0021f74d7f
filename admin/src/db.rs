//! `wskadmin db`: what the databases hold, as upstream's tool shows CouchDB's answers.
//!
//! There is one database, or one file a part; the three names that upstream has are views of it. Rows are
//! printed as they are read, so that a long table needs no memory; only views are sorted first. Keys are not shown:
//! `user get` and `user list` are there for that.

mod backup;
mod documents;
mod views;

use std::io::{BufWriter, Write};
use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use crate::Installation;
use crate::output::{self, Outcome};
use documents::{Database, Documents};
use views::View;

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// get contents of database
    Get(Get),
    /// write all that a data directory keeps into a new folder, also while it is served
    Backup {
        /// the folder, which must not be there
        folder: PathBuf,
    },
}

#[derive(Debug, Args)]
pub(crate) struct Get {
    /// the database: subjects, whisks or activations
    database: String,
    /// the view in the database to query, design/view
    #[arg(short = 'w', long)]
    view: Option<String>,
    /// include document contents
    #[arg(long)]
    docs: bool,
}

pub(crate) async fn run(command: Command, installation: &Installation) -> anyhow::Result<Outcome> {
    match command {
        Command::Get(get) => get.run(installation).await,
        Command::Backup { folder } => backup::run(&folder, installation).await,
    }
}

impl Get {
    async fn run(self, installation: &Installation) -> anyhow::Result<Outcome> {
        let view = match self.view.as_deref().map(|view| (view, view.split_once('/'))) {
            Some((view, None)) => {
                let why = format!("view name \"{view}\" is not formatted correctly, should be design/view");
                return Ok(Outcome::misused(why));
            }
            Some((_, Some(view))) => Some(view),
            None => None,
        };
        let shown = self.view.as_deref().unwrap_or("primary index");
        output::say(&format!("getting contents for {} ({shown})", self.database));
        let missing = |what: &str| {
            let answer = json!({ "error": "not_found", "reason": what });
            Ok(Outcome::refused(format!("Failed to get database ({answer})")))
        };
        let Some(database) = Database::named(&self.database) else {
            return missing("Database does not exist.");
        };
        let mut documents = Documents::of(database, installation);
        let mut table = Table { out: BufWriter::new(std::io::stdout()), rows: 0 };
        match view {
            None => {
                while let Some((id, revision, document)) = documents.next().await? {
                    let mut row = json!({ "id": id, "key": id, "value": { "rev": revision } });
                    if self.docs {
                        row["doc"] = document;
                    }
                    table.row(&row)?;
                }
            }
            Some((design, name)) => {
                let Some(view) = View::named(database, design, name) else {
                    return missing("missing_named_view");
                };
                let mut rows = Vec::new();
                while let Some((id, _, document)) = documents.next().await? {
                    for (key, value) in view.rows(&document) {
                        let mut row = json!({ "id": id, "key": key, "value": value });
                        if self.docs {
                            row["doc"] = document.clone();
                        }
                        rows.push(row);
                    }
                }
                rows.sort_by(|one, other| views::compare(&one["key"], &other["key"]));
                rows.iter().try_for_each(|row| table.row(row))?;
            }
        }
        table.end()?;
        Ok(Outcome::done([]))
    }
}

/// CouchDB's answer, member by member in the order of their names.
struct Table {
    out: BufWriter<std::io::Stdout>,
    rows: u64,
}

impl Table {
    fn row(&mut self, row: &Value) -> anyhow::Result<()> {
        let before = if self.rows == 0 { "{\n    \"offset\": 0,\n    \"rows\": [" } else { "," };
        self.rows += 1;
        write!(self.out, "{before}\n{}", indented(row)?)?;
        Ok(())
    }

    fn end(mut self) -> anyhow::Result<()> {
        match self.rows {
            0 => writeln!(self.out, "{{\n    \"offset\": 0,\n    \"rows\": [],\n    \"total_rows\": 0\n}}")?,
            rows => writeln!(self.out, "\n    ],\n    \"total_rows\": {rows}\n}}")?,
        }
        self.out.flush()?;
        Ok(())
    }
}

/// A row within the table: four columns a step, members sorted.
fn indented(row: &Value) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    let formatter = serde_json::ser::PrettyFormatter::with_indent(b"    ");
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, formatter);
    serde::Serialize::serialize(&sorted(row), &mut serializer)?;
    let text = String::from_utf8(bytes)?;
    let lines: Vec<String> = text.lines().map(|line| format!("        {line}")).collect();
    Ok(lines.join("\n"))
}

/// The same with the members of every object in the order of their names.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut members: Vec<(&String, &Value)> = members.iter().collect();
            members.sort_by_key(|(name, _)| *name);
            members.into_iter().map(|(name, value)| (name.clone(), sorted(value))).collect()
        }
        Value::Array(items) => items.iter().map(sorted).collect(),
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_sorted_and_indented_as_upstream_prints_them() {
        let text = indented(&json!({ "key": [1, {}], "id": "a", "doc": { "b": 1, "a": null } })).unwrap();
        let expected = "        {\n            \"doc\": {\n                \"a\": null,\n                \"b\": 1\n            },\n            \
             \"id\": \"a\",\n            \"key\": [\n                1,\n                {}\n            ]\n        }";
        assert_eq!(text, expected);
    }
}
