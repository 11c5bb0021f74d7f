//! The command line of `oxwhisk-controller`. Every flag has an environment variable; flags win over the
//! configuration file.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use common::node::NodeArgs;

/// The controller of an OpenWhisk-compatible serverless platform: the REST API, over Kafka and PostgreSQL.
#[derive(Debug, Parser)]
#[command(name = "oxwhisk-controller", version, about)]
pub struct Args {
    /// What every node has.
    #[command(flatten)]
    pub node: NodeArgs,

    /// The port that the API listens on; 0 chooses a free one.
    #[arg(long, env = "OXWHISK_PORT", default_value_t = 8888)]
    pub port: u16,

    /// An address and port more for the API, without TLS, for actions, such as 10.0.0.5:8889: where only invokers' hosts
    /// reach it. Their `--api-host` names it.
    #[arg(long, env = "OXWHISK_ACTIONS_ADDRESS")]
    pub actions_address: Option<SocketAddr>,

    /// The installation's secret, as wskadmin has it; without it web actions are given no API keys.
    #[arg(long, env = "OXWHISK_SECRET_FILE")]
    pub secret_file: Option<PathBuf>,

    /// Switches the three throttles of namespaces off.
    #[arg(long, env = "OXWHISK_UNTHROTTLED")]
    pub unthrottled: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn every_setting_has_an_environment_variable_of_its_name() {
        common::node::expect_variables(&Args::command());
    }
}
