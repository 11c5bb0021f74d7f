//! The three stores: entities and their code; subjects, keys and limits; activation records.
//!
//! Documents are kept byte for byte as the JSON text they were written as. What lists need stands in
//! columns. A write that has returned is durable. Upstream: `common/scala/.../core/database/ArtifactStore.scala`.

pub mod cache;
mod doctor;
pub mod measured;
#[cfg(feature = "postgres")]
pub mod postgres;
mod rows;
pub mod seal;
pub mod sqlite;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::broadcast;

use crate::clock::Millis;
use crate::entity::activation::{Activation, ActivationHead, Status};
use crate::entity::exec::CodeRef;
use crate::entity::id::ActivationId;
use crate::entity::limits::UserLimits;
use crate::entity::name::{EntityName, EntityPath};

/// Why a store did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else wrote since it was read.
    #[error("'{0}' was changed by somebody else")]
    Conflict(String),
    /// What is stored cannot be read.
    #[error("'{id}' cannot be read")]
    Corrupt {
        /// Which document.
        id: String,
        /// What is wrong with it.
        #[source]
        source: anyhow::Error,
    },
    /// The database refused or is away.
    #[error("the store failed: {operation}")]
    Unavailable {
        /// What was tried.
        operation: &'static str,
        /// What came back.
        #[source]
        source: anyhow::Error,
    },
}

impl StoreError {
    /// Whether the same call may succeed later.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::Conflict(_) | Self::Corrupt { .. } => false,
        }
    }
}

/// The revision of a stored document: `<n>-<tag>`, of which `n` grows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Revision(pub String);

/// What kind of entity a document is. Names are shared: one document id, one entity of any kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntityKind {
    /// An action, sequence or conductor.
    Action,
    /// A package or binding.
    Package,
    /// A trigger.
    Trigger,
    /// A rule.
    Rule,
}

impl EntityKind {
    /// As stored: upstream's `entityType`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Action => "action",
            Self::Package => "package",
            Self::Trigger => "trigger",
            Self::Rule => "rule",
        }
    }

    /// The kind of a stored word.
    pub fn parse(word: &str) -> Option<Self> {
        [Self::Action, Self::Package, Self::Trigger, Self::Rule]
            .into_iter()
            .find(|kind| kind.as_str() == word)
    }
}

/// An entity to be written.
#[derive(Clone, Debug)]
pub struct Document {
    /// What it is.
    pub kind: EntityKind,
    /// `ns` or `ns/pkg`. The document's id is `<path>/<name>`.
    pub path: EntityPath,
    /// Its own name.
    pub name: EntityName,
    /// When it was changed.
    pub updated: Millis,
    /// Whether it is public; lists of packages by strangers go by it.
    pub publish: bool,
    /// The entity, without code.
    pub json: String,
    /// The code it refers to; written in the same transaction, kept while any document refers to it.
    pub code: Option<(CodeRef, Bytes)>,
}

impl Document {
    /// `ns/name` or `ns/pkg/name`.
    pub fn id(&self) -> String {
        format!("{}/{}", self.path, self.name)
    }
}

/// One of several writes that are done together.
#[derive(Clone, Debug)]
pub enum Write {
    /// As [`ArtifactStore::put`].
    Put(Document, Option<Revision>),
    /// As [`ArtifactStore::delete`]: which document, and its revision.
    Delete(String, Revision),
    /// None, but the others are done only if that document is at that revision, or is not there.
    Unchanged(String, Option<Revision>),
}

impl Write {
    /// Which document.
    pub fn id(&self) -> String {
        match self {
            Self::Put(document, _) => document.id(),
            Self::Delete(id, _) | Self::Unchanged(id, _) => id.clone(),
        }
    }

    /// Which document it changes, if any.
    fn changes(&self) -> Option<String> {
        match self {
            Self::Put(..) | Self::Delete(..) => Some(self.id()),
            Self::Unchanged(..) => None,
        }
    }
}

/// A stored entity.
#[derive(Clone, Debug)]
pub struct Stored {
    /// `ns/name` or `ns/pkg/name`.
    pub id: String,
    /// What it is.
    pub kind: EntityKind,
    /// Of this reading; a write names it.
    pub revision: Revision,
    /// The entity, without code.
    pub json: String,
}

