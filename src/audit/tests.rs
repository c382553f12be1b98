//! The trail as a whole: what is found, and what is kept when devices fail.

use proptest::prelude::*;

use super::{
    chain::{ChainId, Position, Said},
    *,
};
use crate::{
    crypto::{FileRootKey, SigningKey},
    model::Timestamp,
};

fn key(byte: u8) -> SigningKey {
    SigningKey::of(&FileRootKey::from_bytes(&[byte; 32]).unwrap(), "audit").unwrap()
}

/// A trail of so many records, with a checkpoint after each third, and one at the end.
fn trail(records: u64, closes: bool) -> Vec<Vec<u8>> {
    let key = key(1);
    let mut at = Position::before_all(ChainId::from_bytes([7; 8]));
    let mut lines = Vec::new();
    let time = |seq: u64| Timestamp::from_unix_seconds(i64::try_from(seq).unwrap());
    let mut link = |members: &Members, at: &mut Position| {
        let mut line = Vec::new();
        at.link(members, &mut line);
        assert_eq!(line.pop(), Some(b'\n'));
        lines.push(line);
    };
    for number in 1..=records {
        let record = Members::new().time("time", time(number)).text("type", "request");
        link(&record.number("n", number * 1_000_003), &mut at);
        if number % 3 == 0 {
            let said = Said { at, open: 0, time: time(number) };
            link(&said.signed(&key), &mut at);
        }
    }
    if closes {
        link(&Members::new().time("time", time(records)).text("type", "stop"), &mut at);
    }
    let said = Said { at, open: 0, time: time(records) };
    link(&said.signed(&key), &mut at);
    lines
}

fn verify(lines: &[Vec<u8>]) -> Result<Vec<Proven>, Fault> {
    let mut verifier = Verifier::new(key(1).public());
    for line in lines {
        verifier.line(line)?;
    }
    verifier.finish()
}

#[test]
fn a_trail_is_proven_up_to_its_last_checkpoint() {
    let lines = trail(7, true);
    let chain = ChainId::from_bytes([7; 8]);
    let all = Proven { chain, first: 1, last: 11, signed: 10, is_closed: true };
    assert_eq!(verify(&lines), Ok(vec![all]));
    // Without its first files it is proven from there on, and without its last ones up to there.
    assert_eq!(verify(&lines[5..]), Ok(vec![Proven { first: 6, ..all }]));
    let cut = Proven { last: 9, signed: 7, is_closed: false, ..all };
    assert_eq!(verify(&lines[..9]), Ok(vec![cut]));
    assert_eq!(verify(&lines[..4]), Ok(vec![Proven { last: 4, signed: 3, ..cut }]));
    // Several chains, however they are mixed.
    let other: Vec<_> = {
        let mut at = Position::before_all(ChainId::from_bytes([8; 8]));
        let mut line = Vec::new();
        at.link(&Members::new().text("type", "start"), &mut line);
        line.pop();
        vec![line]
    };
    assert_eq!(verify(&[&lines[..4], &other, &lines[4..]].concat()).unwrap().len(), 2);
}

/// Records of these types, linked to each other from a chain's beginning on.
fn linked(chain: ChainId, kinds: &[&str]) -> Vec<Vec<u8>> {
    let mut at = Position::before_all(chain);
    let mut link = |kind: &&str| {
        let mut line = Vec::new();
        at.link(&Members::new().text("type", kind), &mut line);
        line.pop();
        line
    };
    kinds.iter().map(&mut link).collect()
}

