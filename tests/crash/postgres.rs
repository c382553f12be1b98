//! The engine for several machines, over real PostgreSQL.

use std::{
    collections::HashSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use okmsd::pki::{CertificateAuthority, KeyKind, KeySource};
use okmsd::store::{
    engine::{self, CommitError, Engine, Expect, Health, Read, ReadError},
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
    chance::Chance,
    cluster::{self, Node},
    common::*,
    contract::contract,
};

pub async fn open(options: &PostgresOptions) -> Arc<dyn Engine> {
    Arc::new(PostgresEngine::open(options.clone(), blind()).await.unwrap())
}

/// The contract, in stores that `change` changes, by their databases' names.
async fn is_kept(change: impl Fn(&Node, &str, PostgresOptions) -> PostgresOptions) {
    let Some((_folder, node)) = cluster::single("fsync = off") else { return };
    let mut stores = Vec::new();
    for nth in 0..14 {
        let database = format!("contract{nth}");
        stores.push(change(&node, &database, node.store(&database).await));
    }
    contract(|nth| block_in_place(|| Handle::current().block_on(open(&stores[nth])))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_keeps_the_contract() {
    is_kept(|_, _, options| options).await;
}

/// What a removal leaves among the records, to be swept up later, is as good as gone, and what is remembered is as good as
/// what is read: the contract holds with every record removed so, and remembered.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn postgres_keeps_the_contract_with_answers_and_leftovers() {
    is_kept(|node, database, options| {
        node.sql(database, AT_ONCE_ONE);
        PostgresOptions { answers_bytes: 1 << 20, ..options }
    })
    .await;
}

const AT_ONCE_ONE: &str =
    "create or replace function okms.at_once() returns int language sql immutable as 'select 1'";

/// Ranges are removed, a record at a time, while records are written into them again: what is shown is what the model has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_removed_is_gone_before_it_is_swept_up() {
    let Some((_folder, node)) = cluster::single("fsync = off") else { return };
    let options = node.store("swept").await;
    node.sql("swept", AT_ONCE_ONE);
    let engine = open(&PostgresOptions { answers_bytes: 1 << 20, ..options }).await;
    let mut model = Model::new();
    let mut chance = Chance(1);
    let mut met = (0, 0);
    for round in 0..600_u32 {
        let mut key = || format!("{:02}/{}", chance.below(12), chance.below(4)).into_bytes();
        let (a, b, c) = (key(), key(), key());
        let (from, to) = if a < b { (a, b) } else { (b, a) };
        let ops = match round % 6 {
            0 => vec![delete_range(HEADER, &from, &to)],
            1 => vec![
                put(HEADER, &c, b"x"),
                delete_range(HEADER, &from, &to),
                put(HEADER, &from, b"y"),
            ],
            2 => vec![delete(HEADER, &c)],
            _ => vec![
                put(HEADER, &from, &round.to_be_bytes()),
                put(HEADER, &c, &round.to_be_bytes()),
            ],
        };
        let is_there = |key: &[u8]| model.contains_key(&(HEADER, key.to_vec()));
        let (expect, holds) = match round % 3 {
            0 => (Expect::Absent, !is_there(&c)),
            _ => {
                let inside = (HEADER, c.clone())..(HEADER, [&*c, &[0xff]].concat());
                (Expect::EmptyTo([&*c, &[0xff]].concat()), model.range(inside).next().is_none())
            }
        };
        let change = batch_if(HEADER, &c, expect, ops);
        match engine.commit(change.clone()).await {
            Ok(_) => {
                assert!(holds, "{round}");
                apply(&mut model, &change);
                met.0 += 1;
            }
            Err(CommitError::Conflict) => {
                assert!(!holds, "{round}");
                met.1 += 1;
            }
            Err(other) => panic!("{round}: {other}"),
        }
        let shown = view(&*engine).await;
        if round % 5 == 0 {
            assert_eq!(dump(&*shown).await, model, "{round}");
            let names = shown
                .keys(HEADER, b"", b"\xff", Some(engine::Cut { behind: 0, separator: b'/' }), 100)
                .await
                .unwrap();
            let mut folders: Vec<_> = model.keys().map(|(_, key)| key[..3].to_vec()).collect();
            folders.dedup();
            assert_eq!(names, folders, "{round}");
        }
        let last =
            engine.read(&[Read::Last(HEADER, &from, &to), Read::Key(HEADER, &c)]).await.unwrap();
        let mut last = last.into_iter().map(|found| found.unwrap());
        let expected = model.range((HEADER, from.clone())..(HEADER, to.clone())).next_back();
        assert_eq!(
            last.next().unwrap().and_then(|found| found.key),
            expected.map(|((_, key), _)| key.clone())
        );
        assert_eq!(
            last.next().unwrap().is_some(),
            model.contains_key(&(HEADER, c.clone())),
            "{round}"
        );
        for _ in 0..2 {
            let found = engine.get(HEADER, &c).await.unwrap().map(|record| record.bytes.to_vec());
            assert_eq!(found, model.get(&(HEADER, c.clone())).cloned(), "{round}");
        }
    }
    assert!(met.0 > 200 && met.1 > 50, "{met:?}");
    let began = Instant::now();
    while node.sql("swept", "select count(*) from okms.cut") != "0" {
        assert!(began.elapsed() < Duration::from_secs(60), "it is not swept up");
        sleep(Duration::from_millis(200)).await;
    }
    assert_eq!(node.sql("swept", "select count(*) from okms.record"), model.len().to_string());
    assert_eq!(dump(&*view(&*engine).await).await, model);
}

/// A removal of very many records was one commit under the head once, which took its time: nobody else could write
/// meanwhile, and beyond 30 seconds it failed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_removal_holds_up_nobody() {
    let Some((_folder, node)) = cluster::single("fsync = off") else { return };
    let options = node.store("large").await;
    node.sql(
        "large",
        "insert into okms.record select s.id, convert_to(lpad(n::text, 8, '0'), 'utf8'), 1, 'x' \
         from generate_series(1, 300000) n, (select id from okms.space where name = 'header') s; analyze okms.record",
    );
    let engine = open(&options).await;
    write(&*engine, vec![put(HEADER, b"kept", b"x"), delete_range(HEADER, b"0", b"1")]).await;
    let left: u32 = node.sql("large", "select count(*) from okms.record").parse().unwrap();
    assert!(left > 200_000, "it was removed in one piece: {left}");
    let shown = view(&*engine).await;
    let keys = async |shown: &dyn engine::Snapshot| {
        shown.keys(HEADER, b"", b"\xff", None, 10).await.unwrap()
    };
    assert_eq!(keys(&*shown).await, [b"kept".to_vec()]);
    let (began, mut writes) = (Instant::now(), 0_u32);
    while node.sql("large", "select count(*) from okms.cut") != "0" {
        assert!(began.elapsed() < Duration::from_secs(120), "it is not swept up");
        let again = [&b"0"[..], &writes.to_be_bytes()].concat();
        write(&*engine, vec![put(HEADER, b"kept", b"y"), put(HEADER, &again, b"x")]).await;
        writes += 1;
    }
    assert!(writes > 3, "{writes}");
    println!("swept up after {:.1?}, beside {writes} writes", began.elapsed());
    assert_eq!(keys(&*shown).await, [b"kept".to_vec()]);
    assert_eq!(node.sql("large", "select count(*) from okms.record"), (writes + 1).to_string());
}