impl Stored {
    /// The entity, read as its type.
    pub fn read<T: serde::de::DeserializeOwned>(&self) -> Result<T, StoreError> {
        serde_json::from_str(&self.json)
            .map_err(|error| StoreError::Corrupt { id: self.id.clone(), source: error.into() })
    }
}

/// Which documents a list holds, newest change first.
#[derive(Clone, Debug)]
pub struct EntityQuery {
    /// What they are.
    pub kind: EntityKind,
    /// A namespace (with all its packages), or one package.
    pub path: EntityPath,
    /// Only public ones.
    pub only_public: bool,
    /// How many to pass over.
    pub skip: u64,
    /// How many at most.
    pub limit: u64,
}

/// Something was written, here or by another process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// The document of that id.
    Entity(String),
    /// A subject, a key, a limit or a block.
    Subjects,
    /// It is not known what.
    Anything,
}

/// Entities and their code.
#[async_trait]
pub trait ArtifactStore: Send + Sync {
    /// The document of that id.
    async fn get(&self, id: &str) -> Result<Option<Stored>, StoreError>;
    /// Creates (`expected` is `None`: [`StoreError::Conflict`] if it exists) or replaces that revision.
    async fn put(&self, document: &Document, expected: Option<&Revision>) -> Result<Revision, StoreError>;
    /// Deletes that revision.
    async fn delete(&self, id: &str, expected: &Revision) -> Result<(), StoreError>;
    /// Writes several documents, each of an id of its own: all of them or none. [`StoreError::Conflict`]
    /// names one that stands in the way.
    async fn write_all(&self, writes: &[Write]) -> Result<(), StoreError>;
    /// One page of documents.
    async fn list(&self, query: &EntityQuery) -> Result<Vec<Stored>, StoreError>;
    /// How many documents match, `skip` and `limit` left aside.
    async fn count(&self, query: &EntityQuery) -> Result<u64, StoreError>;
    /// Documents of all kinds in the order of their ids, from the one behind `after` on: for operators, who
    /// want all there is.
    async fn documents(&self, after: &str, limit: u64) -> Result<Vec<Stored>, StoreError>;
    /// The code of that digest.
    async fn code(&self, digest: &str) -> Result<Option<Bytes>, StoreError>;
    /// What is written from now on, by whomever.
    fn changes(&self) -> broadcast::Receiver<Change>;
}

/// A namespace of a subject, with what is kept of its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    /// The namespace's name.
    pub namespace: EntityName,
    /// What credentials find it by.
    pub uuid: String,
    /// The SHA-256 of the key.
    pub digest: [u8; 32],
    /// The key, sealed under the installation's secret.
    pub sealed: Vec<u8>,
}

/// A subject and its namespaces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubjectRecord {
    /// At least five characters.
    pub subject: String,
    /// Whether it is locked out.
    pub blocked: bool,
    /// At most one key a namespace.
    pub keys: Vec<KeyRecord>,
}

/// What authentication needs: a key with its subject and limits.
#[derive(Clone, Debug)]
pub struct IdentityRecord {
    /// The subject's name.
    pub subject: String,
    /// Whether it is locked out.
    pub blocked: bool,
    /// The namespace and its key.
    pub key: KeyRecord,
    /// The namespace's own limits; none if its document cannot be read.
    pub limits: UserLimits,
}

