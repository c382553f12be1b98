//! Flipped bits: a damaged page costs the reads and writes that touch it, and nothing else.
//!
//! Once, one flipped bit and one GET made the whole store read-only for ever: redb panicked over
//! the page, the engine gave the database up, opened it anew, and panicked again, 54,000 times in
//! two minutes, and the client that waited never got an answer. A bit in a page's number could even
//! lead a write to somebody else's page.

use std::{
    collections::BTreeMap,
    sync::{
        Once,
        atomic::{AtomicUsize, Ordering},
    },
};

use okmsd::store::{
    engine::{CommitError, Engine, Expect, Health, ReadError, Source, Space},
    engines::redb::RedbEngine,
};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt};

use crate::{
    chance::Chance,
    common::*,
    storage::{Image, Storage},
};

/// Counts the lines of the log.
struct Lines;

static LINES: AtomicUsize = AtomicUsize::new(0);

impl<S: tracing::Subscriber> Layer<S> for Lines {
    fn on_event(&self, _: &tracing::Event<'_>, _: Context<'_, S>) {
        LINES.fetch_add(1, Ordering::Relaxed);
    }
}

fn count_lines() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        tracing::subscriber::set_global_default(tracing_subscriber::registry().with(Lines)).unwrap()
    });
}

const SPACES: [Space; 3] = [HEADER, VERSION, VALUE];

/// Of each of three tenants.
const SECRETS: usize = 75;

fn key(tenant: u8, n: usize) -> Vec<u8> {
    [&[tenant; 16], format!("secret/{n:04}").as_bytes()].concat()
}

fn value(n: usize, round: usize) -> Vec<u8> {
    let length = [30, 300, 2000, 12_000][n % 4];
    [u8::try_from((n + round) % 251).unwrap(), u8::try_from(n % 7).unwrap()].repeat(length / 2)
}

/// A store whose trees have several levels, and what is in it.
async fn full() -> (Image, Model) {
    let storage = Storage::new(Vec::new());
    let engine = open(&storage);
    let mut model = Model::new();
    for tenant in 1..=3 {
        for start in (0..SECRETS).step_by(25) {
            let put = |n| {
                SPACES.map(|space| {
                    put(space, &key(tenant, n), &value(n, usize::from(space == VALUE)))
                })
            };
            let batch = batch((start..start + 25).flat_map(put).collect());
            engine.commit(batch.clone()).await.unwrap();
            apply(&mut model, &batch);
        }
    }
    let more = batch(vec![put(REGION, &[0; 20], b"region"), put(TENANT, &[1; 16], b"domain")]);
    engine.commit(more.clone()).await.unwrap();
    apply(&mut model, &more);
    drop(engine);
    (storage.image(), model)
}

/// Reads every key: each is as it should be, or is told to be damaged. Says which are.
async fn read_all(engine: &RedbEngine, model: &Model, when: &str) -> Vec<(Space, Vec<u8>)> {
    let found = try_read_all(engine, model, when).await;
    found.unwrap_or_else(|| panic!("{when}: no snapshot lasts"))
}

/// The same, unless no snapshot lasts.
async fn try_read_all(
    engine: &RedbEngine,
    model: &Model,
    when: &str,
) -> Option<Vec<(Space, Vec<u8>)>> {
    for _ in 0..20 {
        match read_snapshot(engine, model, when).await {
            Ok(damaged) => return Some(damaged),
            // The snapshot has ended, as the database was opened anew meanwhile.
            Err(_) => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
        }
    }
    None
}

async fn read_snapshot(
    engine: &RedbEngine,
    model: &Model,
    when: &str,
) -> Result<Vec<(Space, Vec<u8>)>, ReadError> {
    let snapshot = view(engine).await;
    let mut damaged = Vec::new();
    // Together where that can be done, as each read alone waits for a thread.
    for ((space, tenant), part) in parts(model) {
        let found = snapshot.scan(space, &[tenant], &[tenant, 0xff], usize::MAX).await;
        match found {
            Ok(found) => {
                let found =
                    found.iter().map(|(key, record)| (key.as_slice(), record.bytes.as_ref()));
                let part = part.iter().map(|(key, bytes)| (key.as_slice(), bytes.as_slice()));
                assert!(found.eq(part), "{when}: a range is not as it should be");
                continue;
            }
            Err(ReadError::Corrupt(_)) => {}
            Err(ended) => return Err(ended),
        }
        for (key, bytes) in part {
            match snapshot.get(space, key).await {
                Ok(found) => assert_eq!(
                    found.map(|record| record.bytes.to_vec()).as_ref(),
                    Some(bytes),
                    "{when}"
                ),
                Err(ReadError::Corrupt(_)) => damaged.push((space, key.clone())),
                Err(ended) => return Err(ended),
            }
        }
    }
    Ok(damaged)
}

