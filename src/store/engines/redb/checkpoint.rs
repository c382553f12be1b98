//! Bringing the database up to date: many changes in one durable transaction.
//!
//! Always holds: the changes and the place in the log behind them become durable together. What
//! meets a damaged page is left out and told, and never costs the others. Never does: decide what
//! becomes of what was left out.

use redb::StorageError;

use super::{
    guard::guarded,
    tables::{self, Generation, SpaceTable, Spaces, Standing},
    view::Frozen,
};
use crate::store::engine::{Op, Revision, Source, Space};

/// A change that does not find its way into the database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stuck {
    /// To the record under a key.
    Record(Space, Vec<u8>),
    /// To a range.
    Range(Space, Vec<u8>, Vec<u8>),
}

/// Why the database was not brought up to date.
pub(super) enum NotBroughtUp {
    /// This change met a damaged page, and nothing was changed.
    Stuck(Stuck),
    /// The storage failed; the changes may be there or not.
    Failed(Source),
}

/// Commits the changes of `frozen` but for those in `left_out`, and what the database says of
/// itself from then on.
pub(super) fn bring_up(
    database: &Generation,
    frozen: Option<&Frozen>,
    standing: &Standing,
    left_out: &[Stuck],
) -> Result<(), NotBroughtUp> {
    let passed = guarded(|| -> Result<Option<Stuck>, redb::Error> {
        let writing = database.begin()?;
        let stuck = {
            let mut spaces = tables::open_for_write(&writing, &database.spaces)?;
            apply(&mut spaces, frozen, left_out)?
        };
        if stuck.is_some() {
            // In order: redb takes a transaction that ends in a panic for a reason to look at every
            // page when it is opened next.
            writing.abort()?;
            return Ok(stuck);
        }
        standing.write(&writing)?;
        writing.commit()?;
        Ok(None)
    });
    match passed {
        Ok(Ok(None)) => Ok(()),
        Ok(Ok(Some(stuck))) => Err(NotBroughtUp::Stuck(stuck)),
        Ok(Err(error)) => Err(NotBroughtUp::Failed(error.into())),
        Err(panicked) => Err(NotBroughtUp::Failed(panicked.into())),
    }
}

/// Applies all changes, or says which one meets damage.
fn apply(
    spaces: &mut Spaces<SpaceTable<'_>>,
    frozen: Option<&Frozen>,
    left_out: &[Stuck],
) -> Result<Option<Stuck>, StorageError> {
    for (space, changes) in frozen.iter().flat_map(|frozen| frozen.recent.spaces()) {
        let table = spaces.of_mut(space)?;
        for (from, to) in changes.erased() {
            let range = Stuck::Range(space, from.to_vec(), to.to_vec());
            if left_out.contains(&range) {
                continue;
            }
            // What a panic leaves half-changed is this transaction, and that is given up.
            match guarded(|| table.retain_in::<&[u8], _>(from..to, |_, _| false)) {
                Ok(Ok(())) => {}
                Ok(Err(StorageError::Corrupted(_))) | Err(_) => return Ok(Some(range)),
                Ok(Err(error)) => return Err(error),
            }
        }
        for (key, record) in changes.records() {
            if is_left_out(left_out, space, key) {
                continue;
            }
            let change = || -> Result<(), StorageError> {
                match record {
                    Some(record) => {
                        let stored = tables::encode(record.revision, &record.bytes);
                        table.insert(key, stored.as_slice())?;
                    }
                    None => drop(table.remove(key)?),
                }
                Ok(())
            };
            match guarded(change) {
                Ok(Ok(())) => {}
                Ok(Err(StorageError::Corrupted(_))) | Err(_) => {
                    return Ok(Some(Stuck::Record(space, key.to_vec())));
                }
                Ok(Err(error)) => return Err(error),
            }
        }
    }
    Ok(None)
}

fn is_left_out(left_out: &[Stuck], space: Space, key: &[u8]) -> bool {
    left_out.iter().any(|stuck| {
        matches!(stuck, Stuck::Record(other, of) if *other == space && of.as_slice() == key)
    })
}

/// Applies one change.
pub(super) fn change(
    spaces: &mut Spaces<SpaceTable<'_>>,
    op: &Op,
    revision: Revision,
) -> Result<(), StorageError> {
    match op {
        Op::Put(space, key, sealed) => {
            let stored = tables::encode(revision, sealed.as_ref());
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
