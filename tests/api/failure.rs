//! The failure policy, seen through the API: while the store takes no writes, writes are refused
//! with 503 and Retry-After, reads go on, readiness is off; afterwards everything goes on as if
//! nothing had happened.

use std::{
    io,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use hyper::Method;
use okmsd::{
    app::CommitMetrics,
    config::Config,
    metrics::Metrics,
    store::{
        engine::{
            Batch, Changes, ChangesError, CommitError, Engine, Fut, Health, Op, Parts, Read,
            ReadError, Revision, Snapshot,
        },
        engines::redb::{RedbEngine, RedbOptions, StorageBackend},
        kinds::audit_mark,
    },
};
use tokio::sync::Notify;
use tracing_subscriber::{Layer, layer::SubscriberExt};

use crate::{
    audit::{request_id, trail},
    harness::{Answer, BOTH, Client, Http, TestServer, eventually},
    wire::{END_STREAM, RST_STREAM, Wire, frame, head, preface},
};

const UNAVAILABLE: u32 = 50_425_858;

/// Storage in memory whose writes fail on demand.
#[derive(Clone, Debug, Default)]
struct Disk(Arc<DiskInner>, usize);

#[derive(Debug, Default)]
struct DiskInner {
    /// The database, and its log.
    files: [Mutex<Vec<u8>>; 2],
    is_broken: AtomicBool,
    /// The database alone, and not its log.
    is_half_broken: AtomicBool,
}

impl Disk {
    /// The log's file on the same disk.
    fn beside(&self) -> Self {
        Self(Arc::clone(&self.0), 1)
    }

    /// A store on it.
    fn engine(&self, options: &RedbOptions, metrics: Arc<Metrics>) -> Arc<RedbEngine> {
        let observer = Arc::new(CommitMetrics(metrics));
        Arc::new(RedbEngine::open_backend(self.clone(), self.beside(), options, observer).unwrap())
    }

    fn file(&self) -> MutexGuard<'_, Vec<u8>> {
        self.0.files[self.1].lock().unwrap()
    }

    fn breaks(&self, is_broken: bool) {
        self.0.is_broken.store(is_broken, SeqCst);
    }

    /// Whether these bytes are anywhere.
    fn has(&self, bytes: &[u8]) -> bool {
        self.file().windows(bytes.len()).any(|window| window == bytes)
    }

    /// Turns a bit of each of these bytes over, wherever they are.
    fn flips(&self, bytes: &[u8]) {
        let mut image = self.file();
        let places = 0..image.len() - bytes.len();
        for start in places.filter(|start| image[*start..].starts_with(bytes)).collect::<Vec<_>>() {
            image[start] ^= 1;
        }
    }

    fn works(&self) -> io::Result<()> {
        let is_broken =
            self.0.is_broken.load(SeqCst) || self.1 == 0 && self.0.is_half_broken.load(SeqCst);
        if is_broken { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

impl StorageBackend for Disk {
    fn len(&self) -> io::Result<u64> {
        Ok(self.file().len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let start = usize::try_from(offset).unwrap();
        out.copy_from_slice(&self.file()[start..start + out.len()]);
        Ok(())
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.works()?;
        self.file().resize(usize::try_from(len).unwrap(), 0);
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        self.works()
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        self.works()?;
        let start = usize::try_from(offset).unwrap();
        self.file()[start..start + data.len()].copy_from_slice(data);
        Ok(())
    }
}

/// How the commits of a [`Faulty`] engine end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    None,
    Conflict,
    Overloaded,
    Unavailable,
    /// Nothing is written, and nobody knows.
    UnknownLost,
    /// It is written, and nobody knows.
    UnknownDone,
    /// As `Unavailable`, and nothing can be read.
    Unreadable,
    /// All that is read is damaged.
    Damaged,
}

/// An engine whose commits end as the test says, or wait until it lets them go on.
pub struct Faulty {
    inner: RedbEngine,
    fault: Mutex<Fault>,
    commits: AtomicU64,
    is_held: AtomicBool,
    reads_are_held: AtomicBool,
    let_go: Notify,
}

impl Faulty {
    /// A server on such an engine.
    pub async fn serve(change: impl FnOnce(&mut Config)) -> (TestServer, Arc<Self>) {
        let mut engine = None;
        let server = TestServer::start_on(change, |config, metrics| {
            Arc::clone(engine.insert(Self::new(config, metrics))) as Arc<dyn Engine>
        })
        .await;
        (server, engine.unwrap())
    }

    fn new(config: &Config, metrics: Arc<Metrics>) -> Arc<Self> {
        Arc::new(Self {
            inner: RedbEngine::open(
                &RedbOptions::new(&config.store.path),
                Arc::new(CommitMetrics(metrics)),
            )
            .unwrap(),
            fault: Mutex::new(Fault::None),
            commits: AtomicU64::new(0),
            is_held: AtomicBool::new(false),
            reads_are_held: AtomicBool::new(false),
            let_go: Notify::new(),
        })
    }

    pub fn fails(&self, fault: Fault) {
        self.commits.store(0, SeqCst);
        *self.fault.lock().unwrap() = fault;
    }

    /// The changes that requests have begun to commit since they were held, or failed.
    pub fn commits(&self) -> u64 {
        self.commits.load(SeqCst)
    }

    pub fn hold(&self) {
        self.commits.store(0, SeqCst);
        self.is_held.store(true, SeqCst);
    }

    pub fn hold_reads(&self) {
        self.reads_are_held.store(true, SeqCst);
    }

    pub fn let_go(&self) {
        self.is_held.store(false, SeqCst);
        self.reads_are_held.store(false, SeqCst);
        self.let_go.notify_waiters();
    }

    async fn passes(&self, is_held: &AtomicBool) {
        loop {
            let notified = self.let_go.notified();
            if !is_held.load(SeqCst) {
                break;
            }
            notified.await;
        }
    }

    fn is_read(&self) -> Result<(), ReadError> {
        match *self.fault.lock().unwrap() {
            Fault::Unreadable => Err(ReadError::Unavailable("a test".into())),
            Fault::Damaged => Err(ReadError::Corrupt("a test".into())),
            _ => Ok(()),
        }
    }
}

impl Engine for Faulty {
    fn changes(&self, after: Revision) -> Fut<'_, Result<Changes, ChangesError>> {
        self.inner.changes(after)
    }

    fn revision(&self) -> Revision {
        self.inner.revision()
    }

    fn read<'a>(&'a self, parts: &'a [Read<'a>]) -> Fut<'a, Result<Parts, ReadError>> {
        Box::pin(async {
            self.passes(&self.reads_are_held).await;
            self.is_read()?;
            self.inner.read(parts).await
        })
    }

    fn snapshot(&self) -> Fut<'_, Result<Box<dyn Snapshot>, ReadError>> {
        Box::pin(async {
            self.passes(&self.reads_are_held).await;
            self.is_read()?;
            self.inner.snapshot().await
        })
    }

    fn commit(&self, batch: Batch) -> Fut<'_, Result<Revision, CommitError>> {
        Box::pin(async move {
            // The server commits on its own, too, whenever it has the time; what a request changes
            // leaves the audit trail's mark.
            let is_mark = |op: &Op| matches!(op, Op::Put(space, ..) if *space == audit_mark::SPACE);
            if batch.ops.iter().any(is_mark) {
                self.commits.fetch_add(1, SeqCst);
            }
            self.passes(&self.is_held).await;
            let fault = *self.fault.lock().unwrap();
            match fault {
                Fault::None | Fault::Damaged => self.inner.commit(batch).await,
                Fault::Conflict => Err(CommitError::Conflict),
                Fault::Overloaded => Err(CommitError::Overloaded),
                Fault::Unavailable | Fault::Unreadable => {
                    Err(CommitError::Unavailable("a test".into()))
                }
                Fault::UnknownLost => Err(CommitError::OutcomeUnknown("a test".into())),
                Fault::UnknownDone => {
                    self.inner.commit(batch).await?;
                    Err(CommitError::OutcomeUnknown("a test".into()))
                }
            }
        })
    }

    fn health(&self) -> Health {
        self.inner.health()
    }
}

