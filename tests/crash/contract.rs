//! What any engine must do. [`contract`] takes a way to open an engine on the same storage again
//! and again.

use std::sync::Arc;

use okmsd::{
    crypto::Sealed,
    store::{
        engine::{
            Append, Batch, ChangesError, CommitError, Cut, Engine, Expect, Found, Health, Read,
            Revision, Touched,
        },
        engines::{
            memory::MemoryEngine,
            redb::{FileError, OpenError, RedbEngine},
        },
    },
};

use crate::common::*;

/// Runs every rule of the contract. `open` gives the engine of the `n`th storage, as it was left
/// before.
pub async fn contract(open: impl Fn(usize) -> Arc<dyn Engine>) {
    preconditions(&*open(0)).await;
    all_or_nothing(&*open(1)).await;
    ranges(&*open(2)).await;
    scans(&*open(3)).await;
    isolation(&*open(4)).await;
    revisions(|| open(5)).await;
    neighbours(&*open(6)).await;
    order(&*open(7)).await;
    forgotten(&*open(8)).await;
    reads(|| open(9)).await;
    empty_ranges(&*open(10)).await;
    feed(open(11)).await;
    keys(&*open(12)).await;
    appended(|| open(13)).await;
}

/// What is appended lies behind all that was appended below the same prefix before, under the revision of its commit,
/// whoever else writes meanwhile; and of a batch that is refused nothing is.
async fn appended(open: impl Fn() -> Arc<dyn Engine>) {
    let engine = open();
    let append = |prefix: &[u8], value: &[u8]| Append {
        space: VALUE,
        prefix: prefix.to_vec(),
        value: Sealed::public(value.to_vec()),
    };
    let writers: Vec<_> = (0..8_u8)
        .map(|writer| {
            let engine = Arc::clone(&engine);
            tokio::spawn(async move {
                let mut revisions = Vec::new();
                for n in 0..20_u8 {
                    let prefix = [writer % 2];
                    let appended = vec![append(&prefix, &[writer, n])];
                    let ops = vec![put(HEADER, &[writer, n], b"h")];
                    let batch = Batch { appended, ..Batch::of(ops) };
                    revisions.push((prefix, [writer, n], engine.commit(batch).await.unwrap()));
                }
                revisions
            })
        })
        .collect();
    let mut expected = Vec::new();
    for writer in writers {
        expected.extend(writer.await.unwrap());
    }
    expected.sort_by_key(|(prefix, _, revision)| (*prefix, *revision));
    let refused = Batch {
        preconditions: vec![(HEADER, vec![0, 0], Expect::Absent)],
        appended: vec![append(&[0], b"refused")],
        ..Batch::default()
    };
    assert!(matches!(engine.commit(refused).await, Err(CommitError::Conflict)));
    let first = engine.revision();
    drop(engine);
    let engine = open();
    let more = Batch { appended: vec![append(&[1], b"more")], ..Batch::default() };
    let more = engine.commit(more).await.unwrap();
    assert!(more > first);
    let found = view(&*engine).await.scan(VALUE, &[], &[2], 1_000).await.unwrap();
    let (last, found) = found.split_last().unwrap();
    assert_eq!((&last.0, &*last.1.bytes), (&Append::key(&[1], more), b"more".as_slice()));
    let found: Vec<_> = found
        .iter()
        .map(|(key, record)| {
            assert_eq!(*key, Append::key(&key[..1], record.revision));
            ([key[0]], [record.bytes[0], record.bytes[1]], record.revision)
        })
        .collect();
    assert_eq!(found, expected);
}