/// What is damaged, or what the database refuses, fails alone, though it was asked for with others in one statement.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_damaged_fails_alone() {
    let Some((_folder, node)) = cluster::single("fsync = off\nallow_system_table_mods = on") else {
        return;
    };
    let options = PostgresOptions { read_connections: 1, ..node.store("damaged").await };
    let engine = open(&options).await;
    write(&*engine, vec![put(VALUE, b"bad", &[7; 4000]), put(VALUE, b"good", &[8; 10])]).await;
    let toast = node.sql(
        "damaged",
        "select reltoastrelid::regclass from pg_class where oid = 'okms.record'::regclass",
    );
    // What lies apart is never changed by hand, unless it is taken for a table like any other.
    let kind =
        |kind| format!("update pg_class set relkind = '{kind}' where oid = '{toast}'::regclass");
    node.sql("damaged", &kind('r'));
    node.sql("damaged", &format!("delete from {toast}"));
    node.sql("damaged", &kind('t'));
    node.sql("damaged", &format!("vacuum {toast}"));
    let is_damaged = |found: &Result<_, ReadError>| matches!(found, Err(ReadError::Corrupt(_)));
    let parts = [Read::Key(VALUE, b"bad"), Read::Key(VALUE, b"good"), Read::Key(VALUE, b"none")];
    for _ in 0..3 {
        let readers: Vec<_> = (0..20)
            .map(|nth| {
                let engine = Arc::clone(&engine);
                tokio::spawn(async move {
                    let key: &[u8] = if nth % 4 == 0 { b"bad" } else { b"good" };
                    (nth, engine.read(&[Read::Key(VALUE, key)]).await.unwrap().pop().unwrap())
                })
            })
            .collect();
        for reader in readers {
            let (nth, found) = reader.await.unwrap();
            assert_eq!(is_damaged(&found), nth % 4 == 0, "{nth}: {found:?}");
        }
    }
    let found = engine.read(&parts).await.unwrap();
    assert!(is_damaged(&found[0]) && found[1].as_ref().unwrap().is_some(), "{found:?}");
    // A view of one moment goes on as well.
    let shown = view(&*engine).await;
    for _ in 0..2 {
        let found = shown.read(&parts).await.unwrap();
        assert!(is_damaged(&found[0]) && found[1].as_ref().unwrap().is_some(), "{found:?}");
        assert!(matches!(shown.scan(VALUE, b"", b"\xff", 9).await, Err(ReadError::Corrupt(_))));
        assert_eq!(shown.scan(VALUE, b"c", b"\xff", 9).await.unwrap().len(), 1);
    }
    // So long a key is in no index of PostgreSQL's.
    let long: Vec<u8> =
        (0..9000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    let writers: Vec<_> = (0..16_u8)
        .map(|nth| {
            let (engine, key) =
                (Arc::clone(&engine), if nth == 5 { long.clone() } else { vec![nth] });
            tokio::spawn(async move { engine.commit(batch(vec![put(HEADER, &key, b"x")])).await })
        })
        .collect();
    for (writer, nth) in writers.into_iter().zip(0..) {
        let answer = writer.await.unwrap();
        assert_eq!(answer.is_ok(), nth != 5, "{nth}: {answer:?}");
    }
}

