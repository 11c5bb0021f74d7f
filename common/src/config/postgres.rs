//! `whisk.postgres` (ours): where the distributed form keeps documents and records.
//!
//! A password is shown nowhere: the address writes itself without what stands before its `@` or behind
//! its `?`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

/// `whisk.postgres` (ours)
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct PostgresConfig {
    /// Server, database and user: `postgres://user@host:port/database`. It is never shown with a password.
    pub url: PostgresUrl,
    /// A file that holds the password, in place of one in the address.
    pub password_file: Option<PathBuf>,
    /// Whether it is spoken to over TLS, and whom we trust: `disable`, `prefer`, `require` (whoever answers),
    /// `verify-ca`, `verify-full`; in place of `sslmode` in the address, whose default is `prefer`.
    pub ssl_mode: Option<String>,
    /// A PEM file with the server's authorities, beside the system's; in place of `sslrootcert`.
    pub ssl_root_cert: Option<PathBuf>,
    /// A PEM file with the certificate that we show; in place of `sslcert`.
    pub ssl_cert: Option<PathBuf>,
    /// A PEM file with its key; in place of `sslkey`.
    pub ssl_key: Option<PathBuf>,
    /// The most connections of one process, beside one that listens for changes and one that holds its number.
    pub max_connections: u32,
    /// How long a call waits for a connection; then it fails and may be tried again.
    #[serde(with = "humantime_serde")]
    pub acquire_timeout: Duration,
    /// How long a statement may run.
    #[serde(with = "humantime_serde")]
    pub statement_timeout: Duration,
    /// Activation records are dropped by whole weeks (from Thursday, UTC) once all of a week are older; 0 keeps them
    /// for ever.
    #[serde(with = "humantime_serde")]
    pub retention: Duration,
}

impl Default for PostgresConfig {
    fn default() -> Self {
        Self {
            url: PostgresUrl("postgres://oxwhisk@127.0.0.1:5432/oxwhisk".to_owned()),
            password_file: None,
            ssl_mode: None,
            ssl_root_cert: None,
            ssl_cert: None,
            ssl_key: None,
            max_connections: 16,
            acquire_timeout: Duration::from_secs(5),
            statement_timeout: Duration::from_secs(30),
            retention: Duration::from_secs(30 * 86_400),
        }
    }
}

/// The address of a database, which may hold a password.
#[derive(Clone, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct PostgresUrl(pub String);

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = self.0.split('?').next().unwrap_or_default();
        match (shown.split_once("://"), shown.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, place))) => write!(f, "{scheme}://…@{place}"),
            (_, Some((_, place))) => write!(f, "…@{place}"),
            _ => f.write_str(shown),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_not_shown() {
        for (url, shown) in [
            ("postgres://u:s3cret@db:5432/oxwhisk", "postgres://…@db:5432/oxwhisk"),
            ("postgres://u:s3c@ret@db/oxwhisk?password=s3cret", "postgres://…@db/oxwhisk"),
            ("postgres:///oxwhisk?host=/run&password=s3cret", "postgres:///oxwhisk"),
            ("u:s3cret@db", "…@db"),
        ] {
            let config = PostgresConfig { url: PostgresUrl(url.to_owned()), ..PostgresConfig::default() };
            let text = format!("{config:?}");
            assert!(text.contains(shown) && !text.contains("s3c"), "{text}");
        }
    }
}
