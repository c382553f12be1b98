//! Storage that fails at any moment: what was acknowledged stays, what was refused is absent, what
//! is not known is there or not there, and reads go on.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::Duration,
};

use okmsd::store::{
    engine::{CommitError, Engine, Health, Observer},
    engines::redb::RedbEngine,
};

use crate::{
    common::*,
    power::{Disk, Luck},
    storage::{Fault, File, Image, Storage},
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

#[derive(Debug, Default)]
struct Seen {
    unknown: usize,
    refused: usize,
    read_only: usize,
    behind: usize,
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
    // Closing the store brings the database up to date.
    drop(engine);
    let (operations, _) = storage.counts();
    assert!(operations > 50, "the script reaches the storage");
    let mut seen = Seen::default();
    for nth in 0..operations {
        run(fault(nth), nth % 2 == 0, &mut seen).await;
    }
    let Seen { unknown, refused, read_only, .. } = seen;
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
    let ops = (0..150_u32).map(|n| put(VALUE, &n.to_be_bytes(), &[3; 1500])).collect();
    write(&engine, ops).await;
    // What has just been written is read from memory.
    drop(engine);
    let engine = open_cold(&storage);
    storage.fail_reads(true);
    let failed = view(&engine).await.get(VALUE, &77_u32.to_be_bytes()).await;
    assert!(failed.is_err());
    storage.fail_reads(false);
    ready(&engine).await;
    assert_eq!(dump(&*view(&engine).await).await.len(), 150);
    write(&engine, vec![put(VALUE, b"more", b"x")]).await;
}

/// A snapshot that was taken before a failure goes on, because the next database shows the same
/// moment.
#[tokio::test]
async fn a_snapshot_outlives_a_failure() {
    let storage = Storage::new(Vec::new());
    let mut small = options();
    (small.cache_bytes, small.record_cache_bytes) = (0, 0);
    small.pause_min = Duration::from_mins(1);
    let engine =
        RedbEngine::open_backend(storage.clone(), storage.beside(), &small, blind()).unwrap();
    let ops = (0..150_u32).map(|n| put(VALUE, &n.to_be_bytes(), &[3; 1500])).collect();
    write(&engine, ops).await;
    let snapshot = view(&engine).await;
    storage.fail(Fault::Broken(0));
    let failed = engine.commit(batch(vec![delete_range(VALUE, b"", b"\xff")])).await;
    assert!(
        matches!(failed, Err(CommitError::OutcomeUnknown(_) | CommitError::Unavailable(_))),
        "{failed:?}"
    );
    assert_eq!(engine.health(), Health::ReadOnly);
    for n in 0..150_u32 {
        assert!(snapshot.get(VALUE, &n.to_be_bytes()).await.unwrap().is_some());
    }
    assert_eq!(dump(&*snapshot).await.len(), 150);
}

/// Counts how often the log was full, and the database behind.
#[derive(Default)]
struct Counts {
    full: AtomicUsize,
    behind: AtomicUsize,
}

impl Observer for Counts {
    fn committed(&self, _: usize, _: usize, _: Duration) {}
    fn commit_failed(&self, _: usize) {}
    fn fell_behind(&self) {
        self.behind.fetch_add(1, SeqCst);
    }
    fn filled_up(&self) {
        self.full.fetch_add(1, SeqCst);
    }
}

/// A store whose observer counts.
fn open_counted(storage: &Storage) -> (RedbEngine, Arc<Counts>) {
    let counts = Arc::new(Counts::default());
    let observer = Arc::clone(&counts) as Arc<dyn Observer>;
    let opened = RedbEngine::open_backend(storage.clone(), storage.beside(), &options(), observer);
    (opened.unwrap(), counts)
}

/// Runs the script with one operation of one file that fails, and all others that do not: how many
/// operations that file saw.
async fn run_with_one(file: File, fault: Fault, seen: &mut Seen) -> u64 {
    let storage = Storage::new(Vec::new());
    let (engine, counts) = open_counted(&storage);
    storage.fail_only(file, fault);
    let mut possible = Possible(vec![Model::new()]);
    for pair in script().chunks(2) {
        let answers: Vec<_> = pair.iter().map(|batch| engine.commit(batch.clone())).collect();
        for (batch, answer) in pair.iter().zip(answers) {
            let answer = answer.await;
            possible.hear(batch, &answer);
            seen.unknown += usize::from(matches!(answer, Err(CommitError::OutcomeUnknown(_))));
            seen.refused += usize::from(matches!(answer, Err(CommitError::Unavailable(_))));
        }
        let found = dump(&*view(&engine).await).await;
        assert!(possible.0.contains(&found), "{file:?}, {fault:?}: reads show something else");
    }
    // It goes on by itself, and knows what became of what was not known.
    ready(&engine).await;
    possible.admit(&dump(&*view(&engine).await).await, "after recovery");
    let last = batch(vec![put(REGION, b"last", b"1")]);
    for tries in 0.. {
        let answer = engine.commit(last.clone()).await;
        possible.hear(&last, &answer);
        if answer.is_ok() {
            break;
        }
        assert_eq!(tries, 0, "{file:?}, {fault:?}: one operation fails, and {answer:?}");
        ready(&engine).await;
    }
    possible.admit(&dump(&*view(&engine).await).await, "behind the last write");
    let after_a_power_cut = |storage: &Storage| {
        let mut disk = Disk::new(Image::default(), 1);
        storage.log().iter().for_each(|event| disk.play(event));
        dump_image(disk.crash(Luck::Nothing))
    };
    possible.admit(&after_a_power_cut(&storage).await, "after a power cut");
    drop(engine);
    seen.behind += counts.behind.load(SeqCst);
    possible.admit(&after_a_power_cut(&storage).await, "after a stop and a power cut");
    possible.admit(&dump_image(storage.image()).await, "after reopening");
    storage.counts().0
}

/// Each single write, sync and change of length of either file fails once, for either reason, and
/// none after it.
async fn each_alone(file: File, fault: fn(u64) -> Fault) -> Seen {
    let mut seen = Seen::default();
    let operations = run_with_one(file, Fault::None, &mut seen).await;
    assert!(operations > 30, "{file:?}: {operations}");
    assert_eq!((seen.unknown, seen.refused, seen.behind), (0, 0, 0));
    for nth in 0..operations {
        run_with_one(file, fault(nth), &mut seen).await;
    }
    seen
}

#[tokio::test]
async fn each_operation_of_the_log_can_fail_alone() {
    for fault in [Fault::OneBroken, Fault::OneFull] {
        let seen = each_alone(File::Log, fault).await;
        assert!(seen.unknown > 20 && seen.refused > 20 && seen.behind == 0, "{seen:?}");
    }
}

#[tokio::test]
async fn each_operation_of_the_database_can_fail_alone() {
    for fault in [Fault::OneBroken, Fault::OneFull] {
        let seen = each_alone(File::Database, fault).await;
        assert!(seen.unknown == 0 && seen.refused == 0 && seen.behind > 20, "{seen:?}");
    }
}

/// A database that cannot be written is behind, and nobody has to wait for it until the log is
/// full. A log that is full to the last byte still has what proves to the database that it is its
/// own. Then the store says that it takes no writes: once it was ready for as long as nobody came
/// to mend the disk, and refused every write. It takes them again when the database can be written,
/// though nobody asks.
#[tokio::test]
async fn a_database_that_cannot_be_written_is_behind() {
    for fault in [Fault::Broken(0), Fault::Full(0)] {
        let storage = Storage::new(Vec::new());
        let (engine, counts) = open_counted(&storage);
        let mut model = Model::new();
        let step =
            |n: usize| batch(vec![put(VALUE, &(n % 16).to_be_bytes(), &vec![n as u8; 20_000])]);
        let mut taken = 0;
        for round in 0..3 {
            storage.fail_only(File::Database, fault);
            let before = taken;
            let refused = loop {
                match engine.commit(step(taken)).await {
                    Ok(_) => apply(&mut model, &step(taken)),
                    Err(error) => break error,
                }
                taken += 1;
                assert_eq!(engine.health(), Health::Ready, "there is room in the log");
                assert_eq!(dump(&*view(&engine).await).await, model);
            };
            assert_eq!(engine.health(), Health::ReadOnly, "there is none");
            assert_eq!(counts.full.load(SeqCst), round + 1);
            let refused_at_once = engine.commit(step(taken)).await;
            assert!(matches!(refused_at_once, Err(CommitError::Unavailable(_))));
            assert!(matches!(refused, CommitError::Unavailable(_)), "{refused}");
            // As many as the log takes; later, what it has from the round before counts as well.
            let (taken_now, least) = (taken - before, if round == 0 { 17 } else { 2 });
            assert!((least..23).contains(&taken_now), "{round}: {taken_now} batches of 20 KB");
            assert_eq!(dump(&*view(&engine).await).await, model, "reads go on");
            let after_a_kill = dump_image(storage.image()).await;
            assert_eq!(after_a_kill, model, "and so would they after a crash");
            // Longer than the pause between two tries: it is told for as long as it is so.
            tokio::time::sleep(Duration::from_millis(120)).await;
            assert_eq!(engine.health(), Health::ReadOnly, "the database still cannot be written");
            storage.fail(Fault::None);
            ready(&engine).await;
            engine.commit(step(taken)).await.unwrap();
            apply(&mut model, &step(taken));
            taken += 1;
        }
        drop(engine);
        assert_eq!(dump_image(storage.image()).await, model);
    }
}

/// The other way round: without its log a store takes nothing, and shows everything.
#[tokio::test]
async fn a_log_that_cannot_be_written_stops_writes() {
    for fault in [Fault::Broken(0), Fault::Full(0), Fault::OneSync(1)] {
        let storage = Storage::new(Vec::new());
        let engine = open(&storage);
        write(&engine, vec![put(VALUE, b"kept", b"1")]).await;
        let before = dump(&*view(&engine).await).await;
        storage.fail_only(File::Log, fault);
        let refused = engine.commit(batch(vec![put(VALUE, b"lost", b"1")])).await;
        assert!(matches!(refused, Err(CommitError::OutcomeUnknown(_))), "{refused:?}");
        assert_eq!(dump(&*view(&engine).await).await, before);
        storage.fail(Fault::None);
        ready(&engine).await;
        // Something was written in its place: it is known not to be there.
        assert_eq!(dump(&*view(&engine).await).await, before);
        assert_eq!(dump_image(storage.image()).await, before);
        write(&engine, vec![put(VALUE, b"next", b"1")]).await;
        drop(engine);
        assert_eq!(dump_image(storage.image()).await.len(), 2);
    }
}

/// Sixteen writes in small groups to a slow log, one of which fails: what came of them.
async fn fail_one(fault: Fault) -> (Storage, RedbEngine, Possible, Seen) {
    let storage = Storage::new(Vec::new());
    let mut few = options();
    few.group_batches = 2;
    let engine = RedbEngine::open_backend(storage.clone(), storage.beside(), &few, blind());
    let engine = engine.unwrap();
    storage.slow(Duration::from_millis(5));
    storage.fail_only(File::Log, fault);
    let (mut possible, mut seen) = (Possible(vec![Model::new()]), Seen::default());
    let step = |n: u32| batch(vec![put(VALUE, &n.to_be_bytes(), &[1; 40])]);
    let answers: Vec<_> = (0..16).map(|n| engine.commit(step(n))).collect();
    for (n, answer) in answers.into_iter().enumerate() {
        let answer = answer.await;
        possible.hear(&step(n as u32), &answer);
        seen.unknown += usize::from(matches!(answer, Err(CommitError::OutcomeUnknown(_))));
        seen.refused += usize::from(matches!(answer, Err(CommitError::Unavailable(_))));
    }
    (storage, engine, possible, seen)
}

/// One group is judged while the one before is on its way to the disk. If that does not become
/// durable, the next one stands on nothing.
#[tokio::test]
async fn a_group_behind_one_that_failed_is_refused() {
    let mut all = Seen::default();
    for nth in 1..8 {
        let (storage, engine, mut possible, seen) = fail_one(Fault::OneSync(nth)).await;
        all.unknown += seen.unknown;
        all.refused += seen.refused;
        storage.slow(Duration::ZERO);
        ready(&engine).await;
        possible.admit(&dump(&*view(&engine).await).await, "after recovery");
        let last = batch(vec![put(VALUE, b"last", b"1")]);
        possible.hear(&last, &engine.commit(last.clone()).await);
        possible.admit(&dump_image(storage.image()).await, "after a kill");
        drop(engine);
        possible.admit(&dump_image(storage.image()).await, "after reopening");
    }
    assert!(all.unknown > 0 && all.refused > 0, "{} and {}", all.unknown, all.refused);
}

/// A panic in the code of the storage ends the store, and not what it has acknowledged: a group
/// that was judged on the one that is in doubt must not come behind it into the log.
#[tokio::test]
async fn a_panic_ends_writes_and_nothing_else() {
    for nth in 1..6 {
        let (storage, engine, mut possible, seen) = fail_one(Fault::OnePanic(nth)).await;
        assert!(seen.refused > 0, "{nth}: a group was judged behind the one in doubt");
        becomes(&engine, Health::Down).await;
        possible.admit(&dump_image(storage.image()).await, "after a kill");
        drop(engine);
        storage.fail(Fault::None);
        possible.admit(&dump_image(storage.image()).await, "after reopening");
    }
}
