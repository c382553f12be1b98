//! Domains' views of the audit trail are bounded, whatever made them.

use super::*;
use crate::{
    service::{LookedAt, Since, TrailBounds, TrailLine},
    store::kinds::audit_block,
};

const BOUNDS: TrailBounds = TrailBounds { bytes: 1_000, age_seconds: 1_000_000 };

fn line(tenant: OkmsId, seq: u64) -> TrailLine {
    let time = NOW.plus_seconds(seq);
    TrailLine { tenant, time, seq, text: format!("{seq:0>100}") }
}

const fn at(seq: u64) -> LookedAt {
    LookedAt { chain: [1; 8], strand: [1; 8], seq }
}

/// The keys of a domain's blocks in one of the two spaces.
async fn keys(engine: &dyn Engine, space: Space, id: OkmsId) -> Vec<Vec<u8>> {
    let (from, to) = audit_block::all(id);
    engine.snapshot().await.unwrap().keys(space, &from, &to, None, 1_000).await.unwrap()
}

/// What a view takes was summed up from the keys of its blocks, which lie beside the blocks: the first
/// record of a domain after a start read all that it had, 64 MiB of it, into the page cache.
#[tokio::test(flavor = "multi_thread")]
async fn each_block_has_its_place_and_those_of_before_get_one() {
    let folder = tempfile::tempdir().unwrap();
    let options = RedbOptions::new(folder.path().join("store"));
    let engine: Arc<dyn Engine> = Arc::new(RedbEngine::open(&options, Arc::new(Silent)).unwrap());
    let (service, id, _) = service_over(Arc::clone(&engine), folder.path(), None).await;
    let keep = async |service: &Service, seq| {
        service.trails.keep(at(seq), &[line(id, seq)], BOUNDS, NOW).await.unwrap();
    };
    let both = async || {
        let blocks = keys(&*engine, audit_block::SPACE, id).await;
        assert_eq!(keys(&*engine, audit_block::PLACES, id).await, blocks);
        blocks.len()
    };
    for seq in 1..=9 {
        keep(&service, seq).await;
    }
    assert_eq!(both().await, 9);
    // A store of before, in which blocks had no places, and a server that has just begun.
    let (from, to) = audit_block::all(id);
    let ops = vec![Op::DeleteRange(audit_block::PLACES, from, to)];
    engine.commit(Batch::of(ops)).await.unwrap();
    let trails = crate::service::Trails::new(service.scope.clone());
    for seq in 10..=30 {
        trails.keep(at(seq), &[line(id, seq)], BOUNDS, NOW).await.unwrap();
        assert!(both().await <= 10, "{seq}");
    }
}

/// A domain that is damaged kept every other's view from growing, for good.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_domain_holds_up_no_other() {
    let folder = tempfile::tempdir().unwrap();
    let options = RedbOptions::new(folder.path().join("store"));
    let engine: Arc<dyn Engine> = Arc::new(RedbEngine::open(&options, Arc::new(Silent)).unwrap());
    let (service, id, _) = service_over(Arc::clone(&engine), folder.path(), None).await;
    let other = service.tenants.create(&operator(), "another", NOW).await.unwrap().id;
    damage(&service, kinds::tenant::SPACE, kinds::tenant::key(id)).await;
    // Who has not had its keys before.
    let root = Arc::new(FileRootKey::load(&folder.path().join("root.key")).unwrap());
    let (default, on_commit) =
        ((BuiltIn::Admin, Quota::default(), Arc::default()), Box::new(|_, _| ()));
    let fresh = Service::open(Arc::clone(&engine), root, None, default, Arc::default(), on_commit);
    let fresh = fresh.await.unwrap();
    fresh.trails.keep(at(2), &[line(id, 1), line(other, 2)], BOUNDS, NOW).await.unwrap();
    assert_eq!(fresh.trails.position([1; 8]).await.unwrap(), Some(at(2)));
    assert_eq!(keys(&*engine, audit_block::SPACE, other).await.len(), 1);
    assert!(keys(&*engine, audit_block::SPACE, id).await.is_empty());
}