/// Keys alone, and folders in the place of what is in them.
async fn keys(engine: &dyn Engine) {
    let names = ["p/a", "p/a/1", "p/a/2", "p/b", "p/b-c", "p/b/1/2", "p/b0", "p/c/1", "q/1"];
    let mut ops: Vec<_> = names.iter().map(|name| put(HEADER, name.as_bytes(), b"h")).collect();
    // More below one folder than is read at once.
    ops.extend((0..300).map(|n| put(HEADER, format!("p/a/{n:03}").as_bytes(), b"h")));
    write(engine, ops).await;
    write(engine, vec![delete(HEADER, b"p/b-c"), delete_range(HEADER, b"p/c/", b"p/c/\xff")]).await;
    let snapshot = view(engine).await;
    let cut = Some(Cut { behind: 2, separator: b'/' });
    let told = async |from: &str, to: &str, cut, limit| {
        let keys = snapshot.keys(HEADER, from.as_bytes(), to.as_bytes(), cut, limit).await.unwrap();
        keys.into_iter().map(|key| String::from_utf8(key).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(told("p/", "p0", cut, 100).await, ["p/a", "p/a/", "p/b", "p/b/", "p/b0"]);
    assert_eq!(told("p/", "p0", cut, 2).await, ["p/a", "p/a/"]);
    assert_eq!(told("p/a0", "p0", cut, 100).await, ["p/b", "p/b/", "p/b0"]);
    assert_eq!(told("", "z", cut, 0).await, [""; 0]);
    assert_eq!(told("p/b", "p0", None, 100).await, ["p/b", "p/b/1/2", "p/b0"]);
    assert_eq!(told("p/", "p0", None, 1000).await.len(), 306);
    assert_eq!(told("z", "a", cut, 9).await, [""; 0]);
}

/// The feed tells each commit once and in order, to whoever follows and to whoever comes later, and
/// only what a reader sees as well. What was refused is not in it.
async fn feed(engine: Arc<dyn Engine>) {
    let begin = engine.revision();
    let follower = tokio::spawn({
        let engine = Arc::clone(&engine);
        async move {
            let (mut told, mut at) = (Vec::new(), begin);
            while told.len() < 40 {
                for change in engine.changes(at).await.unwrap() {
                    at = change.revision;
                    let Some(Touched::Put(space, key)) = change.touched.first() else { panic!() };
                    assert!(get(&*engine, *space, key).await.is_some(), "it is told and not shown");
                    told.push(change);
                }
            }
            told
        }
    });
    let writers: Vec<_> = (0..4_u8)
        .map(|writer| {
            let engine = Arc::clone(&engine);
            tokio::spawn(async move {
                let mut revisions = Vec::new();
                for n in 0..10_u8 {
                    let key = [writer; 17];
                    let ops = vec![put(VALUE, &key, &[n; 100]), delete_range(HEADER, &key, &[9])];
                    revisions.push(write(&*engine, ops).await);
                    let refused = batch_if(VALUE, &key, Expect::Absent, vec![delete(VALUE, &key)]);
                    assert!(matches!(engine.commit(refused).await, Err(CommitError::Conflict)));
                }
                revisions
            })
        })
        .collect();
    let mut expected = Vec::new();
    for writer in writers {
        expected.extend(writer.await.unwrap());
    }
    expected.sort_unstable();
    let told = follower.await.unwrap();
    let revisions: Vec<_> = told.iter().map(|change| change.revision).collect();
    assert_eq!(revisions, expected);
    assert_eq!(engine.revision(), expected[39]);
    let [Touched::Put(VALUE, key), Touched::DeletedRange(HEADER, from, to)] = &*told[0].touched
    else {
        panic!("{:?}", told[0]);
    };
    assert!(key == from && to == &[9]);
    let later = engine.changes(expected[29]).await.unwrap();
    assert_eq!(later, told[30..]);
    let ahead = engine.changes(Revision(expected[39].0 + 1)).await;
    assert!(matches!(ahead, Err(ChangesError::TooOld)), "of another history");
}

/// A read tells all its parts of one moment: of its own, whatever older and newer ones have read;
/// and what is last in a range, and where there is nothing.
async fn reads(open: impl Fn() -> Arc<dyn Engine>) {
    let engine = open();
    let version = |number: u8| [b"k".as_slice(), &[0, number]].concat();
    let ops = (1..=3).map(|number| put(VERSION, &version(number), &[number]));
    write(&*engine, ops.chain([put(HEADER, b"k", b"h")]).collect()).await;
    drop(engine);
    let engine = open();
    let before = view(&*engine).await;
    write(&*engine, vec![put(VERSION, &version(4), &[4]), put(HEADER, b"k", b"i")]).await;
    let after = view(&*engine).await;
    let (from, to) = (version(0), version(u8::MAX));
    let parts = [
        Read::Key(HEADER, b"k"),
        Read::Key(HEADER, b"absent"),
        Read::Last(VERSION, &from, &to),
        Read::Last(VALUE, &from, &to),
        Read::Last(VERSION, &to, &from),
    ];
    let mut answers = Vec::new();
    for snapshot in [&before, &after, &before] {
        answers.push(snapshot.read(&parts).await.unwrap());
    }
    answers.insert(2, engine.read(&parts).await.unwrap());
    for (found, (header, last)) in
        answers.into_iter().zip([(b"h", 3), (b"i", 4), (b"i", 4), (b"h", 3)])
    {
        let found: Vec<_> = found
            .into_iter()
            .map(|part| part.unwrap().map(|Found { key, record }| (key, record.bytes.to_vec())))
            .collect();
        let expected = [
            Some((None, header.to_vec())),
            None,
            Some((Some(version(last)), vec![last])),
            None,
            None,
        ];
        assert_eq!(found, expected);
    }
    for (snapshot, last) in [(&before, 3), (&after, 4), (&before, 3)] {
        for number in 1..=4 {
            let found = snapshot.get(VERSION, &version(number)).await.unwrap();
            assert_eq!(
                found.map(|record| record.bytes.to_vec()),
                (number <= last).then(|| vec![number]),
                "{number}"
            );
        }
    }
}

async fn conflicts(engine: &dyn Engine, batch: Batch) {
    let answer = engine.commit(batch).await;
    assert!(matches!(answer, Err(CommitError::Conflict)), "{answer:?}");
}

async fn preconditions(engine: &dyn Engine) {
    let write =
        |expect, value: &[u8]| batch_if(HEADER, b"k", expect, vec![put(HEADER, b"k", value)]);
    conflicts(engine, write(Expect::At(Revision(1)), b"no")).await;
    let first = engine.commit(write(Expect::Absent, b"1")).await.unwrap();
    conflicts(engine, write(Expect::Absent, b"no")).await;
    conflicts(engine, write(Expect::At(Revision(first.0 + 1)), b"no")).await;
    let second = engine.commit(write(Expect::At(first), b"2")).await.unwrap();
    conflicts(engine, write(Expect::At(first), b"no")).await;
    let found = get(engine, HEADER, b"k").await.unwrap();
    assert_eq!((found.revision, found.bytes.as_ref()), (second, b"2".as_slice()));
    // The same key in another space is another record.
    let other = batch_if(VALUE, b"k", Expect::Absent, vec![put(VALUE, b"k", b"v")]);
    engine.commit(other).await.unwrap();
    // A precondition is about the state before the batch, also if the batch itself changes the
    // record.
    let twice = batch_if(
        HEADER,
        b"k",
        Expect::At(second),
        vec![delete(HEADER, b"k"), put(HEADER, b"k", b"3")],
    );
    let third = engine.commit(twice).await.unwrap();
    assert_eq!(get(engine, HEADER, b"k").await.unwrap().revision, third);
}

async fn empty_ranges(engine: &dyn Engine) {
    write(engine, vec![put(HEADER, b"b", b"x"), put(VALUE, b"c", b"x")]).await;
    let claim = |from: &[u8], to: &[u8]| {
        batch_if(HEADER, from, Expect::EmptyTo(to.to_vec()), vec![put(HEADER, b"z", b"1")])
    };
    for (from, to) in [(b"a", b"c"), (b"b", b"c"), (b"a", b"z")] {
        conflicts(engine, claim(from, to)).await;
    }
    assert_eq!(get(engine, HEADER, b"z").await, None);
    // What ends where it begins, or before, holds nothing.
    for (from, to) in [(b"a", b"b"), (b"c", b"d"), (b"b", b"b"), (b"c", b"a")] {
        engine.commit(claim(from, to)).await.unwrap();
    }
    conflicts(engine, claim(b"c", b"zz")).await;
    write(engine, vec![delete(HEADER, b"b")]).await;
    engine.commit(claim(b"a", b"c")).await.unwrap();
}

async fn all_or_nothing(engine: &dyn Engine) {
    write(engine, vec![put(HEADER, b"taken", b"x")]).await;
    let mut two = batch(vec![put(HEADER, b"a", b"1"), put(VALUE, b"b", b"2")]);
    two.preconditions.push((HEADER, b"a".to_vec(), Expect::Absent));
    two.preconditions.push((HEADER, b"taken".to_vec(), Expect::Absent));
    conflicts(engine, two.clone()).await;
    assert_eq!(get(engine, HEADER, b"a").await, None);
    assert_eq!(get(engine, VALUE, b"b").await, None);
    two.preconditions.pop();
    let revision = engine.commit(two).await.unwrap();
    assert_eq!(get(engine, HEADER, b"a").await.unwrap().revision, revision);
    assert_eq!(get(engine, VALUE, b"b").await.unwrap().revision, revision);
}

async fn ranges(engine: &dyn Engine) {
    let keys: [&[u8]; 5] = [b"a", b"b", b"b\0", b"c", b"d"];
    let fill = |space| keys.iter().map(|key| put(space, key, b"x")).collect::<Vec<_>>();
    write(engine, [fill(VERSION), fill(VALUE)].concat()).await;
    // Make them known, so that a cache has something to forget.
    for key in keys {
        assert!(get(engine, VERSION, key).await.is_some());
    }
    write(engine, vec![delete_range(VERSION, b"b", b"c"), put(VERSION, b"bb", b"later")]).await;
    for (key, there) in [
        (&b"a"[..], true),
        (b"b", false),
        (b"b\0", false),
        (b"bb", true),
        (b"c", true),
        (b"d", true),
    ] {
        assert_eq!(get(engine, VERSION, key).await.is_some(), there, "{key:?}");
    }
    assert_eq!(view(engine).await.scan(VALUE, b"", b"\xff", 9).await.unwrap().len(), 5);
    // Empty and upside-down ranges are nothing.
    write(engine, vec![delete_range(VERSION, b"a", b"a"), delete_range(VERSION, b"d", b"a")]).await;
    assert!(get(engine, VERSION, b"a").await.is_some());
    write(engine, vec![delete_range(VERSION, b"", b"\xff")]).await;
    assert!(view(engine).await.scan(VERSION, b"", b"\xff", 9).await.unwrap().is_empty());
}

async fn scans(engine: &dyn Engine) {
    let keys: [&[u8]; 6] = [b"", b"\0", b"a", b"a\0", b"a\xff", b"b"];
    // Written in no order, found in order of bytes.
    let ops = keys.iter().rev().map(|key| put(TENANT, key, key)).collect();
    write(engine, ops).await;
    let snapshot = view(engine).await;
    let scan = async |from: &[u8], to: &[u8], limit| {
        let found = snapshot.scan(TENANT, from, to, limit).await.unwrap();
        found.into_iter().map(|(key, _)| key).collect::<Vec<_>>()
    };
    assert_eq!(scan(b"", b"\xff", 99).await, keys.map(<[u8]>::to_vec));
    assert_eq!(scan(b"", b"\xff", 2).await, [b"".to_vec(), b"\0".to_vec()]);
    assert_eq!(scan(b"a", b"b", 99).await, [b"a".to_vec(), b"a\0".to_vec(), b"a\xff".to_vec()]);
    assert_eq!(scan(b"a\0", b"a\xff", 99).await, [b"a\0".to_vec()]);
    for (from, to, limit) in
        [(&b"a"[..], &b"a"[..], 9), (b"b", b"a", 9), (b"c", b"d", 9), (b"a", b"b", 0)]
    {
        assert!(scan(from, to, limit).await.is_empty());
    }
    assert!(snapshot.scan(CONFIG, b"", b"\xff", 9).await.unwrap().is_empty());
}

async fn isolation(engine: &dyn Engine) {
    let first = write(engine, vec![put(HEADER, b"k", b"1"), put(VALUE, b"k", b"1")]).await;
    let old = view(engine).await;
    write(engine, vec![put(HEADER, b"k", b"2"), delete(VALUE, b"k"), put(VALUE, b"n", b"2")]).await;
    let new = view(engine).await;
    // Newest first, so that what it finds is known when the old one asks.
    assert_eq!(new.get(HEADER, b"k").await.unwrap().unwrap().bytes.as_ref(), b"2");
    assert_eq!(new.get(VALUE, b"k").await.unwrap(), None);
    assert!(new.get(VALUE, b"n").await.unwrap().is_some());
    for _ in 0..2 {
        assert_eq!(old.get(HEADER, b"k").await.unwrap().unwrap().revision, first);
        assert_eq!(old.get(VALUE, b"k").await.unwrap().unwrap().bytes.as_ref(), b"1");
        assert_eq!(old.get(VALUE, b"n").await.unwrap(), None);
        assert_eq!(old.scan(VALUE, b"", b"\xff", 9).await.unwrap().len(), 1);
    }
    assert_eq!(get(engine, HEADER, b"k").await.unwrap().bytes.as_ref(), b"2");
}

async fn revisions(open: impl Fn() -> Arc<dyn Engine>) {
    let engine = open();
    let mut last = write(&*engine, vec![put(HEADER, b"k", b"1")]).await;
    for ops in [vec![delete(HEADER, b"k")], vec![put(HEADER, b"k", b"2")], Vec::new()] {
        let next = write(&*engine, ops).await;
        assert!(next > last);
        last = next;
    }
    drop(engine);
    let engine = open();
    assert_eq!(get(&*engine, HEADER, b"k").await.unwrap().bytes.as_ref(), b"2");
    assert!(write(&*engine, vec![delete(HEADER, b"k")]).await > last);
}

/// Batches that are queued together judge each other, and a refused one hurts nobody.
async fn neighbours(engine: &dyn Engine) {
    let claim =
        |value: &[u8]| batch_if(HEADER, b"k", Expect::Absent, vec![put(HEADER, b"k", value)]);
    let before = engine.commit(batch(vec![put(HEADER, b"before", b"x")]));
    let winner = engine.commit(claim(b"winner"));
    let loser = engine.commit(claim(b"loser"));
    let after = engine.commit(batch(vec![put(HEADER, b"after", b"x")]));
    let answers = [before.await, winner.await, loser.await, after.await];
    assert!(matches!(answers, [Ok(_), Ok(_), Err(CommitError::Conflict), Ok(_)]), "{answers:?}");
    assert_eq!(get(engine, HEADER, b"k").await.unwrap().bytes.as_ref(), b"winner");
    assert!(get(engine, HEADER, b"before").await.is_some());
    assert!(get(engine, HEADER, b"after").await.is_some());
}

/// Changes of a batch apply in order.
async fn order(engine: &dyn Engine) {
    let ops = vec![
        put(HEADER, b"a", b"1"),
        put(HEADER, b"a", b"2"),
        put(HEADER, b"b", b"1"),
        delete(HEADER, b"b"),
        delete_range(HEADER, b"c", b"d"),
        put(HEADER, b"c", b"1"),
    ];
    write(engine, ops).await;
    let found = dump(&*view(engine).await).await;
    let expected =
        [(b"a", b"2"), (b"c", b"1")].map(|(key, value)| ((HEADER, key.to_vec()), value.to_vec()));
    assert_eq!(found, Model::from(expected));
}

/// A commit goes on when its caller stops waiting.
async fn forgotten(engine: &dyn Engine) {
    drop(engine.commit(batch(vec![put(HEADER, b"forgotten", b"x")])));
    write(engine, vec![put(HEADER, b"next", b"x")]).await;
    assert!(get(engine, HEADER, b"forgotten").await.is_some());
    assert_eq!(engine.health(), Health::Ready);
}

#[tokio::test]
async fn redb_keeps_the_contract() {
    for record_cache_bytes in [0, 64 << 10] {
        let dir = tempfile::tempdir().unwrap();
        contract(|nth| {
            let mut options = options();
            options.path = dir.path().join(format!("{nth}.redb"));
            options.record_cache_bytes = record_cache_bytes;
            Arc::new(RedbEngine::open(&options, blind()).unwrap())
        })
        .await;
    }
}

/// The engine in memory keeps it as well, all but what is about files.
#[tokio::test]
async fn memory_keeps_the_contract() {
    let engines: Vec<Arc<dyn Engine>> =
        (0..14).map(|_| Arc::<MemoryEngine>::default() as _).collect();
    contract(|nth| Arc::clone(&engines[nth])).await;
}

#[tokio::test]
async fn a_second_opening_is_refused_until_the_first_is_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options();
    options.path = dir.path().join("store.redb");
    let engine = RedbEngine::open(&options, blind()).unwrap();
    write(&engine, vec![put(HEADER, b"k", b"1")]).await;
    let second = RedbEngine::open(&options, blind());
    assert!(matches!(second, Err(OpenError::File(FileError::InUse))));
    // A snapshot that is still held does not keep the file.
    let snapshot = view(&engine).await;
    drop(engine);
    let engine = RedbEngine::open(&options, blind()).unwrap();
    assert_eq!(get(&engine, HEADER, b"k").await.unwrap().bytes.as_ref(), b"1");
    // It says the truth of its moment as long as that is in memory, and nothing otherwise.
    write(&engine, vec![put(HEADER, b"k", b"2")]).await;
    let late = snapshot.scan(HEADER, b"", b"z", 1).await;
    assert!(late.is_err() || late.unwrap()[0].1.bytes.as_ref() == b"1");
}

#[tokio::test]
async fn a_full_queue_refuses_at_once_and_keeps_what_it_took() {
    let dir = tempfile::tempdir().unwrap();
    for (queue_batches, queue_bytes) in [(4, usize::MAX), (usize::MAX, 600)] {
        let mut options = options();
        options.path = dir.path().join(format!("{queue_batches}.redb"));
        (options.queue_batches, options.queue_bytes) = (queue_batches, queue_bytes);
        let engine = RedbEngine::open(&options, blind()).unwrap();
        let write = |n: u32| engine.commit(batch(vec![put(VALUE, &n.to_be_bytes(), &[7; 96])]));
        let waiting: Vec<_> = (0..200).map(|n| (n, write(n))).collect();
        let mut taken = 0;
        for (n, answer) in waiting {
            let there = match answer.await {
                Ok(_) => true,
                Err(CommitError::Overloaded) => false,
                Err(other) => panic!("{other}"),
            };
            taken += u32::from(there);
            assert_eq!(get(&engine, VALUE, &n.to_be_bytes()).await.is_some(), there);
        }
        assert!((4..200).contains(&taken), "{taken} were taken");
    }
}

#[tokio::test]
async fn dropping_the_engine_writes_what_waits() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options();
    options.path = dir.path().join("store.redb");
    let engine = RedbEngine::open(&options, blind()).unwrap();
    let waiting: Vec<_> = (0..100_u32)
        .map(|n| (n, engine.commit(batch(vec![put(VALUE, &n.to_be_bytes(), b"x")]))))
        .map(|(n, _)| n)
        .collect();
    drop(engine);
    let engine = RedbEngine::open(&options, blind()).unwrap();
    for n in waiting {
        assert!(get(&engine, VALUE, &n.to_be_bytes()).await.is_some());
    }
}

