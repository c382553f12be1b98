//! What domains have, and who was refused for having taken what it may.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use prometheus::{Error, IntCounterVec, IntGaugeVec, Opts, Registry};

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
        /// The rate of one key's changes.
        SubjectWrites = "subject-writes",
        /// The number of a domain's tokens.
        Tokens = "tokens",
        /// The number of a domain's secrets.
        Secrets = "secrets",
        /// What the values of a domain's versions take.
        Bytes = "bytes",
        /// The places for a domain's requests in progress.
        Places = "places",
        /// The memory for what a domain's requests and answers take.
        Memory = "memory",
        /// The connections of a domain, or of one key of it.
        Connections = "connections",
        /// The feeds of a domain.
        Feeds = "feeds",
    }
}

/// So many domains have a label of their own.
const NAMED_MAX: usize = 100;
/// The label of all others.
const OTHER: &str = "other";

/// What a domain has, as far as that is known.
#[derive(Clone, Copy, Debug, Default)]
pub struct DomainFigures {
    /// Requests of its own clients since the start.
    pub requests: u64,
    /// Secrets.
    pub secrets: Option<u64>,
    /// Bytes of values.
    pub bytes: Option<u64>,
    /// Tokens.
    pub tokens: Option<u64>,
}

/// Refusals by what is used up and by domain, and what domains have.
pub struct QuotaMetrics {
    refused: IntCounterVec,
    requests: IntCounterVec,
    secrets: IntGaugeVec,
    bytes: IntGaugeVec,
    tokens: IntGaugeVec,
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
        let opts = |name: &str, help: &str| {
            Opts::new(
                name,
                format!("{help}, of the first hundred domains that have quotas of their own."),
            )
        };
        let gauge = |name: &str, help: &str| {
            register(registry, IntGaugeVec::new(opts(name, help), &["domain"])?)
        };
        let requests = opts("okmsd_domain_requests_total", "Requests of a domain's own clients");
        Ok(Self {
            refused,
            requests: register(registry, IntCounterVec::new(requests, &["domain"])?)?,
            secrets: gauge("okmsd_domain_secrets", "Secrets")?,
            bytes: gauge("okmsd_domain_version_bytes", "What the values of all versions take")?,
            tokens: gauge("okmsd_domain_tokens", "Tokens that are not over, about")?,
            named: Mutex::default(),
        })
    }

    /// What some domains have that have quotas of their own; nothing is told of others any more.
    pub fn tell(&self, domains: impl IntoIterator<Item = (OkmsId, DomainFigures)>) {
        for gauges in [&self.secrets, &self.bytes, &self.tokens] {
            gauges.reset();
        }
        for (id, figures) in domains {
            if !self.is_named(id) {
                continue;
            }
            let domain = id.to_string();
            let requests = self.requests.with_label_values(&[&domain]);
            requests.inc_by(figures.requests.saturating_sub(requests.get()));
            for (gauges, number) in [
                (&self.secrets, figures.secrets),
                (&self.bytes, figures.bytes),
                (&self.tokens, figures.tokens),
            ] {
                if let Some(number) = number {
                    let number = i64::try_from(number).unwrap_or(i64::MAX);
                    gauges.with_label_values(&[&domain]).set(number);
                }
            }
        }
    }

    /// Whether a domain has a label of its own, or gets one.
    fn is_named(&self, id: OkmsId) -> bool {
        let mut named = self.named.lock().unwrap_or_else(PoisonError::into_inner);
        named.contains(&id) || (named.len() < NAMED_MAX && named.insert(id))
    }

    /// A request was refused; of a domain with its own quota, of which one is told.
    pub fn refused(&self, spent: Spent, domain: Option<OkmsId>) {
        let domain = domain.filter(|id| self.is_named(*id)).map(|id| id.to_string());
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
        let ids =
            (1..1000_u128).rev().map(|number| OkmsId::from_bytes(number.to_be_bytes()).unwrap());
        let figures = DomainFigures { secrets: Some(1), ..DomainFigures::default() };
        metrics.tell(ids.map(|id| (id, figures)));
        assert_eq!(metrics.secrets.collect()[0].get_metric().len(), NAMED_MAX);
        metrics.tell(None);
        assert_eq!(metrics.secrets.collect()[0].get_metric().len(), 0, "they may be gone");
        let families = metrics.refused.collect();
        assert_eq!(families[0].get_metric().len(), NAMED_MAX + 2);
        let other = metrics.refused.with_label_values(&["requests", OTHER]);
        assert_eq!(other.get(), 2 * (999 - NAMED_MAX as u64));
    }
}
