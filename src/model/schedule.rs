//! When a secret is to be rotated.
//!
//! Always holds: the moment is never earlier than the interval after the anchor, and less than a day
//! later; what an index says is due (by the minute of the anchor) has all that is.

use super::Timestamp;

const DAY: i64 = 86_400 * SECOND;
const MINUTE: i64 = 60 * SECOND;
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

    /// The minute of the anchor, under which an index has the secret.
    #[must_use]
    pub const fn minute(self) -> i64 {
        self.anchor.unix_nanos().div_euclid(MINUTE)
    }

    /// The last minute of an anchor with which a secret can be due at `now`: all that are due are there or
    /// before, and all that are before are due. None where none can be.
    #[must_use]
    pub fn last_minute_due(interval: u64, now: Timestamp) -> Option<i64> {
        let this = Self { anchor: now, interval };
        let nanos = now.unix_nanos();
        let nanos = if this.is_by_day() { nanos - nanos.rem_euclid(DAY) } else { nanos };
        let interval = i64::try_from(interval).ok()?.checked_mul(SECOND)?;
        Some(nanos.checked_sub(interval)?.div_euclid(MINUTE))
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
        Schedule { anchor: at(anchor), interval }.next().to_rfc3339_nanos()
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
        fn the_index_has_what_is_due(now in moment(), interval in interval(), off in -2 * DAY..2 * DAY) {
            let now = Timestamp::from_unix_nanos(now);
            let span = i64::try_from(interval).unwrap() * SECOND;
            let anchor = Timestamp::from_unix_nanos(now.unix_nanos() - span + off);
            let schedule = Schedule { anchor, interval };
            let last = Schedule::last_minute_due(interval, now).unwrap();
            prop_assert!(!schedule.is_due(now) || schedule.minute() <= last);
            prop_assert!(schedule.minute() >= last || schedule.is_due(now));
        }
    }
}
