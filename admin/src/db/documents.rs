//! Every document of a database, page by page, in the form that upstream stores it.

use std::collections::VecDeque;

use common::entity::id::ActivationId;
use common::store::Stored;
use serde_json::{Value, json};

use crate::Installation;

/// Documents that are read at once.
const PAGE: u64 = 200;

/// Upstream's three databases.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Database {
    /// Subjects, and limits of namespaces.
    Subjects,
    /// Actions, packages, triggers and rules.
    Whisks,
    /// Records.
    Activations,
}

impl Database {
    pub(super) fn named(name: &str) -> Option<Self> {
        match name {
            "subjects" => Some(Self::Subjects),
            "whisks" => Some(Self::Whisks),
            "activations" => Some(Self::Activations),
            _ => None,
        }
    }
}

/// A document: its id, its revision, itself.
pub(super) type Document = (String, String, Value);

/// Reads documents one after the other.
pub(super) struct Documents<'a> {
    installation: &'a Installation,
    part: Part,
    page: VecDeque<Document>,
}

/// What is read next.
enum Part {
    Subjects { after: String },
    Limits { after: String },
    Entities { after: String },
    Activations { after: Option<ActivationId> },
    Nothing,
}

impl<'a> Documents<'a> {
    pub(super) fn of(database: Database, installation: &'a Installation) -> Self {
        let after = String::new();
        let part = match database {
            Database::Subjects => Part::Subjects { after },
            Database::Whisks => Part::Entities { after },
            Database::Activations => Part::Activations { after: None },
        };
        Self { installation, part, page: VecDeque::new() }
    }

    pub(super) async fn next(&mut self) -> anyhow::Result<Option<Document>> {
        while self.page.is_empty() {
            if matches!(self.part, Part::Nothing) {
                return Ok(None);
            }
            self.read().await?;
        }
        Ok(self.page.pop_front())
    }

    async fn read(&mut self) -> anyhow::Result<()> {
        let stores = self.installation;
        self.part = match std::mem::replace(&mut self.part, Part::Nothing) {
            Part::Subjects { after } => {
                let names = stores.subjects.subjects(&after, PAGE).await?;
                for name in &names {
                    // One that was deleted in between is not there.
                    let Some(record) = stores.subjects.subject(name).await? else { continue };
                    let namespaces: Vec<Value> = record
                        .keys
                        .iter()
                        .map(|key| json!({ "name": key.namespace, "uuid": key.uuid }))
                        .collect();
                    let document =
                        json!({ "subject": name, "namespaces": namespaces, "blocked": record.blocked });
                    self.page.push_back(numbered(name.clone(), "1-0".to_owned(), document));
                }
                match names.into_iter().next_back() {
                    Some(after) => Part::Subjects { after },
                    None => Part::Limits { after: String::new() },
                }
            }
            Part::Limits { after } => {
                let namespaces = stores.subjects.limited(&after, PAGE).await?;
                for namespace in &namespaces {
                    let Some(limits) = stores.subjects.limits(namespace).await? else { continue };
                    let document = serde_json::to_value(limits)?;
                    self.page.push_back(numbered(format!("{namespace}/limits"), "1-0".to_owned(), document));
                }
                namespaces.into_iter().next_back().map_or(Part::Nothing, |after| Part::Limits { after })
            }
            Part::Entities { after } => {
                let page = stores.artifacts.documents(&after, PAGE).await?;
                let last = page.last().map(|stored| stored.id.clone());
                for Stored { id, kind, revision, json } in page {
                    // One that is broken hides no other.
                    let document = match serde_json::from_str(&json) {
                        Ok(document @ Value::Object(_)) => document,
                        Ok(_) => json!({ "unreadable": "it is no object" }),
                        Err(error) => json!({ "unreadable": error.to_string() }),
                    };
                    let mut document = numbered(id, revision.0, document);
                    document.2["entityType"] = kind.as_str().into();
                    self.page.push_back(document);
                }
                last.map_or(Part::Nothing, |after| Part::Entities { after })
            }
            Part::Activations { after } => {
                let page = stores.activations.all(after, PAGE).await?;
                let last = page.last().map(|(id, _)| *id);
                for (id, record) in page {
                    let (id, document) = match record {
                        Ok(record) => {
                            (format!("{}/{id}", record.head.namespace), serde_json::to_value(&record)?)
                        }
                        Err(error) => {
                            let error = anyhow::Error::from(error);
                            (id.to_string(), json!({ "unreadable": format!("{error:#}") }))
                        }
                    };
                    let mut document = numbered(id, "1-0".to_owned(), document);
                    document.2["entityType"] = "activation".into();
                    self.page.push_back(document);
                }
                last.map_or(Part::Nothing, |after| Part::Activations { after: Some(after) })
            }
            Part::Nothing => Part::Nothing,
        };
        Ok(())
    }
}

/// With CouchDB's two members. Only entities have revisions here; what has none shows the first.
fn numbered(id: String, revision: String, mut document: Value) -> Document {
    document["_id"] = id.as_str().into();
    document["_rev"] = revision.as_str().into();
    (id, revision, document)
}
