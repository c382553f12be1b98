//! Which access certificates were renewed from which: their line, under the one that an operator has
//! issued, which is the first of it and has no record here itself.
//!
//! | key | record |
//! | --- | --- |
//! | okmsId, id of the first, end in seconds (8 bytes, big-endian), id | id of the one that was renewed, and the serial number |
//!
//! Nothing of it is a secret, and none is sealed: that one is damaged hides no other.

use super::ending;
use crate::{
    model::{OkmsId, Timestamp},
    store::engine::Space,
};

/// Where these records are.
pub const SPACE: Space = Space::new("line");

/// A certificate that was renewed from another one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id.
    pub id: [u8; 16],
    /// When it ends, to the second.
    pub end: Timestamp,
    /// The id of the one that asked for it.
    pub renews: [u8; 16],
    /// Its serial number, big-endian, without zeros in front.
    pub serial: Vec<u8>,
}

impl Member {
    /// Its place in the line that begins with `first`.
    #[must_use]
    pub fn key(&self, domain: OkmsId, first: &[u8; 16]) -> Vec<u8> {
        [&*of(domain, first).0, &ending::seconds(self.end), &self.id].concat()
    }

    /// What lies there.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        [self.renews.as_slice(), &self.serial].concat()
    }

    /// The one in a record.
    #[must_use]
    pub fn parse(key: &[u8], bytes: &[u8]) -> Option<Self> {
        let (renews, serial) = bytes.split_first_chunk()?;
        let (id, end) = (*key.last_chunk()?, end(key)?);
        Some(Self { id, end, renews: *renews, serial: serial.to_vec() })
    }
}

/// The range of the line that begins with `first`: what ends first comes first.
#[must_use]
pub fn of(domain: OkmsId, first: &[u8; 16]) -> (Vec<u8>, Vec<u8>) {
    let from = [domain.as_bytes(), first.as_slice()].concat();
    let to = [from.as_slice(), &[0xff; 8]].concat();
    (from, to)
}

/// The range of all lines of a domain.
#[must_use]
pub fn of_domain(domain: OkmsId) -> (Vec<u8>, Vec<u8>) {
    let from = domain.as_bytes().to_vec();
    let to = [from.as_slice(), &[0xff; 17]].concat();
    (from, to)
}

/// The first of the line in a key.
#[must_use]
pub fn first(key: &[u8]) -> Option<[u8; 16]> {
    key.get(16..32)?.try_into().ok()
}

/// The end in a key.
#[must_use]
pub fn end(key: &[u8]) -> Option<Timestamp> {
    let seconds = u64::from_be_bytes(key.get(32..40)?.try_into().ok()?);
    Some(Timestamp::from_unix_seconds(i64::try_from(seconds).ok()?))
}
