//! `oxwhisk`: the whole platform in one process, for one machine.
//!
//! It composes the controller and the invoker of the distributed form over an in-process bus and SQLite
//! files. As `oxwhisk action-proxy …` it is the process that an action runs in where there is no Docker.

mod args;
mod containers;
mod data_dir;
mod doctor;
mod node_modules;
mod platform;
mod ready;
mod subjects;

use std::process::ExitCode;

use anyhow::Context;
use clap::Parser;
use common::telemetry::span::System;
use tracing::Instrument;

/// A request allocates some hundred times; this takes half as long as the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// The word after `oxwhisk` that has it look around in place of starting.
const DOCTOR: &str = "doctor";

/// Its name among logs: both roles are one process, which upstream calls a controller too.
const COMPONENT: &str = "controller0";

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|first| first == containers::ACTION_PROXY) {
        return action_proxy::cli::main(&[containers::ACTION_PROXY], words);
    }
    common::huge_pages::avoid();
    let args = arguments();
    if args.check {
        return look(&args);
    }
    if let Err(error) = common::telemetry::start(args.log_format, &args.log_level) {
        return fail(&format!("--log-level '{}' cannot be used: {error}", args.log_level));
    }
    if let Some(folder) = &args.log_dir
        && let Err(error) = common::telemetry::log_into(folder, COMPONENT)
    {
        return fail(&format!("no log can be written into {}; see --log-dir: {error}", folder.display()));
    }
    common::open_files::raise_limit();
    match in_runtime(platform::run(args).instrument(System::Controller.span())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("{error:#}")),
    }
}

/// The flags; `doctor` as the first word is one of them.
fn arguments() -> args::Args {
    let mut words: Vec<_> = std::env::args_os().collect();
    if let Some(first) = words.get_mut(1).filter(|first| *first == DOCTOR) {
        *first = "--check".into();
    }
    args::Args::parse_from(words)
}

fn look(args: &args::Args) -> ExitCode {
    common::open_files::raise_limit();
    in_runtime(doctor::check(args)).unwrap_or_else(|error| fail(&format!("{error:#}")))
}

fn in_runtime<T>(work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("the runtime cannot be started")?.block_on(work)
}

#[expect(clippy::print_stderr, reason = "the last word of a program that cannot go on")]
fn fail(text: &str) -> ExitCode {
    eprintln!("oxwhisk: {}", text.replace('\n', " "));
    ExitCode::FAILURE
}
