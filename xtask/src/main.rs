//! `cargo xtask`: what cargo itself cannot do for this repository. One file a command; here they are
//! only told apart.
#![allow(clippy::print_stdout, reason = "these commands talk to the person who started them")]

mod bench;
mod clients;
mod docker_daemon;
mod docker_registry;
mod images;
mod kafka;
mod openssl;
mod postgres;
mod prometheus;
mod settings;
mod test;
mod unpacked;

use clap::{Parser, Subcommand};
use images::Wanted;

/// The chores of the repository.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    command: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Builds the images of the runtimes that have changed.
    Images {
        /// Build also what is up to date, from nothing.
        #[arg(long)]
        force: bool,
        /// In their place those of other projects that compose needs, where no registry has them.
        #[arg(long)]
        stand_ins: bool,
        /// Also the large ones, which are otherwise built only by name.
        #[arg(long, conflicts_with = "stand_ins")]
        all: bool,
        /// Only images whose tag holds one of these.
        names: Vec<String>,
    },
    /// Makes sure that there is what the build needs beside Rust and a C compiler: the headers of OpenSSL.
    Prerequisites,
    /// Brings up what the suites need, runs them, and takes down what it started.
    Test {
        /// Run also what takes long: the whole stack by docker-compose and by Ansible.
        #[arg(long)]
        all: bool,
        /// Run these stacks alone.
        #[arg(long, conflicts_with = "all")]
        stacks: bool,
    },
    /// Writes docs/settings.md from the source.
    Settings,
    /// Measures the release build beside its baselines and prints a table.
    Bench(bench::Arguments),
}

fn main() -> anyhow::Result<()> {
    match Arguments::parse().command {
        Chore::Images { force, stand_ins: true, names, .. } => images::stand_ins::run(force, &names),
        Chore::Images { force, all, names, .. } => {
            let wanted = match (all, names.as_slice()) {
                (true, _) => Wanted::All,
                (false, []) => Wanted::Usual,
                (false, names) => Wanted::Named(names),
            };
            images::run(force, wanted)
        }
        Chore::Prerequisites => openssl::ensure(),
        Chore::Test { stacks: true, .. } => test::run_stacks(),
        Chore::Test { all, .. } => test::run(all),
        Chore::Settings => settings::run(),
        Chore::Bench(arguments) => bench::run(&arguments),
    }
}