/// What becomes of what goes over a [`Wire`].
#[derive(Clone, Copy, PartialEq)]
enum Cut {
    Nothing,
    /// The next answer is lost, and the connection with it.
    Answers,
    /// The next request is.
    Requests,
    /// As answers are lost, and a pooler says so.
    Fatal,
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
        let now = *cut.lock().unwrap();
        if now == Cut::Fatal && by == Cut::Answers {
            let said = b"SFATAL\0VFATAL\0C08P01\0Mserver conn crashed?\0\0";
            let length = u32::try_from(said.len() + 4).unwrap().to_be_bytes();
            let _ = to.write_all(&[b"E", &length[..], said].concat()).await;
            return;
        }
        if now == by || to.write_all(&bytes[..read]).await.is_err() {
            return;
        }
    }
}

/// A connection that ends between a commit and its answer leaves no doubt: what the writer is told is so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_not_answered_is_looked_for() {
    let Some((_folder, node)) = cluster::single("") else { return };
    let straight = node.store("settled").await;
    let wire = Wire::to(node.port).await;
    let through = PostgresOptions {
        hosts: vec![PostgresHost { host: "127.0.0.1".into(), port: wire.port }],
        // Whoever was told that nothing happened is told so at once.
        settle_time: Duration::from_millis(2500),
        connect_time: Duration::from_secs(1),
        ..straight.clone()
    };
    let engine = open(&through).await;
    let (mut done, mut undone) = (0, 0);
    for round in 0..12_u32 {
        wire.cut([Cut::Answers, Cut::Requests, Cut::Fatal][round as usize % 3]);
        let writers = (0..8_u32).map(|writer| {
            let key = [round.to_be_bytes(), writer.to_be_bytes()].concat();
            let engine = Arc::clone(&engine);
            tokio::spawn(async move {
                let fresh = batch_if(HEADER, &key, Expect::Absent, vec![put(HEADER, &key, b"x")]);
                (engine.commit(fresh).await, key)
            })
        });
        let writers: Vec<_> = writers.collect();
        // In the last ones for longer than is looked.
        let away = if round < 9 { u64::from(round) * 60 } else { 3500 };
        sleep(Duration::from_millis(away)).await;
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
                Err(CommitError::OutcomeUnknown(_)) if round >= 9 => {}
                Err(other) => panic!("{round}: {other}"),
            }
        }
    }
    println!("{done} happened, {undone} did not");
    let marks = node.sql("settled", "select count(*) from okms.outcome where revs = '{}'");
    assert!(done >= 40 && marks.parse::<u32>().unwrap() > 0, "{done}, {marks} marks");
}

