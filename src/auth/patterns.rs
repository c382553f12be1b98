//! Many patterns, asked at once.
//!
//! Always holds: a question costs what the text is long and how many patterns it fits, and not how
//! many there are, but for those with a star before their end: each of these is looked at, and tried
//! where the text has the letters that it asks for.

use super::glob::Glob;

/// How much of what lies below a prefix something is said of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// Of nothing.
    Nothing,
    /// Of some of it, or nobody knows.
    Some,
    /// Of everything.
    Everything,
}

impl Extent {
    /// Of how much one or the other is said.
    #[must_use]
    pub(super) fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Everything, _) | (_, Self::Everything) => Self::Everything,
            (Self::Nothing, Self::Nothing) => Self::Nothing,
            _ => Self::Some,
        }
    }

    /// Of how much it is said, where there is more.
    #[must_use]
    pub(super) const fn as_part(self) -> Self {
        match self {
            Self::Nothing => Self::Nothing,
            Self::Some | Self::Everything => Self::Some,
        }
    }
}

/// What is said of one thing. Of two that speak the greater one counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Verdict {
    /// Nothing, so that it is not allowed.
    #[default]
    Silent,
    /// It is allowed, unless somebody denies it.
    Allowed,
    /// It is denied, whatever others say.
    Denied,
}

/// A set of patterns, each with a number: whose it is.
#[derive(Debug, Default)]
pub(super) struct Patterns {
    /// Texts, and what begins with one; in order, what begins so before the text alone.
    known: Vec<Known>,
    others: Vec<Other>,
}

/// One with a star before its end.
#[derive(Debug)]
struct Other {
    pairs: Pairs,
    glob: Glob,
    whose: u32,
}

#[derive(Debug)]
struct Known {
    text: Box<str>,
    /// Nothing may follow.
    is_whole: bool,
    whose: u32,
    /// The place after the nearest one before that it begins with and that something may follow;
    /// 0 where there is none.
    above: u32,
}

impl<'a> FromIterator<(&'a Glob, u32)> for Patterns {
    fn from_iter<I: IntoIterator<Item = (&'a Glob, u32)>>(patterns: I) -> Self {
        let mut all = Self::default();
        for (glob, whose) in patterns {
            match (glob.as_text(), glob.as_prefix()) {
                (Some(text), _) => all.known.push(Known::new(text, true, whose)),
                (_, Some(text)) => all.known.push(Known::new(text, false, whose)),
                _ => {
                    let pairs = Pairs::of_all(glob.pieces());
                    all.others.push(Other { pairs, glob: glob.clone(), whose });
                }
            }
        }
        let order = |known: &Known| (known.is_whole, known.whose);
        all.known
            .sort_unstable_by(|a, b| a.text.cmp(&b.text).then_with(|| order(a).cmp(&order(b))));
        let mut open: Vec<(u32, &str)> = Vec::new();
        let mut above = Vec::with_capacity(all.known.len());
        for (place, known) in (1..).zip(&all.known) {
            while open.pop_if(|(_, text)| !known.text.starts_with(*text)).is_some() {}
            above.push(open.last().map_or(0, |(place, _)| *place));
            if !known.is_whole {
                open.push((place, &known.text));
            }
        }
        all.known.iter_mut().zip(above).for_each(|(known, above)| known.above = above);
        all
    }
}

impl Known {
    fn new(text: &str, is_whole: bool, whose: u32) -> Self {
        Self { text: text.into(), is_whole, whose, above: 0 }
    }
}

impl Patterns {
    /// Whether there are none.
    pub(super) const fn is_empty(&self) -> bool {
        self.known.is_empty() && self.others.is_empty()
    }

    /// Whose patterns a text fits. One may be told twice.
    pub(super) fn fitting<'a>(&'a self, text: &'a str) -> impl Iterator<Item = u32> + 'a {
        let has = if self.others.is_empty() { Pairs::default() } else { Pairs::of(text) };
        let may_fit = move |other: &&Other| has.has_all(other.pairs);
        let others = self.others.iter().filter(may_fit).filter(|other| other.glob.fits(text));
        self.whole(text)
            .chain(self.begun(text))
            .map(|known| known.whose)
            .chain(others.map(|other| other.whose))
    }

