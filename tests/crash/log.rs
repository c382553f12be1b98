//! The log beside the database: what is missing, damaged, or somebody else's is told in words, and
//! nothing that was acknowledged is passed over.

use std::time::Duration;

use okmsd::store::{
    engine::{ChangesError, Engine, Revision, Touched},
    engines::redb::{LogError, OpenError, RedbEngine},
};

use crate::{
    common::*,
    power::{Disk, Luck},
    storage::{Event, Fault, File, Image, SECTOR, Storage},
};

/// Where the ring of frames begins.
const RING: usize = 4096;

pub fn open_image(image: &Image) -> Result<RedbEngine, OpenError> {
    let storage = Storage::new(image.clone());
    RedbEngine::open_backend(storage.clone(), storage.beside(), &options(), blind())
}

fn refusal(image: &Image) -> LogError {
    match open_image(image) {
        Err(OpenError::Log(error)) => error,
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("it was opened"),
    }
}

/// Three acknowledged batches that are in the log alone, as a kill leaves them.
async fn killed() -> (Image, Model) {
    let storage = Storage::new(Vec::new());
    let engine = open(&storage);
    let mut model = Model::new();
    for n in 0..3_u8 {
        let step = batch(vec![put(HEADER, &[n; 17], &[n; 700])]);
        apply(&mut model, &step);
        engine.commit(step).await.unwrap();
    }
    (storage.image(), model)
}

/// Where the frames of an image begin.
fn frames(image: &Image) -> Vec<usize> {
    let is_frame = |at: &usize| {
        let position = u64::try_from(at - RING).unwrap();
        let length = &image.log[at + 16..at + 20];
        image.log[*at..].starts_with(&position.to_le_bytes()) && length != [0; 4]
    };
    (RING..image.log.len()).step_by(SECTOR).filter(is_frame).collect()
}

#[tokio::test]
async fn what_only_the_log_has_is_there_again() {
    let (image, model) = killed().await;
    assert_eq!(frames(&image).len(), 3);
    let engine = open_image(&image).unwrap();
    assert_eq!(dump(&*view(&engine).await).await, model);
    let next = write(&engine, vec![put(HEADER, b"next", b"1")]).await;
    assert_eq!(next, Revision(4), "revisions go on");
}

/// A log that is not there, or not the right one, once would have been an empty one.
#[tokio::test]
async fn another_log_is_refused() {
    let (image, model) = killed().await;
    let (other, _) = killed().await;
    let with = |log: Vec<u8>| Image { log, ..image.clone() };
    assert!(matches!(refusal(&with(Vec::new())), LogError::Missing));
    assert!(matches!(refusal(&with(other.log)), LogError::OfAnotherStore));
    let mut short = image.log.clone();
    short.truncate(RING + 10 * SECTOR);
    assert!(matches!(refusal(&with(short)), LogError::Short));
    let mut damaged = image.log.clone();
    damaged[20] ^= 1;
    assert!(matches!(refusal(&with(damaged)), LogError::Header));

    // Copies of different days: the same store, opened twice since.
    let storage = Storage::new(image.clone());
    for n in 0..2_u8 {
        let engine =
            RedbEngine::open_backend(storage.clone(), storage.beside(), &options(), blind());
        write(&engine.unwrap(), vec![put(HEADER, &[n], b"later")]).await;
    }
    let later = storage.image();
    let kept = open_image(&Image { database: later.database.clone(), log: Vec::new() });
    assert!(kept.is_ok(), "a store that was closed needs no log");
    let storage = Storage::new(later);
    std::mem::forget(open(&storage));
    let later = storage.image();
    let older = Image { database: later.database.clone(), log: image.log.clone() };
    assert!(matches!(refusal(&older), LogError::OfAnotherDay(_)));
    let newer = Image { database: image.database.clone(), log: later.log };
    assert!(matches!(refusal(&newer), LogError::OfAnotherDay(_)));
    assert_eq!(dump_image(image).await, model, "and the right one still does");
}

