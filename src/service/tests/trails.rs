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
    engine.commit(Batch { preconditions: Vec::new(), ops }).await.unwrap();
    let trails = crate::service::Trails::new(service.scope.clone());
    for seq in 10..=30 {
        trails.keep(([1; 8], seq), &[line(id, seq)], BOUNDS, NOW).await.unwrap();
        assert!(both().await <= 10, "{seq}");
    }
}
