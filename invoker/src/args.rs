//! The command line of `oxwhisk-invoker`. Every flag has an environment variable; flags win over the
//! configuration file.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Parser;
use common::entity::limits::ByteSize;
use common::telemetry::LogFormat;

/// An invoker of an OpenWhisk-compatible serverless platform: runs actions in Docker containers.
#[derive(Debug, Parser)]
#[command(name = "oxwhisk-invoker", version, about)]
pub struct Args {
    /// The address that this process answers on.
    #[arg(long, env = "OXWHISK_HOST", default_value = "0.0.0.0")]
    pub host: IpAddr,

    /// The port that this process answers on; 0 chooses a free one.
    #[arg(long, env = "OXWHISK_PORT", default_value_t = 8085)]
    pub port: u16,

    /// The host under which others, such as Prometheus, reach this process.
    #[arg(long, env = "OXWHISK_ADVERTISE", default_value = "127.0.0.1")]
    pub advertise: String,

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

    /// What all containers together may use, such as 2g or 512m.
    #[arg(long, env = "OXWHISK_USER_MEMORY")]
    pub user_memory: Option<ByteSize>,

    /// Where actions reach the API; by default at their bridge's gateway, on the port below.
    #[arg(long, env = "OXWHISK_API_HOST")]
    pub api_host: Option<String>,

    /// The port of the API at the gateway of the containers' bridge, which the firewall lets through.
    #[arg(long, env = "OXWHISK_API_PORT", default_value_t = 8888)]
    pub api_port: u16,

    /// A file that gets this process's address once it listens.
    #[arg(long, env = "OXWHISK_ADDRESS_FILE")]
    pub address_file: Option<PathBuf>,

    /// Asks the process whose address file that is whether it is ready, and exits: 0 if it is.
    #[arg(long)]
    pub probe: bool,

    /// How log lines look: text or json.
    #[arg(long, env = "OXWHISK_LOG_FORMAT", default_value = "text")]
    pub log_format: LogFormat,

    /// What is logged: error, warn, info, debug, trace, or a filter such as info,invoker=debug.
    #[arg(long, env = "OXWHISK_LOG_LEVEL", default_value = "info")]
    pub log_level: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn every_setting_has_an_environment_variable_of_its_name() {
        let command = Args::command();
        command.clone().debug_assert();
        let no_setting = ["help", "version", "probe"];
        for flag in command.get_arguments().filter(|flag| !no_setting.contains(&flag.get_id().as_str())) {
            let name = flag.get_id().as_str().to_uppercase();
            let variable = flag.get_env().expect("every flag has a variable").to_string_lossy().into_owned();
            assert_eq!(variable, format!("OXWHISK_{name}"));
        }
    }
}
