//! The engine for several machines, over real PostgreSQL.

use std::{
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use okmsd::store::{
    engine::{self, CommitError, Engine, Expect, Read},
    engines::postgres::{self, PostgresEngine, PostgresHost, PostgresOptions, RequireSync},
};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    runtime::Handle,
    task::block_in_place,
    time::sleep,
};

use crate::{
    cluster::{self, Node},
    common::*,
    contract::contract,
};

async fn open(options: &PostgresOptions) -> Arc<dyn Engine> {
    Arc::new(PostgresEngine::open(options.clone(), blind()).await.unwrap())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_keeps_the_contract() {
    if !cluster::is_there() {
        return;
    }
    let folder = cluster::folder();
    let mut node = Node::init(folder.path(), "primary", "fsync = off");
    node.start();
    let mut stores = Vec::new();
    for nth in 0..14 {
        let options = node.options(&format!("contract{nth}"));
        assert!(postgres::init(&options, None, true).await.unwrap());
        stores.push(options);
    }
    contract(|nth| block_in_place(|| Handle::current().block_on(open(&stores[nth])))).await;
}

/// What becomes of what goes over a [`Wire`].
#[derive(Clone, Copy, PartialEq)]
enum Cut {
    Nothing,
    /// The next answer is lost, and the connection with it.
    Answers,
    /// The next request is.
    Requests,
}

/// Carries connections, and cuts them where it is told to.
struct Wire {
    port: u16,
    cut: Arc<Mutex<Cut>>,
}

impl Wire {
    async fn to(port: u16) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let wire = Self {
            port: listener.local_addr().unwrap().port(),
            cut: Arc::new(Mutex::new(Cut::Nothing)),
        };
        let cut = Arc::clone(&wire.cut);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let cut = Arc::clone(&cut);
                tokio::spawn(async move {
                    let Ok(far) = TcpStream::connect(("127.0.0.1", port)).await else { return };
                    let (near_in, near_out) = near.into_split();
                    let (far_in, far_out) = far.into_split();
                    tokio::select! {
                        () = carry(near_in, far_out, &cut, Cut::Requests) => {}
                        () = carry(far_in, near_out, &cut, Cut::Answers) => {}
                    }
                });
            }
        });
        wire
    }

    fn cut(&self, cut: Cut) {
        *self.cut.lock().unwrap() = cut;
    }
}

async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    cut: &Mutex<Cut>,
    by: Cut,
) {
    let mut bytes = [0; 4096];
    while let Ok(read @ 1..) = from.read(&mut bytes).await {
        if *cut.lock().unwrap() == by || to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}

/// A connection that ends between a commit and its answer leaves no doubt: what the writer is told is so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_answered_is_looked_for() {
    if !cluster::is_there() {
        return;
    }
    let folder = cluster::folder();
    let mut node = Node::init(folder.path(), "primary", "");
    node.start();
    let straight = node.options("settled");
    assert!(postgres::init(&straight, None, true).await.unwrap());
    let wire = Wire::to(node.port).await;
    let through = PostgresOptions {
        hosts: vec![PostgresHost { host: "127.0.0.1".into(), port: wire.port }],
        // Whoever was told that nothing happened is told so at once.
        settle_time: Duration::from_secs(1),
        ..straight.clone()
    };
    let engine = open(&through).await;
    let (mut done, mut undone) = (0, 0);
    for round in 0..12_u32 {
        wire.cut(if round % 2 == 0 { Cut::Answers } else { Cut::Requests });
        let writers = (0..8_u32).map(|writer| {
            let key = [round.to_be_bytes(), writer.to_be_bytes()].concat();
            let engine = Arc::clone(&engine);
            tokio::spawn(async move {
                let fresh = batch_if(HEADER, &key, Expect::Absent, vec![put(HEADER, &key, b"x")]);
                (engine.commit(fresh).await, key)
            })
        });
        let writers: Vec<_> = writers.collect();
        sleep(Duration::from_millis(u64::from(round) * 150)).await;
        wire.cut(Cut::Nothing);
        for writer in writers {
            let (answer, key) = writer.await.unwrap();
            // Not over the wire: what it says is not what is tested.
            let hex: String = key.iter().map(|byte| format!("{byte:02x}")).collect();
            let count = format!("select count(*) from okms.record where k = '\\x{hex}'");
            let is_there = node.sql("settled", &count) == "1";
            match answer {
                Ok(_) => {
                    assert!(is_there, "it was acknowledged");
                    done += 1;
                }
                Err(CommitError::Unavailable(_)) => {
                    assert!(!is_there, "it was said not to have happened");
                    undone += 1;
                }
                // Where nobody was to be found in time.
                Err(CommitError::OutcomeUnknown(_)) if round >= 6 => {}
                Err(other) => panic!("{round}: {other}"),
            }
        }
    }
    println!("{done} happened, {undone} did not");
    let marks = node.sql("settled", "select count(*) from okms.outcome where revs = '{}'");
    assert!(done >= 48 && marks.parse::<u32>().unwrap() > 0, "{done}, {marks} marks");
}

