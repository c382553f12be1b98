//! Marks of changes that the audit trail knows of: `00 × 16, chain, slot`, and the number and the
//! hash of the record that has announced the change, and the domain that it was asked for in, if any.
//! They tell nothing else of it, and are not sealed.

use crate::{
    model::{AuditMark, OkmsId},
    store::engine::Space,
};

/// Where these records are.
pub const SPACE: Space = Space::new("audit_mark");

/// The nil id is no tenant's: a trail is the server's.
const REGION: [u8; 16] = [0; 16];

/// Where a mark is: what was there before is of a change that has ended.
#[must_use]
pub fn key(mark: &AuditMark) -> Vec<u8> {
    [REGION.as_slice(), &mark.chain, &mark.slot.to_be_bytes()].concat()
}

/// The range of all marks of a chain.
#[must_use]
pub fn of_chain(chain: [u8; 8]) -> (Vec<u8>, Vec<u8>) {
    let first = [REGION.as_slice(), &chain].concat();
    let end = [first.as_slice(), &[0xff; 3]].concat();
    (first, end)
}

/// The mark in a record of a chain; `None` where it is none.
#[must_use]
pub fn decode(key: &[u8], bytes: &[u8]) -> Option<AuditMark> {
    let (chain, slot) = key.strip_prefix(&REGION)?.split_first_chunk::<8>()?;
    let (seq, rest) = bytes.split_first_chunk::<8>()?;
    let (hash, tenant) = rest.split_first_chunk::<32>()?;
    // Marks of older programs end here.
    let tenant = match tenant {
        [] => None,
        tenant => Some(OkmsId::from_bytes(tenant.try_into().ok()?).ok()?),
    };
    Some(AuditMark {
        chain: *chain,
        slot: u16::from_be_bytes(slot.try_into().ok()?),
        seq: u64::from_be_bytes(*seq),
        hash: *hash,
        tenant,
    })
}

/// Its bytes.
#[must_use]
pub fn encode(mark: &AuditMark) -> Vec<u8> {
    let tenant = mark.tenant.as_ref().map(OkmsId::as_bytes);
    let tenant = tenant.map(<[u8; 16]>::as_slice).unwrap_or_default();
    [mark.seq.to_be_bytes().as_slice(), &mark.hash, tenant].concat()
}
