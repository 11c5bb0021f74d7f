//! The runtime contract, kept by each image: containers of the real images, started straight through Docker, and the
//! two requests of the contract, without any other part of the platform.
//!
//! A language is data: a folder here with `language.toml` and the sources of the cases. Words on the command line choose
//! languages: `cargo test --workspace --test runtimes ruby`.
//!
//! - `OXWHISK_TEST_IMAGES=all` tries those languages, too, whose images are large;
//! - `OXWHISK_TEST_IMAGE_<LANGUAGE>` names another image, one of upstream's for instance;
//! - `OXWHISK_TEST_TABLE=1` measures, and writes the tables of docs/runtimes.md.

#![allow(clippy::print_stdout, reason = "the count is what it is for")]
#![allow(clippy::unwrap_used, reason = "clippy allows it in tests, but not in what they share")]

mod cases;
mod compile;
mod container;
mod language;
mod measure;
mod session;
mod table;

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use bollard::Docker;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use tests::tally::Tally;

use cases::{CASES, Case};
use language::Language;
use session::Session;
use table::{Cell, Column};

const SUITE: &str = "runtimes";
/// How many containers there are at a time.
const AT_ONCE: usize = 4;

#[tokio::main]
async fn main() -> ExitCode {
    let languages = match language::all() {
        Ok(languages) => languages,
        Err(error) => {
            println!("{SUITE}: {error:#}");
            return ExitCode::FAILURE;
        }
    };
    let asked = |language: &&Language| Tally::is_asked_for(&format!("{SUITE} {}", language.name));
    let wanted: Vec<&Language> = languages.iter().filter(asked).collect();
    if wanted.is_empty() {
        return ExitCode::SUCCESS;
    }
    let mut tally = Tally::new(SUITE);
    match container::docker().await {
        Ok(docker) => {
            let columns = match container::prepare(&docker).await {
                Ok(()) => run(&docker, &wanted, &mut tally).await,
                Err(error) => {
                    tally.failed("the network", &format!("{error:#}"));
                    BTreeMap::new()
                }
            };
            if let Err(error) = container::clean(&docker).await {
                tally.failed("removing the network", &format!("{error:#}"));
            }
            if measured()
                && let Err(error) = table::write(&languages, &columns)
            {
                tally.failed("writing the tables", &format!("{error:#}"));
            }
        }
        Err(error) => missing(&mut tally, wanted.len() * CASES.len(), &format!("no Docker daemon: {error}")),
    }
    // Last, since it may have been written by now.
    tally.judge("docs/runtimes.md", table::check(&languages).map_err(|error| format!("{error:#}")));
    tally.end()
}

/// Whether this run is for the tables.
fn measured() -> bool {
    std::env::var_os("OXWHISK_TEST_TABLE").is_some()
}

/// What cannot be tried fails where all has to be, and is counted elsewhere.
fn missing(tally: &mut Tally, cases: usize, why: &str) {
    match std::env::var("OXWHISK_TEST_DOCKER").as_deref() {
        Ok("required") => tally.failed(why, "it has to be there"),
        _ => tally.skipped(cases, why),
    }
}

async fn run(docker: &Docker, wanted: &[&Language], tally: &mut Tally) -> BTreeMap<String, Column> {
    let all = std::env::var("OXWHISK_TEST_IMAGES").is_ok_and(|images| images == "all");
    let mut columns = BTreeMap::new();
    for language in wanted {
        if language.heavy && !all {
            tally.skipped(CASES.len(), &format!("{} is tried with OXWHISK_TEST_IMAGES=all", language.name));
            continue;
        }
        let images = [Some(&language.image), language.builder.as_ref()];
        let mut absent = Vec::new();
        for image in images.into_iter().flatten() {
            if docker.inspect_image(image).await.is_err() {
                absent.push(image.as_str());
            }
        }
        if !absent.is_empty() {
            let why = format!("there is no image {}; make it with: cargo xtask images", absent.join(", "));
            missing(tally, CASES.len(), &why);
            continue;
        }
        let mut column = cases_of(docker, language, tally).await;
        if measured() {
            match measure::measure(docker, language).await {
                Ok(figures) => column.figures = Some(figures),
                Err(error) => tally.failed(&format!("{}: figures", language.name), &format!("{error:#}")),
            }
        }
        columns.insert(language.name.clone(), column);
    }
    columns
}

async fn cases_of(docker: &Docker, language: &Language, tally: &mut Tally) -> Column {
    let mut column = Column::default();
    let (kept, left_out): (Vec<&Case>, Vec<&Case>) =
        CASES.iter().partition(|case| !language.leave_out.contains_key(case.name));
    column.cells.extend(left_out.iter().map(|case| (case.name, Cell::LeftOut)));
    let outcomes = futures::stream::iter(kept)
        .map(|case| async move { (case.name, tried(docker, language, |it| (case.run)(it)).await) });
    let mut outcomes = outcomes.buffered(AT_ONCE);
    while let Some((case, outcome)) = outcomes.next().await {
        let cell = if outcome.is_ok() { Cell::Passed } else { Cell::Failed };
        column.cells.insert(case, cell);
        tally.judge(&format!("{}: {case}", language.name), outcome);
    }
    let own = futures::stream::iter(&language.own).map(|case| async move {
        (&case.name, tried(docker, language, |it| Box::pin(cases::own(it, case))).await)
    });
    let mut outcomes = own.buffered(AT_ONCE);
    while let Some((case, outcome)) = outcomes.next().await {
        tally.judge(&format!("{}: {case}", language.name), outcome);
    }
    column
}

/// One case in a container of its own, which is removed whatever comes of it.
async fn tried<'l, C>(docker: &Docker, language: &'l Language, case: C) -> Result<(), String>
where
    C: for<'a> FnOnce(&'a mut Session<'l>) -> BoxFuture<'a, anyhow::Result<()>>,
{
    in_container(docker, language, case).await.map_err(|error| format!("{error:#}"))
}

async fn in_container<'l, C>(docker: &Docker, language: &'l Language, case: C) -> anyhow::Result<()>
where
    C: for<'a> FnOnce(&'a mut Session<'l>) -> BoxFuture<'a, anyhow::Result<()>>,
{
    let mut session = Session::start(docker, language).await?;
    let outcome = AssertUnwindSafe(case(&mut session)).catch_unwind().await;
    let end = session.end().await;
    match outcome {
        Ok(outcome) => outcome.and(end),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            anyhow::bail!(text.unwrap_or_else(|| "it panicked".to_owned()))
        }
    }
}
