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
    frame::{self, Group},
    guard::guarded,
    look::{Found, Looked, NAMED},
    recent::{Known, Recent},
    view::Under,
};
use crate::store::engine::{Batch, CommitError, Expect, Op, Record, Revision, Source, Space};

/// What becomes of one batch, once its group is durable.
pub(super) type Verdict = Result<Revision, CommitError>;

/// The state that batches are judged against: the newest one, durable or on its way.
#[derive(Clone)]
pub(super) struct Newest {
    pub(super) recent: Recent,
    /// The last commit in it.
    pub(super) revision: Revision,
}

/// A group that is judged, batch after batch.
pub(super) struct Judged {
    /// One for each batch, in their order.
    pub(super) verdicts: Vec<Verdict>,
    /// The state afterwards.
    pub(super) newest: Newest,
    /// What the cache must know.
    pub(super) touches: Vec<Touch>,
    /// How many changes there are.
    pub(super) operations: usize,
    /// How many batches were refused because what they touch is damaged.
    pub(super) damaged: usize,
    /// The last revision before the group, and its own first one, if a batch has applied.
    previous: Revision,
    first: Option<Revision>,
    /// The changes of those that have, and the same as they go into the log.
    applied: Vec<Vec<Op>>,
    encoded: Vec<u8>,
}

impl Judged {
    /// A group that comes behind `newest`.
    pub(super) fn new(newest: Newest) -> Self {
        Self {
            verdicts: Vec::new(),
            previous: newest.revision,
            newest,
            touches: Vec::new(),
            operations: 0,
            damaged: 0,
            first: None,
            applied: Vec::new(),
            encoded: frame::room(),
        }
    }

    /// Judges `batches`, each with a look at what it removes. `last` is the highest revision ever tried, and moves on; nothing else
    /// moves it while a group is judged.
    ///
    /// # Errors
    /// Where the database cannot be read.
    pub(super) fn judge(
        &mut self,
        under: &Under,
        batches: Vec<(Batch, Looked)>,
        last: &mut Revision,
    ) -> Result<(), Source> {
        for (mut batch, looked) in batches {
            let state = State { under, newest: &self.newest };
            let preconditions = std::mem::take(&mut batch.preconditions);
            let revision = Revision(last.0 + 1);
            let ops = batch.placed(revision);
            let verdict = match guarded(|| state.admit(&preconditions, &ops)) {
                Ok(Ok(true)) => match looked.found {
                    Found::Unreadable(error) => return Err(error),
                    Found::Damaged(error) => Err(CommitError::Corrupt(error)),
                    Found::Named(_) | Found::Many => {
                        *last = revision;
                        self.apply(under, ops, &looked, revision);
                        Ok(revision)
                    }
                },
                Ok(Ok(false)) => Err(CommitError::Conflict),
                Ok(Err(error @ StorageError::Corrupted(_))) => {
                    Err(CommitError::Corrupt(error.into()))
                }
                Ok(Err(error)) => return Err(error.into()),
                Err(panicked) => Err(CommitError::Corrupt(panicked.into())),
            };
            self.damaged += usize::from(matches!(verdict, Err(CommitError::Corrupt(_))));
            self.verdicts.push(verdict);
        }
        Ok(())
    }

    fn apply(&mut self, under: &Under, ops: Vec<Op>, looked: &Looked, revision: Revision) {
        frame::encode(&mut self.encoded, &ops);
        self.first.get_or_insert(revision);
        self.newest.revision = revision;
        self.operations += ops.len();
        for op in &ops {
            State { under, newest: &self.newest }.touched(op, looked, revision, &mut self.touches);
            self.newest.recent.apply(op.clone(), revision);
        }
        self.applied.push(ops);
    }

    /// How long the frame of what has applied will be.
    pub(super) fn frame_len(&self) -> u64 {
        frame::length(&self.encoded)
    }

