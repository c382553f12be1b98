//! A domain's own view of the audit trail: some of its records, one after the other, in a block.
//!
//! | key | record |
//! | --- | --- |
//! | okmsId, time in milliseconds, strand, number, length (8, 8, 8 and 4 bytes) | the lines of records, sealed; time, strand and number are the first one's |
//! | zeros, chain | the number of the last record that was looked at, and the strand that the chain has in views |
//!
//! A strand is the chain itself, until numbers of that are given again: a power cut may take records that views have.
//!
//! The length stands in the key so that what a domain takes can be counted without being opened, and
//! each block's key stands in a space of its own, too, with nothing under it: an engine that keeps
//! records beside their keys would read all of a view for its keys.

use crate::{
    model::{OkmsId, Timestamp},
    store::engine::Space,
};

/// Where these records are.
pub const SPACE: Space = Space::new("audit_block");
/// Where the keys of blocks are once more.
pub const PLACES: Space = Space::new("audit_place");

/// The nil id is no tenant's.
const REGION: [u8; 16] = [0; 16];

/// How long a key is behind its tenant's id.
pub const PLACE: usize = 28;

/// Where a block is among those of its tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Place([u8; PLACE]);

impl Place {
    /// That of the block with this key; `None` where it is no block's.
    #[must_use]
    pub fn of(key: &[u8]) -> Option<Self> {
        key.get(16..)?.try_into().ok().map(Self)
    }

    /// The one with these bytes.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; PLACE]) -> Self {
        Self(bytes)
    }

    /// Its bytes.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; PLACE] {
        &self.0
    }

    /// The key of the block.
    #[must_use]
    pub fn key(&self, id: OkmsId) -> Vec<u8> {
        [id.as_bytes().as_slice(), &self.0].concat()
    }

    /// When its first record happened.
    #[must_use]
    pub fn time(&self) -> Timestamp {
        let millis = i64::from_be_bytes(self.part(0));
        Timestamp::from_unix_nanos(millis.saturating_mul(1_000_000))
    }

    /// Which chain its records are of.
    #[must_use]
    pub fn chain(&self) -> [u8; 8] {
        self.part(8)
    }

    /// The number of its first record.
    #[must_use]
    pub fn seq(&self) -> u64 {
        u64::from_be_bytes(self.part(16))
    }

    fn part(&self, at: usize) -> [u8; 8] {
        self.0.get(at..).and_then(|rest| rest.first_chunk()).copied().unwrap_or_default()
    }
}

/// Whose a record is; `None` where it is the server's.
#[must_use]
pub fn tenant(key: &[u8]) -> Option<OkmsId> {
    OkmsId::from_bytes(*key.first_chunk()?).ok()
}

/// The key of a block.
#[must_use]
pub fn key(id: OkmsId, first: Timestamp, chain: [u8; 8], seq: u64, length: u32) -> Vec<u8> {
    let parts = [millis(first), chain, seq.to_be_bytes()];
    [id.as_bytes().as_slice(), parts.as_flattened(), &length.to_be_bytes()].concat()
}

/// The range of blocks whose first record is from one moment on and before another.
#[must_use]
pub fn between(id: OkmsId, from: Timestamp, to: Timestamp) -> (Vec<u8>, Vec<u8>) {
    let at = |moment| [id.as_bytes().as_slice(), &millis(moment)].concat();
    (at(from), at(to))
}

/// The range of all blocks.
#[must_use]
pub fn all(id: OkmsId) -> (Vec<u8>, Vec<u8>) {
    (id.as_bytes().to_vec(), [id.as_bytes().as_slice(), &[0xff; 9]].concat())
}

/// How many bytes the records of a block have.
#[must_use]
pub fn length(key: &[u8]) -> Option<u32> {
    key.last_chunk().map(|length| u32::from_be_bytes(*length))
}

/// Where it is said how far a chain was looked at.
#[must_use]
pub fn position(chain: [u8; 8]) -> Vec<u8> {
    [REGION.as_slice(), &chain].concat()
}

fn millis(moment: Timestamp) -> [u8; 8] {
    u64::try_from(moment.unix_nanos() / 1_000_000).unwrap_or_default().to_be_bytes()
}
