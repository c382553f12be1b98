//! The engine contract: what any key-value store must offer to stand under okmsd.
//!
//! Owns the vocabulary ([`Space`], [`Record`], [`Batch`], [`Expect`]) and the two traits. Always
//! holds: a [`Snapshot`] is consistent; a commit is all or nothing and durable when it returns; a
//! commit whose fate is not known says so. Nothing here assumes one process or one writer:
//! revisions are the engine's, and a precondition is checked where the write happens. Never does:
//! encryption, key layout, retries.

use std::{fmt, future::Future, pin::Pin, sync::Arc};

use bytes::Bytes;

use crate::crypto::Sealed;

/// A boxed future, so that engines can be chosen at run time.
pub type Fut<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A named, ordered key space. [`crate::store::kinds::SPACES`] has all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Space(&'static str);

impl Space {
    /// The space of this name, which has no NUL in it and never changes.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }

    /// The name of the space, and of its table on disk.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.0
    }
}

/// Identifies one write of one record: two records with the same key and revision hold the same
/// bytes. Revisions grow with every commit and are never used again, deletes and restarts included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Revision(pub u64);

/// A stored record: sealed bytes and the revision that wrote them. Cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// When it was written, in the engine's own counting.
    pub revision: Revision,
    /// The bytes as they were put.
    pub bytes: Bytes,
}

impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Record({:?}, {} bytes)", self.revision, self.bytes.len())
    }
}

/// What must be under a key for a batch to apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// No record.
    Absent,
    /// The record still has the revision that was read.
    At(Revision),
    /// No record, nor under any key from this one up to that.
    EmptyTo(Vec<u8>),
}

/// One change within a batch. Changes apply in order.
#[derive(Clone, PartialEq, Eq)]
pub enum Op {
    /// Writes a record, replacing what was there.
    Put(Space, Vec<u8>, Sealed),
    /// Removes a record, if there is one.
    Delete(Space, Vec<u8>),
    /// Removes every record with `from <= key < to`.
    DeleteRange(Space, Vec<u8>, Vec<u8>),
}

impl Op {
    /// What the change takes in a queue or in a log, in bytes: its key and its value, and a little
    /// for what else must be told of it.
    #[must_use]
    pub fn weight(&self) -> usize {
        let bytes = match self {
            Self::Put(_, key, value) => key.len() + value.len(),
            Self::Delete(_, key) => key.len(),
            Self::DeleteRange(_, from, to) => from.len() + to.len(),
        };
        bytes + 32
    }
}

impl fmt::Debug for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (name, space) = match self {
            Self::Put(space, ..) => ("Put", space),
            Self::Delete(space, ..) => ("Delete", space),
            Self::DeleteRange(space, ..) => ("DeleteRange", space),
        };
        write!(f, "{name}({space:?})")
    }
}

/// Changes that apply together, or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// All must hold, judged against the state just before the batch.
    pub preconditions: Vec<(Space, Vec<u8>, Expect)>,
    /// What to change.
    pub ops: Vec<Op>,
    /// What is written behind all that other batches have written so before.
    pub appended: Vec<Append>,
}

/// A record whose key is known when its batch applies: the commit's revision follows the prefix, in 8 bytes,
/// big-endian. So the records below a prefix are in the order of their commits, and whoever has read up to one has
/// missed none before it.
#[derive(Clone, PartialEq, Eq)]
pub struct Append {
    /// Where to.
    pub space: Space,
    /// What its key begins with. A batch has no two alike.
    pub prefix: Vec<u8>,
    /// What is written.
    pub value: Sealed,
}

impl Append {
    /// The key of what was appended below a prefix by a commit.
    #[must_use]
    pub fn key(prefix: &[u8], revision: Revision) -> Vec<u8> {
        [prefix, &revision.0.to_be_bytes()].concat()
    }

