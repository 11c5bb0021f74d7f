//! `--check`: what every node of the distributed form needs, looked at in place of a start.

use std::net::SocketAddr;
use std::process::ExitCode;

use super::NodeArgs;
use crate::bus::kafka;
use crate::config::Config;
use crate::doctor::{Finding, Report, machine};
use crate::nodes::NodeKind;
use crate::store::postgres;
use crate::tls;
use crate::trace::export;

/// Looks at all of it, then at what `own` looks at. A node without settings that can be used is done already.
pub async fn check(
    kind: NodeKind,
    args: &NodeArgs,
    port: u16,
    settings: anyhow::Result<Config>,
    own: impl AsyncFnOnce(&Config) -> Vec<Finding>,
) -> anyhow::Result<ExitCode> {
    let mut report = Report::new(args.log_format);
    let config = match settings {
        Ok(config) => config,
        Err(error) => {
            let remedy = "docs/settings.md has every setting";
            report.add([Finding::fail(format!("{error:#}"), remedy)])?;
            return Ok(report.exit_code());
        }
    };
    let (program, protocol, https) = match kind {
        NodeKind::Controller => ("oxwhisk-controller", config.controller.protocol, &config.controller.https),
        NodeKind::Invoker => ("oxwhisk-invoker", config.invoker.protocol, &config.invoker.https),
    };
    report.add([
        Finding::ok("the settings can be read"),
        machine::folder("the state folder", &args.state_dir, "--state-dir"),
        machine::disk("journals", &args.state_dir),
        machine::port(SocketAddr::new(args.host, port), "--port", program, None),
        machine::open_files(),
    ])?;
    if let Some(address) = args.metrics_address {
        report.add([machine::port(address, "--metrics-address", program, None)])?;
    }
    if let Some(folder) = &args.log_dir {
        report.add([machine::folder("the folder of logs", folder, "--log-dir")])?;
    }
    report.add(tls::doctor::server(args.tls.files(protocol, https)))?;
    report.add(export::examine(&config.tracing.otlp))?;
    if let Some(file) = &config.postgres.password_file {
        report.add([machine::private("the password file of PostgreSQL", file)])?;
    }
    report.add(postgres::doctor::examine(&config.postgres).await)?;
    report.add(kafka::doctor::examine(&config.kafka, config.max_message()).await)?;
    report.add(own(&config).await)?;
    Ok(report.exit_code())
}
