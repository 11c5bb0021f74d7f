//! TLS to a real PostgreSQL.

use std::path::Path;
use std::time::Duration;

use common::config::postgres::PostgresConfig;
use common::shutdown::Shutdown;
use common::store::Change;
use common::store::postgres::PostgresStores;
use sqlx::{Connection, PgConnection};
use tests::pki::Authority;
use tests::services::postgres::{Postgres, settings};

const PATIENCE: Duration = Duration::from_secs(30);

fn verified(url: &str, authority: &Path) -> PostgresConfig {
    let (ssl_mode, ssl_root_cert) = (Some("verify-full".to_owned()), Some(authority.to_owned()));
    PostgresConfig { ssl_mode, ssl_root_cert, ..settings(url) }
}

async fn refused(config: &PostgresConfig) -> String {
    let refused = PostgresStores::connect(config).await;
    format!("{:#}", anyhow::Error::from(refused.err().expect("the server is not trusted")))
}

#[tokio::test]
async fn every_connection_is_encrypted_and_the_server_is_known() {
    let authority = Authority::new("postgres");
    let postgres = Postgres::start_with_tls(&authority.identity("server")).await;
    let url = postgres.database().await;
    let config = verified(&url, &authority.file());
    let stores = PostgresStores::connect(&config).await.unwrap();
    let shutdown = Shutdown::new();
    let mut changes = stores.artifacts.changes();
    stores.watch(&shutdown);
    assert_eq!(changes.recv().await.unwrap(), Change::Anything, "the connection that listens is there");
    // Another process writes, and this one hears of it.
    let other = PostgresStores::connect(&config).await.unwrap();
    other.subjects.mark_once("test").await.unwrap();
    other.subjects.put_limits("somebody", &Default::default()).await.unwrap();
    let heard = async { while changes.recv().await.unwrap() != Change::Subjects {} };
    tokio::time::timeout(PATIENCE, heard).await.expect("it hears of it");

    let mut own = PgConnection::connect(&url).await.unwrap();
    let count = "SELECT count(*) FILTER (WHERE ssl), count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                 WHERE application_name = 'oxwhisk'";
    let (encrypted, all): (i64, i64) = sqlx::query_as(count).fetch_one(&mut own).await.unwrap();
    assert!(encrypted == all && all >= 3, "{encrypted} of {all} connections are encrypted");

    let told = refused(&verified(&url, &Authority::new("stranger").file())).await;
    assert!(told.contains("UnknownIssuer"), "{told}");
    let told = refused(&verified(&url, Path::new("/nowhere/ca.pem"))).await;
    assert!(told.contains("/nowhere/ca.pem"), "{told}");
    // The same by the address alone.
    let by_url = format!("{url}?sslmode=verify-full&sslrootcert={}", authority.file().display());
    let third = PostgresStores::connect(&settings(&by_url)).await.unwrap();
    for stores in [stores, other, third] {
        stores.close().await;
    }
    assert!(shutdown.finish(PATIENCE).await);
}

#[tokio::test]
async fn whoever_is_not_who_was_meant_is_refused() {
    let authority = Authority::new("postgres");
    let postgres = Postgres::start_with_tls(&authority.identity_for("server", &["db.example"])).await;
    let full = verified(&postgres.database().await, &authority.file());
    let told = refused(&full).await;
    assert!(told.contains("not valid for name"), "{told}");
    let signed = PostgresConfig { ssl_mode: Some("verify-ca".to_owned()), ..full };
    PostgresStores::connect(&signed).await.unwrap().close().await;

    let plain = Postgres::shared().await.database().await;
    let told = refused(&verified(&plain, &authority.file())).await;
    assert!(told.to_lowercase().contains("tls"), "{told}");
}
