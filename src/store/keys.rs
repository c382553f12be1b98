//! The one key encoding.
//!
//! | space | key |
//! | --- | --- |
//! | region | 16 zero bytes, name |
//! | domain, config | okmsId |
//! | header | okmsId, path |
//! | version, value | okmsId, path, 0x00, version (4 bytes, big-endian) |
//!
//! A path has no NUL, so no secret's versions lie between another's. Headers sort by the bytes of their paths,
//! so a folder is one range and a cursor is a path.

use crate::domain::{OkmsId, SecretPath};

const VERSION_SEPARATOR: u8 = 0;

/// A record of the region itself; the nil id is no domain's.
#[must_use]
pub fn region(name: &str) -> Vec<u8> {
    [&[0; 16], name.as_bytes()].concat()
}

/// A domain, or its defaults.
#[must_use]
pub fn domain(id: OkmsId) -> Vec<u8> {
    id.as_bytes().to_vec()
}

/// The id in a key made by [`domain`].
#[must_use]
pub fn parse_domain(key: &[u8]) -> Option<OkmsId> {
    OkmsId::from_bytes(key.try_into().ok()?).ok()
}

/// A secret's header.
#[must_use]
pub fn header(id: OkmsId, path: &SecretPath) -> Vec<u8> {
    [id.as_bytes(), path.as_str().as_bytes()].concat()
}

/// The path in a key made by [`header`].
#[must_use]
pub fn parse_header(id: OkmsId, key: &[u8]) -> Option<SecretPath> {
    std::str::from_utf8(key.strip_prefix(id.as_bytes().as_slice())?).ok()?.parse().ok()
}

/// A version, or its value.
#[must_use]
pub fn version(id: OkmsId, path: &SecretPath, number: u32) -> Vec<u8> {
    [id.as_bytes(), path.as_str().as_bytes(), &[VERSION_SEPARATOR], &number.to_be_bytes()].concat()
}

/// The number in a key made by [`version`].
#[must_use]
pub fn parse_version(key: &[u8]) -> Option<u32> {
    let (_, number) = key.split_last_chunk::<4>()?;
    Some(u32::from_be_bytes(*number))
}

/// The least key greater than every key that begins with the id.
#[must_use]
pub fn end_of_domain(id: OkmsId) -> Vec<u8> {
    // A path has no byte above 0x7e.
    [id.as_bytes().as_slice(), &[0xff]].concat()
}

/// The range of headers after `path`: the least key greater than its own.
#[must_use]
pub fn after_header(id: OkmsId, path: &SecretPath) -> Vec<u8> {
    let mut key = header(id, path);
    key.push(0);
    key
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(byte: u8) -> OkmsId {
        OkmsId::from_bytes([byte; 16]).unwrap()
    }

    fn path() -> impl Strategy<Value = SecretPath> {
        "[a-z0-9_.:=@-]{1,6}(/[a-z0-9_:=@-]{1,6}){0,3}".prop_filter_map("a path", |text| text.parse().ok())
    }

    proptest! {
        #[test]
        fn round_trips(path in path(), number in 1u32..=24_000) {
            prop_assert_eq!(parse_header(id(7), &header(id(7), &path)), Some(path.clone()));
            prop_assert_eq!(parse_header(id(8), &header(id(7), &path)), None);
            prop_assert_eq!(parse_version(&version(id(7), &path, number)), Some(number));
            prop_assert_eq!(parse_domain(&domain(id(9))), Some(id(9)));
        }

        /// The versions of a secret are one range, in the order of their numbers, that no other secret enters.
        #[test]
        fn versions_keep_together(a in path(), b in path(), n in 0u32..=24_000, m in 0u32..=24_000) {
            prop_assume!(a != b);
            let range = version(id(7), &a, 0)..=version(id(7), &a, u32::MAX);
            prop_assert!(!range.contains(&version(id(7), &b, n)));
            prop_assert_eq!(version(id(7), &a, n) < version(id(7), &a, m), n < m);
        }

        #[test]
        fn headers_sort_by_path_within_the_domain(a in path(), b in path()) {
            prop_assert_eq!(header(id(7), &a) < header(id(7), &b), a < b);
            prop_assert!(header(id(7), &a) < end_of_domain(id(7)) && end_of_domain(id(7)) < header(id(8), &b));
            prop_assert_eq!(after_header(id(7), &a) <= header(id(7), &b), a < b);
        }
    }
}
