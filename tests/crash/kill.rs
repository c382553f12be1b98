//! The real binary under kill -9: what it acknowledged is there after every restart, and what it
//! did not is there whole or not at all. It is hit where it hurts: while it brings the database up
//! to date, and while a start recovers what the last kill has left.

use std::{
    collections::BTreeMap,
    fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    os::unix::fs::FileExt,
    path::Path,
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::SeqCst},
        mpsc,
    },
    time::{Duration, Instant, SystemTime},
};

use bytes::Bytes;
use hyper::Method;
use okmsd::{
    audit::{FileDevice, Head, Verifier},
    crypto::{FileRootKey, SigningKey},
};
use rustls::ClientConfig;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::mtls::{self, Connection, Failure, Http};

const ROUNDS: u32 = 8;
const WRITERS: u32 = 6;
const PATHS: u32 = 3;
/// The kill comes a little later each round, so that it hits many points.
const STEP: Duration = Duration::from_micros(250);
/// How long anything may take on a machine that is busy.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// The server's process: killed, and nothing else, when this is dropped.
pub struct Server {
    pub(crate) child: Child,
    pub address: SocketAddr,
    admin: SocketAddr,
}

impl Server {
    pub fn start(folder: &Path) -> Self {
        Self::start_with(folder, &[])
    }

    /// One with more in its environment.
    pub fn start_with(folder: &Path, environment: &[(&str, &str)]) -> Self {
        let mut child = spawn_with(folder, Stdio::piped(), environment);
        let (told, lines) = mpsc::channel();
        let output = BufReader::new(child.stdout.take().unwrap());
        // Reads on for as long as the process lives, so that it never waits for somebody to read.
        std::thread::spawn(move || {
            output.lines().map_while(Result::ok).for_each(|line| drop(told.send(line)))
        });
        let mut find = |word: &str| -> SocketAddr {
            loop {
                let line = lines.recv_timeout(PATIENCE).unwrap_or_else(|_| {
                    let _killed = child.kill();
                    panic!("okmsd does not say its {word}")
                });
                if let Some(url) = line.trim().strip_prefix(word) {
                    let (_, rest) = url.split_once("://").unwrap();
                    return rest.split('/').next().unwrap().parse().unwrap();
                }
            }
        };
        let (address, admin) = (find("endpoint "), find("admin "));
        Self { child, address, admin }
    }

    /// How often it has brought the database up to date.
    async fn checkpoints(&self) -> u64 {
        let answer = mtls::get_plain(self.admin, "/metrics").await.unwrap();
        let text = String::from_utf8(answer.body().to_vec()).unwrap();
        let mut lines = text.lines();
        let count =
            lines.find_map(|line| line.strip_prefix("okmsd_checkpoint_duration_seconds_count "));
        count.unwrap().parse().unwrap()
    }

    /// Ends the process as a power cut would, without a chance to do anything.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    pub async fn ready(&self) {
        assert_eq!(mtls::get_plain(self.admin, "/readyz").await.unwrap().status(), 200);
    }
}

pub fn spawn(folder: &Path, output: Stdio) -> Child {
    spawn_with(folder, output, &[])
}

