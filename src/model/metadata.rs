//! A secret's custom metadata: a small map of text.

use std::collections::BTreeMap;

use super::{Invalid, Refused, text};

/// The most entries.
pub const METADATA_ENTRIES_MAX: usize = 64;
/// The longest key, in bytes.
pub const METADATA_KEY_MAX: usize = 128;
/// The longest value, in bytes.
pub const METADATA_VALUE_MAX: usize = 512;

/// Custom metadata: at most 64 entries of bounded text.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct CustomMetadata(BTreeMap<String, String>);

impl CustomMetadata {
    /// The entries, in the order of their keys.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// How many entries there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The map of these entries.
    ///
    /// # Errors
    /// `Refused` where there are too many, or one breaks the rules for its text.
    pub fn from_entries(
        entries: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, Refused> {
        let map: BTreeMap<_, _> = entries.into_iter().collect();
        for (key, value) in &map {
            check_key(key)?;
            check_value(value)?;
        }
        Self(map).check_bounds()
    }

    fn check_bounds(self) -> Result<Self, Refused> {
        if self.0.len() > METADATA_ENTRIES_MAX {
            Err(Refused::TooManyEntries(self.0.len()))
        } else {
            Ok(self)
        }
    }
}

impl std::fmt::Debug for CustomMetadata {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CustomMetadata({} entries)", self.0.len())
    }
}

/// Changes to custom metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CustomPatch {
    /// By the rules of a merge patch: entries are added or replaced, `None` removes. No entries:
    /// nothing changes.
    Merge(BTreeMap<String, Option<String>>),
    /// These entries, and no others.
    Replace(BTreeMap<String, String>),
}

impl CustomPatch {
    /// Whether nothing would change, whatever there is.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        matches!(self, Self::Merge(entries) if entries.is_empty())
    }

    /// `metadata` with the changes made.
    ///
    /// # Errors
    /// `Refused` where the result would break a rule.
    pub fn apply(&self, metadata: &CustomMetadata) -> Result<CustomMetadata, Refused> {
        let changes = match self {
            Self::Replace(entries) => return CustomMetadata::from_entries(entries.clone()),
            Self::Merge(changes) => changes,
        };
        let mut map = metadata.0.clone();
        for (key, value) in changes {
            match value {
                None => {
                    map.remove(key);
                }
                Some(value) => {
                    check_key(key)?;
                    check_value(value)?;
                    map.insert(key.clone(), value.clone());
                }
            }
        }
        CustomMetadata(map).check_bounds()
    }

    /// The patch, if the published alphabet has all of its text.
    ///
    /// # Errors
    /// `Invalid` for any other text, which [`CustomMetadata`] takes all the same.
    pub fn check_published(self) -> Result<Self, Invalid> {
        let plain = match &self {
            Self::Merge(entries) => entries.iter().all(|(key, value)| {
                text::is_plain(key) && value.as_deref().is_none_or(text::is_plain)
            }),
            Self::Replace(entries) => {
                entries.iter().all(|(key, value)| text::is_plain(key) && text::is_plain(value))
            }
        };
        if plain {
            Ok(self)
        } else {
            Err(Invalid("customMetadata has letters, digits and _ . : / = @ % - only"))
        }
    }
}

/// Whether an entry has the text that it may; `None` is one that is removed.
///
/// # Errors
/// `Invalid` where it is too long, or not printable.
pub fn check_entry(key: &str, value: Option<&str>) -> Result<(), Invalid> {
    value.map_or(Ok(()), |value| check_key(key).and_then(|()| check_value(value)))
}

fn check_key(key: &str) -> Result<(), Invalid> {
    if key.is_empty() || key.len() > METADATA_KEY_MAX || !text::is_printable(key) {
        return Err(Invalid("a key of customMetadata has 1 to 128 bytes of printable text"));
    }
    Ok(())
}

fn check_value(value: &str) -> Result<(), Invalid> {
    if value.is_empty() || value.len() > METADATA_VALUE_MAX || !text::is_printable(value) {
        return Err(Invalid("a value of customMetadata has 1 to 512 bytes of printable text"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merge(entries: &[(&str, Option<&str>)]) -> CustomPatch {
        CustomPatch::Merge(
            entries.iter().map(|(k, v)| ((*k).to_owned(), v.map(str::to_owned))).collect(),
        )
    }

    #[test]
    fn merges_like_a_patch() {
        let before =
            merge(&[("a", Some("1")), ("b", Some("2"))]).apply(&CustomMetadata::default()).unwrap();
        assert_eq!(merge(&[]).apply(&before).unwrap(), before);
        let after =
            merge(&[("a", None), ("b", Some("3")), ("c", Some("4"))]).apply(&before).unwrap();
        assert_eq!(after.iter().collect::<Vec<_>>(), [("b", "3"), ("c", "4")]);
        let replaced =
            CustomPatch::Replace([("d".to_owned(), "5".to_owned())].into()).apply(&after).unwrap();
        assert_eq!(replaced.iter().collect::<Vec<_>>(), [("d", "5")]);
        assert!(!CustomPatch::Replace(BTreeMap::new()).is_empty() && merge(&[]).is_empty());
    }

    #[test]
    fn limits_hold_for_the_merged_map() {
        let full: BTreeMap<_, _> = (0..64).map(|n| (n.to_string(), Some("x".to_owned()))).collect();
        let full = CustomPatch::Merge(full).apply(&CustomMetadata::default()).unwrap();
        assert_eq!(full.len(), METADATA_ENTRIES_MAX);
        assert!(merge(&[("more", Some("x"))]).apply(&full).is_err());
        assert!(merge(&[("more", Some("x")), ("0", None)]).apply(&full).is_ok());
        let long = "x".repeat(513);
        for wrong in [
            ("", "x"),
            ("k", ""),
            ("k", long.as_str()),
            (&long[..129], "x"),
            ("k", "a\tb"),
            ("k\0", "x"),
        ] {
            assert!(merge(&[(wrong.0, Some(wrong.1))]).apply(&CustomMetadata::default()).is_err());
        }
        assert!(
            merge(&[(&long[..128], Some(&long[..512]))]).apply(&CustomMetadata::default()).is_ok()
        );
    }

    #[test]
    fn the_published_alphabet() {
        assert!(merge(&[("a_.:/=@%-", Some("a_.:/=@%-")), ("b", None)]).check_published().is_ok());
        for wrong in [("k", "a b"), ("ké", "x")] {
            let patch = merge(&[(wrong.0, Some(wrong.1))]);
            assert!(patch.apply(&CustomMetadata::default()).is_ok());
            assert!(patch.check_published().is_err());
        }
    }
}
