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
    let builder = tracing_subscriber::fmt().with_env_filter(filter(&log.filter)?).with_writer(std::io::stderr);
    // A second start in one process keeps the first log.
    let _already_started = match log.format {
        LogFormat::Json => builder.json().try_init(),
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).try_init(),
    };
    Ok(())
}

/// Libraries that have something to say of every frame and every handshake of a peer that does not behave. What
/// matters of it is said by us, and no peer is to fill the log.
const QUIET: &str = "h2=error,hyper=error,hyper_util=error,rustls=error,tokio_rustls=error";

/// What is logged: as configured, and of [`QUIET`] libraries what is asked for by their names.
fn filter(configured: &str) -> Result<EnvFilter, tracing_subscriber::filter::ParseError> {
    EnvFilter::builder().parse(format!("{QUIET},{configured}"))
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

#[cfg(test)]
mod tests {
    use std::{io, sync::Arc};

    use super::*;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// One connection without a certificate once filled 84 MB of log in two seconds: a library has a line for every
    /// ping that nobody asked for.
    #[test]
    fn no_peer_fills_the_log() {
        for (configured, expected) in [("info", "ours"), ("okmsd=info,h2=warn", "theirs ours"), ("warn", "ours")] {
            let lines = Lines::default();
            let writer = lines.clone();
            let subscriber = tracing_subscriber::fmt()
                .with_env_filter(filter(configured).unwrap())
                .with_writer(move || writer.clone())
                .finish();
            tracing::subscriber::with_default(subscriber, || {
                tracing::warn!(target: "h2::proto::ping_pong", "theirs");
                tracing::warn!(target: "okmsd::server", "ours");
            });
            let text = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
            let said: Vec<_> = ["theirs", "ours"].into_iter().filter(|word| text.contains(word)).collect();
            assert_eq!(said.join(" "), expected, "{configured}: {text}");
        }
    }
}
