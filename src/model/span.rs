//! Spans of time as people type them, and as they are understood: `90d`, `48h`, `1d12h`.
//!
//! Always holds: a span is of whole seconds, and its text says the same. Never does: say how long a
//! span may be, which is for whoever asks for one.

use std::str::FromStr;

use super::{
    Invalid,
    duration::{self, NANOS_PER_SECOND},
};

/// A span of time: the text that was typed, which answers repeat, and the seconds that it means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    text: Box<str>,
    seconds: u64,
}

impl Span {
    /// A span that is known to the program.
    pub(super) fn known(text: &str, seconds: u64) -> Self {
        Self { text: text.into(), seconds }
    }

    /// The text as it was typed.
    #[must_use]
    pub fn as_typed(&self) -> &str {
        &self.text
    }

    /// The seconds.
    #[must_use]
    pub const fn seconds(&self) -> u64 {
        self.seconds
    }
}

impl FromStr for Span {
    type Err = Invalid;

    /// Go's duration text with days (`90d`, `1d12h`, `30m`), or bare seconds; of whole seconds.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        let (nanos, seconds) = duration::parse(text)?;
        if nanos % NANOS_PER_SECOND > 0 {
            return Err(Invalid("a duration here has whole seconds, such as 90s, 30m or 90d"));
        }
        Ok(Self { text: text.into(), seconds })
    }
}

/// Several spans, as they are typed: `7d,1d`. None at all is empty text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spans {
    text: Box<str>,
    spans: Vec<u64>,
}

/// The most spans in one list.
const SPANS_MAX: usize = 8;

impl Spans {
    /// The text as it was typed.
    #[must_use]
    pub fn as_typed(&self) -> &str {
        &self.text
    }

    /// The seconds of each.
    pub fn seconds(&self) -> impl Iterator<Item = u64> {
        self.spans.iter().copied()
    }

    /// Those that are shorter than so many seconds.
    pub(super) fn below(self, seconds: u64) -> Self {
        if self.spans.iter().all(|span| *span < seconds) {
            return self;
        }
        let kept = self.text.split(',').zip(self.spans).filter(|(_, span)| *span < seconds);
        let (texts, spans): (Vec<_>, Vec<_>) = kept.unzip();
        Self { text: texts.join(",").into(), spans }
    }
}

impl FromStr for Spans {
    type Err = Invalid;

    /// Spans with commas between them, and blanks around.
    fn from_str(text: &str) -> Result<Self, Invalid> {
        if text.trim().is_empty() {
            return Ok(Self::default());
        }
        if text.split(',').count() > SPANS_MAX {
            return Err(Invalid("a list of durations, such as 7d,1d, has at most 8 of them"));
        }
        let spans: Result<Vec<Span>, _> = text.split(',').map(|span| span.trim().parse()).collect();
        let spans = spans?.iter().map(Span::seconds).collect();
        Ok(Self { text: text.into(), spans })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_they_are_typed() {
        for (text, seconds) in [
            ("90d", 7_776_000),
            ("48h", 172_800),
            ("30m", 1_800),
            ("0s", 0),
            ("1d12h", 129_600),
            ("1.5h", 5_400),
            ("90", 90),
        ] {
            let span: Span = text.parse().unwrap();
            assert_eq!((span.as_typed(), span.seconds()), (text, seconds));
        }
        for wrong in ["", "90 days", "-1h", "1w", "500ms", "1.5s", "soon", " 1h", "1h "] {
            assert!(wrong.parse::<Span>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn lists() {
        let list: Spans = "7d, 1d".parse().unwrap();
        assert_eq!(list.as_typed(), "7d, 1d");
        assert_eq!(list.seconds().collect::<Vec<_>>(), [604_800, 86_400]);
        let shorter = list.clone().below(604_800);
        assert_eq!(
            (shorter.as_typed().trim(), shorter.seconds().collect::<Vec<_>>()),
            ("1d", vec![86_400])
        );
        assert_eq!(list.clone().below(604_801), list);
        assert_eq!(list.below(60), Spans::default());
        assert_eq!("".parse::<Spans>(), Ok(Spans::default()));
        for wrong in [",", "7d,", "7d;1d", "7d,x", &["1d"; 9].join(",")] {
            assert!(wrong.parse::<Spans>().is_err(), "{wrong}");
        }
    }
}