/// Links need no key: a chain that somebody has made passed for one that was written.
#[test]
fn a_chain_of_which_nothing_is_signed_is_nobodys() {
    let (chain, lines) = (ChainId::from_bytes([8; 8]), trail(7, true));
    let forged = linked(chain, &["start", "request", "request", "stop"]);
    for (from, to) in [(0, 2), (0, 4), (1, 4), (1, 2)] {
        let unsigned = Err(Fault::Unsigned(chain, from as u64 + 1, to as u64));
        assert_eq!(verify(&forged[from..to]), unsigned);
        assert_eq!(verify(&[&lines, &forged[from..to]].concat()), unsigned);
    }
    // A server that is killed before it has signed that it starts has served nobody.
    let starts = linked(chain, &["start", "start"]);
    for last in 1..=2 {
        let proven = Proven { chain, first: 1, last, signed: 0, is_closed: false };
        assert_eq!(verify(&starts[..usize::try_from(last).unwrap()]), Ok(vec![proven]));
    }
    assert_eq!(verify(&starts[1..]), Err(Fault::Unsigned(chain, 2, 2)));
}

#[test]
fn a_fault_is_named() {
    let (lines, chain) = (trail(7, true), ChainId::from_bytes([7; 8]));
    let without = |at: usize| [&lines[..at], &lines[at + 1..]].concat();
    assert_eq!(verify(&without(2)), Err(Fault::Missing(chain, 3, 3)));
    let mut swapped = lines.clone();
    swapped.swap(4, 5);
    assert_eq!(verify(&swapped), Err(Fault::Missing(chain, 5, 5)));
    let twice = [&lines[..5], &lines[4..]].concat();
    assert_eq!(verify(&twice), Err(Fault::OutOfOrder(chain, 5)));
    for at in 0..lines.len() {
        let mut edited = lines.clone();
        let digit = edited[at].iter_mut().rev().find(|byte| byte.is_ascii_digit()).unwrap();
        *digit = if *digit == b'1' { b'2' } else { b'1' };
        let seq = at as u64 + 1;
        let fault = verify(&edited).unwrap_err();
        let expected = [Fault::Edited(chain, seq), Fault::Foreign(chain, seq)].contains(&fault);
        assert!(expected, "{seq}: {fault}");
    }
    let foreign = Verifier::new(key(2).public()).tap(&lines);
    assert_eq!(foreign, Err(Fault::Foreign(chain, 4)));
    assert_eq!(verify(&[b"{}".to_vec()]), Err(Fault::Malformed));
}

impl Verifier {
    fn tap(mut self, lines: &[Vec<u8>]) -> Result<(), Fault> {
        lines.iter().try_for_each(|line| self.line(line))
    }
}

/// Who can write the file, and has not the key, makes the links new behind what he has edited.
#[test]
fn links_that_were_made_anew_are_found_by_the_next_checkpoint() {
    let lines = trail(7, true);
    let mut at = Position::before_all(ChainId::from_bytes([7; 8]));
    let again = lines.iter().enumerate().map(|(place, line)| {
        let text = String::from_utf8(line.clone()).unwrap();
        let body = text.splitn(4, ',').nth(3).unwrap().trim_end_matches('}');
        let body = if place == 4 { body.replace('4', "6") } else { body.to_owned() };
        let mut line = Vec::new();
        at.link(&Members::of_test(&body), &mut line);
        line.pop();
        line
    });
    let again: Vec<_> = again.collect();
    assert_eq!(again[..4], lines[..4]);
    let fault = verify(&again).unwrap_err();
    assert_eq!(fault, Fault::Replaced(ChainId::from_bytes([7; 8]), 4, 7));
}

proptest! {
    #[test]
    fn any_edit_is_found(
        records in 1_u64..12, closes in any::<bool>(), edits in 1_usize..3, seed in any::<u64>(),
    ) {
        let lines = trail(records, closes);
        let whole = lines.iter().fold(Vec::new(), |mut all, line| {
            all.extend_from_slice(line);
            all.push(b'\n');
            all
        });
        let mut edited = whole.clone();
        let mut random = seed;
        for _ in 0..edits {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let at = usize::try_from(random >> 33).unwrap() % edited.len();
            let byte = u8::try_from(random >> 20 & 0xff).unwrap();
            match random >> 28 & 3 {
                0 => drop(edited.remove(at)),
                1 => edited.insert(at, byte),
                _ => edited[at] = byte,
            }
        }
        prop_assume!(edited != whole);
        let mut parts: Vec<_> = edited.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        // A file that does not end in a line feed was cut.
        let is_cut = parts.pop() != Some(Vec::new());
        // The last line of all may be made another one than the checkpoint that it was.
        let proven = verify(&parts);
        prop_assert!(is_cut || proven != verify(&lines), "{proven:?}");
    }
}

