//! The database as the engine lays it out: one table a space, and one for the engine itself.
//!
//! Owns the encoding of a record on disk: its revision, 8 bytes big-endian, then its bytes. Always holds: the
//! engine's table carries the highest revision of every durable commit and its moment, written in the same transaction.
//! Never does: concurrency, or a decision about failures.

use bytes::Bytes;
use redb::{
    AccessGuard, Builder, Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, StorageBackend, StorageError,
    Table, TableDefinition, WriteTransaction,
};

use super::{
    backend::Fence,
    guard::{Panicked, guarded},
};
use crate::store::engine::{Entry, Record, Revision, Space};

/// The engine's own table: what it must remember of itself.
const ENGINE: TableDefinition<'_, &str, u64> = TableDefinition::new("engine");
const FORMAT: &str = "format";
const REVISION: &str = "revision";
/// The latest moment that a commit bore.
const MOMENT: &str = "moment";
/// The layout that this code writes and reads. Format 1 had no table of tokens.
const FORMAT_NOW: u64 = 2;
/// The layouts that are brought up to it when they are opened.
const FORMATS_BEFORE: std::ops::Range<u64> = 1..FORMAT_NOW;

type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;
/// A space in a snapshot.
pub(super) type SpaceView = ReadOnlyTable<&'static [u8], &'static [u8]>;
/// A space in a transaction.
pub(super) type SpaceTable<'txn> = Table<'txn, &'static [u8], &'static [u8]>;

const fn definition(space: Space) -> Definition {
    TableDefinition::new(space.name())
}

/// Something for every space.
pub(super) struct PerSpace<T> {
    region: T,
    domain: T,
    config: T,
    header: T,
    version: T,
    value: T,
    token: T,
}

impl<T> PerSpace<T> {
    fn build<E>(mut make: impl FnMut(Space) -> Result<T, E>) -> Result<Self, E> {
        Ok(Self {
            region: make(Space::Region)?,
            domain: make(Space::Domain)?,
            config: make(Space::Config)?,
            header: make(Space::Header)?,
            version: make(Space::Version)?,
            value: make(Space::Value)?,
            token: make(Space::Token)?,
        })
    }

    pub(super) fn of(&self, space: Space) -> &T {
        match space {
            Space::Region => &self.region,
            Space::Domain => &self.domain,
            Space::Config => &self.config,
            Space::Header => &self.header,
            Space::Version => &self.version,
            Space::Value => &self.value,
            Space::Token => &self.token,
        }
    }

    pub(super) fn of_mut(&mut self, space: Space) -> &mut T {
        match space {
            Space::Region => &mut self.region,
            Space::Domain => &mut self.domain,
            Space::Config => &mut self.config,
            Space::Header => &mut self.header,
            Space::Version => &mut self.version,
            Space::Value => &mut self.value,
            Space::Token => &mut self.token,
        }
    }
}

