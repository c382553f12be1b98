//! Several real processes over one PostgreSQL, behind real TLS.

use std::{
    collections::HashSet,
    fs,
    path::Path,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use hyper::Method;
use serde_json::{Value, json};

use crate::{
    cluster::{self, Node},
    kill::{Access, Api, PATIENCE, Server},
    lives::{ahead, ask, faketime, get},
};

const PROCESSES: usize = 3;
const WRITERS: usize = 3;
const TIME: Duration = Duration::from_secs(12);

/// Another process's folder: the same region, and nothing of what the first one keeps for itself.
fn beside(first: &Path, folder: &Path) {
    for entry in fs::read_dir(first).unwrap().map(Result::unwrap) {
        let name = entry.file_name().into_string().unwrap();
        let is_own = name.contains("audit") || name.contains("okmsd.redb");
        if !is_own && entry.file_type().unwrap().is_file() {
            fs::copy(entry.path(), folder.join(name)).unwrap();
        }
    }
}

/// A PostgreSQL, and the folders of several processes over it.
pub struct Region {
    _cluster: tempfile::TempDir,
    node: Node,
    folders: Vec<tempfile::TempDir>,
}

impl Region {
    /// One in which no process runs yet; nothing where there is no PostgreSQL.
    pub async fn new() -> Option<Self> {
        let (folder, node) = cluster::single("")?;
        node.store("okmsd").await;
        let folders = (0..PROCESSES).map(|_| tempfile::tempdir().unwrap()).collect();
        Some(Self { _cluster: folder, node, folders })
    }

    /// Starts one of the processes, the first one before the others.
    pub fn start(&self, at: usize, more: &[(&str, String)]) -> Server {
        let hosts = format!("127.0.0.1:{}", self.node.port);
        let mut environment = vec![
            ("OKMSD_STORE__ENGINE", "postgres"),
            ("OKMSD_STORE__POSTGRES__HOSTS", &*hosts),
            ("OKMSD_STORE__POSTGRES__USER", "owner"),
            ("OKMSD_STORE__POSTGRES__REQUIRE_SYNC", "false"),
            // One of them remembers what it has read.
            ("OKMSD_STORE__CACHE_READS", if at == 1 { "true" } else { "false" }),
            // A machine that does other things as well.
            ("OKMSD_STORE__POSTGRES__MAX_STALE", "5s"),
            ("OKMSD_STORE__POSTGRES__COMMIT_TIME", "10s"),
            ("OKMSD_STORE__POSTGRES__CONNECT_TIME", "5s"),
        ];
        environment.extend(more.iter().map(|(name, value)| (*name, &**value)));
        let folder = self.folders[at].path();
        if at > 0 {
            beside(self.folders[0].path(), folder);
        }
        Server::start_with(folder, &environment)
    }

    /// The domain of the first one.
    pub fn access(&self) -> Access {
        Access::load(self.folders[0].path())
    }
}

/// What all have seen of one counter.
#[derive(Default)]
struct Seen {
    /// The highest value that was acknowledged.
    acknowledged: AtomicU64,
    all: Mutex<HashSet<u64>>,
    reads: AtomicU64,
    stale: AtomicU64,
    is_over: AtomicBool,
}

impl Seen {
    /// What is read now; counts whether it is older than what was acknowledged before.
    async fn read(&self, api: &mut Api, path: &str) -> Option<(u64, u64)> {
        let least = self.acknowledged.load(Ordering::SeqCst);
        let (status, told) = api
            .call(Method::GET, &format!("secret/{path}?includeData=true"), &Value::Null)
            .await
            .ok()?;
        if status != 200 {
            return None;
        }
        let (version, number) =
            (told["version"]["id"].as_u64()?, told["version"]["data"]["n"].as_u64()?);
        self.reads.fetch_add(1, Ordering::Relaxed);
        if number < least {
            self.stale.fetch_add(1, Ordering::Relaxed);
        }
        Some((version, number))
    }

    /// Adds one again and again, as somebody does who has read it.
    async fn count(
        &self,
        access: &Access,
        addresses: &Mutex<Vec<std::net::SocketAddr>>,
        at: usize,
        path: &str,
    ) {
        'connected: while !self.is_over.load(Ordering::Relaxed) {
            let address = addresses.lock().unwrap()[at];
            let Ok(mut api) = access.connect(address).await else {
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            while !self.is_over.load(Ordering::Relaxed) {
                let Some((version, number)) = self.read(&mut api, path).await else {
                    continue 'connected;
                };
                let body = json!({"version": {"data": {"n": number + 1}}});
                let put = format!("secret/{path}?cas={version}");
                match api.call(Method::PUT, &put, &body).await {
                    Ok((200, _)) => {
                        assert!(self.all.lock().unwrap().insert(number + 1), "an update was lost");
                        self.acknowledged.fetch_max(number + 1, Ordering::SeqCst);
                    }
                    Ok(_) => {}
                    Err(_) => continue 'connected,
                }
            }
        }
    }
}

/// Three processes count one secret up, each by what it has read; one of them is killed and comes back. No update is lost,
/// nobody is shown less than what was acknowledged before he asked, whoever asks whom; and who was shut out by one
/// process is shut out by all within a second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_processes_are_one() {
    let Some(region) = Region::new().await else { return };
    let mut servers: Vec<_> = (0..PROCESSES).map(|at| Some(region.start(at, &[]))).collect();
    let addresses: Vec<_> = servers.iter().flatten().map(|server| server.address).collect();
    let access = Arc::new(region.access());
    let mut api = access.connect(addresses[0]).await.unwrap();
    let body = json!({"path": "count", "version": {"data": {"n": 0}}});
    assert_eq!(api.call(Method::POST, "secret", &body).await.unwrap().0, 200);

    let seen = Arc::new(Seen::default());
    let addresses = Arc::new(Mutex::new(addresses));
    let writers: Vec<_> = (0..PROCESSES * WRITERS)
        .map(|writer| {
            let (seen, access, addresses) =
                (Arc::clone(&seen), Arc::clone(&access), Arc::clone(&addresses));
            tokio::spawn(async move {
                seen.count(&access, &addresses, writer % PROCESSES, "count").await
            })
        })
        .collect();
    tokio::time::sleep(TIME / 3).await;
    servers[1].take().unwrap().kill();
    let before = seen.acknowledged.load(Ordering::SeqCst);
    tokio::time::sleep(TIME / 3).await;
    assert!(seen.acknowledged.load(Ordering::SeqCst) > before + 10, "the others did not go on");
    let again = region.start(1, &[]);
    addresses.lock().unwrap()[1] = again.address;
    servers[1] = Some(again);
    tokio::time::sleep(TIME / 3).await;
    seen.is_over.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.unwrap();
    }
    let addresses = addresses.lock().unwrap().clone();
    for address in &addresses {
        let mut api = access.connect(*address).await.unwrap();
        let (_, number) = seen.read(&mut api, "count").await.unwrap();
        assert!(number >= seen.acknowledged.load(Ordering::SeqCst));
    }
    let told = |number: &AtomicU64| number.load(Ordering::Relaxed);
    println!(
        "{} counted, {} reads, {} stale",
        told(&seen.acknowledged),
        told(&seen.reads),
        told(&seen.stale)
    );
    assert_eq!(told(&seen.stale), 0);
    assert!(told(&seen.reads) > 200);

    // Who is nobody by a rule that one process takes is nobody everywhere.
    let operator = Access::operator(region.folders[0].path(), &access.id);
    let mut operator = operator.connect(addresses[0]).await.unwrap();
    let rule = format!("/v2/okms/resource/{}/rule/everybody", access.id);
    let mut others = Vec::new();
    for address in &addresses[1..] {
        let mut api = access.connect(*address).await.unwrap();
        assert_eq!(api.call(Method::GET, "secret/count", &Value::Null).await.unwrap().0, 200);
        others.push(api);
    }
    let body = json!({"commonNames": ["*"]});
    let (status, said) = operator.at(Method::PUT, rule, &body).await.unwrap();
    assert_eq!(status, 200, "{said}");
    let began = Instant::now();
    for api in &mut others {
        while api.call(Method::GET, "secret/count", &Value::Null).await.unwrap().0 == 200 {
            assert!(began.elapsed() < Duration::from_secs(1), "it counts too late");
        }
    }
    println!("a rule counts everywhere after {:?}", began.elapsed());
}

