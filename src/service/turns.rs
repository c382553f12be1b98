//! Writers of one record take turns, so that a hot secret costs no retries; and so does work that takes
//! much memory or time, so that what it takes is bounded however many ask. Domains come one after the
//! other, however much of one waits.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use super::Error;
use crate::{
    fair::{self, Bounds, Full, Turn, Weights},
    model::OkmsId,
};

/// The most writers that wait for one turn: a hot secret must not take up the whole server.
const WAITING_MAX: usize = 128;

/// Those who write one name, one after the other. No name waits for another one.
pub(super) struct Turns {
    hasher: RandomState,
    /// Each name by its hash, of which no two are the same but by a chance in 2^64.
    names: Arc<fair::Turns<u64>>,
}

impl Turns {
    /// Nobody writes.
    pub(super) fn new() -> Self {
        let bounds = Bounds { all: usize::MAX, of_one: 1, waiting: WAITING_MAX };
        Self { hasher: RandomState::new(), names: fair::Turns::new(bounds) }
    }

    /// Waits for the turns of one who writes all of `names` in the tenant `id`; they end when they are
    /// dropped.
    ///
    /// # Errors
    /// `Error::Overloaded` where too many wait already.
    pub(super) async fn take(&self, id: OkmsId, names: &[&str]) -> Result<Vec<Turn<u64>>, Error> {
        // In one order for all, so that no two wait for each other.
        let mut hashes: Vec<_> =
            names.iter().map(|name| self.hasher.hash_one((id, name))).collect();
        hashes.sort_unstable();
        hashes.dedup();
        let mut turns = Vec::with_capacity(hashes.len());
        for hash in hashes {
            turns.push(self.names.turn(hash).await.map_err(|Full| Error::Overloaded)?);
        }
        Ok(turns)
    }
}

/// Whoever is about a domain, one after the other, however many wait.
pub(super) fn one_by_one() -> Arc<fair::Turns<OkmsId>> {
    fair::Turns::new(Bounds { all: usize::MAX, of_one: 1, waiting: usize::MAX })
}

/// Reads whose answers can be long.
pub(super) const LONG_READS: Bounds = Bounds { all: 16, of_one: 8, waiting: 256 };
/// What is made of passwords: each takes a processor and 24 MiB for tens of milliseconds.
pub(super) const PASSWORDS: Bounds = Bounds { all: 2, of_one: 1, waiting: 64 };

/// What is made of recipes for values: a key of RSA takes a processor for seconds. Apart from passwords, so that
/// nobody who logs in waits for that.
pub(super) const VALUES: Bounds = Bounds { all: 2, of_one: 1, waiting: 64 };

/// The turns of work that is bounded in all and for each domain.
pub(super) struct SharedTurns(Arc<fair::Turns<OkmsId>>);

/// A turn: hold it while the work takes what is bounded.
pub(super) type SharedTurn = Turn<OkmsId>;

impl SharedTurns {
    /// All turns are free.
    pub(super) fn new(bounds: Bounds, weights: &Arc<Weights>) -> Self {
        let weights = Arc::clone(weights);
        Self(fair::Turns::weighed(bounds, move |id: &OkmsId| weights.of(id.as_bytes())))
    }

    /// Waits for a turn of the domain `id`.
    ///
    /// # Errors
    /// `Error::Busy` where too many of it wait already.
    pub(super) async fn turn(&self, id: OkmsId) -> Result<SharedTurn, Error> {
        self.0.turn(id).await.map_err(|Full| Error::Busy)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One domain takes half of all turns at most, and is told to come back where too many of its
    /// own wait.
    #[tokio::test]
    async fn the_work_of_one_domain_leaves_room_for_others() {
        for bounds in [LONG_READS, PASSWORDS, VALUES] {
            let shared = SharedTurns::new(bounds, &Arc::default());
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
            assert!(
                at_once(Box::pin(shared.turn(id(2))).as_mut()).is_some(),
                "another domain gets a turn at once"
            );
            held.pop();
            assert!(at_once(waiting.first_mut().unwrap().as_mut()).unwrap().is_ok());
            // Who gives up does not count any more.
            drop(waiting);
            assert!(at_once(Box::pin(shared.turn(id(1))).as_mut()).is_some());
        }
    }

    /// Names shared 1024 queues: of two domains that wrote at once, one in a thousand writes waited for
    /// one of the other's, and beside a hundred writers of another domain one in ten did.
    #[tokio::test]
    async fn no_name_waits_for_another() {
        let turns = Turns::new();
        let [noisy, quiet] = [1, 2].map(|byte| OkmsId::from_bytes([byte; 16]).unwrap());
        let names: Vec<_> = (0..5000).map(|number| number.to_string()).collect();
        let mut held = Vec::new();
        for name in &names {
            held.push(at_once(Box::pin(turns.take(noisy, &[name])).as_mut()).unwrap().unwrap());
        }
        for name in &names {
            assert!(at_once(Box::pin(turns.take(quiet, &[name])).as_mut()).is_some());
        }
        let mut next = Box::pin(turns.take(noisy, &["b", "7", "a", "7"]));
        assert!(at_once(next.as_mut()).is_none(), "one of its names is being written");
        held.clear();
        assert_eq!(at_once(next.as_mut()).unwrap().unwrap().len(), 3);
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
