//! Domains' views of the audit trail are bounded, whatever made them.

use super::*;
use crate::{
    service::{TrailBounds, TrailLine},
    store::kinds::audit_block,
};

const BOUNDS: TrailBounds = TrailBounds { bytes: 1_000, age_seconds: 1_000_000 };

fn line(tenant: OkmsId, seq: u64) -> TrailLine {
    let time = NOW.plus_seconds(seq);
    TrailLine { tenant, time, seq, text: format!("{seq:0>100}") }
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
        service.trails.keep(([1; 8], seq), &[line(id, seq)], BOUNDS, NOW).await.unwrap();
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
        trails.keep(([1; 8], seq), &[line(id, seq)], BOUNDS, NOW).await.unwrap();
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
    fresh.trails.keep(([1; 8], 2), &[line(id, 1), line(other, 2)], BOUNDS, NOW).await.unwrap();
    assert_eq!(fresh.trails.position([1; 8]).await.unwrap(), Some(2));
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
    service.trails.keep(([1; 8], 7), &lines, bounds, NOW.plus_seconds(4_000)).await.unwrap();
    for line in &lines {
        let range = (line.time, Timestamp::from_unix_nanos(line.time.unix_nanos() + 1_000_000));
        let (found, _) =
            service.trails.list(&all(id), range, None, 10, |text| text == line.text).await.unwrap();
        assert_eq!(found, std::slice::from_ref(&line.text), "{}", line.seq);
    }
}
