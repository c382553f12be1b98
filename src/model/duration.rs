//! How long a version stays active, as typed and as understood.

use std::str::FromStr;

use super::Invalid;

/// A life span for versions: the text that was typed, which answers repeat, and the seconds that it
/// means. Zero means no limit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeactivateAfter {
    text: Box<str>,
    seconds: u64,
}

/// The life span of defaults that rule out any.
const NEVER: &str = "-1s";

/// The longest text taken.
const TEXT_MAX: usize = 64;
pub(super) const NANOS_PER_SECOND: u128 = 1_000_000_000;

impl DeactivateAfter {
    /// The text as it was typed.
    #[must_use]
    pub fn as_typed(&self) -> &str {
        &self.text
    }

    /// The span in seconds; `None` for no limit.
    #[must_use]
    pub const fn limit_seconds(&self) -> Option<u64> {
        match self.seconds {
            0 => None,
            seconds => Some(seconds),
        }
    }

    /// Defaults under which no version ever ends by itself, whatever its secret says.
    #[must_use]
    pub fn never() -> Self {
        Self { text: NEVER.into(), seconds: 0 }
    }

    /// Whether these are defaults of [`DeactivateAfter::never`].
    #[must_use]
    pub fn is_never(&self) -> bool {
        &*self.text == NEVER
    }

    /// What was stored: the text of any life span.
    ///
    /// # Errors
    /// `Invalid` for any other text.
    pub fn from_stored(text: &str) -> Result<Self, Invalid> {
        if text == NEVER { Ok(Self::never()) } else { text.parse() }
    }

    /// The span in whole seconds: what is below one is cut off, to no limit at all if nothing else
    /// is there.
    ///
    /// # Errors
    /// `Invalid` for text that is no duration, or a negative one.
    pub fn cut(text: &str) -> Result<Self, Invalid> {
        let (nanos, seconds) = parse(text)?;
        Ok(Self { text: if nanos > 0 && seconds == 0 { "0s" } else { text }.into(), seconds })
    }

    /// The seconds of a span, and of a part of one: for what must not become none.
    ///
    /// # Errors
    /// `Invalid` for text that is no duration, or a negative one.
    pub fn seconds_rounded_up(text: &str) -> Result<u64, Invalid> {
        let (nanos, seconds) = parse(text)?;
        Ok(seconds + u64::from(nanos % NANOS_PER_SECOND > 0))
    }

    /// The span in hours, minutes and seconds, as Go writes it: `0s`, `5m0s`, `3h25m19s`, `-1s`.
    #[must_use]
    pub fn in_hours(&self) -> String {
        if self.is_never() {
            return NEVER.to_owned();
        }
        let (hours, minutes, seconds) =
            (self.seconds / 3600, self.seconds / 60 % 60, self.seconds % 60);
        match (hours, minutes) {
            (0, 0) => format!("{seconds}s"),
            (0, _) => format!("{minutes}m{seconds}s"),
            _ => format!("{hours}h{minutes}m{seconds}s"),
        }
    }
}

impl FromStr for DeactivateAfter {
    type Err = Invalid;

    /// Bare seconds (`90`), days (`1d`), or Go's duration text (`10h30m10s`, `1.5h`), days mixed in
    /// as well. What is below a second is cut off.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (nanos, seconds) = parse(text)?;
        if seconds == 0 && nanos > 0 {
            return Err(Invalid(
                "the duration is shorter than a second; give at least 1s, or 0s for no limit",
            ));
        }
        Ok(Self { text: text.into(), seconds })
    }
}

/// The nanoseconds of a duration, and its whole seconds.
///
/// # Errors
/// `Invalid` for text that is no duration, or a negative one.
pub(super) fn parse(text: &str) -> Result<(u128, u64), Invalid> {
    const WRONG: Invalid = Invalid(
        "a duration is a number of seconds or text such as 10h30m10s, 90m or 1d, and not negative",
    );
    const TOO_LONG: Invalid = Invalid("the duration is too long; the most is 106751 days");
    if text.is_empty() || text.len() > TEXT_MAX {
        return Err(WRONG);
    }
    let nanos = if text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse::<u64>().map_err(|_| TOO_LONG)?.into_nanos()
    } else {
        sum_of_units(text).ok_or(WRONG)?
    };
    // Go's own bound: a duration is a signed 64-bit number of nanoseconds.
    if nanos > i64::MAX as u128 {
        return Err(TOO_LONG);
    }
    Ok((nanos, u64::try_from(nanos / NANOS_PER_SECOND).map_err(|_| TOO_LONG)?))
}

trait IntoNanos {
    fn into_nanos(self) -> u128;
}

impl IntoNanos for u64 {
    fn into_nanos(self) -> u128 {
        u128::from(self) * NANOS_PER_SECOND
    }
}

