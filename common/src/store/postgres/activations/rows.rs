//! A record as a row of the table `activations`, and back.

use serde_json::value::RawValue;
use uuid::Uuid;

use super::super::super::StoreError;
use super::super::super::rows::signed;
use crate::entity::activation::{Activation, ActivationHead, Response, Status};
use crate::entity::id::ActivationId;
use crate::entity::json;

/// A record to be written.
pub(super) struct Row {
    pub(super) id: Uuid,
    pub(super) namespace: String,
    pub(super) filter_name: String,
    pub(super) start: i64,
    pub(super) status: i16,
    pub(super) size: Option<i64>,
    pub(super) head: String,
    pub(super) result: Option<String>,
    pub(super) logs: String,
}

impl Row {
    pub(super) fn of(record: &Activation) -> Self {
        let Activation { head, response, logs } = record;
        Self {
            id: Uuid::from_bytes(*head.activation_id.as_bytes()),
            namespace: head.namespace.to_string(),
            filter_name: head.filter_name(),
            start: signed(head.start.0),
            status: response.status.code().into(),
            size: response.size.map(signed),
            head: text(head),
            result: response.result.as_deref().map(|result| result.get().to_owned()),
            logs: text(logs),
        }
    }

    /// What takes its place: the same activation, whose outcome could not be stored.
    pub(super) fn with_error(&self, cause: &sqlx::Error) -> Self {
        let what = format!("The record of this activation could not be stored: {cause}");
        let response = Response::error(Status::WhiskError, what);
        Self {
            id: self.id,
            namespace: self.namespace.clone(),
            filter_name: self.filter_name.clone(),
            start: self.start,
            status: response.status.code().into(),
            size: None,
            head: self.head.clone(),
            result: response.result.map(|result| result.get().to_owned()),
            logs: "[]".to_owned(),
        }
    }

    /// About what it adds to a statement.
    pub(super) fn bytes(&self) -> usize {
        self.head.len() + self.result.as_ref().map_or(0, String::len) + self.logs.len()
    }

    #[cfg(test)]
    pub(super) fn empty() -> Self {
        Self {
            id: Uuid::nil(),
            namespace: String::new(),
            filter_name: String::new(),
            start: 0,
            status: 0,
            size: None,
            head: String::new(),
            result: None,
            logs: String::new(),
        }
    }
}

fn text<T: serde::Serialize>(value: &T) -> String {
    String::from(Box::<str>::from(json::raw(value)))
}

fn corrupt(id: Uuid, error: serde_json::Error) -> StoreError {
    StoreError::Corrupt { id: id.simple().to_string(), source: error.into() }
}

/// A record without result and logs.
#[derive(sqlx::FromRow)]
pub(super) struct HeadRow {
    id: Uuid,
    status: i16,
    head: String,
}

impl HeadRow {
    pub(super) fn into_head(self) -> Result<(ActivationHead, Status), StoreError> {
        let head = serde_json::from_str(&self.head).map_err(|error| corrupt(self.id, error))?;
        Ok((head, Status::from_code(u8::try_from(self.status).unwrap_or(u8::MAX))))
    }
}

/// A whole record.
#[derive(sqlx::FromRow)]
pub(super) struct RecordRow {
    #[sqlx(flatten)]
    head: HeadRow,
    size: Option<i64>,
    result: Option<String>,
    logs: String,
}

impl RecordRow {
    pub(super) fn id(&self) -> ActivationId {
        ActivationId::from_bytes(*self.head.id.as_bytes())
    }

    pub(super) fn into_record(self) -> Result<Activation, StoreError> {
        let id = self.head.id;
        let result = self.result.map(RawValue::from_string).transpose();
        let result = result.map_err(|error| corrupt(id, error))?;
        let logs = serde_json::from_str(&self.logs).map_err(|error| corrupt(id, error))?;
        let (head, status) = self.head.into_head()?;
        let response = Response { status, result, size: self.size.map(i64::unsigned_abs) };
        Ok(Activation { head, response, logs })
    }
}
