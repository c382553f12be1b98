//! A change on its way into the store: announced to the audit trail, committed, and told how it
//! ended.
//!
//! Owns the one way by which what was decided is committed. Always holds: a change that is to be
//! announced does not happen before it was; its mark is stored with it, so that the store can tell
//! after a crash whether it has happened. Never does: decide, or try again.

use super::{
    Error,
    changes::ChangeName,
    scope::{Ended, Scope},
};
use crate::{
    auth::{Fate, Witness},
    crypto::Sealed,
    model::AuditMark,
    store::{
        engine::{Batch, CommitError, Op},
        kinds::{audit_mark, growth},
    },
};

/// A change, and who sees it; nobody where the server keeps its own house.
pub(super) struct Announced<'a> {
    name: ChangeName,
    witness: Option<&'a dyn Witness>,
    mark: Option<AuditMark>,
    fate: Fate,
}

/// What became of a commit that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Committed {
    /// It is stored.
    Stored,
    /// Somebody was faster: what it stood on is not so any more.
    Overtaken,
}

impl<'a> Announced<'a> {
    pub(super) const fn new(name: ChangeName, witness: Option<&'a dyn Witness>) -> Self {
        Self { name, witness, mark: None, fate: Fate::DidNotHappen }
    }

    /// Commits a batch, which was announced by then.
    ///
    /// # Errors
    /// `Error::Unwitnessed` where it could not be announced; `Error` where it is not stored, or
    /// nobody knows.
    pub(super) async fn commit(
        &mut self,
        scope: &Scope,
        mut batch: Batch,
    ) -> Result<Committed, Error> {
        if let Some(witness) = self.witness {
            let mark = match self.mark {
                Some(mark) => mark,
                None => *self.mark.insert(witness.announce(self.name.label()).await?),
            };
            let bytes = Sealed::public(audit_mark::encode(&mark));
            batch.ops.push(Op::Put(audit_mark::SPACE, audit_mark::key(&mark), bytes));
        }
        self.fate = Fate::Unknown;
        let growth = growth::said(&batch.ops);
        let committed = scope.engine().commit(batch).await;
        let (fate, ended) = match committed {
            Ok(_) => (Fate::Happened, Ended::Committed),
            Err(CommitError::Conflict) => (Fate::DidNotHappen, Ended::Overtaken),
            Err(CommitError::OutcomeUnknown(_)) => (Fate::Unknown, Ended::Failed),
            Err(_) => (Fate::DidNotHappen, Ended::Failed),
        };
        self.fate = fate;
        scope.count(self.name, ended);
        match committed {
            Ok(revision) => {
                if let Some(growth) = growth {
                    scope.counts().happened(revision, growth);
                }
                Ok(Committed::Stored)
            }
            Err(CommitError::Conflict) => Ok(Committed::Overtaken),
            Err(error) => Err(error.into()),
        }
    }
}

impl Drop for Announced<'_> {
    fn drop(&mut self) {
        if let (Some(witness), Some(mark)) = (self.witness, self.mark) {
            witness.ended(mark, self.fate);
        }
    }
}

impl Scope {
    /// The marks of changes that have happened, and that a chain has announced behind a record.
    ///
    /// # Errors
    /// `Error` where the store cannot be read.
    pub(super) async fn announced_behind(
        &self,
        chain: [u8; 8],
        seq: u64,
    ) -> Result<Vec<AuditMark>, Error> {
        let (first, end) = audit_mark::of_chain(chain);
        let snapshot = self.engine().snapshot().await?;
        // There is one for each place at most.
        let all = snapshot.scan(audit_mark::SPACE, &first, &end, usize::from(u16::MAX)).await?;
        let marks = all.iter().filter_map(|(key, record)| audit_mark::decode(key, &record.bytes));
        Ok(marks.filter(|mark| mark.seq > seq).collect())
    }

    /// Forgets marks.
    ///
    /// # Errors
    /// `Error` where the store takes no change.
    pub(super) async fn forget_marks(&self, marks: &[AuditMark]) -> Result<(), Error> {
        let gone = marks.iter().map(|mark| Op::Delete(audit_mark::SPACE, audit_mark::key(mark)));
        let batch = Batch::of(gone.collect());
        self.engine().commit(batch).await?;
        Ok(())
    }

    /// Whether the change has happened of which this is the mark.
    ///
    /// # Errors
    /// `Error` where the store cannot be read.
    pub(super) async fn has_happened(&self, mark: &AuditMark) -> Result<bool, Error> {
        let snapshot = self.engine().snapshot().await?;
        let key = audit_mark::key(mark);
        let found = snapshot.get(audit_mark::SPACE, &key).await?;
        let found = found.and_then(|record| audit_mark::decode(&key, &record.bytes));
        Ok(found.is_some_and(|found| (found.seq, found.hash) == (mark.seq, mark.hash)))
    }

    /// Whether these changes have happened, of which nobody knew: for good, as something is committed
    /// behind them first. Until then the engine may not know itself.
    ///
    /// # Errors
    /// `Error` where the store takes no change, or cannot be read.
    pub(super) async fn settle(&self, marks: &[AuditMark]) -> Result<Vec<bool>, Error> {
        let Some(some) = marks.first() else { return Ok(Vec::new()) };
        // No change has this place.
        self.forget_marks(&[AuditMark { slot: u16::MAX, ..*some }]).await?;
        let mut happened = Vec::with_capacity(marks.len());
        for mark in marks {
            happened.push(self.has_happened(mark).await?);
        }
        Ok(happened)
    }
}
