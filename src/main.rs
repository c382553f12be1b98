//! The binary: arguments and exit code. Everything else is in the library.

use std::process::ExitCode;

fn main() -> ExitCode {
    okmsd::cli::run()
}
