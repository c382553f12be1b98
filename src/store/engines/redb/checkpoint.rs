//! Bringing the database up to date: many changes in one durable transaction.
//!
//! Always holds: the changes and the place in the log behind them become durable together. What
//! meets a damaged page is put aside in the same transaction, and never costs the others; what lay
//! aside before is tried again. Never does: give up a change.

use redb::{StorageError, TableError, WriteTransaction};

use super::{
    aside,
    guard::{Panicked, guarded},
    recent::Recent,
    stored::encode,
    tables::{Base, Generation, SpaceTable, Spaces, Standing, definition},
};
use crate::store::engine::{Op, Record, Revision, Source, Space};

/// A change that meets a damaged page.
enum Stuck {
    /// Every change to a space.
    Space(Space),
    /// To the record under a key.
    Record(Space, Vec<u8>),
    /// To the range that begins with a key.
    Range(Space, Vec<u8>),
}

/// Commits `changes`, what lies aside of `base`, and what the database says of itself from then on.
/// `base` is what the database has now.
///
/// # Errors
/// Where the storage fails; the changes may be there or not.
pub(super) fn bring_up(
    database: &Generation,
    base: &Base,
    changes: &Recent,
    standing: &Standing,
) -> Result<(), Source> {
    let changes = base.aside.with(changes);
    let mut aside = Recent::default();
    // Each further turn puts aside twice as many neighbours of what was met, so that there are few
    // turns, however much is damaged.
    let mut neighbours = 1;
    loop {
        let passed = guarded(|| -> Result<Option<Stuck>, redb::Error> {
            let writing = database.begin()?;
            if let Some(stuck) = apply(&writing, &changes, &aside)? {
                // In order: redb takes a transaction that ends in a panic for a reason to look at
                // every page when it is opened next.
                writing.abort()?;
                return Ok(Some(stuck));
            }
            if !aside.is_empty() || !base.aside.is_empty() {
                aside::write(&writing, &aside)?;
            }
            standing.write(&writing)?;
            writing.commit()?;
            Ok(None)
        });
        match passed?? {
            None => break,
            Some(stuck) => {
                if neighbours == 1 {
                    put_aside_unreadable(base, &changes, &mut aside);
                }
                stuck.put_aside(&changes, neighbours, &mut aside);
                neighbours *= 2;
            }
        }
    }
    if !aside.is_empty() {
        let records: usize = aside.spaces().map(|(_, changes)| changes.records().count()).sum();
        let ranges: usize = aside.spaces().map(|(_, changes)| changes.erased().count()).sum();
        tracing::error!(
            records,
            ranges,
            "changes that meet damaged pages of the database are kept aside in it"
        );
    }
    Ok(())
}

/// Puts aside every change that meets a damaged page already when that is read.
fn put_aside_unreadable(base: &Base, changes: &Recent, aside: &mut Recent) {
    for (space, of_space) in changes.spaces() {
        for (from, to) in of_space.erased() {
            if is_damage(&guarded(|| base.look(space, from, to))) {
                Stuck::Range(space, from.to_vec()).put_aside(changes, 1, aside);
            }
        }
        for (key, _) in of_space.records() {
            if is_damage(&guarded(|| base.revision(space, key))) {
                Stuck::Record(space, key.to_vec()).put_aside(changes, 1, aside);
            }
        }
    }
}

impl Stuck {
    /// Puts aside so many changes of its kind, itself the first of them; of a space, all.
    fn put_aside(&self, changes: &Recent, many: usize, aside: &mut Recent) {
        let (Self::Space(space) | Self::Record(space, _) | Self::Range(space, _)) = self;
        let Some(changes) = changes.of(*space) else { return };
        let (ranges, records) = match self {
            Self::Space(_) => (Some((&[][..], usize::MAX)), Some((&[][..], usize::MAX))),
            Self::Record(_, key) => (None, Some((key.as_slice(), many))),
            Self::Range(_, from) => (Some((from.as_slice(), many)), None),
        };
        if let Some((first, many)) = ranges {
            for (from, to) in changes.erased_from(first).take(many) {
                aside.erase(*space, from.to_vec(), to.to_vec());
                // What is newer than a range that is not removed yet lies over it.
                for (key, record) in changes.records_in(from, Some(to)) {
                    aside.set(*space, key.to_vec(), record.cloned());
                }
            }
        }
        if let Some((first, many)) = records {
            for (key, record) in changes.records_in(first, None).take(many) {
                aside.set(*space, key.to_vec(), record.cloned());
            }
        }
    }
}

/// Applies all changes but those that lie aside, or says which one meets damage.
fn apply(
    writing: &WriteTransaction,
    changes: &Recent,
    aside: &Recent,
) -> Result<Option<Stuck>, redb::Error> {
    for (space, changes) in changes.spaces() {
        let aside = aside.of(space);
        let is_whole = |from: &[u8]| !aside.is_some_and(|aside| aside.has_erased(from));
        let is_free = |key: &[u8]| aside.is_none_or(|aside| aside.get(key).is_none());
        let mut ranges = changes.erased().filter(|(from, _)| is_whole(from)).peekable();
        let mut records = changes.records().filter(|(key, _)| is_free(key)).peekable();
        if ranges.peek().is_none() && records.peek().is_none() {
            continue;
        }
        // What a panic leaves half-changed is this transaction, and that is given up.
        let opened = guarded(|| writing.open_table(definition(space)));
        let mut table = match opened {
            Ok(Err(TableError::Storage(StorageError::Corrupted(_)))) | Err(_) => {
                return Ok(Some(Stuck::Space(space)));
            }
            Ok(opened) => opened?,
        };
        for (from, to) in ranges {
            let removed = guarded(|| table.retain_in::<&[u8], _>(from..to, |_, _| false));
            if is_damage(&removed) {
                return Ok(Some(Stuck::Range(space, from.to_vec())));
            }
            removed.unwrap_or(Ok(()))?;
        }
        for (key, record) in records {
            let changed = guarded(|| put(&mut table, key, record));
            if is_damage(&changed) {
                return Ok(Some(Stuck::Record(space, key.to_vec())));
            }
            changed.unwrap_or(Ok(()))?;
        }
    }
    Ok(None)
}

/// Whether a change, or a read of what it is to change, has met a damaged page.
const fn is_damage<T>(outcome: &Result<Result<T, StorageError>, Panicked>) -> bool {
    matches!(outcome, Ok(Err(StorageError::Corrupted(_))) | Err(_))
}

fn put(
    table: &mut SpaceTable<'_>,
    key: &[u8],
    record: Option<&Record>,
) -> Result<(), StorageError> {
    match record {
        Some(record) => {
            let stored = encode(record.revision, &record.bytes);
            table.insert(key, stored.as_slice())?;
        }
        None => drop(table.remove(key)?),
    }
    Ok(())
}

/// Applies one change.
pub(super) fn change(
    spaces: &mut Spaces<SpaceTable<'_>>,
    op: &Op,
    revision: Revision,
) -> Result<(), StorageError> {
    match op {
        Op::Put(space, key, sealed) => {
            let stored = encode(revision, sealed.as_ref());
            spaces.of_mut(*space)?.insert(key.as_slice(), stored.as_slice())?;
        }
        Op::Delete(space, key) => {
            spaces.of_mut(*space)?.remove(key.as_slice())?;
        }
        Op::DeleteRange(space, from, to) if from < to => {
            let range = from.as_slice()..to.as_slice();
            spaces.of_mut(*space)?.retain_in::<&[u8], _>(range, |_, _| false)?;
        }
        Op::DeleteRange(..) => {}
    }
    Ok(())
}
