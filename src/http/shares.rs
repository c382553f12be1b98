//! What peers have in common, and each one's share of it: connections, memory for bodies that arrive and answers that
//! wait, places for work in progress, and turns at the processor.
//!
//! Owns the counts. Always holds: what is reserved stays within the sum, within the share of whom it is for (a
//! domain, the operators, all peers without a certificate together) and within the share of its connection, so
//! that nobody can take what the others need; a count goes down when its bytes are gone, not before. Who has much to do
//! waits for itself, and not the others for it. Never does: looking at what it counts.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{auth::Principal, domain::OkmsId};

/// What a request costs beside the bytes of its body or answer: its head, its stream, its tasks.
const EACH: usize = 8 << 10;
/// Reads of one share that are worked on at once: as many long ones as others may have to wait for.
const READS: usize = 8;
/// The same for everything else, most of which waits for the disk: enough for one group of commits in the making while
/// another is written.
const WRITES: usize = 128;

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
    memory: Arc<Account>,
    places: Arc<Semaphore>,
    strangers: Arc<Party>,
    operators: Arc<Party>,
    /// Those that have a connection; others are forgotten when room is needed.
    domains: Mutex<HashMap<OkmsId, Weak<Party>>>,
    of_domain: Most,
    /// Bytes that one connection may take: of a peer with a certificate, and of one without.
    of_connection: usize,
    of_stranger: usize,
}

/// The most that one of those that share may have.
#[derive(Clone, Copy)]
struct Most {
    connections: usize,
    memory: usize,
    places: usize,
}

/// One of those that share.
struct Party {
    connections: Account,
    memory: Account,
    places: Account,
    reads: Arc<Semaphore>,
    writes: Arc<Semaphore>,
}

impl Party {
    fn new(most: Most) -> Arc<Self> {
        Arc::new(Self {
            connections: Account::new(most.connections),
            memory: Account::new(most.memory),
            places: Account::new(most.places),
            reads: Arc::new(Semaphore::new(READS)),
            writes: Arc::new(Semaphore::new(WRITES)),
        })
    }
}

/// A turn at the processor, until this is dropped. None where nobody waits for it any more.
pub(super) struct Turn(#[expect(dead_code, reason = "it is held")] Option<OwnedSemaphorePermit>);

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
    /// What of it is counted against what all have together.
    of_everybody: usize,
}

/// A place among the requests in progress, until this is dropped.
pub(super) struct Place {
    party: Arc<Party>,
    _of_all: OwnedSemaphorePermit,
}

impl Shares {
    /// Shares of so many `connections`, of `memory` bytes and of `places`. Whatever the sum, one request of `largest` bytes
    /// fits in each share.
    pub(super) fn new(connections: usize, memory: usize, places: usize, largest: usize) -> Self {
        let part = |of: usize| (memory / of).max(largest + EACH);
        let of_domain =
            Most { connections: connections - connections / 4, memory: part(4), places: places.div_ceil(2) };
        // Connections of peers without a certificate are counted where they sit.
        let of_strangers = Most { connections: usize::MAX, memory: memory / 16, places: places.div_ceil(8) };
        Self {
            memory: Arc::new(Account::new(memory)),
            places: Arc::new(Semaphore::new(places)),
            strangers: Party::new(of_strangers),
            operators: Party::new(of_domain),
            domains: Mutex::default(),
            of_domain,
            of_connection: part(8),
            of_stranger: (memory / 256).max(16 * EACH),
        }
    }

    /// The share of a new connection of `principal`, or of a peer that is nobody; none where it has enough of them.
    pub(super) fn of(&self, principal: Option<Principal>) -> Option<Arc<Share>> {
        let (bytes, party) = match principal {
            None => (self.of_stranger, Arc::clone(&self.strangers)),
            Some(Principal::Operator) => (self.of_connection, Arc::clone(&self.operators)),
            Some(Principal::Domain(id)) => (self.of_connection, self.of_domain(id)),
        };
        let (memory, places) = (Arc::clone(&self.memory), Arc::clone(&self.places));
        party.connections.take(1).then(|| Arc::new(Share { own: Account::new(bytes), party, memory, places }))
    }

    /// Waits until all `places` are free.
    pub(super) async fn idle(&self, places: usize) {
        let all = u32::try_from(places).unwrap_or(u32::MAX);
        drop(self.places.acquire_many(all).await);
    }

    fn of_domain(&self, id: OkmsId) -> Arc<Party> {
        // Every change is one call, so a poisoned lock loses nothing.
        let mut domains = self.domains.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(party) = domains.get(&id).and_then(Weak::upgrade) {
            return party;
        }
        if domains.len() == domains.capacity() {
            domains.retain(|_, party| party.strong_count() > 0);
        }
        let party = Party::new(self.of_domain);
        domains.insert(id, Arc::downgrade(&party));
        party
    }
}

