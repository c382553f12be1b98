//! Bringing the database up to date: many changes in one durable transaction.
//!
//! Always holds: the changes and the place in the log behind them become durable together. What
//! meets a damaged page is left out and told, and never costs the others. Never does: decide what
//! becomes of what was left out.

use std::cell::RefCell;

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
    let under_way = RefCell::new(None);
    let passed = guarded(|| -> Result<(), redb::Error> {
        let writing = database.begin()?;
        {
            let mut spaces = tables::open_for_write(&writing, &database.spaces)?;
            for (space, changes) in frozen.iter().flat_map(|frozen| frozen.recent.spaces()) {
                let table = spaces.of_mut(space)?;
                for (from, to) in changes.erased() {
                    let range = Stuck::Range(space, from.to_vec(), to.to_vec());
                    if !left_out.contains(&range) {
                        under_way.replace(Some(range));
                        table.retain_in::<&[u8], _>(from..to, |_, _| false)?;
                    }
                }
                for (key, record) in changes.records() {
                    if is_left_out(left_out, space, key) {
                        continue;
                    }
                    under_way.replace(Some(Stuck::Record(space, key.to_vec())));
                    match record {
                        Some(record) => {
                            let stored = tables::encode(record.revision, &record.bytes);
                            table.insert(key, stored.as_slice())?;
                        }
                        None => drop(table.remove(key)?),
                    }
                }
            }
        }
        under_way.replace(None);
        standing.write(&writing)?;
        Ok(writing.commit()?)
    });
    match (passed, under_way.into_inner()) {
        (Ok(Ok(())), _) => Ok(()),
        (Ok(Err(redb::Error::Corrupted(_))) | Err(_), Some(stuck)) => {
            Err(NotBroughtUp::Stuck(stuck))
        }
        (Ok(Err(error)), _) => Err(NotBroughtUp::Failed(error.into())),
        (Err(panicked), None) => Err(NotBroughtUp::Failed(panicked.into())),
    }
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
