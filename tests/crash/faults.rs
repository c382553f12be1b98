//! Storage that fails at any moment: what was acknowledged stays, what was refused is absent, what
//! is not known is there or not there, and reads go on.

use okmsd::store::engine::{CommitError, Engine, Health};

use crate::{
    common::*,
    storage::{Fault, Storage},
};

/// What the store may hold, as far as the answers tell.
struct Possible(Vec<Model>);

impl Possible {
    /// An answer narrows it or widens it.
    fn hear(
        &mut self,
        batch: &okmsd::store::engine::Batch,
        answer: &Result<impl Sized, CommitError>,
    ) {
        match answer {
            Ok(_) => self.0.iter_mut().for_each(|model| apply(model, batch)),
            Err(CommitError::OutcomeUnknown(_)) => {
                let mut with = self.0.clone();
                for model in &mut with {
                    apply(model, batch);
                }
                self.0.extend(with);
            }
            Err(CommitError::Unavailable(_)) => {}
            Err(other) => panic!("{other}"),
        }
    }

    fn admit(&mut self, found: &Model, when: &str) {
        assert!(
            self.0.contains(found),
            "{when}: {} records are not what was acknowledged",
            found.len()
        );
        self.0 = vec![found.clone()];
    }
}

#[derive(Default)]
struct Seen {
    unknown: usize,
    refused: usize,
    read_only: usize,
}

/// Runs the script, two batches at a time, with a fault in its way.
async fn run(fault: Fault, heal: bool, seen: &mut Seen) {
    let storage = Storage::new(Vec::new());
    let engine = open(&storage);
    storage.fail(fault);
    let mut possible = Possible(vec![Model::new()]);
    for pair in script().chunks(2) {
        let answers: Vec<_> = pair.iter().map(|batch| engine.commit(batch.clone())).collect();
        for (batch, answer) in pair.iter().zip(answers) {
            let answer = answer.await;
            possible.hear(batch, &answer);
            seen.unknown += usize::from(matches!(answer, Err(CommitError::OutcomeUnknown(_))));
            seen.refused += usize::from(matches!(answer, Err(CommitError::Unavailable(_))));
        }
        seen.read_only += usize::from(engine.health() == Health::ReadOnly);
        assert_ne!(engine.health(), Health::Down, "reads work, and so does the store");
        // An unknown commit may come to light later, so this does not narrow what is possible.
        let found = dump(&*view(&engine).await).await;
        assert!(possible.0.contains(&found), "{fault:?}: reads show what was not acknowledged");
    }
    if heal {
        storage.fail(Fault::None);
        ready(&engine).await;
        let found = dump(&*view(&engine).await).await;
        possible.admit(&found, "after recovery");
        let last = batch(vec![put(REGION, b"recovered", b"yes")]);
        let answer = engine.commit(last.clone()).await;
        assert!(answer.is_ok(), "{answer:?}");
        possible.hear(&last, &answer);
    }
    drop(engine);
    storage.fail(Fault::None);
    possible.admit(&dump_image(storage.image()).await, "after reopening");
}

async fn everywhere(fault: impl Fn(u64) -> Fault) {
    let storage = Storage::new(Vec::new());
    let engine = open(&storage);
    storage.fail(Fault::None);
    for pair in script().chunks(2) {
        let answers: Vec<_> = pair.iter().map(|batch| engine.commit(batch.clone())).collect();
        for answer in answers {
            answer.await.unwrap();
        }
    }
    let (operations, _) = storage.counts();
    drop(engine);
    assert!(operations > 50, "the script reaches the storage");
    let mut seen = Seen::default();
    for nth in 0..operations {
        run(fault(nth), nth % 2 == 0, &mut seen).await;
    }
    let Seen { unknown, refused, read_only } = seen;
    assert!(
        unknown > 0 && refused > 0 && read_only > 0,
        "{unknown} unknown, {refused} refused, {read_only} read-only"
    );
}

#[tokio::test]
async fn a_disk_that_breaks_loses_nothing() {
    everywhere(Fault::Broken).await;
}

#[tokio::test]
async fn a_disk_that_fills_up_loses_nothing() {
    everywhere(Fault::Full).await;
}

#[tokio::test]
async fn a_disk_that_cannot_be_read_for_a_while_is_read_again() {
    let storage = Storage::new(Vec::new());
    let engine = open_cold(&storage);
    let ops = (0..200_u32).map(|n| put(VALUE, &n.to_be_bytes(), &[3; 2000])).collect();
    write(&engine, ops).await;
    storage.fail_reads(true);
    let failed = view(&engine).await.get(VALUE, &77_u32.to_be_bytes()).await;
    assert!(failed.is_err());
    storage.fail_reads(false);
    ready(&engine).await;
    assert_eq!(dump(&*view(&engine).await).await.len(), 200);
    write(&engine, vec![put(VALUE, b"more", b"x")]).await;
}

/// A snapshot that was taken before a failure goes on, because the next database shows the same
/// moment.
#[tokio::test]
async fn a_snapshot_outlives_a_failure() {
    let storage = Storage::new(Vec::new());
    let mut small = options();
    (small.cache_bytes, small.record_cache_bytes) = (0, 0);
    small.pause_min = std::time::Duration::from_mins(1);
    let engine =
        okmsd::store::engines::redb::RedbEngine::open_backend(storage.clone(), &small, blind())
            .unwrap();
    let ops = (0..200_u32).map(|n| put(VALUE, &n.to_be_bytes(), &[3; 2000])).collect();
    write(&engine, ops).await;
    let snapshot = view(&engine).await;
    storage.fail(Fault::Broken(0));
    let failed = engine.commit(batch(vec![delete_range(VALUE, b"", b"\xff")])).await;
    assert!(
        matches!(failed, Err(CommitError::OutcomeUnknown(_) | CommitError::Unavailable(_))),
        "{failed:?}"
    );
    assert_eq!(engine.health(), Health::ReadOnly);
    for n in 0..200_u32 {
        assert!(snapshot.get(VALUE, &n.to_be_bytes()).await.unwrap().is_some());
    }
    assert_eq!(dump(&*snapshot).await.len(), 200);
}