/// PostgreSQL answers success to a commit whose wait for a standby was cancelled, though a failover would lose it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_wait_for_a_standby_is_no_success() {
    if !cluster::is_there() {
        return;
    }
    let folder = cluster::folder();
    let mut node = Node::init(folder.path(), "primary", "");
    node.start();
    let options = PostgresOptions {
        require_sync: RequireSync::Yes,
        settle_time: Duration::from_secs(2),
        max_stale: Duration::from_secs(60),
        unready_after: Duration::from_secs(60),
        ..node.options("cancelled")
    };
    assert!(postgres::init(&options, None, true).await.unwrap());
    let refused = PostgresEngine::open(options.clone(), blind()).await.err().unwrap().to_string();
    assert!(refused.contains("synchronous_standby_names"), "{refused}");
    // One that never comes.
    node.sql("postgres", "alter system set synchronous_standby_names = 'nobody'");
    node.sql("postgres", "select pg_reload_conf()");
    let engine = open(&options).await;
    let commit = tokio::spawn({
        let engine = Arc::clone(&engine);
        async move { engine.commit(batch(vec![put(HEADER, b"k", b"x")])).await }
    });
    // Whoever waits is cancelled, again and again: the commit, and whoever looks for it.
    let cancel =
        "select count(pg_cancel_backend(pid)) from pg_stat_activity where wait_event = 'SyncRep'";
    let began = Instant::now();
    while !commit.is_finished() {
        assert!(began.elapsed() < Duration::from_secs(30));
        node.sql("postgres", cancel);
        sleep(Duration::from_millis(100)).await;
    }
    let answer = commit.await.unwrap();
    assert!(matches!(answer, Err(CommitError::OutcomeUnknown(_))), "{answer:?}");
    assert_eq!(
        node.sql("cancelled", "select count(*) from okms.record"),
        "1",
        "PostgreSQL shows it"
    );
}

/// Every statement finds what it wants by the index of keys, in an empty store and in a full one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_statement_goes_by_an_index() {
    if !cluster::is_there() {
        return;
    }
    let folder = cluster::folder();
    let mut node = Node::init(folder.path(), "primary", "fsync = off");
    node.configure(
        "session_preload_libraries = 'auto_explain'\nauto_explain.log_min_duration = 0\n\
         auto_explain.log_nested_statements = on\nautovacuum = off",
    );
    node.start();
    let options = node.options("explained");
    assert!(postgres::init(&options, None, true).await.unwrap());
    for rows in [0, 300_000] {
        let fill = format!(
            "insert into okms.record select s.id, convert_to(lpad(n::text, 8, '0') || '/x', 'utf8'), 1, 'x' \
             from generate_series(1, {rows}) n, (select id from okms.space order by id limit 3) s; analyze okms.record"
        );
        node.sql("explained", &format!("set auto_explain.log_min_duration = -1; {fill}"));
        let before = node.told().len();
        let engine = open(&options).await;
        let mut last =
            write(&*engine, vec![put(HEADER, b"k/1", b"1"), put(VALUE, b"k", b"v")]).await;
        for _ in 0..3 {
            let held = batch_if(
                HEADER,
                b"k/1",
                Expect::At(last),
                vec![put(HEADER, b"k/1", b"2"), delete(VALUE, b"k")],
            );
            last = engine.commit(held).await.unwrap();
            write(&*engine, vec![delete_range(VERSION, b"a", b"b")]).await;
            let empty = Expect::EmptyTo(b"zzzz".to_vec());
            engine
                .commit(batch_if(TOKEN, b"zzz", empty, vec![put(TOKEN, b"t", b"t")]))
                .await
                .unwrap();
        }
        let parts =
            [Read::Key(HEADER, b"k/1"), Read::Last(VERSION, b"", b"\xff"), Read::Key(VALUE, b"no")];
        for part in engine.read(&parts).await.unwrap() {
            part.unwrap();
        }
        let view = engine.snapshot().await.unwrap();
        view.scan(HEADER, b"", b"\xff", 100).await.unwrap();
        view.keys(HEADER, b"", b"\xff", None, 100).await.unwrap();
        view.keys(HEADER, b"", b"\xff", Some(engine::Cut { behind: 0, separator: b'/' }), 100)
            .await
            .unwrap();
        drop(view);
        engine.changes(engine::Revision(last.0 - 1)).await.ok();
        sleep(Duration::from_millis(300)).await;
        let told = node.told()[before..].to_owned();
        let plans: Vec<_> =
            told.split("LOG:  duration").skip(1).filter(|plan| plan.contains("plan:")).collect();
        let named = |word: &str| plans.iter().filter(|plan| plan.contains(word)).count();
        for statement in [
            "okms.commit(",
            "array_agg(distinct a.batch)",
            "okms.names(",
            "union all",
            "left join lateral",
            "order by space, k limit",
        ] {
            assert!(named(statement) > 0, "{statement} among {} plans", plans.len());
        }
        let slow: Vec<_> = plans
            .iter()
            .filter(|plan| {
                ["record", "log"].iter().any(|table| plan.contains(&format!("Seq Scan on {table}")))
                    || plan.contains("Sort Key: record")
                    || plan.contains("Bitmap")
            })
            .collect();
        assert!(slow.is_empty(), "{rows}: {}", slow[0]);
    }
}
