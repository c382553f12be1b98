//! What a recorder keeps in memory, whose places it gives away, and what a file does that cannot go on as
//! it should.

use std::{
    fs, io,
    os::unix::fs::OpenOptionsExt as _,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use rustix::fs::OFlags;

use super::*;
use crate::model::AuditMark;

fn one(device: impl Device + 'static, patience: Duration) -> Recorder {
    let fitted = vec![Fitted { device: Box::new(device), is_required: true, form: Form::Own }];
    Recorder::start((at_first(), &[]), key(1), fitted, (patience, 100)).unwrap()
}

/// A change that a crash had left open was looked up, and another one took the place of its mark
/// before that was durable: after a power cut it had "not happened".
#[tokio::test(flavor = "multi_thread")]
async fn a_place_is_nobodys_until_it_is_durable_how_its_change_ended() {
    let device = Moody::fine();
    let intent = || Members::new().text("type", "intent");
    let mark = |slot, seq| AuditMark { chain: [9; 8], slot, seq, hash: [0; 32], tenant: None };
    let open = [mark(0, 7), mark(2, 8)];
    let own = Box::new(device.clone());
    let fitted = vec![Fitted { device: own, is_required: true, form: Form::Own }];
    let recorder = Recorder::start((at_first(), &open), key(1), fitted, (PATIENCE, 100)).unwrap();
    device.0.lock().unwrap().0 = Mood::StuckDisk;
    let (open, lost) = (Members::new().text("type", "resolved"), mark(1, 99));
    let _not_yet = recorder.ended(&open, vec![7]).unwrap();
    let told = recorder.lost(&Members::new().text("type", "lost"), &lost).unwrap();
    let place = |recorder: &Recorder| recorder.intend(intent(), None).unwrap().0.slot;
    assert_eq!([place(&recorder), place(&recorder)], [3, 4]);
    device.0.lock().unwrap().0 = Mood::Fine;
    told.kept().await.unwrap();
    let mut free = [place(&recorder), place(&recorder)];
    free.sort_unstable();
    assert_eq!(free, [0, 1]);
    // Of the other one it is not known yet.
    assert_eq!(place(&recorder), 5);
}

/// What was written and is not durable was kept in memory, as much as reads made of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_hangs_fills_no_memory() {
    const LINE: usize = 64 << 10;
    let device = Moody::fine();
    let recorder = one(device.clone(), Duration::from_millis(100));
    device.0.lock().unwrap().0 = Mood::StuckDisk;
    let long = "x".repeat(LINE);
    let deadline = Instant::now() + PATIENCE;
    let mut many = 0_usize;
    while recorder.standing().lost == 0 {
        assert!(Instant::now() < deadline && many * LINE < 80 << 20, "{many} are kept");
        many += 1;
        let _if_there_is_room = recorder.record(&record(0).text("path", &long), Need::Nothing);
        // The device takes what it is given: memory is what is not durable.
        let written = |recorder: &Recorder| recorder.standing().devices[0].2;
        while written(&recorder) < recorder.standing().records {
            assert!(Instant::now() < deadline, "it is written");
            tokio::time::sleep(Duration::from_micros(100)).await;
        }
    }
    assert!(many * LINE > 16 << 20, "there is room for a pause: {many}");
    device.0.lock().unwrap().0 = Mood::Fine;
    while recorder.record(&record(1), Need::Durable).is_err() {
        assert!(Instant::now() < deadline, "it goes on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop(&recorder);
    let mut verifier = Verifier::new(key(1).public());
    for line in lines(&device.0.lock().unwrap().1) {
        verifier.line(&line).unwrap();
    }
    assert!(verifier.finish().unwrap()[0].is_closed);
}

/// A file that could not be removed, of those that are more than are kept, made the next one as long
/// as the one before when its disk failed, with nothing in front of its records.
#[tokio::test(flavor = "multi_thread")]
async fn files_before_that_cannot_be_removed_are_no_matter() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    // The oldest of all, and no file.
    fs::create_dir_all(folder.path().join("audit-00000000000000000000.log/in")).unwrap();
    let device = FileDevice::open(&path, Rotation { bytes: 2_000, keep: 1, ..FOREVER }).unwrap();
    let disk = device.disk().unwrap();
    let recorder = one(device, PATIENCE);
    let keep = async |number, need| recorder.record(&record(number), need)?.kept().await;
    let rotated = || fs::read_dir(folder.path()).unwrap().count() > 2;
    let mut number = 0;
    while !rotated() {
        number += 1;
        assert_eq!(keep(number, Need::Durable).await, Ok(()), "a rotation is no failure");
    }
    assert!(recorder.is_well());
    number += 1;
    assert_eq!(keep(number, Need::Durable).await, Ok(()));
    // A handle that can be asked for nothing.
    let flags = i32::try_from(OFlags::PATH.bits()).unwrap();
    disk.replace(fs::File::options().read(true).custom_flags(flags).open(&path).unwrap());
    number += 1;
    assert_eq!(keep(number, Need::Durable).await, Err(Unrecorded));
    disk.replace(fs::File::options().append(true).open(&path).unwrap());
    let deadline = Instant::now() + PATIENCE;
    while keep(number + 1, Need::Durable).await.is_err() {
        assert!(Instant::now() < deadline, "it heals");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    stop(&recorder);
    fs::remove_dir_all(folder.path().join("audit-00000000000000000000.log")).unwrap();
    let proven = proven(&path);
    assert!(proven.first == 1 && proven.is_closed, "{proven:?}");
}

/// Each record had a timer of its own, so that none of them waits for ever. One thread looks after all, also when the
/// recorder stops and the device does not.
#[tokio::test(flavor = "multi_thread")]
async fn nobody_waits_much_longer_than_the_patience() {
    let patience = Duration::from_millis(200);
    for mood in [Mood::Stuck, Mood::StuckDisk] {
        let device = Moody::fine();
        let recorder = one(device.clone(), patience);
        recorder.record(&record(1), Need::Durable).unwrap().kept().await.unwrap();
        device.0.lock().unwrap().0 = mood;
        let begun = Instant::now();
        let many: Vec<_> =
            (2..50).map(|number| recorder.record(&record(number), Need::Durable)).collect();
        drop(recorder);
        for one in many {
            let told = tokio::time::timeout(PATIENCE, one.unwrap().kept()).await;
            assert_eq!(told, Ok(Err(Unrecorded)), "{mood:?}");
        }
        let waited = begun.elapsed();
        assert!(waited >= patience && waited < 3 * patience, "{mood:?}: {waited:?}");
        device.0.lock().unwrap().0 = Mood::Fine;
    }
}

/// A full file that could not be renamed had changes refused, off and on.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_cannot_be_renamed_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let device = FileDevice::open(&path, Rotation { bytes: 2_000, ..FOREVER }).unwrap();
    // There is no next number.
    let last = folder.path().join(format!("audit-{:020}.log", u64::MAX));
    fs::create_dir(&last).unwrap();
    let recorder = one(device, PATIENCE);
    for number in 0..40 {
        let kept = recorder.record(&record(number), Need::Durable).unwrap().kept().await;
        assert_eq!(kept, Ok(()));
        assert!(recorder.is_well());
    }
    stop(&recorder);
    assert!(fs::metadata(&path).unwrap().len() > 4_000);
    fs::remove_dir(last).unwrap();
    assert!(proven(&path).is_closed);
}

/// A device that reads for itself what there was no room for.
struct Reading {
    path: PathBuf,
    seen: u64,
    taken: Arc<Mutex<Vec<u64>>>,
    stuck: Arc<Mutex<()>>,
}

fn is_third(line: &[u8]) -> bool {
    number(line).is_some_and(|number| number % 3 == 0)
}

fn number(line: &[u8]) -> Option<u64> {
    serde_json::from_slice::<serde_json::Value>(line).unwrap()["n"].as_u64()
}

impl Device for Reading {
    fn name(&self) -> &'static str {
        "reading"
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        drop(self.stuck.lock().unwrap());
        for line in lines(bytes) {
            self.seen = Outline::of(&line).unwrap().seq;
            self.taken.lock().unwrap().extend(number(&line));
        }
        Ok(bytes.len())
    }

    fn wants(&self) -> Option<Wants> {
        Some(is_third)
    }

    fn seen(&self) -> Option<u64> {
        Some(self.seen)
    }

    fn catch_up(&mut self, to: u64) -> io::Result<Caught> {
        let mut behind = Behind::open(&self.path, ChainId::from_bytes([9; 8]), self.seen).unwrap();
        for _ in 0..50 {
            let Some((seq, line)) = behind.next_line().unwrap() else {
                return Ok(Caught::NotYet);
            };
            self.seen = seq;
            self.taken.lock().unwrap().extend(number(line).filter(|_| is_third(line)));
            if seq == to {
                return Ok(Caught::Up);
            }
        }
        Ok(Caught::Partly)
    }
}

