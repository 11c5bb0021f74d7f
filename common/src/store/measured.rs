//! Stores whose every call is counted and timed, under upstream's names for those of its database.
//!
//! Around any store, so that the stores themselves know nothing of it. A conflict is an answer, not a failure.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use tokio::sync::broadcast;

use super::{
    ActivationQuery, ActivationStore, ArtifactStore, Certainty, Change, Document, EntityQuery,
    IdentityRecord, Page, Revision, StoreError, Stored, SubjectRecord, SubjectStore, Unstorable, Write,
};
use crate::entity::activation::{Activation, ActivationHead, Status};
use crate::entity::id::ActivationId;
use crate::entity::limits::UserLimits;
use crate::entity::name::EntityName;
use crate::metrics::Marker;
use crate::metrics::shared::StoreMetrics;

/// A store of entities that is measured.
pub fn artifacts(inner: Arc<dyn ArtifactStore>, metrics: &StoreMetrics) -> Arc<dyn ArtifactStore> {
    Arc::new(Measured { inner, metrics: metrics.clone() })
}

/// A store of subjects that is measured.
pub fn subjects(inner: Arc<dyn SubjectStore>, metrics: &StoreMetrics) -> Arc<dyn SubjectStore> {
    Arc::new(Measured { inner, metrics: metrics.clone() })
}

/// A store of records that is measured.
pub fn activations(inner: Arc<dyn ActivationStore>, metrics: &StoreMetrics) -> Arc<dyn ActivationStore> {
    Arc::new(Measured { inner, metrics: metrics.clone() })
}

struct Measured<S: ?Sized> {
    metrics: StoreMetrics,
    inner: Arc<S>,
}

async fn measured<T>(
    marker: &Marker,
    call: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let begun = marker.start();
    let answer = call.await;
    match &answer {
        Ok(_) | Err(StoreError::Conflict(_)) => marker.finish(begun),
        Err(StoreError::Corrupt { .. } | StoreError::Unavailable { .. }) => marker.fail(begun),
    }
    answer
}

#[async_trait]
impl ArtifactStore for Measured<dyn ArtifactStore> {
    async fn get(&self, id: &str) -> Result<Option<Stored>, StoreError> {
        measured(&self.metrics.get, self.inner.get(id)).await
    }

    async fn put(&self, document: &Document, expected: Option<&Revision>) -> Result<Revision, StoreError> {
        measured(&self.metrics.save, self.inner.put(document, expected)).await
    }

    async fn delete(&self, id: &str, expected: &Revision) -> Result<(), StoreError> {
        measured(&self.metrics.delete, self.inner.delete(id, expected)).await
    }

    async fn write_all(&self, writes: &[Write]) -> Result<(), StoreError> {
        measured(&self.metrics.save_bulk, self.inner.write_all(writes)).await
    }

    async fn list(&self, query: &EntityQuery) -> Result<Vec<Stored>, StoreError> {
        measured(&self.metrics.query, self.inner.list(query)).await
    }

    async fn count(&self, query: &EntityQuery) -> Result<u64, StoreError> {
        measured(&self.metrics.query, self.inner.count(query)).await
    }

    async fn documents(&self, after: &str, limit: u64) -> Result<Vec<Stored>, StoreError> {
        measured(&self.metrics.query, self.inner.documents(after, limit)).await
    }

    async fn code(&self, digest: &str) -> Result<Option<Bytes>, StoreError> {
        measured(&self.metrics.attachment, self.inner.code(digest)).await
    }

    fn changes(&self) -> broadcast::Receiver<Change> {
        self.inner.changes()
    }
}

#[async_trait]
impl SubjectStore for Measured<dyn SubjectStore> {
    async fn by_uuid(&self, uuid: &str) -> Result<Option<IdentityRecord>, StoreError> {
        measured(&self.metrics.query, self.inner.by_uuid(uuid)).await
    }

    async fn by_namespace(&self, namespace: &str) -> Result<Vec<IdentityRecord>, StoreError> {
        measured(&self.metrics.query, self.inner.by_namespace(namespace)).await
    }

    async fn subject(&self, subject: &str) -> Result<Option<SubjectRecord>, StoreError> {
        measured(&self.metrics.get, self.inner.subject(subject)).await
    }

    async fn subjects(&self, after: &str, limit: u64) -> Result<Vec<String>, StoreError> {
        measured(&self.metrics.query, self.inner.subjects(after, limit)).await
    }

    async fn blocked(&self) -> Result<Vec<String>, StoreError> {
        measured(&self.metrics.query, self.inner.blocked()).await
    }

    async fn put_subject(&self, record: &SubjectRecord) -> Result<(), StoreError> {
        measured(&self.metrics.save, self.inner.put_subject(record)).await
    }

    async fn delete_subject(&self, subject: &str) -> Result<bool, StoreError> {
        measured(&self.metrics.delete, self.inner.delete_subject(subject)).await
    }

    async fn limits(&self, namespace: &str) -> Result<Option<UserLimits>, StoreError> {
        measured(&self.metrics.get, self.inner.limits(namespace)).await
    }

    async fn limited(&self, after: &str, limit: u64) -> Result<Vec<String>, StoreError> {
        measured(&self.metrics.query, self.inner.limited(after, limit)).await
    }

    async fn put_limits(&self, namespace: &str, limits: &UserLimits) -> Result<(), StoreError> {
        measured(&self.metrics.save, self.inner.put_limits(namespace, limits)).await
    }

    async fn delete_limits(&self, namespace: &str) -> Result<bool, StoreError> {
        measured(&self.metrics.delete, self.inner.delete_limits(namespace)).await
    }

    async fn mark_once(&self, what: &str) -> Result<bool, StoreError> {
        measured(&self.metrics.save, self.inner.mark_once(what)).await
    }

    fn changes(&self) -> broadcast::Receiver<Change> {
        self.inner.changes()
    }
}

#[async_trait]
impl ActivationStore for Measured<dyn ActivationStore> {
    async fn store(&self, batch: &[Activation]) -> Result<Vec<Unstorable>, StoreError> {
        self.metrics.batch.observe(batch.len() as f64);
        measured(&self.metrics.save_bulk, self.inner.store(batch)).await
    }

    async fn presume(&self, batch: &[Activation]) -> Result<Vec<Unstorable>, StoreError> {
        self.metrics.batch.observe(batch.len() as f64);
        measured(&self.metrics.save_bulk, self.inner.presume(batch)).await
    }

    async fn get(&self, namespace: &EntityName, id: ActivationId) -> Result<Option<Activation>, StoreError> {
        measured(&self.metrics.get, self.inner.get(namespace, id)).await
    }

    async fn all(&self, after: Option<ActivationId>, limit: u64) -> Result<Page, StoreError> {
        measured(&self.metrics.query, self.inner.all(after, limit)).await
    }

    async fn certainty(&self, id: ActivationId) -> Result<Option<Certainty>, StoreError> {
        measured(&self.metrics.get, self.inner.certainty(id)).await
    }

    async fn heads(&self, query: &ActivationQuery) -> Result<Vec<(ActivationHead, Status)>, StoreError> {
        measured(&self.metrics.query, self.inner.heads(query)).await
    }

    async fn records(&self, query: &ActivationQuery) -> Result<Vec<Activation>, StoreError> {
        measured(&self.metrics.query, self.inner.records(query)).await
    }

    async fn count(&self, query: &ActivationQuery) -> Result<u64, StoreError> {
        measured(&self.metrics.query, self.inner.count(query)).await
    }
}
