//! Wrapped responses: what is told of one, with the wrapped key of its body, and the body's
//! ciphertext. They lie beside the tokens, under the id in their own.

use minicbor::{Decode, Encode, bytes::ByteArray};

use super::{
    kind::{self, Kind, Malformed},
    token::{SPACE, under},
};
use crate::{
    crypto::WrappedDataKey,
    model::{OkmsId, Timestamp, Wrapped},
    store::engine::Space,
};

/// What is told of the answer.
#[must_use]
pub fn key(id: OkmsId, token: &str) -> Vec<u8> {
    under(id, 3, token.as_bytes())
}

/// Its body.
#[must_use]
pub fn body(id: OkmsId, token: &str) -> Vec<u8> {
    under(id, 2, token.as_bytes())
}

/// What the record of an end tells, so that all of them are counted without being opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// The size of what is wrapped; none where that is nothing.
    pub bytes: u32,
    /// Whose share of the domain's room it takes.
    pub share: u64,
}

impl Load {
    /// It, as it is stored.
    #[must_use]
    pub fn to_bytes(self) -> Vec<u8> {
        [self.bytes.to_be_bytes().as_slice(), &self.share.to_be_bytes()].concat()
    }

    /// What was stored. Once there was nothing of tokens, and no share of what is wrapped.
    #[must_use]
    pub fn from_bytes(stored: &[u8]) -> Self {
        let (bytes, share) = stored.split_first_chunk().unwrap_or((&[0; 4], &[]));
        Self {
            bytes: u32::from_be_bytes(*bytes),
            share: share.first_chunk().copied().map_or(0, u64::from_be_bytes),
        }
    }
}

/// Whose share something takes: the beginning of the fingerprint of its maker's key, and that of nobody
/// where there is none.
#[must_use]
pub fn share_of(key_sha256: Option<&[u8; 32]>) -> u64 {
    key_sha256.and_then(|key| key.first_chunk().copied()).map_or(0, u64::from_be_bytes)
}

/// A wrapped response as it is stored, apart from its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrappedResponse {
    /// Everything but its body.
    pub wrapped: Wrapped,
    /// What opens its body.
    pub data_key: WrappedDataKey,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Fields<'a> {
    #[n(0)]
    secret_sha256: ByteArray<32>,
    #[n(1)]
    created_at: i64,
    #[n(2)]
    ttl_seconds: u64,
    #[b(3)]
    path: &'a str,
    #[n(4)]
    status: u16,
    #[n(5)]
    data_key: ByteArray<{ WrappedDataKey::LEN }>,
    #[n(6)]
    key_sha256: Option<ByteArray<32>>,
}

impl Kind for WrappedResponse {
    const SPACE: Space = SPACE;
    type Name<'a> = &'a str;

    fn key(id: OkmsId, token: &str) -> Vec<u8> {
        key(id, token)
    }

    fn encode(&self) -> Result<Vec<u8>, Malformed> {
        let wrapped = &self.wrapped;
        kind::encode(&Fields {
            secret_sha256: wrapped.secret_sha256.into(),
            created_at: wrapped.created_at.unix_nanos(),
            ttl_seconds: wrapped.ttl_seconds,
            path: &wrapped.path,
            status: wrapped.status,
            data_key: self.data_key.to_bytes().into(),
            key_sha256: wrapped.key_sha256.map(Into::into),
        })
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let fields: Fields<'_> = kind::decode(bytes)?;
        let wrapped = Wrapped {
            secret_sha256: fields.secret_sha256.into(),
            created_at: Timestamp::from_unix_nanos(fields.created_at),
            ttl_seconds: fields.ttl_seconds,
            path: fields.path.to_owned(),
            status: fields.status,
            key_sha256: fields.key_sha256.map(Into::into),
        };
        Ok(Self { wrapped, data_key: WrappedDataKey::from_bytes(fields.data_key.into()) })
    }
}
