//! Places for feeds: how many there may be, of all and of each domain.
//!
//! Always holds: who has a place counts until it is given back, whatever becomes of the feed.

use std::{sync::Arc, time::Duration};

use crate::{
    fair::{Bounds, Turn, Turns},
    model::OkmsId,
};

/// The places for feeds.
pub struct Feeds {
    places: Arc<Turns<OkmsId>>,
    /// How long one lives.
    time: Duration,
}

/// A place for a feed, until this is dropped.
pub(super) struct Seat {
    _place: Turn<OkmsId>,
    id: OkmsId,
    time: Duration,
}

impl Feeds {
    /// So many places, of one domain a quarter of it, each for so long. Nobody waits for one.
    #[must_use]
    pub fn new(most: usize, time: Duration) -> Self {
        let bounds = Bounds { all: most, of_one: most.div_ceil(4), waiting: 0 };
        Self { places: Turns::new(bounds), time }
    }

    /// How many are taken.
    #[must_use]
    pub fn taken(&self) -> usize {
        self.places.had()
    }

    /// A place for a feed of this domain, if one is free.
    pub(super) fn seat(&self, id: OkmsId) -> Option<Seat> {
        let place = self.places.turn_now(id)?;
        Some(Seat { _place: place, id, time: self.time })
    }
}

impl Seat {
    /// Whose it is.
    pub(super) const fn id(&self) -> OkmsId {
        self.id
    }

    /// How long it may be taken.
    pub(super) const fn time(&self) -> Duration {
        self.time
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_for_all_and_for_each() {
        let id = |byte| OkmsId::from_bytes([byte; 16]).unwrap();
        let feeds = Feeds::new(5, Duration::from_secs(1));
        let seat = |byte| feeds.seat(id(byte));
        let (first, second) = (seat(1), seat(1));
        assert!(first.is_some() && second.is_some());
        assert!(seat(1).is_none(), "a quarter, and a little more, is one domain's");
        let others = [seat(2), seat(2), seat(3)];
        assert!(others.iter().all(Option::is_some));
        assert!(seat(4).is_none(), "all are taken");
        assert_eq!(feeds.taken(), 5);
        drop((first, others));
        assert!(seat(1).is_some_and(|_one| seat(1).is_none()), "what is left is free again");
        drop(second);
        let all = [seat(1), seat(2), seat(3), seat(4), seat(1)];
        assert!(all.iter().all(Option::is_some) && seat(5).is_none(), "all are free again");
    }
}