/// A database that was closed, beside the log of the next day: it once looked as if its opening had
/// been interrupted, and all of that day was gone without a word.
#[tokio::test]
async fn a_database_of_the_day_before_is_refused() {
    for batches in [1, 30, 120] {
        let storage = Storage::new(Vec::new());
        let engine = open(&storage);
        write(&engine, vec![put(VALUE, b"k", b"1")]).await;
        drop(engine);
        let before = storage.image().database;
        let engine = open(&storage);
        for n in 0..batches {
            write(&engine, vec![put(VALUE, &[n], &[n; 20_000])]).await;
        }
        let mixed = Image { database: before, log: storage.image().log };
        let found = open_image(&mixed).map(drop);
        // Where the log goes on from that database, nothing is missing.
        let is_refused = matches!(found, Err(OpenError::Log(_)));
        assert_eq!(is_refused, batches > 1, "{batches} batches: {found:?}");
    }
}

/// Two hosts that were started from one copy: each has a log that looks as if it were the other's,
/// store, opening, position and all. The changes of one once would have gone into the database of
/// the other.
#[tokio::test]
async fn what_has_gone_on_from_two_copies_does_not_fit() {
    let (image, _) = killed().await;
    let run = async |byte: u8, is_closed: bool| {
        let storage = Storage::new(image.clone());
        let engine = open(&storage);
        write(&engine, vec![put(HEADER, b"since", &[byte])]).await;
        if is_closed {
            drop(engine);
            return storage.image();
        }
        storage.image()
    };
    for is_closed in [false, true] {
        let (one, other) = (run(1, is_closed).await, run(2, is_closed).await);
        let mixed = Image { database: one.database.clone(), log: other.log };
        assert!(matches!(refusal(&mixed), LogError::OfAnotherDay(_)), "closed: {is_closed}");
        open_image(&one).unwrap();
    }
}

/// A log that was copied an hour before its database, while the store ran: the database has more
/// than the log, and whatever came behind that is in neither.
#[tokio::test]
async fn a_log_of_an_hour_before_is_refused() {
    let storage = Storage::new(Vec::new());
    let engine = open(&storage);
    let mut before = Vec::new();
    let mut refused = 0;
    for n in 0..120_u8 {
        write(&engine, vec![put(VALUE, &[n], &[n; 20_000])]).await;
        let image = storage.image();
        if n % 8 == 0 {
            for log in &before {
                let mixed = Image { database: image.database.clone(), log: Vec::clone(log) };
                // Where the database is as old as the log, nothing is missing: it is that moment's.
                if let Err(OpenError::Log(error)) = open_image(&mixed) {
                    assert!(matches!(error, LogError::OfAnotherDay(_)), "{error}");
                    refused += 1;
                }
            }
            before.push(image.log.clone());
        }
        open_image(&image).unwrap_or_else(|error| panic!("{n}: {error}"));
    }
    assert!(refused > 20, "{refused}");
}

/// A log of a past that is not the store's, beside a store that was closed, counts for nothing. Its
/// frames bear the store's own number: they once stayed where they were, and the next start took
/// them for the store's.
#[tokio::test]
async fn nothing_is_left_of_a_log_that_counts_for_nothing() {
    let (image, _) = killed().await;
    let copy = Storage::new(image.clone());
    let mut model = Model::new();
    for n in 0..5_u8 {
        let engine = open(&copy);
        model = dump(&*view(&engine).await).await;
        write(&engine, vec![put(HEADER, &[n], b"of the copy")]).await;
        drop(engine);
        model.insert((HEADER, vec![n]), b"of the copy".to_vec());
    }
    let other = Storage::new(image);
    let engine = open(&other);
    for n in 0..100_u8 {
        write(&engine, vec![put(HEADER, &[n; 3], b"of the other")]).await;
    }
    let mixed = Image { database: copy.image().database, log: other.image().log };
    let storage = Storage::new(mixed);
    for n in 0..3_u8 {
        let engine = open(&storage);
        assert_eq!(dump(&*view(&engine).await).await, model, "start {n}");
        let step = batch(vec![put(HEADER, &[n, 7], b"goes on")]);
        apply(&mut model, &step);
        engine.commit(step).await.unwrap();
        let killed = storage.image();
        assert_eq!(dump_image(killed).await, model, "a kill behind start {n}");
    }
}