/// PostgreSQL answers success to a commit whose wait for a standby was cancelled, though a failover would lose it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_wait_for_a_standby_is_no_success() {
    let Some((_folder, node)) = cluster::single("") else { return };
    let options = PostgresOptions {
        require_sync: RequireSync::Provider,
        settle_time: Duration::from_secs(2),
        max_stale: Duration::from_secs(60),
        unready_after: Duration::from_secs(60),
        ..node.store("cancelled").await
    };
    let strict = PostgresOptions { require_sync: RequireSync::Yes, ..options.clone() };
    let refused = PostgresEngine::open(strict, blind()).await.err().unwrap().to_string();
    assert!(refused.contains("synchronous_standby_names"), "{refused}");
    let engine = open(&options).await;
    // One that never comes.
    node.sql("postgres", "alter system set synchronous_standby_names = 'nobody'");
    node.sql("postgres", "select pg_reload_conf()");
    // Whoever begins now has nothing that he could believe.
    let refused = PostgresEngine::open(options.clone(), blind()).await.err().unwrap().to_string();
    assert!(refused.contains("has not acknowledged anything"), "{refused}");
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
    let settings = "fsync = off\nsession_preload_libraries = 'auto_explain'\nauto_explain.log_min_duration = 0\n\
         auto_explain.log_nested_statements = on\nautovacuum = off";
    let Some((_folder, node)) = cluster::single(settings) else { return };
    let options = node.store("explained").await;
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

/// Three servers of which one takes writes, and what becomes of them.
struct Trio {
    folder: tempfile::TempDir,
    nodes: Vec<Node>,
    primary: usize,
}

const NAMES: [&str; 3] = ["n0", "n1", "n2"];

impl Trio {
    fn start() -> Self {
        let folder = cluster::folder();
        let settings = "synchronous_standby_names = 'ANY 1 (n0, n1, n2)'\nwal_keep_size = '256MB'\n\
             hot_standby = on\nwal_receiver_timeout = '5s'\nwal_retrieve_retry_interval = '100ms'";
        let mut first = Node::init(folder.path(), NAMES[0], settings);
        first.start();
        let mut nodes = vec![first];
        for name in &NAMES[1..] {
            let mut node = Node::standby(folder.path(), name, cluster::free_port(), &nodes[0]);
            node.start();
            nodes.push(node);
        }
        Self { folder, nodes, primary: 0 }
    }

    fn options(&self, database: &str) -> PostgresOptions {
        PostgresOptions {
            hosts: self.nodes.iter().map(Node::host).collect(),
            require_sync: RequireSync::Yes,
            connect_time: Duration::from_secs(1),
            max_stale: Duration::from_secs(1),
            commit_time: Duration::from_secs(2),
            ..self.nodes[self.primary].options(database)
        }
    }