/// What became due while none of them ran is rotated once, whichever of three processes does it, and once more after ten
/// intervals, of which the one that begins is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_due_is_rotated_once() {
    const SECRETS: usize = 60;
    let Some(library) = faketime() else { return };
    let Some(region) = Region::new().await else { return };
    let first = region.start(0, &[]);
    let access = region.access();
    let mut api = access.connect(first.address).await.unwrap();
    let policy = json!({"name": "hourly", "interval": "1h", "auto_generate": true});
    assert_eq!(ask(&mut api, Method::POST, "rotation/policies", policy).await.0, 201);
    let paths: Vec<_> = (0..SECRETS).map(|number| format!("due/{number:02}")).collect();
    for path in &paths {
        let body = json!({"data": {"key": "k"}, "options": {"rotation_policy_id": "rot_hourly"}});
        assert_eq!(ask(&mut api, Method::PUT, &format!("secrets/{path}"), body).await.0, 201);
    }
    first.kill();
    let versions = async |api: &mut Api| {
        let mut versions = Vec::with_capacity(SECRETS);
        for path in &paths {
            let told = get(api, &format!("secrets/metadata/{path}")).await;
            versions.push(told["current_version"].as_u64().unwrap());
        }
        versions
    };
    for (hours, expected) in [(2, 2), (13, 3)] {
        let ahead = ahead(&library, hours);
        let mut servers: Vec<_> = (0..PROCESSES).map(|at| region.start(at, &ahead)).collect();
        if expected > 2 {
            servers.remove(0).kill();
        }
        let mut api = access.connect(servers[0].address).await.unwrap();
        let begun = Instant::now();
        while versions(&mut api).await.iter().any(|version| *version < expected) {
            assert!(begun.elapsed() < PATIENCE, "not all are rotated");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        // Some more ticks of each make no more of it.
        tokio::time::sleep(Duration::from_millis(2_500)).await;
        for server in &servers {
            let mut api = access.connect(server.address).await.unwrap();
            assert_eq!(versions(&mut api).await, [expected; SECRETS]);
        }
        let mut done = Vec::new();
        let mut cursor = String::new();
        loop {
            let page = format!("rotation/policies/rot_hourly/history?limit=50{cursor}");
            let page = get(&mut api, &page).await;
            done.extend(page["data"].as_array().unwrap().clone());
            let Some(next) = page["cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        let of = |path: &String| {
            let done = done.iter().filter(|one| one["secret_path"] == **path);
            done.filter(|one| one["new_version"] == expected).count()
        };
        assert!(paths.iter().all(|path| of(path) == 1), "{done:?}");
        for server in servers {
            server.kill();
        }
    }
}