/// A record is found by its time, however long others in its block have taken, or have been waited for.
#[tokio::test(flavor = "multi_thread")]
async fn records_are_found_by_their_times() {
    let (_folder, service, id, _) = service().await;
    let bounds = TrailBounds { bytes: 1 << 20, age_seconds: 1_000_000 };
    // Requests end in the order of their numbers: some began before the one that ended before, a little or long, and
    // the last long after.
    let seconds = [1_000, 985, 700, 705, 695, 990, 4_000];
    let lines: Vec<_> = (1..)
        .zip(seconds)
        .map(|(seq, second)| TrailLine { time: NOW.plus_seconds(second), ..line(id, seq) })
        .collect();
    service.trails.keep(at(7), &lines, bounds, NOW.plus_seconds(4_000)).await.unwrap();
    for line in &lines {
        let range = (line.time, Timestamp::from_unix_nanos(line.time.unix_nanos() + 1_000_000));
        let (found, _) =
            service.trails.list(&all(id), range, None, 10, |text| text == line.text).await.unwrap();
        assert_eq!(found, std::slice::from_ref(&line.text), "{}", line.seq);
    }
}

/// What the store had kept without a word was kept again, in a block of another length, with what had come since.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_kept_already_is_kept_once() {
    let (_folder, service, id, _) = service().await;
    let bounds = TrailBounds { bytes: 1 << 20, age_seconds: 1_000_000 };
    let lines: Vec<_> = (1..=5).map(|seq| line(id, seq)).collect();
    for (from, to) in [(0, 2), (0, 3), (1, 5), (0, 4), (0, 0)] {
        let last = at(to as u64);
        service.trails.keep(last, &lines[from..to], bounds, NOW).await.unwrap();
    }
    assert_eq!(service.trails.position([1; 8]).await.unwrap(), Some(at(5)));
    let range = (NOW, NOW.plus_seconds(1_000));
    let (found, _) = service.trails.list(&all(id), range, None, 100, |_| true).await.unwrap();
    assert_eq!(found, lines.into_iter().map(|line| line.text).collect::<Vec<_>>());
}

/// A power cut takes records from the trail that views have already, and their numbers are given again: who followed
/// a view from one of those on was not told of what came, until the numbers were higher.
#[tokio::test(flavor = "multi_thread")]
async fn numbers_that_are_given_again_are_told() {
    let (_folder, service, id, _) = service().await;
    let bounds = TrailBounds { bytes: 1 << 20, age_seconds: 1_000_000 };
    let keep = async |at: LookedAt, seconds: u64| {
        let line = TrailLine { time: NOW.plus_seconds(seconds), ..line(id, at.seq) };
        let line = TrailLine { text: format!("{} at {seconds}", at.seq), ..line };
        service.trails.keep(at, &[line], bounds, NOW).await.unwrap();
    };
    for seq in 1..=5 {
        keep(at(seq), seq).await;
    }
    let permit = all(id);
    let told = async |since: Since| {
        let mut feed = service.trails.follow(&permit, since).await.unwrap();
        let mut told = Vec::new();
        while let Some(found) = feed.next(&permit, |_| true).await.unwrap() {
            told.extend(found);
        }
        told
    };
    let before = told(Since::Moment(NOW)).await;
    assert_eq!(before.len(), 5);
    // The trail has the first three alone, and goes on from there.
    let again = |seq| LookedAt { strand: [2; 8], ..at(seq) };
    for seq in 4..=6 {
        keep(again(seq), 10 + seq).await;
    }
    assert_eq!(service.trails.position([1; 8]).await.unwrap(), Some(again(6)));
    let last = before.last().unwrap().id.clone();
    let texts: Vec<_> = told(Since::Behind(last)).await.into_iter().map(|it| it.text).collect();
    assert_eq!(texts, ["4 at 14", "5 at 15", "6 at 16"]);
}
