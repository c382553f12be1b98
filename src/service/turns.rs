//! Writers of one record take turns, so that a hot secret costs no retries; and so does work that takes
//! much memory or time, so that what it takes is bounded however many ask.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use tokio::sync::{Mutex, MutexGuard, OwnedSemaphorePermit, Semaphore};

use super::Error;
use crate::model::OkmsId;

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
        Self {
            hasher: RandomState::new(),
            stripes: (0..STRIPES).map(|_| Stripe::default()).collect(),
        }
    }

    /// Waits for the turns of one who writes all of `names` in the tenant `id`; they end when the
    /// guards are dropped.
    ///
    /// # Errors
    /// `Error::Overloaded` where too many wait already.
    pub(super) async fn take(
        &self,
        id: OkmsId,
        names: &[&str],
    ) -> Result<Vec<MutexGuard<'_, ()>>, Error> {
        // In one order for all, so that no two wait for each other; names may share a queue.
        let mut indices: Vec<_> =
            names.iter().map(|name| self.hasher.hash_one((id, name)) % STRIPES as u64).collect();
        indices.sort_unstable();
        indices.dedup();
        let mut turns = Vec::with_capacity(indices.len());
        for index in indices {
            let index = usize::try_from(index).unwrap_or_default();
            // There is a stripe for every hash.
            let stripe = self.stripes.get(index).ok_or(Error::Overloaded)?;
            let before = stripe.waiting.fetch_add(1, Relaxed);
            let _waiting = Waiting(&stripe.waiting);
            if before >= WAITING_MAX {
                return Err(Error::Overloaded);
            }
            turns.push(stripe.turn.lock().await);
        }
        Ok(turns)
    }
}

impl Turns {
    /// Waits for the turn of a tenant, however many do.
    pub(super) async fn of_tenant(&self, id: OkmsId) -> Option<MutexGuard<'_, ()>> {
        let index = self.hasher.hash_one(id) % STRIPES as u64;
        // There is a stripe for every hash.
        let stripe = self.stripes.get(usize::try_from(index).unwrap_or_default())?;
        Some(stripe.turn.lock().await)
    }
}

/// How many have a turn at once, and how many may wait for theirs.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    /// All of them. Others wait, first come first served.
    pub all: usize,
    /// Of one domain: its own wait for each other before they stand in the way of somebody else's.
    pub of_one: usize,
    /// Of one domain that wait.
    pub waiting: usize,
}

/// Reads whose answers can be long.
pub(super) const LONG_READS: Bounds = Bounds { all: 16, of_one: 8, waiting: 256 };
/// What is made of passwords: each takes a processor and 24 MiB for tens of milliseconds.
pub(super) const PASSWORDS: Bounds = Bounds { all: 2, of_one: 1, waiting: 64 };

const SHARES: usize = 256;

/// The turns of work that is bounded in all and for each domain.
pub(super) struct SharedTurns {
    hasher: RandomState,
    bounds: Bounds,
    all: Arc<Semaphore>,
    /// Each for a share of all domains. Two may have one; one never has two.
    shares: Vec<Share>,
}

struct Share {
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// A turn: hold it while the work takes what is bounded.
#[derive(Debug)]
pub struct SharedTurn {
    _of_all: OwnedSemaphorePermit,
    _of_one: OwnedSemaphorePermit,
}

impl SharedTurns {
    /// All turns are free.
    pub(super) fn new(bounds: Bounds) -> Self {
        let share = || Share {
            turns: Arc::new(Semaphore::new(bounds.of_one)),
            waiting: AtomicUsize::new(0),
        };
        let (all, shares) = (Arc::new(Semaphore::new(bounds.all)), (0..SHARES).map(|_| share()));
        Self { hasher: RandomState::new(), bounds, all, shares: shares.collect() }
    }

    /// Waits for a turn of the domain `id`.
    ///
    /// # Errors
    /// `Error::Busy` where too many of it wait already.
    pub(super) async fn turn(&self, id: OkmsId) -> Result<SharedTurn, Error> {
        let index = usize::try_from(self.hasher.hash_one(id) % SHARES as u64).unwrap_or_default();
        // There is a share for every hash, and nobody closes a semaphore.
        let share = self.shares.get(index).ok_or(Error::Busy)?;
        let before = share.waiting.fetch_add(1, Relaxed);
        let _waiting = Waiting(&share.waiting);
        if before >= self.bounds.waiting {
            return Err(Error::Busy);
        }
        let of_one = Arc::clone(&share.turns).acquire_owned().await.map_err(|_| Error::Busy)?;
        let of_all = Arc::clone(&self.all).acquire_owned().await.map_err(|_| Error::Busy)?;
        Ok(SharedTurn { _of_all: of_all, _of_one: of_one })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One domain takes half of all turns at most, and is told to come back where too many of its
    /// own wait.
    #[tokio::test]
    async fn the_work_of_one_domain_leaves_room_for_others() {
        for bounds in [LONG_READS, PASSWORDS] {
            let shared = SharedTurns::new(bounds);
            // Of 255 others at least one has another share.
            let id = |byte| OkmsId::from_bytes([byte; 16]).unwrap();
            let mut held = Vec::new();
            for _ in 0..bounds.of_one {
                held.push(shared.turn(id(1)).await.unwrap());
            }
            let mut waiting: Vec<_> =
                (0..bounds.waiting).map(|_| Box::pin(shared.turn(id(1)))).collect();
            for turn in &mut waiting {
                assert!(at_once(turn.as_mut()).is_none());
            }
            assert!(matches!(shared.turn(id(1)).await, Err(Error::Busy)));
            let is_free =
                (2..=255).any(|byte| at_once(Box::pin(shared.turn(id(byte))).as_mut()).is_some());
            assert!(is_free, "another domain gets a turn at once");
            held.pop();
            assert!(at_once(waiting.first_mut().unwrap().as_mut()).unwrap().is_ok());
            // Who gives up does not count any more.
            drop(waiting);
            assert!(at_once(Box::pin(shared.turn(id(1))).as_mut()).is_some());
        }
    }

    /// What a future comes to if it need not wait.
    fn at_once<T>(future: std::pin::Pin<&mut impl Future<Output = T>>) -> Option<T> {
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        match future.poll(&mut context) {
            std::task::Poll::Ready(done) => Some(done),
            std::task::Poll::Pending => None,
        }
    }
}
