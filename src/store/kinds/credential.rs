//! Access certificates that were issued. The key is the tenant's id and the certificate's, which
//! sorts by its time. Whether one was revoked is told by [`super::revocation`] alone.

use minicbor::{Decode, Encode, bytes::ByteArray, bytes::ByteSlice};

use super::kind::{self, Kind, Malformed};
use crate::{
    model::{Credential, OkmsId, Timestamp},
    store::engine::Space,
};

/// Where these records are.
pub const SPACE: Space = Space::new("credential");

/// The range of the tenant's certificates, after the one with this id.
#[must_use]
pub fn after(id: OkmsId, credential: Option<&[u8; 16]>) -> (Vec<u8>, Vec<u8>) {
    let begin = credential.map_or_else(
        || id.as_bytes().to_vec(),
        |credential| [id.as_bytes().as_slice(), credential, &[0]].concat(),
    );
    (begin, [id.as_bytes().as_slice(), &[0xff; 17]].concat())
}

/// The range of the tenant's certificates that were issued from one moment up to another, both in
/// milliseconds since 1970.
#[must_use]
pub fn issued(id: OkmsId, from: u64, to: u64) -> (Vec<u8>, Vec<u8>) {
    // A UUID of version 7 begins with 48 bits of its time.
    let key = |millis: u64| {
        let [_, _, time @ ..] = millis.to_be_bytes();
        [id.as_bytes().as_slice(), &time].concat()
    };
    (key(from), key(to.saturating_add(1)))
}

/// The certificate's id in a key.
#[must_use]
pub fn parse(key: &[u8]) -> Option<[u8; 16]> {
    key.get(16..)?.try_into().ok()
}

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
    #[b(7)]
    #[cbor(default)]
    description: &'a str,
    #[b(8)]
    #[cbor(default)]
    identities: Vec<&'a str>,
    #[b(9)]
    certificate: Option<&'a ByteSlice>,
    #[n(10)]
    renews: Option<ByteArray<16>>,
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
            description: &self.description,
            identities: self.identities.iter().map(|identity| &**identity).collect(),
            certificate: self.certificate.as_deref().map(Into::into),
            renews: self.renews.map(Into::into),
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
            description: fields.description.to_owned(),
            identities: fields.identities.into_iter().map(str::to_owned).collect(),
            certificate: fields.certificate.map(|der| der.to_vec()),
            renews: fields.renews.map(Into::into),
        })
    }
}