mod recorder {
    use std::{
        fs,
        io::{self, Write as _},
        os::unix::fs::OpenOptionsExt as _,
        path::Path,
        sync::{Arc, Mutex},
        time::{Duration, Instant},
    };

    use rustix::fs::OFlags;

    use super::{
        super::{device::Medium, *},
        ChainId, Position, key,
    };
    use crate::model::Timestamp;

    const FOREVER: Rotation =
        Rotation { bytes: u64::MAX, age: Duration::from_secs(3600), keep: 0, packs: false };
    const PATIENCE: Duration = Duration::from_secs(5);

    fn start(path: &Path, rotation: Rotation, at: Position) -> Recorder {
        let device = Box::new(FileDevice::open(path, rotation).unwrap());
        let fitted = vec![Fitted { device, is_required: true, form: Form::Own }];
        Recorder::start((at, &[]), key(1), fitted, (PATIENCE, 100)).unwrap()
    }

    fn at_first() -> Position {
        Position::before_all(ChainId::from_bytes([9; 8]))
    }

    fn now() -> Timestamp {
        Timestamp::from_unix_seconds(1_800_000_000)
    }

    fn record(number: u64) -> Members {
        Members::new().time("time", now()).text("type", "request").number("n", number)
    }

    fn stop(recorder: &Recorder) {
        recorder.stop(&Members::new().time("time", now()).text("type", "stop"), now());
    }

    fn proven(path: &Path) -> Proven {
        let mut verifier = Verifier::new(key(1).public());
        for file in FileDevice::all(path).unwrap() {
            for line in lines(&fs::read(file).unwrap()) {
                verifier.line(&line).unwrap();
            }
        }
        verifier.finish().unwrap()[0]
    }

