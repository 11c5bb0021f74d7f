//! What is wrong with a PostgreSQL server or database for us. It is asked and not changed.

use std::path::PathBuf;

use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{ConnectOptions, Connection, PgConnection};
use tokio::time::timeout;

use super::super::doctor::{APPLIED, Applied, judge as judge_tables};
use super::database::{MIGRATOR, options};
use crate::clock::{Clock, SystemClock};
use crate::config::postgres::PostgresConfig;
use crate::doctor::Finding;
use crate::tls::doctor::{Library, authorities, identity};

/// The oldest version that we use.
const OLDEST: i32 = 150_000;

/// Leases, records and partitions go by clocks that should not differ by more, ms.
const DIFFERENCE: u64 = 1_000;

/// Of one process, beside its pool: one that listens for changes, one that holds its number.
const BESIDE: u32 = 2;

const SERVER: &str = "SELECT current_setting('server_version_num')::int, current_setting('server_version'), \
    current_setting('server_encoding'), pg_is_in_recovery(), \
    coalesce(has_schema_privilege(current_schema(), 'CREATE'), false), \
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int, \
    (extract(epoch FROM clock_timestamp()) * 1000)::bigint";

const HAS_TABLE: &str = "SELECT to_regclass($1) IS NOT NULL";

const NODES: &str = "SELECT count(*) FROM nodes WHERE lease > clock_timestamp()";

/// What the server said.
#[derive(Debug, Clone)]
struct Facts {
    number: i32,
    version: String,
    encoding: String,
    is_standby: bool,
    may_create: bool,
    /// How many connections there may be that are not kept for administrators.
    connections: i32,
    /// How far its clock is from ours, ms.
    difference: u64,
    applied: Option<Vec<Applied>>,
    /// Controllers and invokers that are live.
    nodes: u32,
}

/// Asks the server.
pub async fn examine(config: &PostgresConfig) -> Vec<Finding> {
    let options = match options(config) {
        Ok(options) => options,
        Err(error) => {
            return vec![Finding::fail(
                format!("{:#}", anyhow::Error::from(error)),
                "mend whisk.postgres.url, the file of whisk.postgres.password-file, or whisk.postgres.ssl-…",
            )];
        }
    };
    let connected = timeout(config.acquire_timeout, options.connect()).await;
    let connected = connected.unwrap_or_else(|_| Err(sqlx::Error::PoolTimedOut));
    let facts = match connected {
        Ok(connection) => {
            let asked = timeout(config.statement_timeout, gather(connection)).await;
            asked.unwrap_or_else(|_| Err(sqlx::Error::PoolTimedOut))
        }
        Err(error) => Err(error),
    };
    let mut found = files(&options);
    match facts {
        Ok(facts) => found.extend(judge(config, &facts)),
        Err(error) => found.push(unusable(config, &error)),
    }
    found
}

/// Looks at the files of TLS, whether settings, the address or the driver's own variables name them.
fn files(options: &PgConnectOptions) -> Vec<Finding> {
    // It tells of them in an address alone, and there are hosts and names that it cannot write into one.
    let url = options.clone().host("localhost").username("anybody").to_url_lossy();
    let named = |key: &str| {
        let (_, value) = url.query_pairs().find(|(name, _)| name == key)?;
        // Others are the text of a certificate.
        Some(PathBuf::from(value.strip_prefix("file: ")?))
    };
    let mut found = Vec::new();
    if matches!(options.get_ssl_mode(), PgSslMode::Disable) {
        return found;
    }
    if let Some(path) = named("sslrootcert") {
        let what = "the authorities of PostgreSQL";
        found.push(authorities(Library::Rustls, what, &path, "mend whisk.postgres.ssl-root-cert"));
    }
    if let (Some(certificate), Some(key)) = (named("sslcert"), named("sslkey")) {
        let what = ["our certificate for PostgreSQL", "our key for PostgreSQL"];
        let remedy = "mend whisk.postgres.ssl-cert and whisk.postgres.ssl-key";
        found.extend(identity(Library::Rustls, what, [&certificate, &key], remedy));
    }
    found
}

