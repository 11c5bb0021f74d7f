//! The first subject: `guest` with upstream's well-known key, for a platform that only this machine
//! reaches.
//!
//! It is made once, when a data directory is first served on loopback; who deletes it keeps it deleted.
//! Off loopback the platform does not start while anybody could sign in with that key.

use anyhow::{Context, bail};
use common::entity::identity::AuthKey;
use common::entity::name::EntityName;
use common::store::seal::{self, Secret};
use common::store::{SubjectRecord, SubjectStore};

/// The subject and its namespace.
pub const GUEST: &str = "guest";

/// Upstream's well-known key (`ansible/files/auth.guest`).
pub const GUEST_KEY: &str =
    "23bc46b1-71f6-4ed5-8c54-816aa4f8c502:123zO3xZCLrMN6v2BKK1dXYFpXlPkccOFqm12CdAsMgRU4VrNZ9lyGVCGuMDGIwP";

/// Makes the first subject, or refuses the well-known key off loopback. Returns whether that key works.
pub async fn prepare(subjects: &dyn SubjectStore, secret: &Secret, loopback: bool) -> anyhow::Result<bool> {
    let key = AuthKey::parse(GUEST_KEY).context("the guest key is uuid:key")?;
    if loopback && subjects.mark_once("guest").await? {
        let namespace = EntityName::parse(GUEST)?;
        let keys = vec![secret.record(namespace, &key)];
        subjects.put_subject(&SubjectRecord { subject: GUEST.to_owned(), blocked: false, keys }).await?;
    }
    let known = subjects.by_uuid(&key.uuid).await?;
    let works =
        known.is_some_and(|identity| !identity.blocked && seal::matches(&identity.key.digest, &key.key));
    if works && !loopback {
        bail!(
            "--host is not a loopback address, and anybody could sign in with the well-known guest key; \
             delete it first: wskadmin user delete guest"
        );
    }
    Ok(works)
}

#[cfg(test)]
mod tests {
    use super::*;
    use common::store::sqlite::SqliteStores;

    #[tokio::test]
    async fn guest_is_made_once_and_only_on_loopback() {
        let dir = tempfile::tempdir().unwrap();
        let secret = Secret::load_or_create(&dir.path().join("secret")).unwrap();
        let stores = SqliteStores::open(dir.path()).await.unwrap();
        let subjects = &*stores.subjects;
        assert!(!prepare(subjects, &secret, false).await.unwrap());
        assert!(prepare(subjects, &secret, true).await.unwrap());
        assert!(prepare(subjects, &secret, true).await.unwrap());
        let refused = prepare(subjects, &secret, false).await.unwrap_err().to_string();
        assert!(refused.contains("wskadmin user delete guest"), "{refused}");
        subjects.delete_subject(GUEST).await.unwrap();
        assert!(!prepare(subjects, &secret, true).await.unwrap());
        assert!(!prepare(subjects, &secret, false).await.unwrap());
        stores.close().await;
    }
}
