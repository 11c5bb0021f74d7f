//! The command line, `serve`, `exec` and `compile`, shared by this crate's binary and by whoever carries the library.
//!
//! `serve` answers HTTP and starts the launcher; `exec` only puts limits on itself and then becomes the
//! given program. Under `--die-with-parent` the launcher is started through `exec` too: a parent-death
//! signal is a property of one process and does not reach its children.

use std::ffi::{OsStr, OsString};
use std::net::TcpListener;
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, anyhow, bail};

use crate::compile::Compilation;
use crate::launcher::{LaunchCommand, Program};
use crate::limits::{Limits, ParentDeath};
use crate::server;

/// What `--help` says.
const USAGE: &str = "\
usage: action-proxy serve [--listen ADDRESS:PORT | --listen-stdin] [--workdir DIR] [LIMITS] -- LAUNCHER ARG...
       action-proxy serve --executable [--ack] [...]
       action-proxy exec [LIMITS] -- PROGRAM ARG...
       action-proxy compile --with COMPILER [--mark NAME] [--workdir DIR] -- -compile MAIN [-env JSON]

serve: answers POST /init and POST /run; starts LAUNCHER ARG... CODE_DIR MAIN at /init
  --listen ADDRESS:PORT     where to listen (default 0.0.0.0:8080)
  --listen-stdin            descriptor 0 is a TCP socket that listens already
  --workdir DIR             where code is unpacked (default: a folder of its own in the temporary folder)
  --preload                 start LAUNCHER ARG... at once; it reads CODE_DIR, MAIN and variables from its first line
  --executable              start the code itself, its file `exec`, without arguments
  --ack                     it acknowledges even if there is no file `exec.env` beside it
compile: reads source text or a zip archive, writes a zip archive with the program
  --with COMPILER           is started as COMPILER MAIN SOURCE_DIR OUTPUT_DIR
  --mark NAME               what `exec.env` is to say
LIMITS
  --die-with-parent[=PID]   be killed when the parent (whose process id may be given) ends
  --nofile N                open files
  --fsize-mb N              size of a file written, in MiB
  --core N                  size of a core dump in bytes (default 0)
";

/// How `serve` gets its socket.
#[derive(Debug, PartialEq)]
enum Listen {
    Address(String),
    Stdin,
}

/// A command line that could be read.
#[derive(Debug, PartialEq)]
enum Invocation {
    Help,
    Serve { listen: Listen, workdir: Option<PathBuf>, limits: Limits, program: Program },
    Compile(Compilation),
    Exec { limits: Limits, command: Vec<OsString> },
}

