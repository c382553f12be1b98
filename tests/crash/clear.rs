//! What the database has by now leaves the log without waiting for others to be written in its
//! place, and the log's room on the disk is had before it is needed.

use std::{os::unix::fs::MetadataExt, time::Duration};

use okmsd::store::{
    engine::{Engine, Health, Revision},
    engines::redb::{LogError, OpenError, RedbEngine},
};

use crate::{
    common::*,
    log::open_image,
    power::{Disk, Luck},
    storage::{Event, Fault, File, Image, Storage},
};

/// What is destroyed in these tests.
const MARK: &[u8] = b"a value that is to be gone";

fn has_mark(bytes: &[u8]) -> bool {
    bytes.windows(MARK.len()).any(|window| window == MARK)
}

/// How many bytes behind the header are not zeros.
fn used(storage: &Storage) -> usize {
    storage.image().log.iter().skip(4096).filter(|byte| **byte != 0).count()
}

async fn until(mut is_so: impl FnMut() -> bool) {
    for _ in 0..1500 {
        if is_so() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("it did not come to that");
}

/// A secret that was written and destroyed, and what is in the store then.
async fn destroyed(engine: &RedbEngine) -> Model {
    let mut model = Model::new();
    for n in 0..40_u8 {
        let step = batch(vec![put(VALUE, &[n; 17], &MARK.repeat(10))]);
        engine.commit(step).await.unwrap();
        let step = batch(vec![delete(VALUE, &[n; 17]), put(HEADER, &[n; 17], &[n; 100])]);
        apply(&mut model, &step);
        engine.commit(step).await.unwrap();
    }
    model
}

/// In a quiet store the bytes of a destroyed value once stayed in the log for good.
#[tokio::test]
async fn what_was_destroyed_leaves_a_quiet_log() {
    let storage = Storage::new(Vec::new());
    let engine = open(&storage);
    let model = destroyed(&engine).await;
    assert!(has_mark(&storage.image().log), "it was there");
    until(|| !has_mark(&storage.image().log)).await;
    // The last frame stays, as the proof that this is the store's log.
    until(|| (1..=512).contains(&used(&storage))).await;
    let image = storage.image();
    assert_eq!(dump_image(image.clone()).await, model, "a kill then");
    write(&engine, vec![put(HEADER, b"next", b"1")]).await;
    let with_next = dump_image(storage.image()).await;
    assert_eq!(with_next.len(), model.len() + 1, "and one behind the next write");

    // An older log of the same opening is found out all the same, and so is an older database.
    let older = Image { log: storage.image().log, database: image.database.clone() };
    assert!(open_image(&older).is_ok(), "nothing is missing there");
    let made = Storage::new(Vec::new());
    let first = open(&made);
    let early = made.image();
    destroyed(&first).await;
    until(|| (1..=512).contains(&used(&made))).await;
    let late = made.image();
    let mixed = |database: &Image, log: &Image| {
        open_image(&Image { database: database.database.clone(), log: log.log.clone() }).map(drop)
    };
    let found = mixed(&late, &early);
    assert!(matches!(found, Err(OpenError::Log(LogError::OfAnotherDay(_)))), "{found:?}");
    // What lies between looks like sectors that were lost.
    let found = mixed(&early, &late);
    assert!(matches!(found, Err(OpenError::Log(LogError::Damaged(_)))), "{found:?}");
}

/// The power goes at each step of the clearing, and of what is written behind it.
#[tokio::test]
async fn power_can_go_while_the_log_is_cleared() {
    let storage = Storage::new(Vec::new());
    let engine = open(&storage);
    let model = destroyed(&engine).await;
    let begun = storage.log().len();
    until(|| (1..=512).contains(&used(&storage))).await;
    write(&engine, vec![put(HEADER, b"after", b"1")]).await;
    let events = storage.log();
    let is_zeros = |event: &Event| matches!(event, Event::Write(File::Log, _, bytes) if bytes.iter().all(|it| *it == 0));
    assert!(events.iter().skip(begun).filter(|event| is_zeros(event)).count() > 1);
    let made = Image::from(Vec::new());
    for cut in begun..=events.len() {
        for (seed, luck) in
            (0_u64..).zip([Luck::Nothing, Luck::Everything, Luck::Some, Luck::Sectors])
        {
            let mut disk = Disk::new(made.clone(), seed + cut as u64 * 7);
            events.iter().take(cut).for_each(|event| disk.play(event));
            let mut found = dump_image(disk.crash(luck)).await;
            found.remove(&(HEADER, b"after".to_vec()));
            assert_eq!(found, model, "cut at {cut} of {}", events.len());
        }
    }
}

/// A disk that has no room for it, or fails, costs nothing but that; it is done when the disk can
/// again.
#[tokio::test]
async fn a_log_that_cannot_be_cleared_goes_on() {
    for fault in [Fault::Full(0), Fault::Broken(0)] {
        let storage = Storage::new(Vec::new());
        let engine = open(&storage);
        let model = destroyed(&engine).await;
        storage.fail_only(File::Log, fault);
        until(|| storage.counts().0 > 3).await;
        assert_eq!(engine.health(), Health::Ready);
        assert_eq!(dump(&*view(&engine).await).await, model);
        storage.fail(Fault::None);
        let next = write(&engine, vec![put(HEADER, b"next", b"1")]).await;
        assert_eq!(next, Revision(81));
        until(|| !has_mark(&storage.image().log)).await;
    }
}

/// The first round of the log once gave each sync blocks to allocate, and a full disk could come in
/// the middle of it.
#[tokio::test]
async fn a_new_log_has_its_room() {
    let folder = tempfile::tempdir().unwrap();
    let mut options = options();
    options.path = folder.path().join("store.redb");
    let engine = RedbEngine::open(&options, blind()).unwrap();
    write(&engine, vec![put(HEADER, b"k", b"1")]).await;
    let log = folder.path().join("store.redb-log");
    let blocks = || std::fs::metadata(&log).unwrap().blocks() * 512;
    until(|| blocks() >= LOG_BYTES as u64).await;
    assert_eq!(get(&engine, HEADER, b"k").await.unwrap().bytes.as_ref(), b"1");
}
