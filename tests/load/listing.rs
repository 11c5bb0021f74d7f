//! The benchmark behind the second half of docs/performance.md: what lists, counts and reads of activation
//! records cost in PostgreSQL when there are millions of them.
//!
//! The same calls go in turn to three databases of one server: an empty one, one with a few records and
//! one with many, both over the same thirty days. All go through the store that a controller has, without
//! its API, whose own cost would only hide a difference. Run by `cargo xtask bench --listing`.

#![allow(clippy::print_stdout, reason = "the table is what it is for")]

mod report;

use anyhow::{Context, ensure};
use common::clock::{Clock, Millis, SystemClock};
use common::entity::id::ActivationId;
use common::entity::name::EntityName;
use common::store::postgres::PostgresStores;
use common::store::{ActivationQuery, ActivationStore};
use sqlx::{Connection, PgConnection};
use tests::services::postgres::{Postgres, settings};
use tokio::time::Instant;

use report::middle;

const DAY: u64 = 86_400_000;
/// How far back the records reach.
const DAYS: u64 = 30;
/// So many records are few; a page of each list is full with them.
const FEW: i64 = 2_400;
/// How many calls a figure is the median of.
const CALLS: usize = 301;
/// So many are not counted: PostgreSQL makes its plan for all values of a statement after five.
const FIRST_CALLS: usize = 20;
/// How many records an insert has.
const BATCH: i64 = 200_000;
/// A list has so many if nobody says how many.
const PAGE: u64 = 30;
/// The rare action has so many records, however many there are.
const RARE: i64 = 40;

/// The namespace that is asked for. It has half of all records.
const NAMESPACE: &str = "measured";

/// Records `$1` to `$2` of `$3`, evenly over the time until `$4`, as a batch of the store writes them. Every
/// `$6`th is one of the rare action.
const INSERT: &str = r#"INSERT INTO activations
    SELECT id::uuid, namespace, name, time, 0, 24,
        '{"namespace":"' || namespace || '","name":"' || name || '","version":"0.0.1","publish":false,"subject":"'
        || namespace || '","activationId":"' || id || '","start":' || time || ',"end":' || time + 7
        || ',"duration":7,"annotations":[{"key":"path","value":"' || namespace || '/' || name
        || '"},{"key":"waitTime","value":3},{"key":"kind","value":"nodejs:20"},{"key":"timeout","value":false},'
        || '{"key":"limits","value":{"concurrency":1,"logs":10,"memory":256,"timeout":60000}}]}',
        '{"greeting":"Hello Ada"}', '[]'
    FROM (
        SELECT lpad(to_hex(time), 12, '0') || substr(md5(n::text), 1, 20) AS id, time,
            CASE n % 2 WHEN 0 THEN 'measured' ELSE 'other' || n % 50 END AS namespace,
            CASE n % $6 WHEN 0 THEN 'rare' ELSE 'action' || n / 2 % 10 END AS name
        FROM (SELECT n, $4 - ($3 - n) * $5 / $3 AS time FROM generate_series($1, $2) AS n) AS times
    ) AS records"#;

/// A database with its store.
struct Place {
    url: String,
    stores: PostgresStores,
}

/// What a store is asked.
enum Question {
    Heads(ActivationQuery),
    Count(ActivationQuery),
    /// One after the other.
    Get(Vec<ActivationId>),
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let rows = std::env::var("OXWHISK_BENCH_ROWS").ok();
    let rows: i64 = rows.map_or(Ok(10_000_000), |text| text.parse()).context("OXWHISK_BENCH_ROWS")?;
    // Rare records are those of the measured namespace, and there are always as many.
    let rows = rows.max(FEW) / (2 * RARE) * (2 * RARE);
    let server = Postgres::start().await;
    let now = SystemClock.now();
    println!("machine: {}", report::machine()?);
    let places = [Place::new(&server).await?, Place::new(&server).await?, Place::new(&server).await?];
    places[1].fill(FEW, now).await?;
    let begun = Instant::now();
    places[2].fill(rows, now).await?;
    println!("{rows} records were put in in {:.0} s", begun.elapsed().as_secs_f64());
    println!("they take {:.1} GB", places[2].gigabytes().await?);
    println!();
    println!("| call | empty, µs | {FEW} records, µs | {rows} records, µs | over empty | over {FEW} |");
    println!("| --- | ---: | ---: | ---: | ---: | ---: |");
    for (what, question) in questions(places[2].stores.activations.as_ref(), now).await? {
        let [none, few, many] = measure(&places, &question).await?;
        println!("| {what} | {none:.0} | {few:.0} | {many:.0} | {:.2} | {:.2} |", many / none, many / few);
    }
    for place in places {
        place.stores.close().await;
    }
    Ok(())
}