    /// It, in the commit of this revision.
    fn placed(self, revision: Revision) -> Op {
        Op::Put(self.space, Self::key(&self.prefix, revision), self.value)
    }

    /// As [`Op::weight`].
    fn weight(&self) -> usize {
        self.prefix.len() + size_of::<Revision>() + self.value.len() + 32
    }
}

impl fmt::Debug for Append {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Append({:?})", self.space)
    }
}

impl Batch {
    /// These changes, whatever there is.
    #[must_use]
    pub const fn of(ops: Vec<Op>) -> Self {
        Self { preconditions: Vec::new(), ops, appended: Vec::new() }
    }

    /// All that the batch changes, in the commit of this revision.
    #[must_use]
    pub fn placed(self, revision: Revision) -> Vec<Op> {
        let mut ops = self.ops;
        ops.extend(self.appended.into_iter().map(|append| append.placed(revision)));
        ops
    }

    /// The bytes that the batch brings along. An engine bounds its queue by them.
    #[must_use]
    pub fn weight(&self) -> usize {
        let ops = self.ops.iter().map(Op::weight);
        let preconditions = self.preconditions.iter().map(|(_, key, expect)| match expect {
            Expect::Absent | Expect::At(_) => key.len(),
            Expect::EmptyTo(to) => key.len() + to.len(),
        });
        let appended = self.appended.iter().map(Append::weight);
        ops.sum::<usize>() + preconditions.sum::<usize>() + appended.sum::<usize>()
    }
}

/// A read that could not be answered.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The engine cannot read now.
    #[error("the store cannot be read: {0}")]
    Unavailable(#[source] Source),
    /// What is on disk is not what was written.
    #[error("the store is damaged: {0}")]
    Corrupt(#[source] Source),
}

/// A commit that was not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum CommitError {
    /// A precondition did not hold. Nothing was changed.
    #[error("a record changed since it was read")]
    Conflict,
    /// Too much waits already. Nothing was changed.
    #[error("the write queue is full")]
    Overloaded,
    /// The engine does not take writes now. Nothing was changed.
    #[error("the store does not take writes: {0}")]
    Unavailable(#[source] Source),
    /// What the write has to touch is damaged. Nothing was changed, and other writes go on.
    #[error("what the write touches is damaged: {0}")]
    Corrupt(#[source] Source),
    /// The write failed half-way: it may be durable or not. Never retry it silently.
    #[error("the outcome of the write is not known: {0}")]
    OutcomeUnknown(#[source] Source),
}

/// What lies beneath an engine's error.
pub type Source = Box<dyn std::error::Error + Send + Sync>;

/// A key and what is stored under it.
pub type Entry = (Vec<u8>, Record);

/// A part of a read.
#[derive(Clone, Copy, Debug)]
pub enum Read<'a> {
    /// The record under a key.
    Key(Space, &'a [u8]),
    /// The last record with `from <= key < to`.
    Last(Space, &'a [u8], &'a [u8]),
}

/// What a part of a read has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Under which key, where it was not asked for by that.
    pub key: Option<Vec<u8>>,
    /// The record.
    pub record: Record,
}

/// What each part of a read has found, in the order of the parts. One whose record is damaged fails
/// alone, with [`ReadError::Corrupt`].
pub type Parts = Vec<Result<Option<Found>, ReadError>>;

/// A commit, as the feed tells it: what was touched, and nothing of what it was or became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Its revision.
    pub revision: Revision,
    /// The moment that it bore, in nanoseconds since 1970, if it bore one.
    pub moment: Option<u64>,
    /// What it touched, in the order of its changes.
    pub touched: Vec<Touched>,
}

impl Change {
    /// That of these changes.
    pub fn of<'a>(
        revision: Revision,
        moment: Option<u64>,
        ops: impl IntoIterator<Item = &'a Op>,
    ) -> Self {
        let touched = |op: &Op| match op {
            Op::Put(space, key, _) => Touched::Put(*space, key.clone()),
            Op::Delete(space, key) => Touched::Deleted(*space, key.clone()),
            Op::DeleteRange(space, from, to) => {
                Touched::DeletedRange(*space, from.clone(), to.clone())
            }
        };
        Self { revision, moment, touched: ops.into_iter().map(touched).collect() }
    }
}

