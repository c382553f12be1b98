//! What a policy decision point has decided, and how long that took.

use prometheus::{Error, Histogram, HistogramOpts, Registry};

use super::{
    labels::{Counters, labels},
    registry::register,
};

labels! {
    /// How a question was decided.
    pub enum Decision {
        /// It was asked, and permits.
        Permit = "permit",
        /// It was asked, and does not.
        Deny = "deny",
        /// What it has permitted before counts again.
        KeptPermit = "kept_permit",
        /// What it has denied before does.
        KeptDeny = "kept_deny",
        /// It was asked in vain.
        Unanswered = "unanswered",
    }
}

/// Figures of decisions.
pub struct DecisionMetrics {
    decisions: Counters<Decision>,
    seconds: Histogram,
}

impl DecisionMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, Error> {
        let seconds = HistogramOpts::new(
            "okmsd_pdp_seconds",
            "How long the policy decision point took to decide, or until nobody waited any longer.",
        );
        let seconds = seconds.buckets(vec![0.001, 0.005, 0.02, 0.1, 0.5, 2.0]);
        Ok(Self {
            decisions: Counters::register(
                registry,
                (
                    "okmsd_pdp_decisions_total",
                    "Questions to the policy decision point, by what came of them.",
                ),
                "outcome",
            )?,
            seconds: register(registry, Histogram::with_opts(seconds)?)?,
        })
    }

    /// A question was decided, or not, after so many seconds, where it was asked.
    pub fn count(&self, decision: Decision, seconds: Option<f64>) {
        self.decisions.count(decision);
        if let Some(seconds) = seconds {
            self.seconds.observe(seconds);
        }
    }
}
