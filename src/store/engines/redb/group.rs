//! Many batches in one transaction.
//!
//! Owns the judgement of preconditions and the order of changes. Always holds: a batch sees what the batches
//! before it in the group have changed; a batch that is refused changes nothing and does not hurt its neighbours;
//! every batch that applies gets a revision of its own. Never does: answer callers, or publish a state.

use redb::{ReadableTable, StorageError, WriteTransaction};

use super::{
    cache::Touch,
    tables::{self, Generation, PerSpace, SpaceTable},
};
use crate::store::engine::{Batch, CommitError, Expect, Op, Record, Revision, Source, Space};

/// So many removals of one range are told to the cache key by key; more clear it.
const NAMED_REMOVALS: usize = 4096;

/// What became of one batch in a group that is durable.
pub(super) type Verdict = Result<Revision, CommitError>;

/// A group that is durable.
pub(super) struct Committed {
    /// One for each batch, in their order.
    pub(super) verdicts: Vec<Verdict>,
    /// What the cache must know.
    pub(super) touches: Vec<Touch>,
    /// How many changes became durable.
    pub(super) operations: usize,
}

/// A group that failed as a whole.
pub(super) enum Failed {
    /// Before the commit began: nothing was changed.
    Before(Source),
    /// In the commit: it may be durable or not.
    Within(Source),
}

impl From<redb::Error> for Failed {
    fn from(error: redb::Error) -> Self {
        Self::Before(error.into())
    }
}

/// Applies the batches and commits once. `last` is the highest revision ever tried, and moves on.
pub(super) fn commit(database: &Generation, batches: Vec<Batch>, last: &mut Revision) -> Result<Committed, Failed> {
    // Batches that met a damaged record. They are left out, and the others are tried again without them.
    let mut damaged: Vec<(usize, Source)> = Vec::new();
    loop {
        let writing = database.begin()?;
        let skip = |index: usize| damaged.iter().any(|(other, _)| *other == index);
        match apply(&writing, &batches, skip, last) {
            Ok(applied) => {
                if applied.iter().any(Applied::changes) {
                    tables::write_revision(&writing, *last)?;
                    writing.commit().map_err(|error| Failed::Within(error.into()))?;
                } else {
                    writing.abort().map_err(redb::Error::from)?;
                }
                return Ok(conclude(batches, applied, damaged));
            }
            Err((Some(index), StorageError::Corrupted(what))) if !skip(index) => {
                writing.abort().map_err(redb::Error::from)?;
                damaged.push((index, what.into()));
            }
            Err((_, error)) => return Err(Failed::Before(error.into())),
        }
    }
}

/// Commits nothing but a new revision: a proof that the storage takes writes.
pub(super) fn commit_nothing(database: &Generation, revision: Revision) -> Result<(), redb::Error> {
    let writing = database.begin()?;
    tables::write_revision(&writing, revision)?;
    Ok(writing.commit()?)
}

/// What became of one batch in the transaction.
enum Applied {
    /// It changes what it says, and for each of its range removals here are the keys, unless they are too many.
    Done(Revision, Vec<Option<Vec<Vec<u8>>>>),
    Conflict,
    Skipped,
}

impl Applied {
    const fn changes(&self) -> bool {
        matches!(self, Self::Done(..))
    }
}

fn apply(
    writing: &WriteTransaction,
    batches: &[Batch],
    skip: impl Fn(usize) -> bool,
    last: &mut Revision,
) -> Result<Vec<Applied>, (Option<usize>, StorageError)> {
    let opening = |error: redb::TableError| match error {
        redb::TableError::Storage(error) => error,
        // The tables were made when the database was new, with these types.
        other => StorageError::Corrupted(other.to_string()),
    };
    let mut spaces = tables::open_for_write(writing).map_err(|error| (None, opening(error)))?;
    let apply_one = |(index, batch): (usize, &Batch)| {
        if skip(index) {
            return Ok(Applied::Skipped);
        }
        if !holds(&spaces, batch).map_err(|error| (Some(index), error))? {
            return Ok(Applied::Conflict);
        }
        *last = Revision(last.0 + 1);
        let removed = change(&mut spaces, batch, *last).map_err(|error| (Some(index), error))?;
        Ok(Applied::Done(*last, removed))
    };
    batches.iter().enumerate().map(apply_one).collect()
}

