//! What every test here needs: options, a silent observer, and short words for batches.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

pub use okmsd::store::kinds::{
    config::SPACE as CONFIG, header::SPACE as HEADER, region::SPACE as REGION,
    tenant::SPACE as TENANT, token::SPACE as TOKEN, value::SPACE as VALUE,
    version::SPACE as VERSION,
};
use okmsd::{
    crypto::Sealed,
    store::{
        engine::{
            Batch, Engine, Expect, Health, Observer, Op, ReadError, Record, Revision, Snapshot,
            Space,
        },
        engines::redb::{RedbEngine, RedbOptions},
        kinds,
    },
};

use crate::storage::{Image, Storage};

/// Every record of every space.
pub type Model = BTreeMap<(Space, Vec<u8>), Vec<u8>>;

/// What the log takes, in bytes.
pub const LOG_BYTES: usize = 440 << 10;

/// Small bounds, short pauses, caches so small that reads reach the storage, and a log that goes
/// round soon.
pub fn options() -> RedbOptions {
    let mut options = RedbOptions::new("");
    options.cache_bytes = 1 << 20;
    options.record_cache_bytes = 64 << 10;
    options.log_bytes = LOG_BYTES as u64;
    options.pause_min = Duration::from_millis(10);
    options.pause_max = Duration::from_millis(50);
    options
}

/// An observer that looks away.
pub struct Blind;

impl Observer for Blind {
    fn committed(&self, _: usize, _: usize, _: Duration) {}
    fn commit_failed(&self, _: usize) {}
}

pub fn blind() -> Arc<dyn Observer> {
    Arc::new(Blind)
}

pub fn put(space: Space, key: &[u8], bytes: &[u8]) -> Op {
    Op::Put(space, key.to_vec(), Sealed::public(bytes.to_vec()))
}

pub fn delete(space: Space, key: &[u8]) -> Op {
    Op::Delete(space, key.to_vec())
}

pub fn delete_range(space: Space, from: &[u8], to: &[u8]) -> Op {
    Op::DeleteRange(space, from.to_vec(), to.to_vec())
}

pub fn batch(ops: Vec<Op>) -> Batch {
    Batch::of(ops)
}

pub fn batch_if(space: Space, key: &[u8], expect: Expect, ops: Vec<Op>) -> Batch {
    Batch { preconditions: vec![(space, key.to_vec(), expect)], ..Batch::of(ops) }
}

/// What the batch does to a plain map.
pub fn apply(model: &mut Model, batch: &Batch) {
    for op in &batch.ops {
        match op {
            Op::Put(space, key, bytes) => {
                model.insert((*space, key.clone()), bytes.as_ref().to_vec());
            }
            Op::Delete(space, key) => {
                model.remove(&(*space, key.clone()));
            }
            Op::DeleteRange(space, from, to) => {
                model.retain(|(other, key), _| other != space || key < from || key >= to);
            }
        }
    }
}

pub async fn view(engine: &dyn Engine) -> Box<dyn Snapshot> {
    engine.snapshot().await.unwrap()
}

pub async fn get(engine: &dyn Engine, space: Space, key: &[u8]) -> Option<Record> {
    view(engine).await.get(space, key).await.unwrap()
}

pub async fn write(engine: &dyn Engine, ops: Vec<Op>) -> Revision {
    engine.commit(batch(ops)).await.unwrap()
}

/// Everything that a snapshot shows.
pub async fn dump(snapshot: &dyn Snapshot) -> Model {
    try_dump(snapshot).await.unwrap()
}

/// As above, unless the snapshot has ended: a store that opens its database anew may know more than
/// it shows.
pub async fn try_dump(snapshot: &dyn Snapshot) -> Result<Model, ReadError> {
    let mut model = Model::new();
    for space in kinds::SPACES {
        for (key, record) in snapshot.scan(space, b"", &[0xff; 64], usize::MAX).await? {
            model.insert((space, key), record.bytes.to_vec());
        }
    }
    Ok(model)
}

pub fn open(storage: &Storage) -> RedbEngine {
    RedbEngine::open_backend(storage.clone(), storage.beside(), &options(), blind()).unwrap()
}

/// The same without caches: every page comes from the storage.
pub fn open_cold(storage: &Storage) -> RedbEngine {
    let mut options = options();
    (options.cache_bytes, options.record_cache_bytes) = (0, 0);
    RedbEngine::open_backend(storage.clone(), storage.beside(), &options, blind()).unwrap()
}

/// Opens an image and says what is in it.
pub async fn dump_image(image: Image) -> Model {
    let engine = open(&Storage::new(image));
    dump(&*view(&engine).await).await
}

/// Waits until the engine has recovered.
pub async fn ready(engine: &dyn Engine) {
    becomes(engine, Health::Ready).await;
}

/// Waits until the engine feels so.
pub async fn becomes(engine: &dyn Engine, health: Health) {
    for _ in 0..1000 {
        if engine.health() == health {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the engine is {:?} and not {health:?}", engine.health());
}

/// Batches that fill, overwrite, remove and grow; the same ones every time.
pub fn script() -> Vec<Batch> {
    // All of one tenant: the order of its batches is kept, that between tenants is not.
    let key = |n: usize| format!("one tenant's key-{:02}", n % 23).into_bytes();
    let value = |n: usize| vec![u8::try_from(n % 251).unwrap(); [40, 900, 9000][n % 3]];
    let step = |n: usize| match n % 5 {
        0 => batch((0..6).map(|i| put(VALUE, &key(n * 7 + i), &value(n + i))).collect()),
        1 => batch(vec![put(HEADER, &key(n), &value(n)), put(VERSION, &key(n), &value(n * 3))]),
        2 => batch(vec![delete(VALUE, &key(n * 7 - 14)), put(HEADER, &key(n - 1), b"again")]),
        3 => {
            batch(vec![delete_range(VALUE, &key(n), &key(n + 4)), put(REGION, b"step", &value(n))])
        }
        _ => batch(vec![put(VALUE, &key(n), &vec![7; 60_000])]),
    };
    (0..24).map(step).collect()
}
