//! The log: set up once, for the whole process. Lines go to standard error.

use std::{
    io::IsTerminal,
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

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

/// Bounds how often something is said: so many times at once, and once more each time `every` has passed.
pub struct Throttle {
    most: u32,
    every: Duration,
    state: Mutex<State>,
}

struct State {
    left: u32,
    filled_at: Instant,
    unsaid: u64,
}

impl Throttle {
    /// Says `most` at once, and one more after each `every`.
    #[must_use]
    pub fn new(most: u32, every: Duration) -> Self {
        Self { most, every, state: Mutex::new(State { left: most, filled_at: Instant::now(), unsaid: 0 }) }
    }

    /// Whether it may be said now; then with how many times it was not said since the last time.
    pub fn pass(&self) -> Option<u64> {
        // Nothing in here can panic half-way.
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let earned = state.filled_at.elapsed().as_nanos() / self.every.as_nanos().max(1);
        if let Ok(earned @ 1..) = u32::try_from(earned.min(u128::from(self.most))) {
            state.left = state.left.saturating_add(earned).min(self.most);
            state.filled_at = Instant::now();
        }
        if state.left == 0 {
            state.unsaid += 1;
            return None;
        }
        state.left -= 1;
        Some(std::mem::take(&mut state.unsaid))
    }
}
