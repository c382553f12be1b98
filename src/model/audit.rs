//! What ties a change to its record in the audit trail.

/// Names the record of a change that is about to happen. It is stored with the change, so that the
/// store can tell whether that has happened: under its chain and slot lies the mark of the last one
/// that did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AuditMark {
    /// The chain that the record is in.
    pub chain: [u8; 8],
    /// A place that no other change under way has.
    pub slot: u16,
    /// The record's number.
    pub seq: u64,
    /// Its hash.
    pub hash: [u8; 32],
}