/// Whoever looks into a store that a kill has left asks the log as well, and refuses one that is
/// not the store's.
#[tokio::test]
async fn a_look_sees_the_log() {
    let ((image, _), (other, _)) = (killed().await, killed().await);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    let look = |image: &Image| {
        std::fs::write(&path, &image.database).unwrap();
        std::fs::write(folder.path().join("store.redb-log"), &image.log).unwrap();
        RedbEngine::peek(&path, HEADER, &[2; 17])
    };
    assert_eq!(look(&image).unwrap().unwrap().bytes.as_ref(), [2; 700]);
    let foreign = look(&Image { log: other.log, ..image.clone() });
    assert!(matches!(foreign, Err(OpenError::Log(LogError::OfAnotherStore))), "{foreign:?}");
    let storage = Storage::new(image.clone());
    drop(open(&storage));
    std::mem::forget(open(&storage));
    let older = look(&Image { log: image.log.clone(), ..storage.image() });
    assert!(matches!(older, Err(OpenError::Log(LogError::OfAnotherDay(_)))), "{older:?}");
    assert_eq!(look(&image).unwrap().unwrap().revision, Revision(3));
}

/// A torn end is no damage; a torn frame with a whole one behind it is.
#[tokio::test]
async fn damage_is_told_from_a_torn_end() {
    let (image, model) = killed().await;
    let begins = frames(&image);
    for (nth, begin) in begins.iter().enumerate() {
        for at in [0, 9, 17, 60, 500] {
            let mut torn = image.clone();
            torn.log[begin + at] ^= 0x10;
            if nth + 1 < begins.len() {
                assert!(
                    matches!(refusal(&torn), LogError::Damaged(place) if place == *begin as u64)
                );
                continue;
            }
            let found = dump_image(torn).await;
            let left = model.iter().take(2).map(|(key, value)| (key.clone(), value.clone()));
            assert_eq!(found, left.collect(), "byte {at} of the last frame");
        }
    }
}

/// The ring goes round many times, over frames of earlier rounds and of earlier openings.
#[tokio::test]
async fn an_earlier_round_is_never_replayed() {
    let storage = Storage::new(Vec::new());
    let mut model = Model::new();
    for round in 0..12_u8 {
        let engine = open(&storage);
        for n in 0..20_u8 {
            let step = batch(vec![put(VALUE, &[n, round % 3], &vec![round; 9_000])]);
            apply(&mut model, &step);
            engine.commit(step).await.unwrap();
        }
        let image = storage.image();
        assert_eq!(dump_image(image).await, model, "round {round}");
        if round % 2 == 0 {
            drop(engine);
        } else {
            // As a kill leaves it: nobody writes to these files any more.
            let killed = Storage::new(storage.image());
            drop(engine);
            assert_eq!(dump(&*view(&open(&killed)).await).await, model, "round {round}");
        }
    }
}

/// What the keeper brings into the database leaves the log, and stays.
#[tokio::test]
async fn the_database_follows() {
    let storage = Storage::new(Vec::new());
    let engine = open(&storage);
    let mut model = Model::new();
    for n in 0..200_u32 {
        let key = (n % 40).to_be_bytes();
        let step = batch(match n % 4 {
            3 => vec![delete_range(VALUE, &key, &(n % 40 + 3).to_be_bytes())],
            _ => vec![put(VALUE, &key, &vec![n as u8; 12_000]), put(HEADER, &key, b"h")],
        });
        apply(&mut model, &step);
        engine.commit(step).await.unwrap();
    }
    assert_eq!(dump(&*view(&engine).await).await, model);
    let image = storage.image();
    let base = Image { database: image.database.clone(), log: image.log.clone() };
    assert_eq!(dump_image(base).await, model);
    drop(engine);
    // 1.8 MB went through it.
    assert_eq!(storage.image().log.len(), RING + LOG_BYTES);
    let closed = Image { log: Vec::new(), ..storage.image() };
    assert_eq!(dump_image(closed).await, model, "a store that was closed needs no log");
}

