//! Places for reads that may wait for the disk, those for callers and those before removals.
//!
//! Always holds: reads on the blocking threads are bounded; one tenant's take half of the places at
//! most, so that others need not wait for all of them. A reader that gives up while it waits for a
//! place leaves nothing behind.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};

/// Reads at once.
const READERS: usize = 64;
/// How many of them are one tenant's.
const READERS_OF_ONE: usize = READERS / 2;
const SHARES: usize = 256;

pub(super) struct Readers {
    hasher: RandomState,
    all: Arc<Semaphore>,
    /// Each for a share of all tenants. Two may have one; one never has two.
    shares: Vec<Arc<Semaphore>>,
}

/// A place, while it is held.
#[derive(Debug)]
pub(super) struct Slot {
    _of_all: OwnedSemaphorePermit,
    _of_one: OwnedSemaphorePermit,
}

impl Readers {
    pub(super) fn new() -> Self {
        let shares = (0..SHARES).map(|_| Arc::new(Semaphore::new(READERS_OF_ONE))).collect();
        Self { hasher: RandomState::new(), all: Arc::new(Semaphore::new(READERS)), shares }
    }

    /// Waits for a place for a read of `key`. The tenant is what the key begins with.
    pub(super) async fn place(&self, key: &[u8]) -> Result<Slot, AcquireError> {
        let of_one = Arc::clone(self.share(key)).acquire_owned().await?;
        let of_all = Arc::clone(&self.all).acquire_owned().await?;
        Ok(Slot { _of_all: of_all, _of_one: of_one })
    }

    /// A place, if there is one now.
    pub(super) fn place_now(&self, key: &[u8]) -> Option<Slot> {
        let of_one = Arc::clone(self.share(key)).try_acquire_owned().ok()?;
        let of_all = Arc::clone(&self.all).try_acquire_owned().ok()?;
        Some(Slot { _of_all: of_all, _of_one: of_one })
    }

    fn share(&self, key: &[u8]) -> &Arc<Semaphore> {
        let hash = self.hasher.hash_one(key.get(..16).unwrap_or(key));
        let share = usize::try_from(hash % SHARES as u64).unwrap_or_default();
        self.shares.get(share).unwrap_or(&self.all)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// 64 reads of one tenant that wait for the disk left no place for anybody else's.
    #[tokio::test(start_paused = true)]
    async fn one_tenant_takes_half_of_the_places() {
        let readers = Readers::new();
        let at_once = async |tenant: u8| {
            tokio::time::timeout(Duration::from_millis(1), readers.place(&[tenant; 20])).await
        };
        let mut held = Vec::new();
        while let Ok(place) = at_once(1).await {
            held.push(place.unwrap());
        }
        assert_eq!(held.len(), READERS_OF_ONE);
        assert!(readers.place_now(&[1; 17]).is_none());
        // Of 254 others at least one has another share.
        let mut others = 0;
        for tenant in 2..=255 {
            if let Ok(place) = at_once(tenant).await {
                held.push(place.unwrap());
                others += 1;
            }
        }
        assert_eq!(others, READERS - READERS_OF_ONE);
        held.clear();
        assert!(at_once(1).await.is_ok());
    }
}