/// Keys and their records.
type Part<'a> = Vec<(&'a Vec<u8>, &'a Vec<u8>)>;

/// What the model has, apart by space and by the first byte of the key.
fn parts(model: &Model) -> BTreeMap<(Space, u8), Part<'_>> {
    let mut parts: BTreeMap<_, Part<'_>> = BTreeMap::new();
    for ((space, key), bytes) in model {
        parts.entry((*space, key[0])).or_default().push((key, bytes));
    }
    parts
}

/// Writes keys of every tenant, among them damaged ones: each is written, or told to be damaged and
/// left as it was. Where the writer itself must touch what is damaged, it says so, and changes
/// nothing. Says how many were refused, and whether writing goes on.
async fn write_some(
    engine: &RedbEngine,
    model: &mut Model,
    damaged: &[(Space, Vec<u8>)],
    round: usize,
) -> (usize, bool) {
    let spread = (1..=3).flat_map(|tenant| [3, 37, 74].map(|n| (VALUE, key(tenant, n))));
    let places: Vec<_> = spread.chain(damaged.iter().take(3).cloned()).collect();
    let mut batches: Vec<_> =
        places.iter().map(|(space, key)| batch(vec![put(*space, key, &value(round, 5))])).collect();
    batches.push(batch(vec![delete(VERSION, &key(2, round % SECRETS))]));
    let answers: Vec<_> = batches.iter().map(|batch| engine.commit(batch.clone())).collect();
    let (mut refused, mut goes_on) = (0, true);
    for (batch, answer) in batches.iter().zip(answers) {
        match answer.await {
            Ok(_) => apply(model, batch),
            Err(CommitError::Corrupt(_)) => refused += 1,
            Err(CommitError::Unavailable(why) | CommitError::OutcomeUnknown(why)) => {
                assert_stopped(&why);
                goes_on = false;
            }
            Err(other) => panic!("round {round}: {other}"),
        }
    }
    (refused, goes_on)
}

/// The writer says that it met a damaged page, or waits for its next try, or that the log is full
/// while the database waits for its own.
fn assert_stopped(why: &Source) {
    let why = why.to_string();
    assert!(
        ["damaged", "again soon", "the log is full"].iter().any(|it| why.contains(it)),
        "{why}"
    );
}

/// Some bit of the file, rather one that matters: the whole of a page's beginning does.
fn some_bit(chance: &mut Chance, bytes: usize) -> usize {
    let page = chance.below(bytes / 4096 - 1) + 1;
    let at = if chance.below(2) == 0 { chance.below(64) } else { chance.below(4096) };
    (page * 4096 + at) * 8 + chance.below(8)
}

#[derive(Debug, Default)]
struct Seen {
    unopened: usize,
    unharmed: usize,
    harmed: usize,
    refused: usize,
    /// Writes came to an end, and reads went on.
    stopped: usize,
    most: usize,
}

