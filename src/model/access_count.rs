//! How often a secret's values were read of late.

use std::collections::BTreeMap;

use super::Timestamp;

/// So many days are counted, today with them.
const DAYS: u32 = 30;

/// The reads of a secret's values: the last one, and how many there were on each of the last thirty
/// days (UTC).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessCount {
    /// The last read.
    pub last: Timestamp,
    days: BTreeMap<u32, u32>,
}

impl AccessCount {
    /// Those of these days since 1970.
    #[must_use]
    pub fn new(last: Timestamp, days: impl IntoIterator<Item = (u32, u32)>) -> Self {
        Self { last, days: days.into_iter().collect() }
    }

    /// One read.
    #[must_use]
    pub fn one(now: Timestamp) -> Self {
        Self::new(now, [(day(now), 1)])
    }

    /// Another read.
    pub fn note(&mut self, now: Timestamp) {
        self.last = self.last.max(now);
        let count = self.days.entry(day(now)).or_default();
        *count = count.saturating_add(1);
    }

    /// Adds what others have counted, and forgets what is too long ago for any of them.
    pub fn merge(&mut self, other: &Self) {
        self.last = self.last.max(other.last);
        for (day, more) in &other.days {
            let count = self.days.entry(*day).or_default();
            *count = count.saturating_add(*more);
        }
        let first = first(self.last);
        self.days.retain(|day, _| *day >= first);
    }

    /// How many reads there were on the last thirty days.
    #[must_use]
    pub fn count(&self, now: Timestamp) -> u64 {
        self.days.range(first(now)..).map(|(_, count)| u64::from(*count)).sum()
    }

    /// The days since 1970 on which it was read, and how often on each.
    pub fn days(&self) -> impl Iterator<Item = (u32, u32)> {
        self.days.iter().map(|(day, count)| (*day, *count))
    }
}

fn day(moment: Timestamp) -> u32 {
    u32::try_from(moment.unix_seconds().max(0) / 86_400).unwrap_or(u32::MAX)
}

/// The first of the days that count.
fn first(now: Timestamp) -> u32 {
    (day(now) + 1).saturating_sub(DAYS)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn on(day: i64) -> Timestamp {
        Timestamp::from_unix_seconds(day * 86_400 + 5)
    }

    #[test]
    fn a_read_counts_for_thirty_days() {
        let mut count = AccessCount::one(on(100));
        count.note(on(100));
        count.note(on(110));
        assert_eq!((count.count(on(129)), count.count(on(130)), count.count(on(140))), (3, 1, 0));
        assert_eq!(count.last, on(110));
    }

    proptest! {
        /// Whoever counts in parts, and merges those in whatever order, has counted all.
        #[test]
        fn parts_add_up(reads in prop::collection::vec((0..3_usize, 100..140_i64), 1..40)) {
            let mut parts: Vec<Option<AccessCount>> = vec![None; 3];
            for (part, day) in &reads {
                match &mut parts[*part] {
                    Some(count) => count.note(on(*day)),
                    none => *none = Some(AccessCount::one(on(*day))),
                }
            }
            let mut parts = parts.into_iter().flatten();
            let mut whole = parts.next().unwrap();
            parts.for_each(|part| whole.merge(&part));
            let last = reads.iter().map(|(_, day)| *day).max().unwrap();
            let expected = reads.iter().filter(|(_, day)| *day > last - 30).count();
            prop_assert_eq!((whole.last, whole.count(on(last))), (on(last), expected as u64));
        }
    }
}
