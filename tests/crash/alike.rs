//! A store with a log, a database and a memory in front of it answers like one that is a plain map,
//! over batches at random, restarts, kills, power cuts, and storage that fails and heals.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use okmsd::store::{
    engine::{
        Batch, CommitError, Cut, Engine, Expect, Health, Observer, Op, Read, ReadError, Record,
        Revision, Snapshot, Space,
    },
    engines::{memory::MemoryEngine, redb::RedbEngine},
};

use crate::{
    chance::Chance,
    common::*,
    power::{Disk, Luck},
    storage::{Fault, File, Image, Storage},
};

/// What is done, by chance.
struct Steps(Chance);

impl Steps {
    fn below(&mut self, limit: usize) -> usize {
        self.0.below(limit)
    }

    fn key(&mut self) -> Vec<u8> {
        format!("tenant {} {:02}", self.below(2), self.below(30)).into_bytes()
    }

    fn space(&mut self) -> Space {
        [HEADER, VERSION, VALUE][self.below(3)]
    }

    fn op(&mut self) -> Op {
        let (space, key) = (self.space(), self.key());
        match self.below(8) {
            0 => delete(space, &key),
            1 => delete_range(space, &key, &self.key()),
            _ => put(space, &key, &vec![self.below(250) as u8; [30, 700, 9_000][self.below(3)]]),
        }
    }
}

/// The bytes of a record, as revisions are each store's own.
fn bytes(record: Option<Record>) -> Option<Vec<u8>> {
    record.map(|record| record.bytes.to_vec())
}

async fn last(
    snapshot: &dyn Snapshot,
    space: Space,
    from: &[u8],
    to: &[u8],
) -> Result<Option<Vec<u8>>, ReadError> {
    let found = snapshot.read(&[Read::Last(space, from, to)]).await?.pop().unwrap()?;
    Ok(found.and_then(|found| found.key))
}

/// How often what was seen.
#[derive(Debug, Default)]
struct Seen {
    conflicts: usize,
    kills: usize,
    cuts: usize,
    faults: usize,
    refused: usize,
    unread: usize,
    /// Of what the outcome was not known: what was there after a restart, what was not, and what
    /// was known not to be when the store took writes again.
    there: usize,
    gone: usize,
    replaced: usize,
}

/// The store, and the map that it has to answer like.
struct Pair {
    storage: Storage,
    /// What the disk held when the storage was made.
    made: Image,
    open: fn(&Storage) -> RedbEngine,
    engine: RedbEngine,
    plain: MemoryEngine,
    chance: Steps,
    /// What fails: writes and syncs, or reads.
    fault: Option<Failing>,
    /// The changes of a commit whose outcome is not known.
    unknown: Option<Vec<Op>>,
    /// The last revision that was shown.
    highest: Revision,
    seen: Seen,
    place: String,
}

/// How a store ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    InOrder,
    Kill,
    PowerCut,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Failing {
    Writes,
    Reads,
}

impl Pair {
    fn new(seed: u64, open: fn(&Storage) -> RedbEngine) -> Self {
        let storage = Storage::new(Vec::new());
        Self {
            engine: open(&storage),
            open,
            storage,
            made: Image::default(),
            plain: MemoryEngine::default(),
            chance: Steps(Chance(seed * 7919)),
            fault: None,
            unknown: None,
            highest: Revision(0),
            seen: Seen::default(),
            place: format!("seed {seed}"),
        }
    }

    /// A read of both tells the same, or the storage cannot be read. Whether it could.
    fn same<T: PartialEq + std::fmt::Debug>(
        &mut self,
        one: Result<T, ReadError>,
        other: T,
    ) -> bool {
        match one {
            Ok(one) => assert_eq!(one, other, "{}", self.place),
            Err(ReadError::Unavailable(_)) if self.fault == Some(Failing::Reads) => {
                self.seen.unread += 1;
                return false;
            }
            Err(error) => panic!("{}: {error}", self.place),
        }
        true
    }

    /// The same precondition for both, each in its own counting.
    async fn expect(&mut self) -> Result<[(Space, Vec<u8>, Expect); 2], ReadError> {
        let (space, key, kind) = (self.chance.space(), self.chance.key(), self.chance.below(4));
        let to = self.chance.key();
        let mut expected = Vec::new();
        for store in [&self.engine as &dyn Engine, &self.plain] {
            let found = store.snapshot().await?.get(space, &key).await?;
            let expect = match (kind, found) {
                (0, _) | (1, None) => Expect::Absent,
                (2, _) => Expect::EmptyTo(to.clone()),
                (_, Some(record)) => Expect::At(record.revision),
                (_, None) => Expect::Absent,
            };
            expected.push((space, key.clone(), expect));
        }
        Ok(expected.try_into().unwrap())
    }

