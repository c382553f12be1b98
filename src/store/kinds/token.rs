//! Tokens, and the order in which they end.
//!
//! | key | record |
//! | --- | --- |
//! | okmsId, 0, id | a token |
//! | okmsId, 1, end in seconds (8 bytes, big-endian), id | a [`super::wrapped::Load`] |
//! | okmsId, 2, id | the body of a wrapped response: see [`super::wrapped`] |
//! | okmsId, 3, id | what is told of a wrapped response: see [`super::wrapped`] |

use minicbor::{Decode, Encode, bytes::ByteArray};

use super::{
    kind::{self, Kind, Malformed},
    policy::{owned, texts},
};
use crate::{
    model::{Bearer, OkmsId, Timestamp, Token},
    store::engine::Space,
};

/// Where these records are.
pub const SPACE: Space = Space::new("token");

/// A token.
#[must_use]
pub fn key(id: OkmsId, token: &str) -> Vec<u8> {
    under(id, 0, token.as_bytes())
}

/// When a token, or what is wrapped, ends.
#[must_use]
pub fn end(id: OkmsId, end: Timestamp, token: &str) -> Vec<u8> {
    [&*ends(id, end), token.as_bytes()].concat()
}

/// The least key of what ends at `end` or later.
#[must_use]
pub fn ends(id: OkmsId, end: Timestamp) -> Vec<u8> {
    let seconds = u64::try_from(end.unix_seconds()).unwrap_or_default();
    under(id, 1, &seconds.to_be_bytes())
}

/// The range of ends that come after the second of `now`, in their order, after the place of
/// [`place`]: whatever bytes that is, it is one of the tenant's ends.
#[must_use]
pub fn ends_after(id: OkmsId, now: Timestamp, place: Option<&[u8]>) -> (Vec<u8>, Vec<u8>) {
    let from = place.map(|place| under(id, 1, place)).unwrap_or_default();
    (from.max(ends(id, now.plus_seconds(1))), end_of_ends(id))
}

/// Where a key made by [`end`], or what follows one, is among the tenant's ends.
#[must_use]
pub fn place(key: &[u8]) -> Option<&[u8]> {
    key.get(16 + 1..)
}

/// The least key greater than every key made by [`end`].
#[must_use]
pub fn end_of_ends(id: OkmsId) -> Vec<u8> {
    under(id, 2, &[])
}

/// The token in a key made by [`end`].
#[must_use]
pub fn parse_end(key: &[u8]) -> Option<&str> {
    std::str::from_utf8(key.get(16 + 1 + 8..)?).ok()
}

pub(super) fn under(id: OkmsId, part: u8, rest: &[u8]) -> Vec<u8> {
    [id.as_bytes().as_slice(), &[part], rest].concat()
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Fields<'a> {
    #[n(0)]
    secret_sha256: ByteArray<32>,
    #[n(1)]
    key_sha256: ByteArray<32>,
    #[n(2)]
    created_at: i64,
    #[n(3)]
    renewed_at: Option<i64>,
    #[n(4)]
    expires_at: i64,
    #[n(5)]
    ttl_seconds: u64,
    #[n(6)]
    ends_at: i64,
    #[n(7)]
    is_renewable: bool,
    #[b(8)]
    path: &'a str,
    #[b(9)]
    display_name: &'a str,
    #[b(10)]
    meta: Vec<(&'a str, &'a str)>,
    #[b(11)]
    user: Option<&'a str>,
    #[b(12)]
    policies: Option<Vec<&'a str>>,
    /// Whether the key above is none.
    #[n(13)]
    is_unbound: Option<bool>,
    /// The other sets of policies to which it is narrowed.
    #[b(14)]
    of_makers: Option<Vec<Vec<&'a str>>>,
}

/// The form of a token that is somebody's, or narrowed.
const NARROWER: u8 = kind::FORM + 1;
/// The form of one that is bound to no key.
const UNBOUND: u8 = NARROWER + 1;
/// The form of one that is narrowed more than once.
const NARROWED_AGAIN: u8 = UNBOUND + 1;

impl Kind for Token {
    const SPACE: Space = SPACE;
    type Name<'a> = &'a str;

    fn key(id: OkmsId, token: &str) -> Vec<u8> {
        key(id, token)
    }

    fn encode(&self) -> Result<Vec<u8>, Malformed> {
        // Whoever passed over it would give its bearer more.
        let mut sets = self.bearer.narrowed_to.iter().map(|names| texts(names));
        let policies = sets.next();
        let of_makers = Some(sets.collect::<Vec<_>>()).filter(|sets| !sets.is_empty());
        let form = match self.key_sha256 {
            _ if of_makers.is_some() => NARROWED_AGAIN,
            None => UNBOUND,
            Some(_) if self.bearer == Bearer::default() => kind::FORM,
            Some(_) => NARROWER,
        };
        kind::encode_as(
            form,
            &Fields {
                secret_sha256: self.secret_sha256.into(),
                key_sha256: self.key_sha256.unwrap_or_default().into(),
                created_at: self.created_at.unix_nanos(),
                renewed_at: self.renewed_at.map(Timestamp::unix_nanos),
                expires_at: self.expires_at.unix_nanos(),
                ttl_seconds: self.ttl_seconds,
                ends_at: self.ends_at.unix_nanos(),
                is_renewable: self.is_renewable,
                path: &self.path,
                display_name: &self.display_name,
                meta: self.meta.iter().map(|(name, text)| (&**name, &**text)).collect(),
                user: self.bearer.user.as_deref(),
                policies,
                is_unbound: self.key_sha256.is_none().then_some(true),
                of_makers,
            },
        )
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let fields: Fields<'_> = kind::decode_up_to(NARROWED_AGAIN, bytes)?;
        Ok(Self {
            secret_sha256: fields.secret_sha256.into(),
            key_sha256: (fields.is_unbound != Some(true)).then(|| fields.key_sha256.into()),
            created_at: Timestamp::from_unix_nanos(fields.created_at),
            renewed_at: fields.renewed_at.map(Timestamp::from_unix_nanos),
            expires_at: Timestamp::from_unix_nanos(fields.expires_at),
            ttl_seconds: fields.ttl_seconds,
            ends_at: Timestamp::from_unix_nanos(fields.ends_at),
            is_renewable: fields.is_renewable,
            path: fields.path.to_owned(),
            display_name: fields.display_name.to_owned(),
            meta: fields
                .meta
                .into_iter()
                .map(|(name, text)| (name.to_owned(), text.to_owned()))
                .collect(),
            bearer: Bearer {
                user: fields.user.map(str::to_owned),
                narrowed_to: fields
                    .policies
                    .iter()
                    .chain(fields.of_makers.iter().flatten())
                    .map(|names| owned(names))
                    .collect(),
            },
        })
    }
}
