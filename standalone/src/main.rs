//! `oxwhisk`: the whole platform in one process, for one machine.
//!
//! It composes the controller and the invoker of the distributed form over an in-process bus and SQLite
//! files. As `oxwhisk action-proxy …` it is the process that an action runs in where there is no Docker.

mod args;
mod containers;
mod data_dir;
mod node_modules;
mod platform;
mod ready;
mod subjects;

use std::process::ExitCode;

use clap::Parser;

/// A request allocates some hundred times; this takes half as long as the system's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Its name among logs: both roles are one process, which upstream calls a controller too.
const COMPONENT: &str = "controller0";

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|first| first == containers::ACTION_PROXY) {
        return action_proxy::cli::main(&[containers::ACTION_PROXY], words);
    }
    let args = args::Args::parse();
    if let Err(error) = common::telemetry::start(args.log_format, &args.log_level) {
        return fail(&format!("--log-level '{}' cannot be used: {error}", args.log_level));
    }
    if let Some(folder) = &args.log_dir
        && let Err(error) = common::telemetry::log_into(folder, COMPONENT)
    {
        return fail(&format!("no log can be written into {}; see --log-dir: {error}", folder.display()));
    }
    common::open_files::raise_limit();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&format!("the runtime cannot be started: {error}")),
    };
    match runtime.block_on(platform::run(args)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&format!("{error:#}")),
    }
}

#[expect(clippy::print_stderr, reason = "the last word of a program that cannot go on")]
fn fail(text: &str) -> ExitCode {
    eprintln!("oxwhisk: {}", text.replace('\n', " "));
    ExitCode::FAILURE
}