impl Place {
    async fn new(server: &Postgres) -> anyhow::Result<Self> {
        let url = server.database().await;
        let stores = PostgresStores::connect(&settings(&url)).await?;
        Ok(Self { url, stores })
    }

    /// Puts in so many records, into partitions as the store would have made them in time.
    async fn fill(&self, rows: i64, now: Millis) -> anyhow::Result<()> {
        for day in 0..=DAYS {
            self.stores.upkeep(Millis(now.0 - day * DAY)).await?;
        }
        let mut sql = PgConnection::connect(&self.url).await?;
        let mut from = 1;
        while from <= rows {
            let to = rows.min(from + BATCH - 1);
            let insert = sqlx::query(INSERT).bind(from).bind(to).bind(rows);
            let insert = insert.bind(i64::try_from(now.0)?).bind(i64::try_from(DAYS * DAY)?);
            insert.bind(rows / RARE).execute(&mut sql).await?;
            from = to + 1;
        }
        // What the server does by itself in time.
        sqlx::query("VACUUM ANALYZE").execute(&mut sql).await?;
        sql.close().await?;
        Ok(())
    }

    async fn gigabytes(&self) -> anyhow::Result<f64> {
        let mut sql = PgConnection::connect(&self.url).await?;
        let size = sqlx::query_scalar("SELECT pg_database_size(current_database())");
        let size: i64 = size.fetch_one(&mut sql).await?;
        sql.close().await?;
        Ok(size as f64 / 1e9)
    }
}

/// All that is measured. Records to get are taken from all days of the full store.
async fn questions(full: &dyn ActivationStore, now: Millis) -> anyhow::Result<Vec<(&'static str, Question)>> {
    let all = ActivationQuery {
        namespace: EntityName::parse(NAMESPACE).context("it is a name")?,
        name: None,
        since: None,
        upto: None,
        skip: 0,
        limit: PAGE,
    };
    let named = |name: &str| ActivationQuery { name: Some(name.to_owned()), ..all.clone() };
    // An empty page of as many partitions.
    let nobody = ActivationQuery { namespace: EntityName::parse("nobody")?, ..all.clone() };
    let then = Millis(now.0 - DAYS / 2 * DAY);
    let day = ActivationQuery { since: Some(Millis(then.0 - DAY)), upto: Some(then), ..all.clone() };
    let mut ids = Vec::new();
    for day in 0..DAYS {
        let newest = ActivationQuery { upto: Some(Millis(now.0 - day * DAY)), limit: 1, ..all.clone() };
        ids.extend(full.heads(&newest).await?.into_iter().map(|(head, _)| head.activation_id));
    }
    let expected = usize::try_from(DAYS)?;
    ensure!(ids.len() == expected, "every day has records, but {} of {expected} have", ids.len());
    Ok(vec![
        ("list", Question::Heads(all.clone())),
        ("list by name", Question::Heads(named("action3"))),
        ("list by a name with 40 records", Question::Heads(named("rare"))),
        ("list without records", Question::Heads(nobody)),
        ("list with `since`", Question::Heads(ActivationQuery { since: Some(then), ..all.clone() })),
        ("list with `upto`", Question::Heads(ActivationQuery { upto: Some(then), ..all.clone() })),
        ("list with both, a day", Question::Heads(day.clone())),
        ("count", Question::Count(all.clone())),
        ("count by name", Question::Count(named("action3"))),
        ("get", Question::Get(ids)),
        ("count with both, a day", Question::Count(day)),
    ])
}

/// The medians in the databases, µs. They are asked in turn, so that a drift of the machine meets all.
async fn measure(places: &[Place; 3], question: &Question) -> anyhow::Result<[f64; 3]> {
    let mut all = [const { Vec::new() }; 3];
    for call in 0..FIRST_CALLS + CALLS {
        for (place, figures) in places.iter().zip(&mut all) {
            let begun = Instant::now();
            question.ask(place.stores.activations.as_ref(), call).await?;
            let took = begun.elapsed().as_secs_f64() * 1e6;
            if call >= FIRST_CALLS {
                figures.push(took);
            }
        }
    }
    Ok(all.map(middle))
}

impl Question {
    async fn ask(&self, store: &dyn ActivationStore, call: usize) -> anyhow::Result<()> {
        match self {
            Self::Heads(query) => drop(store.heads(query).await?),
            Self::Count(query) => drop(store.count(query).await?),
            Self::Get(ids) => {
                let namespace = EntityName::parse(NAMESPACE).context("it is a name")?;
                store.get(&namespace, ids[call % ids.len()]).await?;
            }
        }
        Ok(())
    }
}