async fn stopped(seeds: std::ops::Range<u64>) {
    count_lines();
    let (image, model) = full().await;
    let mut seen = Seen::default();
    for seed in seeds.clone() {
        let mut chance = Chance((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let bit = some_bit(&mut chance, image.database.len());
        let storage = Storage::new(image.clone());
        storage.flip(bit);
        let when = format!("byte {}, bit {}", bit / 8, bit % 8);
        let engine = match RedbEngine::open_backend(
            storage.clone(),
            storage.beside(),
            &options(),
            blind(),
        ) {
            Ok(engine) => engine,
            Err(error) => {
                let text = error.to_string();
                assert!(text.contains("damaged") || text.contains("corrupted"), "{when}: {text}");
                seen.unopened += 1;
                continue;
            }
        };
        let mut model = model.clone();
        let damaged = read_all(&engine, &model, &when).await;
        seen.most = seen.most.max(damaged.len());
        if damaged.is_empty() {
            seen.unharmed += 1;
        } else {
            seen.harmed += 1;
        }
        // What is written over is no longer damaged, if it could be.
        let (refused, goes_on) =
            write_some(&engine, &mut model, &damaged, usize::try_from(seed).unwrap()).await;
        seen.refused += refused;
        seen.stopped += usize::from(!goes_on);
        let left = read_all(&engine, &model, &when).await;
        assert!(left.iter().all(|place| damaged.contains(place)), "{when}: damage spread");
        assert_eq!(
            engine.health(),
            if goes_on { Health::Ready } else { Health::ReadOnly },
            "{when}"
        );
        drop(engine);
        let engine = open(&storage);
        assert_eq!(read_all(&engine, &model, &when).await, left, "{when}: after another start");
    }
    println!("{seen:?}");
    let total = usize::try_from(seeds.end - seeds.start).unwrap();
    assert!(seen.harmed > total / 4 && seen.refused > 0 && seen.unharmed > 0, "{seen:?}");
    assert!(seen.unopened < total / 20 && seen.stopped < total / 100, "{seen:?}");
}

/// A bit is flipped while nobody looks, and the store is started.
#[tokio::test]
async fn a_flipped_bit_in_a_stopped_store_costs_its_page() {
    stopped(0..2500).await;
}

async fn running(seeds: std::ops::Range<u64>) {
    count_lines();
    let (image, mut model) = full().await;
    let storage = Storage::new(image);
    let engine = open_cold(&storage);
    let mut seen = Seen::default();
    for seed in seeds.clone() {
        let mut chance = Chance((seed + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let bit = some_bit(&mut chance, storage.len());
        let lines = LINES.load(Ordering::Relaxed);
        storage.flip(bit);
        let when = format!("seed {seed}, byte {}, bit {}", bit / 8, bit % 8);
        let damaged = read_all(&engine, &model, &when).await;
        if damaged.is_empty() {
            seen.unharmed += 1;
        } else {
            seen.harmed += 1;
        }
        let mut places = damaged.clone();
        places.push((VALUE, key(1, chance.below(SECRETS))));
        places.push((VALUE, key(3, chance.below(SECRETS))));
        for (space, key) in places.iter().rev().take(4) {
            let batch = batch(vec![put(*space, key, &value(usize::try_from(seed).unwrap(), 9))]);
            match engine.commit(batch.clone()).await {
                Ok(_) => apply(&mut model, &batch),
                Err(CommitError::Corrupt(_)) => seen.refused += 1,
                Err(CommitError::Unavailable(why) | CommitError::OutcomeUnknown(why)) => {
                    assert_stopped(&why);
                    seen.stopped += 1;
                }
                Err(other) => panic!("{when}: {other}"),
            }
        }
        assert!(LINES.load(Ordering::Relaxed) - lines < 40, "{when}: the log is flooded");
        storage.flip_back();
        ready(&engine).await;
        let left = read_all(&engine, &model, &when).await;
        assert!(left.is_empty(), "{when}: {} are damaged still, of {}", left.len(), damaged.len());
        // A write of unknown outcome may have been made.
        let found = dump(&*view(&engine).await).await;
        model
            .iter_mut()
            .zip(&found)
            .for_each(|(known, found)| assert_eq!(known.0, found.0, "{when}"));
        model = found;
    }
    println!("{seen:?}");
    let total = usize::try_from(seeds.end - seeds.start).unwrap();
    assert!(seen.harmed > total / 8 && seen.refused > 0 && seen.stopped < total / 20, "{seen:?}");
}

/// A bit is flipped under a running engine that has no page in memory, and later back.
#[tokio::test]
async fn a_flipped_bit_under_a_running_store_costs_its_page() {
    running(0..2500).await;
}

/// Most disks check by themselves what they read, so that a flipped bit is an error of theirs. One
/// sector that could not be read, and one reader that asked for it again and again, once kept the
/// whole store from taking writes.
#[tokio::test]
async fn a_sector_that_cannot_be_read_costs_its_page() {
    let (image, mut model) = full().await;
    let storage = Storage::new(image);
    let engine = open_cold(&storage);
    let mut seen = Seen::default();
    let (mut page, mut round) = (1, 0);
    while page < storage.len() / 4096 {
        let when = format!("page {page}");
        storage.fail_sector(Some(page * 4096 + 512));
        // The keeper may come to the page that all the others hang on, at any time; without that
        // the database cannot be opened anew.
        let mut goes_on = false;
        if let Some(mut damaged) = try_read_all(&engine, &model, &when).await {
            let refused;
            (refused, goes_on) = write_some(&engine, &mut model, &damaged, round).await;
            seen.refused += refused;
            goes_on &= engine.health() == Health::Ready;
            if goes_on {
                if damaged.is_empty() {
                    seen.unharmed += 1
                } else {
                    seen.harmed += 1
                }
                damaged = try_read_all(&engine, &model, &when).await.unwrap_or_default();
                seen.most = seen.most.max(damaged.len());
            }
        }
        seen.stopped += usize::from(!goes_on);
        storage.fail_sector(None);
        ready(&engine).await;
        if !goes_on {
            // A write of unknown outcome may have been made, or a removal.
            let found = dump(&*view(&engine).await).await;
            assert!(
                found.keys().all(|place| model.contains_key(place))
                    && found.len() + 1 >= model.len(),
                "{when}"
            );
            model = found;
        }
        assert!(read_all(&engine, &model, &when).await.is_empty(), "{when}: nothing was harmed");
        (page, round) = (page + 3, round + 1);
    }
    println!("{seen:?}");
    assert!(
        seen.harmed > 20 && seen.unharmed > 20 && seen.refused > 0 && seen.stopped < round / 20,
        "{seen:?}"
    );
}

/// Batches that wait together become one transaction. The one that touches a damaged page is
/// refused with words; the others are durable, and nobody is told that the store does not take
/// writes.
#[tokio::test]
async fn one_batch_of_a_group_meets_damage() {
    let (image, model) = full().await;
    let storage = Storage::new(image);
    let engine = open(&storage);
    // Every page is flipped in turn, until one hits a single space's leaf.
    let mut harmed = BTreeMap::new();
    for page in 1..storage.len() / 4096 {
        storage.flip(page * 4096 * 8 + 20 * 8);
        let probe = Storage::new(storage.image());
        let probe = RedbEngine::open_backend(probe.clone(), probe.beside(), &options(), blind());
        let Ok(probe) = probe else {
            storage.flip(page * 4096 * 8 + 20 * 8);
            continue;
        };
        let damaged = read_all(&probe, &model, "probe").await;
        drop(probe);
        storage.flip(page * 4096 * 8 + 20 * 8);
        if (1..20).contains(&damaged.len()) {
            harmed.insert(page, damaged);
            break;
        }
    }
    let (page, damaged) = harmed.pop_first().unwrap();
    drop(engine);
    storage.flip(page * 4096 * 8 + 20 * 8);
    let engine = open(&storage);
    let (space, lost) = &damaged[0];
    let bad = batch_if(*space, lost, Expect::Absent, vec![put(*space, lost, b"new")]);
    for round in 0..3_u8 {
        let good = |n: usize| batch(vec![put(TOKEN, &key(9, n), &[round])]);
        let batches: Vec<_> = (0..9).map(|n| if n == 4 { bad.clone() } else { good(n) }).collect();
        let answers: Vec<_> = batches.into_iter().map(|batch| engine.commit(batch)).collect();
        for (n, answer) in answers.into_iter().enumerate() {
            match answer.await {
                Ok(_) => assert_ne!(n, 4),
                Err(CommitError::Corrupt(why)) => {
                    assert_eq!(n, 4);
                    assert!(why.to_string().contains("is damaged"), "{why}");
                }
                Err(other) => panic!("{other}"),
            }
        }
        assert_eq!(engine.health(), Health::Ready);
        assert_eq!(get(&engine, TOKEN, &key(9, 8)).await.unwrap().bytes.as_ref(), [round]);
    }
}
