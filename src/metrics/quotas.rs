//! Who was refused for having taken what it may.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use prometheus::{Error, IntCounterVec, Opts, Registry};

use super::{
    labels::{Label as _, labels},
    registry::register,
};
use crate::model::OkmsId;

labels! {
    /// What is used up.
    pub enum Spent {
        /// The rate of a domain's requests.
        Requests = "requests",
        /// The rate of a domain's changes.
        Writes = "writes",
        /// The rate of one key's requests.
        Subject = "subject",
        /// The number of a domain's tokens.
        Tokens = "tokens",
    }
}

/// So many domains have a label of their own.
const NAMED_MAX: usize = 100;
/// The label of all others.
const OTHER: &str = "other";

/// Refusals by what is used up and by domain.
pub struct QuotaMetrics {
    refused: IntCounterVec,
    named: Mutex<BTreeSet<OkmsId>>,
}

impl QuotaMetrics {
    pub(super) fn register(registry: &Registry) -> Result<Self, Error> {
        let refused = Opts::new(
            "okmsd_quota_refusals_total",
            "Requests beyond what a domain may take, by what is used up; the first hundred domains that have quotas of their \
             own by their ids, all others as one.",
        );
        let refused = register(registry, IntCounterVec::new(refused, &["reason", "domain"])?)?;
        Ok(Self { refused, named: Mutex::default() })
    }

    /// A request was refused; of a domain with its own quota, of which one is told.
    pub fn refused(&self, spent: Spent, domain: Option<OkmsId>) {
        let is_named = |id: &OkmsId| {
            let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
            named.contains(id) || (named.len() < NAMED_MAX && named.insert(*id))
        };
        let domain = domain.filter(is_named).map(|id| id.to_string());
        self.refused.with_label_values(&[spent.text(), domain.as_deref().unwrap_or(OTHER)]).inc();
    }
}

#[cfg(test)]
mod tests {
    use prometheus::core::Collector as _;

    use super::*;

    /// However many domains have quotas, the figures of few are told one by one.
    #[test]
    fn labels_are_few() {
        let metrics = QuotaMetrics::register(&Registry::new()).unwrap();
        for number in 1..1000_u128 {
            let id = OkmsId::from_bytes(number.to_be_bytes()).unwrap();
            metrics.refused(Spent::Requests, Some(id));
            metrics.refused(Spent::Requests, Some(id));
        }
        metrics.refused(Spent::Tokens, None);
        let families = metrics.refused.collect();
        assert_eq!(families[0].get_metric().len(), NAMED_MAX + 2);
        let other = metrics.refused.with_label_values(&["requests", OTHER]);
        assert_eq!(other.get(), 2 * (999 - NAMED_MAX as u64));
    }
}