/// What a commit touched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Touched {
    /// A record was written.
    Put(Space, Vec<u8>),
    /// A record was removed, if there was one.
    Deleted(Space, Vec<u8>),
    /// Every record with `from <= key < to` was removed.
    DeletedRange(Space, Vec<u8>, Vec<u8>),
}

/// Some changes, in the order of their revisions. Whoever follows shares them: each commit is told to all of them.
pub type Changes = Vec<Arc<Change>>;

/// Changes that cannot be told.
#[derive(Debug, thiserror::Error)]
pub enum ChangesError {
    /// They are no longer here, or are of another history: read everything again, and follow from
    /// the revision that a snapshot showed before.
    #[error("the changes after that revision are no longer known: list again")]
    TooOld,
}

/// A consistent view of every space at one moment, for what one read cannot tell.
pub trait Snapshot: Send + Sync {
    /// The revision of the last commit in it: all up to that are, and none after it.
    fn revision(&self) -> Revision;

    /// Reads all parts, in one go.
    fn read<'a>(&'a self, parts: &'a [Read<'a>]) -> Fut<'a, Result<Parts, ReadError>>;

    /// At most `limit` records with `from <= key < to`, in key order.
    fn scan<'a>(
        &'a self,
        space: Space,
        from: &'a [u8],
        to: &'a [u8],
        limit: usize,
    ) -> Fut<'a, Result<Vec<Entry>, ReadError>>;

    /// At most `limit` keys with `from <= key < to`, in order, and nothing of what is under them.
    /// With a cut, what is told of a key that it cuts is the folder alone, once, and all that it
    /// holds is passed over in one step.
    fn keys<'a>(
        &'a self,
        space: Space,
        from: &'a [u8],
        to: &'a [u8],
        cut: Option<Cut>,
        limit: usize,
    ) -> Fut<'a, Result<Vec<Vec<u8>>, ReadError>>;
}

/// Cuts a key behind the first separator that comes after so many bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// The bytes that every key begins with.
    pub behind: usize,
    /// What ends a folder's name; less than 255.
    pub separator: u8,
}

impl Cut {
    /// The folder that a key is in, its separator included, if it is in one.
    #[must_use]
    pub fn folder(self, key: &[u8]) -> Option<&[u8]> {
        let rest = key.get(self.behind..)?;
        let at = rest.iter().position(|byte| *byte == self.separator)?;
        key.get(..=self.behind + at)
    }

    /// At most `limit` keys, cut, where `next` tells the first keys from one on, as many as it is
    /// asked for.
    ///
    /// # Errors
    /// What `next` says.
    pub fn walk<E>(
        cut: Option<Self>,
        from: &[u8],
        limit: usize,
        mut next: impl FnMut(&[u8], usize) -> Result<Vec<Vec<u8>>, E>,
    ) -> Result<Vec<Vec<u8>>, E> {
        let Some(cut) = cut else { return next(from, limit) };
        let (mut found, mut from, mut at_once) = (Vec::new(), from.to_vec(), 1);
        while found.len() < limit {
            let asked = at_once.min(limit - found.len());
            let keys = next(&from, asked)?;
            let is_last = keys.len() < asked;
            // Few at first, as what comes behind a folder may be a folder again.
            at_once = (at_once * 2).min(WALK);
            for key in keys {
                let Some(folder) = cut.folder(&key) else {
                    from = [&*key, &[0]].concat();
                    found.push(key);
                    continue;
                };
                found.push(folder.to_vec());
                // The least key that is greater than all that begin so.
                from = folder.to_vec();
                if let Some(last) = from.last_mut() {
                    *last = last.saturating_add(1);
                }
                at_once = 1;
                break;
            }
            if is_last && at_once > 1 {
                break;
            }
        }
        Ok(found)
    }
}