async fn faulty() -> (TestServer, Client, Arc<Faulty>) {
    let (server, engine) = Faulty::serve(|_| {}).await;
    let client = server.tenant().await;
    client.post("secret", r#"{"path":"kept","version":{"data":{"n":1}}}"#).await.ok();
    (server, client, engine)
}

/// Every kind of write there is.
async fn writes(client: &Client) -> Vec<(&'static str, Answer)> {
    vec![
        ("create", client.post("secret", r#"{"path":"new","version":{"data":{}}}"#).await),
        ("update", client.put("secret/kept", r#"{"version":{"data":{"n":2}}}"#).await),
        ("metadata", client.put("secret/kept", r#"{"metadata":{"casRequired":true}}"#).await),
        ("version", client.post("secret/kept/version", r#"{"data":{"n":2}}"#).await),
        ("state", client.put("secret/kept/version/1", r#"{"state":"deactivated"}"#).await),
        ("config", client.put("secretConfig", r#"{"maxVersions":3}"#).await),
        ("delete", client.delete("secret/kept").await),
    ]
}

/// Every kind of read there is, and that it shows what was there before.
async fn reads(client: &Client) {
    for http in BOTH {
        let client = client.over(http);
        let read = client.get("secret/kept?includeData=true").await.ok();
        assert_eq!(
            (&read["version"]["data"]["n"], &read["metadata"]["casRequired"]),
            (&1.into(), &false.into())
        );
        assert_eq!(client.get("secret").await.ok().as_array().unwrap().len(), 1);
        assert_eq!(client.get("secret/kept/version").await.ok()[0]["state"], "active");
        assert_eq!(client.get("secret/kept/version/1?includeData=true").await.ok()["data"]["n"], 1);
        assert_eq!(client.get("secretConfig").await.ok()["maxVersions"], 0);
        client.get("secret/new").await.error(404, 17_125_377);
    }
}

#[tokio::test]
async fn a_disk_that_is_full_and_then_is_not() {
    let disk = Disk::default();
    let storage = disk.clone();
    let server = TestServer::start_on(
        |_| {},
        |_, metrics| {
            let mut options = RedbOptions::new("");
            options.cache_bytes = 1 << 20;
            options.record_cache_bytes = 0;
            options.pause_min = Duration::from_millis(20);
            options.pause_max = Duration::from_millis(100);
            storage.engine(&options, metrics)
        },
    )
    .await;
    let client = server.tenant().await;
    client.post("secret", r#"{"path":"kept","version":{"data":{"n":1}}}"#).await.ok();
    assert_eq!(server.admin("/readyz").await.0, 200);
    for http in BOTH {
        disk.breaks(true);
        for (name, answer) in writes(&client.over(http)).await {
            let text = answer.error(503, UNAVAILABLE);
            assert!(
                text.contains("read before you repeat") || text.contains("nothing was changed"),
                "{name}: {text}"
            );
        }
        let operator =
            server.operator().call(Method::POST, "/v2/okms/resource", r#"{"name":"more"}"#).await;
        operator.error(503, UNAVAILABLE);
        reads(&client).await;
        let (status, text) = server.admin("/readyz").await;
        assert_eq!((status.as_u16(), text.as_str()), (503, "the store takes no writes\n"));
        assert_eq!(server.admin("/livez").await.0, 200);
        assert_eq!(server.metric("okmsd_ready ").await, 0.0);
        server.metric_reaches("okmsd_commit_failures_total ", 1.0).await;
        // Mistakes are still told as mistakes, not as a failure that clients would repeat.
        client.put("secret/kept?cas=7", r#"{"version":{"data":{}}}"#).await.error(400, 50_405_377);
        client
            .post("secret", r#"{"path":"kept","version":{"data":{}}}"#)
            .await
            .error(409, 50_438_145);
        disk.breaks(false);
        eventually("ready again", async || server.admin("/readyz").await.0 == 200).await;
        assert_eq!(server.metric("okmsd_ready ").await, 1.0);
        // What was refused or unknown while the disk was full never reached it.
        reads(&client).await;
    }
    for (name, answer) in writes(&client).await.into_iter().take(2) {
        assert_eq!(answer.status, 200, "{name}: {answer:?}");
    }
}

/// A log that is full in front of a database that cannot be written: every write was refused, and
/// the store said that it was ready, for as long as nobody looked into its log.
#[tokio::test]
async fn a_full_log_is_told() {
    let disk = Disk::default();
    let storage = disk.clone();
    let server = TestServer::start_on(
        |_| {},
        |_, metrics| {
            let mut options = RedbOptions::new("");
            options.log_bytes = 1 << 20;
            (options.pause_min, options.pause_max) =
                (Duration::from_millis(10), Duration::from_millis(20));
            storage.engine(&options, metrics)
        },
    )
    .await;
    let client = server.tenant().await;
    client.post("secret", r#"{"path":"kept","version":{"data":{"n":1}}}"#).await.ok();
    disk.0.is_half_broken.store(true, SeqCst);
    let body = |n: usize| {
        format!(r#"{{"path":"{n}","version":{{"data":{{"x":"{}"}}}}}}"#, "x".repeat(60_000))
    };
    let mut written = 0;
    let refused = loop {
        let answer = client.post("secret", &body(written)).await;
        if answer.status != 200 {
            break answer;
        }
        assert_eq!(server.admin("/readyz").await.0, 200);
        written += 1;
        assert!(written < 30, "the log takes a MiB");
    };
    assert!(refused.error(503, UNAVAILABLE).contains("nothing was changed"));
    let (status, text) = server.admin("/readyz").await;
    assert_eq!((status.as_u16(), text.as_str()), (503, "the store takes no writes\n"));
    server.metric_reaches("okmsd_log_full_total ", 1.0).await;
    client.get("secret/kept?includeData=true").await.ok();
    disk.0.is_half_broken.store(false, SeqCst);
    eventually("ready again", async || server.admin("/readyz").await.0 == 200).await;
    client.post("secret", &body(written)).await.ok();
}

/// Counts the errors that are logged.
struct Errors(Arc<AtomicU64>);

impl<S: tracing::Subscriber> Layer<S> for Errors {
    fn on_event(&self, event: &tracing::Event<'_>, _: tracing_subscriber::layer::Context<'_, S>) {
        self.0.fetch_add(u64::from(*event.metadata().level() == tracing::Level::ERROR), SeqCst);
    }
}

/// Once, one flipped bit and one GET made the whole store read-only for ever: the database was
/// given up and opened anew in a loop, 54,000 times in two minutes, and the client never got an
/// answer. Now it costs the page that it is in.
#[tokio::test]
async fn a_flipped_bit_costs_what_is_in_its_page() {
    let disk = Disk::default();
    let storage = disk.clone();
    let server = TestServer::start_on(
        |_| {},
        |_, metrics| {
            let mut options = RedbOptions::new("");
            (options.cache_bytes, options.record_cache_bytes) = (0, 0);
            storage.engine(&options, metrics)
        },
    )
    .await;
    let client = server.tenant().await;
    let paths: Vec<_> = (0..400).map(|n| format!("{n:03}-{}", "x".repeat(200))).collect();
    client.create_all(&paths).await;
    let hit = &paths[200];
    // What has just been written is read from memory. After some quiet it goes into the database.
    eventually("the database has it", async || disk.has(hit.as_bytes())).await;
    server.metric_reaches("okmsd_checkpoint_duration_seconds_count", 1.0).await;
    disk.flips(hit.as_bytes());
    // On this thread, as the server.
    let lines = Arc::new(AtomicU64::new(0));
    let _counted = tracing::subscriber::set_default(
        tracing_subscriber::registry().with(Errors(Arc::clone(&lines))),
    );
    for round in 1..=30 {
        client.get(&format!("secret/{hit}?includeData=true")).await.error(500, 50_401_281);
        assert_eq!(server.metric("okmsd_corrupt_records_total").await, f64::from(round));
    }
    client.post(&format!("secret/{hit}/version"), r#"{"data":{}}"#).await.error(500, 50_401_281);
    // There was one for each request.
    assert!((1..10).contains(&lines.load(SeqCst)), "{} lines", lines.load(SeqCst));
    let mut lost = 0;
    for path in &paths {
        let answer = client.get(&format!("secret/{path}?includeData=true")).await;
        lost += usize::from(answer.status == 500);
        assert!(answer.status == 200 || answer.status == 500, "{answer:?}");
    }
    assert!((1..80).contains(&lost), "{lost} of {} are lost", paths.len());
    for path in [&paths[0], &paths[399]] {
        client.put(&format!("secret/{path}"), r#"{"version":{"data":{"n":2}}}"#).await.ok();
    }
    client.create("new", "{}").await.ok();
    server.tenant().await.create("new", "{}").await.ok();
    assert_eq!(server.admin("/readyz").await.0, 200);
    assert_eq!(server.metric("okmsd_commit_failures_total ").await, 0.0);
}

/// 40 changes whose clients hung up were committed, and counted 0 times.
#[tokio::test]
async fn a_change_counts_whoever_waits_for_it() {
    let (server, client, engine) = faulty().await;
    engine.hold();
    let mut wires = Vec::new();
    for n in 0..20 {
        let mut wire = Wire::open(&client).await;
        let body = format!(r#"{{"path":"abandoned/{n}","version":{{"data":{{}}}}}}"#);
        let url = client.url("secret");
        let head = format!(
            "POST {url} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        wire.send(head + &body).await;
        wires.push(wire);
    }
    // Two secrets may wait in one queue for their turn.
    eventually("they are being committed", async || engine.commits() > 14).await;
    tokio::time::sleep(Duration::from_millis(500)).await;
    drop(wires);
    // A read that nobody waits for any more ends, and counts too.
    engine.hold_reads();
    let mut two = Wire::open(&client.over(Http::Two)).await;
    two.send([preface(&[]), head(1, END_STREAM, "GET", &client.url("secret/kept"))].concat()).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    two.send(frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes())).await;
    server
        .metric_reaches("okmsd_requests_total{operation=\"GetSecretV2\",status=\"499\"}", 1.0)
        .await;
    engine.let_go();
    // And the one of the beginning.
    server
        .metric_reaches("okmsd_requests_total{operation=\"PostSecretV2\",status=\"200\"}", 21.0)
        .await;
    client.get("secret/abandoned/19").await.ok();
}

#[tokio::test]
async fn an_engine_that_refuses_is_503_and_never_500() {
    let (server, client, engine) = faulty().await;
    for (fault, text) in [
        (Fault::Overloaded, "too many writes wait; nothing was changed"),
        (Fault::Unavailable, "the store is not available; nothing was changed"),
        (Fault::UnknownLost, "the change may have happened or not"),
        (Fault::Conflict, "too many writes wait; nothing was changed"),
    ] {
        engine.fails(fault);
        for http in BOTH {
            for (name, answer) in writes(&client.over(http)).await {
                assert!(answer.error(503, UNAVAILABLE).contains(text), "{name}");
            }
        }
        reads(&client).await;
        engine.fails(Fault::None);
        reads(&client).await;
    }
    assert_eq!(server.admin("/readyz").await.0, 200);
    for (name, answer) in writes(&client).await {
        // Metadata made cas required, so that the version after it is refused for good reason.
        let expected = match name {
            "version" => 400,
            "delete" => 204,
            _ => 200,
        };
        assert_eq!(answer.status, expected, "{name}: {answer:?}");
    }
}

/// A write of unknown outcome is tried once, whatever becomes of it: a second try could do it
/// twice.
#[tokio::test]
async fn an_unknown_outcome_is_not_repeated() {
    let (_server, client, engine) = faulty().await;
    for fault in [Fault::UnknownLost, Fault::UnknownDone] {
        engine.fails(fault);
        client.put("secret/kept", r#"{"version":{"data":{"n":2}}}"#).await.error(503, UNAVAILABLE);
        assert_eq!(engine.commits(), 1);
        engine.fails(Fault::None);
        // Reading tells what became of it.
        let read = client.get("secret/kept?includeData=true").await.ok();
        let expected = if fault == Fault::UnknownDone { 2 } else { 1 };
        assert_eq!(
            (&read["metadata"]["currentVersion"], &read["version"]["data"]["n"]),
            (&expected.into(), &expected.into())
        );
        // And CAS makes repeating safe.
        let again = client.put("secret/kept?cas=1", r#"{"version":{"data":{"n":2}}}"#).await;
        assert_eq!(again.status, if fault == Fault::UnknownDone { 400 } else { 200 });
        client.delete("secret/kept").await;
        client.post("secret", r#"{"path":"kept","version":{"data":{"n":1}}}"#).await.ok();
    }
}

/// A change of which the store did not know how it ended kept its place in the trail, of which there are
/// few, until the restart, and nobody was told how it had.
#[tokio::test]
async fn what_the_store_did_not_know_is_recorded_once_it_does() {
    let (server, client, engine) = faulty().await;
    for (fault, happened) in [(Fault::UnknownDone, true), (Fault::UnknownLost, false)] {
        engine.fails(fault);
        let path = format!("of/{happened}");
        let unknown = client.create(&path, "{}").await;
        unknown.error(503, UNAVAILABLE);
        engine.fails(Fault::None);
        let id = request_id(&unknown);
        eventually(format!("{fault:?}: it is looked up"), async || {
            let (records, _) = trail(&server);
            records.iter().any(|one| one["type"] == "resolved" && one["request_id"] == *id)
        })
        .await;
        let (records, _) = trail(&server);
        let of: Vec<_> = records.iter().filter(|one| one["request_id"] == *id).collect();
        let kinds: Vec<_> = of.iter().map(|one| one["type"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["intent", "request", "resolved"]);
        assert_eq!(of[1]["changes"][0].get("happened"), None);
        assert_eq!(of[2]["changes"][0]["happened"], happened);
        for (name, of_whom) in [("resource", &*path), ("tenant", &client.id)] {
            assert_eq!(of[2][name], of_whom);
        }
        assert_eq!(client.get(&format!("secret/{path}")).await.status == 200, happened);
    }
}

/// A conflict means that another process was faster; it is decided again, a bounded number of
/// times.
#[tokio::test]
async fn conflicts_are_decided_again_but_not_for_ever() {
    let (_server, client, engine) = faulty().await;
    engine.fails(Fault::Conflict);
    client.put("secret/kept", r#"{"version":{"data":{"n":2}}}"#).await.error(503, UNAVAILABLE);
    assert!((2..=100).contains(&engine.commits()), "{} tries", engine.commits());
}

/// A client that hangs up while its change is on the way: the change happens, as it would have.
#[tokio::test]
async fn a_change_whose_client_hung_up_is_completed() {
    let (mut server, client, engine) = faulty().await;
    for (n, http) in (2..).zip(BOTH) {
        engine.hold();
        let sender = client.over(http);
        let url = client.url("secret/kept");
        let request = tokio::spawn(async move {
            sender
                .call(Method::PUT, &url, &format!(r#"{{"version":{{"data":{{"n":{n}}}}}}}"#))
                .await
        });
        eventually("the commit has begun", async || engine.commits() == 1).await;
        let open = server.metric("okmsd_connections ").await;
        request.abort();
        assert!(request.await.unwrap_err().is_cancelled());
        eventually("the connection has gone", async || {
            server.metric("okmsd_connections ").await < open
        })
        .await;
        engine.let_go();
        eventually("the change is there", async || {
            client.get("secret/kept?includeData=true").await.ok()["version"]["data"]["n"] == n
        })
        .await;
    }
    // The same while the server stops: it waits for the change, although nobody is connected any
    // more.
    engine.hold();
    let mut last = Wire::open(&client).await;
    let body = r#"{"version":{"data":{"n":4}}}"#;
    let head = format!(
        "PUT {} HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}",
        client.url("secret/kept"),
        body.len()
    );
    last.send(format!("{head}\r\n\r\n{body}")).await;
    eventually("the commit has begun", async || engine.commits() == 1).await;
    drop(last);
    eventually("the connection has gone", async || {
        server.metric("okmsd_connections ").await == 0.0
    })
    .await;
    server.begin_stop();
    tokio::time::sleep(Duration::from_millis(500)).await;
    assert_eq!(server.admin("/readyz").await.1, "stopping\n", "the server did not wait");
    engine.let_go();
    server.stop().await;
    drop(engine);
    server.start_again().await.unwrap();
    assert_eq!(
        server.at(&client).get("secret/kept?includeData=true").await.ok()["version"]["data"]["n"],
        4
    );
}
