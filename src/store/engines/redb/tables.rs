//! The database as the engine lays it out: one table a space, and one for the engine itself.
//!
//! Owns the encoding of a record on disk: its revision, 8 bytes big-endian, then its bytes. Always
//! holds: the engine's table carries the highest revision of every durable commit and its moment,
//! written in the same transaction. Never does: concurrency, or a decision about failures.

use bytes::Bytes;
use redb::{
    AccessGuard, Builder, Database, ReadOnlyTable, ReadTransaction, ReadableDatabase,
    StorageBackend, StorageError, Table, TableDefinition, WriteTransaction,
};

use super::{
    backend::Fence,
    guard::{Panicked, guarded},
};
use crate::store::engine::{Entry, Record, Revision, Source, Space};

/// The engine's own table: what it must remember of itself.
pub(super) const ENGINE: TableDefinition<'_, &str, u64> = TableDefinition::new("engine");
pub(super) const FORMAT: &str = "format";
pub(super) const REVISION: &str = "revision";
/// The latest moment that a commit bore.
const MOMENT: &str = "moment";
/// The layout that this code writes and reads.
pub(super) const FORMAT_NOW: u64 = 3;
/// The layouts that are brought up to it when they are opened.
const FORMATS_BEFORE: std::ops::Range<u64> = 1..FORMAT_NOW;

type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;
/// A space in a snapshot.
pub(super) type SpaceView = ReadOnlyTable<&'static [u8], &'static [u8]>;
/// A space in a transaction.
pub(super) type SpaceTable<'txn> = Table<'txn, &'static [u8], &'static [u8]>;

pub(super) const fn definition(space: Space) -> Definition {
    TableDefinition::new(space.name())
}

/// Something for each of some spaces.
pub(super) struct Spaces<T>(Vec<(Space, T)>);

impl<T> Spaces<T> {
    fn build<E>(spaces: &[Space], mut make: impl FnMut(Space) -> Result<T, E>) -> Result<Self, E> {
        spaces.iter().map(|space| Ok((*space, make(*space)?))).collect::<Result<_, _>>().map(Self)
    }

    pub(super) fn of(&self, space: Space) -> Result<&T, StorageError> {
        self.0
            .iter()
            .find(|(other, _)| *other == space)
            .map(|(_, it)| it)
            .ok_or_else(|| unknown(space))
    }

    pub(super) fn of_mut(&mut self, space: Space) -> Result<&mut T, StorageError> {
        self.0
            .iter_mut()
            .find(|(other, _)| *other == space)
            .map(|(_, it)| it)
            .ok_or_else(|| unknown(space))
    }
}

fn unknown(space: Space) -> StorageError {
    StorageError::Corrupted(format!("this store has no space {}", space.name()))
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
    #[error("the file has layout {0}, and could not be brought up to layout {FORMAT_NOW}: {1}")]
    Upgrade(u64, #[source] Source),
}

/// One opening of the database. A failure ends it, and the next opening has a new number.
pub(super) struct Generation {
    /// First, so that it is closed before the fence is gone.
    pub(super) database: Database,
    fence: Fence,
    pub(super) number: u64,
    pub(super) spaces: Vec<Space>,
}

/// How a database is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// There is nothing in it.
    New,
    /// As this code writes it.
    Now,
    /// As an earlier one did, in this format.
    Past(u64),
}

impl Generation {
    /// Opens the database, makes one if the storage is empty, and returns when its header is
    /// durable.
    pub(super) fn open(
        backend: impl StorageBackend,
        fence: Fence,
        cache_bytes: usize,
        number: u64,
        spaces: &[Space],
    ) -> Result<Self, LayoutError> {
        let database = Builder::new()
            .set_cache_size(cache_bytes)
            .create_with_backend(backend)
            .map_err(redb::Error::from)?;
        Ok(Self { database, fence, number, spaces: spaces.to_vec() })
    }

    /// How the database is laid out.
    ///
    /// # Errors
    /// `Format` for a layout that is to come.
    pub(super) fn layout(&self) -> Result<Layout, LayoutError> {
        let reading = self.database.begin_read().map_err(redb::Error::from)?;
        match reading.open_table(ENGINE) {
            Ok(engine) => {
                match engine.get(FORMAT).map_err(redb::Error::from)?.map(|format| format.value()) {
                    Some(FORMAT_NOW) => Ok(Layout::Now),
                    Some(before) if FORMATS_BEFORE.contains(&before) => Ok(Layout::Past(before)),
                    other => Err(LayoutError::Format(other.unwrap_or_default())),
                }
            }
            Err(redb::TableError::TableDoesNotExist(_)) => Ok(Layout::New),
            Err(error) => Err(LayoutError::Redb(error.into())),
        }
    }

    /// A transaction whose commit is durable, and leaves a database that opens at once after a
    /// crash.
    pub(super) fn begin(&self) -> Result<WriteTransaction, redb::Error> {
        // Durability::Immediate is redb's default, and the only one that this engine uses.
        let mut writing = self.database.begin_write()?;
        writing.set_quick_repair(true);
        Ok(writing)
    }

