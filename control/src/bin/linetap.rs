//! The command `linetap`.

use std::process::ExitCode;

fn main() -> ExitCode {
    control::cli::run()
}
