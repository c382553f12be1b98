//! Many writers at once, and a history of what each of them was told, checked afterwards.
//!
//! Every life of a secret, from its creation to its deletion, carries a name in its custom
//! metadata, and every value is written once. So an answer tells which life it belongs to, and a
//! value which write it came from.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
};

use hyper::Method;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::harness::{Answer, BOTH, Client, Connection, Http, TestServer};

/// What a writer or reader was told.
#[derive(Clone, Debug)]
enum Told {
    /// A write was acknowledged as this version of this life; `cas` is what it expected, if it said
    /// so.
    Wrote { path: usize, life: String, version: u64, cas: Option<u64>, value: String },
    /// A read found this value there.
    Read { path: usize, life: String, version: u64, value: String },
    /// The secret was deleted.
    Deleted { path: usize },
}

/// One client with a connection of its own, and what it was told.
struct Worker {
    client: Client,
    connection: Connection,
    /// Unique among workers.
    number: u32,
    values: u32,
    random: u64,
    history: Vec<Told>,
    refused: u32,
}

impl Worker {
    async fn new(client: &Client, number: u32) -> Self {
        let client = client.over(if number.is_multiple_of(2) { Http::One } else { Http::Two });
        let connection = client.connect().await;
        let random = u64::from(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        Self { client, connection, number, values: 0, random, history: Vec::new(), refused: 0 }
    }

    /// A number below `end`: the same ones every time, though not at the same moments.
    fn random(&mut self, end: u64) -> u64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        self.random % end
    }

    fn value(&mut self) -> String {
        self.values += 1;
        format!("{}-{}", self.number, self.values)
    }

    async fn call(&mut self, method: Method, rest: &str, body: String) -> Answer {
        self.connection.send(method, &self.client.url(rest), &[], body).await
    }

    async fn read(&mut self, path: usize, version: Option<u64>) -> Option<(String, u64)> {
        let version = version.map(|version| format!("&version={version}")).unwrap_or_default();
        let answer = self
            .call(
                Method::GET,
                &format!("secret/hot/{path}?includeData=true{version}"),
                String::new(),
            )
            .await;
        if answer.status == 404 {
            answer.error(404, 17_125_377);
            return None;
        }
        let body = answer.ok();
        let (life, current) = life(&body);
        let value = body["version"]["data"]["value"].as_str().unwrap().to_owned();
        let version = body["version"]["id"].as_u64().unwrap();
        assert!(
            version <= current && version >= body["metadata"]["oldestVersion"].as_u64().unwrap()
        );
        self.history.push(Told::Read { path, life: life.clone(), version, value });
        Some((life, current))
    }

    /// Writes a new version. Whether it was taken.
    async fn write(&mut self, path: usize, cas: Option<u64>) -> bool {
        let value = self.value();
        let cas_text = cas.map(|cas| format!("?cas={cas}")).unwrap_or_default();
        let body = json!({"version": {"data": {"value": value}}}).to_string();
        let answer = self.call(Method::PUT, &format!("secret/hot/{path}{cas_text}"), body).await;
        match answer.status.as_u16() {
            200 => {
                let (life, version) = life(&answer.json());
                self.history.push(Told::Wrote { path, life, version, cas, value });
                return true;
            }
            400 => assert!(answer.error(400, 50_405_377).contains("cas")),
            _ => drop(answer.error(404, 17_125_377)),
        }
        self.refused += 1;
        false
    }

    async fn create(&mut self, path: usize, max_versions: u32) -> bool {
        let value = self.value();
        let metadata = json!({"maxVersions": max_versions, "customMetadata": {"life": value}});
        let body = json!({"path": format!("hot/{path}"), "metadata": metadata, "version": {"data": {"value": value}}});
        let answer = self.call(Method::POST, "secret", body.to_string()).await;
        if answer.status == 409 {
            answer.error(409, 50_438_145);
            return false;
        }
        let (life, version) = life(&answer.ok());
        assert_eq!(life, value);
        self.history.push(Told::Wrote { path, life, version, cas: Some(0), value });
        true
    }

    async fn delete(&mut self, path: usize) {
        let answer = self.call(Method::DELETE, &format!("secret/hot/{path}"), String::new()).await;
        match answer.status.as_u16() {
            204 => self.history.push(Told::Deleted { path }),
            _ => drop(answer.error(404, 17_125_377)),
        }
    }
}