    /// What has to become durable, if anything has, and its bytes.
    pub(super) fn group(&mut self, moment: Option<u64>) -> Option<(Group, Vec<u8>)> {
        let batches = std::mem::take(&mut self.applied);
        let group = Group { previous: self.previous, first: self.first?, batches, moment };
        Some((group, std::mem::take(&mut self.encoded)))
    }
}

/// A group that changes nothing but the revision: a proof that the log takes writes.
pub(super) fn nothing(newest: &mut Newest, last: &mut Revision, moment: Option<u64>) -> Group {
    *last = Revision(last.0 + 1);
    let previous = std::mem::replace(&mut newest.revision, *last);
    Group { previous, first: *last, batches: vec![Vec::new()], moment }
}

/// What a batch is judged against.
struct State<'a> {
    under: &'a Under,
    newest: &'a Newest,
}

impl State<'_> {
    /// Whether the preconditions hold, and all that the batch touches is sound: what is
    /// acknowledged must find its way into the database.
    fn admit(
        &self,
        preconditions: &[(Space, Vec<u8>, Expect)],
        ops: &[Op],
    ) -> Result<bool, StorageError> {
        for (space, key, expect) in preconditions {
            let as_expected = match expect {
                Expect::Absent => self.revision(*space, key)?.is_none(),
                Expect::At(read) => self.revision(*space, key)? == Some(*read),
                Expect::EmptyTo(to) => self.keys(*space, key, to, 1)?.is_empty(),
            };
            if !as_expected {
                return Ok(false);
            }
        }
        for op in ops {
            match op {
                Op::Put(space, key, _) | Op::Delete(space, key) => {
                    if self.under.base.aside.is_erased(*space, key) {
                        return Err(StorageError::Corrupted(
                            "it lies in a range that could not be removed".to_owned(),
                        ));
                    }
                    self.revision(*space, key)?;
                }
                Op::DeleteRange(..) => {}
            }
        }
        Ok(true)
    }

    /// What the cache must know of a change.
    fn touched(&self, op: &Op, looked: &Looked, revision: Revision, touches: &mut Vec<Touch>) {
        match op {
            Op::Put(space, key, sealed) => {
                let record = Record { revision, bytes: sealed.clone().into_bytes() };
                touches.push(Touch::Put(*space, key.clone(), record));
            }
            Op::Delete(space, key) => touches.push(Touch::Deleted(*space, key.clone(), revision)),
            Op::DeleteRange(space, from, to) => match self.removed(*space, from, to, looked) {
                Some(keys) => {
                    let gone = |key: &[u8]| Touch::Deleted(*space, key.to_vec(), revision);
                    touches.extend(keys.into_iter().map(gone));
                }
                None => touches.push(Touch::Everything(revision)),
            },
        }
    }

    /// The keys that there are in a range, and maybe some that there were; `None` for too many.
    fn removed<'a>(
        &'a self,
        space: Space,
        from: &'a [u8],
        to: &'a [u8],
        looked: &'a Looked,
    ) -> Option<Vec<&'a [u8]>> {
        let Found::Named(named) = &looked.found else { return None };
        // What has gone into the database since the look has no name.
        if looked.base != self.under.base.standing.revision {
            return None;
        }
        if from >= to {
            return Some(Vec::new());
        }
        let in_base = named.range((space, from.to_vec())..(space, to.to_vec()));
        let frozen = self.under.frozen.as_ref().map(|frozen| &frozen.recent);
        let layers = [Some(&self.under.base.aside), frozen, Some(&self.newest.recent)];
        let changes = layers.into_iter().flatten().filter_map(|layer| layer.of(space));
        let in_memory = changes.flat_map(|changes| changes.records_in(from, Some(to)));
        let keys = in_base.map(|(_, key)| key.as_slice()).chain(in_memory.map(|(key, _)| key));
        let keys: Vec<_> = keys.take(NAMED + 1).collect();
        (keys.len() <= NAMED).then_some(keys)
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
