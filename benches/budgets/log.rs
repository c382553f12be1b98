//! The store without a server in front of it: its durable writes beside a file that is only
//! appended to, and what they write to the disk.

use std::{
    fs::{self, OpenOptions},
    os::unix::fs::FileExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use okmsd::{
    crypto::Sealed,
    store::{
        engine::{Batch, Engine, Expect, Observer, Op, Space},
        engines::redb::{RedbEngine, RedbOptions},
        kinds::{header, value, version},
    },
};

use super::{
    Effort, Outcome, note,
    table::{Budget, Rounds, Row, median, of_writers, percentile},
};

/// A value of 1 KiB, sealed.
const VALUE_BYTES: usize = 1048;
/// How many secrets the writers write to.
const SECRETS: u32 = 20_000;
/// After so long a log that was opened has been cleared to its end, as the bare one was written.
const CLEARED: Duration = Duration::from_secs(12);
/// A bare log is written over from here on.
const BARE_BYTES: u64 = 32 << 20;

/// Counts what becomes durable.
#[derive(Default)]
struct Count {
    batches: AtomicUsize,
    groups: AtomicUsize,
}

impl Observer for Count {
    fn committed(&self, batches: usize, _: usize, _: Duration) {
        self.batches.fetch_add(batches, Relaxed);
        self.groups.fetch_add(1, Relaxed);
    }

    fn commit_failed(&self, _: usize) {}
}

pub(super) async fn measure(effort: Effort) -> Outcome<Vec<Row>> {
    let folder = tempfile::Builder::new().prefix("okmsd-bench-").tempdir()?;
    let options = RedbOptions::new(folder.path().join("store.redb"));
    let mut rows = Vec::new();
    for writers in [1, 16, 64] {
        let (mut rates, mut medians, mut tails) =
            (Rounds::default(), Rounds::default(), Rounds::default());
        let (mut groups, mut amplifications) = (Vec::new(), Vec::new());
        for round in 0..effort.rounds {
            note(format_args!("{} to the store, turn {}", of_writers(writers), round + 1));
            let count = Arc::new(Count::default());
            let engine: Arc<dyn Engine> =
                Arc::new(RedbEngine::open(&options, Arc::clone(&count) as Arc<dyn Observer>)?);
            tokio::time::sleep(CLEARED).await;
            let bytes_before = disk_bytes()?;
            let times = write(&engine, writers as u32, effort.turn).await?;
            let done = times.len() as f64;
            // What is in memory goes into the database, and counts.
            drop(engine);
            amplifications.push((disk_bytes()? - bytes_before) / (done * VALUE_BYTES as f64));
            let group = count.batches.load(Relaxed) as f64 / count.groups.load(Relaxed) as f64;
            groups.push(group);
            let file = folder.path().join("bare");
            let bare = tokio::task::spawn_blocking(move || append(&file, group, effort.turn));
            let bare = bare.await??;
            let seconds = effort.turn.as_secs_f64();
            rates.push(done / seconds, bare.len() as f64 * group / seconds);
            medians.push(percentile(&times, 0.5), percentile(&bare, 0.5));
            tails.push(percentile(&times, 0.99), percentile(&bare, 0.99));
        }
        let group = median(groups);
        let who = of_writers(writers);
        let name = format!("{who} to the store, {group:.1} in a group");
        rows.push(rates.row(format!("{name}, beside a bare log"), "/s", Budget::AtLeast(0.7)));
        if writers == 1 {
            rows.push(medians.row(
                "p50 of a durable write to the store, beside a bare sync".to_owned(),
                " us",
                Budget::AtMost(1.5),
            ));
            rows.push(tails.row("p99 of the same".to_owned(), " us", Budget::AtMost(1.5)));
        }
        rows.push(Row::alone(
            format!("bytes on the disk for a byte of value, {who}"),
            median(amplifications),
            "",
            if writers == 64 { Budget::AtMost(3.0) } else { Budget::None },
        ));
    }
    Ok(rows)
}

/// So many writers write for so long: what each write took, in us.
async fn write(engine: &Arc<dyn Engine>, writers: u32, time: Duration) -> Outcome<Vec<f64>> {
    let end = Instant::now() + time;
    let tasks: Vec<_> = (0..writers)
        .map(|writer| {
            let engine = Arc::clone(engine);
            tokio::spawn(async move {
                let (mut times, mut n) = (Vec::new(), writer);
                while Instant::now() < end {
                    let started = Instant::now();
                    engine.commit(secret(n.wrapping_mul(2_654_435_761) % SECRETS)).await?;
                    times.push(started.elapsed().as_secs_f64() * 1e6);
                    n += writers;
                }
                Ok::<_, okmsd::store::engine::CommitError>(times)
            })
        })
        .collect();
    let mut times = Vec::new();
    for task in tasks {
        times.extend(task.await??);
    }
    Ok(times)
}

/// The records of a secret that is written over.
pub(super) fn secret(n: u32) -> Batch {
    let key = [[7; 16].as_slice(), format!("bench/secret-{n:05}").as_bytes()].concat();
    let versioned = [&*key, &[0, 0, 0, 0, 1]].concat();
    let put = |space: Space, key: &[u8], bytes| {
        Op::Put(space, key.to_vec(), Sealed::public(vec![7; bytes]))
    };
    Batch {
        // Never there, and judged all the same.
        preconditions: vec![(header::SPACE, [&*key, b"/"].concat(), Expect::Absent)],
        ops: vec![
            put(header::SPACE, &key, 83),
            put(version::SPACE, &versioned, 103),
            put(value::SPACE, &versioned, VALUE_BYTES),
        ],
        ..Batch::default()
    }
}

/// Appends as many bytes as such a group has to a file that was written before, and syncs: what
/// each took, in us.
pub(super) fn append(path: &Path, group: f64, time: Duration) -> Outcome<Vec<f64>> {
    let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(path)?;
    if file.metadata()?.len() < BARE_BYTES {
        file.write_all_at(&vec![0; usize::try_from(BARE_BYTES)?], 0)?;
        file.sync_all()?;
    }
    let bytes = vec![7; (group * (VALUE_BYTES + 400) as f64) as usize];
    let (mut times, mut at) = (Vec::new(), 0);
    let end = Instant::now() + time;
    while Instant::now() < end {
        let started = Instant::now();
        file.write_all_at(&bytes, at)?;
        file.sync_data()?;
        times.push(started.elapsed().as_secs_f64() * 1e6);
        at = (at + bytes.len() as u64) % (BARE_BYTES - bytes.len() as u64);
    }
    Ok(times)
}

/// What this process has written to disks, in bytes.
fn disk_bytes() -> Outcome<f64> {
    let text = fs::read_to_string("/proc/self/io")?;
    let line = text.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    Ok(line.ok_or("no figures of the disk")?.parse()?)
}
