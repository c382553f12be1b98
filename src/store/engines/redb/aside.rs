//! Changes that cannot find their way into the database, as they meet damaged pages of it.
//!
//! Owns two tables of the database in which they are kept, beside those of the spaces. Always
//! holds: they become durable together with the place in the log behind them, so that the log need
//! not keep them; whoever reads the database sees them over it; a range that lies here has every
//! newer record of it here, too. What lies here was acknowledged before the damage was found, or is
//! under the same keys: nothing new is taken into a range that could not be removed. A list that
//! leads over such a range still meets the damaged page, and fails. Never does: decide what meets
//! damage.

use redb::{ReadTransaction, ReadableTable, TableDefinition, TableError, WriteTransaction};

use super::{
    recent::Recent,
    stored::{decode, encode},
};
use crate::store::engine::Space;

/// By a space's name and a key: a record as it lies on disk, or that there is none.
const RECORDS: TableDefinition<'_, (&str, &[u8]), Option<&[u8]>> =
    TableDefinition::new("aside, records");
/// By a space's name and the first key of a range of which nothing older is left: the key behind
/// it.
const RANGES: TableDefinition<'_, (&str, &[u8]), &[u8]> = TableDefinition::new("aside, ranges");

/// What the database keeps aside of some spaces.
pub(super) fn read(reading: &ReadTransaction, spaces: &[Space]) -> Result<Recent, redb::Error> {
    let mut aside = Recent::default();
    let of = |name: &str| spaces.iter().find(|space| space.name() == name).copied();
    if let Some(ranges) = found(reading.open_table(RANGES))? {
        for range in ranges.iter()? {
            let (from, to) = range?;
            if let (Some(space), key) = (of(from.value().0), from.value().1) {
                aside.erase(space, key.to_vec(), to.value().to_vec());
            }
        }
    }
    if let Some(records) = found(reading.open_table(RECORDS))? {
        for record in records.iter()? {
            let (key, stored) = record?;
            if let (Some(space), key) = (of(key.value().0), key.value().1) {
                aside.set(space, key.to_vec(), stored.value().map(decode).transpose()?);
            }
        }
    }
    Ok(aside)
}

/// Keeps these, and nothing that was kept before.
pub(super) fn write(writing: &WriteTransaction, aside: &Recent) -> Result<(), redb::Error> {
    writing.delete_table(RANGES)?;
    writing.delete_table(RECORDS)?;
    if aside.is_empty() {
        return Ok(());
    }
    let (mut ranges, mut records) = (writing.open_table(RANGES)?, writing.open_table(RECORDS)?);
    for (space, changes) in aside.spaces() {
        for (from, to) in changes.erased() {
            ranges.insert((space.name(), from), to)?;
        }
        for (key, record) in changes.records() {
            let stored = record.map(|record| encode(record.revision, &record.bytes));
            records.insert((space.name(), key), stored.as_deref())?;
        }
    }
    Ok(())
}

/// A table, if there is one.
fn found<T>(table: Result<T, TableError>) -> Result<Option<T>, TableError> {
    match table {
        Ok(table) => Ok(Some(table)),
        Err(TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error),
    }
}
