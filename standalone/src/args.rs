//! The command line. Every flag has an environment variable; flags win over the configuration file.

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;

use clap::{Parser, ValueEnum};
use common::entity::limits::ByteSize;
use common::telemetry::LogFormat;
use common::tls::flags::TlsFlags;

/// An OpenWhisk-compatible serverless platform on one machine.
#[derive(Debug, Parser)]
#[command(
    name = "oxwhisk",
    version,
    about,
    after_help = "oxwhisk doctor [OPTIONS] is oxwhisk --check [OPTIONS]."
)]
pub struct Args {
    /// The address that the API listens on.
    #[arg(long, env = "OXWHISK_HOST", default_value = "127.0.0.1")]
    pub host: IpAddr,

    /// The port that the API listens on; 0 chooses a free one.
    #[arg(long, env = "OXWHISK_PORT", default_value_t = 3233)]
    pub port: u16,

    /// The address and port that /metrics is served on alone, such as 127.0.0.1:9464; without it that is done on
    /// `--port`.
    #[arg(long, env = "OXWHISK_METRICS_ADDRESS")]
    pub metrics_address: Option<SocketAddr>,

    /// What the API shows to clients.
    #[command(flatten)]
    pub tls: TlsFlags,

    /// Where entities and activations are kept.
    #[arg(long, env = "OXWHISK_DATA_DIR", default_value_os_t = common::paths::default_data_dir())]
    pub data_dir: PathBuf,

    /// A TOML file with settings.
    #[arg(long, env = "OXWHISK_CONFIG")]
    pub config: Option<PathBuf>,

    /// What actions run in. `auto` takes Docker if its daemon answers and has the images.
    #[arg(long, env = "OXWHISK_CONTAINER_RUNTIME", value_enum, default_value = "auto")]
    pub container_runtime: ContainerRuntime,

    /// What all containers together may use, such as 2g or 512m.
    #[arg(long, env = "OXWHISK_USER_MEMORY")]
    pub user_memory: Option<ByteSize>,

    /// A runtimes manifest in upstream's format, in place of the built-in one.
    #[arg(long, env = "OXWHISK_RUNTIMES")]
    pub runtimes: Option<PathBuf>,

    /// Switches the three throttles of namespaces off.
    #[arg(long, env = "OXWHISK_UNTHROTTLED")]
    pub unthrottled: bool,

    /// Looks at what the platform would need and does not start: a line a finding, with what to do about it.
    /// Exits with 0, or with 1 if something does not work.
    #[arg(long)]
    pub check: bool,

    /// A folder in which the log goes also into a file, `controller0/controller0_logs.log`.
    #[arg(long, env = "OXWHISK_LOG_DIR")]
    pub log_dir: Option<PathBuf>,

    /// How log lines look: text or json.
    #[arg(long, env = "OXWHISK_LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,

    /// What is logged: error, warn, info, debug, trace, or a filter such as info,invoker=debug.
    #[arg(long, env = "OXWHISK_LOG_LEVEL", default_value = "warn")]
    pub log_level: String,
}

/// What actions run in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ContainerRuntime {
    /// Docker if its daemon answers and has the images, else processes.
    Auto,
    /// Docker, or nothing.
    Docker,
    /// Local processes: not isolated.
    Process,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn every_flag_has_an_environment_variable_of_its_name() {
        let command = Args::command();
        command.clone().debug_assert();
        for flag in command
            .get_arguments()
            .filter(|flag| !["help", "version", "check"].contains(&flag.get_id().as_str()))
        {
            let name = flag.get_id().as_str().to_uppercase();
            let variable = flag.get_env().expect("every flag has a variable").to_string_lossy().into_owned();
            assert_eq!(variable, format!("OXWHISK_{name}"));
        }
    }

    #[test]
    fn sizes_are_read() {
        let args = Args::parse_from(["oxwhisk", "--user-memory", "2g", "--port", "0"]);
        assert_eq!(args.user_memory, Some(ByteSize::from_mb(2048)));
        assert!(Args::try_parse_from(["oxwhisk", "--user-memory", "much"]).is_err());
    }
}
