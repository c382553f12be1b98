//! What peers have in common, and each one's share of it: connections, memory for bodies that
//! arrive and answers that wait, places for work in progress, and turns at the processor.
//!
//! Owns the counts. Always holds: what is reserved stays within the sum, within the share of whom
//! it is for (a domain, the operators, all peers without a certificate together), of the key that acts there, where others
//! do, and of its connection, so that nobody can take what the others need; a count goes down when
//! its bytes are gone, not before. Refusals are told whatever they cost, and have a count of their
//! own, so that who earns many takes no room from answers; a connection that takes none of them is
//! to end. Who has much to do waits for itself, and not the others for it. Never does: looking at
//! what it counts.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::processors::{Presence, Processors, Whose};
use crate::{auth::Party, fair::Weights, model::OkmsId};

/// What a request costs beside the bytes of its body or answer: its head, its stream, its tasks.
const EACH: usize = 8 << 10;
/// Requests of one share that store nothing and are worked on at once: as many long ones as others
/// may have to wait for.
const READS: usize = 8;
/// The same for everything else, most of which waits for the disk: enough for one group of commits
/// in the making while another is written.
const WRITES: usize = 128;

/// Refusals that any connection may have waiting: a peer that takes them has one or two on their
/// way.
const REFUSALS: usize = 3;

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

    fn is_overdrawn(&self) -> bool {
        self.used.load(Relaxed) > self.limit
    }
}

/// What is counted in bytes.
struct Memory {
    /// Bodies that arrive and answers that wait.
    asked: Account,
    refused: Account,
}

impl Memory {
    const fn new(bytes: usize) -> Self {
        Self { asked: Account::new(bytes), refused: Account::new(bytes / 4) }
    }

    const fn of(&self, kind: Kind) -> &Account {
        match kind {
            Kind::Asked => &self.asked,
            Kind::Refused => &self.refused,
        }
    }
}

#[derive(Clone, Copy)]
enum Kind {
    Asked,
    Refused,
}

/// Everything that is shared out.
pub(super) struct Shares {
    memory: Arc<Memory>,
    places: Arc<Semaphore>,
    strangers: Arc<Side>,
    operators: Arc<Side>,
    proxies: Arc<Side>,
    /// Those that have a connection; others are forgotten when room is needed.
    domains: Mutex<HashMap<OkmsId, Weak<Side>>>,
    of_domain: Most,
    of_key: Most,
    processors: Arc<Processors>,
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
    reads: usize,
    writes: usize,
}

impl Most {
    /// What one key may have of it where others act, too: three quarters, so that there is room for
    /// them.
    fn of_key(self, largest: usize) -> Self {
        let part = |of: usize| of - of / 4;
        Self {
            connections: part(self.connections),
            memory: part(self.memory).max(largest + EACH),
            places: part(self.places),
            reads: part(self.reads),
            writes: part(self.writes),
        }
    }
}

/// One of those that share: a domain and its like, or a key that acts there.
struct Side {
    connections: Account,
    memory: Memory,
    places: Account,
    reads: Arc<Semaphore>,
    writes: Arc<Semaphore>,
    /// Whose share this is a part of.
    of: Option<Arc<Self>>,
    /// Those that have a connection; others are forgotten when room is needed.
    keys: Mutex<HashMap<Key, Weak<Self>>>,
    /// How many these are.
    members: AtomicUsize,
}

/// SHA-256 of a certificate's public key.
type Key = [u8; 32];

impl Side {
    fn new(most: Most, of: Option<Arc<Self>>) -> Arc<Self> {
        if let Some(party) = &of {
            party.members.fetch_add(1, Relaxed);
        }
        Arc::new(Self {
            connections: Account::new(most.connections),
            memory: Memory::new(most.memory),
            places: Account::new(most.places),
            reads: Arc::new(Semaphore::new(most.reads)),
            writes: Arc::new(Semaphore::new(most.writes)),
            of,
            keys: Mutex::default(),
            members: AtomicUsize::new(0),
        })
    }

    /// This one, and the one that it is a part of.
    fn levels(self: &Arc<Self>) -> impl Iterator<Item = &Arc<Self>> {
        std::iter::successors(Some(self), |side| side.of.as_ref())
    }

    /// Whether nobody else acts where this one does: then it has all that there is.
    fn is_alone(&self) -> bool {
        self.of.as_ref().is_some_and(|party| party.members.load(Relaxed) <= 1)
    }