    async fn commit(&mut self) {
        let [one, other] = match self.expect().await {
            Ok(both) => both,
            Err(error) => {
                assert!(self.fault == Some(Failing::Reads), "{}: {error}", self.place);
                return;
            }
        };
        let ops: Vec<_> = (0..1 + self.chance.below(4)).map(|_| self.chance.op()).collect();
        let with =
            |precondition| Batch { preconditions: vec![precondition], ..Batch::of(ops.clone()) };
        let answer = self.engine.commit(with(one)).await;
        match answer {
            Ok(_) | Err(CommitError::Conflict) => {
                // Something was written in the place of what was not known.
                self.seen.replaced += usize::from(self.unknown.take().is_some());
                match (answer, self.plain.commit(with(other)).await) {
                    (Ok(revision), Ok(_)) => {
                        assert!(revision > self.highest, "{}: {revision:?} again", self.place);
                        self.highest = revision;
                    }
                    (Err(_), Err(CommitError::Conflict)) => self.seen.conflicts += 1,
                    answers => panic!("{}: {answers:?}", self.place),
                }
            }
            Err(CommitError::Unavailable(_)) => self.seen.refused += 1,
            Err(CommitError::OutcomeUnknown(_)) => {
                // A store that heals before this notices takes writes again, and may fail anew. What
                // was not known before is not there by then, as a restart shows.
                self.seen.replaced += usize::from(self.unknown.replace(ops).is_some());
            }
            Err(error) => panic!("{}: {error}", self.place),
        }
    }

    /// Some reads, until one finds that the storage cannot be read.
    async fn read(&mut self, is_all: bool) -> bool {
        let other = view(&self.plain).await;
        let one = match self.engine.snapshot().await {
            Ok(one) => one,
            Err(error) => return self.same(Err(error), ()),
        };
        let (space, key, to) = (self.chance.space(), self.chance.key(), self.chance.key());
        let expected = bytes(other.get(space, &key).await.unwrap());
        let mut goes_on = self.same(one.get(space, &key).await.map(bytes), expected);
        if goes_on {
            let expected = last(&*other, space, &key, &to).await.unwrap();
            goes_on = self.same(last(&*one, space, &key, &to).await, expected);
        }
        for cut in [None, Some(Cut { behind: 8, separator: b'1' })] {
            let limit = 1 + self.chance.below(20);
            if goes_on {
                let expected = other.keys(space, &key, &to, cut, limit).await.unwrap();
                goes_on = self.same(one.keys(space, &key, &to, cut, limit).await, expected);
            }
        }
        if goes_on && is_all {
            goes_on = self.same(try_dump(&*one).await, dump(&*other).await);
        }
        goes_on
    }

    /// Something begins to fail: at once, or a few operations later.
    fn fail(&mut self) {
        self.seen.faults += 1;
        let nth = self.chance.below(4) as u64;
        let fault = match self.chance.below(12) {
            0 => {
                self.storage.fail_reads(true);
                self.fault = Some(Failing::Reads);
                return;
            }
            1..=4 => Fault::Broken(nth),
            5..=8 => Fault::Full(nth),
            _ => Fault::OneSync(nth + 1),
        };
        match self.chance.below(4) {
            0 => self.storage.fail(fault),
            1 => self.storage.fail_only(File::Database, fault),
            _ => self.storage.fail_only(File::Log, fault),
        }
        self.fault = Some(Failing::Writes);
    }

