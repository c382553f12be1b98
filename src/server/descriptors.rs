//! How many files and sockets the process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What is kept for everything but clients' connections: the store, the log, the admin listener,
/// files that are read.
const RESERVE: usize = 160;

/// Raises the process's own limit as far as the system lets it, and says how many connections of
/// `wanted` fit under it.
#[must_use]
pub fn fit_connections(wanted: usize) -> usize {
    let limit = getrlimit(Resource::Nofile);
    // Where the limit cannot be raised, the old one stays.
    let current = match setrlimit(
        Resource::Nofile,
        Rlimit { current: limit.maximum, maximum: limit.maximum },
    ) {
        Ok(()) => limit.maximum,
        Err(_) => limit.current,
    };
    let fits = current.map_or(usize::MAX, |current| usize::try_from(current).unwrap_or(usize::MAX));
    let fits = fits.saturating_sub(RESERVE).max(1);
    if fits < wanted {
        tracing::warn!(
            connections = fits,
            wanted,
            "the limit on open files (ulimit -n) is too low for limits.connections; fewer are let in"
        );
    }
    fits.min(wanted)
}