/// Runs the command line `args` (without the program's name). `self_prefix` is what has to stand between
/// the running executable and `exec` for it to end up here again: nothing for the binary of this crate,
/// `["action-proxy"]` for a program that has it as a subcommand.
pub fn main(self_prefix: &[&str], args: impl Iterator<Item = OsString>) -> ExitCode {
    match parse(args).and_then(|invocation| run(self_prefix, invocation)) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            eprintln!("action-proxy: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn run(self_prefix: &[&str], invocation: Invocation) -> anyhow::Result<u8> {
    match invocation {
        Invocation::Help => {
            eprint!("{USAGE}");
            Ok(0)
        }
        Invocation::Exec { limits, command } => {
            limits.apply()?;
            let (program, arguments) = command.split_first().context("no program given")?;
            let error = Command::new(program).args(arguments).exec();
            Err(error).with_context(|| format!("cannot start {}", program.display()))
        }
        Invocation::Compile(compilation) => {
            compilation.run(std::io::stdin().lock(), std::io::stdout().lock())
        }
        Invocation::Serve { listen, workdir, limits, program } => {
            limits.apply()?;
            let listener = match listen {
                Listen::Address(address) => {
                    TcpListener::bind(&address).with_context(|| format!("cannot listen on {address}"))?
                }
                Listen::Stdin => std::io::stdin()
                    .as_fd()
                    .try_clone_to_owned()
                    .map(TcpListener::from)
                    .context("descriptor 0 is no socket")?,
            };
            let own_id = std::process::id();
            let workdir =
                workdir.unwrap_or_else(|| std::env::temp_dir().join(format!("action-proxy-{own_id}")));
            let guarded = limits.parent_death != ParentDeath::Ignored;
            let guard = guarded.then(|| {
                let mut guard = vec![OsString::from("/proc/self/exe")];
                guard.extend(self_prefix.iter().map(OsString::from));
                guard.extend([format!("--die-with-parent={own_id}"), "--".into()].map(OsString::from));
                guard.insert(1 + self_prefix.len(), "exec".into());
                guard
            });
            server::run(listener, workdir, LaunchCommand::new(guard.unwrap_or_default(), program))
        }
    }
}

fn parse(mut args: impl Iterator<Item = OsString>) -> anyhow::Result<Invocation> {
    let subcommand = args.next().context(USAGE)?;
    let serve = match subcommand.to_str() {
        Some("serve") => true,
        Some("exec") => false,
        Some("compile") => return Ok(Invocation::Compile(Compilation::parse(args)?)),
        Some("help" | "--help" | "-h") => return Ok(Invocation::Help),
        _ => bail!("no such command: {}\n{USAGE}", subcommand.display()),
    };
    let mut listen = Listen::Address("0.0.0.0:8080".into());
    let mut workdir = None;
    let mut limits = Limits::default();
    let (mut executable, mut acknowledges, mut preload) = (false, false, false);
    loop {
        let argument = match args.next() {
            Some(argument) => argument,
            None if executable => break,
            None => bail!("`--` and a program are missing\n{USAGE}"),
        };
        match argument.to_str() {
            Some("--") => break,
            Some("--executable") if serve => executable = true,
            Some("--ack") if serve => acknowledges = true,
            Some("--preload") if serve => preload = true,
            Some("--help" | "-h") => return Ok(Invocation::Help),
            Some("--listen") if serve => listen = Listen::Address(text(&argument, args.next())?),
            Some("--listen-stdin") if serve => listen = Listen::Stdin,
            Some("--workdir") if serve => workdir = Some(value(&argument, args.next())?.into()),
            Some("--die-with-parent") => limits.parent_death = ParentDeath::Follow,
            Some("--nofile") => limits.open_files = Some(number(&argument, args.next())?),
            Some("--fsize-mb") => limits.file_size_mb = Some(number(&argument, args.next())?),
            Some("--core") => limits.core_bytes = number(&argument, args.next())?,
            Some(other) if other.starts_with("--die-with-parent=") => {
                let id = other.trim_start_matches("--die-with-parent=");
                let id = id.parse().with_context(|| format!("{other}: not a process id"))?;
                limits.parent_death = ParentDeath::FollowKnown(id);
            }
            _ => bail!("unknown option: {}\n{USAGE}", argument.display()),
        }
    }
    let command: Vec<OsString> = args.collect();
    if command.is_empty() != executable || executable && preload {
        bail!("either a program is given or --executable\n{USAGE}");
    }
    let program = match executable {
        true => Program::Code { acknowledges },
        false if preload => Program::Waiting(command),
        false if serve => Program::Launcher(command),
        false => return Ok(Invocation::Exec { limits, command }),
    };
    Ok(Invocation::Serve { listen, workdir, limits, program })
}

/// What follows an option.
pub fn value(option: &OsStr, value: Option<OsString>) -> anyhow::Result<OsString> {
    value.ok_or_else(|| anyhow!("{} needs a value", option.display()))
}

/// What follows an option, as text.
pub fn text(option: &OsStr, given: Option<OsString>) -> anyhow::Result<String> {
    let given = value(option, given)?;
    given.into_string().map_err(|given| anyhow!("{}: not text", given.display()))
}

fn number(option: &OsStr, given: Option<OsString>) -> anyhow::Result<u64> {
    let given = text(option, given)?;
    given.parse().with_context(|| format!("{} {given}: not a number", option.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> anyhow::Result<Invocation> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn serve_listens_on_8080_unless_told_otherwise() {
        let Invocation::Serve { listen, limits, program, .. } = parsed("serve -- python3 x.py").unwrap()
        else {
            panic!("not serve");
        };
        assert_eq!(listen, Listen::Address("0.0.0.0:8080".into()));
        assert_eq!(limits, Limits::default());
        assert_eq!(program, Program::Launcher(vec!["python3".into(), "x.py".into()]));
    }

    #[test]
    fn the_code_may_be_the_program() {
        for (line, acknowledges) in
            [("serve --executable", false), ("serve --ack --executable --nofile 64 --", true)]
        {
            let Invocation::Serve { program, .. } = parsed(line).unwrap() else { panic!("not serve") };
            assert_eq!(program, Program::Code { acknowledges }, "{line}");
        }
    }

    #[test]
    fn a_launcher_may_be_started_ahead() {
        let Invocation::Serve { program, .. } = parsed("serve --preload -- p x").unwrap() else {
            panic!("not serve");
        };
        assert_eq!(program, Program::Waiting(vec!["p".into(), "x".into()]));
    }

    #[test]
    fn every_option_is_understood() {
        let line =
            "serve --listen-stdin --workdir /w --die-with-parent=7 --nofile 64 --fsize-mb 9 --core 1 -- p";
        let expected = Invocation::Serve {
            listen: Listen::Stdin,
            workdir: Some("/w".into()),
            limits: Limits {
                parent_death: ParentDeath::FollowKnown(7),
                open_files: Some(64),
                file_size_mb: Some(9),
                core_bytes: 1,
            },
            program: Program::Launcher(vec!["p".into()]),
        };
        assert_eq!(parsed(line).unwrap(), expected);
    }

    #[test]
    fn what_cannot_be_understood_is_refused() {
        for line in [
            "",
            "frob -- x",
            "serve",
            "serve --",
            "serve --nofile x -- p",
            "exec --listen a -- p",
            "serve --executable -- p",
            "exec --executable",
            "exec --preload -- p",
            "serve --executable --preload",
            "compile -- -compile main",
            "compile --with c -- main",
        ] {
            assert!(parsed(line).is_err(), "{line:?} was taken");
        }
    }
}