/// Subjects, keys and limits.
#[async_trait]
pub trait SubjectStore: Send + Sync {
    /// The identity that credentials name by their uuid.
    async fn by_uuid(&self, uuid: &str) -> Result<Option<IdentityRecord>, StoreError>;
    /// Every identity of a namespace.
    async fn by_namespace(&self, namespace: &str) -> Result<Vec<IdentityRecord>, StoreError>;
    /// A subject.
    async fn subject(&self, subject: &str) -> Result<Option<SubjectRecord>, StoreError>;
    /// Names of subjects in their order, from the one behind `after` on.
    async fn subjects(&self, after: &str, limit: u64) -> Result<Vec<String>, StoreError>;
    /// Names of subjects that are locked out.
    async fn blocked(&self) -> Result<Vec<String>, StoreError>;
    /// Creates or replaces a subject with all its keys.
    async fn put_subject(&self, record: &SubjectRecord) -> Result<(), StoreError>;
    /// Deletes a subject with all its keys. Returns whether there was one.
    async fn delete_subject(&self, subject: &str) -> Result<bool, StoreError>;
    /// A namespace's own limits.
    async fn limits(&self, namespace: &str) -> Result<Option<UserLimits>, StoreError>;
    /// Namespaces that have limits of their own, in the order of their names, from the one behind `after` on.
    async fn limited(&self, after: &str, limit: u64) -> Result<Vec<String>, StoreError>;
    /// Creates or replaces a namespace's own limits.
    async fn put_limits(&self, namespace: &str, limits: &UserLimits) -> Result<(), StoreError>;
    /// Deletes a namespace's own limits. Returns whether there were any.
    async fn delete_limits(&self, namespace: &str) -> Result<bool, StoreError>;
    /// A mark that something was done once, such as making the first subject. Returns whether it is new.
    async fn mark_once(&self, what: &str) -> Result<bool, StoreError>;
    /// What is written from now on, by whomever.
    fn changes(&self) -> broadcast::Receiver<Change>;
}

/// Which activations a list holds, newest start first.
#[derive(Clone, Debug)]
pub struct ActivationQuery {
    /// Whose.
    pub namespace: EntityName,
    /// `name` or `pkg/name`, as [`ActivationHead::filter_name`] makes it.
    pub name: Option<String>,
    /// Earliest start, inclusive.
    pub since: Option<Millis>,
    /// Latest start, inclusive.
    pub upto: Option<Millis>,
    /// How many to pass over.
    pub skip: u64,
    /// How many at most.
    pub limit: u64,
}

/// What a record is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Certainty {
    /// What happened: it takes the place of whatever is stored.
    Known,
    /// What a controller makes of silence: it takes the place of nothing.
    Presumed,
}

impl Certainty {
    /// That of a record.
    pub fn of(head: &ActivationHead) -> Self {
        if head.is_presumed() { Self::Presumed } else { Self::Known }
    }
}

/// A record that can never be stored as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unstorable {
    /// Whose record it is.
    pub id: ActivationId,
    /// The store's words.
    pub cause: String,
    /// Whether an error was stored in its place; else there is no record.
    pub replaced: bool,
}

/// Records as they lie there, each with its id; one that cannot be read is [`StoreError::Corrupt`].
pub type Page = Vec<(ActivationId, Result<Activation, StoreError>)>;

/// Activation records. One that cannot be read hides no other: lists leave it out, and the log names it.
#[async_trait]
pub trait ActivationStore: Send + Sync {
    /// Stores a batch. Storing a record again replaces it, so that a batch may be repeated. One record that
    /// cannot be stored does not keep the others from it.
    async fn store(&self, batch: &[Activation]) -> Result<Vec<Unstorable>, StoreError>;
    /// Stores those of a batch of which there is no record yet: what is presumed never replaces what is
    /// known, and [`ActivationStore::store`] replaces it like any other record. The first of an id counts.
    async fn presume(&self, batch: &[Activation]) -> Result<Vec<Unstorable>, StoreError>;
    /// The record of that id, if it is of that namespace.
    async fn get(&self, namespace: &EntityName, id: ActivationId) -> Result<Option<Activation>, StoreError>;
    /// Records of all namespaces in the order of their ids, from the one behind `after` on: for operators, who are
    /// shown which of them cannot be read.
    async fn all(&self, after: Option<ActivationId>, limit: u64) -> Result<Page, StoreError>;
    /// What the record of that id is, in whatever namespace; nothing if there is none.
    async fn certainty(&self, id: ActivationId) -> Result<Option<Certainty>, StoreError>;
    /// One page, without results and logs.
    async fn heads(&self, query: &ActivationQuery) -> Result<Vec<(ActivationHead, Status)>, StoreError>;
    /// One page of whole records.
    async fn records(&self, query: &ActivationQuery) -> Result<Vec<Activation>, StoreError>;
    /// How many match, `skip` and `limit` left aside.
    async fn count(&self, query: &ActivationQuery) -> Result<u64, StoreError>;
}
