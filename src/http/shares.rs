//! What peers have in common, and each one's share of it: memory for bodies that arrive and answers that wait, and
//! places for work in progress.
//!
//! Owns the counts. Always holds: what is reserved stays within the sum, within the share of whom it is for (a
//! domain, the operators, all peers without a certificate together) and within the share of its connection, so
//! that nobody can take what the others need; a count goes down when its bytes are gone, not before. Never does:
//! waiting, or looking at what it counts.

use std::{
    hash::{BuildHasher, RandomState},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{auth::Principal, domain::OkmsId};

/// What a request costs beside the bytes of its body or answer: its head, its stream, its tasks.
const EACH: usize = 4 << 10;
/// Domains have so many shares. Two may have one; one never has two.
const DOMAINS: usize = 1024;

/// How much of something there is, and how much of it is taken.
struct Account {
    limit: usize,
    used: AtomicUsize,
}

impl Account {
    const fn new(limit: usize) -> Self {
        Self { limit, used: AtomicUsize::new(0) }
    }

    /// Takes so much, if there is so much.
    fn take(&self, amount: usize) -> bool {
        let within = |used: usize| used.checked_add(amount).filter(|sum| *sum <= self.limit);
        self.used.fetch_update(Relaxed, Relaxed, within).is_ok()
    }

    /// Takes so much, whether there is so much or not.
    fn charge(&self, amount: usize) {
        self.used.fetch_add(amount, Relaxed);
    }

    fn give_back(&self, amount: usize) {
        self.used.fetch_sub(amount, Relaxed);
    }
}

/// Everything that is shared out.
pub(super) struct Shares {
    hasher: RandomState,
    memory: Arc<Account>,
    places: Arc<Semaphore>,
    strangers: Arc<Party>,
    operators: Arc<Party>,
    domains: Vec<Arc<Party>>,
    /// Bytes that one connection may take: of a peer with a certificate, and of one without.
    of_connection: usize,
    of_stranger: usize,
}

/// One of those that share.
struct Party {
    memory: Account,
    places: Account,
}

/// A connection's share.
pub(super) struct Share {
    own: Account,
    party: Arc<Party>,
    memory: Arc<Account>,
    places: Arc<Semaphore>,
}

/// Memory that is counted until this is dropped.
pub(super) struct Room {
    share: Arc<Share>,
    bytes: usize,
}

/// A place among the requests in progress, until this is dropped.
pub(super) struct Place {
    party: Arc<Party>,
    _of_all: OwnedSemaphorePermit,
}

impl Shares {
    /// Shares of `memory` bytes and of `places`. Whatever the sum, one request of `largest` bytes fits in each share.
    pub(super) fn new(memory: usize, places: usize, largest: usize) -> Self {
        let part = |of: usize| (memory / of).max(largest + EACH);
        let party =
            |bytes, places: usize| Arc::new(Party { memory: Account::new(bytes), places: Account::new(places) });
        let half = places.div_ceil(2);
        Self {
            hasher: RandomState::new(),
            memory: Arc::new(Account::new(memory)),
            places: Arc::new(Semaphore::new(places)),
            strangers: party(memory / 16, places.div_ceil(8)),
            operators: party(part(4), half),
            domains: (0..DOMAINS).map(|_| party(part(4), half)).collect(),
            of_connection: part(8),
            of_stranger: (memory / 256).max(16 * EACH),
        }
    }

    /// The share of a new connection of `principal`, or of a peer that is nobody.
    pub(super) fn of(&self, principal: Option<Principal>) -> Arc<Share> {
        let (bytes, party) = match principal {
            None => (self.of_stranger, &self.strangers),
            Some(Principal::Operator) => (self.of_connection, &self.operators),
            Some(Principal::Domain(id)) => (self.of_connection, self.of_domain(id)),
        };
        let (memory, places) = (Arc::clone(&self.memory), Arc::clone(&self.places));
        Arc::new(Share { own: Account::new(bytes), party: Arc::clone(party), memory, places })
    }

    /// Waits until all `places` are free.
    pub(super) async fn idle(&self, places: usize) {
        let all = u32::try_from(places).unwrap_or(u32::MAX);
        drop(self.places.acquire_many(all).await);
    }

    fn of_domain(&self, id: OkmsId) -> &Arc<Party> {
        let index = usize::try_from(self.hasher.hash_one(id) % DOMAINS as u64).unwrap_or_default();
        // There is a share for every hash.
        self.domains.get(index).unwrap_or(&self.strangers)
    }
}

impl Share {
    /// Room for a body or an answer of so many bytes, if there is any.
    pub(super) fn reserve(self: &Arc<Self>, bytes: usize) -> Option<Room> {
        let mut room = Room { share: Arc::clone(self), bytes: 0 };
        room.grow(bytes.saturating_add(EACH)).then_some(room)
    }

    /// Counts an answer that must be given, whether there is room for it or not.
    pub(super) fn charge(self: &Arc<Self>, bytes: usize) -> Room {
        let bytes = bytes.saturating_add(EACH);
        for account in self.accounts() {
            account.charge(bytes);
        }
        Room { share: Arc::clone(self), bytes }
    }

    /// A place for work, if one is free.
    pub(super) fn place(&self) -> Option<Place> {
        if !self.party.places.take(1) {
            return None;
        }
        if let Ok(of_all) = Arc::clone(&self.places).try_acquire_owned() {
            return Some(Place { party: Arc::clone(&self.party), _of_all: of_all });
        }
        self.party.places.give_back(1);
        None
    }

    /// The nearest first: who asks for too much is stopped by their own share.
    fn accounts(&self) -> [&Account; 3] {
        [&self.own, &self.party.memory, &self.memory]
    }
}

impl Room {
    /// Makes room for more bytes, if there is any.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        let accounts = self.share.accounts();
        let taken = accounts.iter().take_while(|account| account.take(bytes)).count();
        if taken == accounts.len() {
            self.bytes += bytes;
            return true;
        }
        for account in accounts.iter().take(taken) {
            account.give_back(bytes);
        }
        false
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        for account in self.share.accounts() {
            account.give_back(self.bytes);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.party.places.give_back(1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: usize = 256 << 20;

    fn domain(byte: u8) -> Option<Principal> {
        OkmsId::from_bytes([byte; 16]).ok().map(Principal::Domain)
    }

    /// Eleven connections of one domain once took all memory and all places, and everybody else was refused.
    #[test]
    fn one_domain_leaves_room_for_the_others() {
        let shares = Shares::new(MEMORY, 1024, 1 << 20);
        let greedy: Vec<_> = (0..100).map(|_| shares.of(domain(1))).collect();
        let rooms: Vec<_> = greedy.iter().flat_map(|share| (0..100).map_while(|_| share.reserve(1 << 20))).collect();
        let places: Vec<_> = greedy.iter().flat_map(|share| (0..100).map_while(|_| share.place())).collect();
        assert!((60..=64).contains(&rooms.len()), "a quarter of the memory: {}", rooms.len());
        assert_eq!(places.len(), 512, "half of the places");
        // Of 254 others at least one has another share.
        let others: Vec<_> = (2..=255).map(|byte| shares.of(domain(byte))).collect();
        assert!(others.iter().filter(|share| share.reserve(16 << 20).is_some()).count() > 250);
        assert!(others.iter().filter(|share| share.place().is_some()).count() > 250);
        assert!(shares.of(None).reserve(100).is_some() && shares.of(Some(Principal::Operator)).place().is_some());
        drop((rooms, places));
        assert!(shares.of(domain(1)).reserve(30 << 20).is_some(), "what was given back can be had again");
    }

    /// One connection does not take all that its domain has, and a stranger's next to nothing.
    #[test]
    fn one_connection_leaves_room_for_its_domain() {
        let shares = Shares::new(MEMORY, 1024, 1 << 20);
        let (greedy, other) = (shares.of(domain(1)), shares.of(domain(1)));
        let rooms: Vec<_> = (0..1000).map_while(|_| greedy.reserve(1 << 20)).collect();
        assert!((30..=32).contains(&rooms.len()), "{}", rooms.len());
        assert!(other.reserve(16 << 20).is_some());
        let stranger = shares.of(None);
        assert!(stranger.reserve(2 << 20).is_none());
        let strangers: Vec<_> = (0..1000).map(|_| shares.of(None)).collect();
        let rooms: Vec<_> = strangers.iter().filter_map(|share| share.reserve(900 << 10)).collect();
        assert!(rooms.len() < 20, "a sixteenth of the memory for all of them: {}", rooms.len());
    }

    /// What must be told is told, and counts.
    #[test]
    fn a_charge_counts() {
        let shares = Shares::new(1 << 20, 8, 1 << 10);
        let share = shares.of(domain(1));
        let charged = share.charge(10 << 20);
        assert!(share.reserve(1).is_none());
        drop(charged);
        let mut room = share.reserve(1).unwrap();
        assert!(room.grow(10 << 10) && !room.grow(10 << 20));
        drop(room);
        assert_eq!(shares.memory.used.load(Relaxed) + share.own.used.load(Relaxed), 0);
    }
}
