//! An engine in memory, for tests and for a look at what an engine has to do. Nothing outlives it.
//!
//! A snapshot shares the records of its moment; the first commit after one copies the map, and not
//! what is in it.

use std::{
    collections::BTreeMap,
    future,
    ops::Bound,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::store::{
    engine::{
        Batch, Change, Changes, ChangesError, CommitError, Cut, Engine, Entry, Expect, Found, Fut,
        Health, Observer, Op, Parts, Read, ReadError, Record, Revision, Snapshot, Space,
    },
    feed::Feed,
};

/// A store in memory.
pub struct MemoryEngine {
    state: Mutex<Arc<State>>,
    feed: Feed,
    observer: Option<Arc<dyn Observer>>,
}

impl Default for MemoryEngine {
    fn default() -> Self {
        Self { state: Mutex::default(), feed: Feed::after(Revision(0)), observer: None }
    }
}

#[derive(Clone, Default)]
struct State {
    revision: u64,
    /// The moment of the newest commit.
    moment: Option<u64>,
    records: BTreeMap<(Space, Vec<u8>), Record>,
}

impl MemoryEngine {
    /// One whose commits bear the observer's moments.
    #[must_use]
    pub fn observed(observer: Arc<dyn Observer>) -> Self {
        Self { observer: Some(observer), ..Self::default() }
    }

    fn state(&self) -> MutexGuard<'_, Arc<State>> {
        // A batch is applied whole before it is seen.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn get(&self, space: Space, key: &[u8]) -> Option<&Record> {
        self.records.get(&(space, key.to_vec()))
    }

    fn range(
        &self,
        space: Space,
        from: &[u8],
        to: &[u8],
    ) -> impl DoubleEndedIterator<Item = Entry> {
        // A range that ends before it begins holds nothing.
        let to = to.max(from);
        let range =
            (Bound::Included((space, from.to_vec())), Bound::Excluded((space, to.to_vec())));
        self.records.range(range).map(|((_, key), record)| (key.clone(), record.clone()))
    }

    fn holds(&self, (space, key, expect): &(Space, Vec<u8>, Expect)) -> bool {
        match expect {
            Expect::Absent => self.get(*space, key).is_none(),
            Expect::At(revision) => {
                self.get(*space, key).is_some_and(|record| record.revision == *revision)
            }
            Expect::EmptyTo(to) => self.range(*space, key, to).next().is_none(),
        }
    }

    fn apply(&mut self, op: Op, revision: Revision) {
        match op {
            Op::Put(space, key, sealed) => {
                self.records.insert((space, key), Record { revision, bytes: sealed.into_bytes() });
            }
            Op::Delete(space, key) => {
                self.records.remove(&(space, key));
            }
            Op::DeleteRange(space, from, to) => {
                let gone: Vec<_> = self.range(space, &from, &to).map(|(key, _)| key).collect();
                for key in gone {
                    self.records.remove(&(space, key));
                }
            }
        }
    }
}

impl Engine for MemoryEngine {
    fn read<'a>(&'a self, parts: &'a [Read<'a>]) -> Fut<'a, Result<Parts, ReadError>> {
        let state = Arc::clone(&self.state());
        Box::pin(async move { state.read(parts).await })
    }

    fn snapshot(&self) -> Fut<'_, Result<Box<dyn Snapshot>, ReadError>> {
        let state: Box<dyn Snapshot> = Box::new(Arc::clone(&self.state()));
        Box::pin(future::ready(Ok(state)))
    }

    fn commit(&self, batch: Batch) -> Fut<'_, Result<Revision, CommitError>> {
        let mut state = self.state();
        if !batch.preconditions.iter().all(|precondition| state.holds(precondition)) {
            return Box::pin(future::ready(Err(CommitError::Conflict)));
        }
        let state = Arc::make_mut(&mut state);
        state.revision += 1;
        let revision = Revision(state.revision);
        // Never less than the one before, whatever the clock says.
        let moment = self.observer.as_ref().and_then(|observer| observer.moment());
        state.moment = moment.max(state.moment);
        let ops = batch.placed(revision);
        self.feed.tell(Change::of(revision, state.moment, &ops));
        for op in ops {
            state.apply(op, revision);
        }
        Box::pin(future::ready(Ok(revision)))
    }

    fn changes(&self, after: Revision) -> Fut<'_, Result<Changes, ChangesError>> {
        Box::pin(self.feed.changes(after))
    }

    fn revision(&self) -> Revision {
        self.feed.last()
    }

    fn health(&self) -> Health {
        Health::Ready
    }
}

impl Snapshot for Arc<State> {
    fn revision(&self) -> Revision {
        Revision(self.revision)
    }

    fn read<'a>(&'a self, parts: &'a [Read<'a>]) -> Fut<'a, Result<Parts, ReadError>> {
        let read = |part: &Read<'_>| match *part {
            Read::Key(space, key) => {
                self.get(space, key).map(|record| Found { key: None, record: record.clone() })
            }
            Read::Last(space, from, to) => self
                .range(space, from, to)
                .next_back()
                .map(|(key, record)| Found { key: Some(key), record }),
        };
        Box::pin(future::ready(Ok(parts.iter().map(|part| Ok(read(part))).collect())))
    }

    fn scan<'a>(
        &'a self,
        space: Space,
        from: &'a [u8],
        to: &'a [u8],
        limit: usize,
    ) -> Fut<'a, Result<Vec<Entry>, ReadError>> {
        Box::pin(future::ready(Ok(self.range(space, from, to).take(limit).collect())))
    }

    fn keys<'a>(
        &'a self,
        space: Space,
        from: &'a [u8],
        to: &'a [u8],
        cut: Option<Cut>,
        limit: usize,
    ) -> Fut<'a, Result<Vec<Vec<u8>>, ReadError>> {
        let next = |from: &[u8], limit| {
            Ok(self.range(space, from, to).take(limit).map(|(key, _)| key).collect())
        };
        Box::pin(future::ready(Cut::walk(cut, from, limit, next)))
    }
}