/// The life and the current version that an answer is about.
fn life(body: &Value) -> (String, u64) {
    let metadata = &body["metadata"];
    (
        metadata["customMetadata"]["life"].as_str().unwrap().to_owned(),
        metadata["currentVersion"].as_u64().unwrap(),
    )
}

/// What was written, by path, life and version.
type Written = BTreeMap<(usize, String), BTreeMap<u64, String>>;

/// Checks a history and says what was written.
fn check(history: &[Told]) -> Written {
    let mut written = Written::new();
    let mut deleted: BTreeMap<usize, usize> = BTreeMap::new();
    for told in history {
        match told {
            Told::Wrote { path, life, version, cas, value } => {
                let versions = written.entry((*path, life.clone())).or_default();
                let before = versions.insert(*version, value.clone());
                assert_eq!(
                    before, None,
                    "version {version} of {path} in life {life} was given to two writers"
                );
                if let Some(cas) = cas {
                    assert_eq!(
                        *version,
                        cas + 1,
                        "a write that expected {cas} became {version}: an update was lost"
                    );
                }
            }
            Told::Deleted { path } => *deleted.entry(*path).or_default() += 1,
            Told::Read { .. } => {}
        }
    }
    for ((path, life), versions) in &written {
        let numbers: Vec<_> = versions.keys().copied().collect();
        let expected: Vec<_> = (1..=versions.len() as u64).collect();
        assert_eq!(
            numbers, expected,
            "{path} in life {life}: a number was left out, or a write was not acknowledged"
        );
    }
    for told in history {
        if let Told::Read { path, life, version, value } = told {
            let found =
                written.get(&(*path, life.clone())).and_then(|versions| versions.get(version));
            assert_eq!(
                found,
                Some(value),
                "version {version} of {path} in life {life} was never that"
            );
        }
    }
    let paths: BTreeSet<_> = written.keys().map(|(path, _)| *path).collect();
    for path in paths {
        let lives = written.keys().filter(|(other, _)| *other == path).count();
        let deletions = deleted.get(&path).copied().unwrap_or_default();
        assert!(lives - deletions <= 1, "{path} had {lives} lives and {deletions} deletions");
    }
    written
}

/// What is there in the end is what was written last.
async fn check_end(client: &Client, written: &Written, paths: usize) {
    let mut reader = Worker::new(client, 1_000_000).await;
    for path in 0..paths {
        let Some((life, current)) = reader.read(path, None).await else { continue };
        let versions = &written[&(path, life)];
        assert_eq!(
            current,
            versions.len() as u64,
            "{path}: the last acknowledged write is not the current version"
        );
        let shown = client.get(&format!("secret/hot/{path}")).await.ok();
        let oldest = shown["metadata"]["oldestVersion"].as_u64().unwrap().max(1);
        for version in 1..=current {
            let found = reader.read(path, Some(version)).await;
            assert_eq!(
                found.is_some(),
                version >= oldest,
                "version {version} of {path}, of which {oldest} is the oldest"
            );
        }
    }
    for told in &reader.history {
        if let Told::Read { path, life, version, value } = told {
            assert_eq!(written[&(*path, life.clone())].get(version), Some(value));
        }
    }
}

async fn run<F: Future<Output = Worker> + Send + 'static>(
    client: &Client,
    workers: u32,
    work: impl Fn(Worker) -> F,
) -> (Vec<Told>, u32) {
    let mut set = JoinSet::new();
    for number in 0..workers {
        set.spawn(work(Worker::new(client, number).await));
    }
    let workers = set.join_all().await;
    let refused = workers.iter().map(|worker| worker.refused).sum();
    (workers.into_iter().flat_map(|worker| worker.history).collect(), refused)
}

/// One secret, and everybody wants the next number.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cas_writers_of_one_secret() {
    const WORKERS: u32 = 16;
    const WINS: u32 = 8;
    let server = TestServer::start().await;
    let client = server.tenant().await;
    let mut first = Worker::new(&client, 999).await;
    assert!(first.create(0, 1000).await);
    let (mut history, refused) = run(&client, WORKERS, async |mut worker: Worker| {
        let mut wins = 0;
        let mut seen = 0;
        while wins < WINS {
            let (_, current) = worker.read(0, None).await.unwrap();
            assert!(current >= seen, "a read went back in time");
            let won = worker.write(0, Some(current)).await;
            wins += u32::from(won);
            seen = if won { current + 1 } else { current };
        }
        worker
    })
    .await;
    history.extend(first.history);
    let written = check(&history);
    assert_eq!(
        written.values().map(BTreeMap::len).sum::<usize>(),
        usize::try_from(WORKERS * WINS + 1).unwrap()
    );
    assert!(refused > 0, "nobody ever lost: this was no contest");
    check_end(&client, &written, 1).await;
}