    fn lines(text: &[u8]) -> Vec<Vec<u8>> {
        let mut lines: Vec<_> = text.split(|byte| *byte == b'\n').map(<[u8]>::to_vec).collect();
        assert_eq!(lines.pop(), Some(Vec::new()));
        lines
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_kept_is_in_the_files_whatever_becomes_of_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let rotation = Rotation { bytes: 20_000, ..FOREVER };
        let recorder = Arc::new(start(&path, rotation, at_first()));
        let mut tasks = Vec::new();
        for task in 0..8_u64 {
            let recorder = Arc::clone(&recorder);
            tasks.push(tokio::spawn(async move {
                for number in 0..100 {
                    let need = if number % 2 == 0 { Need::Written } else { Need::Durable };
                    recorder
                        .record(&record(task * 1000 + number), need)
                        .unwrap()
                        .kept()
                        .await
                        .unwrap();
                }
            }));
        }
        for task in tasks {
            task.await.unwrap();
        }
        // Somebody else's rotation.
        fs::rename(&path, folder.path().join("audit-00000000000000000800.log")).unwrap();
        let deadline = Instant::now() + PATIENCE;
        while !path.exists() {
            assert!(Instant::now() < deadline, "it is not seen that the file was moved");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        recorder.record(&record(1), Need::Durable).unwrap().kept().await.unwrap();
        stop(&recorder);
        assert!(FileDevice::all(&path).unwrap().len() > 3);
        let all = proven(&path);
        assert!(all.is_closed && all.first == 1 && all.last > 802, "{all:?}");
        let tail = Tail::of(&path, key(1).public(), &[]).unwrap().unwrap();
        assert!(tail.is_closed && tail.unended.is_empty() && tail.at.seq == all.last, "{tail:?}");
        // It goes on where it ended.
        drop(recorder);
        let recorder = start(&path, rotation, tail.at);
        let again = Members::new().time("time", now()).text("type", "start");
        recorder.record(&again, Need::Durable).unwrap().kept().await.unwrap();
        stop(&recorder);
        assert_eq!(proven(&path).last, all.last + 3);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn changes_are_open_until_their_end_is_durable() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let recorder = start(&path, FOREVER, at_first());
        let mut marks = Vec::new();
        for number in 1..=4 {
            let intent = Members::new()
                .time("time", now())
                .text("type", "intent")
                .text("request_id", &format!("request {number}"));
            let (mark, receipt) = recorder.intend(intent, None).unwrap();
            receipt.kept().await.unwrap();
            marks.push(mark);
            recorder.checkpoint(now());
        }
        let end = |ends: &[u64]| {
            let ended =
                |intent: &u64| Members::new().number("intent", *intent).truth("happened", true);
            record(0).objects("changes", ends.iter().map(ended))
        };
        let ends = vec![marks[1].seq, marks[3].seq];
        recorder.ended(&end(&ends), ends.clone()).unwrap().kept().await.unwrap();
        recorder.checkpoint(now());
        recorder.record(&record(1), Need::Durable).unwrap().kept().await.unwrap();
        // As if the process had been killed, in the middle of a line.
        let mut file = fs::OpenOptions::new().append(true).open(&path).unwrap();
        file.write_all(b"{\"chain\":\"09").unwrap();
        let tail = Tail::of(&path, key(1).public(), &[]).unwrap().unwrap();
        assert_eq!((tail.torn, tail.is_closed), (12, false));
        let open: Vec<_> = tail.unended.iter().map(|one| (one.mark, one.about.as_str())).collect();
        let about = |number| {
            let about = Members::new().time("announced", now());
            about.text("request_id", &format!("request {number}"))
        };
        let about = [about(1), about(3)];
        assert_eq!(open, [(marks[0], about[0].as_str()), (marks[2], about[1].as_str())]);
        // Places are given again once they are free.
        let intent = || Members::new().text("type", "intent");
        let (next, receipt) = recorder.intend(intent(), None).unwrap();
        receipt.kept().await.unwrap();
        assert!([marks[1].slot, marks[3].slot].contains(&next.slot));
        for _ in 3..OPEN_MAX {
            let _not_waited_for = recorder.intend(intent(), None).unwrap();
        }
        assert_eq!(recorder.intend(intent(), None).unwrap_err(), Unrecorded);
    }

    #[test]
    fn what_is_no_trail_is_not_gone_on_with() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        assert_eq!(Tail::of(&path, key(1).public(), &[]).unwrap(), None);
        fs::write(&path, "127.0.0.1 - - GET /\n").unwrap();
        assert!(matches!(Tail::of(&path, key(1).public(), &[]), Err(ResumeError::Foreign(_))));
    }

    /// One of two files lacked what the other had, for good, when a crash came in between.
    #[tokio::test(flavor = "multi_thread")]
    async fn a_file_that_a_crash_left_behind_gets_what_another_has() {
        let folder = tempfile::tempdir().unwrap();
        let (one, other) = (folder.path().join("one.log"), folder.path().join("other.log"));
        let fitted = [&one, &other].map(|path| Fitted {
            device: Box::new(FileDevice::open(path, FOREVER).unwrap()),
            is_required: true,
            form: Form::Own,
        });
        let recorder =
            Recorder::start((at_first(), &[]), key(1), fitted.into(), (PATIENCE, 3)).unwrap();
        for number in 0..10 {
            recorder.record(&record(number), Need::Durable).unwrap().kept().await.unwrap();
        }
        stop(&recorder);
        let whole = fs::read(&one).unwrap();
        assert_eq!(fs::read(&other).unwrap(), whole);
        let lines = lines(&whole);
        let cut: usize = lines[..6].iter().map(|line| line.len() + 1).sum();
        fs::write(&other, &whole[..cut]).unwrap();
        assert_eq!(Tail::last(&other).unwrap().unwrap().seq, 6);
        // What is behind gives nothing.
        Tail::follow(&one, &other).unwrap();
        assert_eq!(fs::read(&one).unwrap(), whole);
        Tail::follow(&other, &one).unwrap();
        assert_eq!(fs::read(&other).unwrap(), whole);
        // Nor does another chain, or a file to which it does not fit.
        let edited = String::from_utf8(whole[..cut].to_vec()).unwrap().replace(":5}", ":7}");
        fs::write(&other, &edited).unwrap();
        Tail::follow(&other, &one).unwrap();
        assert_eq!(fs::read_to_string(&other).unwrap().len(), edited.len());
    }