    /// Takes so much of one of its accounts, if there is so much, or it is alone.
    fn take(&self, account: &Account, amount: usize) -> bool {
        if self.is_alone() {
            account.charge(amount);
            return true;
        }
        account.take(amount)
    }
}

impl Drop for Side {
    fn drop(&mut self) {
        if let Some(party) = &self.of {
            party.members.fetch_sub(1, Relaxed);
        }
    }
}

/// The one of these that is there, or a new one.
fn found<K: Eq + Hash>(
    sides: &Mutex<HashMap<K, Weak<Side>>>,
    key: K,
    new: impl FnOnce() -> Arc<Side>,
) -> Arc<Side> {
    // Every change is one call, so a poisoned lock loses nothing.
    let mut sides = sides.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(side) = sides.get(&key).and_then(Weak::upgrade) {
        return side;
    }
    if sides.len() == sides.capacity() {
        sides.retain(|_, side| side.strong_count() > 0);
    }
    let side = new();
    sides.insert(key, Arc::downgrade(&side));
    side
}

/// A turn at the processor among those of a key and of its party, until this is dropped.
pub(super) struct Turn(
    #[expect(dead_code, reason = "they are held")] [Option<OwnedSemaphorePermit>; 2],
);

/// A connection's share.
pub(super) struct Share {
    presence: Presence,
    own: Arc<Memory>,
    side: Arc<Side>,
    memory: Arc<Memory>,
    places: Arc<Semaphore>,
}

/// Memory that is counted until this is dropped.
pub(super) struct Room {
    share: Arc<Share>,
    kind: Kind,
    bytes: usize,
}

/// A place among the requests in progress, until this is dropped.
pub(super) struct Place {
    side: Arc<Side>,
    _of_all: OwnedSemaphorePermit,
}

impl Shares {
    /// Shares of so many `connections`, of `memory` bytes and of `places`. Whatever the sum, one
    /// request of `largest` bytes fits in each share.
    pub(super) fn new(
        connections: usize,
        memory: usize,
        places: usize,
        largest: usize,
        weights: Arc<Weights>,
    ) -> Self {
        let part = |of: usize| (memory / of).max(largest + EACH);
        let of_domain = Most {
            connections: connections - connections / 4,
            memory: part(4),
            places: places.div_ceil(2),
            reads: READS,
            writes: WRITES,
        };
        let of_strangers = Most {
            connections: usize::MAX,
            memory: memory / 16,
            places: places.div_ceil(8),
            ..of_domain
        };
        Self {
            memory: Arc::new(Memory::new(memory)),
            places: Arc::new(Semaphore::new(places)),
            strangers: Side::new(of_strangers, None),
            operators: Side::new(of_domain, None),
            proxies: Side::new(of_domain, None),
            domains: Mutex::default(),
            of_domain,
            of_key: of_domain.of_key(largest),
            processors: Processors::all(weights),
            of_connection: part(8),
            of_stranger: (memory / 256).max(16 * EACH),
        }
    }

    /// The share of a new connection of a party's key; none where the party or the key has enough of
    /// them. Whoever is alone leaves room for another one's connection, too: it could not come else.
    pub(super) fn of(&self, party: Party, key: &Key) -> Option<Arc<Share>> {
        let of = match party {
            Party::Operator => Arc::clone(&self.operators),
            Party::Tenant(id) => found(&self.domains, id, || Side::new(self.of_domain, None)),
        };
        let side = found(&of.keys, *key, || Side::new(self.of_key, Some(Arc::clone(&of))));
        if !side.connections.take(1) {
            return None;
        }
        if !of.connections.take(1) {
            side.connections.give_back(1);
            return None;
        }
        Some(self.share(Whose::Party(party), self.of_connection, side))
    }

    /// The share of a new connection of a peer that is nobody.
    pub(super) fn of_stranger(&self) -> Arc<Share> {
        // They are counted where they sit.
        self.strangers.connections.charge(1);
        self.share(Whose::Strangers, self.of_stranger, Arc::clone(&self.strangers))
    }

    /// The share of a new connection of a proxy; none where they have enough of them.
    pub(super) fn of_proxy(&self) -> Option<Arc<Share>> {
        let side = Arc::clone(&self.proxies);
        side.connections.take(1).then(|| self.share(Whose::Proxies, self.of_connection, side))
    }

