//! Writers of one record take turns, so that a hot secret costs no retries.

use std::hash::{BuildHasher, RandomState};

use tokio::sync::{Mutex, MutexGuard};

use crate::domain::OkmsId;

const STRIPES: usize = 1024;

/// Fair queues, one for a share of all names. Two names may share a queue; one name never has two.
pub(super) struct Turns {
    hasher: RandomState,
    stripes: Vec<Mutex<()>>,
}

impl Turns {
    /// Empty queues.
    #[must_use]
    pub(super) fn new() -> Self {
        Self { hasher: RandomState::new(), stripes: (0..STRIPES).map(|_| Mutex::new(())).collect() }
    }

    /// Waits for the turn of one who writes `name` in the domain `id`; it ends when the guard is dropped. `None`
    /// cannot happen, as there is a stripe for every hash.
    pub(super) async fn take(&self, id: OkmsId, name: &str) -> Option<MutexGuard<'_, ()>> {
        let hash = self.hasher.hash_one((id, name));
        let index = usize::try_from(hash % STRIPES as u64).unwrap_or_default();
        Some(self.stripes.get(index)?.lock().await)
    }
}
