//! `wskadmin`: subjects, keys and limits of an installation, what its databases hold and what it logged; on its data
//! directory or its PostgreSQL database.
//!
//! Commands, sentences and exit codes are those of upstream's `tools/admin/wskadmin`: 0 for done, 1 for
//! refused, 2 for misused, and the number of failures for `block` and `unblock`. It works beside a
//! running server, which sees what changed within a second.

mod db;
mod limits;
mod output;
mod syslog;
mod user;

use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::{Parser, Subcommand};
use common::config;
use common::paths;
use common::store::postgres::PostgresStores;
use common::store::seal::Secret;
use common::store::sqlite::SqliteStores;
use common::store::{ActivationStore, ArtifactStore, SubjectStore};

use crate::output::Outcome;

/// OpenWhisk admin command line tool
#[derive(Debug, Parser)]
#[command(name = "wskadmin", version)]
struct Cli {
    /// The installation's data directory [default: $XDG_DATA_HOME/oxwhisk or ~/.local/share/oxwhisk]
    #[arg(long, value_name = "DIR", env = "OXWHISK_DATA_DIR", global = true)]
    data_dir: Option<PathBuf>,
    /// Work on the PostgreSQL database of the settings, in place of a data directory
    #[arg(long, env = "OXWHISK_POSTGRES", global = true)]
    postgres: bool,
    /// A TOML file with settings; with --postgres
    #[arg(long, value_name = "FILE", env = "OXWHISK_CONFIG", global = true)]
    config: Option<PathBuf>,
    /// The installation's secret, made if it is not there; with --postgres
    #[arg(long, value_name = "FILE", env = "OXWHISK_SECRET_FILE", global = true)]
    secret_file: Option<PathBuf>,
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
    /// work with dbs
    #[command(subcommand)]
    Db(db::Command),
    /// work with system logs
    #[command(subcommand)]
    Syslog(syslog::Command),
}

impl Command {
    /// Whether an installation that is not there yet is made.
    fn makes_installation(&self) -> bool {
        matches!(self, Self::User(user::Command::Create(_)))
    }

    async fn run(self, installation: &Installation) -> anyhow::Result<Outcome> {
        match self {
            Self::User(command) => user::run(command, installation).await,
            Self::Limits(command) => limits::run(command, installation.subjects.as_ref()).await,
            Self::Db(command) => db::run(command, installation).await,
            // It has no installation, only files.
            Self::Syslog(command) => syslog::run(&command),
        }
    }
}

/// The subjects and the secret of an installation, held alone: two `wskadmin` that change the same
/// subject at once do so one after the other.
struct Installation {
    artifacts: Arc<dyn ArtifactStore>,
    subjects: Arc<dyn SubjectStore>,
    activations: Arc<dyn ActivationStore>,
    secret: Secret,
    secret_file: PathBuf,
    stores: Stores,
    _alone: File,
}

/// Where the subjects are, to be closed.
enum Stores {
    Sqlite(SqliteStores),
    Postgres(PostgresStores),
}

impl Installation {
    async fn open(cli: &Cli) -> anyhow::Result<Self> {
        if cli.postgres {
            return Self::open_postgres(cli).await;
        }
        let data_dir = cli.data_dir.clone().unwrap_or_else(paths::default_data_dir);
        if cli.verbose {
            output::note(&format!("data directory: {}", data_dir.display()));
        }
        if !cli.command.makes_installation() && !data_dir.join(paths::ENTITIES).is_file() {
            bail!(
                "there is no installation in {}: start oxwhisk or create a user there first, \
                 or name another directory with --data-dir or OXWHISK_DATA_DIR",
                data_dir.display()
            );
        }
        let unusable = || format!("the data directory {} cannot be used", data_dir.display());
        let stores = SqliteStores::open(&data_dir).await.with_context(unusable)?;
        Self::with(Stores::Sqlite(stores), &data_dir.join(paths::SECRET))
    }

    async fn open_postgres(cli: &Cli) -> anyhow::Result<Self> {
        let Some(secret) = &cli.secret_file else {
            bail!(
                "--postgres needs the installation's secret: name it with --secret-file or OXWHISK_SECRET_FILE"
            );
        };
        let config = config::load::load(cli.config.as_deref(), std::env::vars())?.postgres;
        if cli.verbose {
            output::note(&format!("database: {:?}", config.url));
        }
        let unusable = || format!("the database {:?} cannot be used", config.url);
        let stores = PostgresStores::connect(&config).await.with_context(unusable)?;
        Self::with(Stores::Postgres(stores), secret)
    }

    fn with(stores: Stores, secret: &Path) -> anyhow::Result<Self> {
        let unreadable = || format!("the secret {} cannot be used", secret.display());
        let opened = Secret::load_or_create(secret).with_context(unreadable)?;
        let alone = File::open(secret).with_context(unreadable)?;
        alone.lock().with_context(unreadable)?;
        let (artifacts, subjects, activations) = match &stores {
            Stores::Sqlite(of) => (of.artifacts.clone(), of.subjects.clone(), of.activations.clone()),
            Stores::Postgres(of) => (of.artifacts.clone(), of.subjects.clone(), of.activations.clone()),
        };
        let secret_file = secret.to_owned();
        Ok(Self { artifacts, subjects, activations, secret: opened, secret_file, stores, _alone: alone })
    }

    async fn close(self) {
        match self.stores {
            Stores::Sqlite(stores) => stores.close().await,
            Stores::Postgres(stores) => stores.close().await,
        }
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
    if let Command::Syslog(command) = &cli.command {
        return syslog::run(command);
    }
    let installation = Installation::open(&cli).await?;
    let outcome = cli.command.run(&installation).await;
    installation.close().await;
    outcome
}
