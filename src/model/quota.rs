//! What one tenant may take of the server: how fast it may ask, and how much it may have.
//!
//! Always holds: a rate is more than nothing, so that no tenant is shut out by one.

use std::fmt;

use super::{Growth, Invalid, Usage};

/// The fastest rate that can be set, in thousandths of a request a second.
const THOUSANDTHS_MAX: u64 = 1_000_000_000;
const BURST_MAX: u64 = 10_000_000;
const NUMBER_MAX: u64 = 1_000_000_000;
const BYTES_MAX: u64 = 1 << 50;
const WEIGHT_MAX: u64 = 100;
/// So many seconds' worth may come at once, where nothing else is said.
const BURST_SECONDS: u64 = 10;
const RATE: Invalid = Invalid(
    "a rate is a number of requests a second such as 100 or 0.5, from 0.001 to 1000000, with at most three decimals",
);
const BURST: Invalid = Invalid("a burst is a number of requests from 1 to 10000000");
const TOKENS: Invalid = Invalid("tokens is a number from 1 to 1000000000");
const SECRETS: Invalid = Invalid("secrets is a number from 1 to 1000000000");
const BYTES: Invalid = Invalid("versionBytes is a number of bytes from 1 to 1125899906842624");

const WEIGHT: Invalid = Invalid(
    "weight is a number from 1 to 100: how often the domain's requests go where those of others go once",
);

/// How fast somebody may ask.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rate {
    thousandths: u64,
    burst: u64,
}

impl Rate {
    /// So many thousandths of a request a second, and so many requests at once after a pause: ten
    /// seconds' worth where that is not said.
    ///
    /// # Errors
    /// `Invalid` where that is nothing, or out of bounds.
    pub fn new(thousandths: u64, burst: Option<u64>) -> Result<Self, Invalid> {
        if !(1..=THOUSANDTHS_MAX).contains(&thousandths) {
            return Err(RATE);
        }
        let burst = burst.unwrap_or_else(|| (thousandths * BURST_SECONDS / 1000).max(1));
        if !(1..=BURST_MAX).contains(&burst) {
            return Err(BURST);
        }
        Ok(Self { thousandths, burst })
    }

    /// So many requests a second, or as many as can be said; no rate at all where that is 0.
    #[must_use]
    pub fn per_second(number: u32) -> Option<Self> {
        Self::new((u64::from(number) * 1000).min(THOUSANDTHS_MAX), None).ok()
    }

    /// A rate as it is written, with a burst where there is one.
    ///
    /// # Errors
    /// `Invalid` where it is none.
    pub fn parse(text: &str, burst: Option<u64>) -> Result<Self, Invalid> {
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits =
            |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || whole.len() > 7 || decimals.len() > 3 {
            return Err(RATE);
        }
        let number = |text: &str| text.parse::<u64>().map_err(|_| RATE);
        Self::new(number(whole)? * 1000 + number(&format!("{decimals:0<3}"))?, burst)
    }

    /// Thousandths of a request a second.
    #[must_use]
    pub const fn thousandths(self) -> u64 {
        self.thousandths
    }

    /// How many may come at once after a pause.
    #[must_use]
    pub const fn burst(self) -> u64 {
        self.burst
    }

    /// The time that one request takes of it, in nanoseconds.
    #[must_use]
    pub const fn step(self) -> u64 {
        // It is never nothing.
        match 1_000_000_000_000_u64.checked_div(self.thousandths) {
            Some(step) => step,
            None => u64::MAX,
        }
    }

    /// The time that a burst takes of it, in nanoseconds.
    #[must_use]
    pub const fn depth(self) -> u64 {
        self.step().saturating_mul(self.burst)
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.thousandths / 1000, self.thousandths % 1000);
        if rest == 0 {
            return write!(f, "{whole}");
        }
        write!(f, "{whole}.{}", format!("{rest:03}").trim_end_matches('0'))
    }
}

/// What bounds a tenant. What is not said is bounded by what counts for everybody.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// How fast it may ask.
    pub requests: Option<Rate>,
    /// How fast it may ask for changes.
    pub writes: Option<Rate>,
    /// How fast one who acts in it may ask, which is one key of a certificate.
    pub subject_requests: Option<Rate>,
    /// The same for changes.
    pub subject_writes: Option<Rate>,
    /// How many tokens it may have that are not over.
    pub tokens: Option<u64>,
    /// How many secrets it may have.
    pub secrets: Option<u64>,
    /// How many bytes the values of all their versions may take.
    pub bytes: Option<u64>,
    /// How often it goes where others wait as well and go once.
    pub weight: Option<u64>,
}

