//! A moment, as a number handed down from the one clock read of a request.

use super::text::Short;

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

    /// The moment of an RFC 3339 text, in whatever zone; `None` for what is none, or lies too far off.
    #[must_use]
    pub fn from_rfc3339(text: &str) -> Option<Self> {
        let moment =
            time::OffsetDateTime::parse(text, &time::format_description::well_known::Rfc3339);
        i64::try_from(moment.ok()?.unix_timestamp_nanos()).ok().map(Self)
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
    ///
    /// Written out here, as every answer has several: a general formatter costs more than the rest
    /// of the rendering.
    #[must_use]
    pub fn to_rfc3339_seconds(self) -> Rfc3339 {
        let mut text = self.to_date_and_time();
        text.push(b'Z');
        text
    }

    /// RFC 3339 in UTC with three digits of a second, as records of the audit trail have it, so that
    /// they sort as text: `2025-01-02T03:04:05.120Z`.
    #[must_use]
    pub fn to_rfc3339_millis(self) -> Rfc3339 {
        let mut text = self.to_date_and_time();
        text.push(b'.');
        push_digits(&mut text, self.0.rem_euclid(1_000_000_000) / 1_000_000, 100);
        text.push(b'Z');
        text
    }

    /// RFC 3339 in UTC with up to nine digits of a second, without zeros at the end, as
    /// `2025-01-02T03:04:05.123456Z`.
    #[must_use]
    pub fn to_rfc3339_nanos(self) -> Rfc3339 {
        let mut text = self.to_date_and_time();
        let nanos = self.0.rem_euclid(1_000_000_000);
        if nanos > 0 {
            text.push(b'.');
            push_digits(&mut text, nanos, 100_000_000);
            text.truncate(text.trim_end_matches('0').len());
        }
        text.push(b'Z');
        text
    }

    /// `2025-01-02T03:04:05`, with room for what may follow.
    fn to_date_and_time(self) -> Rfc3339 {
        let (days, second) =
            (self.unix_seconds().div_euclid(86_400), self.unix_seconds().rem_euclid(86_400));
        // The proleptic Gregorian calendar in eras of 400 years that begin on 1 March (H. Hinnant,
        // "chrono-Compatible Low-Level Date Algorithms"): leap days come last, so that a day of the
        // year gives month and day directly.
        let days = days + 719_468;
        let (era, day) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
        let day = day - (365 * year + year / 4 - year / 100);
        let month = (5 * day + 2) / 153;
        let day = day - (153 * month + 2) / 5 + 1;
        let (month, next) = if month < 10 { (month + 3, 0) } else { (month - 9, 1) };
        let year = year + era * 400 + next;
        let mut text = Rfc3339::default();
        // Every i64 of nanoseconds lies within the years 1677 to 2262.
        push_digits(&mut text, year, 1_000);
        for (mark, number) in [
            (b'-', month),
            (b'-', day),
            (b'T', second / 3_600),
            (b':', second / 60 % 60),
            (b':', second % 60),
        ] {
            text.push(mark);
            push_digits(&mut text, number, 10);
        }
        text
    }
}

/// A moment as RFC 3339 has it. Every answer and every record has several.
type Rfc3339 = Short<30>;

/// Pushes the decimal digits of `number`, from that of `place` down.
fn push_digits(text: &mut Rfc3339, number: i64, mut place: i64) {
    while place > 0 {
        let digit = u8::try_from(number / place % 10).unwrap_or_default();
        text.push(b'0' + digit);
        place /= 10;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use time::{OffsetDateTime, format_description::well_known::Rfc3339};

    use super::*;

    proptest! {
        /// The date agrees with that of another library.
        #[test]
        fn dates_are_right(nanos in any::<i64>()) {
            let moment = Timestamp::from_unix_nanos(nanos);
            let expected = OffsetDateTime::from_unix_timestamp(moment.unix_seconds()).unwrap();
            prop_assert_eq!(moment.to_rfc3339_seconds(), expected.format(&Rfc3339).unwrap());
            let expected = OffsetDateTime::from_unix_timestamp_nanos(nanos.into()).unwrap();
            prop_assert_eq!(moment.to_rfc3339_nanos(), expected.format(&Rfc3339).unwrap());
            prop_assert_eq!(Timestamp::from_rfc3339(&moment.to_rfc3339_nanos()), Some(moment));
        }
    }

    #[test]
    fn shows_whole_seconds_in_utc() {
        let moment = Timestamp::from_unix_nanos(1_735_787_045_999_999_999);
        assert_eq!(moment.to_rfc3339_seconds(), "2025-01-02T03:04:05Z");
        assert_eq!(Timestamp::from_unix_nanos(i64::MIN).to_rfc3339_seconds().len(), 20);
        assert_eq!(
            Timestamp::from_unix_nanos(i64::MAX).to_rfc3339_seconds(),
            "2262-04-11T23:47:16Z"
        );
    }

    #[test]
    fn a_moment_is_read_in_any_zone() {
        let moment = Some(Timestamp::from_unix_seconds(1_735_787_045));
        assert_eq!(Timestamp::from_rfc3339("2025-01-02T04:04:05+01:00"), moment);
        for text in [
            "",
            "2025-01-02",
            "2025-01-02T03:04:05",
            "2025-02-30T03:04:05Z",
            "9999-12-31T23:59:59Z",
        ] {
            assert_eq!(Timestamp::from_rfc3339(text), None, "{text}");
        }
    }

    #[test]
    fn nanoseconds_lose_their_zeros() {
        for (nanos, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1, "1970-01-01T00:00:00.000000001Z"),
            (500_000_000, "1970-01-01T00:00:00.5Z"),
            (10_120_000_000, "1970-01-01T00:00:10.12Z"),
            (-1, "1969-12-31T23:59:59.999999999Z"),
        ] {
            assert_eq!(Timestamp::from_unix_nanos(nanos).to_rfc3339_nanos(), text);
        }
    }

    #[test]
    fn adding_stops_at_the_end_of_time() {
        let moment = Timestamp::from_unix_seconds(10);
        assert_eq!(moment.plus_seconds(5), Timestamp::from_unix_seconds(15));
        assert_eq!(moment.plus_seconds(u64::MAX), Timestamp::from_unix_nanos(i64::MAX));
    }
}
