//! Writers of one record take turns, so that a hot secret costs no retries.

use std::{
    hash::{BuildHasher, RandomState},
    sync::atomic::{AtomicUsize, Ordering::Relaxed},
};

use tokio::sync::{Mutex, MutexGuard};

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