    /// Whose patterns every text fits that begins with `prefix`.
    pub(super) fn covering<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = u32> + 'a {
        let others = self.others.iter().filter(|other| other.glob.covers(prefix));
        self.begun(prefix).map(|known| known.whose).chain(others.map(|other| other.whose))
    }

    /// Whose patterns some text may fit that begins with `prefix`; that none does is never said of
    /// one that could.
    pub(super) fn meeting<'a>(&'a self, prefix: &'a str) -> impl Iterator<Item = u32> + 'a {
        let from = self.known.partition_point(|known| *known.text < *prefix);
        let below = self.known.get(from..).unwrap_or_default().iter();
        let below = below.take_while(move |known| known.text.starts_with(prefix));
        let others = self.others.iter().filter(move |other| other.glob.meets(prefix));
        below
            .chain(self.begun(prefix))
            .map(|known| known.whose)
            .chain(others.map(|other| other.whose))
    }

    /// Those that are this text.
    fn whole<'a>(&'a self, text: &'a str) -> impl Iterator<Item = &'a Known> + 'a {
        let from =
            self.known.partition_point(|known| (&*known.text, known.is_whole) < (text, true));
        let rest = self.known.get(from..).unwrap_or_default().iter();
        rest.take_while(move |known| *known.text == *text)
    }

    /// Those that a text begins with and that something may follow.
    fn begun<'a>(&'a self, text: &'a str) -> impl Iterator<Item = &'a Known> + 'a {
        // Whatever of them there is, the last one that is not behind the text begins with it, too.
        let behind = self.known.partition_point(|known| *known.text <= *text);
        let last = self.at(u32::try_from(behind).unwrap_or_default());
        let same = last.map_or(0, |last| {
            last.text.bytes().zip(text.bytes()).take_while(|(one, other)| one == other).count()
        });
        let line = std::iter::successors(last, |known| self.at(known.above));
        line.filter(move |known| !known.is_whole && known.text.len() <= same)
    }

    /// The one before a place; none before the first.
    fn at(&self, place: u32) -> Option<&Known> {
        self.known.get(usize::try_from(place).ok()?.checked_sub(1)?)
    }
}

/// Which pairs of neighbouring letters there are, each as one of 64 marks: a text that lacks a mark
/// of a pattern's does not fit it.
#[derive(Clone, Copy, Debug, Default)]
struct Pairs(u64);

impl Pairs {
    fn of(text: &str) -> Self {
        let bytes = text.bytes();
        let pairs = bytes.clone().zip(bytes.skip(1));
        Self(pairs.fold(0, |all, (one, next)| all | 1 << mark(one, next)))
    }

    fn of_all<'a>(texts: impl Iterator<Item = &'a str>) -> Self {
        Self(texts.fold(0, |all, text| all | Self::of(text).0))
    }

    const fn has_all(self, others: Self) -> bool {
        others.0 & !self.0 == 0
    }
}

/// One of 64, for two letters: neighbours in the alphabet are apart.
const fn mark(one: u8, next: u8) -> u16 {
    u16::from_be_bytes([one, next]).wrapping_mul(0x9e37) >> 10
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn together_they_say_what_each_says(
            patterns in proptest::collection::vec("[ab*]{0,4}", 0..12),
            text in "[ab]{0,5}",
            prefix in "[ab]{0,3}",
        ) {
            let globs: Vec<_> = patterns.iter().map(|text| Glob::new(text)).collect();
            let set: Patterns = globs.iter().zip(0..).collect();
            let each = |says: &dyn Fn(&Glob) -> bool| -> BTreeSet<u32> {
                (0..).zip(&globs).filter(|(_, glob)| says(glob)).map(|(whose, _)| whose).collect()
            };
            prop_assert_eq!(set.is_empty(), globs.is_empty());
            prop_assert_eq!(set.fitting(&text).collect::<BTreeSet<_>>(), each(&|glob| glob.fits(&text)));
            prop_assert_eq!(set.covering(&prefix).collect::<BTreeSet<_>>(), each(&|glob| glob.covers(&prefix)));
            prop_assert_eq!(set.meeting(&prefix).collect::<BTreeSet<_>>(), each(&|glob| glob.meets(&prefix)));
        }
    }
}
