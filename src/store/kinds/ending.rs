//! The order in which access certificates end: of those that nobody has revoked, and that have not
//! renewed themselves.
//!
//! | key | record |
//! | --- | --- |
//! | okmsId, end in seconds (8 bytes, big-endian), id | nothing |
//! | zeros, end, okmsId, id | the serial number |
//!
//! The first is a domain's own order, the second the region's. Nothing of it is a secret, as each
//! certificate says it of itself, and none is sealed: whoever looks at all domains has the keys of
//! none.

use crate::{
    model::{OkmsId, Timestamp},
    store::engine::{Op, Space},
};

/// Where these records are.
pub const SPACE: Space = Space::new("ending");

/// The nil id is no tenant's.
const REGION: [u8; 16] = [0; 16];

/// The place of a certificate among all of the region.
#[must_use]
pub fn in_region(end: Timestamp, id: OkmsId, credential: &[u8; 16]) -> Vec<u8> {
    [&REGION, seconds(end).as_slice(), id.as_bytes(), credential].concat()
}

/// The place of a certificate among those of its domain.
#[must_use]
pub fn in_domain(id: OkmsId, end: Timestamp, credential: &[u8; 16]) -> Vec<u8> {
    [id.as_bytes(), seconds(end).as_slice(), credential].concat()
}

/// The range of what ends in the region at `end` or later.
#[must_use]
pub fn of_region(end: Timestamp) -> (Vec<u8>, Vec<u8>) {
    let to = [REGION.as_slice(), &[0xff; 8]].concat();
    ([REGION.as_slice(), &seconds(end)].concat(), to)
}

/// The range of what ends in a domain from one second to another, both included.
#[must_use]
pub fn of_domain(id: OkmsId, first: Timestamp, last: Timestamp) -> (Vec<u8>, Vec<u8>) {
    let key = |end| [id.as_bytes().as_slice(), &seconds(end)].concat();
    (key(first), key(last.plus_seconds(1)))
}

/// What takes a certificate out of both orders, which ends at `end`: nobody needs to see to it any more.
#[must_use]
pub fn leave(id: OkmsId, credential: &[u8; 16], end: Timestamp) -> [Op; 2] {
    [in_domain(id, end, credential), in_region(end, id, credential)]
        .map(|key| Op::Delete(SPACE, key))
}

/// Where a key made by [`in_domain`] is among those of its domain.
#[must_use]
pub fn place(key: &[u8]) -> Option<&[u8]> {
    key.get(16..)
}

/// The least key behind a place of [`place`].
#[must_use]
pub fn behind(id: OkmsId, place: &[u8]) -> Vec<u8> {
    [id.as_bytes(), place, &[0]].concat()
}

/// The end in a key of either order.
#[must_use]
pub fn end(key: &[u8]) -> Option<Timestamp> {
    let seconds = u64::from_be_bytes(key.get(16..24)?.try_into().ok()?);
    Some(Timestamp::from_unix_seconds(i64::try_from(seconds).ok()?))
}

/// The certificate's id in a key of either order.
#[must_use]
pub fn credential(key: &[u8]) -> Option<[u8; 16]> {
    key.last_chunk().copied()
}

pub(super) fn seconds(end: Timestamp) -> [u8; 8] {
    u64::try_from(end.unix_seconds()).unwrap_or_default().to_be_bytes()
}