impl Share {
    /// Room for a body or an answer of so many bytes, if there is any.
    pub(super) fn reserve(self: &Arc<Self>, bytes: usize) -> Option<Room> {
        let mut room = Room { share: Arc::clone(self), bytes: 0, of_everybody: 0 };
        room.grow(bytes.saturating_add(EACH)).then_some(room)
    }

    /// Counts an answer that must be given, whether there is room for it or not. Refusals are such, so that it is not
    /// counted against those who are not concerned.
    pub(super) fn charge(self: &Arc<Self>, bytes: usize) -> Room {
        let bytes = bytes.saturating_add(EACH);
        let [near @ .., _everybody] = self.accounts();
        for account in near {
            account.charge(bytes);
        }
        Room { share: Arc::clone(self), bytes, of_everybody: 0 }
    }

    /// Whether so much was charged that a connection must end: its peer asks, and takes no answer.
    pub(super) fn is_overdrawn(&self) -> bool {
        let limit = self.party.memory.limit;
        self.party.memory.used.load(Relaxed) > limit + limit / 4
    }

    /// Waits for a turn at the processor.
    pub(super) async fn turn(&self, is_read: bool) -> Turn {
        let turns = if is_read { &self.party.reads } else { &self.party.writes };
        Turn(Arc::clone(turns).acquire_owned().await.ok())
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
            self.of_everybody += bytes;
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
        let [near @ .., everybody] = self.share.accounts();
        for account in near {
            account.give_back(self.bytes);
        }
        everybody.give_back(self.of_everybody);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.party.connections.give_back(1);
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
        let shares = Shares::new(1000, MEMORY, 1024, 1 << 20);
        let greedy: Vec<_> = (0..1000).map_while(|_| shares.of(domain(1))).collect();
        assert_eq!(greedy.len(), 750, "three quarters of the connections");
        let rooms: Vec<_> = greedy.iter().flat_map(|share| (0..100).map_while(|_| share.reserve(1 << 20))).collect();
        let places: Vec<_> = greedy.iter().flat_map(|share| (0..100).map_while(|_| share.place())).collect();
        assert!((60..=64).contains(&rooms.len()), "a quarter of the memory: {}", rooms.len());
        assert_eq!(places.len(), 512, "half of the places");
        let others: Vec<_> = (2..=255).map(|byte| shares.of(domain(byte)).unwrap()).collect();
        assert!(others.iter().all(|share| share.reserve(16 << 20).is_some() && share.place().is_some()));
        assert!(shares.of(None).unwrap().reserve(100).is_some());
        assert!(shares.of(Some(Principal::Operator)).unwrap().place().is_some());
        drop((rooms, places, greedy));
        assert!(shares.of(domain(1)).unwrap().reserve(30 << 20).is_some(), "what was given back can be had again");
        drop(others);
        for round in 0..10_000_u128 {
            drop(shares.of(OkmsId::from_bytes((round + 1).to_be_bytes()).ok().map(Principal::Domain)));
        }
        assert!(shares.domains.lock().unwrap().len() < 1000, "who has no connection is forgotten");
    }

    /// One connection does not take all that its domain has, and a stranger's next to nothing.
    #[test]
    fn one_connection_leaves_room_for_its_domain() {
        let shares = Shares::new(10_000, MEMORY, 1024, 1 << 20);
        let (greedy, other) = (shares.of(domain(1)).unwrap(), shares.of(domain(1)).unwrap());
        let rooms: Vec<_> = (0..1000).map_while(|_| greedy.reserve(1 << 20)).collect();
        assert!((30..=32).contains(&rooms.len()), "{}", rooms.len());
        assert!(other.reserve(16 << 20).is_some());
        let stranger = shares.of(None).unwrap();
        assert!(stranger.reserve(2 << 20).is_none());
        let strangers: Vec<_> = (0..1000).filter_map(|_| shares.of(None)).collect();
        let rooms: Vec<_> = strangers.iter().filter_map(|share| share.reserve(900 << 10)).collect();
        assert!(rooms.len() < 20, "a sixteenth of the memory for all of them: {}", rooms.len());
    }

    /// What must be told is told, and counts.
    #[test]
    fn a_charge_counts() {
        let shares = Shares::new(8, 1 << 20, 8, 1 << 10);
        let share = shares.of(domain(1)).unwrap();
        let charged = share.charge(10 << 20);
        assert!(share.reserve(1).is_none() && share.is_overdrawn());
        assert!(shares.of(domain(2)).unwrap().reserve(1 << 10).is_some(), "it is nobody else's concern");
        drop(charged);
        assert!(!share.is_overdrawn());
        let mut room = share.reserve(1).unwrap();
        assert!(room.grow(10 << 10) && !room.grow(10 << 20));
        drop(room);
        assert_eq!(shares.memory.used.load(Relaxed) + share.own.used.load(Relaxed), 0);
    }
}