    /// Where there was no other file to go on in, more of the one before was cut off with each look.
    #[test]
    fn a_file_that_was_moved_is_cut_once_and_when_there_is_another() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("audit.log"), folder.path().join("moved.log"));
        let mut device = FileDevice::open(&path, FOREVER).unwrap();
        let lines = b"one\ntwo\nbegun";
        assert_eq!(device.write(lines).unwrap(), lines.len());
        fs::rename(&path, &moved).unwrap();
        fs::create_dir(&path).unwrap();
        for _ in 0..3 {
            device.reopen(device.length() - 5, 0).unwrap_err();
        }
        assert_eq!(fs::read(&moved).unwrap(), lines);
        fs::remove_dir(&path).unwrap();
        assert_eq!(device.reopen(device.length() - 5, 0).unwrap(), Opened::Other);
        assert_eq!(fs::read(&moved).unwrap(), b"one\ntwo\n");
        assert_eq!(device.length(), 0);
    }

    /// A disk that does not keep what it took: nobody is told that it has, and all of it is written
    /// again, once each, when it does.
    #[tokio::test(flavor = "multi_thread")]
    async fn what_could_not_be_made_durable_is_not_kept_until_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let device = FileDevice::open(&path, FOREVER).unwrap();
        let disk = device.disk().unwrap();
        // A handle that can be asked for nothing.
        let flags = i32::try_from(OFlags::PATH.bits()).unwrap();
        let none = || fs::File::options().read(true).custom_flags(flags).open(&path).unwrap();
        let fitted = vec![Fitted { device: Box::new(device), is_required: true, form: Form::Own }];
        let recorder = Recorder::start((at_first(), &[]), key(1), fitted, (PATIENCE, 100)).unwrap();
        let keep = async |number, need| recorder.record(&record(number), need)?.kept().await;
        assert_eq!(keep(1, Need::Durable).await, Ok(()));
        disk.replace(none());
        assert_eq!(keep(2, Need::Durable).await, Err(Unrecorded));
        assert!(!recorder.is_well());
        assert_eq!(keep(3, Need::Written).await, Err(Unrecorded));
        let _kept_later = recorder.record(&record(4), Need::Nothing).unwrap();
        tokio::time::sleep(Duration::from_millis(600)).await;
        assert!(!recorder.is_well(), "what is written again is durable no more than before");
        disk.replace(fs::File::options().append(true).open(&path).unwrap());
        let deadline = Instant::now() + PATIENCE;
        while keep(5, Need::Durable).await.is_err() {
            assert!(Instant::now() < deadline, "it heals");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stop(&recorder);
        assert!(proven(&path).is_closed);
        let numbers = lines(&fs::read(&path).unwrap()).into_iter().filter_map(|line| {
            serde_json::from_slice::<serde_json::Value>(&line).unwrap()["n"].as_u64()
        });
        assert_eq!(numbers.collect::<Vec<_>>(), [1, 2, 4, 5]);
    }

    /// What a device does next.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    enum Mood {
        Fine,
        /// Takes three bytes, and fails then.
        Full,
        Broken,
        Stuck,
        /// Takes everything, and does not come to an end of making it durable.
        StuckDisk,
    }

    #[derive(Clone)]
    struct Moody(Arc<Mutex<(Mood, Vec<u8>)>>);

    impl Moody {
        fn fine() -> Self {
            Self(Arc::new(Mutex::new((Mood::Fine, Vec::new()))))
        }
    }

    impl Device for Moody {
        fn name(&self) -> &'static str {
            "moody"
        }

        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            loop {
                let mut state = self.0.lock().unwrap();
                let some = match state.0 {
                    Mood::Fine | Mood::StuckDisk => bytes.len(),
                    Mood::Full => {
                        state.0 = Mood::Broken;
                        bytes.len().min(3)
                    }
                    Mood::Broken => return Err(io::ErrorKind::StorageFull.into()),
                    Mood::Stuck => {
                        drop(state);
                        std::thread::sleep(Duration::from_millis(5));
                        continue;
                    }
                };
                state.1.extend_from_slice(&bytes[..some]);
                return Ok(some);
            }
        }

        fn disk(&self) -> Option<Disk> {
            Some(Disk::new(self.clone()))
        }
    }

    impl Medium for Moody {
        fn sync(&self) -> io::Result<()> {
            while self.0.lock().unwrap().0 == Mood::StuckDisk {
                std::thread::sleep(Duration::from_millis(5));
            }
            Ok(())
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_device_that_fails_or_hangs_makes_records_fail_until_it_works() {
        for mood in [Mood::Full, Mood::Broken, Mood::Stuck, Mood::StuckDisk] {
            let (own, other, vault) = (Moody::fine(), Moody::fine(), Moody::fine());
            let fit = |moody: &Moody, is_required, form| Fitted {
                device: Box::new(moody.clone()),
                is_required,
                form,
            };
            let fitted = vec![
                fit(&own, true, Form::Own),
                fit(&other, false, Form::Own),
                fit(&vault, false, Form::Vault),
            ];
            let patience = Duration::from_millis(100);
            let recorder =
                Recorder::start((at_first(), &[]), key(1), fitted, (patience, 100)).unwrap();
            let keep = async |number| recorder.record(&record(number), Need::Durable)?.kept().await;
            assert_eq!(keep(1).await, Ok(()));
            // One that is not required stops nobody.
            other.0.lock().unwrap().0 = mood;
            vault.0.lock().unwrap().0 = mood;
            assert_eq!(keep(2).await, Ok(()));
            own.0.lock().unwrap().0 = mood;
            let begun = Instant::now();
            assert_eq!(keep(3).await, Err(Unrecorded), "{mood:?}");
            tokio::time::sleep(patience * 2).await;
            assert!(!recorder.is_well(), "{mood:?}");
            assert_eq!(keep(4).await, Err(Unrecorded), "{mood:?}");
            // Nobody relies on this one.
            let _kept_later = recorder.record(&record(5), Need::Nothing).unwrap();
            assert!(begun.elapsed() < PATIENCE);
            own.0.lock().unwrap().0 = Mood::Fine;
            let deadline = Instant::now() + PATIENCE;
            while keep(6).await.is_err() {
                assert!(Instant::now() < deadline, "{mood:?}");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            other.0.lock().unwrap().0 = Mood::Fine;
            vault.0.lock().unwrap().0 = Mood::Fine;
            stop(&recorder);
            let lines = lines(&own.0.lock().unwrap().1);
            let mut verifier = Verifier::new(key(1).public());
            for line in &lines {
                verifier.line(line).unwrap();
            }
            let numbers: Vec<u64> = lines
                .iter()
                .filter_map(|line| {
                    serde_json::from_slice::<serde_json::Value>(line).unwrap()["n"].as_u64()
                })
                .collect();
            // What failed is there all the same, as it was linked; what was refused is not.
            assert_eq!(numbers[..4], [1, 2, 3, 5], "{mood:?}");
            assert!(verifier.finish().unwrap()[0].is_closed, "{mood:?}");
            let text = own.0.lock().unwrap().1.clone();
            assert_eq!(other.0.lock().unwrap().1, text, "{mood:?}");
            let in_vaults_form = vault_form::of(&text);
            assert_eq!(vault.0.lock().unwrap().1, in_vaults_form, "{mood:?}");
            assert_eq!(self::lines(&in_vaults_form).len(), 2 * numbers.len());
        }
    }

    /// Files of another chain, with higher numbers, were overwritten, or the new chain's went at once as the oldest.
    #[test]
    fn no_file_takes_anothers_place() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        let of = |number: u64| folder.path().join(format!("audit-{number:020}.log"));
        fs::write(of(7), "of before\n").unwrap();
        fs::write(folder.path().join(format!("audit-{:020}.log.gz", 900)), "packed").unwrap();
        let rotation = Rotation { bytes: 1, keep: 2, ..FOREVER };
        let mut device = FileDevice::open(&path, rotation).unwrap();
        for (last, text) in [(7, "first\n"), (12, "second\n")] {
            device.write(text.as_bytes()).unwrap();
            assert_eq!(device.tend(last).unwrap(), Opened::Other);
        }
        assert_eq!(fs::read_to_string(of(901)).unwrap(), "first\n");
        assert_eq!(fs::read_to_string(of(902)).unwrap(), "second\n");
        assert!(!of(7).exists(), "the oldest go");
        device.write(b"third\n").unwrap();
        device.tend(5_000).unwrap();
        assert_eq!(fs::read_to_string(of(5_000)).unwrap(), "third\n");
    }

    /// A server that is started each day never had an old file.
    #[test]
    fn a_file_is_as_old_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        fs::write(&path, "of before\n").unwrap();
        std::thread::sleep(Duration::from_millis(60));
        let rotation = Rotation { age: Duration::from_millis(50), ..FOREVER };
        let mut device = FileDevice::open(&path, rotation).unwrap();
        let again = Rotation { age: Duration::from_secs(60), ..FOREVER };
        assert_eq!(device.tend(3).unwrap(), Opened::Other);
        drop(device);
        fs::write(&path, "new\n").unwrap();
        assert_eq!(FileDevice::open(&path, again).unwrap().tend(4).unwrap(), Opened::Same);
    }

    /// While a device hangs nothing is on the disk that could be signed: each checkpoint would only be one more
    /// record that it has to take.
    #[tokio::test(flavor = "multi_thread")]
    async fn nothing_is_signed_while_nothing_is_kept() {
        let own = Moody::fine();
        let device = Box::new(own.clone());
        let fitted = vec![Fitted { device, is_required: true, form: Form::Own }];
        let patience = Duration::from_millis(50);
        let recorder = Recorder::start((at_first(), &[]), key(1), fitted, (patience, 100)).unwrap();
        recorder.record(&record(1), Need::Durable).unwrap().kept().await.unwrap();
        own.0.lock().unwrap().0 = Mood::Broken;
        assert!(recorder.record(&record(2), Need::Durable).unwrap().kept().await.is_err());
        let at = recorder.standing().records;
        for _ in 0..10 {
            recorder.checkpoint(now());
            assert!(recorder.head(now()).is_none());
        }
        assert_eq!(recorder.standing().records, at);
        own.0.lock().unwrap().0 = Mood::Fine;
        let deadline = Instant::now() + PATIENCE;
        while recorder.head(now()).is_none() {
            assert!(Instant::now() < deadline, "it is signed when it works again");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stop(&recorder);
        // The last one is the last one.
        let last = recorder.standing().records;
        assert_eq!(recorder.record(&record(3), Need::Nothing).unwrap_err(), Unrecorded);
        assert_eq!(recorder.ended(&record(4), vec![1]).unwrap_err(), Unrecorded);
        assert_eq!(recorder.standing().records, last);
    }

    mod kept;
}
