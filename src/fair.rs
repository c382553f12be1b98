//! Turns at what is scarce, shared out fairly among those that want them: tenants, or names.
//!
//! Owns who has a turn, and who comes next. Always holds: no more have a turn than may, in all and
//! of one; whoever waits comes in the order of arrival among its own, and whatever others have
//! waiting, each of them goes before it once at most, or as often as it weighs; a turn that is free while somebody may have
//! it is nobody's; who gives up waiting leaves nothing behind. A turn costs the same however many
//! wait, and memory is taken by those who have one or wait, and nobody else. Never does: the work.

mod paced;
mod weights;

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    fmt,
    hash::Hash,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use tokio::sync::oneshot;

pub use weights::{Tenant, Weights};

/// How many have a turn at once, and how many may wait for theirs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    /// All of them.
    pub all: usize,
    /// Of one: its own wait for each other before they stand in the way of somebody else's.
    pub of_one: usize,
    /// Of one that wait.
    pub waiting: usize,
}

/// What has turns.
pub trait Key: Copy + Eq + Hash + Unpin {}

impl<K: Copy + Eq + Hash + Unpin> Key for K {}

/// Too many wait already.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("too many wait for their turn")]
pub struct Full;

/// Turns of those that have a key each.
pub struct Turns<K: Key> {
    rota: Mutex<Rota<K, oneshot::Sender<Turn<K>>>>,
    weight: Box<dyn Fn(&K) -> u32 + Send + Sync>,
}

/// A turn: hold it while the work takes what is scarce.
pub struct Turn<K: Key> {
    turns: Arc<Turns<K>>,
    /// Whose it is, until it was given back.
    key: Option<K>,
}

/// Waits for a turn; gives up where it is dropped.
struct Queued<K: Key> {
    // Dropped before the receiver, so that what came at the last moment goes on to the next.
    _waiting: Waiting<K>,
    receiver: oneshot::Receiver<Turn<K>>,
}

/// Somebody who waits, until it has its turn or gives up.
struct Waiting<K: Key> {
    turns: Arc<Turns<K>>,
    key: K,
    number: u64,
}

impl<K: Key> Turns<K> {
    /// All turns are free, and all weigh the same.
    #[must_use]
    pub fn new(bounds: Bounds) -> Arc<Self> {
        Self::weighed(bounds, |_| 1)
    }

    /// All turns are free. Who waits goes as often as `weight` says where others go once.
    #[must_use]
    pub fn weighed(
        bounds: Bounds,
        weight: impl Fn(&K) -> u32 + Send + Sync + 'static,
    ) -> Arc<Self> {
        Arc::new(Self { rota: Mutex::new(Rota::new(bounds)), weight: Box::new(weight) })
    }

    /// Waits for a turn of `key`.
    ///
    /// # Errors
    /// `Full` where too many of it wait already.
    pub async fn turn(self: &Arc<Self>, key: K) -> Result<Turn<K>, Full> {
        match self.ask(key)? {
            Asked::Had(turn) => Ok(turn),
            Asked::Queued(queued) => queued.await,
        }
    }

    fn ask(self: &Arc<Self>, key: K) -> Result<Asked<K>, Full> {
        let mut rota = self.rota();
        if rota.take(key) {
            return Ok(Asked::Had(self.had_by(key)));
        }
        let (sender, receiver) = oneshot::channel();
        let number = rota.wait(key, (self.weight)(&key), sender).ok_or(Full)?;
        let waiting = Waiting { turns: Arc::clone(self), key, number };
        Ok(Asked::Queued(Queued { _waiting: waiting, receiver }))
    }

    /// A turn of `key`, if there is one now.
    pub fn turn_now(self: &Arc<Self>, key: K) -> Option<Turn<K>> {
        let has_turn = self.rota().take(key);
        has_turn.then(|| self.had_by(key))
    }

    /// How many have a turn.
    #[must_use]
    pub fn had(&self) -> usize {
        self.rota().had
    }

    fn had_by(self: &Arc<Self>, key: K) -> Turn<K> {
        Turn { turns: Arc::clone(self), key: Some(key) }
    }

    fn rota(&self) -> MutexGuard<'_, Rota<K, oneshot::Sender<Turn<K>>>> {
        // Every change is one call, so a poisoned lock loses nothing.
        self.rota.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What came of asking for a turn.
enum Asked<K: Key> {
    Had(Turn<K>),
    Queued(Queued<K>),
}

impl<K: Key> Future for Queued<K> {
    type Output = Result<Turn<K>, Full>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        // Whoever waits is given a turn before it is forgotten.
        let turn = ready!(Pin::new(&mut self.receiver).poll(context));
        Poll::Ready(turn.map_err(|_| Full))
    }
}

