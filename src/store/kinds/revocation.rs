//! Certificates of the region's authority that were revoked: one record each, under zeros and the
//! serial number. What it says is what everybody may read in the list that is published, and none
//! of it is sealed: all of them are read before anybody is served, whatever the tenants' keys.

use minicbor::{Decode, Encode};

use super::kind::{self, Malformed};
use crate::{
    model::{Revocation, RevocationReason, Timestamp},
    store::engine::Space,
};

/// Where these records are.
pub const SPACE: Space = Space::new("revocation");

/// The nil id is no tenant's: a serial number is its authority's.
const REGION: [u8; 16] = [0; 16];

/// The revocation of the certificate with this serial number, big-endian, without zeros in front.
#[must_use]
pub fn key(serial: &[u8]) -> Vec<u8> {
    [&REGION, serial].concat()
}

/// The serial number in a key.
#[must_use]
pub fn parse(key: &[u8]) -> Option<&[u8]> {
    key.strip_prefix(&REGION)
}

/// The range of all revocations, after the place of this key.
#[must_use]
pub fn after(key: Option<&[u8]>) -> (Vec<u8>, Vec<u8>) {
    let from = key.map_or_else(|| REGION.to_vec(), |key| [key, &[0]].concat());
    (from, [0xff; 17].to_vec())
}

#[derive(Encode, Decode)]
#[cbor(map)]
struct Fields {
    #[n(0)]
    at: i64,
    #[n(1)]
    reason: u8,
    #[n(2)]
    ends_at: Option<i64>,
}

/// Its bytes.
///
/// # Errors
/// `Malformed` where it has no byte form.
pub fn encode(revocation: &Revocation) -> Result<Vec<u8>, Malformed> {
    kind::encode(&Fields {
        at: revocation.at.unix_nanos(),
        reason: revocation.reason.code(),
        ends_at: revocation.ends_at.map(Timestamp::unix_nanos),
    })
}

/// The revocation in these bytes.
///
/// # Errors
/// `Malformed` where they are not what [`encode`] makes.
pub fn decode(bytes: &[u8]) -> Result<Revocation, Malformed> {
    let Fields { at, reason, ends_at } = kind::decode(bytes)?;
    Ok(Revocation {
        at: Timestamp::from_unix_nanos(at),
        reason: RevocationReason::of_code(reason),
        ends_at: ends_at.map(Timestamp::from_unix_nanos),
    })
}