/// The feed goes on over a kill, as far back as the log has it; before that, it says so.
#[tokio::test]
async fn the_feed_goes_on_after_a_kill() {
    let (image, _) = killed().await;
    let engine = open_image(&image).unwrap();
    let again = engine.changes(Revision(1)).await.unwrap();
    assert_eq!(again.iter().map(|change| change.revision.0).collect::<Vec<_>>(), [2, 3]);
    assert_eq!(again[0].touched, [Touched::Put(HEADER, vec![1; 17])]);
    write(&engine, vec![put(HEADER, b"next", b"1")]).await;
    assert_eq!(engine.changes(Revision(3)).await.unwrap().len(), 1);
    let storage = Storage::new(image);
    drop(open(&storage));
    let engine = open(&storage);
    assert!(matches!(engine.changes(Revision(1)).await, Err(ChangesError::TooOld)));
    assert_eq!(engine.revision(), Revision(3), "from here one can follow");
}

/// Storage that breaks, or is full, at each operation of a start that replays the log: the next
/// start has everything, and goes on.
#[tokio::test]
async fn a_start_can_fail_at_any_moment() {
    let (image, model) = killed().await;
    for file in [File::Database, File::Log] {
        for fault in [Fault::Broken, Fault::Full, Fault::OneBroken, Fault::OneFull] {
            let (mut failed, mut nth) = (0, 0);
            loop {
                let storage = Storage::new(image.clone());
                storage.fail_only(file, fault(nth));
                let opened = RedbEngine::open_backend(
                    storage.clone(),
                    storage.beside(),
                    &options(),
                    blind(),
                );
                let operations = storage.counts().0;
                let is_over = opened.is_ok() && operations <= nth;
                failed += usize::from(opened.is_err());
                drop(opened);
                storage.fail(Fault::None);
                let mut found = model.clone();
                for round in 0..2_u8 {
                    let engine = open(&storage);
                    assert_eq!(dump(&*view(&engine).await).await, found, "{file:?}, {nth}");
                    let step = batch(vec![put(HEADER, &[round; 5], b"goes on")]);
                    apply(&mut found, &step);
                    engine.commit(step).await.unwrap();
                }
                if is_over {
                    break;
                }
                nth += 1;
            }
            assert!(failed > 1, "{file:?}: {failed} of {nth} starts failed");
        }
    }
}

/// With a log of so many bytes.
fn open_with(storage: &Storage, log_bytes: u64) -> Result<RedbEngine, OpenError> {
    let mut options = options();
    options.log_bytes = log_bytes;
    RedbEngine::open_backend(storage.clone(), storage.beside(), &options, blind())
}

/// A shorter log once stayed as long as it had been. It is cut when it has nothing to replay, and
/// not before; a longer one gets its room. What it goes round over is of rings of other lengths.
#[tokio::test]
async fn a_log_gets_the_length_that_it_is_given() {
    let (mut storage, mut model) = (Storage::new(Vec::new()), Model::new());
    let long = LOG_BYTES as u64;
    let (mut before, mut kept) = (long, 0);
    for (round, length) in (0_u8..).zip([long, long / 4, long / 2, long / 4, long / 3, long * 2]) {
        let length = length.next_multiple_of(SECTOR as u64);
        // A kill has left something to replay, which is all needed.
        let engine = open_with(&storage, length).unwrap();
        assert_eq!(dump(&*view(&engine).await).await, model, "round {round}");
        let now = storage.image().log.len() as u64 - RING as u64;
        assert!([before, length].contains(&now), "round {round}: {now}");
        kept += u32::from(now != length);
        drop(engine);
        let engine = open_with(&storage, length).unwrap();
        assert_eq!(storage.image().log.len() as u64, RING as u64 + length, "round {round}");
        // Three times round.
        for n in 0..3 * length / 9_000 {
            let step = batch(vec![put(VALUE, &[n as u8 % 7, round], &vec![n as u8; 8_500])]);
            apply(&mut model, &step);
            engine.commit(step).await.unwrap();
        }
        let killed = storage.killed();
        drop(engine);
        (storage, before) = (killed, length);
    }
    assert!(kept > 1, "{kept} starts found something to replay");
}

