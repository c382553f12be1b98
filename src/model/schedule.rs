//! When a secret is to be rotated.
//!
//! Always holds: the moment is never earlier than the interval after the anchor, and less than a day
//! later; which anchors are due at a moment is one comparison, so that an index of anchors has what is due at its
//! beginning.

use super::Timestamp;

const DAY: i64 = 86_400 * SECOND;
const SECOND: i64 = 1_000_000_000;

/// Since when a secret has its value, and how long it may have it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schedule {
    /// The moment of attaching, then of each new version.
    pub anchor: Timestamp,
    /// The policy's interval, in seconds.
    pub interval: u64,
}

/// How a secret stands to its schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RotationStatus {
    /// Its time is to come.
    Scheduled,
    /// It is to come soon.
    Warning,
    /// It has come.
    Due,
    /// It has come, and the grace after it is over.
    Overdue,
    /// The policy is not active.
    Paused,
}

impl RotationStatus {
    /// Its name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Scheduled => "scheduled",
            Self::Warning => "warning",
            Self::Due => "due",
            Self::Overdue => "overdue",
            Self::Paused => "paused",
        }
    }
}

impl Schedule {
    /// When the next rotation is due: the interval after the anchor, and where that is a day or more, at
    /// the next midnight in UTC.
    #[must_use]
    pub fn next(self) -> Timestamp {
        let end = self.anchor.plus_seconds(self.interval);
        if !self.is_by_day() {
            return end;
        }
        let nanos = end.unix_nanos();
        let since_midnight = nanos.rem_euclid(DAY);
        let missing = if since_midnight == 0 { 0 } else { DAY - since_midnight };
        Timestamp::from_unix_nanos(nanos.saturating_add(missing))
    }

    /// Whether it is due at `now`.
    #[must_use]
    pub fn is_due(self, now: Timestamp) -> bool {
        self.next() <= now
    }

    /// The last anchor with which a secret is due at `now`: it is due with all that are not later, and with no
    /// other. None where it is due with none.
    #[must_use]
    pub fn last_due(interval: u64, now: Timestamp) -> Option<Timestamp> {
        let nanos = now.unix_nanos();
        let is_by_day = Self { anchor: now, interval }.is_by_day();
        let last = if is_by_day { nanos.checked_sub(nanos.rem_euclid(DAY))? } else { nanos };
        let interval = i64::try_from(interval).ok()?.checked_mul(SECOND)?;
        last.checked_sub(interval).map(Timestamp::from_unix_nanos)
    }

    const fn is_by_day(self) -> bool {
        self.interval >= 86_400
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::from_rfc3339(text).unwrap()
    }

    fn next(anchor: &str, interval: u64) -> String {
        Schedule { anchor: at(anchor), interval }.next().to_rfc3339_nanos().to_string()
    }

    #[test]
    fn as_published() {
        assert_eq!(next("2026-04-20T14:22:00Z", 90 * 86_400), "2026-07-20T00:00:00Z");
        assert_eq!(next("2026-04-20T14:22:07.5Z", 6 * 3_600), "2026-04-20T20:22:07.5Z");
        assert_eq!(next("2026-04-20T00:00:00Z", 86_400), "2026-04-21T00:00:00Z");
        assert_eq!(next("2026-04-20T00:00:00.000000001Z", 86_400), "2026-04-22T00:00:00Z");
        assert_eq!(next("2026-04-20T23:59:59Z", 86_399), "2026-04-21T23:59:58Z");
        let last = Timestamp::from_unix_nanos(i64::MAX);
        assert_eq!(Schedule { anchor: last, interval: 86_400 }.next(), last);
    }

    /// Intervals and moments as there are, and close to a midnight.
    fn interval() -> impl Strategy<Value = u64> {
        prop_oneof![3_600..=3_650 * 86_400_u64, (1..=3_650_u64).prop_map(|days| days * 86_400)]
    }

    fn moment() -> impl Strategy<Value = i64> {
        let near = (0..40_000_i64, -2..=2_i64).prop_map(|(day, off)| day * DAY + off);
        prop_oneof![0..4_000_000_000 * SECOND, near]
    }

    proptest! {
        #[test]
        fn never_earlier_and_less_than_a_day_later(anchor in moment(), interval in interval()) {
            let schedule = Schedule { anchor: Timestamp::from_unix_nanos(anchor), interval };
            let late = schedule.next().unix_nanos() - schedule.anchor.plus_seconds(interval).unix_nanos();
            prop_assert!((0..DAY).contains(&late));
            prop_assert!(interval >= 86_400 || late == 0);
            prop_assert!(interval < 86_400 || schedule.next().unix_nanos() % DAY == 0);
        }

        #[test]
        fn who_began_later_is_due_no_earlier(one in moment(), other in moment(), interval in interval()) {
            let next = |nanos| Schedule { anchor: Timestamp::from_unix_nanos(nanos), interval }.next();
            prop_assert!(next(one.min(other)) <= next(one.max(other)));
        }

        #[test]
        fn what_is_due_comes_first(now in moment(), interval in interval(), off in prop_oneof![-2 * DAY..2 * DAY, -2..=2_i64]) {
            let now = Timestamp::from_unix_nanos(now);
            let span = i64::try_from(interval).unwrap() * SECOND;
            let anchor = Timestamp::from_unix_nanos(now.unix_nanos() - span + off);
            let last = Schedule::last_due(interval, now).unwrap();
            prop_assert_eq!(Schedule { anchor, interval }.is_due(now), anchor <= last);
        }
    }
}
