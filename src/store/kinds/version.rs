//! Versions: state and times of each, and the wrapped key of its value. The key is the tenant's id,
//! the path, a NUL and the number, 4 bytes, big-endian.
//!
//! A path has no NUL, so that no secret's versions lie between another's. Who erases this record
//! erases the only key of the value, and who wraps that key anew does not touch the value.

use minicbor::{Decode, Encode, bytes::ByteArray};

use super::kind::{self, Kind, Malformed};
use crate::{
    crypto::WrappedDataKey,
    model::{OkmsId, SecretPath, Timestamp, VersionRecord},
    store::engine::Space,
};

/// Where these records are.
pub const SPACE: Space = Space::new("version");

const SEPARATOR: u8 = 0;

/// The version `number` of the secret at `path`. Its value has the same key, in its own space.
#[must_use]
pub fn key(id: OkmsId, path: &SecretPath, number: u32) -> Vec<u8> {
    [id.as_bytes(), path.as_str().as_bytes(), &[SEPARATOR], &number.to_be_bytes()].concat()
}

/// The number in a key made by [`key`].
#[must_use]
pub fn number(key: &[u8]) -> Option<u32> {
    let (_, number) = key.split_last_chunk::<4>()?;
    Some(u32::from_be_bytes(*number))
}

/// A version as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Version {
    /// Its times, and what follows from them.
    pub record: VersionRecord,
    /// What opens its value; nothing where that is erased.
    pub data_key: Option<WrappedDataKey>,
    /// What its value takes, in bytes: nothing where that is erased, or from before this was kept.
    pub bytes: u64,
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Fields {
    #[n(0)]
    created_at: i64,
    #[n(1)]
    deactivate_at: Option<i64>,
    #[n(2)]
    is_deactivated: bool,
    #[n(3)]
    deleted_at: Option<i64>,
    #[n(4)]
    data_key: Option<ByteArray<{ WrappedDataKey::LEN }>>,
    #[n(5)]
    #[cbor(default)]
    bytes: u64,
}

impl Kind for Version {
    const SPACE: Space = SPACE;
    type Name<'a> = (&'a SecretPath, u32);

    fn key(id: OkmsId, (path, number): (&SecretPath, u32)) -> Vec<u8> {
        key(id, path, number)
    }

    fn encode(&self) -> Result<Vec<u8>, Malformed> {
        let record = &self.record;
        kind::encode(&Fields {
            created_at: record.created_at.unix_nanos(),
            deactivate_at: record.deactivate_at.map(Timestamp::unix_nanos),
            is_deactivated: record.is_deactivated,
            deleted_at: record.deleted_at.map(Timestamp::unix_nanos),
            data_key: self.data_key.as_ref().map(|key| key.to_bytes().into()),
            bytes: self.bytes,
        })
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let fields: Fields = kind::decode(bytes)?;
        let record = VersionRecord {
            created_at: Timestamp::from_unix_nanos(fields.created_at),
            deactivate_at: fields.deactivate_at.map(Timestamp::from_unix_nanos),
            is_deactivated: fields.is_deactivated,
            deleted_at: fields.deleted_at.map(Timestamp::from_unix_nanos),
        };
        Ok(Self {
            record,
            data_key: fields.data_key.map(|key| WrappedDataKey::from_bytes(key.into())),
            bytes: fields.bytes,
        })
    }
}
