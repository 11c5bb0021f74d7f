//! What is wrong with the files of a data directory. They are only read.

use std::path::Path;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use super::super::doctor::{APPLIED, Applied, judge};
use super::super::{StoreError, seal};
use super::database::failed;
use super::{ACTIVATIONS, ENTITIES};
use crate::doctor::Finding;
use crate::entity::identity::AuthKey;
use crate::paths;

const TABLE: &str = "SELECT count(*) FROM sqlite_master WHERE name = '_sqlx_migrations'";

/// A larger file is not read as a whole: that would take minutes.
const CHECKED: u64 = 1 << 30;

/// Reads all of a file, but stops at the first page that is wrong.
const CHECK: &str = "PRAGMA quick_check(1)";

const DIGEST: &str = "SELECT digest FROM keys JOIN subjects USING (subject) WHERE uuid = ? AND blocked = 0";

/// Looks at both files.
pub async fn examine(data_dir: &Path) -> Vec<Finding> {
    let mut found = Vec::new();
    for (name, migrator) in [(paths::ENTITIES, &ENTITIES), (paths::ACTIVATIONS, &ACTIVATIONS)] {
        let path = data_dir.join(name);
        if !path.exists() {
            found.push(Finding::ok(format!("{name} is not there yet and will be made")));
            continue;
        }
        found.push(match read(&path).await {
            Ok(applied) => judge(name, migrator, applied.as_deref()),
            Err(error) => Finding::fail(
                format!("{} cannot be read: {error}", path.display()),
                "restore it from a backup; keep the broken file",
            ),
        });
    }
    found
}

/// Whether somebody can sign in with that key; nobody can where there are no subjects yet.
///
/// # Errors
///
/// If the file cannot be read.
pub async fn accepts(data_dir: &Path, key: &AuthKey) -> Result<bool, StoreError> {
    let path = data_dir.join(paths::ENTITIES);
    if !path.exists() {
        return Ok(false);
    }
    let work = async {
        let mut connection = open(&path).await?;
        let digest: Option<Vec<u8>> =
            sqlx::query_scalar(DIGEST).bind(&key.uuid).fetch_optional(&mut connection).await?;
        connection.close().await?;
        Ok::<_, sqlx::Error>(digest.and_then(|digest| digest.try_into().ok()))
    };
    let digest: Option<[u8; 32]> = work.await.map_err(failed("look for a key"))?;
    Ok(digest.is_some_and(|digest| seal::matches(&digest, &key.key)))
}

async fn open(path: &Path) -> Result<SqliteConnection, sqlx::Error> {
    // Files beside it are made to read it together with a log of changes; without one they need not.
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    let options = SqliteConnectOptions::new().filename(path).read_only(true);
    options.immutable(!Path::new(&log).exists()).disable_statement_logging().connect().await
}

async fn read(path: &Path) -> Result<Option<Vec<Applied>>, sqlx::Error> {
    let mut connection = open(path).await?;
    if std::fs::metadata(path)?.len() <= CHECKED {
        let outcome: String = sqlx::query_scalar(CHECK).fetch_one(&mut connection).await?;
        if outcome != "ok" {
            return Err(sqlx::Error::Protocol(outcome));
        }
    }
    let there: i64 = sqlx::query_scalar(TABLE).fetch_one(&mut connection).await?;
    let applied = match there {
        0 => None,
        _ => Some(sqlx::query_as(APPLIED).fetch_all(&mut connection).await?),
    };
    connection.close().await?;
    Ok(applied)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::fs;

    use super::super::SqliteStores;
    use super::*;
    use crate::doctor::Verdict;

    fn names(folder: &Path) -> BTreeSet<String> {
        let entries = fs::read_dir(folder).unwrap().flatten();
        entries.map(|entry| entry.file_name().into_string().unwrap()).collect()
    }

    #[tokio::test]
    async fn files_are_read_and_left_as_they_are() {
        let dir = tempfile::tempdir().unwrap();
        let verdicts = async || {
            let found = examine(dir.path()).await;
            found.iter().map(|found| found.verdict).collect::<Vec<_>>()
        };
        assert_eq!(verdicts().await, [Verdict::Ok; 2]);
        assert!(names(dir.path()).is_empty());
        let stores = SqliteStores::open(dir.path()).await.unwrap();
        assert_eq!(verdicts().await, [Verdict::Ok; 2], "while they are served");
        stores.close().await;
        let before = names(dir.path());
        assert_eq!(verdicts().await, [Verdict::Ok; 2]);
        assert_eq!(names(dir.path()), before);

        let path = dir.path().join(paths::ENTITIES);
        let options = SqliteConnectOptions::new().filename(&path);
        let mut connection: SqliteConnection = options.connect().await.unwrap();
        sqlx::query("UPDATE _sqlx_migrations SET version = 99").execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        assert_eq!(verdicts().await, [Verdict::Fail, Verdict::Ok]);
        fs::write(dir.path().join(paths::ACTIVATIONS), "this is no database, however long it may be")
            .unwrap();
        assert_eq!(verdicts().await, [Verdict::Fail, Verdict::Fail]);
    }
}
