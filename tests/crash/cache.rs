//! The record cache against a plain model: whatever the order of commits, snapshots and reads, a
//! read says what was true at its snapshot.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use okmsd::store::{
    engine::{Batch, Engine, Op, Space},
    engines::redb::RedbEngine,
};
use proptest::prelude::*;

use crate::{common::*, storage::Storage};

#[derive(Clone, Debug)]
enum Step {
    Commit(Batch),
    Snapshot,
    /// Reads a key at a snapshot that is so many snapshots old.
    Get(usize, Space, u8),
}

fn key(n: u8) -> Vec<u8> {
    vec![b'k', n]
}

fn ops() -> impl Strategy<Value = Op> {
    let space = || prop_oneof![Just(HEADER), Just(VALUE)];
    prop_oneof![
        4 => (space(), 0..12_u8, 0..600_usize, any::<u8>()).prop_map(|(s, k, n, b)| put(s, &key(k), &vec![b; n])),
        2 => (space(), 0..12_u8).prop_map(|(s, k)| delete(s, &key(k))),
        1 => (space(), 0..12_u8, 0..12_u8).prop_map(|(s, a, b)| delete_range(s, &key(a), &key(b))),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let space = prop_oneof![Just(HEADER), Just(VALUE)];
    let step = prop_oneof![
        2 => prop::collection::vec(ops(), 1..4).prop_map(|ops| Step::Commit(batch(ops))),
        2 => Just(Step::Snapshot),
        8 => (0..4_usize, space, 0..12_u8).prop_map(|(age, space, key)| Step::Get(age, space, key)),
    ];
    prop::collection::vec(step, 1..120)
}

async fn play(steps: Vec<Step>, record_cache_bytes: usize) {
    let mut options = options();
    options.record_cache_bytes = record_cache_bytes;
    let storage = Storage::new(Vec::new());
    let engine =
        RedbEngine::open_backend(storage.clone(), storage.beside(), &options, blind()).unwrap();
    let mut model = Model::new();
    let mut snapshots = vec![(view(&engine).await, model.clone())];
    for step in steps {
        match step {
            Step::Commit(batch) => {
                engine.commit(batch.clone()).await.unwrap();
                apply(&mut model, &batch);
            }
            Step::Snapshot => snapshots.push((view(&engine).await, model.clone())),
            Step::Get(age, space, n) => {
                let at = snapshots.len().saturating_sub(age + 1);
                let (snapshot, model) = &snapshots[at];
                let found =
                    snapshot.get(space, &key(n)).await.unwrap().map(|record| record.bytes.to_vec());
                assert_eq!(
                    found.as_ref(),
                    model.get(&(space, key(n))),
                    "{space:?} {n} at snapshot {at}"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 120, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_read_says_what_its_snapshot_says(steps in steps(), small in any::<bool>()) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(play(steps, if small { 30 << 10 } else { 1 << 20 }));
    }
}

/// A range with more records than the cache is told of one by one.
#[tokio::test]
async fn a_big_range_is_forgotten_whole() {
    let engine = open(&Storage::new(Vec::new()));
    let ops = (0..6000_u32).map(|n| put(VALUE, &n.to_be_bytes(), b"x")).collect();
    write(&engine, ops).await;
    let old = view(&engine).await;
    for n in (0..6000_u32).step_by(500) {
        assert!(get(&engine, VALUE, &n.to_be_bytes()).await.is_some());
    }
    write(&engine, vec![delete_range(VALUE, &[0; 4], &5000_u32.to_be_bytes())]).await;
    for n in (0..6000_u32).step_by(500) {
        assert!(old.get(VALUE, &n.to_be_bytes()).await.unwrap().is_some());
        assert_eq!(get(&engine, VALUE, &n.to_be_bytes()).await.is_some(), n >= 5000, "{n}");
    }
}

/// Readers on several threads while the writer never rests: two records that are always written
/// together are never seen apart, and a reader never goes back in time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_beside_the_writer_see_whole_commits() {
    let engine = Arc::new(open(&Storage::new(Vec::new())));
    let stop = Arc::new(AtomicBool::new(false));
    let name = |n: u64| [b'k', u8::try_from(n).unwrap()];
    let both = |n: u64, value: u64| {
        let value = value.to_be_bytes();
        vec![put(HEADER, &name(n), &value), put(VALUE, &name(n), &value)]
    };
    for n in 0..4 {
        write(&*engine, both(n, 0)).await;
    }
    let reader = |engine: Arc<RedbEngine>, stop: Arc<AtomicBool>| async move {
        let mut last = [0; 4];
        let mut reads = 0_u64;
        while !stop.load(Ordering::Relaxed) {
            let snapshot = view(&*engine).await;
            for n in 0..4 {
                let header = snapshot.get(HEADER, &name(n)).await.unwrap().unwrap();
                let value = snapshot.get(VALUE, &name(n)).await.unwrap().unwrap();
                assert_eq!(header, value);
                let seen = u64::from_be_bytes(header.bytes.as_ref().try_into().unwrap());
                let last = &mut last[usize::try_from(n).unwrap()];
                assert!(seen >= *last);
                *last = seen;
                reads += 1;
            }
            tokio::task::yield_now().await;
        }
        reads
    };
    let readers: Vec<_> =
        (0..4).map(|_| tokio::spawn(reader(engine.clone(), stop.clone()))).collect();
    let until = tokio::time::Instant::now() + Duration::from_secs(2);
    let mut round = 0;
    while tokio::time::Instant::now() < until {
        round += 1;
        write(&*engine, both(round % 4, round)).await;
    }
    stop.store(true, Ordering::Relaxed);
    for reader in readers {
        assert!(reader.await.unwrap() > 100);
    }
    assert!(round > 100);
}