/// A few secrets that come and go, some that keep only a few versions, writers with and without
/// CAS, readers.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn writers_deleters_and_readers() {
    const PATHS: u64 = 4;
    let mut server = TestServer::start().await;
    let client = server.tenant().await;
    let deletions = Arc::new(AtomicU32::new(0));
    let (history, refused) = {
        let deletions = Arc::clone(&deletions);
        run(&client, 12, move |mut worker: Worker| {
            let deletions = Arc::clone(&deletions);
            async move {
                for _ in 0..60 {
                    let path = usize::try_from(worker.random(PATHS)).unwrap();
                    match worker.random(20) {
                        0..=1 => {
                            worker.delete(path).await;
                            deletions.fetch_add(1, SeqCst);
                        }
                        2..=6 => {
                            // Half of them keep three versions only.
                            worker.create(path, if path % 2 == 0 { 3 } else { 1000 }).await;
                        }
                        7..=9 => drop(worker.write(path, None).await),
                        10..=12 => {
                            let version = worker.random(5) + 1;
                            worker.read(path, Some(version)).await;
                        }
                        _ => {
                            if let Some((_, current)) = worker.read(path, None).await {
                                worker.write(path, Some(current)).await;
                            }
                        }
                    }
                }
                worker
            }
        })
        .await
    };
    let written = check(&history);
    assert!(written.len() > usize::try_from(PATHS).unwrap(), "no secret had a second life");
    assert!(written.values().any(|versions| versions.len() > 3), "nothing was pruned");
    assert!(refused > 0 && deletions.load(SeqCst) > 0);
    check_end(&client, &written, usize::try_from(PATHS).unwrap()).await;
    server.restart().await;
    check_end(&server.at(&client), &written, usize::try_from(PATHS).unwrap()).await;
}

/// Writers of many secrets do not get in each other's way: every write is taken.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn cas_writers_of_many_secrets() {
    let server = TestServer::start().await;
    let client = server.tenant().await;
    let (history, refused) = run(&client, 16, async |mut worker: Worker| {
        let paths = [worker.number, worker.number + 16, worker.number + 32]
            .map(|path| usize::try_from(path).unwrap());
        for path in paths {
            assert!(worker.create(path, 1000).await);
        }
        for version in 1..=8 {
            for path in paths {
                assert!(worker.write(path, Some(version)).await, "nobody else writes {path}");
            }
        }
        worker
    })
    .await;
    let written = check(&history);
    assert_eq!((written.len(), refused), (48, 0));
    check_end(&client, &written, 48).await;
}

/// Of many who create the same secret, one does; of many who delete it, one does.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn one_creates_and_one_deletes() {
    let server = TestServer::start().await;
    let client = server.tenant().await;
    for http in BOTH {
        let client = client.over(http);
        for _ in 0..5 {
            let (history, _) = run(&client, 8, async |mut worker: Worker| {
                worker.create(0, 0).await;
                worker
            })
            .await;
            assert_eq!(history.len(), 1, "{history:?}");
            let (history, _) = run(&client, 8, async |mut worker: Worker| {
                worker.delete(0).await;
                worker
            })
            .await;
            assert_eq!(history.len(), 1, "{history:?}");
        }
    }
}

/// The defaults of a domain: changes of different keys at once are all there in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn changes_of_the_config_are_merged() {
    let server = TestServer::start().await;
    let client = server.tenant().await;
    for round in 1..=10 {
        let (max, cas) = (json!({"maxVersions": round}), json!({"casRequired": round % 2 == 0}));
        let after = json!({"deactivateVersionAfter": format!("{round}h")});
        let [max, cas, after] = [max, cas, after].map(|body| {
            let client = client.over(BOTH[round % 2]);
            async move { client.put("secretConfig", &body.to_string()).await.ok() }
        });
        tokio::join!(max, cas, after);
        let config = client.get("secretConfig").await.ok();
        let expected = json!({"casRequired": round % 2 == 0, "deactivateVersionAfter": format!("{round}h"), "maxVersions": round});
        assert_eq!(config, expected);
    }
}
