//! Writers of one record take turns, so that a hot secret costs no retries; and so do reads whose
//! answers can be long, so that their memory is bounded however many ask.

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

/// How many long reads are in memory at once. Others wait, first come first served.
const LONG_READS: usize = 16;
/// How many of them are one domain's: its own wait for each other before they stand in the way of
/// somebody else's.
const LONG_READS_OF_ONE: usize = 8;
/// The most of one domain that wait.
const LONG_READS_WAITING_MAX: usize = 256;
const SHARES: usize = 256;

/// The turns of reads whose answers can be long.
pub(super) struct LongReads {
    hasher: RandomState,
    all: Arc<Semaphore>,
    /// Each for a share of all domains. Two may have one; one never has two.
    shares: Vec<Share>,
}

struct Share {
    turns: Arc<Semaphore>,
    waiting: AtomicUsize,
}

/// A turn of a long read: hold it while the answer is in memory.
#[derive(Debug)]
pub struct LongRead {
    _of_all: OwnedSemaphorePermit,
    _of_one: OwnedSemaphorePermit,
}

impl LongReads {
    /// All turns are free.
    pub(super) fn new() -> Self {
        let share = || Share {
            turns: Arc::new(Semaphore::new(LONG_READS_OF_ONE)),
            waiting: AtomicUsize::new(0),
        };
        let shares = (0..SHARES).map(|_| share()).collect();
        Self { hasher: RandomState::new(), all: Arc::new(Semaphore::new(LONG_READS)), shares }
    }

    /// Waits for a turn of the domain `id`.
    ///
    /// # Errors
    /// `Error::Busy` where too many of it wait already.
    pub(super) async fn turn(&self, id: OkmsId) -> Result<LongRead, Error> {
        let index = usize::try_from(self.hasher.hash_one(id) % SHARES as u64).unwrap_or_default();
        // There is a share for every hash, and nobody closes a semaphore.
        let share = self.shares.get(index).ok_or(Error::Busy)?;
        let before = share.waiting.fetch_add(1, Relaxed);
        let _waiting = Waiting(&share.waiting);
        if before >= LONG_READS_WAITING_MAX {
            return Err(Error::Busy);
        }
        let of_one = Arc::clone(&share.turns).acquire_owned().await.map_err(|_| Error::Busy)?;
        let of_all = Arc::clone(&self.all).acquire_owned().await.map_err(|_| Error::Busy)?;
        Ok(LongRead { _of_all: of_all, _of_one: of_one })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One domain takes half of all turns at most, and is told to come back where too many of its
    /// own wait.
    #[tokio::test]
    async fn long_reads_of_one_domain_leave_room_for_others() {
        let reads = Arc::new(LongReads::new());
        // Of 255 others at least one has another share.
        let id = |byte| OkmsId::from_bytes([byte; 16]).unwrap();
        let mut held = Vec::new();
        for _ in 0..LONG_READS_OF_ONE {
            held.push(reads.turn(id(1)).await.unwrap());
        }
        let mut waiting: Vec<_> =
            (0..LONG_READS_WAITING_MAX).map(|_| Box::pin(reads.turn(id(1)))).collect();
        for turn in &mut waiting {
            assert!(at_once(turn.as_mut()).is_none());
        }
        assert!(matches!(reads.turn(id(1)).await, Err(Error::Busy)));
        let is_free =
            (2..=255).any(|byte| at_once(Box::pin(reads.turn(id(byte))).as_mut()).is_some());
        assert!(is_free, "another domain gets a turn at once");
        held.pop();
        assert!(at_once(waiting.first_mut().unwrap().as_mut()).unwrap().is_ok());
        // Who gives up does not count any more.
        drop(waiting);
        assert!(at_once(Box::pin(reads.turn(id(1))).as_mut()).is_some());
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