/// What a tenant would have too much of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Excess {
    /// Secrets.
    Secrets,
    /// Bytes of values.
    Bytes,
}

impl Quota {
    /// Goes on if it is within its bounds.
    ///
    /// # Errors
    /// `Invalid` says what is not.
    pub fn check(self) -> Result<Self, Invalid> {
        for (number, most, wrong) in [
            (self.tokens, NUMBER_MAX, TOKENS),
            (self.secrets, NUMBER_MAX, SECRETS),
            (self.bytes, BYTES_MAX, BYTES),
            (self.weight, WEIGHT_MAX, WEIGHT),
        ] {
            if number.is_some_and(|number| !(1..=most).contains(&number)) {
                return Err(wrong);
            }
        }
        Ok(self)
    }

    /// Whether one who has so much may go on by so much. What does not grow always may, so that
    /// whoever has too much can remove some, and put less in the place of more.
    ///
    /// # Errors
    /// What there would be too much of.
    pub fn admit(&self, usage: Usage, growth: Growth) -> Result<(), Excess> {
        let after = usage.after(growth);
        let is_beyond = |most: Option<u64>, grows: i64, after| {
            grows > 0 && most.is_some_and(|most| after > most)
        };
        if is_beyond(self.secrets, growth.secrets, after.secrets) {
            return Err(Excess::Secrets);
        }
        if is_beyond(self.bytes, growth.bytes, after.bytes) {
            return Err(Excess::Bytes);
        }
        Ok(())
    }

    /// The same, with `other` for what it does not say.
    #[must_use]
    pub fn or(self, other: Self) -> Self {
        Self {
            requests: self.requests.or(other.requests),
            writes: self.writes.or(other.writes),
            subject_requests: self.subject_requests.or(other.subject_requests),
            subject_writes: self.subject_writes.or(other.subject_writes),
            tokens: self.tokens.or(other.tokens),
            secrets: self.secrets.or(other.secrets),
            bytes: self.bytes.or(other.bytes),
            weight: self.weight.or(other.weight),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_they_are_written() {
        for (text, thousandths, burst, written) in [
            ("100", 100_000, 1000, "100"),
            ("0.5", 500, 5, "0.5"),
            ("0.001", 1, 1, "0.001"),
            ("2.050", 2050, 20, "2.05"),
            ("1000000", 1_000_000_000, 10_000_000, "1000000"),
        ] {
            let rate = Rate::parse(text, None).unwrap();
            assert_eq!((rate.thousandths(), rate.burst()), (thousandths, burst), "{text}");
            assert_eq!(rate.to_string(), written);
        }
        for text in
            ["0", "-1", "1e3", ".5", "1.", "0.0001", "1000001", "99999999999999999999", "", "1.5.5"]
        {
            assert_eq!(Rate::parse(text, None), Err(RATE), "{text}");
        }
        assert_eq!(Rate::parse("1", Some(0)), Err(BURST));
        assert_eq!(Rate::per_second(0), None);
        assert_eq!(Rate::per_second(7), Rate::parse("7", None).ok());
        assert!(Quota { tokens: Some(0), ..Quota::default() }.check().is_err());
    }

    #[test]
    fn what_does_not_grow_is_admitted() {
        let quota = Quota { secrets: Some(2), bytes: Some(100), ..Quota::default() };
        let admits = |secrets, bytes, by: (i64, i64)| {
            quota.admit(Usage { secrets, bytes }, Growth { secrets: by.0, bytes: by.1 })
        };
        assert_eq!(admits(1, 50, (1, 50)), Ok(()));
        assert_eq!(admits(2, 50, (1, 0)), Err(Excess::Secrets));
        assert_eq!(admits(1, 50, (1, 51)), Err(Excess::Bytes));
        for by in [(0, 0), (-1, 0), (0, -1), (-1, -500)] {
            assert_eq!(admits(9, 900, by), Ok(()), "{by:?}");
        }
        assert_eq!(admits(9, 90, (0, 10)), Ok(()), "secrets alone are too many");
        assert_eq!(
            Quota::default().admit(Usage { secrets: 9, bytes: 9 }, Growth { secrets: 1, bytes: 1 }),
            Ok(())
        );
    }
}
