//! The one key encoding.
//!
//! | space | key |
//! | --- | --- |
//! | region | 16 zero bytes, name |
//! | region | 16 zero bytes, `domain-name`, 0x00, tag: the domain of that name |
//! | domain, config | okmsId |
//! | header | okmsId, path |
//! | version, value | okmsId, path, 0x00, version (4 bytes, big-endian) |
//! | token | okmsId, 0x00, id: a token, or what is wrapped under one |
//! | token | okmsId, 0x01, end in seconds (8 bytes, big-endian), id: the order in which they end |
//! | token | okmsId, 0x02, id: the body of what is wrapped |
//!
//! A path has no NUL, so no secret's versions lie between another's. Headers sort by the bytes of their paths,
//! so a folder is one range and a cursor is a path.

use crate::domain::{OkmsId, SecretPath, Timestamp};

const VERSION_SEPARATOR: u8 = 0;

/// A record of the region itself; the nil id is no domain's.
#[must_use]
pub fn region(name: &str) -> Vec<u8> {
    [&[0; 16], name.as_bytes()].concat()
}

/// Which domain bears a name; `tag` stands for the name, which is nobody's business.
#[must_use]
pub fn domain_name(tag: &[u8; 16]) -> Vec<u8> {
    [&*region("domain-name"), &[0], tag].concat()
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
    // UTF-8 has no such byte.
    [id.as_bytes().as_slice(), &[0xff]].concat()
}

/// A token, or what is wrapped under one.
#[must_use]
pub fn token(id: OkmsId, token: &str) -> Vec<u8> {
    [id.as_bytes().as_slice(), &[0], token.as_bytes()].concat()
}

/// When a token ends.
#[must_use]
pub fn token_end(id: OkmsId, end: Timestamp, token: &str) -> Vec<u8> {
    [&*token_ends(id, end), token.as_bytes()].concat()
}

/// The least key of a token that ends at `end` or later.
#[must_use]
pub fn token_ends(id: OkmsId, end: Timestamp) -> Vec<u8> {
    let seconds = u64::try_from(end.unix_seconds()).unwrap_or_default();
    [id.as_bytes().as_slice(), &[1], &seconds.to_be_bytes()].concat()
}

/// The range of ends that come after the second of `now`, in their order, after the place of [`token_end_place`]: whatever bytes
/// that is, it is one of the domain's ends.
#[must_use]
pub fn token_ends_after(id: OkmsId, now: Timestamp, place: Option<&[u8]>) -> (Vec<u8>, Vec<u8>) {
    let prefix = [id.as_bytes().as_slice(), &[1]].concat();
    let from = place.map(|place| [&*prefix, place].concat()).unwrap_or_default();
    (from.max(token_ends(id, now.plus_seconds(1))), end_of_token_ends(id))
}

/// Where a key made by [`token_end`], or what follows one, is among the domain's ends.
#[must_use]
pub fn token_end_place(key: &[u8]) -> Option<&[u8]> {
    key.get(16 + 1..)
}

/// The least key greater than every key made by [`token_end`].
#[must_use]
pub fn end_of_token_ends(id: OkmsId) -> Vec<u8> {
    [id.as_bytes().as_slice(), &[2]].concat()
}

/// The token in a key made by [`token_end`].
#[must_use]
pub fn parse_token_end(key: &[u8]) -> Option<&str> {
    std::str::from_utf8(key.get(16 + 1 + 8..)?).ok()
}

/// The body of what is wrapped under a token.
#[must_use]
pub fn wrapped_body(id: OkmsId, token: &str) -> Vec<u8> {
    [id.as_bytes().as_slice(), &[2], token.as_bytes()].concat()
}

/// What begins with `prefix`, of the headers whose paths begin so: the least key, and the least one that is greater
/// than all of them.
#[must_use]
pub fn headers_below(id: OkmsId, prefix: &str) -> (Vec<u8>, Vec<u8>) {
    let from = [id.as_bytes(), prefix.as_bytes()].concat();
    // Not a path's byte, and greater than all that are.
    let to = [&*from, &[0xff]].concat();
    (from, to)
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
        "[a-z0-9_.:=@ é-]{1,6}(/[a-z0-9_:=@ é-]{1,6}){0,3}".prop_filter_map("a path", |text| text.parse().ok())
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
        fn tokens_sort_by_their_ends(a in 0i64..=i64::MAX / 2_000_000_000, b in 0i64..=i64::MAX / 2_000_000_000) {
            let (one, two) = (Timestamp::from_unix_seconds(a), Timestamp::from_unix_seconds(b));
            let key = token_end(id(7), one, "x");
            prop_assert_eq!(parse_token_end(&key), Some("x"));
            prop_assert_eq!(key < token_ends(id(7), two), a < b);
            let (from, to) = token_ends_after(id(7), two, None);
            prop_assert_eq!((from..to).contains(&key), a > b);
            let after = [&*key, &[0]].concat();
            let (from, to) = token_ends_after(id(7), Timestamp::from_unix_seconds(-1), token_end_place(&after));
            prop_assert!(from == after && to == token(id(7), "").into_iter().take(16).chain([2]).collect::<Vec<_>>());
            let (from, _) = token_ends_after(id(7), two, token_end_place(&after));
            prop_assert!(from >= token_ends(id(7), two));
            prop_assert!(token(id(7), "x") < key && key < wrapped_body(id(7), "x"));
        }

        #[test]
        fn a_folder_is_a_range(a in path(), b in path()) {
            let (from, to) = headers_below(id(7), &format!("{a}/"));
            let inside = b.as_str().starts_with(&format!("{a}/"));
            prop_assert_eq!((from..to).contains(&header(id(7), &b)), inside);
        }

        #[test]
        fn headers_sort_by_path_within_the_domain(a in path(), b in path()) {
            prop_assert_eq!(header(id(7), &a) < header(id(7), &b), a < b);
            prop_assert!(header(id(7), &a) < end_of_domain(id(7)) && end_of_domain(id(7)) < header(id(8), &b));
            prop_assert_eq!(after_header(id(7), &a) <= header(id(7), &b), a < b);
        }
    }
}
