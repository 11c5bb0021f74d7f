//! What the programs of the distributed form have in common: flags, and how they begin and end.

pub mod check;

use std::future::Future;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use tracing::Instrument;

use crate::join::Applicant;
use crate::nodes::NodeKind;
use crate::telemetry::span::System;
use crate::telemetry::{self, LogFormat};
use crate::tls::Tls;
use crate::tls::flags::TlsFlags;
use crate::{address, huge_pages, open_files};

/// The flags that every node has. Each has an environment variable; flags win over the configuration file.
#[derive(Debug, clap::Args)]
pub struct NodeArgs {
    /// The address that this process answers on.
    #[arg(long, env = "OXWHISK_HOST", default_value = "0.0.0.0")]
    pub host: IpAddr,

    /// The host under which others, such as Prometheus, reach this process.
    #[arg(long, env = "OXWHISK_ADVERTISE", default_value = "127.0.0.1")]
    pub advertise: String,

    /// The address and port that /metrics is served on alone, such as 10.0.0.5:9464; without it that is done on
    /// `--port`.
    #[arg(long, env = "OXWHISK_METRICS_ADDRESS")]
    pub metrics_address: Option<SocketAddr>,

    /// A name under which this process gets the same number after each start.
    #[arg(long, env = "OXWHISK_NAME")]
    pub name: Option<String>,

    /// Where journals lie; processes of one installation may share it.
    #[arg(long, env = "OXWHISK_STATE_DIR", default_value = "/var/lib/oxwhisk/state")]
    pub state_dir: PathBuf,

    /// A TOML file with settings.
    #[arg(long, env = "OXWHISK_CONFIG")]
    pub config: Option<PathBuf>,

    /// A runtimes manifest in upstream's format, in place of the built-in one.
    #[arg(long, env = "OXWHISK_RUNTIMES")]
    pub runtimes: Option<PathBuf>,

    /// What this process shows to clients.
    #[command(flatten)]
    pub tls: TlsFlags,

    /// A file that gets this process's address once it listens.
    #[arg(long, env = "OXWHISK_ADDRESS_FILE")]
    pub address_file: Option<PathBuf>,

    /// Asks the process whose address file that is whether it is ready, and exits: 0 if it is.
    #[arg(long)]
    pub probe: bool,

    /// Looks at what this process would need and does not start: a line a finding, with what to do about it.
    /// Exits with 0, or with 1 if something does not work.
    #[arg(long)]
    pub check: bool,

    /// A folder in which the log goes also into a file, `<component>/<component>_logs.log`.
    #[arg(long, env = "OXWHISK_LOG_DIR")]
    pub log_dir: Option<PathBuf>,

    /// How many seconds what is under way may take to end once this process is told to stop.
    #[arg(long, env = "OXWHISK_GRACE", value_name = "SECONDS", default_value_t = 30)]
    pub grace: u64,

    /// How log lines look: text or json.
    #[arg(long, env = "OXWHISK_LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,

    /// What is logged: error, warn, info, debug, trace, or a filter such as info,invoker=debug.
    #[arg(long, env = "OXWHISK_LOG_LEVEL", default_value = "info")]
    pub log_level: String,
}

impl NodeArgs {
    /// Listens on that port, or on a free one if it is 0, and says where.
    pub fn listen(&self, port: u16, tls: Option<&Tls>) -> anyhow::Result<(TcpListener, SocketAddr)> {
        let address = SocketAddr::new(self.host, port);
        let listener = TcpListener::bind(address)
            .with_context(|| format!("cannot listen on {address}; choose another with --host and --port"))?;
        let address = listener.local_addr()?;
        if let Some(file) = &self.address_file {
            address::tell(file, address, tls)?;
        }
        tracing::info!("listening on {address}{}", if tls.is_some() { " by TLS" } else { "" });
        Ok((listener, address))
    }

    /// What is under way may take so long to end.
    pub fn grace(&self) -> Duration {
        Duration::from_secs(self.grace)
    }

    /// As what it asks for a number. Others are told where its metrics are: at its own address, or at one for them.
    pub fn applicant(&self, kind: NodeKind, address: SocketAddr, metrics: Option<SocketAddr>) -> Applicant {
        let shown = match metrics {
            Some(metrics) if !metrics.ip().is_unspecified() => metrics.to_string(),
            other => format!("{}:{}", self.advertise, other.unwrap_or(address).port()),
        };
        Applicant {
            kind,
            name: self.name.clone(),
            address: shown,
            state_dir: self.state_dir.clone(),
            log_dir: self.log_dir.clone(),
        }
    }
}

/// A node's whole life: logging, limits, the runtime, and its last word. A probe asks another process. What
/// the node logs of itself is that system's.
pub fn main(
    program: &str,
    args: &NodeArgs,
    system: System,
    run: impl Future<Output = anyhow::Result<()>>,
) -> ExitCode {
    huge_pages::avoid();
    let outcome =
        if args.probe { address::probe(args.address_file.as_deref()) } else { live(args, system, run) };
    end(program, outcome)
}

/// Looks around in place of a life; `check` prints what it finds, and nothing is logged.
pub fn look(program: &str, check: impl Future<Output = anyhow::Result<ExitCode>>) -> ExitCode {
    open_files::raise_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let outcome =
        runtime.context("the runtime cannot be started").and_then(|runtime| runtime.block_on(check));
    outcome.unwrap_or_else(|error| end(program, Err(error)))
}

fn live(
    args: &NodeArgs,
    system: System,
    run: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<()> {
    telemetry::start(args.log_format, &args.log_level)
        .map_err(|error| anyhow::anyhow!("--log-level '{}' cannot be used: {error}", args.log_level))?;
    open_files::raise_limit();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    runtime.context("the runtime cannot be started")?.block_on(run.instrument(system.span()))
}

#[expect(clippy::print_stderr, reason = "the last word of a program that cannot go on")]
fn end(program: &str, outcome: anyhow::Result<()>) -> ExitCode {
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{program}: {}", format!("{error:#}").replace('\n', " "));
            ExitCode::FAILURE
        }
    }
}

/// Demands that every flag has the environment variable that is named after it: for the programs' tests.
///
/// # Panics
///
/// If one has not.
pub fn expect_variables(command: &clap::Command) {
    command.clone().debug_assert();
    let no_setting = ["help", "version", "probe", "check"];
    for flag in command.get_arguments().filter(|flag| !no_setting.contains(&flag.get_id().as_str())) {
        let name = flag.get_id().as_str().to_uppercase();
        let variable = flag.get_env().expect("every flag has a variable").to_string_lossy().into_owned();
        assert_eq!(variable, format!("OXWHISK_{name}"));
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Program {
        #[command(flatten)]
        node: NodeArgs,
    }

    #[test]
    fn others_are_told_where_metrics_are() {
        let api = SocketAddr::from(([0, 0, 0, 0], 8888));
        for (metrics, told) in [
            (None, "machine:8888"),
            (Some("0.0.0.0:9464"), "machine:9464"),
            (Some("10.0.0.5:9464"), "10.0.0.5:9464"),
        ] {
            let flag = metrics.map(|address| format!("--metrics-address={address}"));
            let arguments = ["program".to_owned(), "--advertise=machine".to_owned()].into_iter().chain(flag);
            let Program { node } = Program::parse_from(arguments);
            let applicant = node.applicant(NodeKind::Invoker, api, node.metrics_address);
            assert_eq!(applicant.address, told, "{metrics:?}");
        }
    }
}
