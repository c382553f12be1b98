//! What a command says, and what it ends with.

use std::{
    error::Error,
    fmt::Display,
    io::{self, Write},
};

/// Why a command does not do what it is for.
pub(super) type Fault = Box<dyn Error + Send + Sync>;

/// What a command ends with.
pub(super) type Outcome<T = ()> = Result<T, Fault>;

/// Says a line to the person at the terminal.
pub(super) fn say(line: impl Display) {
    let mut out = io::stdout().lock();
    let _nobody_reads = writeln!(out, "{line}").and_then(|()| out.flush());
}
