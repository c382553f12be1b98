//! Programs of different versions over one PostgreSQL.

use std::time::{Duration, Instant};

use okmsd::store::engines::postgres::{self, PostgresEngine};
use tokio::time::sleep;

use crate::{cluster, common::*, postgres::open};

/// Programs of two versions over one store: what a newer one adds is passed over by the one before, which goes on; and a
/// store that a program does not know is opened by nobody and changed by nobody.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn versions_beside_each_other() {
    let Some((_folder, node)) = cluster::single("fsync = off") else { return };
    let options = node.options("mixed");
    let said = postgres::init(&options, None, false).await.unwrap_err().to_string();
    assert!(said.contains("run `okmsd store init`"), "{said}");
    assert!(postgres::init(&options, None, true).await.unwrap());
    // A store of a version that knew less.
    let name = HEADER.name();
    node.sql("mixed", &format!("delete from okms.space where name = '{name}'"));
    let said = PostgresEngine::open(options.clone(), blind()).await.err().unwrap().to_string();
    assert!(said.contains(name) && said.contains("run `okmsd store migrate`"), "{said}");
    assert!(!postgres::init(&options, None, false).await.unwrap(), "it was there");
    let engine = open(&options).await;
    let first = write(&*engine, vec![put(HEADER, b"k", b"1")]).await;

    // The version after this one has been here, and writes beside it what this one does not know.
    let add = "insert into okms.space (name) values ('of tomorrow') returning id";
    let number: i16 = node.sql("mixed", add).parse().unwrap();
    let touched = format!("\\x00{number:04x}0000000107");
    node.sql(
        "mixed",
        &format!(
            "select okms.commit(gen_random_uuid(), 1, null, array['{touched}']::bytea[], '{{}}', '{{}}', '{{}}', '{{}}', '{{}}', \
             '{{}}', '{{}}', '{{}}', '{{}}', '{{}}', '{{}}', '{{}}', array[1], array[{number}]::smallint[], array['\\x07']::bytea[], \
             array['\\x01']::bytea[], array[false])"
        ),
    );
    let last = write(&*engine, vec![put(HEADER, b"k", b"2")]).await;
    let mut told = Vec::new();
    let mut after = first;
    while after < last {
        let changes = engine.changes(after).await.unwrap();
        after = changes.last().unwrap().revision;
        told.extend(changes);
    }
    let counts: Vec<_> = told.iter().map(|change| change.touched.len()).collect();
    assert_eq!(
        counts,
        [0, 1],
        "what is of tomorrow is passed over, and what comes after it is not"
    );

    // One that this program does not know.
    node.sql("mixed", "update okms.meta set value = '2' where name = 'layout'");
    for said in [
        PostgresEngine::open(options.clone(), blind()).await.err().unwrap().to_string(),
        postgres::init(&options, None, false).await.unwrap_err().to_string(),
        postgres::init(&options, None, true).await.unwrap_err().to_string(),
        postgres::status(&options).await.unwrap_err().to_string(),
    ] {
        assert!(said.contains("of layout 2") && said.contains("start the newer one"), "{said}");
    }
    // Whoever serves goes on, over new connections, too.
    let all = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'okmsd'";
    node.sql("postgres", all);
    let began = Instant::now();
    while engine.commit(batch(vec![put(HEADER, b"k", b"3")])).await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(20), "it does not go on");
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(get(&*engine, HEADER, b"k").await.unwrap().bytes.as_ref(), b"3");
    node.sql("mixed", "update okms.meta set value = '1' where name = 'layout'");
    open(&options).await;
}
