//! How soon a store is there again after a kill, with a log that is as full as it can be.

use std::{
    fs::{self, File},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
        mpsc,
    },
    time::{Duration, Instant},
};

use okmsd::store::{
    engine::{CommitError, Engine, Observer},
    engines::redb::{RedbEngine, RedbOptions},
};
use tokio::task::JoinSet;

use super::{
    Effort, Outcome,
    growth::Unobserved,
    log::secret,
    note,
    table::{Budget, Row, median},
};

const WRITERS: u32 = 64;
/// When nothing becomes durable for so long, the log is full.
const STILL: Duration = Duration::from_secs(1);
/// How long it may take to fill it.
const FILL_TIME: Duration = Duration::from_secs(120);
const DATABASE: &str = "store.redb";

/// Holds the database up when it has been brought up to date once, as a slow disk would: from then
/// on everything is in the log alone, until that is full and the writers wait.
struct Held {
    until: Mutex<mpsc::Receiver<()>>,
    durable: AtomicUsize,
}

impl Observer for Held {
    fn committed(&self, batches: usize, _: usize, _: Duration) {
        self.durable.fetch_add(batches, Relaxed);
    }

    fn commit_failed(&self, _: usize) {}

    fn brought_up(&self, _: Duration) {
        let _over = self.until.lock().unwrap_or_else(PoisonError::into_inner).recv();
    }
}

pub(super) async fn measure(effort: Effort) -> Outcome<Vec<Row>> {
    let folder = tempfile::Builder::new().prefix("okmsd-bench-").tempdir()?;
    let options = RedbOptions::new(folder.path().join(DATABASE));
    note("filling the log");
    let (release, until) = mpsc::channel();
    let held = Arc::new(Held { until: Mutex::new(until), durable: AtomicUsize::new(0) });
    let engine: Arc<dyn Engine> =
        Arc::new(RedbEngine::open(&options, Arc::clone(&held) as Arc<dyn Observer>)?);
    let (over, mut writers) = (Arc::new(AtomicBool::new(false)), JoinSet::new());
    for writer in 0..WRITERS {
        let (engine, over) = (Arc::clone(&engine), Arc::clone(&over));
        writers.spawn(async move {
            let mut n = writer;
            while !over.load(Relaxed) {
                engine.commit(secret(n)).await?;
                n += WRITERS;
            }
            Ok::<_, CommitError>(())
        });
    }
    full(&held).await?;
    let mut times = Vec::new();
    for round in 0..effort.rounds {
        note(format_args!("a start after a kill, turn {}", round + 1));
        times.push(start_of_a_copy(folder.path(), &*engine)?);
    }
    over.store(true, Relaxed);
    drop(release);
    while let Some(ended) = writers.join_next().await {
        ended??;
    }
    Ok(vec![Row::alone(
        format!("a start after a kill, {} MiB of log to read", options.log_bytes >> 20),
        median(times),
        " ms",
        Budget::AtMost(1000.0),
    )])
}

/// Waits until nothing becomes durable any more.
async fn full(held: &Held) -> Outcome<()> {
    let deadline = Instant::now() + FILL_TIME;
    let mut before = 0;
    loop {
        tokio::time::sleep(STILL).await;
        let durable = held.durable.load(Relaxed);
        if durable == before && durable > 0 {
            return Ok(());
        }
        if Instant::now() > deadline {
            return Err("the log does not fill".into());
        }
        before = durable;
    }
}

/// Copies the store while nothing changes in its files, as a kill would leave them, and opens the
/// copy: how long that takes, in ms.
fn start_of_a_copy(folder: &Path, engine: &dyn Engine) -> Outcome<f64> {
    let copy = folder.join("killed");
    fs::create_dir(&copy)?;
    for name in [DATABASE, "store.redb-log"] {
        fs::copy(folder.join(name), copy.join(name))?;
        File::open(copy.join(name))?.sync_all()?;
    }
    let options = RedbOptions::new(copy.join(DATABASE));
    let started = Instant::now();
    let opened = RedbEngine::open(&options, Arc::new(Unobserved))?;
    let time = started.elapsed().as_secs_f64() * 1e3;
    if opened.revision() != engine.revision() {
        return Err("the copy lacks something".into());
    }
    drop(opened);
    fs::remove_dir_all(&copy)?;
    Ok(time)
}
