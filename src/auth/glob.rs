//! Patterns in which `*` stands for any text, none included; everything else is what it is, byte for
//! byte.
//!
//! Always holds: whether a text fits costs what both are long.

/// A pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Glob(Box<str>);

impl Glob {
    pub(super) fn new(pattern: &str) -> Self {
        Self(pattern.into())
    }

    /// Whether `text` fits.
    pub(super) fn fits(&self, text: &str) -> bool {
        let mut pieces = self.0.split('*');
        let first = pieces.next().unwrap_or_default();
        let Some(mut rest) = text.strip_prefix(first) else { return false };
        let Some(last) = pieces.next_back() else { return rest.is_empty() };
        // The earliest place is as good as any: what comes behind has the most room.
        for piece in pieces {
            let Some((_, behind)) = rest.split_once(piece) else { return false };
            rest = behind;
        }
        rest.ends_with(last)
    }

    /// The texts between its stars.
    pub(super) fn pieces(&self) -> impl Iterator<Item = &str> {
        self.0.split('*')
    }

    /// The text that it is, if there is no star in it.
    pub(super) fn as_text(&self) -> Option<&str> {
        (!self.0.contains('*')).then_some(&*self.0)
    }

    /// What comes before its only star, if that stands at the end.
    pub(super) fn as_prefix(&self) -> Option<&str> {
        self.0.strip_suffix('*').filter(|head| !head.contains('*'))
    }

    /// What comes before its first star.
    pub(super) fn head(&self) -> &str {
        self.0.split('*').next().unwrap_or_default()
    }

    /// Whether every text that begins with `prefix` fits.
    pub(super) fn covers(&self, prefix: &str) -> bool {
        self.0.ends_with('*') && self.fits(prefix)
    }

    /// Whether some text that begins with `prefix` may fit; that none does is never said of one
    /// that could.
    pub(super) fn meets(&self, prefix: &str) -> bool {
        match self.as_text() {
            Some(text) => text.starts_with(prefix),
            None => self.head().starts_with(prefix) || prefix.starts_with(self.head()),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The same in the most naive way.
    fn naive(pattern: &[u8], text: &[u8]) -> bool {
        match (pattern, text) {
            ([], []) => true,
            ([b'*', rest @ ..], _) => (0..=text.len()).any(|at| naive(rest, &text[at..])),
            ([one, rest @ ..], [other, text @ ..]) => one == other && naive(rest, text),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn it_fits_as_the_naive_one_says(pattern in "[ab*]{0,6}", text in "[ab]{0,7}", prefix in "[ab]{0,3}") {
            let glob = Glob::new(&pattern);
            let fits = naive(pattern.as_bytes(), text.as_bytes());
            prop_assert_eq!(glob.fits(&text), fits);
            if text.starts_with(&prefix) {
                prop_assert!(!fits || glob.meets(&prefix));
                prop_assert!(fits || !glob.covers(&prefix));
            }
        }
    }
}