    /// The share of a request that comes through a proxy's `connection`: of that, and of the party
    /// and key that it is of, as if it were a connection of those; none where they have enough of them.
    /// Where there is no party, it is of a peer that is nobody.
    pub(super) fn through(
        &self,
        connection: &Share,
        party: Option<(Party, &Key)>,
    ) -> Option<Arc<Share>> {
        let mut share = match party {
            Some((party, key)) => self.of(party, key)?,
            None => self.of_stranger(),
        };
        // Nobody else has it yet.
        Arc::get_mut(&mut share)?.own = Arc::clone(&connection.own);
        Some(share)
    }

    fn share(&self, whose: Whose, bytes: usize, side: Arc<Side>) -> Arc<Share> {
        let (memory, places) = (Arc::clone(&self.memory), Arc::clone(&self.places));
        let presence = self.processors.enter(whose);
        Arc::new(Share { presence, own: Arc::new(Memory::new(bytes)), side, memory, places })
    }

    /// Waits until all `places` are free.
    pub(super) async fn idle(&self, places: usize) {
        let all = u32::try_from(places).unwrap_or(u32::MAX);
        drop(self.places.acquire_many(all).await);
    }
}

impl Share {
    /// Room for a body or an answer of so many bytes, if there is any.
    pub(super) fn reserve(self: &Arc<Self>, bytes: usize) -> Option<Room> {
        let mut room = Room { share: Arc::clone(self), kind: Kind::Asked, bytes: 0 };
        room.grow(bytes.saturating_add(EACH)).then_some(room)
    }

    /// Counts a refusal of so many bytes. It must be told, whether there is room for it or not.
    pub(super) fn refuse(self: &Arc<Self>, bytes: usize) -> Room {
        let mut room = Room { share: Arc::clone(self), kind: Kind::Refused, bytes: 0 };
        room.add(bytes.saturating_add(EACH));
        room
    }

    /// Whether refusals that nobody takes are too many, and wait for the peer of this connection
    /// among others.
    pub(super) fn is_overdrawn(&self) -> bool {
        let own = self.own.of(Kind::Refused);
        own.used.load(Relaxed) > REFUSALS * EACH
            && self
                .accounts(Kind::Refused)
                .skip(1)
                .any(|(account, is_free)| !is_free && account.is_overdrawn())
    }

    /// Does the work of a task, in turns with other parties.
    pub(super) fn paced<F: Future>(&self, work: F) -> impl Future<Output = F::Output> + use<F> {
        self.presence.paced(work)
    }

    /// Waits for a turn at the processor.
    pub(super) async fn turn(&self, only_tells: bool) -> Turn {
        let mut held = [None, None];
        let levels = self.side.levels().filter(|side| !side.is_alone());
        for (held, side) in held.iter_mut().zip(levels) {
            let turns = if only_tells { &side.reads } else { &side.writes };
            // Nobody closes them.
            *held = Arc::clone(turns).acquire_owned().await.ok();
        }
        Turn(held)
    }

    /// A place for work, if one is free.
    pub(super) fn place(&self) -> Option<Place> {
        let taken = self.side.levels().take_while(|side| side.take(&side.places, 1)).count();
        if taken == self.side.levels().count()
            && let Ok(of_all) = Arc::clone(&self.places).try_acquire_owned()
        {
            return Some(Place { side: Arc::clone(&self.side), _of_all: of_all });
        }
        self.side.levels().take(taken).for_each(|side| side.places.give_back(1));
        None
    }

    /// The nearest first: who asks for too much is stopped by their own share. With each, whether it
    /// bounds nothing, as whose it is is alone.
    fn accounts(&self, kind: Kind) -> impl Iterator<Item = (&Account, bool)> {
        let sides = self.side.levels().map(|side| (&side.memory, side.is_alone()));
        let ends = [&self.own, &self.memory].map(|memory| (&**memory, false));
        let [own, all] = ends.map(std::iter::once);
        own.chain(sides).chain(all).map(move |(memory, is_free)| (memory.of(kind), is_free))
    }
}

impl Room {
    /// Makes room for more bytes, if there is any.
    pub(super) fn grow(&mut self, bytes: usize) -> bool {
        for (taken, (account, is_free)) in self.share.accounts(self.kind).enumerate() {
            if is_free {
                account.charge(bytes);
            } else if !account.take(bytes) {
                for (account, _) in self.share.accounts(self.kind).take(taken) {
                    account.give_back(bytes);
                }
                return false;
            }
        }
        self.bytes += bytes;
        true
    }

