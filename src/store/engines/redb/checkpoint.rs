//! Bringing the database up to date: many changes in one durable transaction.
//!
//! Always holds: the changes and the place in the log behind them become durable together. What
//! meets a damaged page is put aside in the same transaction, and never costs the others; what lay
//! aside before is tried again. Never does: give up a change.

use redb::{StorageError, WriteTransaction};

use super::{
    aside,
    guard::{Panicked, guarded},
    recent::{Changes, Recent},
    stored::encode,
    tables::{Base, Generation, SpaceTable, Spaces, Standing, definition},
};
use crate::store::engine::{Op, Revision, Source, Space};

/// A change that meets a damaged page.
enum Stuck {
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
    let mut aside = PutAside::default();
    loop {
        let passed = guarded(|| -> Result<Option<Stuck>, redb::Error> {
            let writing = database.begin()?;
            if let Some(stuck) = apply(&writing, &changes, &aside.changes)? {
                // In order: redb takes a transaction that ends in a panic for a reason to look at
                // every page when it is opened next.
                writing.abort()?;
                return Ok(Some(stuck));
            }
            if !aside.changes.is_empty() || !base.aside.is_empty() {
                aside::write(&writing, &aside.changes)?;
            }
            standing.write(&writing)?;
            writing.commit()?;
            Ok(None)
        });
        match passed?? {
            None => break,
            Some(stuck) => {
                // Once: each turn puts something aside.
                if aside.changes.is_empty() {
                    aside.put_unreadable(base, &changes);
                }
                aside.put_met(&changes, stuck);
            }
        }
    }
    let aside = aside.changes;
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

/// What is put aside, turn by turn.
#[derive(Default)]
struct PutAside {
    changes: Recent,
    /// The record that comes behind those that were put aside last, and how many they were.
    behind: Option<(Space, Vec<u8>)>,
    many: usize,
}

impl PutAside {
    /// Puts aside every change that meets a damaged page already when that is read: so there are
    /// few turns.
    fn put_unreadable(&mut self, base: &Base, changes: &Recent) {
        for (space, of_space) in changes.spaces() {
            for (from, to) in of_space.erased() {
                if is_damage(&guarded(|| base.look(space, from, to, |_, _| true))) {
                    self.put_range(space, of_space, from, to);
                }
            }
            for (key, record) in of_space.records() {
                if is_damage(&guarded(|| base.revision(space, key))) {
                    self.changes.set(space, key.to_vec(), record.cloned());
                }
            }
        }
    }

    /// Puts aside what was met by writing alone: a page beside its own. As long as one record after
    /// the other meets it, twice as many at once.
    fn put_met(&mut self, changes: &Recent, stuck: Stuck) {
        match stuck {
            Stuck::Range(space, first) => {
                let of_space = changes.of(space);
                let range = of_space.and_then(|of_space| of_space.erased_from(&first).next());
                if let (Some(of_space), Some((from, to))) = (of_space, range) {
                    self.put_range(space, of_space, from, to);
                }
            }
            Stuck::Record(space, first) => {
                let goes_on = self
                    .behind
                    .as_ref()
                    .is_some_and(|(other, key)| *other == space && *key == first);
                self.many = if goes_on { self.many * 2 } else { 1 };
                let Some(of_space) = changes.of(space) else { return };
                let mut records = of_space
                    .records_in(&first, None)
                    .filter(|(key, _)| self.changes.get(space, key).is_none());
                let put: Vec<_> = records.by_ref().take(self.many).collect();
                self.behind = records.next().map(|(key, _)| (space, key.to_vec()));
                for (key, record) in put {
                    self.changes.set(space, key.to_vec(), record.cloned());
                }
            }
        }
    }

    /// Puts aside a range, and what is newer than that and lies over it.
    fn put_range(&mut self, space: Space, changes: &Changes, from: &[u8], to: &[u8]) {
        self.changes.erase(space, from.to_vec(), to.to_vec());
        for (key, record) in changes.records_in(from, Some(to)) {
            self.changes.set(space, key.to_vec(), record.cloned());
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
        let mut table = writing.open_table(definition(space))?;
        // What a panic leaves half-changed is this transaction, and that is given up.
        for (from, to) in changes.erased().filter(|(from, _)| is_whole(from)) {
            let removed = guarded(|| erase(&mut table, from, to));
            if is_damage(&removed) {
                return Ok(Some(Stuck::Range(space, from.to_vec())));
            }
            removed.unwrap_or(Ok(()))?;
        }
        for (key, record) in changes.records().filter(|(key, _)| is_free(key)) {
            let record = record.map(|record| (record.revision, record.bytes.as_ref()));
            let changed = guarded(|| set(&mut table, key, record));
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

/// Writes a record, or removes what is there.
fn set(
    table: &mut SpaceTable<'_>,
    key: &[u8],
    record: Option<(Revision, &[u8])>,
) -> Result<(), StorageError> {
    match record {
        Some((revision, bytes)) => {
            table.insert(key, encode(revision, bytes).as_slice())?;
        }
        None => drop(table.remove(key)?),
    }
    Ok(())
}

/// Removes every record of a range whose first key is less than the one behind it.
fn erase(table: &mut SpaceTable<'_>, from: &[u8], to: &[u8]) -> Result<(), StorageError> {
    table.retain_in::<&[u8], _>(from..to, |_, _| false)
}

/// Applies one change.
pub(super) fn change(
    spaces: &mut Spaces<SpaceTable<'_>>,
    op: &Op,
    revision: Revision,
) -> Result<(), StorageError> {
    match op {
        Op::Put(space, key, sealed) => {
            set(spaces.of_mut(*space)?, key, Some((revision, sealed.as_ref())))
        }
        Op::Delete(space, key) => set(spaces.of_mut(*space)?, key, None),
        Op::DeleteRange(space, from, to) if from < to => erase(spaces.of_mut(*space)?, from, to),
        Op::DeleteRange(..) => Ok(()),
    }
}
