//! Removals of ranges: a big one is looked at before it is judged, and keeps nobody waiting.

use std::{sync::Arc, time::Duration};

use okmsd::store::engine::{CommitError, Engine, Expect, Read};

use crate::{
    common::*,
    storage::{Fault, File, Storage},
};

/// What the values are made of, and how many there are of 5,000 bytes.
const MARK: u8 = 7;
const RECORDS: u16 = 700;
/// More of them than are looked at while others wait.
const READS: usize = 400;

fn key(n: u16) -> Vec<u8> {
    [[1; 16].as_slice(), &n.to_be_bytes()].concat()
}

/// A store that has many large records of one tenant in its database, and nothing in its log.
async fn made() -> (Storage, Model) {
    let (storage, mut model) = (Storage::new(Vec::new()), Model::new());
    let engine = open(&storage);
    let puts: Vec<_> = (0..RECORDS).map(|n| put(VALUE, &key(n), &[MARK; 5_000])).collect();
    for ops in puts.chunks(50) {
        apply(&mut model, &batch(ops.to_vec()));
        write(&engine, ops.to_vec()).await;
    }
    drop(engine);
    (storage, model)
}

/// Waits until a look at the range waits.
async fn held(storage: &Storage) {
    for _ in 0..10_000 {
        if storage.is_held() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    panic!("the range is not looked at");
}

/// The pages of a range were once read in the turn in which groups are judged: whoever removed a
/// million records kept everybody waiting.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_big_removal_keeps_nobody_waiting() {
    let (storage, mut model) = made().await;
    let engine = Arc::new(open_cold(&storage));
    storage.hold_reads(Some((MARK, READS)));
    let removal = batch(vec![delete_range(VALUE, &key(0), &key(RECORDS - 5))]);
    let removing = tokio::spawn({
        let (engine, removal) = (Arc::clone(&engine), removal.clone());
        async move { engine.commit(removal).await }
    });
    held(&storage).await;
    // Another tenant's, and the same one's that comes later.
    for tenant in [2, 1] {
        let step = batch(vec![put(HEADER, &[tenant; 17], b"meanwhile")]);
        let answer = tokio::time::timeout(Duration::from_secs(20), engine.commit(step.clone()));
        let answer = answer.await;
        if answer.is_err() {
            // A store with a read that waits does not end.
            storage.hold_reads(None);
        }
        answer.expect("it does not wait for the removal").unwrap();
        apply(&mut model, &step);
    }
    assert!(!removing.is_finished());
    assert_eq!(get(&*engine, HEADER, &[2; 17]).await.unwrap().bytes.as_ref(), b"meanwhile");
    storage.hold_reads(None);
    removing.await.unwrap().unwrap();
    apply(&mut model, &removal);
    assert_eq!(dump(&*view(&*engine).await).await, model);
    drop(engine);
    assert_eq!(dump_image(storage.image()).await, model);
}

/// What was removed, and is in the database still, is passed over: a list of it, and whoever asks
/// whether nothing is left, once read each record that was gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_gone_is_passed_over() {
    let (storage, model) = made().await;
    let engine = Arc::new(open_cold(&storage));
    // The database cannot follow.
    storage.fail_only(File::Database, Fault::Broken(0));
    write(&*engine, vec![delete_range(VALUE, &key(5), &key(RECORDS - 5))]).await;
    let left: Vec<_> = (0..5).chain(RECORDS - 5..RECORDS).map(key).collect();
    storage.hold_reads(Some((MARK, 200)));
    let look = async {
        let snapshot = view(&*engine).await;
        let keys = snapshot.keys(VALUE, &key(0), &key(RECORDS), None, 100).await.unwrap();
        let last = [Read::Last(VALUE, &key(0), &key(RECORDS - 5))];
        let last = engine.read(&last).await.unwrap().remove(0).unwrap().unwrap();
        let empty = Expect::EmptyTo(key(RECORDS - 6));
        let ops = vec![put(HEADER, &key(0), b"nothing is left")];
        engine.commit(batch_if(VALUE, &key(6), empty, ops)).await.unwrap();
        (keys, last.key)
    };
    let found = tokio::time::timeout(Duration::from_secs(20), look).await;
    // A store with a read that waits does not end.
    storage.hold_reads(None);
    storage.fail(Fault::None);
    let (keys, last) = found.expect("it reads what is gone");
    assert_eq!((keys, last), (left.clone(), Some(key(4))));
    let kept = |((space, key), _): &(&(_, Vec<u8>), _)| *space == VALUE && left.contains(key);
    assert_eq!(model.iter().filter(kept).count(), 10);
    drop(engine);
    let found = dump_image(storage.image()).await;
    assert_eq!(found.len(), 11);
}

/// A damaged page far behind in a big range refuses its removal, and nothing else; and a store can
/// be closed while one is looked at.
#[tokio::test]
async fn a_big_removal_that_meets_damage_is_refused() {
    let (storage, mut model) = made().await;
    let image = storage.image().database;
    let name = key(RECORDS - 50);
    let places = (0..image.len() - name.len()).filter(|at| image[*at..].starts_with(&name));
    places.for_each(|at| storage.flip(at * 8 + 3));
    let engine = open_cold(&storage);
    let removal = || batch(vec![delete_range(VALUE, &key(0), &key(RECORDS))]);
    let refused = engine.commit(removal()).await;
    assert!(matches!(refused, Err(CommitError::Corrupt(_))), "{refused:?}");
    let step = batch(vec![put(HEADER, &[1; 17], b"goes on")]);
    engine.commit(step.clone()).await.unwrap();
    apply(&mut model, &step);
    storage.flip_back();
    assert_eq!(dump(&*view(&engine).await).await, model, "nothing was removed");
    storage.hold_reads(Some((MARK, READS)));
    let removing = engine.commit(removal());
    held(&storage).await;
    // The caller gives up, and the store is closed.
    drop(removing);
    let closing = std::thread::spawn(move || drop(engine));
    storage.hold_reads(None);
    closing.join().unwrap();
    let found = dump_image(storage.image()).await;
    if found != model {
        apply(&mut model, &removal());
        assert_eq!(found, model, "it is there whole, or not at all");
    }
}