/// The power goes at each step of a start that makes the log shorter, or longer, and of what is
/// written behind it; or one of its operations fails.
#[tokio::test]
async fn a_log_can_be_cut_at_any_moment() {
    let (image, model) = killed().await;
    let storage = Storage::new(image);
    drop(open(&storage));
    let image = storage.image();
    let long = LOG_BYTES as u64;
    for length in [long / 4, long * 2] {
        let length = length.next_multiple_of(SECTOR as u64);
        let storage = Storage::new(image.clone());
        let engine = open_with(&storage, length).unwrap();
        write(&engine, vec![put(HEADER, b"after", b"1")]).await;
        drop(engine);
        let operations = storage.counts().0;
        let events = storage.log();
        let is_cut = |event: &Event| matches!(event, Event::SetLen(File::Log, _));
        assert!(events.iter().any(is_cut));
        // Whatever length the next start is given.
        for next in [length, long] {
            for cut in 0..=events.len() {
                for (seed, luck) in (0_u64..).zip([Luck::Nothing, Luck::Everything, Luck::Sectors])
                {
                    let mut disk = Disk::new(image.clone(), seed + cut as u64 * 7);
                    events.iter().take(cut).for_each(|event| disk.play(event));
                    let engine = open_with(&Storage::new(disk.crash(luck)), next);
                    let engine = engine.unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
                    let mut found = dump(&*view(&engine).await).await;
                    found.remove(&(HEADER, b"after".to_vec()));
                    assert_eq!(found, model, "cut at {cut} of {}", events.len());
                }
            }
        }
        for nth in 0..operations {
            let storage = Storage::new(image.clone());
            storage.fail(if nth % 2 == 0 { Fault::OneBroken(nth) } else { Fault::OneFull(nth) });
            drop(open_with(&storage, length));
            storage.fail(Fault::None);
            let engine = open_with(&storage, length).unwrap();
            assert_eq!(storage.image().log.len() as u64, RING as u64 + length, "operation {nth}");
            assert_eq!(dump(&*view(&engine).await).await, model, "operation {nth}");
        }
    }
}

/// The power goes at each step of a start that replays the log, and of the store's first writes
/// and its stop after it: whatever of the unsynced sectors of both files is there, nothing that was
/// acknowledged before is gone.
#[tokio::test]
async fn power_can_go_while_a_start_replays() {
    let (image, model) = killed().await;
    let storage = Storage::new(image.clone());
    let engine = open(&storage);
    let replayed = storage.log().len();
    write(&engine, vec![put(HEADER, b"after", b"1")]).await;
    drop(engine);
    let events = storage.log();
    assert!(replayed > 4 && events.len() > replayed + 4);
    for cut in 0..=events.len() {
        for (seed, luck) in
            (0_u64..).zip([Luck::Nothing, Luck::Everything, Luck::Some, Luck::Sectors, Luck::Some])
        {
            let mut disk = Disk::new(image.clone(), seed + cut as u64 * 7);
            events.iter().take(cut).for_each(|event| disk.play(event));
            let mut found = dump_image(disk.crash(luck)).await;
            found.remove(&(HEADER, b"after".to_vec()));
            assert_eq!(found, model, "cut at {cut} of {}", events.len());
        }
    }
}

/// A sync that failed, a process that ended, and a page cache that shows what the disk has not:
/// what is replayed at a start is durable before anything comes behind it.
#[tokio::test]
async fn what_is_replayed_is_durable() {
    let made = Storage::new(Vec::new());
    drop(open(&made));
    let made = made.image();
    for seed in 0..20 {
        let storage = Storage::new(made.clone());
        let mut slow = options();
        slow.pause_min = Duration::from_mins(1);
        let engine =
            RedbEngine::open_backend(storage.clone(), storage.beside(), &slow, blind()).unwrap();
        write(&engine, vec![put(HEADER, b"first", b"1")]).await;
        storage.fail_only(File::Log, Fault::OneSync(1));
        assert!(engine.commit(batch(vec![put(HEADER, b"unknown", b"1")])).await.is_err());
        drop(engine);
        storage.fail(Fault::None);
        let engine = open(&storage);
        let shown = dump(&*view(&engine).await).await;
        write(&engine, vec![put(HEADER, b"behind", b"1")]).await;
        let mut disk = Disk::new(made.clone(), seed);
        storage.log().iter().for_each(|event| disk.play(event));
        let found = dump_image(disk.crash(Luck::Nothing)).await;
        assert!(shown.keys().all(|key| found.contains_key(key)), "what was shown is there");
        assert_eq!(found.len(), shown.len() + 1, "and what was acknowledged");
    }
}
