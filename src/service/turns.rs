//! Writers of one record take turns, so that a hot secret costs no retries; and so do reads whose answers can be long, so
//! that their memory is bounded however many ask.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use tokio::sync::{Mutex, MutexGuard, OwnedSemaphorePermit, Semaphore};

use super::Error;
use crate::domain::OkmsId;

const STRIPES: usize = 1024;
/// The most writers that wait for one turn: a hot secret must not take up the whole server.
const WAITING_MAX: usize = 128;

/// Fair queues, one for a share of all names. Two names may share a queue; one name never has two.
pub(super) struct Turns {
    hasher: RandomState,
    stripes: Vec<Stripe>,
}

#[derive(Default)]
struct Stripe {
    turn: Mutex<()>,
    waiting: AtomicUsize,
}

/// Counts a writer while it waits, also when it gives up.
struct Waiting<'a>(&'a AtomicUsize);

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Turns {
    /// Empty queues.
    pub(super) fn new() -> Self {
        Self { hasher: RandomState::new(), stripes: (0..STRIPES).map(|_| Stripe::default()).collect() }
    }

    /// Waits for the turn of one who writes `name` in the domain `id`; it ends when the guard is dropped.
    ///
    /// # Errors
    /// `Error::Overloaded` where too many wait already.
    pub(super) async fn take(&self, id: OkmsId, name: &str) -> Result<MutexGuard<'_, ()>, Error> {
        let hash = self.hasher.hash_one((id, name));
        let index = usize::try_from(hash % STRIPES as u64).unwrap_or_default();
        // There is a stripe for every hash.
        let stripe = self.stripes.get(index).ok_or(Error::Overloaded)?;
        let before = stripe.waiting.fetch_add(1, Relaxed);
        let _waiting = Waiting(&stripe.waiting);
        if before >= WAITING_MAX {
            return Err(Error::Overloaded);
        }
        Ok(stripe.turn.lock().await)
    }
}

/// How many long reads are in memory at once. Others wait, first come first served.
const LONG_READS: usize = 16;
/// The most that wait.
const LONG_READS_WAITING_MAX: usize = 256;

/// The turns of reads whose answers can be long.
pub(super) struct LongReads {
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
}

impl LongReads {
    /// All turns are free.
    pub(super) fn new() -> Self {
        Self { turns: Arc::new(Semaphore::new(LONG_READS)), waiting: AtomicUsize::new(0) }
    }

    /// Waits for a turn, which ends when the guard is dropped.
    ///
    /// # Errors
    /// `Error::Busy` where too many wait already.
    pub(super) async fn turn(&self) -> Result<OwnedSemaphorePermit, Error> {
        let before = self.waiting.fetch_add(1, Relaxed);
        let _waiting = Waiting(&self.waiting);
        if before >= LONG_READS_WAITING_MAX {
            return Err(Error::Busy);
        }
        // Nobody closes the semaphore.
        Arc::clone(&self.turns).acquire_owned().await.map_err(|_| Error::Busy)
    }
}
