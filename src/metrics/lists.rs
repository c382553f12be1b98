//! How fresh the revocation lists of customers' authorities are.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use prometheus::{Error, IntCounterVec, IntGaugeVec, Opts, Registry};

use super::registry::register;

/// Figures of revocation lists, for each domain whose authorities have some.
pub struct ListMetrics {
    next_update: IntGaugeVec,
    failures: IntCounterVec,
    ends: Mutex<Ends>,
}

/// When the first list of each domain is past its end, in Unix seconds; 0 while one was never read.
#[derive(Default)]
struct Ends {
    /// Of those that the configuration names.
    configured: BTreeMap<String, i64>,
    /// Of those that domains have given.
    given: BTreeMap<String, i64>,
    /// The domains that are told.
    told: BTreeSet<String>,
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
            ends: Mutex::default(),
        })
    }

    /// These are the domains with lists in the configuration; those that were told before are
    /// forgotten.
    pub fn are_of(&self, domains: &BTreeSet<String>) {
        for domain in domains {
            // So that the first failure is an increase.
            self.failures.with_label_values(&[domain]);
        }
        self.change(|ends| ends.configured.retain(|domain, _| domains.contains(domain)));
    }

    /// The first of the domain's lists in the configuration is past its end then, in Unix seconds;
    /// nothing where one was never read.
    pub fn end(&self, domain: &str, next_update: Option<i64>) {
        let next_update = next_update.unwrap_or_default();
        self.change(|ends| _ = ends.configured.insert(domain.to_owned(), next_update));
    }

    /// These are the lists that domains have given.
    pub(super) fn are_given(&self, given: BTreeMap<String, i64>) {
        self.change(|ends| ends.given = given);
    }

    fn change(&self, change: impl FnOnce(&mut Ends)) {
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut ends);
        let told: BTreeSet<_> = ends.configured.keys().chain(ends.given.keys()).cloned().collect();
        for domain in ends.told.difference(&told) {
            let _it_is_there = self.next_update.remove_label_values(&[domain]);
        }
        for domain in &told {
            let of_domain = [ends.configured.get(domain), ends.given.get(domain)];
            let first = of_domain.into_iter().flatten().min();
            self.next_update.with_label_values(&[domain]).set(first.copied().unwrap_or_default());
        }
        ends.told = told;
    }

    /// A list for the domain could not be fetched or used.
    pub fn failed(&self, domain: &str) {
        self.failures.with_label_values(&[domain]).inc();
    }
}
