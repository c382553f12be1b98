//! How fresh the revocation lists of customers' authorities are.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use prometheus::{Error, IntCounterVec, IntGaugeVec, Opts, Registry};

use super::registry::register;

/// Figures of revocation lists, for each domain whose authorities have some.
pub struct ListMetrics {
    next_update: IntGaugeVec,
    failures: IntCounterVec,
    /// The domains that are told.
    told: Mutex<BTreeSet<String>>,
}

impl ListMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, Error> {
        let labels = &["domain"];
        let next_update = Opts::new(
            "okmsd_crl_next_update_seconds",
            "When the first of the revocation lists for a domain's certificates is past its end, in Unix time; 0 while \
             one was never read.",
        );
        let failures = Opts::new(
            "okmsd_crl_failures_total",
            "Revocation lists that could not be fetched or used, by the domain whose certificates they are for.",
        );
        Ok(Self {
            next_update: register(registry, IntGaugeVec::new(next_update, labels)?)?,
            failures: register(registry, IntCounterVec::new(failures, labels)?)?,
            told: Mutex::default(),
        })
    }

    /// These are the domains with lists; those that were told before are forgotten.
    pub fn are_of(&self, domains: BTreeSet<String>) {
        let mut told = self.told.lock().unwrap_or_else(PoisonError::into_inner);
        for domain in told.difference(&domains) {
            let _it_is_there = self.next_update.remove_label_values(&[domain]);
        }
        for domain in &domains {
            // So that the first failure is an increase.
            self.failures.with_label_values(&[domain]);
        }
        *told = domains;
    }

    /// The first of the domain's lists is past its end then, in Unix seconds; nothing where one was
    /// never read.
    pub fn end(&self, domain: &str, next_update: Option<i64>) {
        self.next_update.with_label_values(&[domain]).set(next_update.unwrap_or_default());
    }

    /// A list for the domain could not be fetched or used.
    pub fn failed(&self, domain: &str) {
        self.failures.with_label_values(&[domain]).inc();
    }
}