    /// Makes the standby that has most the one that takes writes; the other one follows it.
    fn fail_over(&mut self) {
        let standbys: Vec<_> = (0..3).filter(|at| *at != self.primary).collect();
        let has = |at: &usize| {
            let lsn = "select coalesce(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()) - '0/0'::pg_lsn";
            self.nodes[*at].sql("postgres", lsn).parse::<u64>().unwrap()
        };
        let next = standbys.iter().copied().max_by_key(has).unwrap();
        self.nodes[next].promote();
        for at in standbys.into_iter().filter(|at| *at != next) {
            self.nodes[at].follow(NAMES[at], &self.nodes[next]);
        }
        self.primary = next;
    }

    /// Puts a new standby in the place of one that was lost.
    fn replace(&mut self, lost: usize) {
        self.nodes[lost].kill();
        let port = self.nodes[lost].port;
        let of = &self.nodes[self.primary];
        let mut node = Node::standby(self.folder.path(), NAMES[lost], port, of);
        node.start();
        self.nodes[lost] = node;
    }
}

/// What writers were told.
#[derive(Default)]
struct Ledger {
    /// The highest value of each counter that was acknowledged.
    counters: [AtomicU64; 4],
    /// Each value of a counter that was acknowledged.
    counted: Mutex<HashSet<(usize, u64)>>,
    /// Keys whose writes were acknowledged, and of which it was said that they did not happen.
    there: Mutex<Vec<Vec<u8>>>,
    not_there: Mutex<Vec<Vec<u8>>>,
    acknowledged: AtomicU64,
    unknown: AtomicU64,
    reads: AtomicU64,
    stale: AtomicU64,
    is_over: AtomicBool,
}

fn counter(at: usize) -> Vec<u8> {
    format!("counter {at}").into_bytes()
}

async fn value(engine: &dyn Engine, at: usize) -> Option<(engine::Revision, u64)> {
    let key = counter(at);
    let mut found = engine.read(&[Read::Key(HEADER, &key)]).await.ok()?;
    let record = found.pop()?.ok()??.record;
    Some((record.revision, u64::from_be_bytes(record.bytes[..].try_into().unwrap())))
}

