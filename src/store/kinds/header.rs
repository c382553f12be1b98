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
    model::{
        About, CustomMetadata, Header, Life, OkmsId, Removal, Rotation, SecretPath, SecretType,
        Tags, Timestamp, VersionNumber,
    },
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
    #[b(8)]
    secret_type: Option<&'a str>,
    #[b(9)]
    description: Option<&'a str>,
    #[b(10)]
    tags: Option<Vec<&'a str>>,
    #[b(11)]
    owner: Option<&'a str>,
    #[b(12)]
    created_by: Option<&'a str>,
    #[n(13)]
    span_seconds: Option<u64>,
    #[n(14)]
    expires_at: Option<i64>,
    /// When it was removed, and until when that can be undone.
    #[n(15)]
    removed: Option<(i64, i64)>,
    /// The policy, and the anchor.
    #[b(16)]
    rotation: Option<(&'a str, i64)>,
    #[b(17)]
    secret_policy: Option<&'a str>,
    #[n(18)]
    written_at: Option<i64>,
    #[n(19)]
    current_deadline: Option<i64>,
}

impl Kind for Header {
    const SPACE: Space = SPACE;
    type Name<'a> = &'a SecretPath;

    fn key(id: OkmsId, path: &SecretPath) -> Vec<u8> {
        key(id, path)
    }

    fn encode(&self) -> Result<Vec<u8>, Malformed> {
        let Self { about, life, .. } = self;
        kind::encode(&Fields {
            created_at: self.created_at.unix_nanos(),
            updated_at: self.updated_at.unix_nanos(),
            current: self.current_number(),
            oldest: self.oldest,
            settings: (&self.settings).into(),
            custom: self.custom.iter().collect(),
            metadata_version: self.metadata_version,
            bytes: self.bytes,
            secret_type: Some(about.secret_type.name())
                .filter(|_| about.secret_type != SecretType::default()),
            description: about.description.as_deref(),
            tags: Some(about.tags.iter().collect::<Vec<_>>()).filter(|tags| !tags.is_empty()),
            owner: about.owner.as_deref(),
            created_by: self.created_by.as_deref(),
            span_seconds: life.span_seconds,
            expires_at: life.expires_at.map(Timestamp::unix_nanos),
            removed: life
                .removed
                .map(|removal| (removal.at.unix_nanos(), removal.until.unix_nanos())),
            rotation: life
                .rotation
                .as_ref()
                .map(|rotation| (&*rotation.policy, rotation.anchor.unix_nanos())),
            secret_policy: life.secret_policy.as_deref(),
            written_at: self.written_at.map(Timestamp::unix_nanos),
            current_deadline: self.current_deadline.map(Timestamp::unix_nanos),
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
            about: About {
                secret_type: fields
                    .secret_type
                    .map_or(Some(SecretType::default()), SecretType::of)
                    .ok_or(Malformed)?,
                description: fields.description.map(Into::into),
                tags: Tags::new(fields.tags.unwrap_or_default())?,
                owner: fields.owner.map(Into::into),
            },
            created_by: fields.created_by.map(Into::into),
            life: Life {
                span_seconds: fields.span_seconds,
                expires_at: fields.expires_at.map(Timestamp::from_unix_nanos),
                removed: fields.removed.map(|(at, until)| Removal {
                    at: Timestamp::from_unix_nanos(at),
                    until: Timestamp::from_unix_nanos(until),
                }),
                rotation: fields.rotation.map(|(policy, anchor)| Rotation {
                    policy: policy.into(),
                    anchor: Timestamp::from_unix_nanos(anchor),
                }),
                secret_policy: fields.secret_policy.map(Into::into),
            },
            written_at: fields.written_at.map(Timestamp::from_unix_nanos),
            current_deadline: fields.current_deadline.map(Timestamp::from_unix_nanos),
        };
        Ok(header.check()?)
    }
}
