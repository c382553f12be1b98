//! What became of files that were loaded again.

use prometheus::{Error, IntGauge, Registry};

use super::{
    labels::{Counters, labels},
    registry::register,
};

labels! {
    /// What became of one attempt.
    pub enum Reload {
        /// Something was new, and counts now.
        Applied = "applied",
        /// Everything is as it was.
        Unchanged = "unchanged",
        /// The files cannot be used; everything is as it was.
        Refused = "refused",
    }
}

/// Figures of reloads.
pub struct ReloadMetrics {
    generation: IntGauge,
    last_success: IntGauge,
    failed: IntGauge,
    outcomes: Counters<Reload>,
}

impl ReloadMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, Error> {
        let gauge = |name: &str, help: &str| register(registry, IntGauge::new(name, help)?);
        Ok(Self {
            generation: gauge(
                "okmsd_reload_generation",
                "How many states of certificates and live settings there have been since the start.",
            )?,
            last_success: gauge(
                "okmsd_reload_last_success_timestamp_seconds",
                "When the files were last found fit, in Unix time.",
            )?,
            failed: gauge(
                "okmsd_reload_failed",
                "1 while the files cannot be used as they are, and what was there before goes on.",
            )?,
            outcomes: Counters::register(
                registry,
                ("okmsd_reloads_total", "Loads of the files of a running server, by outcome."),
                "outcome",
            )?,
        })
    }

    /// The files were found fit at `now`; so many states there have been.
    pub fn succeeded(&self, generation: u64, now: i64) {
        self.generation.set(i64::try_from(generation).unwrap_or(i64::MAX));
        self.last_success.set(now);
        self.failed.set(0);
    }

    /// The files cannot be used.
    pub fn failed(&self) {
        self.failed.set(1);
    }

    /// Counts an attempt.
    pub fn count(&self, outcome: Reload) {
        self.outcomes.count(outcome);
    }
}
