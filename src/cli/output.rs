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

/// What a question is answered that a command asks: it ends with 0 for yes, with 1 for no.
pub(super) enum Answer {
    Yes,
    /// No, and why.
    No(String),
}

/// There is no answer to a question: it ends with 2, so that this passes for neither yes nor no.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Unanswered(Fault);

/// What a command ends with that asks a question.
pub(super) fn answered(told: Outcome<Answer>) -> Outcome {
    match told {
        Ok(Answer::Yes) => Ok(()),
        Ok(Answer::No(why)) => Err(why.into()),
        Err(fault) => Err(Unanswered(fault).into()),
    }
}

/// Says a line to the person at the terminal.
pub(super) fn say(line: impl Display) {
    let mut out = io::stdout().lock();
    let _nobody_reads = writeln!(out, "{line}").and_then(|()| out.flush());
}
