//! The `action-proxy` binary of the runtime images: nothing but the library's command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    action_proxy::cli::main(&[], std::env::args_os().skip(1))
}
