//! Everything at one moment: the changes in memory over the database on disk.
//!
//! The layers, from above: what is recent, what is on its way into the database, what the database
//! keeps aside, its spaces. Always holds: a view never changes; what a newer layer says of a key hides what is beneath it.
//! Never does: wait for anybody.

use std::sync::Arc;

use redb::StorageError;

use super::{
    recent::{Direction, Known, Over, Recent},
    stored::decode,
    tables::{Base, Entries},
};
use crate::store::engine::{Cut, Entry, Record, Revision, Space};

/// Everything at one moment.
pub(super) struct View {
    /// The last commit that it shows.
    pub(super) revision: Revision,
    /// What is newer than all that is beneath.
    pub(super) recent: Recent,
    pub(super) under: Arc<Under>,
}

/// What lies beneath the newest changes.
pub(super) struct Under {
    /// Changes that are on their way into the database.
    pub(super) frozen: Option<Arc<Frozen>>,
    pub(super) base: Arc<Base>,
}

/// Changes that go into the database together.
pub(super) struct Frozen {
    pub(super) recent: Recent,
    /// The last commit among them.
    pub(super) revision: Revision,
    /// Its moment.
    pub(super) moment: Option<u64>,
    /// Where the log goes on behind it.
    pub(super) position: u64,
    /// Where the last frame before that begins.
    pub(super) tail: u64,
}

impl View {
    /// The record under a key.
    pub(super) fn get(&self, space: Space, key: &[u8]) -> Result<Option<Record>, StorageError> {
        match self.recall(space, key) {
            Some(Known(record)) => Ok(record.cloned()),
            None => self.under.base.get(space, key),
        }
    }

    /// The record under a key, or that there is none, where memory tells.
    pub(super) fn recall(&self, space: Space, key: &[u8]) -> Option<Known<'_>> {
        self.recent.get(space, key).or_else(|| self.under.recall(space, key))
    }

    /// The last record of a range.
    pub(super) fn last(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
    ) -> Result<Option<Entry>, StorageError> {
        let range = (space, from, to, Direction::Down);
        self.under.entries(&self.recent, range, Record::clone, decode).next().transpose()
    }

    /// At most `limit` records of a range, in the order of their keys.
    pub(super) fn scan(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> Result<Vec<Entry>, StorageError> {
        let range = (space, from, to, Direction::Up);
        self.under.entries(&self.recent, range, Record::clone, decode).take(limit).collect()
    }

    /// At most `limit` keys of a range, in order, cut.
    pub(super) fn keys(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        cut: Option<Cut>,
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, StorageError> {
        Cut::walk(cut, from, limit, |from, limit| {
            self.under.keys(&self.recent, space, from, to, limit)
        })
    }
}

impl Under {
    fn recall(&self, space: Space, key: &[u8]) -> Option<Known<'_>> {
        let frozen = self.frozen.as_ref().and_then(|frozen| frozen.recent.get(space, key));
        frozen.or_else(|| self.base.aside.get(space, key))
    }

    /// The revision of the record under a key.
    pub(super) fn revision(
        &self,
        space: Space,
        key: &[u8],
    ) -> Result<Option<Revision>, StorageError> {
        match self.recall(space, key) {
            Some(Known(record)) => Ok(record.map(|record| record.revision)),
            None => self.base.revision(space, key),
        }
    }

    /// At most `limit` keys of a range, in order, with `recent` over them.
    pub(super) fn keys(
        &self,
        recent: &Recent,
        space: Space,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, StorageError> {
        let entries = self.entries(recent, (space, from, to, Direction::Up), |_| (), |_| Ok(()));
        entries.take(limit).map(|entry| entry.map(|(key, ())| key)).collect()
    }

    /// The entries of a range, with `recent` over them: what is told of a record in memory, and of
    /// what is stored of one.
    fn entries<'a, T: 'static>(
        &'a self,
        recent: &'a Recent,
        (space, from, to, direction): (Space, &'a [u8], &'a [u8], Direction),
        tell: fn(&Record) -> T,
        tell_stored: fn(&[u8]) -> Result<T, StorageError>,
    ) -> Entries<'a, T> {
        let mut entries: Entries<'a, T> =
            self.base.entries(space, from, to, direction, tell_stored);
        let frozen = self.frozen.as_ref().map(|frozen| &frozen.recent);
        for layer in [Some(&self.base.aside), frozen, Some(recent)].into_iter().flatten() {
            if layer.of(space).is_some() {
                entries = Box::new(Over::new(layer, space, from, to, direction, tell, entries));
            }
        }
        entries
    }
}
