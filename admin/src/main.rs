//! `wskadmin`: subjects, keys and limits of an installation, on its data directory.
//!
//! Commands, sentences and exit codes are those of upstream's `tools/admin/wskadmin`: 0 for done, 1 for
//! refused, 2 for misused, and the number of failures for `block` and `unblock`. It works beside a
//! running server, which sees what changed within a second.

mod limits;
mod output;
mod user;

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};
use common::paths;
use common::store::seal::Secret;
use common::store::sqlite::SqliteStores;

use crate::output::Outcome;

/// OpenWhisk admin command line tool
#[derive(Debug, Parser)]
#[command(name = "wskadmin", version)]
struct Cli {
    /// The installation's data directory [default: $XDG_DATA_HOME/oxwhisk or ~/.local/share/oxwhisk]
    #[arg(long, value_name = "DIR", env = "OXWHISK_DATA_DIR", global = true)]
    data_dir: Option<PathBuf>,
    /// Say on standard error what is done, and why it fails
    #[arg(short, long, global = true)]
    verbose: bool,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// manage users
    #[command(subcommand)]
    User(user::Command),
    /// manage namespace-specific limits
    #[command(subcommand)]
    Limits(limits::Command),
}

impl Command {
    /// Whether an installation that is not there yet is made.
    fn makes_installation(&self) -> bool {
        matches!(self, Self::User(user::Command::Create(_)))
    }

    async fn run(self, installation: &Installation) -> anyhow::Result<Outcome> {
        match self {
            Self::User(command) => user::run(command, installation).await,
            Self::Limits(command) => limits::run(command, installation.stores.subjects.as_ref()).await,
        }
    }
}

/// The stores and the secret of a data directory, held alone: two `wskadmin` that change the same
/// subject at once do so one after the other.
struct Installation {
    stores: SqliteStores,
    secret: Secret,
    _alone: File,
}

impl Installation {
    async fn open(data_dir: &Path, make: bool) -> anyhow::Result<Self> {
        if !make && !data_dir.join(paths::ENTITIES).is_file() {
            bail!(
                "there is no installation in {}: start oxwhisk or create a user there first, \
                 or name another directory with --data-dir or OXWHISK_DATA_DIR",
                data_dir.display()
            );
        }
        let unusable = || format!("the data directory {} cannot be used", data_dir.display());
        let stores = SqliteStores::open(data_dir).await.with_context(unusable)?;
        let path = data_dir.join(paths::SECRET);
        let unreadable = || format!("the secret {} cannot be used", path.display());
        let secret = Secret::load_or_create(&path).with_context(unreadable)?;
        let alone = File::open(&path).with_context(unreadable)?;
        alone.lock().with_context(unreadable)?;
        Ok(Self { stores, secret, _alone: alone })
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse_from(std::env::args_os().map(spell_out));
    let verbose = cli.verbose;
    match run(cli) {
        Ok(outcome) => outcome.print(),
        Err(error) => output::complain(&error, verbose),
    }
}

/// Upstream's one option of two letters after one dash.
fn spell_out(argument: OsString) -> OsString {
    match argument.to_str() {
        Some("-ns") => "--namespace".into(),
        Some(text) => match text.strip_prefix("-ns=") {
            Some(value) => format!("--namespace={value}").into(),
            None => argument,
        },
        None => argument,
    }
}

#[tokio::main(flavor = "current_thread")]
async fn run(cli: Cli) -> anyhow::Result<Outcome> {
    if let Command::User(user::Command::Create(create)) = &cli.command
        && let Some(outcome) = create.without_store()
    {
        return Ok(outcome);
    }
    let data_dir = cli.data_dir.unwrap_or_else(paths::default_data_dir);
    if cli.verbose {
        output::note(&format!("data directory: {}", data_dir.display()));
    }
    let installation = Installation::open(&data_dir, cli.command.makes_installation()).await?;
    let outcome = cli.command.run(&installation).await;
    installation.stores.close().await;
    outcome
}