impl Ledger {
    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Adds one to a counter again and again, as somebody does who has read it.
    async fn count(&self, engine: &dyn Engine, at: usize) {
        while !self.is_over() {
            let Some((revision, before)) = value(engine, at).await else {
                sleep(Duration::from_millis(20)).await;
                continue;
            };
            let bytes = (before + 1).to_be_bytes();
            let batch = batch_if(
                HEADER,
                &counter(at),
                Expect::At(revision),
                vec![put(HEADER, &counter(at), &bytes)],
            );
            match engine.commit(batch).await {
                Ok(_) => {
                    assert!(
                        self.counted.lock().unwrap().insert((at, before + 1)),
                        "an update was lost"
                    );
                    self.counters[at].fetch_max(before + 1, Ordering::SeqCst);
                    self.acknowledged.fetch_add(1, Ordering::Relaxed);
                }
                Err(CommitError::Conflict) => {}
                Err(CommitError::OutcomeUnknown(_)) => {
                    self.unknown.fetch_add(1, Ordering::Relaxed);
                }
                Err(_) => sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Writes one key after the other.
    async fn fill(&self, engine: &dyn Engine, writer: u8) {
        let mut number = 0_u32;
        while !self.is_over() {
            number += 1;
            let key = [&[writer][..], &number.to_be_bytes()].concat();
            let batch =
                batch_if(VALUE, &key, Expect::Absent, vec![put(VALUE, &key, &[writer; 300])]);
            match engine.commit(batch).await {
                Ok(_) => {
                    self.there.lock().unwrap().push(key);
                    self.acknowledged.fetch_add(1, Ordering::Relaxed);
                }
                Err(CommitError::OutcomeUnknown(_)) => {
                    self.unknown.fetch_add(1, Ordering::Relaxed);
                }
                Err(CommitError::Conflict) => panic!("nobody else writes it"),
                Err(_) => {
                    self.not_there.lock().unwrap().push(key);
                    sleep(Duration::from_millis(20)).await;
                }
            }
        }
    }

    /// Looks whether anything is shown that is older than what was acknowledged before it was asked for.
    async fn look(&self, engine: &dyn Engine, at: usize) {
        while !self.is_over() {
            let least = self.counters[at].load(Ordering::SeqCst);
            match value(engine, at).await {
                Some((_, found)) => {
                    self.reads.fetch_add(1, Ordering::Relaxed);
                    if found < least {
                        self.stale.fetch_add(1, Ordering::Relaxed);
                    }
                }
                None => sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Waits until so much more was acknowledged; says after how long.
    async fn goes_on(&self, more: u64) -> Duration {
        let (began, before) = (Instant::now(), self.acknowledged.load(Ordering::Relaxed));
        while self.acknowledged.load(Ordering::Relaxed) < before + more {
            assert!(began.elapsed() < Duration::from_secs(60), "writes do not go on");
            sleep(Duration::from_millis(10)).await;
        }
        began.elapsed()
    }
}

/// The one who takes writes is lost, again and again, in three ways: it is killed; it is stopped, passed over, and wakes
/// up; all its connections are ended. Nothing that was acknowledged is lost, nothing that was refused has happened, no
/// update is lost, and nobody is shown the past. `FAILOVERS` says how many times (20).
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failover_loses_nothing() {
    if !cluster::is_there() {
        return;
    }
    let rounds = std::env::var("FAILOVERS").map_or(20, |rounds| rounds.parse().unwrap());
    let mut trio = Trio::start();
    let options = trio.options("ledger");
    assert!(postgres::init(&options, None, true).await.unwrap());
    let remembering = PostgresOptions { answers_bytes: 1 << 20, ..options.clone() };
    let engines = [open(&options).await, open(&remembering).await];
    let ledger = Arc::new(Ledger::default());
    for at in 0..4 {
        write(&*engines[0], vec![put(HEADER, &counter(at), &0_u64.to_be_bytes())]).await;
    }
    let mut tasks = Vec::new();
    for (engine, process) in engines.iter().zip(0_u8..) {
        for at in 0..4 {
            let (ledger, engine) = (Arc::clone(&ledger), Arc::clone(engine));
            tasks.push(tokio::spawn(async move {
                tokio::join!(
                    ledger.count(&*engine, at),
                    ledger.look(&*engine, at),
                    ledger.fill(&*engine, process * 4 + at as u8)
                );
            }));
        }
    }
    let mut gaps = Vec::new();
    for round in 0..rounds {
        ledger.goes_on(100).await;
        let before = trio.primary;
        match round % 3 {
            0 => {
                trio.nodes[before].kill();
                block_in_place(|| trio.fail_over());
                gaps.push(ledger.goes_on(20).await);
                block_in_place(|| trio.replace(before));
            }
            1 => {
                trio.nodes[before].signal_all(rustix::process::Signal::STOP);
                sleep(Duration::from_millis(1500)).await;
                block_in_place(|| trio.fail_over());
                gaps.push(ledger.goes_on(20).await);
                trio.nodes[before].signal_all(rustix::process::Signal::CONT);
                ledger.goes_on(200).await;
                block_in_place(|| trio.replace(before));
            }
            _ => {
                let all = "select count(pg_terminate_backend(pid)) from pg_stat_activity where application_name = 'okmsd'";
                block_in_place(|| trio.nodes[before].sql("postgres", all));
                gaps.push(ledger.goes_on(20).await);
            }
        }
    }
    ledger.goes_on(50).await;
    ledger.is_over.store(true, Ordering::Relaxed);
    for task in tasks {
        task.await.unwrap();
    }
    drop(engines);
    let engine = open(&options).await;
    for at in 0..4 {
        let (_, found) = value(&*engine, at).await.unwrap();
        assert!(
            found >= ledger.counters[at].load(Ordering::SeqCst),
            "an acknowledged value is lost"
        );
    }
    for (keys, expected) in [(&ledger.there, true), (&ledger.not_there, false)] {
        let keys = keys.lock().unwrap().clone();
        for key in &keys {
            assert_eq!(get(&*engine, VALUE, key).await.is_some(), expected, "{key:?}");
        }
    }
    let told = |number: &AtomicU64| number.load(Ordering::Relaxed);
    println!(
        "{rounds} rounds, {} acknowledged, {} unknown, {} reads, {} stale; until writes went on: {gaps:.1?}",
        told(&ledger.acknowledged),
        told(&ledger.unknown),
        told(&ledger.reads),
        told(&ledger.stale),
    );
    assert_eq!(told(&ledger.stale), 0);
    assert!(told(&ledger.reads) > 1000);
}

/// Who carries what is said to a database beyond this machine has to be the one that is meant; and whoever is known by a
/// password is known by another one as soon as that is in its file.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_is_spoken_to_over_tls() {
    let Some((_folder, node)) = cluster::single("") else { return };
    let files = tempfile::tempdir().unwrap();
    let now = okmsd::model::Timestamp::from_unix_seconds(
        i64::try_from(std::time::UNIX_EPOCH.elapsed().unwrap().as_secs()).unwrap() - 3600,
    );
    let (authority, _) = CertificateAuthority::create("database CA", now, 30).unwrap();
    let (stranger, _) = CertificateAuthority::create("another CA", now, 30).unwrap();
    let names = ["127.0.0.1".parse().unwrap()];
    let server = authority.issue_server(&names, KeySource::Fresh(KeyKind::P256), now, 30).unwrap();
    let plain = node.store("encrypted").await;
    node.sql("encrypted", "create role okmsd login password 'first'");
    assert!(
        !postgres::init(&plain, Some("okmsd"), true).await.unwrap(),
        "it may serve, and was made before"
    );
    node.encrypt(&server.certificate_pem, server.key.unwrap().expose());

    let write = |name: &str, text: &str| {
        let path = files.path().join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    let password_file = Some(write("password", "first\n"));
    let ca = Some(write("ca.pem", authority.certificate_pem()));
    let options = PostgresOptions { user: "okmsd".into(), password_file, ca, ..plain };
    let refused = async |options: PostgresOptions| {
        PostgresEngine::open(options, blind()).await.err().expect("it was opened").to_string()
    };
    let other_ca = Some(write("other.pem", stranger.certificate_pem()));
    let said = refused(PostgresOptions { ca: other_ca, ..options.clone() }).await;
    assert!(said.contains("UnknownIssuer"), "{said}");
    let mut by_name = options.clone();
    by_name.hosts[0].host = "localhost".into();
    let said = refused(by_name).await;
    assert!(said.contains("not valid for name"), "{said}");
    let said = refused(PostgresOptions { ca: None, ..options.clone() }).await;
    assert!(said.contains("no pg_hba.conf entry") || said.contains("no encryption"), "{said}");
    let mut far = PostgresOptions { ca: None, ..options.clone() };
    far.hosts[0].host = "db.example.org".into();
    let said = refused(far).await;
    assert!(said.contains("store.postgres.ca has to name the authorities"), "{said}");
    let wrong = Some(write("wrong", "guess"));
    let said = refused(PostgresOptions { password_file: wrong, ..options.clone() }).await;
    assert!(said.contains("28P01") && !said.contains("guess"), "{said}");

    let engine = open(&options).await;
    engine.commit(batch(vec![put(HEADER, b"k", b"x")])).await.unwrap();
    let encrypted = "select count(*) from pg_stat_ssl s join pg_stat_activity a using (pid) where a.usename = 'okmsd' and not s.ssl";
    assert_eq!(node.sql("encrypted", encrypted), "0");
    // Another password, and all connections end.
    node.sql("encrypted", "alter role okmsd password 'second'");
    write("password", "second");
    node.sql(
        "encrypted",
        "select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = 'okmsd'",
    );
    let began = Instant::now();
    while engine.commit(batch(vec![put(HEADER, b"k", b"y")])).await.is_err() {
        assert!(began.elapsed() < Duration::from_secs(20), "it is not known by the new one");
        sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(get(&*engine, HEADER, b"k").await.unwrap().bytes.as_ref(), b"y");
    // It changes rows, and nothing else.
    let may = "select has_schema_privilege('okmsd', 'okms', 'create'), has_table_privilege('okmsd', 'okms.meta', 'update'), has_table_privilege('okmsd', 'okms.record', 'truncate')";
    assert_eq!(node.sql("encrypted", may), "f|f|f");
}

/// A server that can make nothing durable may have been passed over: what it shows is of the past, maybe.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_makes_nothing_durable_is_not_believed() {
    let Some((_folder, node)) = cluster::single("fsync = off") else { return };
    let options = PostgresOptions {
        max_stale: Duration::from_secs(1),
        unready_after: Duration::from_secs(2),
        ..node.store("doubted").await
    };
    let engine = open(&options).await;
    write(&*engine, vec![put(HEADER, b"k", b"x")]).await;
    let held = engine.snapshot().await.unwrap();
    // Nobody is heard of any more: this session holds what they would write.
    let mut holder = node.hold("doubted", "lock table okms.process in access exclusive mode");
    sleep(Duration::from_millis(3500)).await;
    assert_eq!(engine.health(), Health::Down);
    let key = [Read::Key(HEADER, b"k")];
    assert!(matches!(engine.read(&key).await, Err(ReadError::Unavailable(_))));
    assert!(matches!(engine.snapshot().await, Err(ReadError::Unavailable(_))));
    let refused = engine.commit(batch(vec![put(HEADER, b"k", b"y")])).await;
    assert!(matches!(refused, Err(CommitError::Unavailable(_))), "{refused:?}");
    let end = "select count(pg_terminate_backend(pid)) from pg_stat_activity where query like 'begin; lock%'";
    node.sql("postgres", end);
    holder.wait().unwrap();
    let began = Instant::now();
    while engine.read(&key).await.is_err() || engine.health() != Health::Ready {
        assert!(began.elapsed() < Duration::from_secs(20), "it does not come back");
        sleep(Duration::from_millis(50)).await;
    }
    drop(held);
    write(&*engine, vec![put(HEADER, b"k", b"y")]).await;
}

/// What nobody asks about any more is forgotten, however much there is, and who is behind is told so.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_past_is_forgotten() {
    let Some((_folder, node)) = cluster::single("fsync = off") else { return };
    let options = node.store("forgotten").await;
    let engine = open(&options).await;
    let first = write(&*engine, vec![put(HEADER, b"k", b"1")]).await;
    node.sql(
        "forgotten",
        &format!(
            "insert into okms.log select {} + n, null, '', now() - interval '1 hour' from generate_series(1, 12000) n; \
             insert into okms.outcome select gen_random_uuid(), '{{1}}', now() - interval '2 hours' from generate_series(1, 7000); \
             update okms.head set rev = {} + 13000",
            first.0, first.0
        ),
    );
    let last = write(&*engine, vec![put(HEADER, b"k", b"2")]).await;
    assert!(last > first);
    // As the server does it, as long as there is more.
    let forget = "select okms.forget('10 minutes', '1 hour')";
    let more: Vec<_> = (0..4).map(|_| node.sql("forgotten", forget)).collect();
    assert_eq!(more, ["t", "t", "f", "f"]);
    assert_eq!(node.sql("forgotten", "select count(*) from okms.log"), "2");
    let outcomes: u32 = node.sql("forgotten", "select count(*) from okms.outcome").parse().unwrap();
    assert!((2..10).contains(&outcomes), "{outcomes}");
    // A process that was away meanwhile reads anew.
    drop(engine);
    let engine = open(&options).await;
    assert!(matches!(engine.changes(first).await, Err(engine::ChangesError::TooOld)));
    assert_eq!(get(&*engine, HEADER, b"k").await.unwrap().bytes.as_ref(), b"2");
}
