//! Many writers at once: no update is lost, and a group is one commit.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use okmsd::store::{
    engine::{CommitError, Engine, Expect, Observer},
    engines::redb::RedbEngine,
};

use crate::{common::*, storage::Storage};

#[derive(Default)]
struct Count {
    groups: AtomicUsize,
    batches: AtomicUsize,
}

impl Observer for Count {
    fn committed(&self, batches: usize, _: usize, _: Duration) {
        self.groups.fetch_add(1, Ordering::Relaxed);
        self.batches.fetch_add(batches, Ordering::Relaxed);
    }

    fn commit_failed(&self, _: usize) {
        panic!("no commit fails here");
    }
}

/// Reads, adds one, writes if nobody was faster.
async fn increment(engine: &dyn Engine, key: &[u8]) {
    loop {
        let found = get(engine, HEADER, key).await;
        let (expect, count) = match &found {
            None => (Expect::Absent, 0),
            Some(record) => (
                Expect::At(record.revision),
                u64::from_be_bytes(record.bytes.as_ref().try_into().unwrap()),
            ),
        };
        let next = vec![put(HEADER, key, &(count + 1).to_be_bytes())];
        match engine.commit(batch_if(HEADER, key, expect, next)).await {
            Ok(_) => return,
            Err(CommitError::Conflict) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_increment_is_lost() {
    let count = Arc::new(Count::default());
    let storage = Storage::new(Vec::new());
    let engine = Arc::new(
        RedbEngine::open_backend(storage.clone(), storage.beside(), &options(), count.clone())
            .unwrap(),
    );
    let tasks = 32;
    let rounds = 25;
    let task = |engine: Arc<RedbEngine>| async move {
        for n in 0..rounds {
            increment(&*engine, format!("counter-{}", n % 5).as_bytes()).await;
        }
    };
    let tasks: Vec<_> = (0..tasks).map(|_| tokio::spawn(task(engine.clone()))).collect();
    let expected = (tasks.len() * rounds) as u64;
    for task in tasks {
        task.await.unwrap();
    }
    drop(engine);
    let found = dump_image(storage.image()).await;
    let sum: u64 =
        found.values().map(|bytes| u64::from_be_bytes(bytes.as_slice().try_into().unwrap())).sum();
    assert_eq!(sum, expected);
    assert_eq!(count.batches.load(Ordering::Relaxed) as u64, expected);
    let groups = count.groups.load(Ordering::Relaxed) as u64;
    assert!(groups < expected, "{groups} commits for {expected} batches");
}

/// The engine always holds a view of the newest state. That must not keep old pages: a record that
/// is written over again and again lives in a file that has stopped growing.
#[tokio::test]
async fn overwriting_does_not_let_the_file_grow() {
    let storage = Storage::new(Vec::new());
    let engine = open(&storage);
    let mut sizes = Vec::new();
    for round in 0..600_u32 {
        let value = vec![u8::try_from(round % 251).unwrap(); 40_000];
        write(&engine, vec![put(VALUE, b"k", &value), put(HEADER, b"k", &round.to_be_bytes())])
            .await;
        if round % 100 == 99 {
            sizes.push(storage.len());
        }
    }
    assert!(sizes.iter().all(|size| *size == sizes[0]), "{sizes:?}");
}