impl<K: Key> Drop for Turn<K> {
    fn drop(&mut self) {
        let mut had = self.key.take();
        while let Some(key) = had {
            let Some((next, waiter)) = self.turns.rota().done(key) else { return };
            // Who has gone meanwhile gives it back, and is no reason to go deeper.
            had = waiter.send(self.turns.had_by(next)).err().and_then(|mut turn| turn.key.take());
        }
    }
}

impl<K: Key> Drop for Waiting<K> {
    fn drop(&mut self) {
        self.turns.rota().leave(self.key, self.number);
    }
}

impl<K: Key> fmt::Debug for Turn<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Turn").finish_non_exhaustive()
    }
}

/// Who has a turn and who waits. It decides, and waits for nobody.
struct Rota<K, W> {
    bounds: Bounds,
    had: usize,
    lanes: HashMap<K, Lane<W>>,
    /// Those that wait and may have another turn, the next one first.
    order: VecDeque<K>,
    /// Counts all who have waited.
    next: u64,
}

struct Lane<W> {
    had: usize,
    /// How often it goes where others go once, and how often it has gone since it was behind them.
    weight: u32,
    gone: u32,
    /// By their arrival.
    waiting: BTreeMap<u64, W>,
    /// Whether it is in the order, where it may be found empty.
    is_listed: bool,
}

impl<W> Default for Lane<W> {
    fn default() -> Self {
        Self { had: 0, weight: 1, gone: 0, waiting: BTreeMap::new(), is_listed: false }
    }
}

impl<K: Key, W> Rota<K, W> {
    fn new(bounds: Bounds) -> Self {
        Self { bounds, had: 0, lanes: HashMap::new(), order: VecDeque::new(), next: 0 }
    }

    /// Takes a turn, if one is free. Where one is, nobody waits who may have it.
    fn take(&mut self, key: K) -> bool {
        if self.had >= self.bounds.all {
            return false;
        }
        let lane = self.lanes.entry(key).or_default();
        if lane.had >= self.bounds.of_one {
            return false;
        }
        lane.had += 1;
        self.had += 1;
        true
    }

    /// Waits for the next turn; tells its number, or nothing where too many wait.
    fn wait(&mut self, key: K, weight: u32, waiter: W) -> Option<u64> {
        let lane = self.lanes.entry(key).or_default();
        lane.weight = weight;
        if lane.waiting.len() >= self.bounds.waiting {
            self.forget(key);
            return None;
        }
        let number = self.next;
        self.next += 1;
        lane.waiting.insert(number, waiter);
        self.list(key);
        Some(number)
    }

