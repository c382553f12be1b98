//! Many batches in one transaction.
//!
//! Owns the judgement of preconditions and the order of changes. Always holds: a batch sees what
//! the batches before it in the group have changed; a batch that is refused changes nothing and
//! does not hurt its neighbours; every batch that applies gets a revision of its own; a batch that
//! meets something damaged is refused alone. Never does: answer callers, or publish a state.

use redb::{ReadableTable, StorageError, WriteTransaction};

use super::{
    cache::Touch,
    guard::guarded,
    tables::{self, Generation, SpaceTable, Spaces},
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
    /// How many batches were refused because what they touch is damaged.
    pub(super) damaged: usize,
}

/// A group that failed as a whole.
pub(super) enum NotCommitted {
    /// Before the commit began: nothing was changed.
    Before(Source),
    /// In the commit: it may be durable or not.
    Within(Source),
}

impl From<redb::Error> for NotCommitted {
    fn from(error: redb::Error) -> Self {
        Self::Before(error.into())
    }
}

/// Applies the batches and commits once. `last` is the highest revision ever tried, and moves on;
/// the commit bears the moment `at`.
pub(super) fn commit(
    database: &Generation,
    batches: Vec<Batch>,
    last: &mut Revision,
    at: Option<u64>,
) -> Result<Committed, NotCommitted> {
    // Batches that met something damaged. They are left out, and the others are tried again without
    // them.
    let mut damaged: Vec<(usize, Source)> = Vec::new();
    loop {
        let skip = |index: usize| damaged.iter().any(|(other, _)| *other == index);
        let mut reached = *last;
        let passed = guarded(|| -> Result<_, NotCommitted> {
            let writing = database.begin()?;
            match apply(&writing, &database.spaces, &batches, skip, &mut reached) {
                Ok(applied) if applied.iter().any(Applied::changes) => {
                    tables::write_revision(&writing, reached)?;
                    if let Some(moment) = at {
                        tables::write_moment(&writing, moment)?;
                    }
                    Ok(Passed::Whole(applied, Some(Box::new(writing))))
                }
                Ok(applied) => {
                    writing.abort().map_err(redb::Error::from)?;
                    Ok(Passed::Whole(applied, None))
                }
                Err(Stopped::At(index, why)) => {
                    writing.abort().map_err(redb::Error::from)?;
                    Ok(Passed::Without(index, why))
                }
                Err(Stopped::Whole(error)) => Err(error.into()),
            }
        });
        *last = reached;
        match passed.map_err(|panicked| NotCommitted::Before(panicked.into()))?? {
            Passed::Whole(applied, writing) => {
                if let Some(writing) = writing {
                    let within = |error: Source| NotCommitted::Within(error);
                    guarded(|| writing.commit())
                        .map_err(|error| within(error.into()))?
                        .map_err(|e| within(e.into()))?;
                }
                return Ok(conclude(batches, applied, damaged));
            }
            Passed::Without(index, why) => damaged.push((index, why)),
        }
    }
}

/// What became of one try of a group.
enum Passed {
    /// Nothing stands in its way; there is a transaction if anything changes.
    Whole(Vec<Applied>, Option<Box<WriteTransaction>>),
    /// This batch met something damaged, and nothing was changed.
    Without(usize, Source),
}

/// Why a transaction stopped.
enum Stopped {
    /// This batch met something damaged.
    At(usize, Source),
    /// The storage failed.
    Whole(redb::Error),
}

/// Commits nothing but a new revision: a proof that the storage takes writes.
pub(super) fn commit_nothing(database: &Generation, revision: Revision) -> Result<(), redb::Error> {
    let writing = database.begin()?;
    tables::write_revision(&writing, revision)?;
    Ok(writing.commit()?)
}

