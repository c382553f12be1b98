//! Records in memory, in front of the database.
//!
//! Owns a bounded number of bytes of answers, absent records included. They are sealed records, as
//! on disk.
//!
//! Always holds: an answer for a snapshot is what the database would say at that snapshot. An entry
//! stands for the newest durable state and knows since which revision it is true; a snapshot from
//! before that revision does not get it. The writer changes the touched entries after the commit is
//! durable and before it publishes the new state, so no snapshot can be ahead of the cache. A
//! reader fills in what it read only if no commit has touched the shard since its snapshot, so an
//! old reader cannot bring back what a newer commit has changed.
//!
//! Never does: I/O, or anything slow under a shard's lock.

use std::{
    collections::{HashMap, VecDeque},
    hash::{BuildHasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::store::engine::{Record, Revision, Space};

/// A power of two.
const SHARDS: usize = 16;
/// What an entry costs beside its key and its bytes, roughly.
const OVERHEAD: usize = 192;

/// What a commit did to a record.
#[derive(Debug)]
pub(super) enum Touch {
    /// It was written.
    Put(Space, Vec<u8>, Record),
    /// It was removed at that revision.
    Deleted(Space, Vec<u8>, Revision),
    /// More was removed than is worth naming.
    Everything(Revision),
}

/// What the database would say: a record, or that there is none.
pub(super) struct Answer(pub(super) Option<Record>);

/// A sharded cache of records.
pub(super) struct Cache {
    hasher: RandomState,
    shard_bytes: usize,
    shards: Vec<Mutex<Shard>>,
}

#[derive(Default)]
struct Shard {
    /// By hash of space and key; the slot knows the whole key. Every hash in `slots` is once in
    /// `order`.
    slots: HashMap<u64, Slot>,
    /// Oldest first. A slot that was used since it came in gets a second round.
    order: VecDeque<u64>,
    bytes: usize,
    /// The last commit that touched a key of this shard.
    touched: Option<Revision>,
}

struct Slot {
    space: Space,
    key: Box<[u8]>,
    /// The answer is true at every snapshot from here on.
    since: Revision,
    record: Option<Record>,
    used: bool,
}

impl Slot {
    fn cost(&self) -> usize {
        OVERHEAD + self.key.len() + self.record.as_ref().map_or(0, |record| record.bytes.len())
    }

    fn is(&self, space: Space, key: &[u8]) -> bool {
        self.space == space && *self.key == *key
    }
}

impl Cache {
    /// A cache that holds about `bytes`; none at all if that is 0.
    pub(super) fn new(bytes: usize) -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Self { hasher: RandomState::new(), shard_bytes: bytes / SHARDS, shards }
    }

    /// The answer at snapshot `at`, if it is known.
    pub(super) fn get(&self, space: Space, key: &[u8], at: Revision) -> Option<Answer> {
        let (hash, mut shard) = self.shard(space, key)?;
        let slot = shard.slots.get_mut(&hash)?;
        if !slot.is(space, key) || slot.since > at {
            return None;
        }
        slot.used = true;
        Some(Answer(slot.record.clone()))
    }

    /// Remembers what a read at snapshot `at` found.
    pub(super) fn fill(&self, space: Space, key: &[u8], at: Revision, record: Option<&Record>) {
        let slot = Slot {
            space,
            key: key.into(),
            since: record.map_or(at, |record| record.revision),
            record: record.cloned(),
            used: false,
        };
        let Some((hash, mut shard)) = self.shard(space, key) else {
            return;
        };
        if shard.touched.is_none_or(|touched| touched <= at) {
            shard.put(hash, slot, self.shard_bytes);
        }
    }

    /// Follows a durable commit. To be called before its state is published.
    pub(super) fn apply(&self, touches: Vec<Touch>) {
        for touch in touches {
            match touch {
                Touch::Put(space, key, record) => {
                    self.touch(space, &key, record.revision, Some(record));
                }
                Touch::Deleted(space, key, revision) => self.touch(space, &key, revision, None),
                Touch::Everything(revision) => self.clear(revision),
            }
        }
    }

    /// Forgets everything that snapshots before `revision` knew.
    pub(super) fn clear(&self, revision: Revision) {
        for shard in &self.shards {
            let mut shard = lock(shard);
            *shard = Shard { touched: Some(revision), ..Shard::default() };
        }
    }

    fn touch(&self, space: Space, key: &[u8], revision: Revision, record: Option<Record>) {
        let Some((hash, mut shard)) = self.shard(space, key) else {
            return;
        };
        shard.touched = Some(revision);
        // Only what was read before is kept up to date: a key that is written and never read costs
        // no memory.
        if shard.slots.get(&hash).is_some_and(|slot| slot.is(space, key)) {
            let slot = Slot { space, key: key.into(), since: revision, record, used: true };
            shard.put(hash, slot, self.shard_bytes);
        }
    }

    fn shard(&self, space: Space, key: &[u8]) -> Option<(u64, MutexGuard<'_, Shard>)> {
        if self.shard_bytes == 0 {
            return None;
        }
        let hash = self.hasher.hash_one((space, key));
        let shard = usize::try_from(hash >> 32).unwrap_or_default() % SHARDS;
        self.shards.get(shard).map(|shard| (hash, lock(shard)))
    }
}

impl Shard {
    fn put(&mut self, hash: u64, slot: Slot, limit: usize) {
        if slot.cost() > limit / 4 {
            // One big record must not drive out all the small ones.
            return self.forget(hash);
        }
        self.bytes += slot.cost();
        match self.slots.insert(hash, slot) {
            Some(before) => self.bytes = self.bytes.saturating_sub(before.cost()),
            None => self.order.push_back(hash),
        }
        while self.bytes > limit && self.evict() {}
    }

    fn forget(&mut self, hash: u64) {
        if let Some(slot) = self.slots.remove(&hash) {
            self.bytes = self.bytes.saturating_sub(slot.cost());
            self.order.retain(|other| *other != hash);
        }
    }

    /// Looks at the oldest slot, and drops it if it was not used lately.
    fn evict(&mut self) -> bool {
        let Some(hash) = self.order.pop_front() else {
            return false;
        };
        match self.slots.get_mut(&hash) {
            Some(slot) if slot.used => {
                slot.used = false;
                self.order.push_back(hash);
            }
            _ => {
                let gone = self.slots.remove(&hash).map_or(0, |slot| slot.cost());
                self.bytes = self.bytes.saturating_sub(gone);
            }
        }
        true
    }
}

fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
