//! What both databases make of their rows: revisions, documents, keys and limits.
//!
//! Statements are each database's own; this is what the same columns mean.

use serde::Deserialize;
use sha2::{Digest, Sha256};
use tracing::{error, warn};
use uuid::Uuid;

use super::{Certainty, EntityKind, IdentityRecord, KeyRecord, Revision, StoreError, Stored};
use crate::clock::Millis;
use crate::entity::activation::ActivationHead;
use crate::entity::exec::CodeRef;
use crate::entity::id::ActivationId;
use crate::entity::limits::UserLimits;
use crate::entity::name::EntityName;

/// A number as databases keep it; what is too large for that is as good as endless.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// The least id of what was made at that time: ids are UUIDs of version 7.
pub(super) fn least_id(time: Millis) -> Uuid {
    let mut bytes = [0; 16];
    bytes[..6].copy_from_slice(&time.0.to_be_bytes()[2..]);
    Uuid::from_bytes(bytes)
}

pub(super) fn revision(number: i64, tag: &str) -> Revision {
    Revision(format!("{number}-{tag}"))
}

/// The tag of the revision that writes this document.
pub(super) fn tag(json: &str) -> String {
    use std::fmt::Write;
    let digest = Sha256::digest(json.as_bytes());
    digest[..4].iter().fold(String::with_capacity(8), |mut tag, byte| {
        let _ = write!(tag, "{byte:02x}");
        tag
    })
}

/// The code that a document refers to.
pub(super) fn code_of(json: &str) -> Option<CodeRef> {
    #[derive(Deserialize)]
    struct Entity {
        exec: Option<Exec>,
    }
    #[derive(Deserialize)]
    struct Exec {
        code: Option<CodeRef>,
    }
    serde_json::from_str::<Entity>(json).ok()?.exec?.code
}

/// What the record of that head is.
pub(super) fn certainty(id: ActivationId, head: &str) -> Result<Certainty, StoreError> {
    let head: ActivationHead = serde_json::from_str(head)
        .map_err(|error| StoreError::Corrupt { id: id.to_string(), source: error.into() })?;
    Ok(Certainty::of(&head))
}

/// The rows of a page that can be read; the log names the others.
pub(super) fn readable<R, T>(rows: Vec<R>, read: impl Fn(R) -> Result<T, StoreError>) -> Vec<T> {
    let tell = |error| error!("an activation is left out of a list: {:#}", anyhow::Error::from(error));
    rows.into_iter().filter_map(|row| read(row).map_err(tell).ok()).collect()
}

/// A document refers to code that is neither brought along nor stored.
pub(super) fn code_is_missing(id: &str, digest: &str) -> StoreError {
    let source = anyhow::anyhow!("it refers to code that is not stored: {digest}");
    StoreError::Corrupt { id: id.to_owned(), source }
}

/// A document as it is listed and read.
#[derive(sqlx::FromRow)]
pub(super) struct EntityRow {
    id: String,
    kind: String,
    revision: i64,
    tag: String,
    doc: String,
}

impl EntityRow {
    pub(super) fn into_stored(self) -> Result<Stored, StoreError> {
        let kind = EntityKind::parse(&self.kind).ok_or_else(|| StoreError::Corrupt {
            id: self.id.clone(),
            source: anyhow::anyhow!("there is no kind of entity called '{}'", self.kind),
        })?;
        Ok(Stored { id: self.id, kind, revision: revision(self.revision, &self.tag), json: self.doc })
    }
}

/// A key.
#[derive(sqlx::FromRow)]
pub(super) struct KeyRow {
    namespace: String,
    uuid: String,
    digest: Vec<u8>,
    sealed: Vec<u8>,
}

impl KeyRow {
    pub(super) fn into_record(self) -> Result<KeyRecord, StoreError> {
        let corrupt = |source| StoreError::Corrupt { id: self.uuid.clone(), source };
        let namespace = EntityName::parse(&self.namespace).map_err(|error| corrupt(error.into()))?;
        let digest = self.digest.as_slice().try_into();
        let digest = digest.map_err(|_| corrupt(anyhow::anyhow!("the digest of its key is no SHA-256")))?;
        Ok(KeyRecord { namespace, uuid: self.uuid, digest, sealed: self.sealed })
    }
}

/// A key with its subject and limits.
#[derive(sqlx::FromRow)]
pub(super) struct IdentityRow {
    subject: String,
    blocked: bool,
    #[sqlx(flatten)]
    key: KeyRow,
    limits: Option<String>,
}

impl IdentityRow {
    pub(super) fn into_record(self) -> Result<IdentityRecord, StoreError> {
        let limits = self.limits.and_then(|limits| read_limits(&self.key.namespace, &limits));
        Ok(IdentityRecord {
            subject: self.subject,
            blocked: self.blocked,
            key: self.key.into_record()?,
            limits: limits.unwrap_or_default(),
        })
    }
}

/// Limits that cannot be read are as if there were none: nobody is locked out by them.
pub(super) fn read_limits(namespace: &str, json: &str) -> Option<UserLimits> {
    serde_json::from_str(json)
        .inspect_err(|error| warn!(namespace, %error, "the limits of {namespace} cannot be read"))
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::telemetry::line::tests::Kept;

    #[test]
    fn the_log_names_each_row_that_cannot_be_read() {
        let read = |number: u32| {
            let corrupt =
                || StoreError::Corrupt { id: format!("n{number}"), source: anyhow::anyhow!("torn") };
            if number.is_multiple_of(2) { Err(corrupt()) } else { Ok(number) }
        };
        let kept = Kept::default();
        let writer = kept.clone();
        let subscriber =
            tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
        let found = tracing::subscriber::with_default(subscriber, || readable(vec![1, 2, 3, 4], read));
        assert_eq!(found, [1, 3]);
        let text = kept.text();
        let lines: Vec<&str> = text.lines().collect();
        assert!(lines.len() == 2 && lines[0].contains("'n2' cannot be read: torn"), "{text}");
    }
}