/// The database is not one of ours, or not of a version that we know.
#[derive(Debug, thiserror::Error)]
pub(super) enum LayoutError {
    #[error(transparent)]
    Redb(#[from] redb::Error),
    #[error(transparent)]
    Panicked(#[from] Panicked),
    #[error("the file has layout {0}, and this program knows layouts 1 to {FORMAT_NOW}")]
    Format(u64),
}

/// One opening of the database. A failure ends it, and the next opening has a new number.
pub(super) struct Generation {
    /// First, so that it is closed before the fence is gone.
    database: Database,
    fence: Fence,
    pub(super) number: u64,
}

impl Generation {
    /// Opens the database, creates it if the storage is empty, and returns when its header is durable.
    pub(super) fn open(
        backend: impl StorageBackend,
        fence: Fence,
        cache_bytes: usize,
        number: u64,
    ) -> Result<Self, LayoutError> {
        let database =
            Builder::new().set_cache_size(cache_bytes).create_with_backend(backend).map_err(redb::Error::from)?;
        let generation = Self { database, fence, number };
        generation.check_layout()?;
        Ok(generation)
    }

    /// Creates the tables of a new database, and those that an older one lacks.
    fn check_layout(&self) -> Result<(), LayoutError> {
        let reading = self.database.begin_read().map_err(redb::Error::from)?;
        let is_new = match reading.open_table(ENGINE) {
            Ok(engine) => match engine.get(FORMAT).map_err(redb::Error::from)?.map(|format| format.value()) {
                Some(FORMAT_NOW) => return Ok(()),
                Some(before) if FORMATS_BEFORE.contains(&before) => false,
                other => return Err(LayoutError::Format(other.unwrap_or_default())),
            },
            Err(redb::TableError::TableDoesNotExist(_)) => true,
            Err(error) => return Err(LayoutError::Redb(error.into())),
        };
        drop(reading);
        let writing = self.begin()?;
        PerSpace::build(|space| writing.open_table(definition(space)).map(drop)).map_err(redb::Error::from)?;
        write_engine(&writing, FORMAT, FORMAT_NOW)?;
        if is_new {
            write_engine(&writing, REVISION, 0)?;
        }
        writing.commit().map_err(redb::Error::from)?;
        Ok(())
    }

    /// A transaction whose commit is durable, and leaves a database that opens at once after a crash.
    pub(super) fn begin(&self) -> Result<WriteTransaction, redb::Error> {
        // Durability::Immediate is redb's default, and the only one that this engine uses.
        let mut writing = self.database.begin_write()?;
        writing.set_quick_repair(true);
        Ok(writing)
    }

    /// The latest moment that a commit bore.
    pub(super) fn moment(&self) -> Result<Option<u64>, redb::Error> {
        Ok(self.database.begin_read()?.open_table(ENGINE)?.get(MOMENT)?.map(|moment| moment.value()))
    }

    /// The newest committed state.
    pub(super) fn view(&self) -> Result<View, LayoutError> {
        let reading = self.database.begin_read().map_err(redb::Error::from)?;
        let engine = reading.open_table(ENGINE).map_err(redb::Error::from)?;
        let revision = engine.get(REVISION).map_err(redb::Error::from)?.map_or(0, |revision| revision.value());
        let spaces = open_spaces(&reading)?;
        Ok(View { generation: self.number, revision: Revision(revision), reading, spaces })
    }

    /// Closes the database without another write to the disk.
    pub(super) fn abandon(self) {
        // redb writes when it closes. After a failure that would race with the next opening.
        self.fence.close();
    }
}

/// A space whose first page is damaged is left out, so that the others can be read.
fn open_spaces(reading: &ReadTransaction) -> Result<PerSpace<Option<SpaceView>>, LayoutError> {
    PerSpace::build(|space| match guarded(|| reading.open_table(definition(space))) {
        Ok(table) => Ok(Some(table.map_err(redb::Error::from)?)),
        Err(Panicked::Damaged(_)) => Ok(None),
        Err(panicked) => Err(panicked.into()),
    })
}

/// The spaces of a transaction.
pub(super) fn open_for_write(writing: &WriteTransaction) -> Result<PerSpace<SpaceTable<'_>>, redb::TableError> {
    PerSpace::build(|space| writing.open_table(definition(space)))
}

/// Remembers the highest revision of the transaction.
pub(super) fn write_revision(writing: &WriteTransaction, revision: Revision) -> Result<(), redb::Error> {
    write_engine(writing, REVISION, revision.0)
}

/// Remembers the moment of the transaction.
pub(super) fn write_moment(writing: &WriteTransaction, moment: u64) -> Result<(), redb::Error> {
    write_engine(writing, MOMENT, moment)
}

fn write_engine(writing: &WriteTransaction, name: &str, number: u64) -> Result<(), redb::Error> {
    writing.open_table(ENGINE)?.insert(name, number)?;
    Ok(())
}

/// Every space at one moment. Keeps the pages of that moment from being written over.
pub(super) struct View {
    pub(super) generation: u64,
    pub(super) revision: Revision,
    reading: ReadTransaction,
    spaces: PerSpace<Option<SpaceView>>,
}

impl View {
    /// Whether the database answers anything at all, damage included.
    pub(super) fn lives(&self) -> bool {
        let answers = |space: &SpaceView| guarded(|| drop(space.get(b"".as_slice())));
        let mut spaces = Space::ALL.into_iter().filter_map(|space| self.spaces.of(space).as_ref());
        spaces.any(|space| !matches!(answers(space), Err(Panicked::Code)))
    }

    fn read<T>(
        &self,
        space: Space,
        read: impl FnOnce(&SpaceView) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        match self.spaces.of(space) {
            Some(table) => read(table),
            // It was damaged. If it is still, this does not return.
            None => match self.reading.open_table(definition(space)) {
                Ok(table) => read(&table),
                Err(redb::TableError::Storage(error)) => Err(error),
                Err(other) => Err(StorageError::Corrupted(other.to_string())),
            },
        }
    }

    pub(super) fn get(&self, space: Space, key: &[u8]) -> Result<Option<Record>, StorageError> {
        self.read(space, |table| table.get(key)?.map(|found| decode(found.value())).transpose())
    }

