//! A server of PostgreSQL that was passed over in a failover, and takes writes all the same.

use std::time::{Duration, Instant};

use okmsd::store::{engine::Read, engines::postgres::PostgresOptions};
use tokio::time::sleep;

use crate::{
    cluster::{self, Node},
    common::*,
    postgres::open,
};

/// Who takes writes on an older timeline than the one on which something was acknowledged has lost that: a manager of
/// failovers may make it the primary again (Patroni before 3.0.3 did), and nobody who knows better goes along.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_goes_back_to_who_was_passed_over() {
    let Some((folder, first)) = cluster::single("wal_keep_size = '64MB'") else { return };
    let options = first.store("passed").await;
    let mut second = Node::standby(folder.path(), "second", cluster::free_port(), &first);
    second.start();
    let options = PostgresOptions { hosts: vec![first.host(), second.host()], ..options };
    let engine = open(&options).await;
    write(&*engine, vec![put(HEADER, b"k", b"before")]).await;
    let caught_up = "select pg_last_wal_replay_lsn() >= pg_last_wal_receive_lsn() and exists (select from okms.record)";
    let began = Instant::now();
    while second.sql("passed", caught_up) != "t" {
        assert!(began.elapsed() < Duration::from_secs(20), "the standby does not follow");
        sleep(Duration::from_millis(50)).await;
    }
    // Both live, and the later one counts, though nothing is wrong with the one before.
    second.promote();
    let began = Instant::now();
    let mut last = Vec::new();
    for number in 0.. {
        assert!(began.elapsed() < Duration::from_secs(20), "nobody comes to who was promoted");
        last = format!("after {number}").into_bytes();
        let happened = engine.commit(batch(vec![put(HEADER, b"k", &last)])).await.is_ok();
        let there = format!("select count(*) from okms.record where v = 'after {number}'");
        if happened && second.sql("passed", &there) != "0" {
            break;
        }
        sleep(Duration::from_millis(50)).await;
    }
    // One beat at least.
    sleep(Duration::from_secs(1)).await;
    second.kill();
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(4) {
        if let Ok(mut found) = engine.read(&[Read::Key(HEADER, b"k")]).await {
            let record = found.pop().unwrap().unwrap().unwrap().record;
            assert_eq!(record.bytes.as_ref(), last, "the past is shown");
        }
        let refused = engine.commit(batch(vec![put(HEADER, b"other", b"x")])).await;
        assert!(refused.is_err(), "it was written where what was acknowledged is lost");
        sleep(Duration::from_millis(100)).await;
    }
    // Whoever is started now knows nothing of it: an operator has decided so.
    let anew = open(&options).await;
    assert_ne!(get(&*anew, HEADER, b"k").await.unwrap().bytes.as_ref(), last);
}