/// The nanoseconds of `1h2.5m`-like text; `None` where it is not of that form.
fn sum_of_units(text: &str) -> Option<u128> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest == "0" {
        return Some(0);
    }
    let mut total: u128 = 0;
    while !rest.is_empty() {
        let number_end = rest.find(|c: char| !(c.is_ascii_digit() || c == '.'))?;
        let (number, tail) = rest.split_at(number_end);
        let unit_end = tail.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(unit_end);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return None;
        }
        let unit = nanos_of(unit)?;
        if !whole.is_empty() {
            total =
                total.checked_add(whole.parse::<u64>().ok().map(u128::from)?.checked_mul(unit)?)?;
        }
        // Digits beyond the eighteenth are below a nanosecond even in days.
        let fraction = fraction.get(..18).unwrap_or(fraction);
        if !fraction.is_empty() {
            let scale = 10u128.checked_pow(u32::try_from(fraction.len()).ok()?)?;
            total = total.checked_add(fraction.parse::<u128>().ok()? * unit / scale)?;
        }
        rest = tail;
    }
    Some(total)
}

fn nanos_of(unit: &str) -> Option<u128> {
    Some(match unit {
        "ns" => 1,
        "us" | "µs" | "μs" => 1_000,
        "ms" => 1_000_000,
        "s" => NANOS_PER_SECOND,
        "m" => 60 * NANOS_PER_SECOND,
        "h" => 3_600 * NANOS_PER_SECOND,
        "d" => 86_400 * NANOS_PER_SECOND,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_clients_send() {
        for (text, seconds) in [
            ("0", 0),
            ("0s", 0),
            ("90", 90),
            ("1d", 86_400),
            ("10h30m10s", 37_810),
            ("1.5h", 5_400),
            (".5m", 30),
            ("1h2m3s4ms5us6ns", 3_723),
            ("720h0m0s", 2_592_000),
            ("1d12h", 129_600),
            ("+5m", 300),
            ("1000000µs", 1),
        ] {
            let parsed: DeactivateAfter = text.parse().unwrap();
            assert_eq!(parsed.limit_seconds().unwrap_or(0), seconds, "{text}");
            assert_eq!(parsed.as_typed(), text);
        }
        for wrong in [
            "",
            " ",
            "-5m",
            "-1",
            "1",
            "5x",
            "h",
            "1h 30m",
            "1..5h",
            ".h",
            "1w",
            "٣s",
            "300ms",
            "1ns",
            "1e3s",
            "s1",
            "99999999999999999999",
            "99999999999999999999h",
            "200000d",
            &"1h".repeat(40),
        ] {
            assert_eq!(wrong.parse::<DeactivateAfter>().is_err(), wrong != "1", "{wrong}");
        }
    }

    #[test]
    fn as_kv2_has_it() {
        for (text, shown) in [
            ("0", "0s"),
            ("500ms", "0s"),
            ("90", "1m30s"),
            ("1d", "24h0m0s"),
            ("1.5h", "1h30m0s"),
            ("3h25m19s", "3h25m19s"),
            ("1500ms", "1s"),
        ] {
            assert_eq!(DeactivateAfter::cut(text).unwrap().in_hours(), shown, "{text}");
        }
        for (text, seconds) in [("0", 0), ("1ms", 1), ("1500ms", 2), ("5m", 300)] {
            assert_eq!(DeactivateAfter::seconds_rounded_up(text), Ok(seconds), "{text}");
        }
        assert!(DeactivateAfter::cut("-1h").is_err() && "-1s".parse::<DeactivateAfter>().is_err());
        assert_eq!(DeactivateAfter::cut("500ms").unwrap().as_typed(), "0s");
        let never = DeactivateAfter::never();
        assert_eq!(
            (never.in_hours(), never.limit_seconds(), never.is_never()),
            ("-1s".to_owned(), None, true)
        );
        assert_eq!(DeactivateAfter::from_stored("-1s"), Ok(never));
        assert!(
            !DeactivateAfter::from_stored("1d").unwrap().is_never()
                && DeactivateAfter::from_stored("-2s").is_err()
        );
    }

    proptest! {
        #[test]
        fn never_panics(text in "\\PC*|[0-9.hmsdµun+-]{0,70}") {
            let _ = text.parse::<DeactivateAfter>();
        }

        #[test]
        fn adds_up(h in 0u64..1000, m in 0u64..1000, s in 0u64..1000) {
            let parsed: DeactivateAfter = format!("{h}h{m}m{s}s").parse().unwrap();
            prop_assert_eq!(parsed.limit_seconds().unwrap_or(0), h * 3600 + m * 60 + s);
        }
    }
}
