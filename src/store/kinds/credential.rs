//! Access certificates that were issued. The key is the tenant's id and the certificate's, which
//! sorts by its time.

use minicbor::{Decode, Encode, bytes::ByteArray, bytes::ByteSlice};

use super::kind::{self, Kind, Malformed};
use crate::{
    model::{Credential, OkmsId, Timestamp},
    store::engine::Space,
};

/// Where these records are.
pub const SPACE: Space = Space::new("credential");

#[derive(Encode, Decode)]
#[cbor(map)]
struct Fields<'a> {
    #[b(0)]
    name: &'a str,
    #[b(1)]
    serial: &'a ByteSlice,
    #[n(2)]
    key_sha256: ByteArray<32>,
    #[n(3)]
    issued_at: i64,
    #[n(4)]
    begins_at: i64,
    #[n(5)]
    ends_at: i64,
    #[n(6)]
    is_from_request: bool,
}

impl Kind for Credential {
    const SPACE: Space = SPACE;
    /// A UUID of version 7.
    type Name<'a> = &'a [u8; 16];

    fn key(id: OkmsId, credential: &[u8; 16]) -> Vec<u8> {
        [id.as_bytes(), credential.as_slice()].concat()
    }

    fn encode(&self) -> Result<Vec<u8>, Malformed> {
        kind::encode(&Fields {
            name: &self.name,
            serial: (&*self.serial).into(),
            key_sha256: self.key_sha256.into(),
            issued_at: self.issued_at.unix_nanos(),
            begins_at: self.begins_at.unix_nanos(),
            ends_at: self.ends_at.unix_nanos(),
            is_from_request: self.is_from_request,
        })
    }

    fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        let fields: Fields<'_> = kind::decode(bytes)?;
        Ok(Self {
            name: fields.name.to_owned(),
            serial: fields.serial.to_vec(),
            key_sha256: fields.key_sha256.into(),
            issued_at: Timestamp::from_unix_nanos(fields.issued_at),
            begins_at: Timestamp::from_unix_nanos(fields.begins_at),
            ends_at: Timestamp::from_unix_nanos(fields.ends_at),
            is_from_request: fields.is_from_request,
        })
    }
}
