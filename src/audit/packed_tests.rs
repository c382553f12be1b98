//! Packed files of records: how they come about, and what reads them.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use flate2::{Compression, write::GzEncoder};

use super::{
    packed::{Text, name_of},
    *,
};
use crate::{
    crypto::{FileRootKey, SigningKey},
    model::Timestamp,
};

const PATIENCE: Duration = Duration::from_secs(20);
const ROTATION: Rotation =
    Rotation { bytes: 8_000, age: Duration::from_secs(3600), keep: 0, packs: true };

fn key() -> SigningKey {
    SigningKey::of(&FileRootKey::from_bytes(&[1; 32]).unwrap(), "audit").unwrap()
}

fn now() -> Timestamp {
    Timestamp::from_unix_seconds(1_800_000_000)
}

fn record(kind: &str) -> Members {
    Members::new().time("time", now()).text("type", kind)
}

/// Records so many, and stops.
async fn records(path: &Path, rotation: Rotation, many: u64) {
    let device = FileDevice::open(path, rotation).unwrap();
    let at = Tail::of(path, key().public(), &[]).unwrap().map(|tail| tail.at);
    let at = at.unwrap_or_else(|| Position::before_all(ChainId::from_bytes([9; 8])));
    let device = device.into_device().unwrap();
    let fitted = vec![Fitted { device, is_required: true, form: Form::Own }];
    let recorder = Recorder::start((at, &[]), key(), fitted, (PATIENCE, 10)).unwrap();
    for number in 0..many {
        let kind = if number == 0 { "start" } else { "request" };
        let record = record(kind).number("n", number);
        recorder.record(&record, Need::Durable).unwrap().kept().await.unwrap();
    }
    recorder.stop(&record("stop"), now());
}

fn proven(path: &Path) -> Proven {
    let mut verifier = Verifier::new(key().public());
    for file in FileDevice::all(path).unwrap() {
        let mut lines = Lines::open(&file).unwrap();
        while let Some(line) = lines.next_line().unwrap() {
            assert!(line.is_whole);
            verifier.line(line.text).unwrap();
        }
    }
    verifier.finish().unwrap()[0]
}

/// The files before the one that is written.
fn before(path: &Path) -> Vec<PathBuf> {
    FileDevice::all(path).unwrap().into_iter().filter(|one| one != path).collect()
}

fn all_are_packed(path: &Path) {
    let is_packed = |file: &PathBuf| file.extension().unwrap() == "gz";
    let deadline = Instant::now() + PATIENCE;
    while !before(path).iter().all(is_packed) {
        assert!(Instant::now() < deadline, "{:?}", before(path));
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn packed(text: &[u8]) -> Vec<u8> {
    let mut packing = GzEncoder::new(Vec::new(), Compression::best());
    packing.write_all(text).unwrap();
    packing.finish().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn full_files_are_packed_and_read_as_before() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    // Those from before it was asked for are packed as well.
    records(&path, Rotation { packs: false, ..ROTATION }, 200).await;
    let (plain, whole) = (before(&path), proven(&path));
    assert!(plain.len() > 2 && plain.iter().all(|one| one.extension().unwrap() == "log"));
    // A crash came in between: one has both, and one was begun.
    fs::write(name_of(&plain[0]), "not what is in it").unwrap();
    let unfinished = plain[1].with_extension("log.gz.new");
    fs::write(&unfinished, "some of it").unwrap();
    assert_eq!(before(&path), plain);
    let device = FileDevice::open(&path, ROTATION).unwrap();
    all_are_packed(&path);
    drop(device);
    assert_eq!(before(&path), plain.iter().map(|one| name_of(one)).collect::<Vec<_>>());
    assert!(!unfinished.exists() && plain.iter().all(|one| !one.exists()));
    assert_eq!(proven(&path), whole);
    for one in before(&path) {
        assert_eq!(fs::metadata(one).unwrap().permissions().mode() & 0o777, 0o600);
    }
    // It goes on behind them, and at their end where nothing else is left.
    records(&path, ROTATION, 100).await;
    all_are_packed(&path);
    let (last, tail) = (proven(&path), Tail::of(&path, key().public(), &[]).unwrap().unwrap());
    assert!(last.is_closed && last.first == 1 && tail.is_closed && tail.at.seq == last.last);
    fs::rename(&path, path.with_file_name("audit-00000000000000999999.log")).unwrap();
    drop(FileDevice::open(&path, ROTATION).unwrap());
    all_are_packed(&path);
    assert_eq!(Tail::of(&path, key().public(), &[]).unwrap().unwrap(), tail);
    let behind = Tail::behind(&path, tail.at.seq - 150, usize::MAX).unwrap();
    assert_eq!(behind.split(|byte| *byte == b'\n').count(), 151);
    // Packed ones count among those that are kept.
    let kept = Rotation { keep: 2, ..ROTATION };
    records(&path, kept, 100).await;
    all_are_packed(&path);
    assert_eq!(before(&path).len(), 2);
}

#[test]
fn a_packed_file_is_read_backwards_however_long_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log.gz");
    let text: Vec<u8> = (0_u64..5_000_000)
        .flat_map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes())
        .collect();
    fs::write(&path, packed(&text)).unwrap();
    let mut packed = Text::open(&path).unwrap();
    assert_eq!(packed.length(), text.len() as u64);
    let mut end = text.len();
    while end > 0 {
        let begin = end.saturating_sub(1 << 20);
        assert!(packed.between(begin as u64, end as u64).unwrap() == text[begin..end]);
        end = begin;
    }
}

#[test]
fn what_is_damaged_or_made_to_fill_memory_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit-00000000000000000001.log.gz");
    let read = || -> io::Result<usize> {
        let mut lines = Lines::open(&path)?;
        let mut many = 0;
        while lines.next_line()?.is_some() {
            many += 1;
        }
        Ok(many)
    };
    let whole = packed(&b"{\"a\":1}\n".repeat(1000));
    let mut edited = whole.clone();
    let middle = edited.len() / 2;
    edited[middle] ^= 0x55;
    let bomb = packed(&b"\n".repeat(64 << 20));
    let long = packed(&vec![b'a'; 64 << 20]);
    for (bytes, says) in [
        (&whole[..whole.len() - 4], "is no whole gzip file, or is damaged"),
        (&edited[..], "is no whole gzip file, or is damaged"),
        (&[&whole[..], b"more"].concat()[..], "is no whole gzip file, or is damaged"),
        (&b"{}\n"[..], "is no whole gzip file, or is damaged"),
        (&bomb[..], "unpacks to more than records do"),
        (&long[..], "a line of more than 1 MiB"),
    ] {
        fs::write(&path, bytes).unwrap();
        let error = read().unwrap_err().to_string();
        assert!(error.contains(says), "{says}: {error}");
        let error = Tail::of(&path.with_file_name("audit.log"), key().public(), &[])
            .unwrap_err()
            .to_string();
        assert!(error.contains("audit-00000000000000000001.log.gz"), "{error}");
    }
    fs::write(&path, &whole).unwrap();
    assert_eq!(read().unwrap(), 1000);
    assert!(File::open(&path).is_ok());
}
