//! Secrets: one header each. The key is the tenant's id and the path.
//!
//! Headers sort by the bytes of their paths, so that a folder is one range and a cursor is a path.

use std::collections::BTreeMap;

use minicbor::{Decode, Encode};

use super::{
    kind::{self, Kind, Malformed},
    settings,
};
use crate::{
    model::{CustomMetadata, Header, OkmsId, SecretPath, Timestamp, VersionNumber},
    store::engine::{Cut, Space},
};

/// Where these records are.
pub const SPACE: Space = Space::new("header");

/// The header of the secret at `path`.
#[must_use]
pub fn key(id: OkmsId, path: &SecretPath) -> Vec<u8> {
    [id.as_bytes(), path.as_str().as_bytes()].concat()
}

/// The path in a key made by [`key`].
#[must_use]
pub fn parse(id: OkmsId, key: &[u8]) -> Option<SecretPath> {
    text(id, key)?.parse().ok()
}

/// The least key of the tenant's headers.
#[must_use]
pub fn first(id: OkmsId) -> Vec<u8> {
    id.as_bytes().to_vec()
}

/// The least key greater than every key that begins with the id.
#[must_use]
pub fn end(id: OkmsId) -> Vec<u8> {
    // UTF-8 has no such byte.
    [id.as_bytes().as_slice(), &[0xff]].concat()
}

/// What begins with `prefix`, of the headers whose paths begin so: the least key, and the least one
/// that is greater than all of them.
#[must_use]
pub fn below(id: OkmsId, prefix: &str) -> (Vec<u8>, Vec<u8>) {
    let from = [id.as_bytes(), prefix.as_bytes()].concat();
    // Not a path's byte, and greater than all that are.
    let to = [&*from, &[0xff]].concat();
    (from, to)
}

/// Cuts the key of a header, whose path begins with `prefix`, behind the name of the folder that it
/// is in below that.
#[must_use]
pub fn folders(id: OkmsId, prefix: &str) -> Cut {
    Cut { behind: id.as_bytes().len() + prefix.len(), separator: b'/' }
}

/// The least key behind that of a header, or behind all in a folder where the key was cut.
#[must_use]
pub fn behind(key: &[u8]) -> Vec<u8> {
    match key.split_last() {
        Some((b'/', folder)) => [folder, b"/\xff"].concat(),
        _ => [key, &[0]].concat(),
    }
}

/// What begins with the path in a key, cut or not: the path, with a slash at a folder's end.
#[must_use]
pub fn text(id: OkmsId, key: &[u8]) -> Option<&str> {
    std::str::from_utf8(key.strip_prefix(id.as_bytes().as_slice())?).ok()
}

/// The range of headers after `path`: the least key greater than its own.
#[must_use]
pub fn after(id: OkmsId, path: &SecretPath) -> Vec<u8> {
    let mut key = key(id, path);
    key.push(0);
    key
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Fields<'a> {
    #[n(0)]
    created_at: i64,
    #[n(1)]
    updated_at: i64,
    #[n(2)]
    current: u32,
    #[n(3)]
    oldest: u32,
    #[b(4)]
    settings: settings::Fields<'a>,
    #[b(5)]
    custom: BTreeMap<&'a str, &'a str>,
    #[n(6)]
    metadata_version: u32,
    #[n(7)]
    #[cbor(default)]
    bytes: u64,
}

impl Kind for Header {
    const SPACE: Space = SPACE;
    type Name<'a> = &'a SecretPath;

    fn key(id: OkmsId, path: &SecretPath) -> Vec<u8> {
        key(id, path)
    }

    fn encode(&self) -> Result<Vec<u8>, Malformed> {
        kind::encode(&Fields {
            created_at: self.created_at.unix_nanos(),
            updated_at: self.updated_at.unix_nanos(),
            current: self.current_number(),
            oldest: self.oldest,
            settings: (&self.settings).into(),
            custom: self.custom.iter().collect(),
            metadata_version: self.metadata_version,
            bytes: self.bytes,
        })
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let fields: Fields<'_> = kind::decode(bytes)?;
        let current =
            (fields.current > 0).then(|| VersionNumber::new(fields.current)).transpose()?;
        let custom =
            fields.custom.into_iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
        let header = Self {
            created_at: Timestamp::from_unix_nanos(fields.created_at),
            updated_at: Timestamp::from_unix_nanos(fields.updated_at),
            current,
            oldest: fields.oldest,
            settings: fields.settings.try_into()?,
            custom: CustomMetadata::from_entries(custom).map_err(|_| Malformed)?,
            metadata_version: fields.metadata_version,
            bytes: fields.bytes,
        };
        Ok(header.check()?)
    }
}
