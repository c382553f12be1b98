//! When a certificate is valid.
//!
//! Always holds: what is issued begins a few minutes early, lasts at least a day, and ends before
//! the year 9999. Never does: read a clock.

use time::OffsetDateTime;

use super::error::Error;
use crate::model::Timestamp;

/// A span of time, both ends included, in Unix seconds: certificates may last until the year 9999,
/// and a [`Timestamp`] ends in 2262.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Validity {
    /// The first valid second.
    pub not_before: i64,
    /// The last valid second.
    pub not_after: i64,
}

impl Validity {
    /// What is issued begins so long before, at most.
    pub const EARLY_SECONDS: u32 = 300;

    /// The span of something that is issued at `now` for `days`. It begins a little earlier, for
    /// peers whose clock is late.
    pub(super) fn for_days(now: Timestamp, days: u32) -> Result<Self, Error> {
        const DAY: i64 = 86_400;
        let now = now.unix_seconds();
        let validity = Self {
            not_before: now - i64::from(Self::EARLY_SECONDS),
            not_after: now + i64::from(days) * DAY,
        };
        let (begin, end) = validity.dates()?;
        // Below 1950 the two date forms of X.509 stop being well defined, and 9999-12-31 means
        // "never ends" in it, which nothing here should.
        if days == 0 || begin.year() < 1950 || end.year() >= 9999 {
            Err(Error::Validity)
        } else {
            Ok(validity)
        }
    }

    /// Both ends as the library writes them.
    pub(super) fn dates(self) -> Result<(OffsetDateTime, OffsetDateTime), Error> {
        let date =
            |seconds| OffsetDateTime::from_unix_timestamp(seconds).map_err(|_| Error::Validity);
        Ok((date(self.not_before)?, date(self.not_after)?))
    }

    /// What both allow.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            not_before: self.not_before.max(other.not_before),
            not_after: self.not_after.min(other.not_after),
        }
    }

    /// Whether it has expired at `now`.
    #[must_use]
    pub const fn has_expired(self, now: Timestamp) -> bool {
        now.unix_seconds() > self.not_after
    }

    /// Whether it has begun at `now`.
    #[must_use]
    pub const fn has_begun(self, now: Timestamp) -> bool {
        now.unix_seconds() >= self.not_before
    }
}

impl From<&x509_parser::certificate::Validity> for Validity {
    fn from(validity: &x509_parser::certificate::Validity) -> Self {
        Self {
            not_before: validity.not_before.timestamp(),
            not_after: validity.not_after.timestamp(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_spans_are_refused() {
        let at = Timestamp::from_unix_seconds;
        let day = Validity::for_days(at(1_000_000), 1).unwrap();
        assert_eq!((day.not_before, day.not_after), (999_700, 1_086_400));
        for (now, days) in [
            (at(0), 0),
            (at(0), u32::MAX),
            (at(-700_000_000), 1),
            (Timestamp::from_unix_nanos(i64::MIN), 1),
        ] {
            assert!(
                matches!(Validity::for_days(now, days), Err(Error::Validity)),
                "{now:?} {days}"
            );
        }
    }

    #[test]
    fn both_ends_are_valid() {
        let validity = Validity { not_before: 100, not_after: 200 };
        for (second, has_begun, has_expired) in
            [(99, false, false), (100, true, false), (200, true, false), (201, true, true)]
        {
            let now = Timestamp::from_unix_seconds(second);
            assert_eq!(
                (validity.has_begun(now), validity.has_expired(now)),
                (has_begun, has_expired),
                "{second}"
            );
        }
        assert_eq!(
            validity.and(Validity { not_before: 0, not_after: 150 }),
            Validity { not_before: 100, not_after: 150 }
        );
    }
}