/// What became of one batch in the transaction.
enum Applied {
    /// It changes what it says, and for each of its range removals here are the keys, unless they
    /// are too many.
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
    spaces: &[Space],
    batches: &[Batch],
    skip: impl Fn(usize) -> bool,
    last: &mut Revision,
) -> Result<Vec<Applied>, Stopped> {
    let mut spaces =
        tables::open_for_write(writing, spaces).map_err(|error| Stopped::Whole(error.into()))?;
    let mut apply_one = |batch: &Batch| -> Result<Applied, StorageError> {
        if !holds(&spaces, batch)? {
            return Ok(Applied::Conflict);
        }
        *last = Revision(last.0 + 1);
        Ok(Applied::Done(*last, change(&mut spaces, &batch.ops, *last)?))
    };
    let mut applied = Vec::with_capacity(batches.len());
    for (index, batch) in batches.iter().enumerate() {
        // What a panic leaves half-changed is this transaction, and that is given up.
        applied.push(match skip(index).then_some(Applied::Skipped) {
            Some(skipped) => skipped,
            None => match guarded(|| apply_one(batch)) {
                Ok(Ok(applied)) => applied,
                Ok(Err(error @ StorageError::Corrupted(_))) => {
                    return Err(Stopped::At(index, error.into()));
                }
                Ok(Err(error)) => return Err(Stopped::Whole(error.into())),
                Err(panicked) => return Err(Stopped::At(index, panicked.into())),
            },
        });
    }
    Ok(applied)
}

fn holds(spaces: &Spaces<SpaceTable<'_>>, batch: &Batch) -> Result<bool, StorageError> {
    for (space, key, expect) in &batch.preconditions {
        let space = spaces.of(*space)?;
        let revision = || match space.get(key.as_slice())? {
            Some(stored) => tables::revision_of(stored.value()).map(Some),
            None => Ok(None),
        };
        let as_expected = match expect {
            Expect::Absent => revision()?.is_none(),
            Expect::At(read) => revision()? == Some(*read),
            Expect::EmptyTo(to) if key < to => {
                space.range::<&[u8]>(key.as_slice()..to.as_slice())?.next().transpose()?.is_none()
            }
            Expect::EmptyTo(_) => true,
        };
        if !as_expected {
            return Ok(false);
        }
    }
    Ok(true)
}

/// Applies changes in their order, and says which keys each range lost.
pub(super) fn change(
    spaces: &mut Spaces<SpaceTable<'_>>,
    ops: &[Op],
    revision: Revision,
) -> Result<Vec<Option<Vec<Vec<u8>>>>, StorageError> {
    let mut removed = Vec::new();
    for op in ops {
        match op {
            Op::Put(space, key, sealed) => {
                let stored = tables::encode(revision, sealed.as_ref());
                spaces.of_mut(*space)?.insert(key.as_slice(), stored.as_slice())?;
            }
            Op::Delete(space, key) => {
                spaces.of_mut(*space)?.remove(key.as_slice())?;
            }
            Op::DeleteRange(space, from, to) => {
                removed.push(remove_range(spaces.of_mut(*space)?, from, to)?);
            }
        }
    }
    Ok(removed)
}

/// Says which keys it removed, unless they are too many.
fn remove_range(
    table: &mut SpaceTable<'_>,
    from: &[u8],
    to: &[u8],
) -> Result<Option<Vec<Vec<u8>>>, StorageError> {
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

fn conclude(
    batches: Vec<Batch>,
    applied: Vec<Applied>,
    mut damaged: Vec<(usize, Source)>,
) -> Committed {
    let mut concluded =
        Committed { verdicts: Vec::new(), touches: Vec::new(), operations: 0, damaged: 0 };
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
                concluded.damaged += 1;
                Err(CommitError::Corrupt(why.unwrap_or_else(|| "a record is damaged".into())))
            }
        };
        concluded.verdicts.push(verdict);
    }
    concluded
}

fn touch(
    touches: &mut Vec<Touch>,
    ops: Vec<Op>,
    revision: Revision,
    removed: Vec<Option<Vec<Vec<u8>>>>,
) {
    let mut removed = removed.into_iter();
    let gone = |space: Space| move |key| Touch::Deleted(space, key, revision);
    for op in ops {
        match op {
            Op::Put(space, key, sealed) => {
                touches.push(Touch::Put(
                    space,
                    key,
                    Record { revision, bytes: sealed.into_bytes() },
                ));
            }
            Op::Delete(space, key) => touches.push(Touch::Deleted(space, key, revision)),
            Op::DeleteRange(space, ..) => match removed.next().flatten() {
                Some(keys) => touches.extend(keys.into_iter().map(gone(space))),
                None => touches.push(Touch::Everything(revision)),
            },
        }
    }
}
