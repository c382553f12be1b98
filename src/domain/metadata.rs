//! A secret's custom metadata: a small map of text.

use std::collections::BTreeMap;

use super::Invalid;

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
    /// `Invalid` where there are too many, or one breaks the rules for its text.
    pub fn from_entries(entries: impl IntoIterator<Item = (String, String)>) -> Result<Self, Invalid> {
        let map: BTreeMap<_, _> = entries.into_iter().collect();
        for (key, value) in &map {
            check_key(key)?;
            check_value(value)?;
        }
        Self(map).bounded()
    }

    fn bounded(self) -> Result<Self, Invalid> {
        if self.0.len() > METADATA_ENTRIES_MAX {
            return Err(Invalid("customMetadata can hold at most 64 entries; remove some first"));
        }
        Ok(self)
    }
}

impl std::fmt::Debug for CustomMetadata {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "CustomMetadata({} entries)", self.0.len())
    }
}

/// Changes to custom metadata, by the rules of a merge patch: entries are added or replaced, `None` removes. No
/// entries: nothing changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomPatch(pub BTreeMap<String, Option<String>>);

impl CustomPatch {
    /// Whether nothing would change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// `metadata` with the changes made.
    ///
    /// # Errors
    /// `Invalid` where the result would break a rule.
    pub fn apply(&self, metadata: &CustomMetadata) -> Result<CustomMetadata, Invalid> {
        let mut map = metadata.0.clone();
        for (key, value) in &self.0 {
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
        CustomMetadata(map).bounded()
    }
}

/// The published alphabet of metadata text.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_.:/=@%-".contains(&byte))
}

fn check_key(key: &str) -> Result<(), Invalid> {
    if key.is_empty() || key.len() > METADATA_KEY_MAX || !is_plain(key) {
        return Err(Invalid("a key of customMetadata has 1 to 128 letters, digits or _ . : / = @ % -"));
    }
    Ok(())
}

fn check_value(value: &str) -> Result<(), Invalid> {
    if value.is_empty() || value.len() > METADATA_VALUE_MAX || !is_plain(value) {
        return Err(Invalid("a value of customMetadata is text of 1 to 512 letters, digits or _ . : / = @ % -"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merge(entries: &[(&str, Option<&str>)]) -> CustomPatch {
        CustomPatch(entries.iter().map(|(k, v)| ((*k).to_owned(), v.map(str::to_owned))).collect())
    }

    #[test]
    fn merges_like_a_patch() {
        let before = merge(&[("a", Some("1")), ("b", Some("2"))]).apply(&CustomMetadata::default()).unwrap();
        assert_eq!(merge(&[]).apply(&before).unwrap(), before);
        let after = merge(&[("a", None), ("b", Some("3")), ("c", Some("4"))]).apply(&before).unwrap();
        assert_eq!(after.iter().collect::<Vec<_>>(), [("b", "3"), ("c", "4")]);
    }

    #[test]
    fn limits_hold_for_the_merged_map() {
        let full: BTreeMap<_, _> = (0..64).map(|n| (n.to_string(), Some("x".to_owned()))).collect();
        let full = CustomPatch(full).apply(&CustomMetadata::default()).unwrap();
        assert_eq!(full.len(), METADATA_ENTRIES_MAX);
        assert!(merge(&[("more", Some("x"))]).apply(&full).is_err());
        assert!(merge(&[("more", Some("x")), ("0", None)]).apply(&full).is_ok());
        let long = "x".repeat(513);
        for wrong in [("", "x"), ("k", ""), ("k", long.as_str()), (&long[..129], "x"), ("k", "a b"), ("ké", "x")] {
            assert!(merge(&[(wrong.0, Some(wrong.1))]).apply(&CustomMetadata::default()).is_err());
        }
        assert!(merge(&[(&long[..128], Some(&long[..512]))]).apply(&CustomMetadata::default()).is_ok());
    }
}
