//! What becomes of the batches of a group, before any of it is durable.
//!
//! Owns the judgement of preconditions and the order of changes. Always holds: a batch sees what
//! the batches before it have changed, durable or not yet; a batch that is refused changes nothing
//! and does not hurt its neighbours; every batch that applies gets a revision of its own; a batch
//! that meets something damaged is refused alone, before it is acknowledged. Never does: I/O but
//! reading, answering callers, or publishing a state.

use redb::StorageError;

use super::{
    cache::Touch,
    frame::Group,
    guard::guarded,
    recent::{Known, Recent},
    view::Under,
};
use crate::store::engine::{Batch, CommitError, Expect, Op, Record, Revision, Source, Space};

/// So many removals of one range are told to the cache key by key; more clear it.
const NAMED_REMOVALS: usize = 4096;

/// What becomes of one batch, once its group is durable.
pub(super) type Verdict = Result<Revision, CommitError>;

/// The state that batches are judged against: the newest one, durable or on its way.
#[derive(Clone)]
pub(super) struct Newest {
    pub(super) recent: Recent,
    /// The last commit in it.
    pub(super) revision: Revision,
}

/// A group that was judged.
pub(super) struct Judged {
    /// One for each batch, in their order.
    pub(super) verdicts: Vec<Verdict>,
    /// What has to become durable, if anything has.
    pub(super) group: Option<Group>,
    /// The state afterwards.
    pub(super) newest: Newest,
    /// What the cache must know.
    pub(super) touches: Vec<Touch>,
    /// How many changes there are.
    pub(super) operations: usize,
    /// How many batches were refused because what they touch is damaged.
    pub(super) damaged: usize,
}

/// Judges `batches`. `last` is the highest revision ever tried, and moves on.
///
/// # Errors
/// Where the database cannot be read.
pub(super) fn judge(
    under: &Under,
    newest: Newest,
    batches: Vec<Batch>,
    last: &mut Revision,
    moment: Option<u64>,
) -> Result<Judged, Source> {
    let mut state = State { under, newest, touches: Vec::new() };
    let (mut verdicts, mut applied) = (Vec::with_capacity(batches.len()), Vec::new());
    let (mut operations, mut damaged) = (0, 0);
    let previous = state.newest.revision;
    for batch in batches {
        let verdict = match guarded(|| state.admit(&batch)) {
            Ok(Ok(true)) => {
                *last = Revision(last.0 + 1);
                operations += batch.ops.len();
                state.apply(&batch.ops, *last);
                applied.push(batch.ops);
                Ok(*last)
            }
            Ok(Ok(false)) => Err(CommitError::Conflict),
            Ok(Err(error @ StorageError::Corrupted(_))) => Err(CommitError::Corrupt(error.into())),
            Ok(Err(error)) => return Err(error.into()),
            Err(panicked) => Err(CommitError::Corrupt(panicked.into())),
        };
        damaged += usize::from(matches!(verdict, Err(CommitError::Corrupt(_))));
        verdicts.push(verdict);
    }
    let first = verdicts.iter().find_map(|verdict| verdict.as_ref().ok().copied());
    let group = first.map(|first| Group { previous, first, batches: applied, moment });
    let State { newest, touches, .. } = state;
    Ok(Judged { verdicts, group, newest, touches, operations, damaged })
}

/// A group that changes nothing but the revision: a proof that the log takes writes.
pub(super) fn nothing(newest: &mut Newest, last: &mut Revision, moment: Option<u64>) -> Group {
    *last = Revision(last.0 + 1);
    let previous = std::mem::replace(&mut newest.revision, *last);
    Group { previous, first: *last, batches: vec![Vec::new()], moment }
}

struct State<'a> {
    under: &'a Under,
    newest: Newest,
    touches: Vec<Touch>,
}

impl State<'_> {
    /// Whether the preconditions hold, and all that the batch touches is sound: what is
    /// acknowledged must find its way into the database.
    fn admit(&self, batch: &Batch) -> Result<bool, StorageError> {
        for (space, key, expect) in &batch.preconditions {
            let as_expected = match expect {
                Expect::Absent => self.revision(*space, key)?.is_none(),
                Expect::At(read) => self.revision(*space, key)? == Some(*read),
                Expect::EmptyTo(to) => self.keys(*space, key, to, 1)?.is_empty(),
            };
            if !as_expected {
                return Ok(false);
            }
        }
        for op in &batch.ops {
            match op {
                Op::Put(space, key, _) | Op::Delete(space, key) => {
                    if self.under.base.aside.is_erased(*space, key) {
                        return Err(StorageError::Corrupted(
                            "it lies in a range that could not be removed".to_owned(),
                        ));
                    }
                    self.revision(*space, key)?;
                }
                Op::DeleteRange(space, from, to) => self.under.base.look(*space, from, to)?,
            }
        }
        Ok(true)
    }

    fn apply(&mut self, ops: &[Op], revision: Revision) {
        self.newest.revision = revision;
        for op in ops {
            match op {
                Op::Put(space, key, sealed) => {
                    let record = Record { revision, bytes: sealed.clone().into_bytes() };
                    self.touches.push(Touch::Put(*space, key.clone(), record));
                }
                Op::Delete(space, key) => {
                    self.touches.push(Touch::Deleted(*space, key.clone(), revision));
                }
                Op::DeleteRange(space, from, to) => {
                    let named = guarded(|| self.keys(*space, from, to, NAMED_REMOVALS + 1));
                    match named {
                        Ok(Ok(keys)) if keys.len() <= NAMED_REMOVALS => {
                            let gone = |key| Touch::Deleted(*space, key, revision);
                            self.touches.extend(keys.into_iter().map(gone));
                        }
                        _ => self.touches.push(Touch::Everything(revision)),
                    }
                }
            }
            self.newest.recent.apply(op.clone(), revision);
        }
    }

    fn revision(&self, space: Space, key: &[u8]) -> Result<Option<Revision>, StorageError> {
        match self.newest.recent.get(space, key) {
            Some(Known(record)) => Ok(record.map(|record| record.revision)),
            None => self.under.revision(space, key),
        }
    }

    fn keys(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
        limit: usize,
    ) -> Result<Vec<Vec<u8>>, StorageError> {
        self.under.keys(&self.newest.recent, space, from, to, limit)
    }
}
