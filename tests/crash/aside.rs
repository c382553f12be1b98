//! Changes that were acknowledged, and whose pages are damaged when they are to go into the
//! database: they are kept aside in it, and cost nobody else anything.
//!
//! Once, a transaction that met such a page ended in a panic, redb read every page at the next
//! opening, the damaged one among them, and the store could not be opened. Then such a change
//! stayed in the log alone, so that the log filled and nobody could write any more.

use okmsd::store::{
    engine::{CommitError, Engine, Health, ReadError},
    engines::redb::RedbEngine,
};

use crate::{
    chance::Chance,
    common::*,
    storage::{Image, Storage},
};

const SECRETS: u16 = 400;

fn key(n: u16) -> Vec<u8> {
    [&[7; 16][..], &n.to_be_bytes()].concat()
}

/// A store as a kill leaves it: many records in the database, and changes to them in the log. Says
/// what was acknowledged, and which keys the log has.
async fn killed(changes: impl Fn(&mut Vec<okmsd::store::engine::Op>)) -> (Image, Model) {
    let storage = Storage::new(Vec::new());
    let (mut model, mut ops) = (Model::new(), Vec::new());
    let engine = open(&storage);
    let first = batch((0..SECRETS).map(|n| put(HEADER, &key(n), &[1; 300])).collect());
    apply(&mut model, &first);
    engine.commit(first).await.unwrap();
    drop(engine);
    let engine = open(&storage);
    changes(&mut ops);
    for op in ops {
        apply(&mut model, &batch(vec![op.clone()]));
        write(&engine, vec![op]).await;
    }
    (storage.image(), model)
}

/// The bits of the image that are turned over, so that the pages with these keys are damaged.
fn bits_of(image: &Image, is_hit: impl Fn(u16) -> bool) -> Vec<usize> {
    let found = image.database.windows(18).enumerate().skip(4096).filter(|(_, window)| {
        window.starts_with(&[7; 16]) && is_hit(u16::from_be_bytes([window[16], window[17]]))
    });
    found.map(|(at, _)| (at + 17) * 8).collect()
}

/// Writes more elsewhere than the log can hold, so that the database is brought up to date.
async fn write_round(engine: &RedbEngine, model: &mut Model) {
    for n in 0..2 * LOG_BYTES / 20_000 {
        let step = batch(vec![put(VALUE, &n.to_be_bytes(), &[u8::try_from(n).unwrap(); 20_000])]);
        apply(model, &step);
        engine.commit(step).await.unwrap_or_else(|error| panic!("write {n}: {error}"));
    }
}

/// Every record is as it was acknowledged, or told to be damaged; one that has `changed` since the
/// damage came is there.
async fn check(
    engine: &RedbEngine,
    model: &Model,
    changed: impl Fn(u16) -> bool,
    when: &str,
) -> usize {
    let (snapshot, mut damaged) = (view(engine).await, 0);
    for n in 0..SECRETS {
        match snapshot.get(HEADER, &key(n)).await {
            Ok(found) => assert_eq!(
                found.as_ref().map(|record| record.bytes.as_ref()),
                model.get(&(HEADER, key(n))).map(Vec::as_slice),
                "{when}, {n}"
            ),
            Err(ReadError::Corrupt(_)) => {
                assert!(!changed(n), "{when}, {n}: it was acknowledged and is in no damaged page");
                damaged += 1;
            }
            Err(other) => panic!("{when}, {n}: {other}"),
        }
    }
    damaged
}