/// A crash while the file is made leaves something that redb cannot open, but not under the file's
/// name.
#[tokio::test]
async fn an_unfinished_new_file_is_made_again() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options();
    options.path = dir.path().join("store.redb");
    std::fs::write(dir.path().join("store.redb.new"), [0; 5000]).unwrap();
    let engine = RedbEngine::open(&options, blind()).unwrap();
    write(&engine, vec![put(HEADER, b"k", b"1")]).await;
    drop(engine);
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "the store and its log");
    let engine = RedbEngine::open(&options, blind()).unwrap();
    assert_eq!(get(&engine, HEADER, b"k").await.unwrap().bytes.as_ref(), b"1");
    // A file that is something else is refused, and left as it is.
    options.path = dir.path().join("other");
    std::fs::write(&options.path, [7; 5000]).unwrap();
    assert!(matches!(RedbEngine::open(&options, blind()), Err(OpenError::Database(_))));
    assert_eq!(std::fs::read(&options.path).unwrap(), [7; 5000]);
    // So are an empty file and a link to a disk that is not there: an empty store in their place
    // would look like loss.
    std::fs::write(&options.path, []).unwrap();
    assert!(matches!(RedbEngine::open(&options, blind()), Err(OpenError::File(FileError::Empty))));
    options.path = dir.path().join("link");
    std::os::unix::fs::symlink(dir.path().join("unmounted"), &options.path).unwrap();
    assert!(matches!(RedbEngine::open(&options, blind()), Err(OpenError::File(FileError::Io(_)))));
    assert!(options.path.is_symlink());
}
