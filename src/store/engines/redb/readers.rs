//! Places for reads that may wait for the disk, those for callers and those before removals.
//!
//! Always holds: reads on the blocking threads are bounded; one tenant's take half of the places at
//! most, and of those who wait each tenant has the next place in its turn, however many others have
//! waiting. A reader that gives up while it waits for a place leaves nothing behind.

use std::sync::Arc;

use crate::fair::{Bounds, Full, Tenant, Turn, Turns, Weights};

/// Reads at once, of one tenant half of them. Requests in progress bound those that wait.
const READERS: Bounds = Bounds { all: 64, of_one: 32, waiting: usize::MAX };

pub(super) struct Readers(Arc<Turns<Tenant>>);

/// A place, while it is held.
pub(super) type Slot = Turn<Tenant>;

impl Readers {
    pub(super) fn new(weights: &Arc<Weights>) -> Self {
        let weights = Arc::clone(weights);
        Self(Turns::weighed(READERS, move |tenant| weights.of(tenant)))
    }

    /// Waits for a place for a read of `key`.
    pub(super) async fn place(&self, key: &[u8]) -> Result<Slot, Full> {
        self.0.turn(tenant(key)).await
    }

    /// A place, if there is one now.
    pub(super) fn place_now(&self, key: &[u8]) -> Option<Slot> {
        self.0.turn_now(tenant(key))
    }
}

/// The tenant is what the key begins with.
fn tenant(key: &[u8]) -> Tenant {
    let mut tenant = Tenant::default();
    tenant.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    tenant
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// 64 reads of one tenant that wait for the disk left no place for anybody else's.
    #[tokio::test(start_paused = true)]
    async fn one_tenant_takes_half_of_the_places() {
        let readers = Readers::new(&Arc::default());
        let at_once = async |tenant: u8| {
            tokio::time::timeout(Duration::from_millis(1), readers.place(&[tenant; 20])).await
        };
        let mut held = Vec::new();
        while let Ok(place) = at_once(1).await {
            held.push(place.unwrap());
        }
        assert_eq!(held.len(), READERS.of_one);
        assert!(readers.place_now(&[1; 17]).is_none());
        let mut others = 0;
        for tenant in 2..=255 {
            if let Ok(place) = at_once(tenant).await {
                held.push(place.unwrap());
                others += 1;
            }
        }
        assert_eq!(others, READERS.all - READERS.of_one);
        held.clear();
        assert!(at_once(1).await.is_ok());
    }
}