    /// Nothing fails any more; whether the store has noticed is another matter.
    async fn heal(&mut self) {
        self.storage.fail(Fault::None);
        self.storage.fail_reads(false);
        if self.fault == Some(Failing::Reads) || self.chance.below(3) > 0 {
            for tries in 0.. {
                ready(&self.engine).await;
                let found = match self.engine.snapshot().await {
                    Ok(found) => try_dump(&*found).await,
                    Err(error) => Err(error),
                };
                if found.is_ok() && self.engine.health() == Health::Ready {
                    break;
                }
                assert!(tries < 500, "{}: it cannot be read", self.place);
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            self.seen.replaced += usize::from(self.unknown.take().is_some());
        }
        self.fault = None;
    }

    /// Ends the store, and opens what it leaves.
    async fn restart(mut self, end: End) -> Self {
        let killed = self.storage.killed();
        drop(self.engine);
        self.storage.fail(Fault::None);
        self.storage.fail_reads(false);
        match end {
            End::InOrder => {}
            End::Kill => {
                self.storage = killed;
                self.seen.kills += 1;
            }
            End::PowerCut => {
                let luck = [Luck::Nothing, Luck::Everything, Luck::Some, Luck::Sectors];
                let luck = luck[self.chance.below(4)];
                let mut disk = Disk::new(self.made, self.chance.below(1 << 30) as u64 + 1);
                killed.log().iter().for_each(|event| disk.play(event));
                self.made = disk.crash(luck);
                self.storage = Storage::new(self.made.clone());
                self.seen.cuts += 1;
            }
        }
        self.fault = None;
        self.engine = (self.open)(&self.storage);
        let found = dump(&*view(&self.engine).await).await;
        let mut expected = dump(&*view(&self.plain).await).await;
        if let Some(ops) = self.unknown.take() {
            let unknown = batch(ops);
            let without = expected.clone();
            apply(&mut expected, &unknown);
            if found == without {
                self.seen.gone += 1;
                expected = without;
            } else {
                self.plain.commit(unknown).await.unwrap();
                self.seen.there += 1;
            }
        }
        assert!(found == expected, "{}: {} records", self.place, found.len());
        assert!(self.engine.revision() >= self.highest, "{}", self.place);
        self.highest = self.engine.revision();
        self
    }
}

/// So many steps; with faults, or without.
async fn run(seed: u64, steps: usize, faults: bool) -> Seen {
    // Without caches every read reaches the storage.
    let open = if faults && seed.is_multiple_of(3) { open_cold } else { open };
    let mut pair = Pair::new(seed, open);
    for step in 0..steps {
        pair.place = format!("seed {seed}, step {step}");
        if faults {
            match pair.fault {
                None if pair.chance.below(12) == 0 => pair.fail(),
                // A read that fails takes its time.
                Some(Failing::Reads) if pair.chance.below(2) == 0 => pair.heal().await,
                Some(Failing::Writes) if pair.chance.below(8) == 0 => pair.heal().await,
                _ => {}
            }
        }
        pair.commit().await;
        pair.read(step % 20 == 0).await;
        let rarely = if pair.unknown.is_some() { 8 } else { 60 };
        match pair.chance.below(rarely) {
            0 => pair = pair.restart(End::InOrder).await,
            1 => pair = pair.restart(End::Kill).await,
            2 => pair = pair.restart(End::PowerCut).await,
            _ => {}
        }
    }
    pair.restart(End::InOrder).await.seen
}

#[tokio::test]
async fn it_answers_like_a_map() {
    let (mut conflicts, mut kills) = (0, 0);
    for seed in 1..=6 {
        let seen = run(seed, 400, false).await;
        conflicts += seen.conflicts;
        kills += seen.kills;
        assert_eq!(seen.refused, 0, "seed {seed}");
    }
    assert!(conflicts > 100 && kills > 10, "{conflicts} conflicts, {kills} kills");
}

/// The same while the storage breaks, fills up, forgets what it should have saved or cannot be
/// read, by chance, and heals, and while the power goes: what is refused is not there, what is not
/// known is there whole or not at all, and what is read is right.
#[tokio::test]
async fn it_answers_like_a_map_while_storage_fails() {
    let mut all = Seen::default();
    for seed in 1..=9 {
        let seen = run(seed, 500, true).await;
        all.conflicts += seen.conflicts;
        all.kills += seen.kills;
        all.cuts += seen.cuts;
        all.faults += seen.faults;
        all.refused += seen.refused;
        all.unread += seen.unread;
        all.there += seen.there;
        all.gone += seen.gone;
        all.replaced += seen.replaced;
    }
    let Seen { conflicts, kills, cuts, faults, refused, unread, there, gone, replaced } = all;
    assert!(conflicts > 100 && kills > 40 && cuts > 40 && faults > 150, "{all:?}");
    assert!(refused > 100 && unread > 3, "{all:?}");
    assert!(there > 10 && gone > 10 && replaced > 10, "{all:?}");
}

/// A clock that steps back now and then.
struct Clock(AtomicU64);

impl Observer for Clock {
    fn committed(&self, _: usize, _: usize, _: Duration) {}
    fn commit_failed(&self, _: usize) {}
    fn moment(&self) -> Option<u64> {
        let reads = self.0.fetch_add(1, SeqCst);
        Some(1_000 + [10, 20, 5, 15][reads as usize % 4] * (1 + reads / 4))
    }
}

/// Both feeds tell the same: what was touched, and moments that never go back though the clock does.
#[tokio::test]
async fn both_feeds_tell_the_same() {
    let clock = || Arc::new(Clock(AtomicU64::new(0)));
    let storage = Storage::new(Vec::new());
    let engine =
        RedbEngine::open_backend(storage.clone(), storage.beside(), &options(), clock()).unwrap();
    let plain = MemoryEngine::observed(clock());
    let mut chance = Steps(Chance(77));
    let mut told = Vec::new();
    for store in [&engine as &dyn Engine, &plain] {
        chance.0 = Chance(77);
        for _ in 0..20 {
            write(store, (0..1 + chance.below(3)).map(|_| chance.op()).collect()).await;
        }
        told.push(store.changes(Revision(0)).await.unwrap());
    }
    let moments: Vec<_> = told[0].iter().map(|change| change.moment.unwrap()).collect();
    assert!(moments.is_sorted() && moments.iter().any(|moment| *moment > moments[0]));
    assert!(moments.windows(2).any(|pair| pair[0] == pair[1]), "the clock has stepped back");
    assert_eq!(told[0].len(), 20);
    assert_eq!(told[0], told[1]);
}
