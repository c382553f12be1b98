//! Many patterns for paths, asked at once.
//!
//! Always holds: a question costs what the path is long, and not how many patterns there are, but
//! for those with a star before their end: each of these is tried.

use std::collections::HashMap;

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
#[derive(Clone, Debug, Default)]
pub(super) struct Patterns {
    exact: HashMap<Box<str>, u32>,
    /// What fits begins so. In order, and none begins with another one.
    prefixes: Vec<(Box<str>, u32)>,
    others: Vec<(Glob, u32)>,
}

impl<'a> FromIterator<(&'a Glob, u32)> for Patterns {
    fn from_iter<I: IntoIterator<Item = (&'a Glob, u32)>>(patterns: I) -> Self {
        let mut all = Self::default();
        for (glob, whose) in patterns {
            match (glob.as_text(), glob.as_prefix()) {
                (Some(text), _) => drop(all.exact.insert(text.into(), whose)),
                (_, Some(prefix)) => all.prefixes.push((prefix.into(), whose)),
                _ => all.others.push((glob.clone(), whose)),
            }
        }
        all.prefixes.sort();
        all.prefixes.dedup_by(|next, kept| next.0.starts_with(&*kept.0));
        all
    }
}

impl Patterns {
    /// Whose pattern `path` fits, if it fits one.
    pub(super) fn find(&self, path: &str) -> Option<u32> {
        let prefix = || {
            // None begins with another one: only the last that is not greater can be it.
            let at = self.prefixes.partition_point(|(prefix, _)| &**prefix <= path);
            let (prefix, whose) = self.prefixes.get(at.checked_sub(1)?)?;
            path.starts_with(&**prefix).then_some(*whose)
        };
        let other =
            || self.others.iter().find(|(glob, _)| glob.fits(path)).map(|(_, whose)| *whose);
        self.exact.get(path).copied().or_else(prefix).or_else(other)
    }

    /// How many of the paths that begin with `prefix` fit.
    pub(super) fn extent(&self, prefix: &str) -> Extent {
        let starts = |(known, _): &(Box<str>, u32)| prefix.starts_with(&**known);
        if self.prefixes.iter().any(starts)
            || self.others.iter().any(|(glob, _)| glob.covers(prefix))
        {
            return Extent::Everything;
        }
        let meets = self.exact.keys().any(|text| text.starts_with(prefix))
            || self.prefixes.iter().any(|(known, _)| known.starts_with(prefix))
            || self.others.iter().any(|(glob, _)| glob.meets(prefix));
        if meets { Extent::Some } else { Extent::Nothing }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn together_they_say_what_each_says(
            patterns in proptest::collection::vec("[ab*]{0,4}", 0..8),
            path in "[ab]{0,5}",
            prefix in "[ab]{0,3}",
        ) {
            let globs: Vec<_> = patterns.iter().map(|text| Glob::new(text)).collect();
            let set: Patterns = globs.iter().zip(0..).collect();
            let fits = globs.iter().any(|glob| glob.fits(&path));
            prop_assert_eq!(set.find(&path).is_some(), fits);
            if let Some(whose) = set.find(&path) {
                prop_assert!(globs[whose as usize].fits(&path));
            }
            if path.starts_with(&prefix) {
                match set.extent(&prefix) {
                    Extent::Nothing => prop_assert!(!fits),
                    Extent::Everything => prop_assert!(fits),
                    Extent::Some => {}
                }
            }
        }
    }
}
