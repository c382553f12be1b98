//! Marks of changes that the audit trail knows of: `00 × 16, chain, slot`, and the number and the
//! hash of the record that has announced the change. They tell nothing of it, and are not sealed.

use crate::{model::AuditMark, store::engine::Space};

/// Where these records are.
pub const SPACE: Space = Space::new("audit_mark");

/// The nil id is no tenant's: a trail is the server's.
const REGION: [u8; 16] = [0; 16];

/// Where a mark is: what was there before is of a change that has ended.
#[must_use]
pub fn key(mark: &AuditMark) -> Vec<u8> {
    [REGION.as_slice(), &mark.chain, &mark.slot.to_be_bytes()].concat()
}

/// Its bytes.
#[must_use]
pub fn encode(mark: &AuditMark) -> Vec<u8> {
    [mark.seq.to_be_bytes().as_slice(), &mark.hash].concat()
}