async fn gather(mut connection: PgConnection) -> Result<Facts, sqlx::Error> {
    let before = SystemClock.now().0;
    let (number, version, encoding, is_standby, may_create, connections, time): (
        i32,
        String,
        String,
        bool,
        bool,
        i32,
        i64,
    ) = sqlx::query_as(SERVER).fetch_one(&mut connection).await?;
    let after = SystemClock.now().0;
    let time = u64::try_from(time).unwrap_or_default();
    let mut has_table = async |name: &str| -> Result<bool, sqlx::Error> {
        sqlx::query_scalar(HAS_TABLE).bind(name).fetch_one(&mut connection).await
    };
    let (migrations, nodes) = (has_table("_sqlx_migrations").await?, has_table("nodes").await?);
    let applied = match migrations {
        true => Some(sqlx::query_as(APPLIED).fetch_all(&mut connection).await?),
        false => None,
    };
    let nodes: i64 = match nodes {
        true => sqlx::query_scalar(NODES).fetch_one(&mut connection).await?,
        false => 0,
    };
    connection.close().await?;
    Ok(Facts {
        number,
        version,
        encoding,
        is_standby,
        may_create,
        connections,
        difference: before.saturating_sub(time).max(time.saturating_sub(after)),
        applied,
        nodes: u32::try_from(nodes).unwrap_or_default(),
    })
}

fn unusable(config: &PostgresConfig, error: &sqlx::Error) -> Finding {
    let at = &config.url;
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    let (told, remedy) = match code.as_deref() {
        Some("28P01" | "28000") => (
            format!("PostgreSQL at {at:?} does not let us in: {error}"),
            "mend the user or password in whisk.postgres.url or whisk.postgres.password-file, or pg_hba.conf",
        ),
        Some("3D000") => (
            format!("PostgreSQL at {at:?} has no such database: {error}"),
            "make it for our user: createdb --owner=<user> <database>",
        ),
        Some("53300") => (
            format!("PostgreSQL at {at:?} has no connection left: {error}"),
            "raise its max_connections, or lower whisk.postgres.max-connections of the processes",
        ),
        Some(_) => (format!("PostgreSQL at {at:?} cannot be used: {error}"), "look at its log"),
        None => (
            format!("PostgreSQL at {at:?} does not answer: {}", describe(error)),
            "start it, or name another with whisk.postgres.url",
        ),
    };
    Finding::fail(told, remedy)
}

fn describe(error: &sqlx::Error) -> String {
    match error {
        sqlx::Error::PoolTimedOut => "its time is up".to_owned(),
        other => other.to_string(),
    }
}

fn judge(config: &PostgresConfig, facts: &Facts) -> Vec<Finding> {
    let at = format!("PostgreSQL {} at {:?}", facts.version, config.url);
    let mut found = vec![match facts.number {
        number if number < OLDEST => Finding::fail(format!("{at} is too old"), "upgrade it to 15 or newer"),
        _ => Finding::ok(format!("{at} lets us in")),
    }];
    if facts.is_standby {
        found.push(Finding::fail(format!("{at} is a standby, which takes no writes"), "name its primary"));
    }
    if facts.encoding != "UTF8" {
        let told = format!("the database keeps text as {}", facts.encoding);
        found.push(Finding::fail(told, "make it anew with ENCODING 'UTF8' TEMPLATE template0"));
    }
    found.push(judge_tables("the database", &MIGRATOR, facts.applied.as_deref()));
    if !facts.may_create {
        found.push(Finding::fail(
            "our user may not make tables in the database",
            "make it the owner: ALTER DATABASE <database> OWNER TO <user>",
        ));
    }
    found.push(connections(config, facts));
    found.push(match facts.difference {
        ..=DIFFERENCE => Finding::ok("the clocks of PostgreSQL and of this machine agree"),
        difference => Finding::warn(
            format!("the clock of PostgreSQL is {difference} ms away from this machine's"),
            "have both follow the same time (NTP)",
        ),
    });
    found
}

