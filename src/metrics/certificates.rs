//! Which certificates end when: those that the server needs, and of those that were seen lately the
//! one that ends first.

use std::{
    collections::BTreeMap,
    sync::{Mutex, OnceLock, PoisonError},
};

use prometheus::{IntGauge, IntGaugeVec};

use crate::model::OkmsId;

/// So many domains are told by their ids of what they manage themselves, all others as one.
const NAMED_MAX: usize = 100;
/// The label of all others.
const OTHER: &str = "other";

/// The first of the ends of each domain, by the domain's label: what an operator has not set up is as
/// much as customers like, and labels are few.
pub(super) fn named(ends: impl Iterator<Item = (OkmsId, i64)>) -> BTreeMap<String, i64> {
    let mut first = BTreeMap::new();
    for (domain, end) in ends {
        first.entry(domain).and_modify(|known: &mut i64| *known = end.min(*known)).or_insert(end);
    }
    let mut named = BTreeMap::new();
    for (place, (domain, end)) in first.into_iter().enumerate() {
        let label = if place < NAMED_MAX { domain.to_string() } else { OTHER.to_owned() };
        named.entry(label).and_modify(|known: &mut i64| *known = end.min(*known)).or_insert(end);
    }
    named
}

/// What a certificate is, and the domain that it is for.
type Whose = (&'static str, String);

/// The ends of the certificates that the server needs.
#[derive(Default)]
pub(super) struct Needed(Mutex<BTreeMap<Whose, i64>>);

impl Needed {
    /// Tells these ends, and none that was told before.
    pub(super) fn replace(&self, gauges: &IntGaugeVec, ends: impl Iterator<Item = (Whose, i64)>) {
        let mut soonest = BTreeMap::new();
        for (whose, end) in ends {
            soonest
                .entry(whose)
                .and_modify(|known: &mut i64| *known = end.min(*known))
                .or_insert(end);
        }
        let mut told = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (certificate, domain) in told.keys().filter(|whose| !soonest.contains_key(*whose)) {
            let _it_is_there = gauges.remove_label_values(&[*certificate, domain.as_str()]);
        }
        for ((certificate, domain), end) in &soonest {
            gauges.with_label_values(&[*certificate, domain.as_str()]).set(*end);
        }
        *told = soonest;
    }
}

/// Whose certificate a client showed.
#[derive(Clone, Copy, Debug)]
pub enum Seen {
    /// An operator's.
    Operator,
    /// A domain's.
    Client,
}

/// The figure of certificates that were seen lately.
#[derive(Default)]
pub(super) struct Lately {
    soonest: Mutex<Soonest>,
    /// Listed from the first of them on.
    gauge: OnceLock<IntGauge>,
}

impl Lately {
    /// Adds an end that was seen at `now`. `find` finds the gauge, the first time.
    pub(super) fn add(&self, end: i64, now: i64, find: impl FnOnce() -> IntGauge) {
        let soonest = self.soonest.lock().unwrap_or_else(PoisonError::into_inner).add(end, now);
        self.gauge.get_or_init(find).set(soonest);
    }
}

/// The soonest end among certificates that were seen lately: today and the day before, counted from
/// the first.
#[derive(Default)]
struct Soonest {
    since: i64,
    today: Option<i64>,
    yesterday: Option<i64>,
}

impl Soonest {
    /// Adds an end that was seen at `now`, and gives back the soonest.
    fn add(&mut self, end: i64, now: i64) -> i64 {
        const DAY: i64 = 86_400;
        match now.saturating_sub(self.since) {
            0..DAY => {}
            DAY..=172_799 => (self.since, self.yesterday) = (self.since + DAY, self.today.take()),
            _ => *self = Self { since: now, ..Self::default() },
        }
        let today = self.today.map_or(end, |soonest| soonest.min(end));
        self.today = Some(today);
        self.yesterday.map_or(today, |soonest| soonest.min(today))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// However many domains there are, labels are few, and no end is hidden by that.
    #[test]
    fn labels_are_few() {
        let domains = (1..=200).map(|number| OkmsId::from_bytes([number; 16]).unwrap());
        let ends: Vec<_> = domains.zip(1_000..).collect();
        let named = named(ends.iter().copied().chain([(ends[3].0, 5), (ends[150].0, 7)]));
        assert_eq!((named.len(), named[OTHER]), (101, 7));
        assert_eq!(named[&ends[3].0.to_string()], 5);
    }

    /// A certificate that was replaced is forgotten two days after it was last seen.
    #[test]
    fn the_soonest_end_is_that_of_lately() {
        const DAY: i64 = 86_400;
        let mut soonest = Soonest::default();
        let start = 1_700_000_000;
        assert_eq!(soonest.add(start + 9 * DAY, start), start + 9 * DAY);
        assert_eq!(soonest.add(start + 90 * DAY, start + 10), start + 9 * DAY);
        assert_eq!(soonest.add(start + 90 * DAY, start + DAY), start + 9 * DAY);
        assert_eq!(soonest.add(start + 90 * DAY, start + 2 * DAY), start + 90 * DAY);
        assert_eq!(soonest.add(start + 80 * DAY, start + 9 * DAY), start + 80 * DAY);
        // A clock that went back begins anew.
        assert_eq!(soonest.add(start + 95 * DAY, start), start + 95 * DAY);
    }
}
