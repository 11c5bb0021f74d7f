//! The command line of `oxwhisk-invoker`. Every flag has an environment variable; flags win over the
//! configuration file.

use clap::Parser;
use common::entity::limits::ByteSize;
use common::node::NodeArgs;

/// An invoker of an OpenWhisk-compatible serverless platform: runs actions in Docker containers.
#[derive(Debug, Parser)]
#[command(name = "oxwhisk-invoker", version, about)]
pub struct Args {
    /// What every node has.
    #[command(flatten)]
    pub node: NodeArgs,

    /// The port that this process answers on; 0 chooses a free one.
    #[arg(long, env = "OXWHISK_PORT", default_value_t = 8085)]
    pub port: u16,

    /// What all containers together may use, such as 2g or 512m.
    #[arg(long, env = "OXWHISK_USER_MEMORY")]
    pub user_memory: Option<ByteSize>,

    /// Where actions reach the API, such as http://10.0.0.5:8889; the firewall lets them through to an address, but does
    /// not know names. By default at their bridge's gateway, on the port below.
    #[arg(long, env = "OXWHISK_API_HOST")]
    pub api_host: Option<String>,

    /// The port of the API at the gateway of the containers' bridge, which the firewall lets through.
    #[arg(long, env = "OXWHISK_API_PORT", default_value_t = 8888)]
    pub api_port: u16,
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
