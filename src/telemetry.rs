//! The log: set up once, for the whole process. Lines go to standard error.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::config::{Log, LogFormat};

/// Starts logging as configured.
///
/// # Errors
/// The filter's, where its directives cannot be understood.
pub fn start(log: &Log) -> Result<(), tracing_subscriber::filter::ParseError> {
    let builder = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::builder().parse(&log.filter)?)
        .with_writer(std::io::stderr);
    // A second start in one process keeps the first log.
    let _already_started = match log.format {
        LogFormat::Json => builder.json().try_init(),
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
    };
    Ok(())
}
