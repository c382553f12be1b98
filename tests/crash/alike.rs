//! A store with a log, a database and a memory in front of it answers like one that is a plain map,
//! over batches at random, restarts and kills.

use okmsd::store::{
    engine::{Batch, CommitError, Cut, Engine, Expect, Op, Snapshot, Space},
    engines::memory::MemoryEngine,
};

use crate::{chance::Chance, common::*, storage::Storage};

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

/// The same precondition for both stores, each in its own counting.
async fn expect(chance: &mut Steps, stores: [&dyn Engine; 2]) -> [(Space, Vec<u8>, Expect); 2] {
    let (space, key, kind) = (chance.space(), chance.key(), chance.below(4));
    let to = chance.key();
    let mut expected = Vec::new();
    for store in stores {
        let found = get(store, space, &key).await;
        let expect = match (kind, found) {
            (0, _) | (1, None) => Expect::Absent,
            (2, _) => Expect::EmptyTo(to.clone()),
            (_, Some(record)) => Expect::At(record.revision),
            (_, None) => Expect::Absent,
        };
        expected.push((space, key.clone(), expect));
    }
    expected.try_into().unwrap()
}

async fn last(snapshot: &dyn Snapshot, space: Space, from: &[u8], to: &[u8]) -> Option<Vec<u8>> {
    use okmsd::store::engine::Read;
    let found = snapshot.read(&[Read::Last(space, from, to)]).await.unwrap().pop().unwrap();
    found.unwrap().and_then(|found| found.key)
}

#[tokio::test]
async fn it_answers_like_a_map() {
    let (mut conflicts, mut kills) = (0, 0);
    for seed in 1..=6_u64 {
        let mut chance = Steps(Chance(seed * 7919));
        let plain = MemoryEngine::default();
        let mut storage = Storage::new(Vec::new());
        let mut engine = open(&storage);
        for step in 0..400 {
            let [one, other] = expect(&mut chance, [&engine, &plain]).await;
            let ops: Vec<_> = (0..1 + chance.below(4)).map(|_| chance.op()).collect();
            let with = |precondition| Batch { preconditions: vec![precondition], ops: ops.clone() };
            let answers = (engine.commit(with(one)).await, plain.commit(with(other)).await);
            match answers {
                (Ok(_), Ok(_)) => {}
                (Err(CommitError::Conflict), Err(CommitError::Conflict)) => conflicts += 1,
                answers => panic!("seed {seed}, step {step}: {answers:?}"),
            }
            let (space, key, to) = (chance.space(), chance.key(), chance.key());
            let views = (view(&engine).await, view(&plain).await);
            let bytes = |record: Option<okmsd::store::engine::Record>| record.map(|it| it.bytes);
            assert_eq!(
                bytes(views.0.get(space, &key).await.unwrap()),
                bytes(views.1.get(space, &key).await.unwrap()),
                "seed {seed}, step {step}"
            );
            assert_eq!(
                last(&*views.0, space, &key, &to).await,
                last(&*views.1, space, &key, &to).await,
                "seed {seed}, step {step}"
            );
            for cut in [None, Some(Cut { behind: 8, separator: b'1' })] {
                let limit = 1 + chance.below(20);
                let keys = [&views.0, &views.1].map(|it| it.keys(space, &key, &to, cut, limit));
                let [one, other] = keys;
                let (one, other) = (one.await.unwrap(), other.await.unwrap());
                assert_eq!(one, other, "seed {seed}, step {step}, {cut:?}, {limit}");
            }
            if step % 20 == 0 {
                assert_eq!(
                    dump(&*views.0).await,
                    dump(&*views.1).await,
                    "seed {seed}, step {step}"
                );
            }
            drop(views);
            match chance.below(60) {
                0 => {
                    drop(engine);
                    engine = open(&storage);
                }
                1 => {
                    // As a kill leaves it.
                    let killed = Storage::new(storage.image());
                    drop(engine);
                    storage = killed;
                    engine = open(&storage);
                    kills += 1;
                }
                _ => {}
            }
        }
        let (one, other) = (dump(&*view(&engine).await).await, dump(&*view(&plain).await).await);
        assert_eq!(one, other, "seed {seed}");
    }
    assert!(conflicts > 100 && kills > 10, "{conflicts} conflicts, {kills} kills");
}