    /// The last record of a range.
    pub(super) fn last(&self, space: Space, from: &[u8], to: &[u8]) -> Result<Option<Entry>, StorageError> {
        self.read(space, |table| table.range::<&[u8]>(from..to)?.next_back().map(entry).transpose())
    }

    pub(super) fn scan(&self, space: Space, from: &[u8], to: &[u8], limit: usize) -> Result<Vec<Entry>, StorageError> {
        if from >= to {
            return Ok(Vec::new());
        }
        self.read(space, |table| table.range::<&[u8]>(from..to)?.take(limit).map(entry).collect())
    }
}

type Found<'a> = (AccessGuard<'a, &'static [u8]>, AccessGuard<'a, &'static [u8]>);

fn entry(found: Result<Found<'_>, StorageError>) -> Result<Entry, StorageError> {
    let (key, value) = found?;
    Ok((key.value().to_vec(), decode(value.value())?))
}

/// A record as it lies on disk.
pub(super) fn encode(revision: Revision, bytes: &[u8]) -> Vec<u8> {
    let mut stored = Vec::with_capacity(8 + bytes.len());
    stored.extend_from_slice(&revision.0.to_be_bytes());
    stored.extend_from_slice(bytes);
    stored
}

fn decode(stored: &[u8]) -> Result<Record, StorageError> {
    let (revision, bytes) = split(stored)?;
    Ok(Record { revision, bytes: Bytes::copy_from_slice(bytes) })
}

/// The revision of a stored record, without copying its bytes.
pub(super) fn revision_of(stored: &[u8]) -> Result<Revision, StorageError> {
    split(stored).map(|(revision, _)| revision)
}

fn split(stored: &[u8]) -> Result<(Revision, &[u8]), StorageError> {
    let too_short = || StorageError::Corrupted("a record is shorter than its revision".to_owned());
    let (revision, bytes) = stored.split_first_chunk().ok_or_else(too_short)?;
    Ok((Revision(u64::from_be_bytes(*revision)), bytes))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::engine::{Batch, CommitError, Engine, Expect, Observer, Op};
    use crate::store::engines::redb::{RedbEngine, RedbOptions};

    struct Nobody;

    impl Observer for Nobody {
        fn committed(&self, _: usize, _: usize, _: std::time::Duration) {}
        fn commit_failed(&self, _: usize) {}
    }

    /// A store of the first format has no table of tokens. It is opened with all that is in it, goes on counting its
    /// revisions, and takes tokens.
    #[tokio::test]
    async fn a_store_of_the_first_format_is_brought_up() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("old.redb");
        let database = Database::create(&path).unwrap();
        let writing = database.begin_write().unwrap();
        for space in Space::ALL.into_iter().filter(|space| *space != Space::Token) {
            writing.open_table(definition(space)).unwrap();
        }
        let put = encode(Revision(7), b"old");
        writing.open_table(definition(Space::Header)).unwrap().insert(b"key".as_slice(), put.as_slice()).unwrap();
        write_engine(&writing, FORMAT, 1).unwrap();
        write_engine(&writing, REVISION, 7).unwrap();
        writing.commit().unwrap();
        drop(database);
        for _ in 0..2 {
            let engine = RedbEngine::open(&RedbOptions::new(path.clone()), std::sync::Arc::new(Nobody)).unwrap();
            let snapshot = engine.snapshot().await.unwrap();
            let found = snapshot.get(Space::Header, b"key").await.unwrap().unwrap();
            assert_eq!((found.revision, found.bytes.as_ref()), (Revision(7), b"old".as_slice()));
            let batch = |expect| Batch {
                preconditions: vec![(Space::Token, b"token".to_vec(), expect)],
                ops: vec![Op::Put(Space::Token, b"token".to_vec(), b"new".to_vec())],
            };
            match engine.commit(batch(Expect::Absent)).await {
                Ok(revision) => assert_eq!(revision, Revision(8)),
                Err(error) => assert!(matches!(error, CommitError::Conflict), "{error}"),
            }
        }
        let database = Database::create(&path).unwrap();
        let format = database.begin_read().unwrap().open_table(ENGINE).unwrap().get(FORMAT).unwrap().unwrap().value();
        assert_eq!(format, FORMAT_NOW);
        let writing = database.begin_write().unwrap();
        write_engine(&writing, FORMAT, FORMAT_NOW + 1).unwrap();
        writing.commit().unwrap();
        drop(database);
        assert!(RedbEngine::open(&RedbOptions::new(path), std::sync::Arc::new(Nobody)).is_err(), "a layout to come");
    }
}
