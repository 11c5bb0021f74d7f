//! What reading and listing mean for entities of every kind.

use common::entity::name::EntityPath;
use common::store::{ArtifactStore, EntityKind, EntityQuery, Revision, StoreError, Stored};
use serde::de::DeserializeOwned;
use tracing::warn;

/// What the store has under an id.
#[derive(Clone, Debug)]
pub enum Found<T> {
    /// Nothing.
    Nothing,
    /// Something else.
    OtherKind,
    /// The entity, at that revision.
    Entity(T, Revision),
}

/// Looks for an entity of that kind.
pub async fn find<T: DeserializeOwned>(
    store: &dyn ArtifactStore,
    kind: EntityKind,
    id: &str,
) -> Result<Found<T>, StoreError> {
    Ok(match store.get(id).await? {
        None => Found::Nothing,
        Some(stored) if stored.kind != kind => Found::OtherKind,
        Some(stored) => Found::Entity(stored.read()?, stored.revision),
    })
}

/// One page of a namespace's entities of that kind, newest change first.
pub async fn list<T: DeserializeOwned>(
    store: &dyn ArtifactStore,
    kind: EntityKind,
    path: EntityPath,
    skip: u64,
    limit: u64,
) -> Result<Vec<T>, StoreError> {
    let query = EntityQuery { kind, path, only_public: false, skip, limit };
    Ok(readable(&store.list(&query).await?))
}

/// Of a list, what can be read: one that cannot must not hide the others.
pub fn readable<T: DeserializeOwned>(stored: &[Stored]) -> Vec<T> {
    let read = |stored: &Stored| match stored.read() {
        Ok(entity) => Some(entity),
        Err(error) => {
            warn!(entity.id = %stored.id, "{error}; the list leaves it out");
            None
        }
    };
    stored.iter().filter_map(read).collect()
}

/// How many entities of that kind a namespace has.
pub async fn count(store: &dyn ArtifactStore, kind: EntityKind, path: EntityPath) -> Result<u64, StoreError> {
    store.count(&EntityQuery { kind, path, only_public: false, skip: 0, limit: 0 }).await
}
