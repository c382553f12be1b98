//! What a record costs in memory for as long as it is in the log and not in the database. In a
//! process of its own, as every allocation of it is counted.

#![allow(
    clippy::unwrap_used,
    clippy::pedantic,
    clippy::print_stdout,
    reason = "a test fails by panicking"
)]

use std::{
    alloc::System,
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
    time::Duration,
};

use okmsd::{
    crypto::Sealed,
    store::{
        engine::{Batch, Engine, Observer, Op},
        engines::redb::{RedbEngine, RedbOptions, StorageBackend},
        kinds::value::SPACE,
    },
};
use redb::backends::InMemoryBackend;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static COUNTED: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const RECORDS: u32 = 20_000;
const AT_ONCE: u32 = 100;
/// What a record may cost beside its key and its bytes. README and ARCHITECTURE.md tell the figure:
/// some 255.
const BESIDE: usize = 300;

struct Blind;

impl Observer for Blind {
    fn committed(&self, _: usize, _: usize, _: Duration) {}
    fn commit_failed(&self, _: usize) {}
}

/// A database that takes no writes any more when it is told so: what is changed stays in memory.
#[derive(Debug)]
struct Closing(InMemoryBackend, Arc<AtomicBool>);

impl Closing {
    fn is_open(&self) -> io::Result<()> {
        if self.1.load(SeqCst) { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl StorageBackend for Closing {
    fn len(&self) -> io::Result<u64> {
        self.0.len()
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        self.0.read(offset, out)
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.is_open()?;
        self.0.set_len(len)
    }

    fn sync_data(&self) -> io::Result<()> {
        self.is_open()?;
        self.0.sync_data()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.is_open()?;
        self.0.write(offset, data)
    }
}

/// The bytes that are allocated.
fn allocated() -> usize {
    let stats = COUNTED.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

/// The key of a record, as long as that of a secret with a short path.
fn key(n: u32) -> Vec<u8> {
    format!("the domain's 16 /folder/secret-{n:06}").into_bytes()
}

/// What each of many records costs beside its key and its bytes.
async fn cost(bytes: usize) -> usize {
    let is_closed = Arc::new(AtomicBool::new(false));
    let mut options = RedbOptions::new("");
    (options.cache_bytes, options.record_cache_bytes) = (64 << 10, 0);
    let database = Closing(InMemoryBackend::new(), Arc::clone(&is_closed));
    let log = InMemoryBackend::new();
    let engine = RedbEngine::open_backend(database, log, &options, Arc::new(Blind)).unwrap();
    is_closed.store(true, SeqCst);
    let before = allocated();
    for first in (0..RECORDS).step_by(AT_ONCE as usize) {
        let put = |n| Op::Put(SPACE, key(n), Sealed::public(vec![1; bytes]));
        let ops = (first..first + AT_ONCE).map(put).collect();
        engine.commit(Batch::of(ops)).await.unwrap();
    }
    let each = (allocated() - before) / RECORDS as usize;
    each - bytes - key(0).len()
}

#[tokio::test]
async fn a_record_costs_little_before_it_is_in_the_database() {
    for bytes in [60, 300, 1_100] {
        let beside = cost(bytes).await;
        println!("{bytes} bytes: {beside} beside them and the key");
        assert!(beside < BESIDE, "{bytes} bytes: {beside} beside them");
    }
}
