//! The operator's side of a server of our own: `wskadmin` on its data directory, and one look into
//! its database that no tool offers.

use std::path::{Path, PathBuf};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};
use tokio::process::Command;

use crate::place;

/// Runs `wskadmin` on one data directory.
#[derive(Clone, Debug)]
pub struct Admin {
    data: PathBuf,
}

impl Admin {
    /// The operator of the server that serves this data directory.
    pub fn of(data: &Path) -> Self {
        Self { data: data.to_path_buf() }
    }

    /// Runs one command; returns what it printed on standard output, trimmed.
    ///
    /// # Panics
    ///
    /// If the command fails.
    pub async fn run(&self, arguments: &[&str]) -> String {
        let output = Command::new(place::wskadmin())
            .arg("--data-dir")
            .arg(&self.data)
            .args(arguments)
            .output()
            .await
            .unwrap_or_else(|error| panic!("wskadmin does not start: {error}"));
        let printed = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        assert!(
            output.status.success(),
            "wskadmin {arguments:?} ended with {}: {printed} {}",
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        printed
    }

    /// Creates a subject with a namespace of the same name; returns `uuid:key`.
    pub async fn create_user(&self, name: &str) -> String {
        let auth = self.run(&["user", "create", name]).await;
        assert!(auth.contains(':'), "`wskadmin user create` prints uuid:key, not {auth:?}");
        auth
    }

    /// Sets limits of a namespace, given as flags and values.
    pub async fn set_limits(&self, namespace: &str, limits: &[&str]) {
        let arguments = [&["limits", "set", namespace], limits].concat();
        let printed = self.run(&arguments).await;
        assert_eq!(printed, format!("Limits successfully set for \"{namespace}\""));
    }

    /// Makes the stored document `namespace/name` unreadable, as a broken disk or an older release
    /// would leave it.
    ///
    /// # Panics
    ///
    /// If there is no such document.
    pub async fn corrupt_entity(&self, id: &str) {
        let options = SqliteConnectOptions::new().filename(self.data.join("entities.db"));
        let mut database: SqliteConnection =
            options.connect().await.unwrap_or_else(|error| panic!("entities.db does not open: {error}"));
        let statement = "UPDATE entities SET doc = \
                         CASE typeof(doc) WHEN 'blob' THEN CAST('{\"broken' AS BLOB) ELSE '{\"broken' END \
                         WHERE id = ?";
        let done = sqlx::query(statement)
            .bind(id)
            .execute(&mut database)
            .await
            .unwrap_or_else(|error| panic!("entities.db refuses: {error}"));
        assert_eq!(done.rows_affected(), 1, "there is one document {id}");
        let _ = database.close().await;
    }
}