/// This process is not counted yet, unless it runs.
fn connections(config: &PostgresConfig, facts: &Facts) -> Finding {
    let (own, nodes) = (config.max_connections + BESIDE, facts.nodes.max(1));
    let there = u32::try_from(facts.connections).unwrap_or_default();
    let told = |count: u32| {
        format!("{nodes} processes may open {count} connections to PostgreSQL, which has {there}")
    };
    let remedy = "raise max_connections of PostgreSQL, or lower whisk.postgres.max-connections";
    match own.saturating_mul(nodes) {
        _ if own > there => Finding::fail(
            format!("a process may open {own} connections to PostgreSQL, which has {there}"),
            remedy,
        ),
        all if all > there => Finding::warn(told(all), remedy),
        all => Finding::ok(told(all)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::postgres::PostgresUrl;
    use crate::doctor::Verdict;

    #[test]
    fn files_are_found_wherever_they_are_named() {
        let url = "postgres://a%2Fb:s3c%3Fret@db/x?host=::1&sslrootcert=/nowhere/by%20url.pem";
        let named = |config: PostgresConfig| files(&options(&config).unwrap());
        let config = PostgresConfig { url: PostgresUrl(url.to_owned()), ..PostgresConfig::default() };
        let found = named(config.clone());
        assert!(
            found.len() == 1 && found[0].what.contains("/nowhere/by url.pem: it cannot be read"),
            "{found:?}"
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        let found = named(PostgresConfig { ssl_root_cert: Some(file.path().into()), ..config.clone() });
        assert!(
            found.len() == 1 && found[0].what.contains("no certificate in PEM"),
            "settings win: {found:?}"
        );
        let config = PostgresConfig { ssl_mode: Some("disable".to_owned()), ..config };
        assert!(named(config).is_empty(), "they are not used");
    }

    fn healthy() -> Facts {
        let applied = MIGRATOR.iter().map(|known| (known.version, true, known.checksum.to_vec())).collect();
        Facts {
            number: 150_014,
            version: "15.14".to_owned(),
            encoding: "UTF8".to_owned(),
            is_standby: false,
            may_create: true,
            connections: 97,
            difference: 0,
            applied: Some(applied),
            nodes: 5,
        }
    }

    fn found(facts: &Facts, verdict: Verdict) -> Vec<String> {
        let found = judge(&PostgresConfig::default(), facts);
        found.into_iter().filter(|found| found.verdict == verdict).map(|found| found.what).collect()
    }

    #[test]
    fn a_server_is_judged_by_what_it_says() {
        assert!(found(&healthy(), Verdict::Fail).is_empty() && found(&healthy(), Verdict::Warn).is_empty());
        let mut newer = healthy();
        newer.applied.as_mut().unwrap().push((99, true, vec![1]));
        let mut unfinished = healthy();
        unfinished.applied.as_mut().unwrap()[0].1 = false;
        let mut other = healthy();
        other.applied.as_mut().unwrap()[0].2 = vec![1];
        for (facts, told) in [
            (Facts { number: 140_009, ..healthy() }, "too old"),
            (Facts { is_standby: true, ..healthy() }, "standby"),
            (Facts { encoding: "SQL_ASCII".to_owned(), ..healthy() }, "SQL_ASCII"),
            (Facts { may_create: false, ..healthy() }, "may not make tables"),
            (Facts { connections: 10, ..healthy() }, "may open 18 connections"),
            (newer, "newer version"),
            (unfinished, "not finished"),
            (other, "differs"),
        ] {
            let failures = found(&facts, Verdict::Fail);
            assert!(failures.len() == 1 && failures[0].contains(told), "{told}: {failures:?}");
        }
        for facts in [Facts { nodes: 6, ..healthy() }, Facts { difference: 5_000, ..healthy() }] {
            assert_eq!(found(&facts, Verdict::Warn).len(), 1, "{facts:?}");
        }
        let empty = Facts { applied: None, ..healthy() };
        assert!(found(&empty, Verdict::Ok).iter().any(|what| what.contains("no tables yet")));
    }
}
