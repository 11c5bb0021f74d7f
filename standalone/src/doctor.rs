//! `oxwhisk doctor`: what the platform would need with the same flags and settings, looked at in place of a start.

use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use common::config::Config;
use common::doctor::{Finding, Report, Verdict, holder, machine};
use common::entity::identity::AuthKey;
use common::manifest::Manifest;
use common::paths;
use common::store::sqlite;
use common::tls;
use common::trace::export;
use invoker::container::docker::DockerConfig;
use invoker::container::docker::doctor::{examine, wants::Wants};
use invoker::container::process::ProcessConfig;

use crate::args::{Args, ContainerRuntime};
use crate::{containers, platform, subjects};

/// Prints what it finds.
pub async fn check(args: &Args) -> anyhow::Result<ExitCode> {
    let mut report = Report::new(args.log_format);
    let setting =
        |error: anyhow::Error| Finding::fail(format!("{error:#}"), "docs/settings.md has every setting");
    let config = match platform::settings(args) {
        Ok(config) => config,
        Err(error) => {
            report.add([setting(error)])?;
            return Ok(report.exit_code());
        }
    };
    report.add([Finding::ok("the settings can be read")])?;
    report.add(directory(args).await)?;
    if let Some(folder) = &args.log_dir {
        report.add([machine::folder("the folder of logs", folder, "--log-dir")])?;
    }
    report.add([machine::open_files()])?;
    let files = args.tls.files(config.controller.protocol, &config.controller.https);
    report.add(tls::doctor::server(files))?;
    report.add(export::examine(&config.tracing.otlp))?;
    if let Err(error) = DockerConfig::new("", "", args.port).take(&config.docker) {
        report.add([setting(error)])?;
    }
    match Manifest::load(args.runtimes.as_deref(), &config.runtimes) {
        Ok(manifest) => report.add(runtime(args, &config, &manifest).await)?,
        Err(error) => {
            report.add([Finding::fail(format!("{error:#}"), "mend it, or name another with --runtimes")])?;
        }
    }
    Ok(report.exit_code())
}

/// The data directory, who serves it, and the port.
async fn directory(args: &Args) -> Vec<Finding> {
    let data = &args.data_dir;
    let mut found = vec![machine::folder("the data directory", data, "--data-dir")];
    let ours = match machine::server_of(&data.join(paths::LOCK)) {
        Ok(ours) => ours,
        Err(error) => {
            let told = format!("the lock of the data directory cannot be tried: {error}");
            found.push(Finding::fail(told, "give the directory to the user of this process"));
            None
        }
    };
    if let Some(ours) = &ours {
        let told = format!("the data directory is served by {ours}");
        found.push(match holder::of_port(args.port).as_ref() == Some(ours) {
            true => Finding::ok(told),
            false => Finding::warn(
                format!("{told}, and not at port {}", args.port),
                "another beside it needs another --data-dir",
            ),
        });
    }
    if data.is_dir() {
        found.push(machine::secret(&data.join(paths::SECRET)));
        found.extend(sqlite::doctor::examine(data).await);
    }
    if !args.host.is_loopback() {
        found.extend(well_known_key(args).await);
    }
    found.push(machine::disk("all that is kept", data));
    let metrics = args.metrics_address.map(|address| (address, "--metrics-address"));
    for (address, flag) in [(SocketAddr::new(args.host, args.port), "--port")].into_iter().chain(metrics) {
        found.push(machine::port(address, flag, "oxwhisk", ours.as_ref()));
    }
    found
}

/// Kinds that processes could not run.
fn interpreters() -> Vec<Finding> {
    let nowhere = Path::new("");
    let config = ProcessConfig::new(nowhere, nowhere, "").with_python(nowhere).with_ruby(nowhere);
    let config = config.with_php(nowhere).with_nodejs(nowhere, nowhere);
    let missing = config.missing_programs().map(|(family, program, package)| {
        Finding::warn(
            format!("no {family} action can run: there is no {program}"),
            format!("apt-get install {package}"),
        )
    });
    missing.collect()
}

/// Whether anybody could sign in from elsewhere. What cannot be read is told of the file already.
async fn well_known_key(args: &Args) -> Option<Finding> {
    let key = AuthKey::parse(subjects::GUEST_KEY)?;
    let works = sqlite::doctor::accepts(&args.data_dir, &key).await.ok()?;
    works.then(|| {
        Finding::fail(
            format!("anybody could sign in at --host {} with the well-known guest key", args.host),
            "delete it first: wskadmin user delete guest",
        )
    })
}

/// What actions would run in.
async fn runtime(args: &Args, config: &Config, manifest: &Manifest) -> Vec<Finding> {
    let images = manifest.at_registry(&config.container_factory.runtimes_registry.url);
    let wants = Wants::of(config, manifest);
    let choice = match containers::choose(args.container_runtime, &images).await {
        Ok(choice) if !choice.is_docker() => choice,
        // Where Docker is asked for and is not there, this says why.
        _ => return examine(None, &wants).await,
    };
    let told = format!("actions would run in {}", choice.explanation());
    let remedy = "start Docker and make the images (cargo xtask images)";
    let mut found = vec![
        match args.host.is_loopback() {
            true => Finding::warn(told, remedy),
            false => {
                let told = format!("{told}, and --host {} is not a loopback address", args.host);
                Finding::fail(told, remedy)
            }
        },
        machine::memory(config.container_pool.user_memory, machine::total_memory()),
    ];
    found.extend(interpreters());
    if args.container_runtime == ContainerRuntime::Auto {
        let missing = examine(None, &wants).await.into_iter().filter(|found| found.verdict == Verdict::Fail);
        found.extend(missing.map(|found| Finding::warn(found.what, found.remedy)));
    }
    found
}
