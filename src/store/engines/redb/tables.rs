//! The database as the engine lays it out: one table a space, and one for the engine itself.
//!
//! Always holds: the engine's table says up to which commit and which place in the log the database has
//! everything, written in the same transaction as that. Never does: concurrency, or a decision about failures.

use redb::{
    Builder, Database, ReadOnlyTable, ReadTransaction, ReadableDatabase, StorageBackend,
    StorageError, Table, TableDefinition, WriteTransaction,
};

use uuid::Uuid;

use super::{
    aside,
    backend::Fence,
    guard::{Panicked, guarded},
    recent::{Direction, Recent, Walk},
    stored::{decode, split},
};
use crate::store::engine::{Record, Revision, Source, Space};

/// The engine's own table: what it must remember of itself.
pub(super) const ENGINE: TableDefinition<'_, &str, u64> = TableDefinition::new("engine");
pub(super) const FORMAT: &str = "format";
pub(super) const REVISION: &str = "revision";
/// The latest moment that a commit bore.
const MOMENT: &str = "moment";
/// The two halves of the store's own number.
const STORE: [&str; 2] = ["store, low", "store, high"];
const OPENING: &str = "opening";
const RUN: &str = "run";
const POSITION: &str = "log position";
const TAIL: &str = "log tail";
const CLOSED: &str = "closed";
/// The layout that this code writes and reads.
pub(super) const FORMAT_NOW: u64 = 5;
/// The first layout whose records are today's; it had no log.
pub(super) const FORMAT_WITHOUT_LOG: u64 = 3;
/// The first layout with a log. Its records are today's, but programs that know no other read secrets
/// that have ended as if they had not.
pub(super) const FORMAT_WITHOUT_ENDS: u64 = 4;
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

/// What a database says of itself, and of its log.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    /// Random, made with the store.
    pub(super) store: u128,
    /// How often it was opened.
    pub(super) opening: u64,
    /// Random, made anew with every opening: what went on from two copies of one store differs.
    pub(super) run: u64,
    /// The last commit that the database has.
    pub(super) revision: Revision,
    /// Its moment.
    pub(super) moment: Option<u64>,
    /// Where the log goes on behind it.
    pub(super) position: u64,
    /// Where the last frame of the log before that begins; the same place where there is none.
    pub(super) tail: u64,
    /// Whether the log has nothing more that was acknowledged.
    pub(super) is_closed: bool,
}

impl Standing {
    fn read(reading: &ReadTransaction) -> Result<Self, redb::Error> {
        let engine = reading.open_table(ENGINE)?;
        let number = |name| Ok::<_, redb::Error>(engine.get(name)?.map(|number| number.value()));
        let [low, high] = STORE;
        let half = |name| Ok::<_, redb::Error>(u128::from(number(name)?.unwrap_or_default()));
        let position = number(POSITION)?.unwrap_or_default();
        Ok(Self {
            store: half(low)? | half(high)? << 64,
            opening: number(OPENING)?.unwrap_or_default(),
            run: number(RUN)?.unwrap_or_default(),
            revision: Revision(number(REVISION)?.unwrap_or_default()),
            moment: number(MOMENT)?,
            position,
            tail: number(TAIL)?.unwrap_or(position),
            // An earlier layout had no log.
            is_closed: number(CLOSED)?.is_none_or(|closed| closed > 0),
        })
    }

    /// Of the next opening.
    pub(super) fn next(self) -> Self {
        let [run, _] = halves(Uuid::new_v4().as_u128());
        Self { opening: self.opening + 1, run, is_closed: false, ..self }
    }

    /// Remembers this in a transaction.
    pub(super) fn write(&self, writing: &WriteTransaction) -> Result<(), redb::Error> {
        let mut engine = writing.open_table(ENGINE)?;
        let [low, high] = halves(self.store);
        let numbers = [
            (OPENING, self.opening),
            (RUN, self.run),
            (REVISION, self.revision.0),
            (POSITION, self.position),
            (TAIL, self.tail),
            (CLOSED, u64::from(self.is_closed)),
        ];
        for (name, number) in STORE.into_iter().zip([low, high]).chain(numbers) {
            engine.insert(name, number)?;
        }
        if let Some(moment) = self.moment {
            engine.insert(MOMENT, moment)?;
        }
        Ok(())
    }
}

