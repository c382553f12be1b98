//! What a command says, and what it ends with.

use std::{
    error::Error,
    fmt::Display,
    io::{self, Write},
};

/// What a command ends with.
pub(super) type Outcome = Result<(), Box<dyn Error + Send + Sync>>;

/// Says a line to the person at the terminal.
pub(super) fn say(line: impl Display) {
    let mut out = io::stdout().lock();
    let _nobody_reads = writeln!(out, "{line}").and_then(|()| out.flush());
}