/// So many keys are read at once where no folder comes.
const WALK: usize = 256;

impl dyn Snapshot + '_ {
    /// The record under `key`.
    ///
    /// # Errors
    /// As [`Snapshot::read`].
    pub async fn get(&self, space: Space, key: &[u8]) -> Result<Option<Record>, ReadError> {
        match self.read(&[Read::Key(space, key)]).await?.pop() {
            Some(found) => Ok(found?.map(|found| found.record)),
            None => Ok(None),
        }
    }
}

/// How an engine feels. Readiness follows it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// Reads and writes work.
    Ready,
    /// Reads work, writes are refused.
    ReadOnly,
    /// Nothing works.
    Down,
}

/// An ordered key-value store with snapshots and conditional commits.
pub trait Engine: Send + Sync {
    /// Reads all parts at one moment, in one go: every commit that was acknowledged before the call
    /// is seen.
    fn read<'a>(&'a self, parts: &'a [Read<'a>]) -> Fut<'a, Result<Parts, ReadError>>;

    /// The newest state: sees every commit that was acknowledged before the call.
    fn snapshot(&self) -> Fut<'_, Result<Box<dyn Snapshot>, ReadError>>;

    /// Applies `batch`, durably when this returns, and says at which revision. The commit goes on
    /// when the caller stops waiting. Of what waits at once, batches whose first keys begin with
    /// the same 16 bytes (one tenant's) are applied in the order of the calls, but for one that
    /// removes ranges: later ones may overtake it while what it removes is looked at. Between
    /// tenants there is no order.
    fn commit(&self, batch: Batch) -> Fut<'_, Result<Revision, CommitError>>;

    /// The changes after a revision, in order, each once: at least one, for which this waits. Some
    /// were there before the store was opened, as far back as
    /// the engine remembers. Whoever begins takes [`Engine::revision`], then a snapshot, and
    /// follows from that revision: what comes twice then says nothing new.
    fn changes(&self, after: Revision) -> Fut<'_, Result<Changes, ChangesError>>;

    /// The revision of the last commit that was acknowledged.
    fn revision(&self) -> Revision;

    /// Whether reads and writes work, as far as is known without trying.
    fn health(&self) -> Health;

    /// The latest moment that a commit bore when the engine was opened, in nanoseconds since 1970;
    /// see [`Observer::moment`].
    fn latest(&self) -> Option<u64> {
        None
    }
}

impl dyn Engine + '_ {
    /// The record under `key`.
    ///
    /// # Errors
    /// As [`Engine::read`].
    pub async fn get(&self, space: Space, key: &[u8]) -> Result<Option<Record>, ReadError> {
        match self.read(&[Read::Key(space, key)]).await?.pop() {
            Some(found) => Ok(found?.map(|found| found.record)),
            None => Ok(None),
        }
    }
}

/// What an engine tells its observer, the numbers behind the metrics, and the time that it asks
/// for.
pub trait Observer: Send + Sync {
    /// A group of batches became durable together.
    fn committed(&self, batches: usize, operations: usize, elapsed: std::time::Duration);
    /// A group failed; its writers were told that the outcome is unknown.
    fn commit_failed(&self, batches: usize);
    /// What was durable in a log is in the database now, too; that took so long.
    fn brought_up(&self, _elapsed: std::time::Duration) {}
    /// It is not, and will be tried again: what is durable lies in the log alone.
    fn fell_behind(&self) {}
    /// The log is full meanwhile: until the database can be written again, writes are refused.
    fn filled_up(&self) {}
    /// The present moment, in nanoseconds since 1970. An engine keeps it with each commit, if there
    /// is one.
    fn moment(&self) -> Option<u64> {
        None
    }
}
