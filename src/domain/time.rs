//! A moment, as a number handed down from the one clock read of a request.

use time::{OffsetDateTime, macros::format_description};

/// A moment: nanoseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(i64);

impl Timestamp {
    /// The moment this many nanoseconds after the epoch.
    #[must_use]
    pub const fn from_unix_nanos(nanos: i64) -> Self {
        Self(nanos)
    }

    /// The moment this many seconds after the epoch.
    #[must_use]
    pub const fn from_unix_seconds(seconds: i64) -> Self {
        Self(seconds.saturating_mul(1_000_000_000))
    }

    /// Nanoseconds since the epoch.
    #[must_use]
    pub const fn unix_nanos(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch.
    #[must_use]
    pub const fn unix_seconds(self) -> i64 {
        self.0.div_euclid(1_000_000_000)
    }

    /// This moment and `seconds` more; the end of time where that is too far.
    #[must_use]
    pub const fn plus_seconds(self, seconds: u64) -> Self {
        let nanos = seconds.saturating_mul(1_000_000_000);
        Self(self.0.saturating_add_unsigned(nanos))
    }

    /// RFC 3339 in UTC, whole seconds, as the native dialect shows it: `2025-01-02T03:04:05Z`.
    #[must_use]
    pub fn to_rfc3339_seconds(self) -> String {
        const FORMAT: &[time::format_description::BorrowedFormatItem<'_>] =
            format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
        // Every i64 of nanoseconds lies within the years 1677 to 2262, which `time` can tell and show.
        OffsetDateTime::from_unix_timestamp(self.unix_seconds())
            .ok()
            .and_then(|moment| moment.format(FORMAT).ok())
            .unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shows_whole_seconds_in_utc() {
        let moment = Timestamp::from_unix_nanos(1_735_787_045_999_999_999);
        assert_eq!(moment.to_rfc3339_seconds(), "2025-01-02T03:04:05Z");
        assert_eq!(Timestamp::from_unix_nanos(i64::MIN).to_rfc3339_seconds().len(), 20);
        assert_eq!(Timestamp::from_unix_nanos(i64::MAX).to_rfc3339_seconds(), "2262-04-11T23:47:16Z");
    }

    #[test]
    fn adding_stops_at_the_end_of_time() {
        let moment = Timestamp::from_unix_seconds(10);
        assert_eq!(moment.plus_seconds(5), Timestamp::from_unix_seconds(15));
        assert_eq!(moment.plus_seconds(u64::MAX), Timestamp::from_unix_nanos(i64::MAX));
    }
}