/// What found no place was lost for good, though the files have it.
#[tokio::test(flavor = "multi_thread")]
async fn a_device_reads_what_there_was_no_room_for() {
    const LINE: usize = 48 << 10;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let (taken, stuck) = (Arc::default(), Arc::new(Mutex::new(())));
    let reading = Reading {
        path: path.clone(),
        seen: 0,
        taken: Arc::clone(&taken),
        stuck: Arc::clone(&stuck),
    };
    let rotation = Rotation { bytes: 3 << 20, packs: true, ..FOREVER };
    let file = Box::new(FileDevice::open(&path, rotation).unwrap());
    let fitted = vec![
        Fitted { device: file, is_required: true, form: Form::Own },
        Fitted { device: Box::new(reading), is_required: false, form: Form::Own },
    ];
    let recorder = Recorder::start((at_first(), &[]), key(1), fitted, (PATIENCE, 100)).unwrap();
    let long = "x".repeat(LINE);
    let mut number = 0;
    let mut keep = async |long: &str, many: u64| {
        for _ in 0..many {
            let members = record(number).text("path", long);
            recorder.record(&members, Need::Durable).unwrap().kept().await.unwrap();
            number += 1;
        }
    };
    keep("", 10).await;
    let held = stuck.lock().unwrap();
    // Three times of what there is room for, of what it wants and of what it does not.
    tokio::task::block_in_place(|| {
        tokio::runtime::Handle::current().block_on(keep(&long, 3 * 3 * (4 << 20) / LINE as u64));
    });
    drop(held);
    keep("", 100).await;
    let expected: Vec<_> = (0..number).filter(|number| number % 3 == 0).collect();
    let deadline = Instant::now() + 4 * PATIENCE;
    while taken.lock().unwrap().last() != expected.last() {
        assert!(Instant::now() < deadline, "it has {} of them", taken.lock().unwrap().len());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(*taken.lock().unwrap(), expected);
    assert_eq!(recorder.standing().devices[1].3, 0, "nothing is lost");
    // What it does not want takes no room, and is not given.
    stop(&recorder);
}
