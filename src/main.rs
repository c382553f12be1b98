//! The binary: arguments, exit code and the allocator. Everything else is in the library.

use std::process::ExitCode;

/// Gives memory back after a burst, on a thread of its own.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    okmsd::cli::run()
}
