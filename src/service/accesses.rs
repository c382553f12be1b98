//! How often values are read, through whatever dialect: counted in memory, and added to the store
//! now and then.
//!
//! Always holds: a read costs no write; processes add to each other; what a reader has read himself
//! he finds counted at once. Never does: count what was refused, or what the server reads for itself.
//! A crash loses what was counted since it was added last.

use std::{
    cmp::Ordering,
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use tokio::sync::Notify;

use super::{
    Error,
    records::{open, put},
    scope::Scope,
    tries::Tries,
};
use crate::{
    crypto::DomainKeys,
    model::{AccessCount, Header, OkmsId, SecretPath, Timestamp},
    store::{
        engine::{Batch, CommitError, Expect, Read, Snapshot},
        kinds::{
            access::{self, Access},
            header,
        },
    },
};

/// How many parts the counts are in, so that readers seldom meet.
const SHARDS: usize = 16;
/// So many secrets with new counts are reason enough to add them to the store.
const MANY: usize = 10_000;
/// More secrets than these are not counted until then.
const MOST: usize = if cfg!(test) { 50 } else { 100_000 };
/// So many are added in one commit.
const AT_ONCE: usize = 256;

/// Counts of secrets, by their headers' keys.
type Counts = HashMap<Vec<u8>, Fresh>;

/// What was counted of the secret that was created at that moment: whoever comes after it under its path is
/// another one.
#[derive(Clone)]
struct Fresh {
    of: Timestamp,
    count: AccessCount,
}

impl Fresh {
    /// Adds what was counted of the same secret, or of the one that has come after it.
    fn merge(&mut self, other: &Self) {
        match other.of.cmp(&self.of) {
            Ordering::Equal => self.count.merge(&other.count),
            Ordering::Greater => self.clone_from(other),
            Ordering::Less => {}
        }
    }
}

/// A part of the counts.
#[derive(Default)]
struct Shard {
    fresh: Counts,
    /// What is on its way into the store: whoever asks meanwhile finds it here.
    leaving: Counts,
}

impl Shard {
    /// What is here of a secret.
    fn of(&self, key: &[u8], created_at: Timestamp) -> Option<AccessCount> {
        let of = |counts: &Counts| {
            let of = counts.get(key).filter(|it| it.of == created_at);
            of.map(|fresh| fresh.count.clone())
        };
        merge(of(&self.leaving), of(&self.fresh))
    }
}

/// What two have counted of one secret.
fn merge(one: Option<AccessCount>, other: Option<AccessCount>) -> Option<AccessCount> {
    match (one, other) {
        (Some(mut one), Some(other)) => {
            one.merge(&other);
            Some(one)
        }
        (one, other) => one.or(other),
    }
}

/// The counts that are not in the store yet.
pub struct Accesses {
    scope: Scope,
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
    fresh: AtomicUsize,
    dropped: AtomicU64,
    many: Notify,
    is_off: AtomicBool,
    /// One at a time adds to the store.
    adding: tokio::sync::Mutex<()>,
}

impl Accesses {
    pub(super) fn new(scope: Scope) -> Self {
        Self {
            scope,
            shards: Default::default(),
            hasher: RandomState::new(),
            fresh: AtomicUsize::new(0),
            dropped: AtomicU64::new(0),
            many: Notify::new(),
            is_off: AtomicBool::new(false),
            adding: tokio::sync::Mutex::default(),
        }
    }

    fn shard(&self, key: &[u8]) -> MutexGuard<'_, Shard> {
        #[expect(clippy::cast_possible_truncation, reason = "any of the bits will do")]
        let place = self.hasher.hash_one(key) as usize % SHARDS;
        let shard = self.shards.get(place).unwrap_or(&self.shards[0]);
        // Every change is one call, so a poisoned lock loses nothing.
        shard.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A value was read of the secret whose header has this key, and that was created at that moment.
    pub(super) fn note(&self, key: &[u8], of: Timestamp, now: Timestamp) {
        if self.is_off.load(Relaxed) {
            return;
        }
        let mut shard = self.shard(key);
        if let Some(known) = shard.fresh.get_mut(key) {
            if known.of == of {
                known.count.note(now);
            } else {
                known.merge(&Fresh { of, count: AccessCount::one(now) });
            }
            return;
        }
        let fresh = self.fresh.fetch_add(1, Relaxed) + 1;
        if fresh > MOST {
            self.fresh.fetch_sub(1, Relaxed);
            self.dropped.fetch_add(1, Relaxed);
            return;
        }
        shard.fresh.insert(key.to_vec(), Fresh { of, count: AccessCount::one(now) });
        if fresh == MANY {
            self.many.notify_one();
        }
    }

    /// How many reads were not counted, as too many secrets had been read since counts were added to the store.
    pub fn dropped(&self) -> u64 {
        self.dropped.load(Relaxed)
    }

    /// Counts no reads from now on. What was counted before stays.
    pub fn stop(&self) {
        self.is_off.store(true, Relaxed);
    }

    /// Waits until there is much to be added to the store.
    pub async fn until_many(&self) {
        self.many.notified().await;
    }

    /// How often a secret was read; `None` where it never was.
    pub(super) async fn of(
        &self,
        snapshot: &dyn Snapshot,
        keys: &DomainKeys,
        secrets: &[(&SecretPath, &Header)],
    ) -> Result<Vec<Option<AccessCount>>, Error> {
        let names: Vec<_> = secrets.iter().map(|(path, _)| header::key(keys.id(), path)).collect();
        let parts: Vec<_> = names.iter().map(|key| Read::Key(access::SPACE, key)).collect();
        let mut counts = Vec::with_capacity(names.len());
        for ((key, found), (_, secret)) in
            names.iter().zip(snapshot.read(&parts).await?).zip(secrets)
        {
            let stored = match found {
                Ok(Some(found)) => open::<Access>(keys, key, &found.record.bytes).ok(),
                // Whoever asks for a secret is not refused for the sake of a count.
                Ok(None) | Err(_) => None,
            };
            let stored = stored.filter(|access| access.of == secret.created_at);
            let fresh = self.shard(key).of(key, secret.created_at);
            counts.push(merge(stored.map(|access| access.count), fresh));
        }
        Ok(counts)
    }

    /// Adds to the store what was counted. What cannot be added stays, to be added another time.
    ///
    /// # Errors
    /// `Error` where the store cannot be read, or takes no change.
    pub async fn flush(&self) -> Result<(), Error> {
        let _turn = self.adding.lock().await;
        let mut by_tenant: HashMap<OkmsId, Vec<(Vec<u8>, Fresh)>> = HashMap::new();
        for shard in &self.shards {
            let mut shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            // What somebody has left who did not come to the end goes, too.
            let mut leaving = std::mem::take(&mut shard.leaving);
            self.fresh.fetch_sub(shard.fresh.len(), Relaxed);
            for (key, count) in std::mem::take(&mut shard.fresh) {
                match leaving.get_mut(&key) {
                    Some(left) => left.merge(&count),
                    None => drop(leaving.insert(key, count)),
                }
            }
            for (key, count) in &leaving {
                let id = key.first_chunk().and_then(|id| OkmsId::from_bytes(*id).ok());
                if let Some(id) = id {
                    by_tenant.entry(id).or_default().push((key.clone(), count.clone()));
                }
            }
            shard.leaving = leaving;
        }
        let mut outcome = Ok(());
        for (id, counts) in by_tenant {
            for some in counts.chunks(AT_ONCE) {
                match self.add(id, some).await {
                    // With the domain all is gone that could be counted.
                    Ok(()) | Err(Error::DomainNotFound) => {
                        for (key, _) in some {
                            self.shard(key).leaving.remove(key);
                        }
                    }
                    Err(error) => {
                        self.take_back(some);
                        outcome = Err(error);
                    }
                }
            }
        }
        outcome
    }

    async fn add(&self, id: OkmsId, counts: &[(Vec<u8>, Fresh)]) -> Result<(), Error> {
        let keys = self.scope.keys_of(id).await?;
        let mut tries = Tries::new();
        while tries.next().await {
            let snapshot = self.scope.engine().snapshot().await?;
            let batch = merged(&*snapshot, &keys, counts).await?;
            if batch.ops.is_empty() {
                return Ok(());
            }
            match self.scope.engine().commit(batch).await {
                // It may be in the store: what is counted once too often is worse than what is lost.
                Ok(_) | Err(CommitError::OutcomeUnknown(_)) => return Ok(()),
                Err(CommitError::Conflict) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Contended)
    }

    fn take_back(&self, counts: &[(Vec<u8>, Fresh)]) {
        for (key, count) in counts {
            let mut shard = self.shard(key);
            shard.leaving.remove(key);
            match shard.fresh.get_mut(key) {
                Some(newer) => newer.merge(count),
                None if self.fresh.load(Relaxed) < MOST => {
                    self.fresh.fetch_add(1, Relaxed);
                    shard.fresh.insert(key.clone(), count.clone());
                }
                None => drop(self.dropped.fetch_add(1, Relaxed)),
            }
        }
    }
}

/// What adds counts to those in the store, of the secrets that there still are.
async fn merged(
    snapshot: &dyn Snapshot,
    keys: &DomainKeys,
    counts: &[(Vec<u8>, Fresh)],
) -> Result<Batch, Error> {
    let parts: Vec<_> = counts
        .iter()
        .flat_map(|(key, _)| [Read::Key(header::SPACE, key), Read::Key(access::SPACE, key)])
        .collect();
    let mut found = snapshot.read(&parts).await?.into_iter();
    let mut batch = Batch::default();
    for (key, count) in counts {
        let (secret, stored) = (found.next().unwrap_or(Ok(None)), found.next().unwrap_or(Ok(None)));
        // What is damaged or gone is not counted.
        let Ok(Some(secret)) = secret else { continue };
        let Ok(secret) = open::<Header>(keys, key, &secret.record.bytes) else { continue };
        let Some(path) = header::parse(keys.id(), key) else { continue };
        let Ok(stored) = stored else { continue };
        let expect =
            stored.as_ref().map_or(Expect::Absent, |found| Expect::At(found.record.revision));
        let before = stored.and_then(|found| open::<Access>(keys, key, &found.record.bytes).ok());
        if count.of != secret.created_at {
            continue;
        }
        let mut whole = count.count.clone();
        if let Some(before) = before.filter(|access| access.of == secret.created_at) {
            whole.merge(&before.count);
        }
        batch.preconditions.push((access::SPACE, key.clone(), expect));
        batch.ops.push(put(keys, &path, &Access { of: secret.created_at, count: whole })?);
    }
    Ok(batch)
}
