//! Headers and version records that were opened lately, so that a hot secret is not opened for
//! every read.
//!
//! Always holds: an entry counts only for the very revision of the record that the snapshot shows,
//! so that it is never stale. Never does: keeping values; those are opened for each read and wiped
//! after it.

use std::sync::Arc;

use quick_cache::{Weighter, sync::Cache};

use crate::{
    model::Header,
    store::{engine::Revision, kinds::version::Version},
};

/// The most memory that headers take, roughly, in bytes.
const HEADER_BYTES: u64 = 16 << 20;
/// The most memory that version records take, roughly, in bytes.
const VERSION_BYTES: u64 = 8 << 20;
/// What an entry takes beside its key and its text, roughly.
const OVERHEAD: u64 = 256;

/// The two caches, by the record's key in the store.
pub(super) struct Opened {
    headers: Cache<Vec<u8>, (Revision, Arc<Header>), Bytes>,
    versions: Cache<Vec<u8>, (Revision, Version), Bytes>,
}

#[derive(Clone)]
struct Bytes;

impl Weighter<Vec<u8>, (Revision, Arc<Header>)> for Bytes {
    fn weight(&self, key: &Vec<u8>, (_, header): &(Revision, Arc<Header>)) -> u64 {
        OVERHEAD + (key.len() + header.text_len()) as u64
    }
}

impl Weighter<Vec<u8>, (Revision, Version)> for Bytes {
    fn weight(&self, key: &Vec<u8>, _: &(Revision, Version)) -> u64 {
        OVERHEAD + key.len() as u64
    }
}

impl Opened {
    pub(super) fn new() -> Self {
        Self {
            headers: Cache::with_weighter(16_384, HEADER_BYTES, Bytes),
            versions: Cache::with_weighter(16_384, VERSION_BYTES, Bytes),
        }
    }

    /// The header that was opened last under `key`, at whatever revision.
    pub(super) fn last_header(&self, key: &[u8]) -> Option<(Revision, Arc<Header>)> {
        self.headers.get(key)
    }

    /// The header under `key` at `revision`: `known`, if it is of that, else opened by `open`.
    pub(super) fn header<E>(
        &self,
        key: &[u8],
        revision: Revision,
        known: Option<(Revision, Arc<Header>)>,
        open: impl FnOnce() -> Result<Header, E>,
    ) -> Result<Arc<Header>, E> {
        if let Some((of, header)) = known
            && of == revision
        {
            return Ok(header);
        }
        let header = Arc::new(open()?);
        self.headers.insert(key.to_vec(), (revision, Arc::clone(&header)));
        Ok(header)
    }

    /// The version record under `key` at `revision`; opened by `open` unless it is known.
    pub(super) fn version<E>(
        &self,
        key: &[u8],
        revision: Revision,
        open: impl FnOnce() -> Result<Version, E>,
    ) -> Result<Version, E> {
        if let Some((known, record)) = self.versions.get(key)
            && known == revision
        {
            return Ok(record);
        }
        let record = open()?;
        self.versions.insert(key.to_vec(), (revision, record.clone()));
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Timestamp, VersionRecord};

    #[test]
    fn an_entry_counts_for_its_own_revision_only() {
        let opened = Opened::new();
        let header = |second| Header::new(Timestamp::from_unix_seconds(second));
        let ask = |revision, second: Option<i64>| {
            opened
                .header(b"key", Revision(revision), opened.last_header(b"key"), || {
                    second.map(header).ok_or("opened")
                })
                .map(|h| (*h).clone())
        };
        assert_eq!(ask(1, Some(1)), Ok(header(1)));
        assert_eq!(ask(1, None), Ok(header(1)), "known");
        assert_eq!(ask(2, None), Err("opened"), "another revision is opened");
        assert_eq!(ask(2, Some(2)), Ok(header(2)));
        assert_eq!(ask(1, Some(1)), Ok(header(1)), "an older snapshot sees its own");
        let record = |second| Version {
            data_key: None,
            bytes: 0,
            record: VersionRecord {
                created_at: Timestamp::from_unix_seconds(second),
                deactivate_at: None,
                is_deactivated: false,
                deleted_at: None,
            },
        };
        let ask = |revision, second: Option<i64>| {
            opened.version(b"key", Revision(revision), || second.map(record).ok_or("opened"))
        };
        assert_eq!(
            (ask(1, Some(1)), ask(1, None), ask(2, None)),
            (Ok(record(1)), Ok(record(1)), Err("opened"))
        );
    }
}
