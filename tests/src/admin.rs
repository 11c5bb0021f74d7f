//! The operator's side of a platform of our own: `wskadmin` on its data directory or its database, and one
//! look into its entities that no tool offers.

use std::path::{Path, PathBuf};

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::process::Command;

use crate::place;

/// Runs `wskadmin` on one installation.
#[derive(Clone, Debug)]
pub enum Admin {
    /// The embedded form: its data directory.
    Directory(PathBuf),
    /// The distributed form.
    Database {
        /// The address of the database.
        url: String,
        /// The file of the installation's secret.
        secret: PathBuf,
    },
}

impl Admin {
    /// The operator of the server that serves this data directory.
    pub fn of(data: &Path) -> Self {
        Self::Directory(data.to_path_buf())
    }

    /// The operator of the installation in this database.
    pub fn of_database(url: &str, secret: &Path) -> Self {
        Self::Database { url: url.to_owned(), secret: secret.to_path_buf() }
    }

    /// Runs one command; returns what it printed on standard output, trimmed.
    ///
    /// # Panics
    ///
    /// If the command fails.
    pub async fn run(&self, arguments: &[&str]) -> String {
        let mut command = Command::new(place::wskadmin());
        match self {
            Self::Directory(data) => command.arg("--data-dir").arg(data),
            Self::Database { url, secret } => command
                .args(["--postgres", "--secret-file"])
                .arg(secret)
                .env_remove("OXWHISK_CONFIG")
                .env("CONFIG_whisk_postgres_url", url),
        };
        let output = command
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
        let broken = "{\"broken";
        let changed = match self {
            Self::Directory(data) => {
                let options = SqliteConnectOptions::new().filename(data.join("entities.db"));
                let mut database: SqliteConnection = options
                    .connect()
                    .await
                    .unwrap_or_else(|error| panic!("entities.db does not open: {error}"));
                let done = sqlx::query("UPDATE entities SET doc = ? WHERE id = ?")
                    .bind(broken)
                    .bind(id)
                    .execute(&mut database)
                    .await
                    .unwrap_or_else(|error| panic!("entities.db refuses: {error}"));
                let _ = database.close().await;
                done.rows_affected()
            }
            Self::Database { url, .. } => {
                let mut database = PgConnection::connect(url).await.expect("the server answers");
                let done = sqlx::query("UPDATE entities SET doc = $1 WHERE id = $2")
                    .bind(broken)
                    .bind(id)
                    .execute(&mut database)
                    .await
                    .unwrap_or_else(|error| panic!("the database refuses: {error}"));
                let _ = database.close().await;
                done.rows_affected()
            }
        };
        assert_eq!(changed, 1, "there is one document {id}");
    }
}