fn holds(spaces: &PerSpace<SpaceTable<'_>>, batch: &Batch) -> Result<bool, StorageError> {
    for (space, key, expect) in &batch.preconditions {
        let found = spaces.of(*space).get(key.as_slice())?;
        let found = found.map(|stored| tables::revision_of(stored.value())).transpose()?;
        let as_expected = match expect {
            Expect::Absent => found.is_none(),
            Expect::At(revision) => found == Some(*revision),
        };
        if !as_expected {
            return Ok(false);
        }
    }
    Ok(true)
}

fn change(
    spaces: &mut PerSpace<SpaceTable<'_>>,
    batch: &Batch,
    revision: Revision,
) -> Result<Vec<Option<Vec<Vec<u8>>>>, StorageError> {
    let mut removed = Vec::new();
    for op in &batch.ops {
        match op {
            Op::Put(space, key, bytes) => {
                let stored = tables::encode(revision, bytes);
                spaces.of_mut(*space).insert(key.as_slice(), stored.as_slice())?;
            }
            Op::Delete(space, key) => {
                spaces.of_mut(*space).remove(key.as_slice())?;
            }
            Op::DeleteRange(space, from, to) => removed.push(remove_range(spaces.of_mut(*space), from, to)?),
        }
    }
    Ok(removed)
}

/// Says which keys it removed, unless they are too many.
fn remove_range(table: &mut SpaceTable<'_>, from: &[u8], to: &[u8]) -> Result<Option<Vec<Vec<u8>>>, StorageError> {
    let mut keys = Some(Vec::new());
    if from < to {
        table.retain_in::<&[u8], _>(from..to, |key, _| {
            if keys.as_ref().is_some_and(|keys| keys.len() >= NAMED_REMOVALS) {
                keys = None;
            }
            if let Some(keys) = &mut keys {
                keys.push(key.to_vec());
            }
            false
        })?;
    }
    Ok(keys)
}

fn conclude(batches: Vec<Batch>, applied: Vec<Applied>, mut damaged: Vec<(usize, Source)>) -> Committed {
    let mut concluded = Committed { verdicts: Vec::new(), touches: Vec::new(), operations: 0 };
    for (index, (batch, applied)) in batches.into_iter().zip(applied).enumerate() {
        let verdict = match applied {
            Applied::Done(revision, removed) => {
                concluded.operations += batch.ops.len();
                touch(&mut concluded.touches, batch.ops, revision, removed);
                Ok(revision)
            }
            Applied::Conflict => Err(CommitError::Conflict),
            Applied::Skipped => {
                let at = damaged.iter().position(|(other, _)| *other == index);
                let why = at.map(|at| damaged.swap_remove(at).1);
                Err(CommitError::Unavailable(why.unwrap_or_else(|| "a record is damaged".into())))
            }
        };
        concluded.verdicts.push(verdict);
    }
    concluded
}

fn touch(touches: &mut Vec<Touch>, ops: Vec<Op>, revision: Revision, removed: Vec<Option<Vec<Vec<u8>>>>) {
    let mut removed = removed.into_iter();
    let gone = |space: Space| move |key| Touch::Deleted(space, key, revision);
    for op in ops {
        match op {
            Op::Put(space, key, bytes) => touches.push(Touch::Put(space, key, Record { revision, bytes })),
            Op::Delete(space, key) => touches.push(Touch::Deleted(space, key, revision)),
            Op::DeleteRange(space, ..) => match removed.next().flatten() {
                Some(keys) => touches.extend(keys.into_iter().map(gone(space))),
                None => touches.push(Touch::Everything(revision)),
            },
        }
    }
}