    /// Somebody waits no more, if it still did.
    fn leave(&mut self, key: K, number: u64) {
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.waiting.remove(&number);
        }
        self.forget(key);
    }

    /// A turn is over. Tells who has it now, if anybody.
    fn done(&mut self, key: K) -> Option<(K, W)> {
        self.had = self.had.saturating_sub(1);
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.had = lane.had.saturating_sub(1);
        }
        self.list(key);
        self.forget(key);
        while let Some(key) = self.order.pop_front() {
            let Some(lane) = self.lanes.get_mut(&key) else { continue };
            lane.is_listed = false;
            if let Some((_, waiter)) = lane.waiting.pop_first() {
                lane.had += 1;
                lane.gone += 1;
                self.had += 1;
                self.list(key);
                return Some((key, waiter));
            }
            self.forget(key);
        }
        None
    }

    /// Gives one that waits its place in the order, unless it has one, or has all that it may: before the
    /// others until it has gone as often as it weighs, and behind them then.
    fn list(&mut self, key: K) {
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        let may_have = lane.had < self.bounds.of_one && !lane.waiting.is_empty();
        if may_have && !lane.is_listed {
            lane.is_listed = true;
            if (1..lane.weight).contains(&lane.gone) {
                self.order.push_front(key);
            } else {
                lane.gone = 0;
                self.order.push_back(key);
            }
        }
    }

    /// Forgets one that has nothing and wants nothing.
    fn forget(&mut self, key: K) {
        let is_over = |lane: &Lane<W>| lane.had == 0 && lane.waiting.is_empty() && !lane.is_listed;
        if self.lanes.get(&key).is_some_and(is_over) {
            self.lanes.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::{BTreeSet, HashMap},
        pin::pin,
        task::{Context, Poll, Waker},
    };

    use proptest::prelude::*;

    use super::*;

    /// What somebody does: asks (and may wait), ends a turn, or gives up.
    #[derive(Clone, Debug)]
    enum Step {
        Ask(u8),
        End(usize),
        GiveUp(usize),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        // One of them asks as often as all others.
        let who = prop_oneof![Just(0_u8), 1..6_u8];
        let step = prop_oneof![
            4 => who.prop_map(Step::Ask),
            3 => any::<usize>().prop_map(Step::End),
            1 => any::<usize>().prop_map(Step::GiveUp),
        ];
        proptest::collection::vec(step, 0..200)
    }

    /// The one that asks the most weighs more than most.
    fn weight(key: u8) -> u32 {
        [3, 1, 2, 1, 1, 4].get(usize::from(key)).copied().unwrap()
    }

    /// Everything that has happened, told plainly.
    #[derive(Default)]
    struct Told {
        has: Vec<(u8, u64)>,
        /// With how often each other has gone before, since it could have had a turn.
        waits: Vec<(u8, u64, u64, HashMap<u8, u32>)>,
    }

    impl Told {
        fn of(&self, key: u8) -> usize {
            self.has.iter().filter(|(other, _)| *other == key).count()
        }

        /// Somebody has come to its turn after it waited.
        fn goes(&mut self, bounds: Bounds, key: u8, ticket: u64) {
            let first = self.waits.iter().position(|(other, ..)| *other == key).unwrap();
            assert_eq!(self.waits[first].1, ticket, "its own go in the order of arrival");
            self.waits.remove(first);
            let mut seen = BTreeSet::new();
            for at in 0..self.waits.len() {
                let other = self.waits[at].0;
                // The first of each alone can be passed over.
                if other != key && seen.insert(other) && self.of(other) < bounds.of_one {
                    let before = self.waits[at].3.entry(key).or_default();
                    *before += 1;
                    assert!(
                        *before <= weight(key),
                        "{key} went {before} times before {other}, who could have gone"
                    );
                }
            }
            self.has.push((key, ticket));
        }

        fn check(&self, bounds: Bounds, rota: &Rota<u8, u64>) {
            assert!(self.has.len() <= bounds.all);
            assert_eq!(rota.had, self.has.len());
            let mut known = BTreeSet::new();
            for key in 0..6 {
                let waits = self.waits.iter().filter(|(other, ..)| *other == key).count();
                assert!(self.of(key) <= bounds.of_one && waits <= bounds.waiting);
                let could = self.of(key) < bounds.of_one && self.has.len() < bounds.all;
                assert!(!(waits > 0 && could), "a turn is free, and {key} waits for it");
                if waits + self.of(key) > 0 {
                    known.insert(key);
                }
            }
            let kept = rota.lanes.iter().filter(|(_, lane)| !lane.is_listed);
            assert!(kept.map(|(key, _)| *key).all(|key| known.contains(&key)), "a lane is left");
            assert!(rota.order.len() <= 6, "each is listed once at most");
        }
    }

    proptest! {
        /// Nobody who may have a turn is passed over by the same other one more often than that weighs; each
        /// one's own go in their order; nothing is lost, and nothing is kept of who is gone.
        #[test]
        fn turns_are_fair(
            (all, of_one, waiting) in (1..6_usize, 1..4_usize, 0..8_usize), steps in steps()
        ) {
            let bounds = Bounds { all, of_one, waiting };
            let (mut rota, mut told) = (Rota::new(bounds), Told::default());
            for (ticket, step) in (0..).zip(steps) {
                match step {
                    Step::Ask(key) if rota.take(key) => told.has.push((key, ticket)),
                    Step::Ask(key) => {
                        let waits = told.waits.iter().filter(|(other, ..)| *other == key).count();
                        match rota.wait(key, weight(key), ticket) {
                            Some(number) => {
                                told.waits.push((key, ticket, number, HashMap::new()));
                            }
                            None => assert_eq!(waits, waiting, "refused though there was room"),
                        }
                    }
                    Step::End(which) if !told.has.is_empty() => {
                        let (key, _) = told.has.swap_remove(which % told.has.len());
                        if let Some((next, ticket)) = rota.done(key) {
                            told.goes(bounds, next, ticket);
                        }
                    }
                    Step::GiveUp(which) if !told.waits.is_empty() => {
                        let (key, _, number, _) = told.waits.remove(which % told.waits.len());
                        rota.leave(key, number);
                    }
                    Step::End(_) | Step::GiveUp(_) => {}
                }
                told.check(bounds, &rota);
            }
            // Whoever waits comes to its turn in the end.
            while let Some((key, _)) = told.has.pop() {
                if let Some((next, ticket)) = rota.done(key) {
                    told.goes(bounds, next, ticket);
                }
                told.check(bounds, &rota);
            }
            assert!(told.waits.is_empty() && rota.lanes.is_empty() && rota.order.is_empty());
        }
    }

    fn at_once<T>(future: Pin<&mut impl Future<Output = T>>) -> Option<T> {
        match future.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(done) => Some(done),
            Poll::Pending => None,
        }
    }

    /// A thousand of one waited, and whoever came then waited behind all of them.
    #[test]
    fn a_quiet_one_waits_for_one_turn() {
        let turns = Turns::new(Bounds { all: 2, of_one: 2, waiting: 1000 });
        let held: Vec<_> = (0..2).map(|_| turns.turn_now("noisy").unwrap()).collect();
        let mut noisy: Vec<_> = (0..1000).map(|_| Box::pin(turns.turn("noisy"))).collect();
        assert!(noisy.iter_mut().all(|one| at_once(one.as_mut()).is_none()));
        assert_eq!(at_once(pin!(turns.turn("noisy"))).unwrap().unwrap_err(), Full);
        let mut quiet = pin!(turns.turn("quiet"));
        assert!(at_once(quiet.as_mut()).is_none());
        drop(held);
        assert!(at_once(quiet).is_some());
    }

    /// Of those who always have something waiting, one that weighs three goes three times as often.
    #[test]
    fn who_weighs_more_goes_more_often() {
        let mut rota = Rota::new(Bounds { all: 1, of_one: 1, waiting: 1000 });
        assert!(rota.take('-'));
        for number in 0..300 {
            for (key, weight) in [('a', 3), ('b', 1), ('c', 2)] {
                assert!(rota.wait(key, weight, number).is_some());
            }
        }
        let (mut went, mut last) = (String::new(), '-');
        for _ in 0..12 {
            (last, _) = rota.done(last).unwrap();
            went.push(last);
        }
        assert_eq!(went, "aaabccaaabcc");
    }

    /// A turn that was given to one who gave up at that moment was nobody's for ever; and many who
    /// give up at once must not be a stack as deep.
    #[test]
    fn who_gives_up_takes_no_turn_along() {
        let turns = Turns::new(Bounds { all: 1, of_one: 1, waiting: usize::MAX });
        let held = turns.turn_now(1).unwrap();
        let mut given = Box::pin(turns.turn(1));
        let mut after = Box::pin(turns.turn(1));
        assert!(at_once(given.as_mut()).is_none() && at_once(after.as_mut()).is_none());
        drop(held);
        drop(given);
        let held = at_once(after.as_mut()).unwrap().unwrap();
        {
            let mut rota = turns.rota();
            for _ in 0..100_000 {
                // As if each had gone, and had not been able to say so.
                assert!(rota.wait(2, 1, oneshot::channel().0).is_some());
            }
        }
        drop(held);
        assert!(turns.rota().lanes.is_empty());
        assert!(turns.turn_now(3).is_some());
    }

    #[test]
    fn who_gives_up_does_not_count_among_those_that_wait() {
        let turns = Turns::new(Bounds { all: 1, of_one: 1, waiting: 1 });
        let _held = turns.turn_now(1).unwrap();
        let mut waits = Box::pin(turns.turn(1));
        assert!(at_once(waits.as_mut()).is_none());
        assert_eq!(at_once(pin!(turns.turn(1))).unwrap().unwrap_err(), Full);
        drop(waits);
        assert!(at_once(pin!(turns.turn(1))).is_none(), "there is room for it");
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn many_threads_keep_the_bounds() {
        let turns = Turns::new(Bounds { all: 3, of_one: 2, waiting: usize::MAX });
        let work = |number: u32| {
            let turns = Arc::clone(&turns);
            async move {
                for round in 0..200 {
                    let turn = turns.turn(number % 5);
                    if (number + round).is_multiple_of(7) {
                        // Gives up sooner or later.
                        tokio::select! {
                            biased;
                            turn = turn => drop(turn),
                            () = tokio::task::yield_now() => {}
                        }
                        continue;
                    }
                    let _turn = turn.await.unwrap();
                    assert!(turns.rota().had <= 3);
                    tokio::task::yield_now().await;
                }
            }
        };
        let all: Vec<_> = (0..40).map(|number| tokio::spawn(work(number))).collect();
        for one in all {
            one.await.unwrap();
        }
        assert!(turns.rota().lanes.is_empty(), "nothing is left");
    }
}