    /// What was kept is gone, and an answer of so many bytes is there instead. A change that was
    /// made is told, whether there is room for more or not.
    pub(super) fn becomes(&mut self, bytes: usize) {
        let bytes = bytes.saturating_add(EACH);
        match bytes.checked_sub(self.bytes) {
            Some(more) => self.add(more),
            None => self.give_back(self.bytes - bytes),
        }
    }

    fn add(&mut self, bytes: usize) {
        for (account, _) in self.share.accounts(self.kind) {
            account.charge(bytes);
        }
        self.bytes += bytes;
    }

    fn give_back(&mut self, bytes: usize) {
        for (account, _) in self.share.accounts(self.kind) {
            account.give_back(bytes);
        }
        self.bytes -= bytes;
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.give_back(self.bytes);
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.side.levels().for_each(|side| side.connections.give_back(1));
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.side.levels().for_each(|side| side.places.give_back(1));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMORY: usize = 256 << 20;

    const KEY: Key = [7; 32];

    fn domain(byte: u8) -> Party {
        Party::Tenant(OkmsId::from_bytes([byte; 16]).unwrap())
    }

    /// Eleven connections of one domain once took all memory and all places, and everybody else was
    /// refused.
    #[test]
    fn one_domain_leaves_room_for_the_others() {
        let shares = Shares::new(1000, MEMORY, 1024, 1 << 20, Arc::default());
        let keys = (0..1000).map(|n| [u8::from(n % 2 == 0); 32]);
        let greedy: Vec<_> = keys.map_while(|key| shares.of(domain(1), &key)).collect();
        assert_eq!(greedy.len(), 750, "three quarters of the connections");
        let rooms: Vec<_> = greedy
            .iter()
            .flat_map(|share| (0..100).map_while(|_| share.reserve(1 << 20)))
            .collect();
        let places: Vec<_> =
            greedy.iter().flat_map(|share| (0..100).map_while(|_| share.place())).collect();
        assert!((60..=64).contains(&rooms.len()), "a quarter of the memory: {}", rooms.len());
        assert_eq!(places.len(), 512, "half of the places");
        let others: Vec<_> = (2..=255).map(|byte| shares.of(domain(byte), &KEY).unwrap()).collect();
        assert!(
            others.iter().all(|share| share.reserve(16 << 20).is_some() && share.place().is_some())
        );
        assert!(shares.of_stranger().reserve(100).is_some());
        assert!(shares.of(Party::Operator, &KEY).unwrap().place().is_some());
        drop((rooms, places, greedy));
        assert!(
            shares.of(domain(1), &KEY).unwrap().reserve(30 << 20).is_some(),
            "what was given back can be had again"
        );
        drop(others);
        for round in 0..10_000_u128 {
            drop(
                shares.of(
                    Party::Tenant(OkmsId::from_bytes((round + 1).to_be_bytes()).unwrap()),
                    &KEY,
                ),
            );
        }
        assert!(shares.domains.lock().unwrap().len() < 1000, "who has no connection is forgotten");
    }

    /// One connection does not take all that its domain has, and a stranger's next to nothing.
    #[test]
    fn one_connection_leaves_room_for_its_domain() {
        let shares = Shares::new(10_000, MEMORY, 1024, 1 << 20, Arc::default());
        let (greedy, other) =
            (shares.of(domain(1), &KEY).unwrap(), shares.of(domain(1), &KEY).unwrap());
        let rooms: Vec<_> = (0..1000).map_while(|_| greedy.reserve(1 << 20)).collect();
        assert!((30..=32).contains(&rooms.len()), "{}", rooms.len());
        assert!(other.reserve(16 << 20).is_some());
        let stranger = shares.of_stranger();
        assert!(stranger.reserve(2 << 20).is_none());
        let strangers: Vec<_> = (0..1000).map(|_| shares.of_stranger()).collect();
        let rooms: Vec<_> = strangers.iter().filter_map(|share| share.reserve(900 << 10)).collect();
        assert!(rooms.len() < 20, "a sixteenth of the memory for all of them: {}", rooms.len());
    }

    /// One key does not take all that its domain has, unless it is alone there; and then it leaves room
    /// for another one to come.
    #[tokio::test]
    async fn one_key_leaves_room_for_its_domain() {
        let shares = Shares::new(1000, MEMORY, 1024, 1 << 20, Arc::default());
        let greedy: Vec<_> = (0..1000).map_while(|_| shares.of(domain(1), &KEY)).collect();
        assert_eq!(greedy.len(), 563, "three quarters of three quarters");
        let first = greedy.first().unwrap();
        let rooms = || {
            let all = greedy.iter().flat_map(|share| (0..99).map_while(|_| share.reserve(1 << 20)));
            all.collect::<Vec<_>>()
        };
        let places =
            |share: &Arc<Share>| (0..1000).map_while(|_| share.place()).collect::<Vec<_>>();
        assert!((60..=64).contains(&rooms().len()), "all that is its domain's: {}", rooms().len());
        assert_eq!(places(first).len(), 512);
        let other = shares.of(domain(1), &[8; 32]).unwrap();
        let (room, held) = (rooms(), places(first));
        assert!((45..=48).contains(&room.len()), "{}", room.len());
        assert_eq!((held.len(), places(&other).len()), (384, 128));
        assert!(other.reserve(8 << 20).is_some());
        let mut turns = Vec::new();
        for _ in 0..6 {
            turns.push(first.turn(true).await);
        }
        let mut next = Box::pin(first.turn(true));
        let mut context = std::task::Context::from_waker(std::task::Waker::noop());
        assert!(next.as_mut().poll(&mut context).is_pending(), "it waits for itself");
        turns.push(other.turn(true).await);
        drop((room, held, other, turns));
        assert_eq!(places(first).len(), 512, "it is alone again");
        drop(next);
        drop(greedy);
        let party = shares.of(domain(1), &KEY).unwrap();
        assert_eq!(party.side.of.as_ref().unwrap().places.used.load(Relaxed), 0);
        assert_eq!(party.side.of.as_ref().unwrap().memory.asked.used.load(Relaxed), 0);
    }

    /// Refusals are told, and are their domain's own concern; who takes none of them is cut, and
    /// who does is not.
    #[test]
    fn refusals_count() {
        let shares = Shares::new(8, 16 << 20, 8, 1 << 10, Arc::default());
        let (greedy, modest) =
            (shares.of(domain(1), &KEY).unwrap(), shares.of(domain(1), &KEY).unwrap());
        let refused: Vec<_> = (0..200).map(|_| greedy.refuse(100)).collect();
        let _told = modest.refuse(100);
        assert!(greedy.is_overdrawn() && !modest.is_overdrawn());
        assert!(greedy.reserve(1 << 20).is_some(), "answers have a count of their own");
        assert!(!shares.of(domain(2), &KEY).unwrap().is_overdrawn());
        drop(refused);
        assert!(!greedy.is_overdrawn());
        // Many domains with a few each reach the sum.
        let many: Vec<_> = (3..90).map(|byte| shares.of(domain(byte), &KEY).unwrap()).collect();
        let refused: Vec<_> =
            many.iter().flat_map(|share| (0..8).map(|_| share.refuse(100))).collect();
        assert!(many.iter().all(|share| share.is_overdrawn()) && !modest.is_overdrawn());
        drop(refused);
        assert!(!many.iter().any(|share| share.is_overdrawn()));
    }

    /// A change's answer takes the room of its body. Answers to changes were once not in the sum,
    /// so that a few domains that took none of them could have kept more than all were to have.
    #[test]
    fn answers_to_changes_are_in_the_sum() {
        let shares = Shares::new(64, 16 << 20, 64, 1 << 10, Arc::default());
        let mut waiting = Vec::new();
        for byte in 1..=8 {
            let connections: Vec<_> =
                (0..4).map(|_| shares.of(domain(byte), &KEY).unwrap()).collect();
            for share in connections {
                waiting.extend(std::iter::from_fn(|| share.reserve(1 << 10)).map(|mut room| {
                    room.becomes(4 << 10);
                    room
                }));
            }
        }
        let used = shares.memory.asked.used.load(Relaxed);
        assert_eq!(used, waiting.len() * (EACH + (4 << 10)));
        assert!((15 << 20..17 << 20).contains(&used), "{used}");
        assert!(shares.of(domain(9), &KEY).unwrap().reserve(0).is_none());
        for room in &mut waiting {
            room.becomes(0);
        }
        assert_eq!(shares.memory.asked.used.load(Relaxed), waiting.len() * EACH);
        drop(waiting);
        assert_eq!(shares.memory.asked.used.load(Relaxed), 0);
    }
}
