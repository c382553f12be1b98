//! Places for feeds: how many there may be, of all and of each domain.
//!
//! Always holds: who has a place counts until it is given back, whatever becomes of the feed.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::model::OkmsId;

/// The places for feeds.
#[derive(Debug)]
pub struct Feeds {
    /// How many there may be at once; of one domain a quarter of it.
    most: usize,
    /// How long one lives.
    time: Duration,
    open: Mutex<Open>,
}

#[derive(Debug, Default)]
struct Open {
    all: usize,
    by_domain: HashMap<OkmsId, usize>,
}

/// A place for a feed, until this is dropped.
pub(super) struct Seat {
    feeds: Arc<Feeds>,
    id: OkmsId,
}

impl Feeds {
    /// So many places, each for so long.
    #[must_use]
    pub fn new(most: usize, time: Duration) -> Self {
        Self { most, time, open: Mutex::default() }
    }

    /// A place for a feed of this domain, if one is free.
    pub(super) fn seat(self: &Arc<Self>, id: OkmsId) -> Option<Seat> {
        let mut open = self.lock();
        let own = open.by_domain.get(&id).copied().unwrap_or_default();
        if open.all >= self.most || own >= self.most.div_ceil(4) {
            return None;
        }
        open.all += 1;
        open.by_domain.insert(id, own + 1);
        Some(Seat { feeds: Arc::clone(self), id })
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Whose it is.
    pub(super) const fn id(&self) -> OkmsId {
        self.id
    }

    /// How long it may be taken.
    pub(super) fn time(&self) -> Duration {
        self.feeds.time
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut open = self.feeds.lock();
        open.all -= 1;
        match open.by_domain.get_mut(&self.id) {
            Some(own) if *own > 1 => *own -= 1,
            _ => drop(open.by_domain.remove(&self.id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_for_all_and_for_each() {
        let id = |byte| OkmsId::from_bytes([byte; 16]).unwrap();
        let feeds = Arc::new(Feeds::new(5, Duration::from_secs(1)));
        let seat = |byte| feeds.seat(id(byte));
        let (first, second) = (seat(1), seat(1));
        assert!(first.is_some() && second.is_some());
        assert!(seat(1).is_none(), "a quarter, and a little more, is one domain's");
        let others = [seat(2), seat(2), seat(3)];
        assert!(others.iter().all(Option::is_some));
        assert!(seat(4).is_none(), "all are taken");
        drop((first, others));
        assert!(seat(1).is_some_and(|_one| seat(1).is_none()), "what is left is free again");
        drop(second);
        assert!(feeds.lock().by_domain.is_empty() && feeds.lock().all == 0);
    }
}