fn spawn_with(folder: &Path, output: Stdio, environment: &[(&str, &str)]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_okmsd"));
    command
        .args(["dev", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--dir"])
        .arg(folder);
    // The log goes round every few hundred writes, so that the server is hit while it brings the
    // database up to date, too.
    command.env("OKMSD_STORE__LOG", "24MiB");
    // How far the trail has come is kept often, so that it is hit there, too.
    command.env("OKMSD_AUDIT__CHECKPOINT_TIME", "5ms");
    command.envs(environment.iter().copied());
    command.stdin(Stdio::null()).stdout(output).stderr(Stdio::null()).spawn().unwrap()
}

/// What can be seen of a store from outside.
#[derive(Clone, PartialEq)]
struct Sight {
    /// The beginnings of both files. That of the database is written with each of its commits; that
    /// of the log once in each opening.
    database: Vec<u8>,
    log: Vec<u8>,
    /// When anything of the database was last written.
    written: SystemTime,
}

impl Sight {
    fn of(folder: &Path) -> Self {
        let head = |name: &str| {
            let mut head = vec![0; 512];
            let file = fs::File::open(folder.join(name)).unwrap();
            file.read_exact_at(&mut head, 0).unwrap();
            (head, file.metadata().unwrap().modified().unwrap())
        };
        let (database, written) = head("okmsd.redb");
        Self { database, log: head("okmsd.redb-log").0, written }
    }

    /// Which of the database's two newest states counts: a commit turns it over when it is durable.
    fn counting(&self) -> u8 {
        self.database[9] & 1
    }

    /// Looks again and again until what is seen is of interest; gives what was seen just before.
    /// `None` where it does not come to that.
    fn before(
        folder: &Path,
        patience: Duration,
        is_it: impl Fn(&Self, &Self) -> bool,
    ) -> Option<Self> {
        let begun = Instant::now();
        let mut before = Self::of(folder);
        while begun.elapsed() < patience {
            let now = Self::of(folder);
            if is_it(&before, &now) {
                return Some(before);
            }
            before = now;
        }
        None
    }
}

/// Kills the server when it has begun to bring the database up to date. Whether it had not got to
/// the end.
fn kill_in_checkpoint(server: Server, folder: &Path, after: Duration) -> bool {
    let before = Sight::before(folder, PATIENCE, |before, now| before.written != now.written);
    std::thread::sleep(after);
    server.kill();
    // Pages were written, and the state that counts is still the one before.
    before.expect("it is under load").counting() == Sight::of(folder).counting()
}

/// Where a start is hit.
#[derive(Clone, Copy, Debug)]
enum Start {
    /// It has opened the database, and reads the log, or has just read it.
    Reading,
    /// The log says that it is of this opening, and the database does not yet.
    Between,
}

/// Starts a server, and kills it before it serves. Whether it was hit there.
fn kill_in_start(folder: &Path, start: Start, after: Duration) -> bool {
    let killed = Sight::of(folder);
    let mut child = spawn(folder, Stdio::null());
    let before = Sight::before(folder, PATIENCE, |_, now| match start {
        Start::Reading => now.written != killed.written,
        Start::Between => now.log != killed.log,
    });
    std::thread::sleep(after);
    child.kill().unwrap();
    child.wait().unwrap();
    let (before, now) = (before.expect("it starts"), Sight::of(folder));
    match start {
        Start::Reading => now.log == killed.log,
        Start::Between => now.log != killed.log && now.database == before.database,
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _gone = self.child.kill();
        let _gone = self.child.wait();
    }
}

/// The domain that `okmsd dev` made, and how to reach it.
pub struct Access {
    pub id: String,
    tls: Arc<ClientConfig>,
}

impl Access {
    pub fn load(folder: &Path) -> Self {
        let names = fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let ids = names.filter_map(|name| name.strip_suffix("_certificate.pem").map(str::to_owned));
        let id = ids.into_iter().find(|id| id.len() == 36).unwrap();
        let pem = |name: &str| fs::read(folder.join(name)).unwrap();
        let (certificates, key) =
            (pem(&format!("{id}_certificate.pem")), pem(&format!("{id}_privatekey.pem")));
        let access = mtls::Access { certificates: &certificates, key: &key };
        let tls = mtls::tls(&pem("region_ca.pem"), Some(&access), Http::One).unwrap();
        Self { id, tls: Arc::new(tls) }
    }

    /// As an operator.
    pub fn operator(folder: &Path, id: &str) -> Self {
        let pem = |name: &str| fs::read(folder.join(name)).unwrap();
        let (certificates, key) = (pem("operator_certificate.pem"), pem("operator_privatekey.pem"));
        let access = mtls::Access { certificates: &certificates, key: &key };
        let tls = mtls::tls(&pem("region_ca.pem"), Some(&access), Http::One).unwrap();
        Self { id: id.to_owned(), tls: Arc::new(tls) }
    }

    pub async fn connect(&self, address: SocketAddr) -> Result<Api, Gone> {
        let connection = Connection::open(address, &self.tls).await?;
        Ok(Api { connection, base: format!("/api/{}/v2/", self.id) })
    }
}

/// The server is not there any more, so that nobody knows what became of a request.
pub type Gone = Failure;

pub struct Api {
    connection: Connection,
    base: String,
}

impl Api {
    pub async fn call(
        &mut self,
        method: Method,
        rest: &str,
        body: &Value,
    ) -> Result<(u16, Value), Gone> {
        let url = format!("{}{rest}", self.base);
        self.at(method, url, body).await
    }

    /// The same of a whole address.
    pub async fn at(
        &mut self,
        method: Method,
        url: String,
        body: &Value,
    ) -> Result<(u16, Value), Gone> {
        self.with(method, url, &[], body).await
    }

    /// The same with headers.
    pub async fn with(
        &mut self,
        method: Method,
        url: String,
        headers: &[(&str, &str)],
        body: &Value,
    ) -> Result<(u16, Value), Gone> {
        let body = if body.is_null() { Bytes::new() } else { Bytes::from(body.to_string()) };
        let response =
            tokio::time::timeout(PATIENCE, self.connection.send(method, &url, headers, body))
                .await??;
        Ok((
            response.status().as_u16(),
            serde_json::from_slice(response.body()).unwrap_or_default(),
        ))
    }
}

/// The values of a secret's versions, in order; `None` where there is no secret.
type Versions = Option<Vec<u64>>;

/// What one writer knows of its secrets: what was acknowledged, and what the one request would have
/// led to that was not answered.
#[derive(Default)]
struct Ledger {
    known: BTreeMap<String, Versions>,
    asked: Option<(String, Versions)>,
    acknowledged: u64,
    values: u64,
}

impl Ledger {
    /// Writes until the server is gone.
    async fn write(&mut self, writer: u32, api: &mut Api, stop: &AtomicBool) -> Result<(), Gone> {
        while !stop.load(SeqCst) {
            self.values += 1;
            let number = u64::from(writer) << 32 | self.values;
            let path = format!("w{writer}/{}", self.values % u64::from(PATHS));
            let before = self.known.get(&path).cloned().flatten();
            // Large ones span several pages and fill the log, and one in seven ends a life.
            let padding = "x".repeat(if self.values.is_multiple_of(5) { 400_000 } else { 100 });
            let version = json!({"data": {"number": number, "padding": padding}});
            let metadata = json!({"maxVersions": 24_000});
            let (method, rest, body, expected, after) = match before {
                None => {
                    let body = json!({"path": path, "metadata": metadata, "version": version});
                    (Method::POST, "secret".to_owned(), body, 200, Some(vec![number]))
                }
                Some(versions) if versions.len() >= 4 && self.values.is_multiple_of(7) => {
                    (Method::DELETE, format!("secret/{path}"), Value::Null, 204, None)
                }
                Some(mut versions) => {
                    let rest = format!("secret/{path}?cas={}", versions.len());
                    versions.push(number);
                    (Method::PUT, rest, json!({"version": version}), 200, Some(versions))
                }
            };
            self.asked = Some((path.clone(), after.clone()));
            let (status, answer) = api.call(method, &rest, &body).await?;
            assert_eq!(status, expected, "{path}: {answer}");
            if let Some(versions) = &after {
                assert_eq!(answer["metadata"]["currentVersion"], versions.len());
            }
            self.asked = None;
            self.acknowledged += 1;
            self.known.insert(path, after);
        }
        Ok(())
    }

    /// What is there is what was acknowledged, with the one unanswered request whole or not at all.
    /// Whether it was there.
    async fn check(&mut self, api: &mut Api) -> Option<bool> {
        let asked = self.asked.take();
        let mut landed = None;
        if let Some((path, after)) = &asked {
            self.known.entry(path.clone()).or_default();
            let is_there = same(api, path, after).await;
            landed = Some(is_there);
            if is_there {
                self.known.insert(path.clone(), after.clone());
            }
        }
        for (path, versions) in &self.known {
            assert!(
                same(api, path, versions).await,
                "{path} is not what was acknowledged: {versions:?}"
            );
        }
        landed
    }
}

/// Whether the secret has exactly these versions with these values.
async fn same(api: &mut Api, path: &str, versions: &Versions) -> bool {
    let (status, body) =
        api.call(Method::GET, &format!("secret/{path}"), &Value::Null).await.unwrap();
    let Some(versions) = versions else { return status == 404 };
    if status != 200 || body["metadata"]["currentVersion"] != versions.len() {
        return false;
    }
    let (status, listed) =
        api.call(Method::GET, &format!("secret/{path}/version"), &Value::Null).await.unwrap();
    let ids: Vec<_> =
        listed.as_array().unwrap().iter().map(|version| version["id"].as_u64().unwrap()).collect();
    assert_eq!((status, ids), (200, (1..=versions.len().min(100) as u64).collect()), "{path}");
    // The newest ones: the older ones were checked when they were new, and again in between.
    let newest = versions.len().saturating_sub(12);
    for (index, number) in
        versions.iter().enumerate().filter(|(index, _)| *index >= newest || index % 10 == 0)
    {
        let rest = format!("secret/{path}/version/{}?includeData=true", index + 1);
        let (status, version) = api.call(Method::GET, &rest, &Value::Null).await.unwrap();
        assert_eq!(status, 200, "{path} version {}: {version}", index + 1);
        if version["data"]["number"] != *number {
            return false;
        }
    }
    true
}

/// What the audit trail says has happened gives what is there, and of no change it is left open
/// whether it happened. How many were looked up in the store.
fn the_trail_tells_the_truth(folder: &Path, ledgers: &[Ledger]) -> usize {
    let root = FileRootKey::load(&folder.join("root.key")).unwrap();
    let key = SigningKey::of(&root, okmsd::app::AUDIT_PURPOSE).unwrap().public();
    let mut verifier = Verifier::new(key);
    // What is kept apart from the trail is never ahead of it.
    let heads = fs::read_to_string(folder.join("okmsd.redb-audit")).unwrap_or_default();
    for head in heads.lines() {
        verifier.must_reach(Head::parse(head, key).unwrap().at);
    }
    assert!(ledgers.iter().all(|ledger| ledger.acknowledged == 0) || !heads.is_empty());
    // Each by the number of its record: where, what, and whether it happened.
    let mut changes: BTreeMap<u64, (String, String, Option<bool>)> = BTreeMap::new();
    let mut resolved = 0;
    for file in FileDevice::all(&folder.join("audit.log")).unwrap() {
        let text = fs::read_to_string(file).unwrap();
        // It is written while it is read.
        for line in text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
            verifier.line(line.as_bytes()).unwrap();
            let record: Value = serde_json::from_str(line).unwrap();
            let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
            if record["type"] == "intent" {
                let seq = record["seq"].as_u64().unwrap();
                changes.insert(seq, (text("resource"), text("change"), None));
            }
            resolved += usize::from(record["type"] == "resolved");
            assert!(record["type"] != "lost" && record["missing_to"].is_null(), "{record}");
            for change in record["changes"].as_array().into_iter().flatten() {
                let intent = change["intent"].as_u64().unwrap();
                let fate = &mut changes.get_mut(&intent).expect("it was announced").2;
                assert_eq!(*fate, None, "{intent} ends twice");
                *fate = change["happened"].as_bool();
            }
        }
    }
    assert_eq!(verifier.finish().unwrap().len(), 1);
    let mut told: BTreeMap<String, u64> = BTreeMap::new();
    for (seq, (path, change, fate)) in changes {
        let happened = fate.unwrap_or_else(|| panic!("{seq} is open: {change} of {path}"));
        match &*change {
            _ if !happened => {}
            "secrets.create" | "secrets.update" => *told.entry(path).or_default() += 1,
            "secrets.delete" => drop(told.remove(&path)),
            _ => {}
        }
    }
    let known = ledgers.iter().flat_map(|ledger| &ledger.known);
    for (path, versions) in known {
        let versions = versions.as_ref().map(|versions| versions.len() as u64);
        assert_eq!(told.get(path).copied(), versions, "{path}");
    }
    resolved
}

/// Who keeps up with what happens, and goes on after each kill where he was.
struct Follower {
    since: String,
    /// What there is by what he was told: each secret, and its current version.
    told: BTreeMap<String, u64>,
}

impl Follower {
    fn new() -> Self {
        Self { since: "first".to_owned(), told: BTreeMap::new() }
    }

    async fn catch_up(&mut self, api: &mut Api) {
        loop {
            let rest = format!("events?since={}&limit=1000", self.since);
            let (status, page) = api.call(Method::GET, &rest, &Value::Null).await.unwrap();
            assert_eq!(status, 200, "{page}");
            for event in page["events"].as_array().unwrap() {
                let path = event["path"].as_str().unwrap().to_owned();
                let version = event["version"].as_u64().unwrap();
                let before = self.told.get(&path).copied().unwrap_or_default();
                match event["type"].as_str().unwrap() {
                    "destroyed" => drop(self.told.remove(&path)),
                    "created" => assert_eq!(self.told.insert(path, version), None, "{event}"),
                    // Each once, and none is passed over.
                    "updated" => {
                        assert_eq!(version, before + 1, "{event}");
                        self.told.insert(path, version);
                    }
                    other => panic!("nobody did that: {other}"),
                }
            }
            page["next"].as_str().unwrap().clone_into(&mut self.since);
            if page["hasMore"] == false {
                return;
            }
        }
    }

    /// What he was told is what there is.
    fn knows(&self, ledgers: &[Ledger]) {
        for (path, versions) in ledgers.iter().flat_map(|ledger| &ledger.known) {
            let versions = versions.as_ref().map(|versions| versions.len() as u64);
            assert_eq!(self.told.get(path).copied(), versions, "{path}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_acknowledged_is_lost_under_kill_9() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("region");
    let mut ledgers: Vec<_> = (0..WRITERS).map(|_| Ledger::default()).collect();
    let (mut landed, mut lost, mut resolved) = (0, 0, 0);
    let mut follower = Follower::new();
    let (mut in_checkpoint, mut reading, mut between) = (0, 0, 0);
    for round in 0..=ROUNDS {
        let started = Instant::now();
        let server = Server::start(&dir);
        server.ready().await;
        let ready = started.elapsed();
        let access = Access::load(&dir);
        let mut api = access.connect(server.address).await.unwrap();
        for ledger in &mut ledgers {
            match ledger.check(&mut api).await {
                Some(true) => landed += 1,
                Some(false) => lost += 1,
                None => {}
            }
        }
        resolved += the_trail_tells_the_truth(&dir, &ledgers);
        follower.catch_up(&mut api).await;
        follower.knows(&ledgers);
        let acknowledged: u64 = ledgers.iter().map(|ledger| ledger.acknowledged).sum();
        println!("round {round}: ready after {ready:?}, {acknowledged} writes acknowledged so far");
        if round == ROUNDS {
            break;
        }
        let stop = Arc::new(AtomicBool::new(false));
        let mut writers = JoinSet::new();
        for (writer, mut ledger) in (0..).zip(std::mem::take(&mut ledgers)) {
            let (mut api, stop) =
                (access.connect(server.address).await.unwrap(), Arc::clone(&stop));
            writers.spawn(async move {
                let _gone = ledger.write(writer, &mut api, &stop).await;
                (writer, ledger)
            });
        }
        // The kill comes with the second checkpoint.
        let begun = Instant::now();
        while server.checkpoints().await == 0 {
            assert!(begun.elapsed() < PATIENCE, "the log does not go round");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        let folder = dir.clone();
        let killing = move || kill_in_checkpoint(server, &folder, round % 4 * STEP);
        in_checkpoint += u32::from(tokio::task::spawn_blocking(killing).await.unwrap());
        stop.store(true, SeqCst);
        let mut back = writers.join_all().await;
        back.sort_by_key(|(writer, _)| *writer);
        ledgers = back.into_iter().map(|(_, ledger)| ledger).collect();
        // One start after the other does not get to its end.
        reading += u32::from(kill_in_start(&dir, Start::Reading, round / 2 * STEP));
        between += u32::from(kill_in_start(&dir, Start::Between, Duration::ZERO));
    }
    println!("hit: {in_checkpoint} checkpoints, {reading} replays, {between} openings half said");
    assert!(in_checkpoint > 1 && reading > 1 && between > 1, "few kills have hit");
    println!("unanswered writes: {landed} were there, {lost} were not; {resolved} were resolved");
    assert!(resolved > 0, "the trail was whole whenever the server was killed");
    let acknowledged: u64 = ledgers.iter().map(|ledger| ledger.acknowledged).sum();
    assert!(acknowledged > 50, "only {acknowledged} writes: this was no load");
    assert!(landed + lost > 0, "no write was under way when the server was killed");
}

/// A stop by signal is no crash: the process finishes what it does, and ends with 0.
#[tokio::test]
async fn sigterm_ends_with_success() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("region");
    let mut server = Server::start(&dir);
    server.ready().await;
    let access = Access::load(&dir);
    let mut api = access.connect(server.address).await.unwrap();
    let body = json!({"path": "kept", "version": {"data": {}}});
    assert_eq!(api.call(Method::POST, "secret", &body).await.unwrap().0, 200);
    let killed =
        Command::new("kill").args(["-TERM", &server.child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let begun = Instant::now();
    let status = loop {
        if let Some(status) = server.child.try_wait().unwrap() {
            break status;
        }
        assert!(begun.elapsed() < PATIENCE, "still there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(status.success(), "{status}");
    assert!(
        api.call(Method::GET, "secret/kept", &Value::Null).await.is_err(),
        "the connection is closed"
    );
    let server = Server::start(&dir);
    let mut api = access.connect(server.address).await.unwrap();
    assert_eq!(api.call(Method::GET, "secret/kept", &Value::Null).await.unwrap().0, 200);
}