/// Records and a range: they are kept, are there after a clean stop without the log, can be changed
/// again, and find their way once the pages are sound.
#[tokio::test]
async fn changes_that_meet_damage_are_kept_aside() {
    let changed = |n| (100..120).contains(&n) || (200..260).contains(&n);
    let (image, mut model) = killed(|ops| {
        ops.extend((100..119).map(|n| put(HEADER, &key(n), &[2; 300])));
        ops.push(delete(HEADER, &key(119)));
        ops.push(delete_range(HEADER, &key(200), &key(260)));
        ops.push(put(HEADER, &key(210), &[3; 300]));
    })
    .await;
    let storage = Storage::new(image.clone());
    bits_of(&image, |n| matches!(n, 105 | 230)).into_iter().for_each(|bit| storage.flip(bit));

    let engine = open(&storage);
    for round in 0..3 {
        write_round(&engine, &mut model).await;
        assert!(
            check(&engine, &model, changed, "while it runs").await > 0,
            "{round}: a page is damaged"
        );
    }
    // What lies aside can be changed; into a range that is not gone yet, nothing can be written.
    let again = batch(vec![put(HEADER, &key(105), &[4; 300]), put(HEADER, &key(210), &[4; 300])]);
    apply(&mut model, &again);
    engine.commit(again).await.unwrap();
    let within = engine.commit(batch(vec![put(HEADER, &key(231), b"new")])).await;
    assert!(matches!(within, Err(CommitError::Corrupt(_))), "{within:?}");
    write_round(&engine, &mut model).await;
    drop(engine);

    let storage_alone = Storage::new(Image { log: Vec::new(), ..storage.image() });
    let engine = open(&storage_alone);
    assert!(check(&engine, &model, changed, "without the log").await > 0);
    assert_eq!(engine.health(), Health::Ready);
    drop(engine);

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("store.redb");
    std::fs::write(&path, storage.image().database).unwrap();
    let look = |n: u16| RedbEngine::peek(&path, HEADER, &key(n)).unwrap();
    assert_eq!(look(105).unwrap().bytes.as_ref(), [4; 300], "whoever looks in sees it");
    assert!(look(119).is_none() && look(220).is_none());

    storage.flip_back();
    let engine = open(&storage);
    write_round(&engine, &mut model).await;
    assert_eq!(dump(&*view(&engine).await).await, model, "the pages are sound again");
    let within = batch(vec![put(HEADER, &key(231), b"new")]);
    apply(&mut model, &within);
    engine.commit(within).await.unwrap();
    drop(engine);
    assert_eq!(dump_image(storage.image()).await, model);
}

/// Every page of a space is damaged, and every record of it has changed.
#[tokio::test]
async fn however_many_changes_meet_damage() {
    let (image, mut model) =
        killed(|ops| ops.extend((0..SECRETS).map(|n| put(HEADER, &key(n), &[2; 300])))).await;
    let storage = Storage::new(image.clone());
    bits_of(&image, |_| true).into_iter().for_each(|bit| storage.flip(bit));
    for _ in 0..2 {
        let engine = open(&storage);
        write_round(&engine, &mut model).await;
        assert_eq!(check(&engine, &model, |_| true, "all of a space").await, 0);
    }
    storage.flip_back();
    let engine = open(&storage);
    write_round(&engine, &mut model).await;
    assert_eq!(dump(&*view(&engine).await).await, model);
}

/// Some bits, some changes: writes go on, nothing that was acknowledged is lost, and with the bits
/// turned back nothing had been harmed.
#[tokio::test]
async fn whatever_is_damaged_under_the_log() {
    let (mut unopened, mut harmed) = (0, 0);
    for seed in 1..100_u64 {
        let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut some = |limit: u16| u16::try_from(chance.below(usize::from(limit))).unwrap();
        let ranges: Vec<_> = (0..3).map(|_| (some(SECRETS), some(40))).collect();
        let records: Vec<_> = (0..40).map(|_| (some(SECRETS), some(3))).collect();
        let (image, mut model) = killed(|ops| {
            for (n, (from, length)) in ranges.iter().enumerate() {
                ops.push(delete_range(HEADER, &key(*from), &key(from + length)));
                ops.extend(records.iter().skip(n * 13).take(13).map(|(at, what)| match what {
                    0 => delete(HEADER, &key(*at)),
                    _ => put(HEADER, &key(*at), &[2; 300]),
                }));
            }
        })
        .await;
        let changed = |n| {
            ranges.iter().any(|(from, length)| (*from..from + length).contains(&n))
                || records.iter().take(39).any(|(at, _)| *at == n)
        };
        let storage = Storage::new(image.clone());
        let pages = image.database.len() / 4096;
        for _ in 0..1 + chance.below(3) {
            let at = 4096 * (1 + chance.below(pages - 1)) + chance.below(600);
            storage.flip(at * 8 + chance.below(8));
        }
        let opened =
            RedbEngine::open_backend(storage.clone(), storage.beside(), &options(), blind());
        let Ok(engine) = opened else {
            unopened += 1;
            continue;
        };
        let when = format!("seed {seed}");
        write_round(&engine, &mut model).await;
        harmed += usize::from(check(&engine, &model, changed, &when).await > 0);
        drop(engine);
        storage.flip_back();
        let engine = open(&storage);
        write_round(&engine, &mut model).await;
        assert_eq!(dump(&*view(&engine).await).await, model, "{when}: nothing was harmed");
    }
    println!("{unopened} unopened, {harmed} harmed");
    assert!(unopened < 20 && harmed > 10, "{unopened} unopened, {harmed} harmed");
}