    /// The latest moment that a commit bore.
    pub(super) fn moment(&self) -> Result<Option<u64>, redb::Error> {
        Ok(self
            .database
            .begin_read()?
            .open_table(ENGINE)?
            .get(MOMENT)?
            .map(|moment| moment.value()))
    }

    /// The newest committed state.
    pub(super) fn view(&self) -> Result<View, LayoutError> {
        let reading = self.database.begin_read().map_err(redb::Error::from)?;
        let revision = read_revision(&reading)?;
        let spaces = open_spaces(&reading, &self.spaces)?;
        Ok(View { generation: self.number, revision, reading, spaces })
    }

    /// Closes the database without another write to the disk.
    pub(super) fn abandon(self) {
        // redb writes when it closes. After a failure that would race with the next opening.
        self.fence.close();
    }
}

/// A space whose first page is damaged is left out, so that the others can be read.
fn open_spaces(
    reading: &ReadTransaction,
    spaces: &[Space],
) -> Result<Spaces<Option<SpaceView>>, LayoutError> {
    Spaces::build(spaces, |space| match guarded(|| reading.open_table(definition(space))) {
        Ok(table) => Ok(Some(table.map_err(redb::Error::from)?)),
        Err(Panicked::Damaged(_)) => Ok(None),
        Err(panicked) => Err(panicked.into()),
    })
}

/// These spaces in a transaction.
pub(super) fn open_for_write<'txn>(
    writing: &'txn WriteTransaction,
    spaces: &[Space],
) -> Result<Spaces<SpaceTable<'txn>>, redb::TableError> {
    Spaces::build(spaces, |space| writing.open_table(definition(space)))
}

/// The highest revision of all commits.
pub(super) fn read_revision(reading: &ReadTransaction) -> Result<Revision, redb::Error> {
    Ok(Revision(reading.open_table(ENGINE)?.get(REVISION)?.map_or(0, |revision| revision.value())))
}

/// Remembers the highest revision of the transaction.
pub(super) fn write_revision(
    writing: &WriteTransaction,
    revision: Revision,
) -> Result<(), redb::Error> {
    write_engine(writing, REVISION, revision.0)
}

/// Remembers the moment of the transaction.
pub(super) fn write_moment(writing: &WriteTransaction, moment: u64) -> Result<(), redb::Error> {
    write_engine(writing, MOMENT, moment)
}

pub(super) fn write_engine(
    writing: &WriteTransaction,
    name: &str,
    number: u64,
) -> Result<(), redb::Error> {
    writing.open_table(ENGINE)?.insert(name, number)?;
    Ok(())
}

/// Every space at one moment. Keeps the pages of that moment from being written over.
pub(super) struct View {
    pub(super) generation: u64,
    pub(super) revision: Revision,
    reading: ReadTransaction,
    spaces: Spaces<Option<SpaceView>>,
}

impl View {
    /// Whether the database answers anything at all, damage included.
    pub(super) fn lives(&self) -> bool {
        let answers = |space: &SpaceView| guarded(|| drop(space.get(b"".as_slice())));
        let mut spaces = self.spaces.0.iter().filter_map(|(_, space)| space.as_ref());
        spaces.any(|space| !matches!(answers(space), Err(Panicked::Code)))
    }

    fn read<T>(
        &self,
        space: Space,
        read: impl FnOnce(&SpaceView) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        match self.spaces.of(space)? {
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
    pub(super) fn last(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
    ) -> Result<Option<Entry>, StorageError> {
        self.read(space, |table| table.range::<&[u8]>(from..to)?.next_back().map(entry).transpose())
    }

    pub(super) fn scan(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> Result<Vec<Entry>, StorageError> {
        if from >= to {
            return Ok(Vec::new());
        }
        self.read(space, |table| table.range::<&[u8]>(from..to)?.take(limit).map(entry).collect())
    }
}

type Stored<'a> = (AccessGuard<'a, &'static [u8]>, AccessGuard<'a, &'static [u8]>);

fn entry(found: Result<Stored<'_>, StorageError>) -> Result<Entry, StorageError> {
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

pub(super) fn decode(stored: &[u8]) -> Result<Record, StorageError> {
    let (revision, bytes) = split(stored)?;
    Ok(Record { revision, bytes: Bytes::copy_from_slice(bytes) })
}

/// The revision of a stored record, without copying its bytes.
pub(super) fn revision_of(stored: &[u8]) -> Result<Revision, StorageError> {
    split(stored).map(|(revision, _)| revision)
}

pub(super) fn split(stored: &[u8]) -> Result<(Revision, &[u8]), StorageError> {
    let too_short = || StorageError::Corrupted("a record is shorter than its revision".to_owned());
    let (revision, bytes) = stored.split_first_chunk().ok_or_else(too_short)?;
    Ok((Revision(u64::from_be_bytes(*revision)), bytes))
}