/// The lower and the upper half of a store's number.
pub(super) fn halves(number: u128) -> [u64; 2] {
    [number, number >> 64]
        .map(|half| u64::try_from(half & u128::from(u64::MAX)).unwrap_or_default())
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

    /// The newest committed state.
    pub(super) fn base(&self) -> Result<Base, LayoutError> {
        let reading = self.database.begin_read().map_err(redb::Error::from)?;
        let standing = Standing::read(&reading)?;
        let aside = aside::read(&reading, &self.spaces)?;
        let spaces = open_spaces(&reading, &self.spaces)?;
        Ok(Base { generation: self.number, standing, aside, reading, spaces })
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

/// What the database says of itself in this transaction.
pub(super) fn standing(reading: &ReadTransaction) -> Result<Standing, redb::Error> {
    match reading.open_table(ENGINE) {
        Ok(_) => Standing::read(reading),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(Standing {
            store: 0,
            opening: 0,
            run: 0,
            revision: Revision(0),
            moment: None,
            position: 0,
            tail: 0,
            is_closed: true,
        }),
        Err(error) => Err(error.into()),
    }
}

pub(super) fn write_engine(
    writing: &WriteTransaction,
    name: &str,
    number: u64,
) -> Result<(), redb::Error> {
    writing.open_table(ENGINE)?.insert(name, number)?;
    Ok(())
}

/// Keys, and what is told of each.
pub(super) type Entries<'a, T> = Box<dyn Walk<T> + 'a>;

/// Every space as the database had it at one moment. Keeps the pages of that moment from being
/// written over.
pub(super) struct Base {
    pub(super) generation: u64,
    pub(super) standing: Standing,
    /// What lies over the spaces, as it could not be written into them.
    pub(super) aside: Recent,
    reading: ReadTransaction,
    spaces: Spaces<Option<SpaceView>>,
}

impl Base {
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

    /// The revision of the record under a key.
    pub(super) fn revision(
        &self,
        space: Space,
        key: &[u8],
    ) -> Result<Option<Revision>, StorageError> {
        self.read(space, |table| {
            table.get(key)?.map(|found| split(found.value()).map(|(it, _)| it)).transpose()
        })
    }

    /// Looks at every page that has something with `from <= key < to`, for as long as `note` takes
    /// the next key and the length of what is under it. Whether that was all.
    pub(super) fn look(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        mut note: impl FnMut(&[u8], usize) -> bool,
    ) -> Result<bool, StorageError> {
        if from >= to {
            return Ok(true);
        }
        self.read(space, |table| {
            for found in table.range::<&[u8]>(from..to)? {
                let (key, value) = found?;
                if !note(key.value(), value.value().len()) {
                    return Ok(false);
                }
            }
            Ok(true)
        })
    }

    /// The entries with `from <= key < to`, and what `tell` makes of what is stored under each.
    pub(super) fn entries<T: 'static>(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        direction: Direction,
        tell: fn(&[u8]) -> Result<T, StorageError>,
    ) -> Entries<'_, T> {
        let (from, to) = (from.to_vec(), to.to_vec());
        let mut entries = Stored { base: self, space, from, to, direction, tell, left: None };
        entries.left = entries.range();
        Box::new(entries)
    }
}

/// The entries of a space.
struct Stored<'a, T> {
    base: &'a Base,
    space: Space,
    from: Vec<u8>,
    to: Vec<u8>,
    direction: Direction,
    tell: fn(&[u8]) -> Result<T, StorageError>,
    left: Left,
}

/// What is left of them, or why it cannot be told.
type Left = Option<Result<redb::Range<'static, &'static [u8], &'static [u8]>, StorageError>>;

impl<T> Stored<'_, T> {
    fn range(&self) -> Left {
        let range = self.from.as_slice()..self.to.as_slice();
        let read = || self.base.read(self.space, |table| table.range::<&[u8]>(range));
        (self.from < self.to).then(read)
    }
}

impl<T> Iterator for Stored<'_, T> {
    type Item = Result<(Vec<u8>, T), StorageError>;

    fn next(&mut self) -> Option<Self::Item> {
        let found = match (self.left.as_mut()?, self.direction) {
            (Ok(range), Direction::Up) => range.next()?,
            (Ok(range), Direction::Down) => range.next_back()?,
            (Err(_), _) => return self.left.take().and_then(Result::err).map(Err),
        };
        let told =
            found.and_then(|(key, value)| Ok((key.value().to_vec(), (self.tell)(value.value())?)));
        Some(told)
    }
}

impl<T> Walk<T> for Stored<'_, T> {
    fn pass(&mut self, from: &[u8], to: &[u8]) {
        match self.direction {
            Direction::Up => self.from = to.to_vec(),
            Direction::Down => self.to = from.to_vec(),
        }
        self.left = self.range();
    }
}
