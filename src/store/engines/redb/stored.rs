//! A record as it lies on disk: its revision, 8 bytes big-endian, then its bytes.

use bytes::Bytes;
use redb::StorageError;

use crate::store::engine::{Record, Revision};

/// A record as it lies on disk.
pub(super) fn encode(revision: Revision, bytes: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(8 + bytes.len());
    stored.extend_from_slice(&revision.0.to_be_bytes());
    stored.extend_from_slice(bytes);
    stored
}

pub(super) fn decode(stored: &[u8]) -> Result<Record, StorageError> {
    let (revision, bytes) = split(stored)?;
    Ok(Record { revision, bytes: Bytes::copy_from_slice(bytes) })
}

pub(super) fn split(stored: &[u8]) -> Result<(Revision, &[u8]), StorageError> {
    let too_short = || StorageError::Corrupted("a record is shorter than its revision".to_owned());
    let (revision, bytes) = stored.split_first_chunk().ok_or_else(too_short)?;
    Ok((Revision(u64::from_be_bytes(*revision)), bytes))
}
